//! UDP over IPv6, RFC 768 and RFC 8200 section 8.1.

use super::{Reader, Writer, ipv6, sum};
use crate::api::Packet;
use lowgate_units::Ipv6Addr;
use lowgate_units::planted::{Fault, planted};

const HEADER_OCTETS: usize = 8;

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp<'a> {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// `None` unless length and checksum are right.
    pub(crate) fn parse(src: Ipv6Addr, dst: Ipv6Addr, octets: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(octets);
        let (src_port, dst_port) = (reader.u16()?, reader.u16()?);
        let (len, checksum) = (usize::from(reader.u16()?), reader.u16()?);
        // RFC 8200 section 8.1: a zero checksum MUST be discarded. (smoltcp accepts it.)
        if len != octets.len() || checksum == 0 || sum(src, dst, ipv6::UDP, octets) != !0 {
            return None;
        }
        Some(Self { src_port, dst_port, payload: reader.rest() })
    }

    /// The IPv6 packet that holds the datagram; `None` if it is too large.
    pub(crate) fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8) -> Option<Packet> {
        let mut out = Writer::default();
        out.u16(self.src_port);
        out.u16(self.dst_port);
        out.u16(u16::try_from(HEADER_OCTETS + self.payload.len()).ok()?);
        out.u16(0);
        out.put(self.payload);
        // RFC 8200 section 8.1: a sum that comes out as zero is sent as all ones.
        let checksum = match !sum(src, dst, ipv6::UDP, out.octets()) {
            _ if planted(Fault::ChecksumSkipped) => 0,
            0 => !0,
            checksum => checksum,
        };
        out.patch_u16(6, checksum);
        let payload = out.finish()?;
        ipv6::Ipv6 { next_header: ipv6::UDP, hop_limit, src, dst, payload: &payload }.emit()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    const A: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 2);

    #[test]
    fn a_zero_checksum_is_refused() {
        let packet = Udp { src_port: 1, dst_port: 2, payload: b"x" }.emit(A, B, 64).expect("short");
        let mut octets = packet[40..].to_vec();
        assert!(Udp::parse(A, B, &octets).is_some());
        octets[6..8].copy_from_slice(&[0, 0]);
        assert_eq!(Udp::parse(A, B, &octets), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn parse_of_emit_is_identity(ports: (u16, u16), payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            let udp = Udp { src_port: ports.0, dst_port: ports.1, payload: &payload };
            let packet = udp.emit(A, B, 64).expect("short");
            let mut octets = packet[40..].to_vec();
            prop_assert_eq!(Udp::parse(A, B, &octets), Some(udp));
            octets[0] ^= 1;
            prop_assert_eq!(Udp::parse(A, B, &octets), None);
        }

        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Udp::parse(A, B, &octets);
        }
    }
}
