//! Sessions of two devices: who has one with whom, and the numbers of their records.
//!
//! **Bounds:** of each two that spoke, and each direction, the numbers under the last [`KEYS_MAX`] keys.

use super::numbers::{Numbers, Use};
use super::{Checkers, Decisions, Fault, Flash, hash};
use crate::medium::StationId;
use lowgate_amikey::pairwise::SetName;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_node::{PAIR_PORT, PairEvent};
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, ShortAddr};
use std::collections::{BTreeMap, VecDeque};

/// So long after the store has it that a device is expelled nobody has a session with it any more. It has its link
/// key for longer where somebody who cannot be reached holds up the change of that.
const SHUT_OUT_WITHIN: Duration = Duration::from_secs(45);

/// Keys remembered of each two.
const KEYS_MAX: usize = 4;
const HEADER_OCTETS: usize = 13;
const MESSAGE_HEADER_OCTETS: usize = 12;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Who began, and who was called.
type Two = (StationId, StationId);

#[derive(Default)]
struct Path {
    /// Of the last ClientHello and the last ServerHello: with the key of the two they make the keys of a session.
    randoms: [[u8; 32]; 2],
    /// Which keys either end seals with, since it said so.
    keys: [u64; 2],
    numbers: [VecDeque<(u64, Numbers)>; 2],
}

/// The book.
#[derive(Default)]
pub(super) struct Pairs(BTreeMap<Two, Path>);

/// What a datagram shows.
#[derive(Default)]
struct Shown {
    /// A number was used for two records under one key.
    reused: Option<u64>,
    /// It carries what applications say.
    data: bool,
}

impl Pairs {
    /// One end sends a datagram: the caller, or the called.
    fn sent(&mut self, two: Two, by_caller: bool, mut octets: &[u8]) -> Shown {
        let path = self.0.entry(two).or_default();
        let side = usize::from(!by_caller);
        let mut shown = Shown::default();
        while let Some((header, rest)) = octets.split_first_chunk::<HEADER_OCTETS>() {
            let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let Some((body, behind)) = rest.split_at_checked(len) else { break };
            let record = &octets[..HEADER_OCTETS + len];
            octets = behind;
            let epoch = u16::from_be_bytes([header[3], header[4]]);
            match (header[0], epoch) {
                (HANDSHAKE, 0) => path.hello(body),
                (CHANGE_CIPHER_SPEC, 0) => path.keys[side] = path.agreed(),
                (_, 0) => {}
                (kind, _) => {
                    shown.data |= kind == APPLICATION_DATA;
                    let number =
                        header[5..11].iter().fold(0, |it, octet| it << 8 | u64::from(*octet));
                    match path.numbers(side).note(number, hash(&[record])) {
                        Use::First | Use::Again => {}
                        Use::Otherwise | Use::Older => shown.reused = Some(number),
                    }
                }
            }
        }
        shown
    }
}

impl Checkers {
    /// Something happened between two devices.
    pub(super) fn pair(&mut self, now: Instant, id: StationId, event: &PairEvent, flash: &Flash) {
        match event {
            PairEvent::Opened { peer, .. } => {
                let fault = self.pair_fault(now, id, *peer);
                self.find_all(now, fault);
            }
            PairEvent::ShareStored(name) if !holds_share(flash, *name) => {
                self.find(now, Fault::KeysNotStored { station: id });
            }
            PairEvent::Sent { dst, dst_port, octets } => {
                let Some(other) = self.station_at(id, *dst) else { return };
                let by_caller = *dst_port == PAIR_PORT;
                let two = if by_caller { (id, other) } else { (other, id) };
                let shown = self.pairs.sent(two, by_caller, octets);
                let reused = shown.reused;
                let reused = reused.map(|number| Fault::PairNumberReused { station: id, number });
                let peer = self.eui64s[other.index()].filter(|_| shown.data);
                let fault = peer.and_then(|peer| self.pair_fault(now, id, peer));
                self.find_all(now, reused.into_iter().chain(fault));
            }
            _ => {}
        }
    }

    /// Whether somebody has a session with who is no member, and was none for long enough.
    fn pair_fault(&self, now: Instant, station: StationId, peer: Eui64) -> Option<Fault> {
        let own = self.eui64s.get(station.index()).copied().flatten()?;
        let is_in = |eui64: &Eui64| {
            let expelled = self.expelled.get(eui64);
            self.domain.admitted.contains(eui64)
                || expelled.is_some_and(|at| now - *at <= SHUT_OUT_WITHIN)
        };
        let told = self.decisions == Decisions::Told;
        // What those do who are out is their business, unless a member takes part.
        let fault = told && is_in(&own) && !is_in(&peer);
        fault.then_some(Fault::PairNotAdmitted { station, peer })
    }

