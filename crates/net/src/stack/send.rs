//! Packets of our own.

use super::forward::HOP_LIMIT;
use super::{Role, Stack};
use crate::adaptation::{Outgoing, Precedence, Purpose};
use crate::api::{HOP_LIMIT_LINK_LOCAL, Packet, SendRefused, UdpSend};
use crate::event::NetDrop;
use crate::wire::icmpv6::{ECHO_REQUEST, Echo, Icmpv6, Problem};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::options::Rpi;
use crate::wire::rpl::INSTANCE;
use crate::wire::udp::Udp;
use crate::wire::{is_link_local, is_multicast, multicast_scope};
use lowgate_sixlowpan::Security;
use lowgate_units::{Eui64, Iid, Instant, Ipv6Addr, LinkAddr, LinkDst};

/// Places in the queue that applications leave to the stack itself.
const QUEUE_RESERVED: usize = 4;

impl Stack {
    /// Sends a datagram, to a group too.
    ///
    /// # Errors
    /// [`SendRefused`] says why nothing was sent.
    pub fn udp_send(&mut self, now: Instant, send: UdpSend<'_>) -> Result<(), SendRefused> {
        let udp = Udp { src_port: send.src_port, dst_port: send.dst_port, payload: send.payload };
        let dst = send.dst;
        if !send.secured {
            let join = self.config.join_port;
            if !is_link_local(dst) || (udp.src_port != join && udp.dst_port != join) {
                return Err(SendRefused::Unsecured);
            }
        } else if matches!(self.role, Role::Detached) {
            return Err(SendRefused::Detached);
        }
        if self.link.room() <= QUEUE_RESERVED {
            return Err(SendRefused::QueueFull);
        }
        if is_link_local(dst) {
            let src = self.link_local_addr();
            let packet = udp.emit(src, dst, HOP_LIMIT_LINK_LOCAL).ok_or(SendRefused::TooLarge)?;
            let security = if send.secured { Security::Secured } else { Security::Unsecured };
            return self.send_to_neighbour(packet, security);
        }
        let src = self.source_for(dst)?;
        let packet = udp.emit(src, dst, HOP_LIMIT).ok_or(SendRefused::TooLarge)?;
        if is_multicast(dst) { self.flood(now, packet) } else { self.originate(now, packet) }
    }

    /// Asks `dst` for an echo (RFC 4443 section 4.1); the answer is
    /// [`NetEvent::EchoReply`](crate::NetEvent::EchoReply).
    ///
    /// # Errors
    /// [`SendRefused`] says why nothing was sent.
    pub fn ping(
        &mut self,
        now: Instant,
        dst: Ipv6Addr,
        identifier: u16,
        sequence: u16,
        payload: &[u8],
    ) -> Result<(), SendRefused> {
        if matches!(self.role, Role::Detached) {
            return Err(SendRefused::Detached);
        }
        if is_multicast(dst) {
            return Err(SendRefused::BadDestination);
        }
        if self.link.room() <= QUEUE_RESERVED {
            return Err(SendRefused::QueueFull);
        }
        let echo = Echo { identifier, sequence, data: payload };
        let body = echo.emit().ok_or(SendRefused::TooLarge)?;
        let (src, hop_limit) = match is_link_local(dst) {
            true => (self.link_local_addr(), HOP_LIMIT_LINK_LOCAL),
            false => (self.source_for(dst)?, HOP_LIMIT),
        };
        let message = Icmpv6 { kind: ECHO_REQUEST, code: 0, body: &body };
        let packet = message.emit(src, dst, hop_limit).ok_or(SendRefused::TooLarge)?;
        self.originate(now, packet)
    }

    /// Our global address, as the source of something for `dst`.
    fn source_for(&self, dst: Ipv6Addr) -> Result<Ipv6Addr, SendRefused> {
        let narrow = is_multicast(dst) && multicast_scope(dst) <= 2;
        if dst.is_unspecified() || dst.is_loopback() || narrow || self.is_mine(dst) {
            return Err(SendRefused::BadDestination);
        }
        if let Role::Node(node) = &self.role
            && node.parent().is_none()
        {
            return Err(SendRefused::Detached);
        }
        self.global_addr().ok_or(SendRefused::Detached)
    }

