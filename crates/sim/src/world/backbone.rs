//! The backbone between border router and manager: IPv6 packets and a delay.

use super::{BACKBONE_DELAY, Due, MANAGER_ADDR, ROUTER_ADDR, World};
use crate::capture::unwrapped;
use lowgate_manager::ManagerInput;
use lowgate_router::{Datagram, datagram, packet};
use lowgate_units::Ipv6Addr;

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
        self.due.push(self.now + BACKBONE_DELAY, Due::ToRouter(packet));
    }

    pub(super) fn packet_from_router(&mut self, packet: Vec<u8>) {
        if self.is_outsiders(&packet) {
            return;
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
