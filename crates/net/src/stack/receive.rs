//! From a frame to whom its packet is for.

use super::{Origin, Role, Stack, multicast};
use crate::api::{Frame, HOP_LIMIT_LINK_LOCAL, Packet, UdpReceived};
use crate::event::NetDrop;
use crate::wire::icmpv6::{PARAMETER_PROBLEM, Problem};
use crate::wire::ipv6::{self, HEADER_OCTETS, Ipv6};
use crate::wire::options::{EXTENSION_HEADERS_MAX, Options, OptionsFault};
use crate::wire::srh::{Srh, SrhFault};
use crate::wire::udp::Udp;
use crate::wire::{ALL_MPL_FORWARDERS, is_link_local, is_multicast, multicast_scope};
use lowgate_units::{Eui64, Iid, Instant, Ipv6Addr, LinkAddr, List};

/// Tunnels in tunnels that are opened.
const TUNNELS_MAX: u8 = 2;
/// RFC 4443 section 3.4: unrecognized next header, unrecognized option.
const CODE_NEXT_HEADER: u8 = 1;
const CODE_OPTION: u8 = 2;

impl Stack {
    pub(super) fn frame(&mut self, now: Instant, frame: &Frame<'_>) {
        // Every frame of this mesh carries its extended source.
        let LinkAddr::Extended(eui64) = frame.src else {
            return self.out.dropped(NetDrop::Address);
        };
        if frame.secured {
            if matches!(self.role, Role::Detached) {
                return self.out.dropped(NetDrop::Detached);
            }
            self.neighbours.frame(now, eui64, frame.rssi);
        }
        let (mpl, prng) = (&mut self.mpl, &mut self.prng);
        let is_known = |beginning: &[u8]| {
            let option = multicast::option_of(beginning);
            option.is_some_and(|option| mpl.hear(now, prng, &option))
        };
        let packet = match self.link.receive(now, frame, is_known) {
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(why) => return self.out.dropped(why),
        };
        if frame.secured {
            let origin = Origin { link: Some((eui64, frame.rssi)), tunnels: 0 };
            self.packet(now, packet, origin);
        } else {
            self.unsecured(eui64, &packet);
        }
    }

    /// The only thing an unsecured frame can do: a link-local datagram of the join port.
    fn unsecured(&mut self, from: Eui64, packet: &Packet) {
        let datagram = Ipv6::parse(packet).and_then(|view| {
            let neighbours = view.src == Iid::from(from).link_local()
                && view.dst == self.link_local_addr()
                && view.hop_limit == HOP_LIMIT_LINK_LOCAL
                && view.next_header == ipv6::UDP;
            let udp = Udp::parse(view.src, view.dst, view.payload).filter(|_| neighbours)?;
            let join = self.config.join_port;
            (udp.src_port == join || udp.dst_port == join).then_some((view, udp))
        });
        let Some((view, udp)) = datagram else { return self.out.dropped(NetDrop::Unsecured) };
        let Ok(payload) = List::from_slice(udp.payload) else {
            return self.out.dropped(NetDrop::TooLarge);
        };
        self.out.datagram(UdpReceived {
            src: view.src,
            dst: view.dst,
            src_port: udp.src_port,
            dst_port: udp.dst_port,
            secured: false,
            hop_limit: view.hop_limit,
            link_src: LinkAddr::Extended(from),
            payload,
        });
    }

    /// A packet that came in secured frames.
    fn packet(&mut self, now: Instant, mut packet: Packet, origin: Origin) {
        let Some(view) = Ipv6::parse(&packet) else {
            return self.out.dropped(NetDrop::MalformedIpv6);
        };
        let (src, dst, len) = (view.src, view.dst, HEADER_OCTETS + view.payload.len());
        packet.truncate(len);
        let posing = is_link_local(src)
            && origin.link.is_none_or(|(eui64, _)| src != Iid::from(eui64).link_local());
        if is_multicast(src) || src.is_unspecified() || src.is_loopback() || posing {
            return self.out.dropped(NetDrop::Address);
        }
        if dst == ALL_MPL_FORWARDERS {
            self.multicast(now, &packet);
        } else if is_multicast(dst) {
            if multicast_scope(dst) == 2 {
                self.deliver(now, packet, origin);
            }
            // A wider scope comes through MPL or not at all.
        } else if self.is_mine(dst) {
            self.deliver(now, packet, origin);
        } else if is_link_local(dst) || is_link_local(src) || dst.is_loopback() {
            // RFC 4291 section 2.5.6: link-local packets are never forwarded.
            self.out.dropped(NetDrop::Address);
        } else {
            self.forward(now, packet, origin);
        }
    }

    pub(super) fn is_mine(&self, addr: Ipv6Addr) -> bool {
        addr == self.link_local_addr() || Some(addr) == self.global_addr()
    }

