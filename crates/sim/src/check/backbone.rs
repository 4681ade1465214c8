//! What the backbone shows: to whom packets go, the numbers of DTLS records, and who is answered.
//!
//! **Bounds:** [`PATHS_EACH`] paths for each station, at least [`PATHS_MIN`], and as many connection IDs, the
//! ones heard last; of each path the last [`COOKIES_MAX`] cookies; a window of numbers in each direction.

use super::numbers::{Numbers, Use};
use super::{Fault, hash};
use lowgate_access::{MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_router::datagram;
use lowgate_units::{Instant, Ipv6Addr};
use std::collections::{BTreeMap, VecDeque};

/// Paths remembered for each station: a joiner has one with every relay that it tries, and one of its own.
const PATHS_EACH: usize = 8;
/// Paths remembered of the fewest stations: strangers have paths too.
const PATHS_MIN: usize = 4096;
/// Cookies remembered of each path.
const COOKIES_MAX: usize = 8;

/// RFC 8200 section 4.
const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;

const HEADER_OCTETS: usize = 13;
const ALERT: u8 = 21;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const WITH_CONNECTION_ID: u8 = 25;
/// RFC 6347 section 4.3.2.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const MESSAGE_HEADER_OCTETS: usize = 12;
const RANDOM_OCTETS: usize = 32;
/// Within an attempt a client sends its Finished fewer times.
const FINISHED_MAX: u64 = 8;

/// The destination of a packet that is neither between the manager and a border router nor for a mesh.
pub(super) fn stray(
    packet: &[u8],
    manager: Ipv6Addr,
    is_router: impl Fn(Ipv6Addr) -> bool,
) -> Option<Ipv6Addr> {
    let dst: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    let src: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let (src, dst) = (Ipv6Addr::from(src), Ipv6Addr::from(dst));
    // What the manager sends, the border router takes for the mesh; what comes from the mesh can only be
    // for the manager.
    (src != manager && dst != manager && !is_router(dst)).then_some(dst)
}

/// Whether a packet of the mesh should be a UDP datagram and is none.
pub(super) fn malformed(packet: &[u8]) -> bool {
    let next_header = match packet.get(6) {
        Some(&HOP_BY_HOP) => packet.get(40),
        next_header => next_header,
    };
    next_header == Some(&UDP) && datagram(packet).is_none()
}

/// Which way a record goes, and its epoch.
type Way = (bool, u16);

#[derive(Default)]
struct Path {
    /// Of records without a connection ID, since the manager took other keys into use or a session moved there.
    numbers: BTreeMap<Way, Numbers>,
    cookies: VecDeque<Vec<u8>>,
    /// A ClientHello showed one of them.
    shown: bool,
    /// Of the last ClientHello.
    random: [u8; RANDOM_OCTETS],
}

/// What goes on under a connection ID.
#[derive(Default)]
struct Session {
    numbers: BTreeMap<Way, Numbers>,
    /// Of the attempt before: whoever heard its records may send them again.
    before: BTreeMap<Way, Numbers>,
    /// The client's, when it was begun.
    random: [u8; RANDOM_OCTETS],
}

impl Session {
    /// A client to whom the ServerHello of its last attempt comes again takes up that connection ID once more, and
    /// begins at 0, which may be lost. Its keys are new nevertheless, for its own random is.
    fn begun_with(&mut self, random: [u8; RANDOM_OCTETS]) {
        if self.random != random {
            let before = std::mem::take(&mut self.numbers);
            *self = Self { random, before, ..Self::default() };
        }
    }

    /// Whether this use of a number is known: then it is no beginning.
    fn knows(&self, way: Way, number: u64, value: u64) -> bool {
        let known = |book: &BTreeMap<Way, Numbers>| {
            book.get(&way).is_some_and(|numbers| numbers.look_up(number, value) == Use::Again)
        };
        known(&self.numbers) || known(&self.before)
    }
}

/// The records between the manager and everybody.
pub(super) struct Records {
    paths: Latest<Path>,
    /// A connection ID is one session's, wherever that goes on.
    sessions: Latest<Session>,
}

impl Records {
    /// Of so many stations and the manager.
    pub(super) fn new(stations: usize) -> Self {
        let paths = (PATHS_EACH * stations).max(PATHS_MIN);
        Self { paths: Latest::new(paths), sessions: Latest::new(paths) }
    }

    /// `intruded`: an intruder is on the air. What a relay passes up is then no word of a joiner: whoever hears a
    /// record in clear can send another of its name and number.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        packet: &[u8],
        manager: Ipv6Addr,
        intruded: bool,
    ) -> Vec<Fault> {
        let Some(datagram) = datagram(packet) else { return Vec::new() };
        let upward = datagram.dst == manager;
        let (peer, peer_port, port) = if upward {
            (datagram.src, datagram.src_port, datagram.dst_port)
        } else {
            (datagram.dst, datagram.dst_port, datagram.src_port)
        };
        let mut path = path_of(peer, peer_port);
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
        let anybodys = intruded && upward && port == MANAGER_RELAY_PORT;
        self.datagram(now, (&path, upward, anybodys), content)
    }

    /// A session goes on at `peer`, and another one may have been there before it.
    pub(super) fn moved(&mut self, now: Instant, peer: Ipv6Addr, port: u16) {
        self.paths.entry(now, &path_of(peer, port)).numbers.clear();
    }

    fn datagram(
        &mut self,
        now: Instant,
        (path, upward, anybodys): (&[u8], bool, bool),
        mut octets: &[u8],
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        let peer = || path.iter().map(|octet| format!("{octet:02x}")).collect();
        while let Some(Header { kind, epoch, number, cid, len }) = Header::parse(octets) {
            let Some((record, rest)) = octets.split_at_checked(len) else { break };
            octets = rest;
            let known = self.paths.entry(now, path);
            // RFC 5246 section 7.1: from here on the sender uses the keys that were agreed upon. Until then the
            // session before may still be in use, however many handshakes were begun.
            if (kind, epoch, upward) == (CHANGE_CIPHER_SPEC, 0, false) {
                known.numbers.clear();
            }
            if epoch == 0 {
                if kind == HANDSHAKE && !known.hello(&record[HEADER_OCTETS..]) {
                    faults.push(Fault::HelloAnswered { peer: peer() });
                }
                continue;
            }
            let (way, value) = ((upward, epoch), hash(&[record]));
            let numbers = match cid {
                // The last record of the session before comes when the next one has begun.
                [] if kind == ALERT => continue,
                // Upward the session is named by its connection ID. A device that did not agree to one cannot be
                // told from the one before it.
                [] if upward => continue,
                _ if anybodys => continue,
                [] => &mut known.numbers,
                cid => {
                    let random = known.random;
                    let session = self.sessions.entry(now, cid);
                    if session.knows(way, number, value) {
                        continue;
                    }
                    if number < FINISHED_MAX && upward {
                        session.begun_with(random);
                    }
                    &mut session.numbers
                }
            };
            match numbers.entry(way).or_default().note(number, value) {
                Use::First | Use::Again => {}
                Use::Otherwise | Use::Older => {
                    faults.push(Fault::RecordNumberReused { peer: peer(), epoch, number });
                }
            }
        }
        faults
    }
}

