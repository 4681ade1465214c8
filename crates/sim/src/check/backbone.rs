//! What the backbone shows: to whom packets go, and the numbers of DTLS records.

use super::{Fault, hash};
use lowgate_access::{MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_router::datagram;
use lowgate_units::Ipv6Addr;
use std::collections::BTreeMap;

const HEADER_OCTETS: usize = 13;
const CHANGE_CIPHER_SPEC: u8 = 20;
const WITH_CONNECTION_ID: u8 = 25;

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
    /// Keys that the manager began to use on a path, and sessions that moved there.
    sessions: BTreeMap<Vec<u8>, u32>,
    /// What a number was used for, on a path or under a connection ID.
    used: BTreeMap<(Vec<u8>, u32, bool, u16, u64), u64>,
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

    /// A session goes on at `peer`, and another one may have been there before it.
    pub(super) fn moved(&mut self, peer: Ipv6Addr, port: u16) {
        let mut path = peer.octets().to_vec();
        path.extend(port.to_be_bytes());
        *self.sessions.entry(path).or_default() += 1;
    }

    fn datagram(&mut self, path: &[u8], upward: bool, mut octets: &[u8]) -> Vec<Fault> {
        let mut faults = Vec::new();
        while let Some(Header { kind, epoch, number, cid, len }) = Header::parse(octets) {
            let Some((record, rest)) = octets.split_at_checked(len) else { break };
            octets = rest;
            // RFC 5246 section 7.1: from here on the sender uses the keys that were agreed upon. Until then
            // the session before may still be in use, however many handshakes were begun.
            if (kind, epoch, upward) == (CHANGE_CIPHER_SPEC, 0, false) {
                *self.sessions.entry(path.to_vec()).or_default() += 1;
            }
            // Upward the session is named by its connection ID, wherever it goes on. A device that did not
            // agree to one cannot be told from the one before it.
            let key = match (upward, cid) {
                _ if epoch == 0 => continue,
                (true, []) => continue,
                (_, []) => {
                    let session = self.sessions.get(path).copied().unwrap_or(0);
                    (path.to_vec(), session, upward, epoch, number)
                }
                (_, cid) => (cid.to_vec(), 0, upward, epoch, number),
            };
            let value = hash(record);
            if self.used.insert(key, value).is_some_and(|before| before != value) {
                let peer = path.iter().map(|octet| format!("{octet:02x}")).collect();
                faults.push(Fault::RecordNumberReused { peer, epoch, number });
            }
        }
        faults
    }
}

struct Header<'a> {
    kind: u8,
    epoch: u16,
    number: u64,
    cid: &'a [u8],
    /// Of the whole record.
    len: usize,
}

impl<'a> Header<'a> {
    /// Of the first record.
    fn parse(octets: &'a [u8]) -> Option<Self> {
        let header: &[u8; 11] = octets.first_chunk()?;
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        let number = header[5..11].iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        // Our manager's connection IDs have a fixed length.
        let with_cid = header[0] == WITH_CONNECTION_ID;
        let cid_len = if with_cid { lowgate_dtls::CONNECTION_ID_OCTETS } else { 0 };
        let (cid, rest) = octets[11..].split_at_checked(cid_len)?;
        let length = u16::from_be_bytes(*rest.first_chunk()?);
        let len = HEADER_OCTETS + cid_len + usize::from(length);
        Some(Self { kind: header[0], epoch, number, cid, len })
    }
}
