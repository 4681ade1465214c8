//! What the building's network may send into the mesh, and how much of it.
//!
//! The mesh is slow and shared: what comes from outside may not crowd out who joins and who switches a
//! light. The domain manager is no outsider, but its address can be forged: what comes in its name is no
//! more than it ever sends.
//!
//! **Invariant:** tables are bounded; what is not understood does not pass. What was not asked for passes
//! only if [`Inward`] names it.

use lowgate_access::{JOIN_PORT, JOINER_PORT, MANAGER_PORT, MANAGER_RELAY_PORT};
use lowgate_units::{Duration, Instant, Ipv6Addr};
use smoltcp::wire::{IpProtocol, Ipv6Packet, UdpPacket};
use std::collections::BTreeMap;

/// RFC 7252 section 6.1.
pub(crate) const COAP_PORT: u16 = 5683;
/// CoAP over DTLS, RFC 7252 section 6.2.
const COAPS_PORT: u16 = 5684;
/// ICMPv6 types: errors (RFC 4443 section 3), which always pass, and echoes (section 4).
const ICMPV6_ERRORS: std::ops::RangeInclusive<u8> = 1..=4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// Conversations that devices began and may be answered in.
const FLOWS_MAX: usize = 1024;
/// A conversation in which nobody said anything for so long is over (RFC 4787 section 4.3 asks for two
/// minutes at least).
const FLOW_IDLE: Duration = Duration::from_secs(300);
/// Sources whose rates are told apart.
const SOURCES_MAX: usize = 64;
/// Octets a second of all outsiders, and at once: a third of what a hop of a mesh with several carries, lest
/// commands to groups wait for a free channel.
const ALL: Rate = Rate { per_second: 3072, burst: 8192 };
/// Of one of them.
const EACH: Rate = Rate { per_second: 2048, burst: 8192 };
/// To groups, which costs every device of the mesh a transmission: about two commands a second, and a dozen
/// at once.
const GROUPS: Rate = Rate { per_second: 160, burst: 1024 };

/// What the building's network may begin. Answers to what a device began pass in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inward {
    /// CoAP without security: whoever may send it can read and switch every device, and every group.
    pub coap: bool,
    /// CoAP over DTLS, which devices answer or not by their own keys.
    pub coaps: bool,
    /// Echo requests.
    pub echo: bool,
}

impl Inward {
    /// Everything that can be allowed.
    pub const ALL: Self = Self { coap: true, coaps: true, echo: true };
}
/// Of the domain manager: as much as a hop carries.
const MANAGER: Rate = Rate { per_second: 8192, burst: 32_768 };
/// The manager's port and the devices'.
const MANAGER_PORTS: [(u16, u16); 2] =
    [(MANAGER_PORT, JOINER_PORT), (MANAGER_RELAY_PORT, JOIN_PORT)];

/// Why a packet did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterDrop {
    /// No IPv6 packet with UDP or ICMPv6 in it, or cut short.
    NotUnderstood,
    /// Neither allowed by [`Inward`], nor an answer to what a device sent.
    NotAllowed,
    /// The source sends more than its share.
    SourceRate,
    /// All outsiders together send more than the mesh can spare, or to groups.
    Rate,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u64,
    burst: u64,
}

/// What may still be sent.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Octets times a million.
    level: u64,
    at: Instant,
}

impl Bucket {
    const fn full(now: Instant, rate: Rate) -> Self {
        Self { level: rate.burst * 1_000_000, at: now }
    }

    fn fill(&mut self, now: Instant, rate: Rate) {
        let passed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let more = passed.saturating_mul(rate.per_second);
        self.level = self.level.saturating_add(more).min(rate.burst * 1_000_000);
        self.at = now;
    }

    const fn holds(&self, octets: usize) -> bool {
        self.level >= octets as u64 * 1_000_000
    }

    const fn take(&mut self, octets: usize) {
        self.level -= octets as u64 * 1_000_000;
    }
}

/// A device's end and the other one.
type Flow = (Talk, (Ipv6Addr, u16), (Ipv6Addr, u16));

