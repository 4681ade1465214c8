//! Everybody else in the building's network: hosts that send what they like, to the border router and to
//! the manager, and take what comes back.
//!
//! **Invariant:** the checkers do not judge what outsiders say; what is said to outsiders is kept for the
//! test and goes nowhere.

use super::{BACKBONE_DELAY, Due, World};
use lowgate_units::Ipv6Addr;

/// Outsiders have addresses under this prefix. They may send under any.
pub const OUTSIDERS: [u8; 8] = [0xfd, 0x5a, 0x10, 0xf2, 0x9a, 0x3b, 0xee, 0xee];

impl World {
    /// An outsider's packet, for the mesh.
    pub fn from_building(&mut self, packet: Vec<u8>) {
        self.checkers.outsiders_spoke();
        let dst = packet.get(24..40).and_then(|dst| <[u8; 16]>::try_from(dst).ok());
        if let Some(router) = dst.and_then(|dst| self.router_towards(dst.into())) {
            self.due.push(self.now + BACKBONE_DELAY, Due::ToRouter(router, packet));
        }
    }

    /// An outsider's packet, for the manager.
    pub fn to_manager(&mut self, packet: Vec<u8>) {
        self.due.push(self.now + BACKBONE_DELAY, Due::ToManager(packet));
    }

    /// An outsider takes over an address of a mesh: what is sent there is his.
    pub const fn take_over(&mut self, addr: Ipv6Addr) {
        self.taken_over = Some(addr);
    }

    /// What was sent to outsiders since the last call.
    pub fn take_for_outsiders(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.for_outsiders)
    }

    /// Whether the packet is an outsider's, who has it now.
    pub(super) fn is_outsiders(&mut self, packet: &[u8]) -> bool {
        let taken = self.taken_over.map(|addr| addr.octets());
        let theirs = packet.get(24..32) == Some(&OUTSIDERS)
            || taken.is_some_and(|taken| packet.get(24..40) == Some(&taken));
        if theirs {
            self.for_outsiders.push(packet.to_vec());
        }
        theirs
    }
}