impl Path {
    /// Takes a handshake record in clear; false if it answers somebody who did not show a cookie.
    fn hello(&mut self, message: &[u8]) -> bool {
        let first = message.get(6..9) == Some(&[0; 3]);
        let body = message.get(MESSAGE_HEADER_OCTETS..).unwrap_or_default();
        match message.first() {
            Some(&CLIENT_HELLO) if first => {
                let cookie = cookie_shown(body).unwrap_or_default();
                self.shown |= self.cookies.iter().any(|given| given == cookie);
                // Behind the version.
                if let Some(random) = body.get(2..).and_then(|rest| rest.first_chunk()) {
                    self.random = *random;
                }
            }
            Some(&HELLO_VERIFY_REQUEST) if first => {
                if self.cookies.len() >= COOKIES_MAX {
                    self.cookies.pop_front();
                }
                // Version, length, cookie.
                self.cookies.push_back(body.get(3..).unwrap_or_default().to_vec());
            }
            Some(&SERVER_HELLO) => return self.shown,
            _ => {}
        }
        true
    }
}

/// The cookie of a ClientHello: behind version, random and session ID.
fn cookie_shown(body: &[u8]) -> Option<&[u8]> {
    let rest = body.get(2 + RANDOM_OCTETS..)?;
    let (session_id, rest) = rest.split_first()?;
    let (len, rest) = rest.get(usize::from(*session_id)..)?.split_first()?;
    rest.get(..usize::from(*len))
}

fn path_of(peer: Ipv6Addr, port: u16) -> Vec<u8> {
    [&peer.octets()[..], &port.to_be_bytes()].concat()
}

/// The entries that were used last.
struct Latest<V> {
    entries: BTreeMap<Vec<u8>, (Instant, V)>,
    entries_max: usize,
}

impl<V: Default> Latest<V> {
    const fn new(entries_max: usize) -> Self {
        Self { entries: BTreeMap::new(), entries_max }
    }

    fn entry(&mut self, now: Instant, key: &[u8]) -> &mut V {
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(key) {
            self.forget_half();
        }
        let entry = self.entries.entry(key.to_vec()).or_default();
        entry.0 = now;
        &mut entry.1
    }