/// What an end's number is: a UDP port, or on both ends the identifier of echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Talk {
    Udp,
    Echo,
}

/// The filter.
#[derive(Debug)]
pub struct Filter {
    allowed: Inward,
    manager_addr: Ipv6Addr,
    manager: Bucket,
    flows: BTreeMap<Flow, Instant>,
    all: Bucket,
    groups: Bucket,
    sources: BTreeMap<Ipv6Addr, Bucket>,
    dropped: BTreeMap<FilterDrop, u64>,
}

impl Filter {
    /// A filter that has let nothing through yet.
    pub fn new(now: Instant, allowed: Inward, manager_addr: Ipv6Addr) -> Self {
        let (flows, sources, dropped) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (all, manager) = (Bucket::full(now, ALL), Bucket::full(now, MANAGER));
        let groups = Bucket::full(now, GROUPS);
        Self { allowed, manager_addr, manager, flows, all, groups, sources, dropped }
    }

    /// How many packets did not pass, and why.
    pub const fn dropped(&self) -> &BTreeMap<FilterDrop, u64> {
        &self.dropped
    }

    /// A packet leaves the mesh: its answer may come back.
    pub fn outward(&mut self, now: Instant, packet: &[u8]) {
        let Some(Shape { src, dst, kind }) = shape(packet) else { return };
        let flow = match kind {
            Kind::Udp { src_port, dst_port } => (Talk::Udp, (src, src_port), (dst, dst_port)),
            Kind::EchoRequest { identifier } => (Talk::Echo, (src, identifier), (dst, identifier)),
            Kind::EchoReply { .. } | Kind::Icmpv6Error | Kind::OtherIcmpv6 => return,
        };
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&flow) {
            let oldest = self.flows.iter().min_by_key(|(_, at)| **at).map(|(flow, _)| *flow);
            oldest.and_then(|flow| self.flows.remove(&flow));
        }
        self.flows.insert(flow, now);
    }

    /// Whether a packet of the building's network may enter the mesh.
    ///
    /// # Errors
    /// Why it may not; it is counted.
    pub fn inward(&mut self, now: Instant, packet: &[u8]) -> Result<(), FilterDrop> {
        let verdict = self.judge(now, packet);
        if let Err(why) = verdict {
            *self.dropped.entry(why).or_default() += 1;
        }
        verdict
    }

    fn judge(&mut self, now: Instant, packet: &[u8]) -> Result<(), FilterDrop> {
        let Shape { src, dst, kind } = shape(packet).ok_or(FilterDrop::NotUnderstood)?;
        if src == self.manager_addr && kind.is_of_manager() {
            return self.judge_manager(now, packet.len());
        }
        let allowed = match kind {
            Kind::Icmpv6Error => true,
            Kind::OtherIcmpv6 => false,
            Kind::EchoRequest { .. } => self.allowed.echo,
            Kind::EchoReply { identifier } => {
                self.is_answer(now, (Talk::Echo, (dst, identifier), (src, identifier)))
            }
            Kind::Udp { dst_port: COAP_PORT, .. } if self.allowed.coap => true,
            Kind::Udp { dst_port: COAPS_PORT, .. } if self.allowed.coaps => true,
            Kind::Udp { src_port, dst_port } => {
                self.is_answer(now, (Talk::Udp, (dst, dst_port), (src, src_port)))
            }
        };
        if !allowed {
            return Err(FilterDrop::NotAllowed);
        }
        let octets = packet.len();
        // First: a flood of forged sources then costs little, and makes nobody's bucket be forgotten.
        self.all.fill(now, ALL);
        self.groups.fill(now, GROUPS);
        let to_group = dst.is_multicast();
        if !self.all.holds(octets) || (to_group && !self.groups.holds(octets)) {
            return Err(FilterDrop::Rate);
        }
        let own = self.source(now, src);
        own.fill(now, EACH);
        if !own.holds(octets) {
            return Err(FilterDrop::SourceRate);
        }
        own.take(octets);
        self.all.take(octets);
        if to_group {
            self.groups.take(octets);
        }
        Ok(())
    }

    fn is_answer(&mut self, now: Instant, flow: Flow) -> bool {
        let live = self.flows.get_mut(&flow).filter(|at| now.since(**at) < FLOW_IDLE);
        live.map(|at| *at = now).is_some()
    }

    /// Keys are not behind this: they are behind the sessions in these datagrams.
    fn judge_manager(&mut self, now: Instant, len: usize) -> Result<(), FilterDrop> {
        self.manager.fill(now, MANAGER);
        if !self.manager.holds(len) {
            return Err(FilterDrop::SourceRate);
        }
        self.manager.take(len);
        Ok(())
    }

    /// Sources that were not heard for longest make room: their buckets are the fullest.
    fn source(&mut self, now: Instant, src: Ipv6Addr) -> &mut Bucket {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&src) {
            let oldest = self.sources.iter().min_by_key(|(_, bucket)| bucket.at);
            let oldest = oldest.map(|(src, _)| *src);
            oldest.and_then(|src| self.sources.remove(&src));
        }
        self.sources.entry(src).or_insert_with(|| Bucket::full(now, EACH))
    }
}

