//! Packets on their way: up along parents, down along source routes, in and out at the root.

use super::{Origin, Role, Stack};
use crate::adaptation::{Outgoing, Precedence, Purpose};
use crate::api::{PACKET_OCTETS_MAX, Packet};
use crate::event::NetDrop;
use crate::wire::icmpv6::{
    CODE_NO_ROUTE, CODE_SOURCE_ROUTE, DESTINATION_UNREACHABLE, PARAMETER_PROBLEM, Problem,
    TIME_EXCEEDED, TOO_BIG,
};
use crate::wire::ipv6::{self, DST_AT, HEADER_OCTETS, HOP_LIMIT_AT, Ipv6, Tunnel};
use crate::wire::options::{Options, rewrite_rpi};
use crate::wire::srh::{self, Srh};
use crate::wire::{is_link_local, is_multicast, multicast_scope};
use lowgate_sixlowpan::Security;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Iid, Instant, Ipv6Addr, LinkAddr, LinkDst};

/// Hop limit of tunnels and of packets of our own.
pub(super) const HOP_LIMIT: u8 = 64;

const NO_ROUTE: Problem = Problem { kind: DESTINATION_UNREACHABLE, code: CODE_NO_ROUTE, word: 0 };
const SOURCE_ROUTE_ERROR: Problem =
    Problem { kind: DESTINATION_UNREACHABLE, code: CODE_SOURCE_ROUTE, word: 0 };
const HOP_LIMIT_EXCEEDED: Problem = Problem { kind: TIME_EXCEEDED, code: 0, word: 0 };

impl Stack {
    /// A packet for somebody else arrived from a neighbour.
    pub(super) fn forward(&mut self, now: Instant, mut packet: Packet, origin: Origin) {
        if !self.count_hop(now, &mut packet) {
            return;
        }
        match &self.role {
            Role::Detached => self.out.dropped(NetDrop::Detached),
            Role::Node(_) => self.upward(now, packet, origin),
            Role::Root(root) => {
                let Some(view) = Ipv6::parse(&packet) else { return };
                if root.in_mesh(view.dst) {
                    self.downward_or_tell(now, packet, Precedence::Mesh);
                } else if root.in_mesh(view.src) {
                    self.out.send_backbone(packet);
                } else {
                    // The mesh carries no transit traffic.
                    self.out.dropped(NetDrop::Address);
                }
            }
        }
    }

    /// Takes one off the hop limit; false if that was the last.
    fn count_hop(&mut self, now: Instant, packet: &mut Packet) -> bool {
        if packet.get(HOP_LIMIT_AT).is_none_or(|limit| *limit <= 1) {
            self.out.dropped(NetDrop::HopLimit);
            self.problem(now, &HOP_LIMIT_EXCEEDED, packet);
            return false;
        }
        if !planted(Fault::HopLimitKept) {
            packet[HOP_LIMIT_AT] -= 1;
        }
        true
    }

    /// To the parent, if the RPL option allows.
    fn upward(&mut self, now: Instant, mut packet: Packet, origin: Origin) {
        let Role::Node(node) = &mut self.role else { return };
        let Some(dodag) = node.dodag.as_ref().filter(|dodag| dodag.parent().is_some()) else {
            self.disown(origin);
            self.out.dropped(NetDrop::NoRoute);
            return self.problem(now, &NO_ROUTE, &packet);
        };
        let option = Ipv6::parse(&packet)
            .filter(|view| view.next_header == ipv6::HOP_BY_HOP)
            .and_then(|view| Options::parse(view.payload, view.src, false).ok())
            .and_then(|(options, ..)| options.rpi);
        // Who sends upward says so: without the option a loop would go unseen.
        let Some((mut rpi, at)) = option else { return self.out.dropped(NetDrop::Address) };
        // RFC 6550 section 11.2.2.2: going up, the sender must be farther from the root than we.
        if rpi.down || !dodag.is_nearer(dodag.rank(), rpi.sender_rank) {
            self.dio.reset(now, &mut self.prng);
            let again = rpi.down || rpi.rank_error;
            (rpi.rank_error, rpi.sender_rank) = (true, dodag.rank());
            self.disown(origin);
            if again {
                return self.out.dropped(NetDrop::Loop);
            }
        } else {
            rpi.sender_rank = dodag.rank();
        }
        rewrite_rpi(&mut packet, HEADER_OCTETS + at, &rpi);
        if !self.send_to_parent(packet, false) {
            return self.out.dropped(NetDrop::QueueFull);
        }
        self.went_up(now);
    }

