//! IPv6, its extension headers, ICMPv6 and UDP; what UDP carries is told by its ports.

use super::dtls::{Datagram, Dtls};
use super::{Keys, Octets, Said};
use lowgate_access::relay::HeaderFields;
use lowgate_access::{JOIN_PORT, JOINER_PORT, MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_units::Ipv6Addr;

/// Headers of one packet that are looked at.
const HEADERS_MAX: usize = 16;

const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const ROUTING: u8 = 43;
const ICMPV6: u8 = 58;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;

/// RPL option: RFC 9008 section 4.3, and as RFC 6553 numbered it.
const OPTION_RPL: u8 = 0x23;
const OPTION_RPL_OLD: u8 = 0x63;
/// MPL option, RFC 7731 section 6.1.
const OPTION_MPL: u8 = 0x6d;

pub(super) struct Ip<'a> {
    dtls: Dtls<'a>,
}

impl<'a> Ip<'a> {
    pub(super) fn new(secrets: &[String], keys: Option<&'a Keys>) -> Self {
        Self { dtls: Dtls::new(secrets, keys) }
    }

    /// Says what is in a packet.
    pub(super) fn packet(&mut self, packet: &[u8], said: &mut Said) {
        if self.headers(Octets(packet), said).is_none() {
            said.say("cut short");
        }
    }

    /// `None` when the packet ends within a header.
    fn headers(&mut self, mut rest: Octets<'_>, said: &mut Said) -> Option<()> {
        let (mut src, mut dst) = (Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
        let mut next = IPV6;
        for _ in 0..HEADERS_MAX {
            match next {
                IPV6 => {
                    let header = Ipv6::take(&mut rest)?;
                    (src, dst, next) = (header.src, header.dst, header.next);
                    // On the backbone the line begins with these addresses.
                    let between = match &said.layers[..] {
                        [] => String::new(),
                        _ => format!(" {src} → {dst}"),
                    };
                    said.say(format!("IPv6{between} hop limit {}", header.hop_limit));
                }
                HOP_BY_HOP | DESTINATION_OPTIONS => {
                    let (following, body) = extension(&mut rest)?;
                    options(Octets(body), said)?;
                    next = following;
                }
                ROUTING => {
                    let (following, body) = extension(&mut rest)?;
                    let (kind, left) = (body.first()?, body.get(1)?);
                    said.say(format!("routing header type {kind}, {left} left"));
                    next = following;
                }
                UDP => return self.udp(src, dst, rest, said),
                ICMPV6 => return icmpv6(rest, said),
                NO_NEXT_HEADER => return Some(()),
                other => {
                    said.say(format!("next header {other}, {} octets", rest.0.len()));
                    return Some(());
                }
            }
        }
        said.say("too many headers");
        Some(())
    }

    fn udp(
        &mut self,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        mut rest: Octets<'_>,
        said: &mut Said,
    ) -> Option<()> {
        let (src_port, dst_port) = (rest.u16()?, rest.u16()?);
        let (len, _checksum) = (rest.u16()?, rest.u16()?);
        let payload = rest.take(usize::from(len).checked_sub(8)?)?;
        said.say(format!("UDP {src_port} → {dst_port}"));
        let datagram = Datagram { src, src_port, dst, dst_port, payload };
        let ports = [src_port, dst_port];
        if ports.contains(&MANAGER_RELAY_PORT) {
            self.envelope(&datagram, said);
        } else if dst.is_multicast() {
            self.dtls.group(&datagram, said);
        } else if [JOIN_PORT, JOINER_PORT, MANAGER_PORT].iter().any(|port| ports.contains(port)) {
            self.dtls.datagram(&datagram, said);
        } else {
            said.say(format!("{} octets", payload.len()));
        }
        Some(())
    }

    /// The relay's envelope: its header, then what is in it as if joiner and manager spoke
    /// directly.
    fn envelope(&mut self, outer: &Datagram<'_>, said: &mut Said) {
        let envelope = match jpy::parse(outer.payload) {
            Ok(envelope) => envelope,
            Err(fault) => return said.say(format!("no JPY envelope: {fault:?}")),
        };
        let Some(fields) = HeaderFields::of(envelope.header) else {
            let len = envelope.header.len();
            said.say(format!("JPY with another relay's header of {len} octets"));
            return;
        };
        let HeaderFields { generation, interface, port, joiner } = fields;
        said.say(format!(
            "JPY generation {generation} interface {interface} joiner {} port {port}, {} octets",
            joiner.link_local(),
            envelope.content.len()
        ));
        let joiner = joiner.link_local();
        let payload = envelope.content;
        let inner = if outer.dst_port == MANAGER_RELAY_PORT {
            let (src, src_port, dst, dst_port) = (joiner, port, outer.dst, MANAGER_PORT);
            Datagram { src, src_port, dst, dst_port, payload }
        } else {
            let (src, src_port, dst, dst_port) = (outer.src, MANAGER_PORT, joiner, port);
            Datagram { src, src_port, dst, dst_port, payload }
        };
        self.dtls.datagram(&inner, said);
    }
}

struct Ipv6 {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    next: u8,
    hop_limit: u8,
}

impl Ipv6 {
    /// The fixed header; what is behind its payload is cut off.
    fn take(rest: &mut Octets<'_>) -> Option<Self> {
        let _version = rest.take(4)?;
        let len = usize::from(rest.u16()?);
        let (next, hop_limit) = (rest.u8()?, rest.u8()?);
        let mut addr = || -> Option<Ipv6Addr> {
            let octets: [u8; 16] = rest.take(16)?.try_into().ok()?;
            Some(octets.into())
        };
        let (src, dst) = (addr()?, addr()?);
        rest.0 = rest.0.get(..len)?;
        Some(Self { src, dst, next, hop_limit })
    }
}

/// What follows an extension header, and its octets behind the first two.
fn extension<'o>(rest: &mut Octets<'o>) -> Option<(u8, &'o [u8])> {
    let (next, len) = (rest.u8()?, usize::from(rest.u8()?));
    Some((next, rest.take(len * 8 + 6)?))
}