struct Shape {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    kind: Kind,
}

enum Kind {
    Udp { src_port: u16, dst_port: u16 },
    EchoRequest { identifier: u16 },
    EchoReply { identifier: u16 },
    Icmpv6Error,
    OtherIcmpv6,
}

impl Kind {
    /// Whether the domain manager sends such.
    fn is_of_manager(&self) -> bool {
        matches!(self, Self::Udp { src_port, dst_port }
            if MANAGER_PORTS.contains(&(*src_port, *dst_port)))
    }
}

/// What can be judged of a packet. Hop-by-hop options, which packets of the mesh carry (RFC 9008 section
/// 4.2), are skipped; fragments cannot be judged.
fn shape(packet: &[u8]) -> Option<Shape> {
    let ipv6 = Ipv6Packet::new_checked(packet).ok()?;
    let (src, dst) = (ipv6.src_addr(), ipv6.dst_addr());
    let body = packet.get(ipv6.header_len()..ipv6.total_len())?;
    let (protocol, body) = match ipv6.next_header() {
        IpProtocol::HopByHop => {
            let len = 8 * (usize::from(*body.get(1)?) + 1);
            (IpProtocol::from(*body.first()?), body.get(len..)?)
        }
        protocol => (protocol, body),
    };
    let kind = match protocol {
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(body).ok()?;
            Kind::Udp { src_port: udp.src_port(), dst_port: udp.dst_port() }
        }
        IpProtocol::Icmpv6 => {
            let kind = *body.first()?;
            // RFC 4443 section 4.1: the identifier comes after type, code and checksum.
            let identifier =
                body.get(4..6).map(|octets| u16::from_be_bytes([octets[0], octets[1]]));
            match (kind, identifier) {
                (ECHO_REQUEST, Some(identifier)) => Kind::EchoRequest { identifier },
                (ECHO_REPLY, Some(identifier)) => Kind::EchoReply { identifier },
                (kind, _) if ICMPV6_ERRORS.contains(&kind) => Kind::Icmpv6Error,
                _ => Kind::OtherIcmpv6,
            }
        }
        _ => return None,
    };
    Some(Shape { src, dst, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Datagram, packet};
    use proptest::prelude::*;

    const NOW: Instant = Instant::from_secs(1);
    const DEVICE: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0xff, 0xfe00, 7);

    const MANAGER_ADDR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 3, 0, 0, 0, 1);

    fn filter() -> Filter {
        Filter::new(NOW, Inward::ALL, MANAGER_ADDR)
    }

    fn outsider(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, n)
    }

    fn to_device(src: Ipv6Addr, src_port: u16, dst_port: u16, octets: usize) -> Vec<u8> {
        let payload = &vec![0; octets][..];
        packet(&Datagram { src, dst: DEVICE, src_port, dst_port, payload })
    }

    fn check(filter: &mut Filter, packet: &[u8], want: Result<(), FilterDrop>) {
        assert_eq!(filter.inward(NOW, packet), want);
    }

    #[test]
    fn coap_passes_and_others_only_as_answers() {
        let mut filter = filter();
        check(&mut filter, &to_device(outsider(1), 40_000, 5683, 10), Ok(()));
        check(&mut filter, &to_device(outsider(1), 40_000, 5684, 10), Ok(()));
        let answer = to_device(outsider(1), 123, 61_616, 10);
        check(&mut filter, &answer, Err(FilterDrop::NotAllowed));
        let (src, dst) = (DEVICE, outsider(1));
        let question = Datagram { src, dst, src_port: 61_616, dst_port: 123, payload: b"?" };
        filter.outward(NOW, &packet(&question));
        check(&mut filter, &answer, Ok(()));
        check(&mut filter, &to_device(outsider(2), 123, 61_616, 10), Err(FilterDrop::NotAllowed));
        let late = NOW + FLOW_IDLE;
        assert_eq!(filter.inward(late, &answer), Err(FilterDrop::NotAllowed));
        assert_eq!(filter.dropped().get(&FilterDrop::NotAllowed), Some(&3));
    }

    /// An ICMPv6 message that [`shape`] can tell: type, code, checksum, identifier, sequence.
    fn icmpv6(src: Ipv6Addr, dst: Ipv6Addr, kind: u8, identifier: u16) -> Vec<u8> {
        let mut octets = packet(&Datagram { src, dst, src_port: 0, dst_port: 0, payload: b"" });
        octets[6] = 58;
        octets[40..].fill(0);
        octets[40] = kind;
        octets[44..46].copy_from_slice(&identifier.to_be_bytes());
        octets
    }

    #[test]
    fn echoes_are_answered_and_asked_for() {
        let mut filter = filter();
        check(&mut filter, &icmpv6(outsider(1), DEVICE, ECHO_REQUEST, 7), Ok(()));
        check(&mut filter, &icmpv6(outsider(1), DEVICE, 1, 0), Ok(()));
        check(&mut filter, &icmpv6(outsider(1), DEVICE, 135, 0), Err(FilterDrop::NotAllowed));
        let answer = icmpv6(outsider(1), DEVICE, ECHO_REPLY, 9);
        check(&mut filter, &answer, Err(FilterDrop::NotAllowed));
        filter.outward(NOW, &icmpv6(DEVICE, outsider(1), ECHO_REQUEST, 9));
        check(&mut filter, &answer, Ok(()));
        let other = icmpv6(outsider(2), DEVICE, ECHO_REPLY, 9);
        check(&mut filter, &other, Err(FilterDrop::NotAllowed));
        let port = to_device(outsider(1), 9, 9, 10);
        check(&mut filter, &port, Err(FilterDrop::NotAllowed));
    }

    #[test]
    fn what_is_not_named_is_closed_and_answers_pass_all_the_same() {
        let none = Inward::default();
        let not_allowed = Err(FilterDrop::NotAllowed);
        let begin = [
            (Inward { coap: true, ..none }, to_device(outsider(1), 40_000, COAP_PORT, 10)),
            (Inward { coaps: true, ..none }, to_device(outsider(1), 40_000, COAPS_PORT, 10)),
            (Inward { echo: true, ..none }, icmpv6(outsider(1), DEVICE, ECHO_REQUEST, 7)),
        ];
        for (named, _) in &begin {
            let mut filter = Filter::new(NOW, *named, MANAGER_ADDR);
            for (needed, packet) in &begin {
                check(&mut filter, packet, if needed == named { Ok(()) } else { not_allowed });
            }
        }
        let mut filter = Filter::new(NOW, none, MANAGER_ADDR);
        let (src, dst) = (DEVICE, outsider(1));
        let question = Datagram { src, dst, src_port: 40_000, dst_port: COAP_PORT, payload: b"?" };
        filter.outward(NOW, &packet(&question));
        check(&mut filter, &to_device(outsider(1), COAP_PORT, 40_000, 10), Ok(()));
        check(&mut filter, &icmpv6(outsider(1), DEVICE, 3, 0), Ok(()));
    }

    #[test]
    fn a_flood_takes_its_share_and_no_more() {
        let mut filter = filter();
        let flood = to_device(outsider(1), 40_000, 5683, 100);
        let mut passed = 0;
        for milli in 0..10_000 {
            let at = NOW + Duration::from_millis(milli);
            passed += (0..10).filter(|_| filter.inward(at, &flood).is_ok()).count() * flood.len();
            if milli % 1000 == 999 {
                let other = to_device(outsider(2), 40_000, 5683, 100);
                assert_eq!(filter.inward(at, &other), Ok(()), "another source has its own share");
            }
        }
        let most = (EACH.burst + 10 * EACH.per_second) as usize;
        assert!(passed <= most && passed > most - 2 * flood.len(), "{passed} of {most} octets");
    }

    #[test]
    fn groups_are_commanded_now_and_then() {
        let mut filter = filter();
        let group = Ipv6Addr::new(0xff35, 0x40, 0xfd00, 0, 0, 1, 0x8000, 1);
        let (src, payload) = (outsider(1), &[0; 12][..]);
        let command = Datagram { src, dst: group, src_port: 40_000, dst_port: 5683, payload };
        let command = packet(&command);
        let passed = |filter: &mut Filter, at| {
            (0..100).filter(|_| filter.inward(at, &command).is_ok()).count()
        };
        assert_eq!(passed(&mut filter, NOW), GROUPS.burst as usize / command.len());
        assert_eq!(passed(&mut filter, NOW + Duration::from_secs(1)), 2);
        let device = to_device(outsider(1), 40_000, 5683, 100);
        check(&mut filter, &device, Ok(()));
    }

    #[test]
    fn many_sources_share_what_there_is() {
        let mut filter = filter();
        let mut passed = 0;
        for n in 0..10_000 {
            let flood = to_device(outsider(n), 40_000, 5683, 1000);
            passed += u64::from(filter.inward(NOW, &flood).is_ok()) * flood.len() as u64;
        }
        assert!(passed <= ALL.burst, "{passed}");
        assert!(filter.sources.len() <= SOURCES_MAX);
    }

    #[test]
    fn in_the_manager_s_name_passes_what_the_manager_sends() {
        let mut filter = filter();
        let sent = |src_port, dst_port| to_device(MANAGER_ADDR, src_port, dst_port, 300);
        check(&mut filter, &sent(MANAGER_PORT, JOINER_PORT), Ok(()));
        check(&mut filter, &sent(MANAGER_RELAY_PORT, JOIN_PORT), Ok(()));
        // Else its machine is one as any other.
        check(&mut filter, &sent(40_000, 5683), Ok(()));
        check(&mut filter, &sent(MANAGER_PORT, JOIN_PORT), Err(FilterDrop::NotAllowed));
        let flood = sent(MANAGER_PORT, JOINER_PORT);
        let passed = (0..10_000).filter(|_| filter.inward(NOW, &flood).is_ok()).count();
        assert!(passed * flood.len() <= MANAGER.burst as usize, "{passed}");
        check(&mut filter, &to_device(outsider(1), 40_000, 5683, 300), Ok(()));
    }

    #[test]
    fn conversations_are_bounded() {
        let mut filter = filter();
        for n in 0..2 * FLOWS_MAX as u16 {
            let (src, dst) = (DEVICE, outsider(n));
            let question = Datagram { src, dst, src_port: 1, dst_port: 2, payload: b"?" };
            filter.outward(NOW + Duration::from_millis(u64::from(n)), &packet(&question));
        }
        assert_eq!(filter.flows.len(), FLOWS_MAX);
        let newest = to_device(outsider(2 * FLOWS_MAX as u16 - 1), 2, 1, 10);
        assert_eq!(filter.inward(NOW + Duration::from_secs(3), &newest), Ok(()));
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets: Vec<u8>) {
            let mut filter = filter();
            filter.outward(NOW, &octets);
            let _ = filter.inward(NOW, &octets);
        }
    }
}