    /// A packet goes to the parent.
    pub(super) fn went_up(&mut self, now: Instant) {
        if self.way_down.went_up(now) {
            self.ask_root(now);
        }
    }

    /// Whoever sends up through us builds on a rank that we told once. While we tell none, because the root
    /// does not know us, he must hear that there is none: he may have missed it when we told everybody, and
    /// our own way may lead through him.
    fn disown(&mut self, origin: Origin) {
        if let (false, Some((from, _))) = (self.tells_rank(), origin.link) {
            self.poison(from);
        }
    }

    /// False if there is no parent or no room.
    pub(super) fn send_to_parent(&mut self, packet: Packet, again: bool) -> bool {
        let Role::Node(node) = &self.role else { return false };
        let parent = node.parent().and_then(|parent| self.neighbours.find(parent));
        let Some(short) = parent.and_then(|parent| parent.short) else { return false };
        self.link.send(Outgoing {
            precedence: Precedence::Mesh,
            packet,
            dst: LinkDst::Unicast(LinkAddr::Short(short)),
            security: Security::Secured,
            purpose: Purpose::Upward { again },
        })
    }

    /// Root: a foreign packet for the mesh.
    fn downward_or_tell(&mut self, now: Instant, packet: Packet, precedence: Precedence) {
        let about = packet.clone();
        if let Some(view) = Ipv6::parse(&about) {
            self.refresh_routes(now, view.dst);
        }
        if let Err(why) = self.downward(now, packet, precedence) {
            self.out.dropped(why);
            match why {
                NetDrop::NoRoute => self.problem(now, &NO_ROUTE, &about),
                NetDrop::TooLarge => self.problem(now, &TOO_BIG, &about),
                _ => {}
            }
        }
    }

    /// Root: sends a packet down its source route.
    pub(super) fn downward(
        &mut self,
        now: Instant,
        packet: Packet,
        precedence: Precedence,
    ) -> Result<(), NetDrop> {
        let Role::Root(root) = &mut self.role else { return Err(NetDrop::NoRoute) };
        let view = Ipv6::parse(&packet).ok_or(NetDrop::MalformedIpv6)?;
        if !root.may_try(now, view.dst) {
            return Err(NetDrop::NoRoute);
        }
        let path = root.path(now, view.dst).ok_or(NetDrop::NoRoute)?;
        self.send_along(packet, &path, precedence)
    }

    /// Root: sends a packet along `path`, whose last address is the packet's destination.
    pub(super) fn send_along(
        &mut self,
        packet: Packet,
        path: &[Ipv6Addr],
        precedence: Precedence,
    ) -> Result<(), NetDrop> {
        let (first, rest) = path.split_first().ok_or(NetDrop::NoRoute)?;
        let me = self.global_addr().ok_or(NetDrop::Detached)?;
        let view = Ipv6::parse(&packet).ok_or(NetDrop::MalformedIpv6)?;
        let packet = match srh::emit(*first, rest) {
            // One hop needs no source route, and then a foreign packet goes untouched.
            None => packet,
            Some(header) if view.src == me => {
                let mut packet =
                    ipv6::insert(&packet, ipv6::ROUTING, &header).ok_or(NetDrop::TooLarge)?;
                packet[DST_AT..HEADER_OCTETS].copy_from_slice(&first.octets());
                packet
            }
            // RFC 8200 section 4: nobody but its source adds headers to a packet. RFC 9008
            // section 8.2.2: the root puts it into a tunnel.
            Some(header) => {
                let extension = Some((ipv6::ROUTING, &header[..]));
                let tunnel = Tunnel { src: me, dst: *first, hop_limit: HOP_LIMIT, extension };
                ipv6::encapsulate(&tunnel, &packet).ok_or(NetDrop::TooLarge)?
            }
        };
        self.send_down(packet, *first, precedence)
    }

    fn send_down(
        &mut self,
        packet: Packet,
        hop: Ipv6Addr,
        precedence: Precedence,
    ) -> Result<(), NetDrop> {
        let addr = Iid::of(hop).link_addr().ok_or(NetDrop::Address)?;
        let outgoing = Outgoing {
            precedence,
            packet,
            dst: LinkDst::Unicast(addr),
            security: Security::Secured,
            purpose: Purpose::Downward,
        };
        if self.link.send(outgoing) { Ok(()) } else { Err(NetDrop::QueueFull) }
    }