fn options(mut rest: Octets<'_>, said: &mut Said) -> Option<()> {
    while let Some(kind) = rest.u8() {
        if kind == 0 {
            continue;
        }
        let len = usize::from(rest.u8()?);
        let mut value = Octets(rest.take(len)?);
        match kind {
            1 => {}
            OPTION_RPL | OPTION_RPL_OLD => {
                let (flags, _instance, rank) = (value.u8()?, value.u8()?, value.u16()?);
                let way = if flags & 0x80 != 0 { "down" } else { "up" };
                let error = if flags & 0x40 != 0 { ", rank error" } else { "" };
                said.say(format!("RPL {way} from rank {rank}{error}"));
            }
            OPTION_MPL => {
                let (_flags, sequence) = (value.u8()?, value.u8()?);
                said.say(format!("MPL sequence {sequence}"));
            }
            other => said.say(format!("option {other:#04x}")),
        }
    }
    Some(())
}

fn icmpv6(mut rest: Octets<'_>, said: &mut Said) -> Option<()> {
    let (kind, code, _checksum) = (rest.u8()?, rest.u8()?, rest.u16()?);
    let name = match (kind, code) {
        (1, _) => "destination unreachable",
        (2, _) => "packet too big",
        (3, _) => "time exceeded",
        (4, _) => "parameter problem",
        (128, _) => "echo request",
        (129, _) => "echo reply",
        (133, _) => "router solicitation",
        (134, _) => "router advertisement",
        (135, _) => "neighbor solicitation",
        (136, _) => "neighbor advertisement",
        (155, 0) => "RPL DIS",
        (155, 1) => "RPL DIO",
        (155, 2) => "RPL DAO",
        (155, 3) => "RPL DAO-ACK",
        (157, _) => "extended duplicate address request",
        (158, _) => "extended duplicate address confirmation",
        (159, _) => "MPL control",
        (kind, code) => {
            said.say(format!("ICMPv6 type {kind} code {code}"));
            return Some(());
        }
    };
    let detail = match (kind, code) {
        (155, 1) => {
            let (_instance, version, rank) = (rest.u8()?, rest.u8()?, rest.u16()?);
            format!(", version {version}, rank {rank}")
        }
        (128 | 129, _) => {
            let (id, sequence) = (rest.u16()?, rest.u16()?);
            format!(", id {id}, sequence {sequence}")
        }
        (1..=4, code) => format!(", code {code}"),
        _ => String::new(),
    };
    said.say(format!("ICMPv6 {name}{detail}"));
    Some(())
}
