//! ICMPv6 header, echo and errors, RFC 4443.

use super::{Reader, Writer, ipv6, is_multicast, options, sum};
use crate::api::{PACKET_OCTETS_MAX, Packet};
use lowgate_units::Ipv6Addr;

pub(crate) const DESTINATION_UNREACHABLE: u8 = 1;
pub(crate) const PACKET_TOO_BIG: u8 = 2;
pub(crate) const TIME_EXCEEDED: u8 = 3;
pub(crate) const PARAMETER_PROBLEM: u8 = 4;
pub(crate) const ECHO_REQUEST: u8 = 128;
pub(crate) const ECHO_REPLY: u8 = 129;
pub(crate) const ROUTER_SOLICITATION: u8 = 133;
pub(crate) const ROUTER_ADVERTISEMENT: u8 = 134;
pub(crate) const NEIGHBOR_SOLICITATION: u8 = 135;
pub(crate) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
pub(crate) const RPL: u8 = 155;
pub(crate) const DUPLICATE_ADDRESS_REQUEST: u8 = 157;
pub(crate) const DUPLICATE_ADDRESS_CONFIRMATION: u8 = 158;
pub(crate) const MPL_CONTROL: u8 = 159;

/// Destination unreachable, no route (RFC 4443 section 3.1).
pub(crate) const CODE_NO_ROUTE: u8 = 0;
/// Destination unreachable, error in source routing header (RFC 6550 section 20.18).
pub(crate) const CODE_SOURCE_ROUTE: u8 = 7;

/// As much of an offending packet as we send back. RFC 4443 section 2.4 (c) allows up to the
/// minimum MTU; two frames of it suffice to find out what was wrong.
const QUOTE_OCTETS_MAX: usize = 128;

/// A message behind its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Icmpv6<'a> {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> Icmpv6<'a> {
    /// `None` unless whole with the right checksum.
    pub(crate) fn parse(src: Ipv6Addr, dst: Ipv6Addr, octets: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(octets);
        let (kind, code, _checksum) = (reader.u8()?, reader.u8()?, reader.u16()?);
        if sum(src, dst, ipv6::ICMPV6, octets) != !0 {
            return None;
        }
        Some(Self { kind, code, body: reader.rest() })
    }

    /// The IPv6 packet that holds the message.
    pub(crate) fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8) -> Option<Packet> {
        let mut out = Writer::default();
        out.u8(self.kind);
        out.u8(self.code);
        out.u16(0);
        out.put(self.body);
        let checksum = !sum(src, dst, ipv6::ICMPV6, out.octets());
        out.patch_u16(2, checksum);
        let payload = out.finish()?;
        ipv6::Ipv6 { next_header: ipv6::ICMPV6, hop_limit, src, dst, payload: &payload }.emit()
    }
}

/// The body of an echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo<'a> {
    pub(crate) identifier: u16,
    pub(crate) sequence: u16,
    pub(crate) data: &'a [u8],
}

impl<'a> Echo<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (identifier, sequence) = (reader.u16()?, reader.u16()?);
        Some(Self { identifier, sequence, data: reader.rest() })
    }

    pub(crate) fn emit(&self) -> Option<Packet> {
        let mut out = Writer::default();
        out.u16(self.identifier);
        out.u16(self.sequence);
        out.put(self.data);
        out.finish()
    }
}

/// An error message about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// Unused, MTU or pointer, by kind.
    pub(crate) word: u32,
}

impl Problem {
    /// The body of the error message about `offender`; `None` where RFC 4443 section 2.4 (e) says
    /// not to answer: errors, multicast, sources that name no node.
    pub(crate) fn body(&self, offender: &[u8]) -> Option<Packet> {
        let view = ipv6::Ipv6::parse(offender)?;
        if is_multicast(view.dst) || is_multicast(view.src) || view.src.is_unspecified() {
            return None;
        }
        let (kind, rest) = options::upper(&view)?;
        if kind == ipv6::ICMPV6 && rest.first().is_none_or(|kind| *kind < ECHO_REQUEST) {
            return None;
        }
        let mut out = Writer::default();
        out.u32(self.word);
        out.put(&offender[..offender.len().min(QUOTE_OCTETS_MAX)]);
        out.finish()
    }
}

/// "The mesh carries packets up to its MTU" (RFC 4443 section 3.2).
pub(crate) const TOO_BIG: Problem =
    Problem { kind: PACKET_TOO_BIG, code: 0, word: PACKET_OCTETS_MAX as u32 };

/// The destination of the packet quoted in the body of an error message.
pub(crate) fn quoted(body: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let mut reader = Reader::new(body);
    reader.take(4 + 8)?;
    Some((reader.addr()?, reader.addr()?))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    const A: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 2);

    #[test]
    fn no_error_about_an_error_or_a_multicast() {
        let problem = Problem { kind: TIME_EXCEEDED, code: 0, word: 0 };
        let packet = |kind, dst| Icmpv6 { kind, code: 0, body: &[0; 4] }.emit(A, dst, 64);
        let about = |packet: Option<Packet>| problem.body(&packet.expect("short"));
        assert!(about(packet(ECHO_REQUEST, B)).is_some());
        assert!(about(packet(TIME_EXCEEDED, B)).is_none());
        assert!(about(packet(ECHO_REQUEST, super::super::ALL_MPL_FORWARDERS)).is_none());
        let quote = about(packet(ECHO_REQUEST, B)).expect("quotes");
        assert_eq!(quoted(&quote), Some((A, B)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn parse_of_emit_is_identity(kind: u8, code: u8, body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let message = Icmpv6 { kind, code, body: &body };
            let packet = message.emit(A, B, 64).expect("short");
            let mut octets = packet[40..].to_vec();
            prop_assert_eq!(Icmpv6::parse(A, B, &octets), Some(message));
            octets[1] ^= 1;
            prop_assert_eq!(Icmpv6::parse(A, B, &octets), None);
        }

        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Icmpv6::parse(A, B, &octets);
            let _ = Echo::parse(&octets).and_then(|echo| echo.emit());
            let _ = quoted(&octets);
        }
    }
}
