//! Everybody else in the building's network: hosts that send what they like, to the border router and to
//! the manager, and take what comes back.
//!
//! **Invariant:** the checkers do not judge what outsiders say; what is said to outsiders is kept for the
//! test and goes nowhere.

use super::{BACKBONE_DELAY, Due, MANAGER_ADDR, World};
use lowgate_access::jpy::{self, Envelope};
use lowgate_access::{JOIN_PORT, MANAGER_RELAY_PORT};
use lowgate_router::{Datagram, packet};
use lowgate_units::{Duration, Iid, Instant, Ipv6Addr, Prng, ShortAddr};

/// Outsiders have addresses under this prefix. They may send under any.
pub const OUTSIDERS: [u8; 8] = [0xfd, 0x5a, 0x10, 0xf2, 0x9a, 0x3b, 0xee, 0xee];

/// Between two envelopes of whoever poses as the manager.
const ENVELOPES_EVERY: Duration = Duration::from_secs(2);
/// What relays may carry to a joiner begins so: a DTLS 1.2 record of a handshake.
const RECORD_BEGINS: [u8; 13] = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// An envelope's header as relays make it: version, interface, port, whom, and the relay's own seal.
const HEADER_BEGINS: [u8; 2] = [1, 0];
const SEAL_OCTETS: usize = 8;

impl World {
    /// An outsider's packet, for the mesh.
    pub fn from_building(&mut self, packet: Vec<u8>) {
        self.send_from_building(Duration::ZERO, packet);
    }

    fn send_from_building(&mut self, after: Duration, packet: Vec<u8>) {
        self.checkers.outsiders_spoke();
        let dst = packet.get(24..40).and_then(|dst| <[u8; 16]>::try_from(dst).ok());
        if let Some(router) = dst.and_then(|dst| self.router_towards(dst.into())) {
            self.due.push(self.now + after + BACKBONE_DELAY, Due::ToRouter(router, packet));
        }
    }

    /// For so long an outsider poses as the manager and has members, one after the other as chance will
    /// have it, carry a datagram out of the mesh to whom he likes.
    pub fn pose_as_manager(&mut self, lasts: Duration) {
        let dice = Prng::new(self.config.seed).fork(u64::from(u32::from_be_bytes(*b"pose")));
        let mut dice = dice.fork(self.now.since(Instant::ZERO).as_micros() as u64);
        let mesh_prefix = self.manager.domain().config().mesh_prefix;
        let mut after = Duration::ZERO;
        while after < lasts {
            // The manager gives the first addresses first.
            let short = 1 + dice.below(self.building.devices.len() as u64) as u16;
            let short = ShortAddr::new(short).expect("fewer devices than addresses");
            let payload = forged(&mut dice);
            self.send_from_building(
                after,
                packet(&Datagram {
                    src: MANAGER_ADDR,
                    dst: Iid::from(short).under(mesh_prefix),
                    src_port: MANAGER_RELAY_PORT,
                    dst_port: JOIN_PORT,
                    payload: &payload,
                }),
            );
            after += ENVELOPES_EVERY;
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

/// An envelope that no relay made, for somebody who does not exist.
fn forged(dice: &mut Prng) -> Vec<u8> {
    let mut header = HEADER_BEGINS.to_vec();
    header.extend(JOIN_PORT.to_be_bytes());
    header.extend(dice.next_u64().to_be_bytes());
    header.extend([0; SEAL_OCTETS]);
    let envelope = Envelope { header: &header, content: &RECORD_BEGINS };
    let mut octets = vec![0; header.len() + RECORD_BEGINS.len() + jpy::ENVELOPE_OCTETS_MAX];
    let len = envelope.emit(&mut octets).expect("room for the envelope");
    octets.truncate(len);
    octets
}
