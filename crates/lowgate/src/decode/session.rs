//! The DTLS sessions of a capture: their keys from the key log and the randoms of their handshakes.
//!
//! Whose a sealed record is, its address does not tell: sessions move, and relays stand between. So
//! the keys are tried, first those that opened the last record between the same two ends.

use super::Octets;
use super::dtls::{Datagram, Fragment, Record, WITH_CONNECTION_ID};
use super::keys::unhex;
use lowgate_crypto::{Ccm, Key128, Secret, SoftCcm, tls12_prf};
use lowgate_units::Ipv6Addr;
use std::collections::BTreeMap;

/// Lines of key logs that are kept.
const SECRETS_MAX: usize = 65536;
/// Sessions that are kept; the oldest go first.
const SESSIONS_MAX: usize = 1024;
/// Pairs of ends that are remembered.
const FLOWS_MAX: usize = 4096;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const EXPLICIT_NONCE_OCTETS: usize = 8;
const TAG_OCTETS: usize = 8;
/// RFC 6655 section 3: two keys of 16 octets, two salts of 4.
const KEY_BLOCK_OCTETS: usize = 40;

type Random = [u8; 32];
/// Who sends, who receives.
type Flow = [(Ipv6Addr, u16); 2];

/// An opened record.
pub(super) struct Open {
    /// What it is inside.
    pub(super) kind: u8,
    pub(super) plaintext: Vec<u8>,
}

/// Keys of one direction of a session.
struct Direction {
    key: Key128,
    salt: [u8; 4],
}

#[derive(Default)]
pub(super) struct Sessions {
    masters: BTreeMap<Random, Secret<48>>,
    /// The client's random of a handshake under way, by who it is sent by and to.
    hellos: BTreeMap<Flow, Random>,
    /// Both directions of each session, by a number that only grows.
    directions: BTreeMap<u64, Direction>,
    known: BTreeMap<(Random, Random), u64>,
    next: u64,
    /// The direction that opened the last record of a flow.
    last: BTreeMap<Flow, u64>,
}

impl Sessions {
    /// Of the sessions in these lines of key logs; lines about anything else are skipped.
    pub(super) fn new<'l>(lines: impl Iterator<Item = &'l String>) -> Self {
        let masters = lines.filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (mut random, mut master) = ([0; 32], [0; 48]);
            (words.next()? == "CLIENT_RANDOM").then_some(())?;
            unhex(words.next()?, &mut random)?;
            unhex(words.next()?, &mut master)?;
            Some((random, Secret::new(master)))
        });
        Self { masters: masters.take(SECRETS_MAX).collect(), ..Self::default() }
    }

    /// Looks for hellos in a plain handshake record.
    pub(super) fn learn(&mut self, datagram: &Datagram<'_>, body: &[u8]) {
        let mut rest = Octets(body);
        while let Some(Fragment { kind, offset: 0, octets, .. }) = Fragment::take(&mut rest) {
            // Both hellos begin with the version and the random.
            let random = octets.get(2..34).and_then(|random| Random::try_from(random).ok());
            let (here, there) = ends(datagram);
            match (kind, random) {
                (CLIENT_HELLO, Some(random)) => {
                    if self.hellos.len() >= FLOWS_MAX {
                        self.hellos.clear();
                    }
                    self.hellos.insert([here, there], random);
                }
                (SERVER_HELLO, Some(random)) => {
                    if let Some(client) = self.hellos.get(&[there, here]).copied() {
                        self.add(client, random);
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, client: Random, server: Random) {
        let Some(master) = self.masters.get(&client) else { return };
        if self.known.contains_key(&(client, server)) {
            return;
        }
        let mut block = [0; KEY_BLOCK_OCTETS];
        tls12_prf(master.expose(), b"key expansion", &[&server, &client], &mut block);
        let direction = |key: usize, salt: usize| Direction {
            key: Key128::from_slice(&block[key..key + 16]).expect("16 octets"),
            salt: [block[salt], block[salt + 1], block[salt + 2], block[salt + 3]],
        };
        if self.known.len() >= SESSIONS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, number)| **number);
            if let Some((randoms, number)) = oldest.map(|(randoms, number)| (*randoms, *number)) {
                self.known.remove(&randoms);
                self.directions.remove(&number);
                self.directions.remove(&(number + 1));
            }
        }
        self.known.insert((client, server), self.next);
        self.directions.insert(self.next, direction(0, 32));
        self.directions.insert(self.next + 1, direction(16, 36));
        self.next += 2;
    }

    /// Opens a sealed record; `None` when no key fits.
    pub(super) fn open(&mut self, datagram: &Datagram<'_>, record: &Record<'_>) -> Option<Open> {
        let (here, there) = ends(datagram);
        let flow = [here, there];
        let last = self.last.get(&flow).and_then(|last| self.directions.get_key_value(last));
        let newest_first = self.directions.iter().rev();
        let (number, open) = last
            .into_iter()
            .chain(newest_first)
            .find_map(|(number, direction)| Some((*number, direction.open(record)?)))?;
        if self.last.len() >= FLOWS_MAX {
            self.last.clear();
        }
        self.last.insert(flow, number);
        Some(open)
    }
}

fn ends(datagram: &Datagram<'_>) -> ((Ipv6Addr, u16), (Ipv6Addr, u16)) {
    ((datagram.src, datagram.src_port), (datagram.dst, datagram.dst_port))
}

impl Direction {
    fn open(&self, record: &Record<'_>) -> Option<Open> {
        let (explicit, sealed) = record.body.split_at_checked(EXPLICIT_NONCE_OCTETS)?;
        let len = sealed.len().checked_sub(TAG_OCTETS)?;
        let (sealed, tag) = sealed.split_at(len);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(explicit);
        let mut plaintext = sealed.to_vec();
        SoftCcm.open(&self.key, &nonce, &covered(record, len), &mut plaintext, tag).ok()?;
        if record.outer != WITH_CONNECTION_ID {
            return Some(Open { kind: record.outer, plaintext });
        }
        // RFC 9146 section 4: the real type, then zeros.
        while plaintext.last() == Some(&0) {
            plaintext.pop();
        }
        let kind = plaintext.pop()?;
        Some(Open { kind, plaintext })
    }
}

/// What the tag covers beside the payload.
fn covered(record: &Record<'_>, len: usize) -> Vec<u8> {
    let number = u64::from(record.epoch) << 48 | record.seq;
    let mut aad = Vec::with_capacity(32);
    if record.outer == WITH_CONNECTION_ID {
        // RFC 9146 section 5.3.
        aad.extend([0xff; 8]);
        aad.extend([WITH_CONNECTION_ID, record.cid.len() as u8, WITH_CONNECTION_ID]);
        aad.extend(record.version.to_be_bytes());
        aad.extend(number.to_be_bytes());
        aad.extend(record.cid);
    } else {
        // RFC 5246 section 6.2.3.3.
        aad.extend(number.to_be_bytes());
        aad.push(record.outer);
        aad.extend(record.version.to_be_bytes());
    }
    aad.extend((len as u16).to_be_bytes());
    aad
}