    /// Who has an address in the mesh of a station, or beside it.
    fn station_at(&self, id: StationId, addr: Ipv6Addr) -> Option<StationId> {
        if addr.is_unicast_link_local() {
            let mut beside = self.stations.iter();
            let found = beside.find(|(eui64, _)| Iid::from(**eui64).link_local() == addr);
            return found.map(|(_, station)| *station);
        }
        let [.., 0, 0, 0, 0xff, 0xfe, 0, high, low] = addr.octets() else { return None };
        let short = ShortAddr::new(u16::from_be_bytes([high, low]))?;
        let owner = self.domain.owners.get(&(self.domain.pan_of_station(id)?, short))?;
        self.stations.get(owner).copied()
    }
}

/// Whether a flash holds a share of that polynomial, whole.
fn holds_share(flash: &Flash, name: SetName) -> bool {
    let record = |key: RecordKey| Record::parse(key, flash.get(&key)?);
    let Some(Record::Pairs { held: (named, octets), .. }) = record(RecordKey::Pairs) else {
        return false;
    };
    let slot = name.generation & 1;
    let parts = (0..=u8::MAX).map_while(|part| record(RecordKey::PairShare { slot, part }));
    let there = parts.map_while(|it| match it {
        Record::PairShare { name: of, octets, .. } if of == name => Some(octets.len()),
        _ => None,
    });
    named == name && there.sum::<usize>() == usize::from(octets)
}

impl Path {
    /// The random of a hello stands behind its version.
    fn hello(&mut self, message: &[u8]) {
        let first = message.get(6..9) == Some(&[0; 3]);
        let body = message.get(MESSAGE_HEADER_OCTETS + 2..).unwrap_or_default();
        let side = match message.first() {
            Some(&CLIENT_HELLO) => 0,
            Some(&SERVER_HELLO) => 1,
            _ => return,
        };
        if let (true, Some(random)) = (first, body.first_chunk()) {
            self.randoms[side] = *random;
        }
    }

    fn agreed(&self) -> u64 {
        hash(&[&self.randoms[0], &self.randoms[1]])
    }

    fn numbers(&mut self, side: usize) -> &mut Numbers {
        let (key, known) = (self.keys[side], &mut self.numbers[side]);
        let at = known.iter().position(|(of, _)| *of == key).unwrap_or_else(|| {
            if known.len() >= KEYS_MAX {
                known.pop_front();
            }
            known.push_back((key, Numbers::default()));
            known.len() - 1
        });
        &mut known[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Two = (StationId(1), StationId(2));

    fn record(kind: u8, epoch: u8, number: u8, body: &[u8]) -> Vec<u8> {
        let header = [kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number, 0, body.len() as u8];
        [&header[..], body].concat()
    }

    fn hello(kind: u8, random: u8) -> Vec<u8> {
        let header = [kind, 0, 0, 34, 0, 0, 0, 0, 0, 0, 0, 34];
        record(HANDSHAKE, 0, 0, &[&header[..], &[0xfe, 0xfd], &[random; 32]].concat())
    }

    fn session(pairs: &mut Pairs, randoms: [u8; 2]) {
        pairs.sent(TWO, true, &hello(CLIENT_HELLO, randoms[0]));
        pairs.sent(TWO, false, &hello(SERVER_HELLO, randoms[1]));
        for by_caller in [true, false] {
            pairs.sent(TWO, by_caller, &record(CHANGE_CIPHER_SPEC, 0, 1, &[1]));
        }
    }

    #[test]
    fn a_number_is_for_one_record_under_one_key() {
        let mut pairs = Pairs::default();
        session(&mut pairs, [1, 2]);
        let mut send = |side, number, body: &[u8]| {
            pairs.sent(TWO, side, &record(APPLICATION_DATA, 1, number, body)).reused
        };
        assert_eq!(send(true, 1, b"a"), None);
        assert_eq!(send(true, 1, b"a"), None, "sent again");
        assert_eq!(send(false, 1, b"b"), None, "the other's key");
        assert_eq!(send(true, 1, b"b"), Some(1));
        session(&mut pairs, [3, 2]);
        let mut send = |body: &[u8]| pairs.sent(TWO, true, &record(APPLICATION_DATA, 1, 1, body));
        assert_eq!(send(b"c").reused, None, "another session");
        assert!(send(b"c").data);
        session(&mut pairs, [1, 2]);
        let again = pairs.sent(TWO, true, &record(APPLICATION_DATA, 1, 1, b"d"));
        assert_eq!(again.reused, Some(1), "the keys of the first");
    }

    #[test]
    fn no_octets_panic() {
        let mut pairs = Pairs::default();
        for len in 0..40 {
            pairs.sent(TWO, true, &hello(CLIENT_HELLO, 1)[..len]);
            pairs.sent(TWO, true, &vec![HANDSHAKE; len]);
        }
    }
}