    /// Sends a unicast packet from one of our addresses by whatever way it takes.
    pub(super) fn originate(&mut self, now: Instant, packet: Packet) -> Result<(), SendRefused> {
        let view = Ipv6::parse(&packet).ok_or(SendRefused::BadDestination)?;
        if is_link_local(view.dst) {
            return self.send_to_neighbour(packet, Security::Secured);
        }
        match &self.role {
            Role::Detached => Err(SendRefused::Detached),
            Role::Node(node) => {
                let dodag = node.dodag.as_ref().ok_or(SendRefused::Detached)?;
                // RFC 9008 section 4.1.1: what goes up carries the RPL option, by its new number
                // so that hosts beyond the root pass over it.
                let rpi = Rpi {
                    down: false,
                    rank_error: false,
                    instance: INSTANCE,
                    sender_rank: dodag.rank(),
                };
                let packet = ipv6::insert(&packet, ipv6::HOP_BY_HOP, &rpi.header())
                    .ok_or(SendRefused::TooLarge)?;
                if node.parent().is_none() {
                    return Err(SendRefused::Detached);
                }
                if !self.send_to_parent(packet, false) {
                    return Err(SendRefused::QueueFull);
                }
                self.went_up(now);
                Ok(())
            }
            Role::Root(root) if root.in_mesh(view.dst) => {
                self.downward(now, packet, Precedence::Mesh).map_err(|why| match why {
                    NetDrop::TooLarge => SendRefused::TooLarge,
                    NetDrop::QueueFull => SendRefused::QueueFull,
                    _ => SendRefused::NoRoute,
                })
            }
            Role::Root(_) => {
                self.out.send_backbone(packet);
                Ok(())
            }
        }
    }

    fn send_to_neighbour(&mut self, packet: Packet, security: Security) -> Result<(), SendRefused> {
        let dst = Ipv6::parse(&packet).ok_or(SendRefused::BadDestination)?.dst;
        let addr = Iid::of(dst).link_addr().ok_or(SendRefused::BadDestination)?;
        if addr == LinkAddr::Extended(self.config.eui64) {
            return Err(SendRefused::BadDestination);
        }
        let dst = LinkDst::Unicast(addr);
        let (precedence, purpose) = (Precedence::Mesh, Purpose::Local);
        let sent = self.link.send(Outgoing { precedence, packet, dst, security, purpose });
        if sent { Ok(()) } else { Err(SendRefused::QueueFull) }
    }

    /// A neighbour discovery or RPL message for one neighbour.
    pub(super) fn tell_neighbour(&mut self, to: Eui64, message: &Icmpv6<'_>) {
        let (src, dst) = (self.link_local_addr(), Iid::from(to).link_local());
        let dst_link = LinkDst::Unicast(LinkAddr::Extended(to));
        self.tell(message.emit(src, dst, HOP_LIMIT_LINK_LOCAL), dst_link);
    }

    /// The same for all neighbours that listen to `group`.
    pub(super) fn tell_all(&mut self, group: Ipv6Addr, message: &Icmpv6<'_>) {
        let src = self.link_local_addr();
        self.tell(message.emit(src, group, HOP_LIMIT_LINK_LOCAL), LinkDst::Broadcast);
    }

    pub(super) fn tell(&mut self, packet: Option<Packet>, dst: LinkDst) {
        let Some(packet) = packet else { return self.out.dropped(NetDrop::TooLarge) };
        let (security, purpose) = (Security::Secured, Purpose::Local);
        let precedence = Precedence::Mesh;
        if !self.link.send(Outgoing { precedence, packet, dst, security, purpose }) {
            self.out.dropped(NetDrop::QueueFull);
        }
    }

    /// A message of more than one hop, from our global address.
    pub(super) fn tell_far(&mut self, now: Instant, dst: Ipv6Addr, message: &Icmpv6<'_>) {
        let packet = self.global_addr().and_then(|src| message.emit(src, dst, HOP_LIMIT));
        let sent = match packet {
            Some(packet) => self.originate(now, packet),
            None => Err(SendRefused::Detached),
        };
        match sent {
            Ok(()) => {}
            Err(SendRefused::QueueFull) => self.out.dropped(NetDrop::QueueFull),
            Err(_) => self.out.dropped(NetDrop::NoRoute),
        }
    }

    /// Tells the source of `packet` what was wrong with it, unless that is not done or too often.
    pub(super) fn problem(&mut self, now: Instant, problem: &Problem, packet: &[u8]) {
        let Some(to) = packet.get(8..24).and_then(|src| <[u8; 16]>::try_from(src).ok()) else {
            return;
        };
        let to = Ipv6Addr::from(to);
        let Some(body) = problem.body(packet) else { return };
        if is_link_local(to) || self.is_mine(to) || !self.limiter.take(now) {
            return;
        }
        let message = Icmpv6 { kind: problem.kind, code: problem.code, body: &body };
        self.tell_far(now, to, &message);
    }
}
