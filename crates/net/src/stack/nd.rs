//! Neighbour discovery: RS and RA, registration with the root through a parent (RFC 6775, 8505).

use super::icmp::Near;
use super::{Role, Stack};
use crate::errand::{Errand, jittered};
use crate::event::{NetDrop, NetEvent, RegistrationStatus};
use crate::node::{ATTEMPTS_MAX, Network, REGISTRATION_MINUTES};
use crate::wire::icmpv6::{
    DUPLICATE_ADDRESS_CONFIRMATION, DUPLICATE_ADDRESS_REQUEST, Icmpv6, NEIGHBOR_ADVERTISEMENT,
    NEIGHBOR_SOLICITATION, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION,
};
use crate::wire::nd::{
    CODE_ROVR_64, DuplicateAddress, Earo, Neighbor, RouterAdvertisement, router_solicitation,
};
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, LinkAddr};

/// How long what we advertise holds, seconds. Asked for again at half of it.
const ADVERTISED_SECS: u16 = 7200;

impl Stack {
    pub(super) fn ask_routers(&mut self, to: Eui64) {
        let body = router_solicitation(self.config.eui64).unwrap_or_default();
        self.tell_neighbour(to, &Icmpv6 { kind: ROUTER_SOLICITATION, code: 0, body: &body });
    }

    /// Only who is attached itself answers: a child of ours must get through to the root.
    pub(super) fn router_solicitation(&mut self, near: Near) {
        let network = match &self.role {
            Role::Node(node) => node.network.filter(|_| node.attached),
            Role::Root(root) => Some(Network {
                prefix: root.prefix(),
                root: root.addr(),
                version: u32::from(root.version()),
            }),
            Role::Detached => None,
        };
        let Some(network) = network else { return };
        let advertisement = RouterAdvertisement {
            sender: self.config.eui64,
            router_lifetime: ADVERTISED_SECS,
            prefix: network.prefix,
            prefix_lifetime: u32::from(ADVERTISED_SECS),
            context_lifetime: ADVERTISED_SECS / 60,
            border_router: network.root,
            border_router_version: network.version,
        };
        let body = advertisement.emit().unwrap_or_default();
        let message = Icmpv6 { kind: ROUTER_ADVERTISEMENT, code: 0, body: &body };
        self.tell_neighbour(near.from, &message);
    }

    pub(super) fn router_advertisement(&mut self, now: Instant, near: Near, message: &Icmpv6<'_>) {
        let Role::Node(node) = &mut self.role else { return };
        let Some(told) = RouterAdvertisement::parse(near.from, message.body) else {
            return self.out.dropped(NetDrop::MalformedNd);
        };
        if told.router_lifetime == 0 || told.prefix_lifetime == 0 || told.context_lifetime == 0 {
            return;
        }
        let network = Network {
            prefix: told.prefix,
            root: told.border_router,
            version: told.border_router_version,
        };
        // The parent's word counts; before there is one, the first that answers.
        if node.network.is_some() && node.parent() != Some(near.from) {
            return;
        }
        if node.network.is_some_and(|known| known.prefix != network.prefix) {
            node.registered = false;
        }
        node.network = Some(network);
        let again_at =
            now + jittered(Duration::from_secs(u64::from(ADVERTISED_SECS / 2)), &mut self.prng);
        node.discover = Errand::Done { again_at };
        if node.parent().is_some() && !node.registered {
            node.register.want(now);
        }
        self.set_context(network.prefix);
    }

    /// Sends our registration to the parent.
    pub(super) fn ask_registration(&mut self, now: Instant, attempt: u8) {
        let Role::Node(node) = &mut self.role else { return };
        let (Some(parent), Some(target)) = (node.parent(), node.addr()) else { return };
        if attempt >= ATTEMPTS_MAX && !node.attached {
            return self.desert(now, parent);
        }
        // A retransmission keeps its transaction (RFC 8505 section 5.2).
        if attempt == 0 {
            node.tid = node.count();
        }
        let earo = Earo {
            status: 0,
            tid: node.tid,
            lifetime: REGISTRATION_MINUTES,
            rovr: self.config.eui64,
        };
        let body = Neighbor { target, earo: Some(earo) }.emit_solicitation(self.config.eui64);
        let body = body.unwrap_or_default();
        self.tell_neighbour(parent, &Icmpv6 { kind: NEIGHBOR_SOLICITATION, code: 0, body: &body });
    }

    /// As a router: a neighbour registers.
    pub(super) fn neighbor_solicitation(&mut self, now: Instant, near: Near, message: &Icmpv6<'_>) {
        let solicitation = Neighbor::parse(message.body)
            .and_then(|it| Some((it.target, it.earo.filter(|earo| earo.rovr == near.from)?)));
        let Some((target, earo)) = solicitation.filter(|_| !near.multicast) else {
            return self.out.dropped(NetDrop::MalformedNd);
        };
        let short = matches!(Iid::of(target).link_addr(), Some(LinkAddr::Short(_)));
        if !short || self.prefix().is_none_or(|prefix| target.octets()[..8] != prefix) {
            return self.out.dropped(NetDrop::MalformedNd);
        }
        match &self.role {
            Role::Detached => {}
            Role::Root(_) => {
                let status = self.register(now, target, &earo);
                self.answer_registration(near.from, target, &earo, status);
            }
            Role::Node(node) if node.attached => {
                let Some(network) = node.network else { return };
                match self.registrations.ask(now, target, &earo) {
                    Ok(()) => {
                        let body = DuplicateAddress { earo, registered: target }.emit();
                        let body = body.unwrap_or_default();
                        let kind = DUPLICATE_ADDRESS_REQUEST;
                        let message = Icmpv6 { kind, code: CODE_ROVR_64, body: &body };
                        self.tell_far(now, network.root, &message);
                    }
                    Err(status) => self.answer_registration(near.from, target, &earo, status),
                }
            }
            Role::Node(_) => {} // It will find that we lead nowhere.
        }
    }

