//! UDP over IPv6 on the backbone: what an operating system does for a process with a socket.
//!
//! **Invariant:** pure functions of octets; a packet with a wrong length or checksum is nobody's.

use lowgate_units::Ipv6Addr;
use lowgate_units::planted::{Fault, planted};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv6Packet, Ipv6Repr, UdpPacket, UdpRepr};

/// Hop limit of what starts here (RFC 1700's default for hosts).
const HOP_LIMIT: u8 = 64;

/// A UDP datagram of the backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// IPv6 source.
    pub src: Ipv6Addr,
    /// IPv6 destination.
    pub dst: Ipv6Addr,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
    /// UDP payload.
    pub payload: &'a [u8],
}

/// The IPv6 packet of a datagram.
///
/// # Panics
/// If the payload is longer than an IPv6 packet can be.
pub fn packet(datagram: &Datagram<'_>) -> Vec<u8> {
    let udp = UdpRepr { src_port: datagram.src_port, dst_port: datagram.dst_port };
    let payload_len = udp.header_len() + datagram.payload.len();
    assert!(payload_len <= usize::from(u16::MAX), "larger than IPv6 carries");
    let ipv6 = Ipv6Repr {
        src_addr: datagram.src,
        dst_addr: datagram.dst,
        next_header: IpProtocol::Udp,
        payload_len,
        hop_limit: HOP_LIMIT,
    };
    let mut octets = vec![0; ipv6.buffer_len() + payload_len];
    let mut header = Ipv6Packet::new_unchecked(&mut octets[..]);
    ipv6.emit(&mut header);
    udp.emit(
        &mut UdpPacket::new_unchecked(header.payload_mut()),
        &datagram.src.into(),
        &datagram.dst.into(),
        datagram.payload.len(),
        |out| out.copy_from_slice(datagram.payload),
        &ChecksumCapabilities::default(),
    );
    if planted(Fault::ChecksumSkipped) {
        UdpPacket::new_unchecked(header.payload_mut()).set_checksum(0);
    }
    octets
}

/// The datagram in a packet; `None` if it holds none that is whole. Hop-by-hop options in front of
/// UDP are skipped, as the RPL option of a mesh's packet asks for (RFC 9008 section 4.2).
pub fn datagram(packet: &[u8]) -> Option<Datagram<'_>> {
    let ipv6 = Ipv6Packet::new_checked(packet).ok()?;
    let (src, dst) = (ipv6.src_addr(), ipv6.dst_addr());
    let end = ipv6.total_len();
    let body = packet.get(ipv6.header_len()..end)?;
    let body = match ipv6.next_header() {
        IpProtocol::Udp => body,
        IpProtocol::HopByHop => {
            let len = 8 * (usize::from(*body.get(1)?) + 1);
            (IpProtocol::from(*body.first()?) == IpProtocol::Udp).then_some(())?;
            body.get(len..)?
        }
        _ => return None,
    };
    let udp = UdpPacket::new_checked(body).ok()?;
    // RFC 8200 section 8.1: a UDP checksum of zero is not allowed.
    if udp.checksum() == 0 || !udp.verify_checksum(&src.into(), &dst.into()) {
        return None;
    }
    let payload = body.get(8..usize::from(udp.len()))?;
    let (src_port, dst_port) = (udp.src_port(), udp.dst_port());
    Some(Datagram { src, dst, src_port, dst_port, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(payload: &[u8]) -> Datagram<'_> {
        let src = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
        let dst = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 2);
        Datagram { src, dst, src_port: 5684, dst_port: 61628, payload }
    }

    #[test]
    fn a_damaged_packet_is_nobodys() {
        let good = packet(&sample(b"payload"));
        assert_eq!(datagram(&good), Some(sample(b"payload")));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            // Version, class, flow label and hop limit are not covered by any checksum.
            if !(1..4).contains(&at) && at != 7 && at != 0 {
                assert_eq!(datagram(&bad), None, "octet {at}");
            }
            assert_eq!(datagram(&good[..at]), None, "prefix of {at}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets: Vec<u8>) {
            let _ = datagram(&octets);
        }

        #[test]
        fn what_is_sent_is_received(payload in prop::collection::vec(any::<u8>(), 0..1200)) {
            let octets = packet(&sample(&payload));
            prop_assert_eq!(datagram(&octets), Some(sample(&payload)));
        }
    }
}
