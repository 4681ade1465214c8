//! The backbone between border router and manager: IPv6 packets and a delay, and on bad days more.
//!
//! **Invariant:** what the backbone does to a packet is decided by dice of its own, which are thrown only
//! when something can come of it.

use super::{BACKBONE_DELAY, Due, MANAGER_ADDR, World, router_addr};
use crate::capture::unwrapped;
use crate::medium::StationId;
use lowgate_manager::ManagerInput;
use lowgate_router::{Datagram, datagram, packet};
use lowgate_units::{Duration, Iid, Ipv6Addr, Prng};

/// How one direction of the backbone fares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backbone {
    /// Probability that a packet is lost, 0 to 1.
    pub loss: f64,
    /// Probability that a packet comes twice, 0 to 1.
    pub duplication: f64,
    /// On top of the usual delay, at most; each packet has its own, so that packets overtake each other.
    pub jitter: Duration,
}

impl Backbone {
    /// A quiet Ethernet.
    pub const QUIET: Self = Self { loss: 0.0, duplication: 0.0, jitter: Duration::ZERO };

    /// When the copies of a packet arrive, counted from now.
    fn delays(&self, dice: &mut Prng) -> impl Iterator<Item = Duration> + use<> {
        let mut happens = |chance: f64| chance > 0.0 && dice.unit_f64() < chance;
        let lost = happens(self.loss);
        let twice = !lost && happens(self.duplication);
        let micros = self.jitter.as_micros() as u64;
        let mut delay = || BACKBONE_DELAY + Duration::from_micros(dice.below(micros));
        let copies = [(!lost).then(&mut delay), twice.then(&mut delay)];
        copies.into_iter().flatten()
    }
}

/// Both directions, and their dice.
pub(super) struct Backbones {
    pub(super) to_router: Backbone,
    pub(super) to_manager: Backbone,
    pub(super) dice: Prng,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Towards {
    /// From the manager to the border router.
    Router,
    /// From the border router to the manager.
    Manager,
}

impl World {
    pub(super) fn packet_from_manager(
        &mut self,
        dst: Ipv6Addr,
        dst_port: u16,
        src_port: u16,
        payload: &[u8],
    ) {
        let packet = packet(&Datagram { src: MANAGER_ADDR, dst, src_port, dst_port, payload });
        if self.is_outsiders(&packet) {
            return;
        }
        self.on_the_backbone(&packet);
        let Some(router) = self.router_towards(dst) else { return };
        for delay in self.backbone.to_router.delays(&mut self.backbone.dice) {
            self.due.push(self.now + delay, Due::ToRouter(router, packet.clone()));
        }
    }

    /// Whom the building's network hands a packet for `dst`: the border router that has the address, or that
    /// of the mesh, or that of the mesh whose group it is (RFC 3306 section 4 names the prefix).
    pub(super) fn router_towards(&self, dst: Ipv6Addr) -> Option<StationId> {
        let own = self.routers().find(|router| router_addr(*router) == dst);
        own.or_else(|| {
            let domain = self.manager.domain();
            let mesh = match dst.octets() {
                [0xff, _, _, _, prefix @ .., _, _, _, _] => Iid([0; 8]).under(prefix),
                _ => dst,
            };
            let pan = domain.pans().get(&domain.pan_of(mesh)?)?;
            self.building.station(pan.border_router?)
        })
    }

    pub(super) fn packet_from_router(&mut self, packet: Vec<u8>) {
        if self.is_outsiders(&packet) {
            return;
        }
        self.on_the_backbone(&packet);
        for delay in self.backbone.to_manager.delays(&mut self.backbone.dice) {
            self.due.push(self.now + delay, Due::ToManager(packet.clone()));
        }
    }

    /// How one direction of the backbone fares from now on.
    pub fn set_backbone(&mut self, towards: Towards, backbone: Backbone) {
        match towards {
            Towards::Router => self.backbone.to_router = backbone,
            Towards::Manager => self.backbone.to_manager = backbone,
        }
    }

    pub(super) fn packet_to_manager(&mut self, packet: &[u8]) {
        let Some(datagram) = datagram(packet).filter(|datagram| datagram.dst == MANAGER_ADDR)
        else {
            return; // nobody else is there; the checkers have seen it
        };
        let input = ManagerInput::Datagram {
            src: datagram.src,
            src_port: datagram.src_port,
            dst_port: datagram.dst_port,
            octets: datagram.payload,
        };
        self.tell_manager(input);
    }

    fn on_the_backbone(&mut self, packet: &[u8]) {
        let [first, last] = [0, self.routers - 1].map(|router| router_addr(StationId(router)));
        let is_router = |addr| (first..=last).contains(&addr);
        self.checkers.backbone(self.now, packet, MANAGER_ADDR, is_router);
        if self.config.capture {
            self.capture.packet(self.now, packet, "");
            if let Some(packet) = unwrapped(packet).filter(|_| self.config.key_log) {
                self.capture.unwrapped(self.now, &packet, "out of the envelope before");
            }
        }
    }
}
