//! The IPv6 header, RFC 8200 section 3, and tunnels, RFC 2473.

use super::Writer;
use crate::api::Packet;
use lowgate_units::Ipv6Addr;
use smoltcp::wire::{IpProtocol, Ipv6Packet};

pub(crate) const HEADER_OCTETS: usize = 40;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const UDP: u8 = 17;
pub(crate) const IPV6: u8 = 41;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const NO_NEXT_HEADER: u8 = 59;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;

/// Offset of the hop limit field.
pub(crate) const HOP_LIMIT_AT: usize = 7;
/// Offset of the destination field.
pub(crate) const DST_AT: usize = 24;

/// A packet's header and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipv6<'a> {
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    pub(crate) src: Ipv6Addr,
    pub(crate) dst: Ipv6Addr,
    pub(crate) payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// `None` unless version 6 with all of its payload; octets past the payload are cut.
    pub(crate) fn parse(octets: &'a [u8]) -> Option<Self> {
        let total_len = Ipv6Packet::new_checked(octets).ok()?.total_len();
        Self::parse_beginning(octets.get(..total_len)?)
    }

    /// The same of a packet whose end is not there: the payload is what there is of it.
    pub(crate) fn parse_beginning(octets: &'a [u8]) -> Option<Self> {
        let (header, payload) = octets.split_at_checked(HEADER_OCTETS)?;
        let packet = Ipv6Packet::new_unchecked(header);
        (packet.version() == 6).then(|| Self {
            next_header: u8::from(packet.next_header()),
            hop_limit: packet.hop_limit(),
            src: packet.src_addr(),
            dst: packet.dst_addr(),
            payload,
        })
    }

    /// The whole packet; `None` if it exceeds what a packet may hold.
    pub(crate) fn emit(&self) -> Option<Packet> {
        let mut header = [0; HEADER_OCTETS];
        let mut packet = Ipv6Packet::new_unchecked(&mut header);
        packet.set_version(6);
        packet.set_traffic_class(0);
        packet.set_flow_label(0);
        packet.set_payload_len(u16::try_from(self.payload.len()).ok()?);
        packet.set_next_header(IpProtocol::from(self.next_header));
        packet.set_hop_limit(self.hop_limit);
        packet.set_src_addr(self.src);
        packet.set_dst_addr(self.dst);
        let mut out = Writer::default();
        out.put(&header);
        out.put(self.payload);
        out.finish()
    }
}

/// Puts an extension header, whose first octet is overwritten by the next header, behind the IPv6
/// header of `packet`. Only a packet's source may do that (RFC 8200 section 4).
pub(crate) fn insert(packet: &Packet, kind: u8, extension: &[u8]) -> Option<Packet> {
    let view = Ipv6::parse(packet)?;
    let mut payload = Writer::default();
    payload.u8(view.next_header);
    payload.put(extension.get(1..)?);
    payload.put(view.payload);
    let payload = payload.finish()?;
    Ipv6 { next_header: kind, payload: &payload, ..view }.emit()
}

/// The outer header of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnel<'a> {
    pub(crate) src: Ipv6Addr,
    pub(crate) dst: Ipv6Addr,
    pub(crate) hop_limit: u8,
    /// An extension header between outer and inner header: its kind and octets.
    pub(crate) extension: Option<(u8, &'a [u8])>,
}

/// `inner` inside a new packet (RFC 2473 section 3.1).
pub(crate) fn encapsulate(tunnel: &Tunnel<'_>, inner: &[u8]) -> Option<Packet> {
    let mut payload = Writer::default();
    if let Some((_, extension)) = tunnel.extension {
        payload.u8(IPV6);
        payload.put(extension.get(1..)?);
    }
    payload.put(inner);
    let payload = payload.finish()?;
    Ipv6 {
        next_header: tunnel.extension.map_or(IPV6, |(kind, _)| kind),
        hop_limit: tunnel.hop_limit,
        src: tunnel.src,
        dst: tunnel.dst,
        payload: &payload,
    }
    .emit()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    const HEADER: &str = "60000000 0002 11 40 fd000000000000000000000000000001
        fd000000000000000000000000000002";

    #[test]
    fn header_and_payload() {
        let octets = hex(&std::format!("{HEADER} aabb"));
        let view = Ipv6::parse(&octets).expect("well-formed");
        assert_eq!((view.next_header, view.hop_limit, view.payload), (UDP, 64, &octets[40..]));
        assert_eq!(view.emit().as_deref(), Some(&octets[..]));
        let longer = hex(&std::format!("{HEADER} aabbcc"));
        assert_eq!(Ipv6::parse(&longer), Some(view), "padding behind the packet is cut");
        for end in 0..octets.len() {
            assert_eq!(Ipv6::parse(&octets[..end]), None);
        }
        let mut other = octets;
        other[0] = 0x40;
        assert_eq!(Ipv6::parse(&other), None, "version 4");
    }

    #[test]
    fn an_extension_goes_between() {
        let octets = hex(&std::format!("{HEADER} aabb"));
        let packet = Packet::from_slice(&octets).expect("short");
        let longer = insert(&packet, HOP_BY_HOP, &hex("ff 00 23 04 00 00 01 00")).expect("fits");
        let view = Ipv6::parse(&longer).expect("well-formed");
        assert_eq!(view.next_header, HOP_BY_HOP);
        assert_eq!(view.payload, hex("11 00 23 04 00 00 01 00 aabb"));
    }

    #[test]
    fn a_tunnel_holds_the_packet_unchanged() {
        let inner = hex(&std::format!("{HEADER} aabb"));
        let view = Ipv6::parse(&inner).expect("well-formed");
        let tunnel = Tunnel { src: view.src, dst: view.dst, hop_limit: 9, extension: None };
        let outer = encapsulate(&tunnel, &inner).expect("fits");
        let outer = Ipv6::parse(&outer).expect("well-formed");
        assert_eq!((outer.next_header, outer.payload), (IPV6, &inner[..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..96)) {
            if let Some(view) = Ipv6::parse(&octets) {
                let emitted = view.emit().expect("short");
                prop_assert_eq!(Ipv6::parse(&emitted), Some(view));
                // Of the whole packet its beginning says the same, and of less no more than there is.
                let whole = HEADER_OCTETS + view.payload.len();
                prop_assert_eq!(Ipv6::parse_beginning(&octets[..whole]), Some(view));
            }
            let beginning = Ipv6::parse_beginning(&octets);
            prop_assert_eq!(beginning.is_some(), octets.len() >= HEADER_OCTETS && octets[0] >> 4 == 6);
            if let Some(view) = beginning {
                prop_assert_eq!(view.payload, &octets[HEADER_OCTETS..]);
            }
        }
    }
}