    fn answer_registration(
        &mut self,
        to: Eui64,
        target: Ipv6Addr,
        earo: &Earo,
        status: RegistrationStatus,
    ) {
        let earo = Earo { status: status.raw(), ..*earo };
        let body = Neighbor { target, earo: Some(earo) }.emit_advertisement().unwrap_or_default();
        self.tell_neighbour(to, &Icmpv6 { kind: NEIGHBOR_ADVERTISEMENT, code: 0, body: &body });
    }

    /// Root: the registry decides.
    fn register(&mut self, now: Instant, addr: Ipv6Addr, earo: &Earo) -> RegistrationStatus {
        let Role::Root(root) = &mut self.role else { return RegistrationStatus::Removed };
        let (status, fresh) = root.register(now, addr, earo);
        if let Some(short) = fresh {
            self.out.event(NetEvent::DeviceRegistered { eui64: earo.rovr, short });
        }
        if status != RegistrationStatus::Success {
            self.out.event(NetEvent::RegistrationDenied { eui64: earo.rovr, status });
        }
        status
    }

    /// Root: a router asks for a neighbour of its own.
    pub(super) fn duplicate_address_request(
        &mut self,
        now: Instant,
        src: Ipv6Addr,
        message: &Icmpv6<'_>,
    ) {
        let Role::Root(root) = &self.role else { return self.out.dropped(NetDrop::Address) };
        if !root.in_mesh(src) {
            return self.out.dropped(NetDrop::Address);
        }
        let request =
            DuplicateAddress::parse(message.body).filter(|_| message.code == CODE_ROVR_64);
        let Some(request) = request else { return self.out.dropped(NetDrop::MalformedNd) };
        let status = self.register(now, request.registered, &request.earo);
        let earo = Earo { status: status.raw(), ..request.earo };
        let body = DuplicateAddress { earo, ..request }.emit().unwrap_or_default();
        let kind = DUPLICATE_ADDRESS_CONFIRMATION;
        self.tell_far(now, src, &Icmpv6 { kind, code: CODE_ROVR_64, body: &body });
    }

    /// As a router: the root answers for a neighbour of ours.
    pub(super) fn duplicate_address_confirmation(
        &mut self,
        now: Instant,
        src: Ipv6Addr,
        message: &Icmpv6<'_>,
    ) {
        if self.root_addr() != Some(src) {
            return self.out.dropped(NetDrop::Address);
        }
        let answer = DuplicateAddress::parse(message.body).filter(|_| message.code == CODE_ROVR_64);
        let Some(answer) = answer else { return self.out.dropped(NetDrop::MalformedNd) };
        if self.registrations.answer(now, answer.registered, &answer.earo) {
            let status = RegistrationStatus::from_raw(answer.earo.status);
            self.answer_registration(answer.earo.rovr, answer.registered, &answer.earo, status);
        }
    }

    /// The parent's answer to our registration.
    pub(super) fn neighbor_advertisement(
        &mut self,
        now: Instant,
        near: Near,
        message: &Icmpv6<'_>,
    ) {
        let answer = Neighbor::parse(message.body).and_then(|it| Some((it.target, it.earo?)));
        let Some((target, earo)) = answer else { return self.out.dropped(NetDrop::MalformedNd) };
        let Role::Node(node) = &mut self.role else { return };
        let ours = node.parent() == Some(near.from)
            && node.addr() == Some(target)
            && earo.rovr == self.config.eui64
            && earo.tid == node.tid
            && node.register.was_asked();
        if !ours {
            return; // Late, or an answer to an earlier question; harmless.
        }
        match RegistrationStatus::from_raw(earo.status) {
            RegistrationStatus::Success => {
                let renew = Duration::from_secs(u64::from(earo.lifetime) * 60) / 2;
                node.register = Errand::Done { again_at: now + jittered(renew, &mut self.prng) };
                if !node.registered {
                    node.registered = true;
                    self.out.event(NetEvent::Registered { addr: target });
                }
                if !node.attached {
                    node.announce.want(now);
                }
            }
            RegistrationStatus::Moved => {
                // A counter from before our restart is still held: overtake it.
                node.jump();
                node.register = Errand::Due { at: now + Duration::from_millis(100), attempt: 0 };
            }
            status => {
                node.registered = false;
                // In a new version others may build on us before the root knows us in it.
                let built_on = node.attached || self.dio.is_running();
                self.out.event(NetEvent::RegistrationRefused { status });
                if status == RegistrationStatus::NeighborCacheFull {
                    self.desert(now, near.from);
                } else if built_on {
                    // We are no part of the mesh any more: nobody shall build on us.
                    self.lose_parent(now);
                }
            }
        }
    }
}