    /// A packet whose source route, at `at`, goes on from here (RFC 6554 section 4.2).
    pub(super) fn source_route(&mut self, now: Instant, mut packet: Packet, at: usize, srh: &Srh) {
        let Some(view) = Ipv6::parse(&packet) else { return };
        let dst = view.dst;
        let Some(header) = packet.get(at..) else { return };
        let prefix = self.prefix();
        let inside = |addr: Ipv6Addr| Some(&addr.octets()[..8]) == prefix.as_ref().map(|p| &p[..]);
        // RFC 6554 section 4.2: no multicast address, and none of ours twice.
        let ours = srh.addresses(header, dst).filter(|addr| self.is_mine(*addr)).count();
        let foreign = srh.addresses(header, dst).any(|addr| !inside(addr));
        if ours > 0 || foreign || is_multicast(dst) || is_link_local(dst) {
            self.out.dropped(NetDrop::MalformedSourceRoute);
            let word = u32::try_from(at + 3).unwrap_or(u32::MAX);
            let problem = Problem { kind: PARAMETER_PROBLEM, code: 0, word };
            return self.problem(now, &problem, &packet);
        }
        if !self.count_hop(now, &mut packet) {
            return;
        }
        let Some(next) = packet.get_mut(at..).and_then(|header| srh.advance(header, dst)) else {
            return self.out.dropped(NetDrop::MalformedSourceRoute);
        };
        packet[DST_AT..HEADER_OCTETS].copy_from_slice(&next.octets());
        if let Err(why) = self.send_down(packet, next, Precedence::Mesh) {
            self.out.dropped(why);
        }
    }

    /// Root: a packet from the backbone.
    pub(super) fn backbone_packet(&mut self, now: Instant, octets: &[u8], precedence: Precedence) {
        let Role::Root(root) = &self.role else { return self.out.dropped(NetDrop::Detached) };
        let Some(view) = Ipv6::parse(octets) else {
            return self.out.dropped(NetDrop::MalformedIpv6);
        };
        // Nobody out there may pose as a node of the mesh.
        if is_multicast(view.src)
            || is_link_local(view.src)
            || view.src.is_unspecified()
            || root.in_mesh(view.src)
        {
            return self.out.dropped(NetDrop::Address);
        }
        let (me, in_mesh, dst) = (root.addr(), root.in_mesh(view.dst), view.dst);
        let Some(mut packet) = octets
            .get(..HEADER_OCTETS + view.payload.len())
            .filter(|whole| whole.len() <= PACKET_OCTETS_MAX)
            .and_then(|whole| Packet::from_slice(whole).ok())
        else {
            self.out.dropped(NetDrop::TooLarge);
            return self.problem(now, &TOO_BIG, octets);
        };
        if dst == me {
            return self.deliver(now, packet, Origin { link: None, tunnels: 0 });
        }
        let group = is_multicast(dst) && multicast_scope(dst) > 2;
        if !in_mesh && !group {
            return self.out.dropped(NetDrop::Address);
        }
        if !self.count_hop(now, &mut packet) {
            return;
        }
        if in_mesh {
            self.downward_or_tell(now, packet, precedence);
        } else if self.flood(now, packet).is_err() {
            self.out.dropped(NetDrop::TooLarge);
        }
    }

    /// The link layer had no use of the channel or the radio: that tells nothing of the next hop.
    pub(super) fn link_busy(&mut self, outgoing: Outgoing) {
        match outgoing.purpose {
            Purpose::Upward { again: false } if self.send_to_parent(outgoing.packet, true) => {}
            Purpose::Upward { .. } | Purpose::Downward | Purpose::Local => {
                self.out.dropped(NetDrop::LinkFailed);
            }
        }
    }

    /// The link layer gave up on a packet.
    pub(super) fn link_failed(&mut self, now: Instant, outgoing: Outgoing) {
        match outgoing.purpose {
            // There may be another parent by now.
            Purpose::Upward { again: false }
                if self.send_to_parent(outgoing.packet.clone(), true) => {}
            Purpose::Upward { .. } | Purpose::Local => self.out.dropped(NetDrop::LinkFailed),
            Purpose::Downward => {
                self.out.dropped(NetDrop::LinkFailed);
                let dst = Ipv6::parse(&outgoing.packet).map(|view| view.dst);
                match (&self.role, self.global_addr(), dst) {
                    (Role::Root(_), Some(me), Some(dst)) => self.route_error(now, me, dst),
                    // RFC 6550 section 11.2.2.3 and 20.18: tell the root which hop is dead.
                    _ => self.problem(now, &SOURCE_ROUTE_ERROR, &outgoing.packet),
                }
            }
        }
    }
}
