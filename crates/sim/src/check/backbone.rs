//! What the backbone shows: to whom packets go, and the numbers of DTLS records.

use super::{Fault, hash};
use lowgate_access::{MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_router::datagram;
use lowgate_units::Ipv6Addr;
use std::collections::HashMap;

const HEADER_OCTETS: usize = 13;
const HANDSHAKE: u8 = 22;
const WITH_CONNECTION_ID: u8 = 25;
const CLIENT_HELLO: u8 = 1;

/// The destination of a packet between neither of the ends nor the mesh behind one of them.
pub(super) fn stray(packet: &[u8], ends: [Ipv6Addr; 2]) -> Option<Ipv6Addr> {
    let dst: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    let src: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let (src, dst) = (Ipv6Addr::from(src), Ipv6Addr::from(dst));
    // What the manager sends, the border router takes for the mesh; what comes from the mesh can only be
    // for the manager.
    (src != ends[0] && !ends.contains(&dst)).then_some(dst)
}

/// The numbers of the records between the manager and everybody.
#[derive(Default)]
pub(super) struct Records {
    /// Handshakes begun on a path: keys change with each.
    handshakes: HashMap<Vec<u8>, u32>,
    /// What a number was used for.
    used: HashMap<(Vec<u8>, u32, bool, u16, u64), u64>,
}

impl Records {
    pub(super) fn packet(&mut self, packet: &[u8], manager: Ipv6Addr) -> Vec<Fault> {
        let Some(datagram) = datagram(packet) else { return Vec::new() };
        let upward = datagram.dst == manager;
        let (peer, peer_port, port) = if upward {
            (datagram.src, datagram.src_port, datagram.dst_port)
        } else {
            (datagram.dst, datagram.dst_port, datagram.src_port)
        };
        let mut path = peer.octets().to_vec();
        path.extend(peer_port.to_be_bytes());
        let content = match port {
            MANAGER_PORT => datagram.payload,
            MANAGER_RELAY_PORT => match jpy::parse(datagram.payload) {
                Ok(envelope) => {
                    path.extend(envelope.header);
                    envelope.content
                }
                Err(_) => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        self.datagram(&path, upward, content)
    }

    fn datagram(&mut self, path: &[u8], upward: bool, mut octets: &[u8]) -> Vec<Fault> {
        let mut faults = Vec::new();
        while let Some((kind, epoch, number, len)) = header(octets) {
            let Some((record, rest)) = octets.split_at_checked(len) else { break };
            octets = rest;
            if (kind, epoch) == (HANDSHAKE, 0) && record.get(HEADER_OCTETS) == Some(&CLIENT_HELLO) {
                *self.handshakes.entry(path.to_vec()).or_default() += 1;
            }
            if epoch == 0 {
                continue;
            }
            let handshake = self.handshakes.get(path).copied().unwrap_or(0);
            let value = hash(record);
            let key = (path.to_vec(), handshake, upward, epoch, number);
            if self.used.insert(key, value).is_some_and(|before| before != value) {
                let peer = path.iter().map(|octet| format!("{octet:02x}")).collect();
                faults.push(Fault::RecordNumberReused { peer, epoch, number });
            }
        }
        faults
    }
}

/// Content type, epoch, number and whole length of the first record.
fn header(octets: &[u8]) -> Option<(u8, u16, u64, usize)> {
    let header: &[u8; 11] = octets.first_chunk()?;
    let epoch = u16::from_be_bytes([header[3], header[4]]);
    let number = header[5..11].iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
    // Our manager's connection IDs have a fixed length.
    let cid = if header[0] == WITH_CONNECTION_ID { lowgate_dtls::CONNECTION_ID_OCTETS } else { 0 };
    let length: [u8; 2] = octets.get(11 + cid..13 + cid)?.try_into().ok()?;
    let whole = HEADER_OCTETS + cid + usize::from(u16::from_be_bytes(length));
    Some((header[0], epoch, number, whole))
}