    fn forget_half(&mut self) {
        let mut times: Vec<Instant> = self.entries.values().map(|(at, _)| *at).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        self.entries.retain(|_, (at, _)| *at > middle);
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

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_router::{Datagram, packet};
    use proptest::prelude::*;

    const MANAGER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    const PEER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    /// Records that look like some, cut anywhere, and octets that are none.
    fn records() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![
            Just(CHANGE_CIPHER_SPEC),
            Just(HANDSHAKE),
            Just(WITH_CONNECTION_ID),
            any::<u8>()
        ];
        let record = (kind, 0..2u8, proptest::collection::vec(any::<u8>(), 0..60));
        let record = record.prop_map(|(kind, epoch, body)| {
            let head = [kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, 0, body.len() as u8];
            [&head[..], &body].concat()
        });
        let cut = (proptest::collection::vec(record, 0..4), any::<prop::sample::Index>());
        let cut = cut.prop_map(|(records, end)| {
            let mut octets = records.concat();
            octets.truncate(end.index(octets.len() + 1));
            octets
        });
        prop_oneof![cut, proptest::collection::vec(any::<u8>(), 0..80)]
    }

    fn hello(random: u8) -> Vec<u8> {
        let body = [&[0xfe, 0xfd][..], &[random; RANDOM_OCTETS], &[0, 0]].concat();
        let message = [&[CLIENT_HELLO; 1][..], &[0; 11], &body].concat();
        [&[HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, message.len() as u8][..], &message]
            .concat()
    }

    fn record(number: u8, body: u8) -> Vec<u8> {
        let head = [WITH_CONNECTION_ID, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, number];
        [&head[..], &[1; lowgate_dtls::CONNECTION_ID_OCTETS], &[0, 1, body]].concat()
    }

    /// What is found when these go up, one after the other.
    fn found(contents: &[Vec<u8>]) -> usize {
        found_at(MANAGER_PORT, contents, false)
    }

    fn found_at(port: u16, contents: &[Vec<u8>], intruded: bool) -> usize {
        let mut records = Records::new(1);
        let (src_port, dst_port) = (port, port);
        let found = contents.iter().map(|payload| {
            let datagram = Datagram { src: PEER, dst: MANAGER, src_port, dst_port, payload };
            records.packet(Instant::ZERO, &packet(&datagram), MANAGER, intruded).len()
        });
        found.sum()
    }

    #[test]
    fn what_intruders_may_have_made_on_the_air_is_no_second_use() {
        let direct = [hello(1), record(0, 0xaa), hello(1), record(0, 0xbb)];
        let relayed = direct.each_ref().map(|content| {
            let mut out = [0; 256];
            let len = jpy::Envelope { header: &[1; 20], content }.emit(&mut out).expect("room");
            out[..len].to_vec()
        });
        assert_eq!(found_at(MANAGER_RELAY_PORT, &relayed, false), 1);
        assert_eq!(found_at(MANAGER_RELAY_PORT, &relayed, true), 0);
        assert_eq!(found_at(MANAGER_PORT, &direct, true), 1, "what the mesh secured");
    }

    #[test]
    fn a_connection_id_that_is_taken_up_again_has_new_keys_from_its_beginning_on() {
        assert_eq!(found(&[hello(1), record(0, 0xaa), record(0, 0xaa)]), 0, "the same again");
        assert_eq!(found(&[hello(1), record(0, 0xaa), hello(1), record(0, 0xbb)]), 1);
        assert_eq!(found(&[hello(1), record(0, 0xaa), hello(2), record(0, 0xbb)]), 0);
        assert_eq!(found(&[hello(1), record(1, 0xaa), hello(2), record(1, 0xbb)]), 0);
        assert_eq!(found(&[hello(1), record(8, 0xaa), hello(2), record(8, 0xbb)]), 1);
    }

    /// Somebody sends a record of the attempt before once more, while the client is at the next.
    #[test]
    fn an_old_record_again_is_no_beginning() {
        let (old, new) = (record(0, 0xaa), record(0, 0xbb));
        let mut contents = vec![hello(1), old.clone(), hello(2), old.clone(), new.clone()];
        assert_eq!(found(&contents), 0);
        contents.extend([old, new]);
        assert_eq!(found(&contents), 0);
        contents.push(record(0, 0xcc));
        assert_eq!(found(&contents), 1);
    }

    proptest! {
        #[test]
        fn any_octets_on_the_backbone_are_taken(
            payload in records(),
            upward in any::<bool>(),
            relayed in any::<bool>(),
        ) {
            let port = if relayed { MANAGER_RELAY_PORT } else { MANAGER_PORT };
            let (src, dst) = if upward { (PEER, MANAGER) } else { (MANAGER, PEER) };
            let datagram =
                Datagram { src, dst, src_port: port, dst_port: port, payload: &payload };
            let octets = packet(&datagram);
            let mut records = Records::new(1);
            for _ in 0..2 {
                // The same again is no second use of a number.
                let faults = records.packet(Instant::ZERO, &octets, MANAGER, false);
                let reused = |fault: &Fault| matches!(fault, Fault::RecordNumberReused { .. });
                let single = payload.len() < 2 * HEADER_OCTETS;
                prop_assert!(!(single && faults.iter().any(reused)));
            }
            for end in 0..octets.len() {
                records.packet(Instant::ZERO, &octets[..end], MANAGER, false);
            }
        }
    }
}
