//! The backbone between border router and manager: IPv6 packets, a delay, and nobody else but the hosts
//! of the building's network that a test plays.

use super::{BACKBONE_DELAY, Due, MANAGER_ADDR, ROUTER_ADDR, World};
use crate::capture::unwrapped;
use lowgate_manager::ManagerInput;
use lowgate_router::{Datagram, datagram, packet};
use lowgate_units::Ipv6Addr;
use std::collections::BTreeSet;

/// The hosts of the building's network.
#[derive(Debug, Default)]
pub(super) struct Outsiders {
    addrs: BTreeSet<Ipv6Addr>,
    received: Vec<Vec<u8>>,
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
        self.on_the_backbone(&packet);
        self.due.push(self.now + BACKBONE_DELAY, Due::ToRouter(packet));
    }

    /// A host of the building's network sends an IPv6 packet to the border router.
    pub fn send_from_outside(&mut self, packet: Vec<u8>) {
        self.outsiders.addrs.extend(datagram(&packet).map(|datagram| datagram.src));
        self.due.push(self.now + BACKBONE_DELAY, Due::ToRouter(packet));
    }

    /// The packets for such hosts since the last call.
    pub fn take_received_outside(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.outsiders.received)
    }

    pub(super) fn packet_from_router(&mut self, packet: Vec<u8>) {
        let dst = datagram(&packet).map(|datagram| datagram.dst);
        if dst.is_some_and(|dst| self.outsiders.addrs.contains(&dst)) {
            return self.outsiders.received.push(packet);
        }
        self.on_the_backbone(&packet);
        self.due.push(self.now + BACKBONE_DELAY, Due::ToManager(packet));
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
        self.checkers.backbone(self.now, packet, [MANAGER_ADDR, ROUTER_ADDR]);
        if self.config.capture {
            self.capture.packet(self.now, packet, "");
            if let Some(packet) = unwrapped(packet).filter(|_| self.config.key_log) {
                self.capture.unwrapped(self.now, &packet, "out of the envelope before");
            }
        }
    }
}
