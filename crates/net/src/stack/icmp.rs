//! ICMPv6: echo, errors, and the doors to neighbour discovery, RPL and MPL control.

use super::{Origin, Role, Stack};
use crate::api::HOP_LIMIT_LINK_LOCAL;
use crate::event::{NetDrop, NetEvent};
use crate::route::HopReport;
use crate::wire::icmpv6::{
    CODE_SOURCE_ROUTE, DESTINATION_UNREACHABLE, DUPLICATE_ADDRESS_CONFIRMATION,
    DUPLICATE_ADDRESS_REQUEST, ECHO_REPLY, ECHO_REQUEST, Echo, Icmpv6, MPL_CONTROL,
    NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, PARAMETER_PROBLEM, ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION, RPL, quoted,
};
use crate::wire::ipv6::Ipv6;
use crate::wire::{is_link_local, is_multicast};
use lowgate_units::{Eui64, Instant, Ipv6Addr, Rssi};

/// A message between neighbours.
#[derive(Clone, Copy)]
pub(super) struct Near {
    pub(super) from: Eui64,
    pub(super) rssi: Rssi,
    /// It was for everybody.
    pub(super) multicast: bool,
}

impl Stack {
    /// An ICMPv6 message for us; `view.payload` is the message.
    pub(super) fn icmp(&mut self, now: Instant, view: &Ipv6<'_>, origin: Origin) {
        let Some(message) = Icmpv6::parse(view.src, view.dst, view.payload) else {
            return self.out.dropped(NetDrop::MalformedIcmpv6);
        };
        // RFC 4861 sections 6.1 and 7.1: hop limit 255 proves a neighbour. The source is one too,
        // else the packet would not have come here.
        let near = origin
            .link
            .filter(|_| is_link_local(view.src) && view.hop_limit == HOP_LIMIT_LINK_LOCAL)
            .map(|(from, rssi)| Near { from, rssi, multicast: is_multicast(view.dst) });
        match (message.kind, near) {
            (ECHO_REQUEST, _) => self.echo_request(now, view, &message),
            (ECHO_REPLY, _) => self.echo_reply(view, &message),
            (DESTINATION_UNREACHABLE..=PARAMETER_PROBLEM, _) => {
                self.problem_report(now, view.src, &message);
            }
            (ROUTER_SOLICITATION, Some(near)) => self.router_solicitation(near),
            (ROUTER_ADVERTISEMENT, Some(near)) => self.router_advertisement(now, near, &message),
            (NEIGHBOR_SOLICITATION, Some(near)) => {
                self.neighbor_solicitation(now, near, &message);
            }
            (NEIGHBOR_ADVERTISEMENT, Some(near)) => {
                self.neighbor_advertisement(now, near, &message);
            }
            (DUPLICATE_ADDRESS_REQUEST, None) if origin.link.is_some() => {
                self.duplicate_address_request(now, view.src, &message);
            }
            (DUPLICATE_ADDRESS_CONFIRMATION, None) if origin.link.is_some() => {
                self.duplicate_address_confirmation(now, view.src, &message);
            }
            (RPL, Some(near)) => self.rpl_near(now, near, &message),
            (RPL, None) if origin.link.is_some() => self.rpl_far(now, view, &message),
            (MPL_CONTROL, Some(_)) => {
                if !self.mpl.control(now, &mut self.prng, view.src, message.body) {
                    self.out.dropped(NetDrop::MalformedMpl);
                }
            }
            // RFC 4443 section 2.4 (b): unknown informational messages are silently discarded.
            _ => self.out.dropped(NetDrop::MalformedIcmpv6),
        }
    }

    fn echo_request(&mut self, now: Instant, view: &Ipv6<'_>, request: &Icmpv6<'_>) {
        if Echo::parse(request.body).is_none() {
            return self.out.dropped(NetDrop::MalformedIcmpv6);
        }
        if is_multicast(view.dst) {
            return; // RFC 4443 section 4.2 allows silence, and the channel wants it.
        }
        let hop_limit = if is_link_local(view.dst) { HOP_LIMIT_LINK_LOCAL } else { 64 };
        let reply = Icmpv6 { kind: ECHO_REPLY, code: 0, body: request.body };
        let sent = match reply.emit(view.dst, view.src, hop_limit) {
            Some(packet) => self.originate(now, packet).is_ok(),
            None => false,
        };
        if !sent {
            self.out.dropped(NetDrop::QueueFull);
        }
    }

    fn echo_reply(&mut self, view: &Ipv6<'_>, reply: &Icmpv6<'_>) {
        match Echo::parse(reply.body) {
            Some(echo) => self.out.event(NetEvent::EchoReply {
                from: view.src,
                identifier: echo.identifier,
                sequence: echo.sequence,
                hop_limit: view.hop_limit,
                len: u16::try_from(echo.data.len()).unwrap_or(u16::MAX),
            }),
            None => self.out.dropped(NetDrop::MalformedIcmpv6),
        }
    }

    fn problem_report(&mut self, now: Instant, reporter: Ipv6Addr, report: &Icmpv6<'_>) {
        let Some((src, dst)) = quoted(report.body) else {
            return self.out.dropped(NetDrop::MalformedIcmpv6);
        };
        if !self.is_mine(src) {
            return self.out.dropped(NetDrop::Address);
        }
        self.out.event(NetEvent::Unreachable { dst, kind: report.kind, code: report.code });
        if (report.kind, report.code) == (DESTINATION_UNREACHABLE, CODE_SOURCE_ROUTE) {
            self.route_error(now, reporter, dst);
        }
    }

    /// Root: a hop did not take a packet.
    pub(super) fn route_error(&mut self, now: Instant, reporter: Ipv6Addr, failed: Ipv6Addr) {
        let Role::Root(root) = &mut self.role else { return };
        match root.route_error(now, reporter, failed) {
            HopReport::Noted => {}
            HopReport::Dead(device) => self.out.event(NetEvent::RouteLost { device }),
        }
    }

    /// Root: if the way to a registered node is not known, or dead, everybody is asked for his.
    pub(super) fn refresh_routes(&mut self, now: Instant, node: Ipv6Addr) {
        if let Role::Root(root) = &mut self.role
            && root.holds(now, node)
            && let Some(missing) = root.gap(now, node)
            && root.refresh(now, missing)
        {
            self.dio.reset(now, &mut self.prng);
        }
    }
}
