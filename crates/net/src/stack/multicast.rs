//! Group datagrams: into the MPL domain, through it, and out of it.

use super::{Origin, Stack};
use crate::api::{Packet, SendRefused};
use crate::event::NetDrop;
use crate::mpl::{MPL_PACKET_OCTETS_MAX, MplSend, Verdict};
use crate::trickle::Fire;
use crate::wire::icmpv6::{Icmpv6, MPL_CONTROL};
use crate::wire::ipv6::{self, HEADER_OCTETS, HOP_LIMIT_AT, Ipv6, Tunnel};
use crate::wire::options::{MplOption, Options};
use crate::wire::{ALL_MPL_FORWARDERS, ALL_MPL_FORWARDERS_LINK};
use lowgate_units::{Instant, LinkDst};

/// What a group datagram grows by on its way into the domain.
const TUNNEL_OCTETS: usize = HEADER_OCTETS + 8;

/// The MPL option of a packet to the domain, as far as the packet's beginning tells.
pub(super) fn option_of(beginning: &[u8]) -> Option<MplOption> {
    let view = Ipv6::parse_beginning(beginning)?;
    let is_flood = view.dst == ALL_MPL_FORWARDERS && view.next_header == ipv6::HOP_BY_HOP;
    let options = is_flood.then(|| Options::parse(view.payload, view.src, true))?;
    Some(options.ok()?.0.mpl?.0)
}

impl Stack {
    /// Sends a group packet of ours, or of the backbone, into the domain.
    pub(super) fn flood(&mut self, now: Instant, packet: Packet) -> Result<(), SendRefused> {
        let src = self.global_addr().ok_or(SendRefused::Detached)?;
        if packet.len() + TUNNEL_OCTETS > MPL_PACKET_OCTETS_MAX {
            return Err(SendRefused::TooLarge);
        }
        let sequence = self.mpl.take_sequence();
        self.reserve_sequences();
        let Some(sequence) = sequence else {
            // Storage will answer soon; the packet waits.
            return self.held.push_back(packet).map_err(|_| SendRefused::QueueFull);
        };
        // RFC 7731 section 9.1: what is not addressed to the domain itself is encapsulated.
        let option = MplOption::header(sequence);
        let tunnel = Tunnel {
            src,
            dst: ALL_MPL_FORWARDERS,
            hop_limit: super::forward::HOP_LIMIT,
            extension: Some((ipv6::HOP_BY_HOP, &option)),
        };
        let outer = ipv6::encapsulate(&tunnel, &packet).ok_or(SendRefused::TooLarge)?;
        if self.mpl.originate(now, &mut self.prng, src, sequence, &outer) {
            Ok(())
        } else {
            Err(SendRefused::QueueFull)
        }
    }

    /// Storage answered: what waited goes out.
    pub(super) fn flood_held(&mut self, now: Instant) {
        for _ in 0..self.held.len() {
            if let Some(packet) = self.held.pop_front()
                && self.flood(now, packet).is_err()
            {
                self.out.dropped(NetDrop::MplFull);
            }
        }
    }

    /// A packet to the MPL domain.
    pub(super) fn multicast(&mut self, now: Instant, packet: &Packet) {
        let Some(view) = Ipv6::parse(packet).filter(|view| view.next_header == ipv6::HOP_BY_HOP)
        else {
            return self.out.dropped(NetDrop::MalformedMpl);
        };
        let (options, next, rest) = match Options::parse(view.payload, view.src, true) {
            Ok(parsed) => parsed,
            Err(_) => return self.out.dropped(NetDrop::MalformedMpl),
        };
        let Some((option, at)) = options.mpl.filter(|_| next == ipv6::IPV6) else {
            return self.out.dropped(NetDrop::MalformedMpl);
        };
        if Some(view.src) == self.global_addr() {
            // Our own, come back. (Not after a restart within the seed's lifetime: numbers used
            // before are behind the reserved ones, and so older than any of ours.)
            let _ = self.mpl.data(now, &mut self.prng, &option, HEADER_OCTETS + at, packet);
            return;
        }
        if view.hop_limit <= 1 {
            return self.out.dropped(NetDrop::HopLimit);
        }
        let mut kept = packet.clone();
        kept[HOP_LIMIT_AT] -= 1;
        match self.mpl.data(now, &mut self.prng, &option, HEADER_OCTETS + at, &kept) {
            Verdict::Deliver => self.inner(now, rest, Origin { link: None, tunnels: 0 }),
            Verdict::Duplicate => {} // Floods are made of them.
            Verdict::Full => self.out.dropped(NetDrop::MplFull),
        }
    }

    pub(super) fn run_mpl(&mut self, now: Instant) {
        while self.link.room() > 0 && now >= self.mpl.due() {
            match self.mpl.poll(now, &mut self.prng) {
                Some(MplSend::Data(packet)) => self.tell(Some(packet), LinkDst::Broadcast),
                Some(MplSend::Control(body)) => {
                    let message = Icmpv6 { kind: MPL_CONTROL, code: 0, body: &body };
                    self.tell_all(ALL_MPL_FORWARDERS_LINK, &message);
                }
                None => {}
            }
        }
    }

    pub(super) fn run_dio(&mut self, now: Instant) {
        while now >= self.dio.due() {
            if self.dio.poll(now, &mut self.prng) == Some(Fire::Transmit) {
                self.tell_rank(now);
            }
        }
    }
}