    /// Reads a packet for us header by header.
    pub(super) fn deliver(&mut self, now: Instant, packet: Packet, origin: Origin) {
        let Some(view) = Ipv6::parse(&packet) else {
            return self.out.dropped(NetDrop::MalformedIpv6);
        };
        if origin.link.is_some() && self.global_addr() == Some(view.dst) {
            self.way_down.came_down();
        }
        let (mut kind, mut at) = (view.next_header, HEADER_OCTETS);
        for _ in 0..=EXTENSION_HEADERS_MAX {
            let rest = packet.get(at..).unwrap_or_default();
            match kind {
                ipv6::HOP_BY_HOP | ipv6::DESTINATION_OPTIONS
                    if kind != ipv6::HOP_BY_HOP || at == HEADER_OCTETS =>
                {
                    match Options::parse(rest, view.src, is_multicast(view.dst)) {
                        Ok((_, next, tail)) => {
                            kind = next;
                            at = packet.len() - tail.len();
                        }
                        Err(fault) => return self.options_fault(now, fault, at, &packet),
                    }
                }
                ipv6::ROUTING => match Srh::parse(rest) {
                    Ok(srh) if srh.segments_left > 0 => {
                        return self.source_route(now, packet, at, &srh);
                    }
                    Ok(_) => match crate::wire::options::extension(rest) {
                        Some((next, len, _)) => {
                            kind = next;
                            at += len;
                        }
                        None => return self.out.dropped(NetDrop::MalformedSourceRoute),
                    },
                    Err(fault) => return self.srh_fault(now, fault, at, &packet),
                },
                ipv6::IPV6 => return self.inner(now, rest, origin),
                ipv6::UDP => return self.udp(&view, rest, origin),
                ipv6::ICMPV6 => {
                    return self.icmp(now, &Ipv6 { payload: rest, ..view }, origin);
                }
                ipv6::NO_NEXT_HEADER => return,
                _ => break,
            }
        }
        self.out.dropped(NetDrop::UnknownHeader);
        self.problem(now, &parameter_problem(CODE_NEXT_HEADER, at), &packet);
    }

    pub(super) fn options_fault(
        &mut self,
        now: Instant,
        fault: OptionsFault,
        header_at: usize,
        packet: &Packet,
    ) {
        match fault {
            OptionsFault::Malformed => self.out.dropped(NetDrop::MalformedIpv6),
            OptionsFault::Unknown { at, report } => {
                self.out.dropped(NetDrop::UnknownHeader);
                if report {
                    self.problem(now, &parameter_problem(CODE_OPTION, header_at + at), packet);
                }
            }
        }
    }

    fn srh_fault(&mut self, now: Instant, fault: SrhFault, header_at: usize, packet: &Packet) {
        self.out.dropped(NetDrop::MalformedSourceRoute);
        // RFC 8200 section 4.4: an unknown type with segments left is reported at its field.
        let at = match fault {
            SrhFault::Malformed { at } => at as usize,
            SrhFault::UnknownType => 2,
        };
        self.problem(now, &parameter_problem(0, header_at + at), packet);
    }

    /// A packet out of a tunnel that ended here.
    pub(super) fn inner(&mut self, now: Instant, octets: &[u8], origin: Origin) {
        let origin = Origin { link: None, tunnels: origin.tunnels + 1 };
        let packet = Ipv6::parse(octets)
            .filter(|_| origin.tunnels <= TUNNELS_MAX)
            .and_then(|view| view_is_routable(&view).then_some(view))
            .filter(|view| Some(view.dst) == self.global_addr() || self.is_group(view.dst))
            .and_then(|view| octets.get(..HEADER_OCTETS + view.payload.len()))
            .and_then(|whole| Packet::from_slice(whole).ok());
        match packet {
            Some(packet) => self.deliver(now, packet, origin),
            None => self.out.dropped(NetDrop::Address),
        }
    }

    /// A wider-than-link multicast address.
    fn is_group(&self, addr: Ipv6Addr) -> bool {
        is_multicast(addr) && multicast_scope(addr) > 2
    }

    fn udp(&mut self, view: &Ipv6<'_>, octets: &[u8], origin: Origin) {
        let Some(udp) = Udp::parse(view.src, view.dst, octets) else {
            return self.out.dropped(NetDrop::MalformedUdp);
        };
        if is_multicast(view.dst) && !self.groups.contains(&(view.dst, udp.dst_port)) {
            return; // Every node hears every group; that is no noise.
        }
        let Ok(payload) = List::from_slice(udp.payload) else {
            return self.out.dropped(NetDrop::TooLarge);
        };
        let link_src = origin.link.map_or(self.config.eui64, |(eui64, _)| eui64);
        self.out.datagram(UdpReceived {
            src: view.src,
            dst: view.dst,
            src_port: udp.src_port,
            dst_port: udp.dst_port,
            secured: true,
            hop_limit: view.hop_limit,
            link_src: LinkAddr::Extended(link_src),
            payload,
        });
    }
}

/// The source of a packet out of a tunnel is a node somewhere.
fn view_is_routable(view: &Ipv6<'_>) -> bool {
    !is_multicast(view.src) && !is_link_local(view.src) && !view.src.is_unspecified()
}

fn parameter_problem(code: u8, at: usize) -> Problem {
    Problem { kind: PARAMETER_PROBLEM, code, word: u32::try_from(at).unwrap_or(u32::MAX) }
}
