//! Frames: who sealed what under which counter, and what each station heard and opened.
//!
//! **Bounds:** of each sender the latest [`KEYS_MAX`] keys with a window of counters each; of each station,
//! since it has power, the highest counter opened of at most [`OPENED_MAX`] senders and keys, and whom it heard
//! without security: honest stations, and the last [`STRANGERS_MAX`] others. A frame whose counter is below its
//! sender's window counts as genuine, for nobody remembers: that it is an old one is told by what the station
//! opened.

use super::numbers::{Numbers, Use};
use super::{Fault, LinkKeyName};
use crate::medium::StationId;
use lowgate_units::Eui64;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Keys remembered of each sender: the one before, the one in force, the staged one, and one more.
const KEYS_MAX: usize = 4;
/// Senders and keys remembered of each station.
const OPENED_MAX: usize = 512;
/// Of those that no honest station is, remembered of each station.
const STRANGERS_MAX: usize = 1024;

/// Source, key and counter of a secured frame.
pub(crate) type Secured = (Eui64, LinkKeyName, u32);

#[derive(Default)]
struct Receiver {
    /// The highest counter opened.
    opened: BTreeMap<(Eui64, LinkKeyName), u32>,
    /// Some of them had to be forgotten.
    forgot: bool,
    /// Honest stations heard without security.
    neighbours: BTreeSet<Eui64>,
    /// Others, the latest last.
    strangers: VecDeque<Eui64>,
}

/// The book.
pub(super) struct Frames {
    sealers: BTreeMap<Eui64, VecDeque<(LinkKeyName, Numbers)>>,
    receivers: Vec<Receiver>,
}

impl Frames {
    /// Of so many stations.
    pub(super) fn new(stations: usize) -> Self {
        let receivers = (0..stations).map(|_| Receiver::default()).collect();
        Self { sealers: BTreeMap::new(), receivers }
    }

    /// Somebody sealed a frame and sends it, for the first time or again.
    pub(super) fn sealed(&mut self, (src, key, counter): Secured, hash: u64) -> Use {
        let keys = self.sealers.entry(src).or_default();
        let at = keys.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            if keys.len() >= KEYS_MAX {
                keys.pop_front();
            }
            keys.push_back((key, Numbers::default()));
            keys.len() - 1
        });
        keys[at].1.note(u64::from(counter), hash)
    }

    /// Whether its source sealed this frame, as far as anybody remembers.
    fn is_genuine(&self, (src, key, counter): Secured, hash: u64) -> bool {
        let Some(keys) = self.sealers.get(&src) else { return false };
        let numbers = keys.iter().find(|(known, _)| *known == key).map(|(_, numbers)| numbers);
        match numbers.map(|numbers| numbers.look_up(u64::from(counter), hash)) {
            Some(Use::Again | Use::Older) => true,
            Some(Use::First | Use::Otherwise) => false,
            // Older keys were forgotten; a sender that has fewer never used this one.
            None => keys.len() >= KEYS_MAX,
        }
    }

    /// A station opened a frame of `src`.
    pub(super) fn opened(
        &mut self,
        station: StationId,
        src: Eui64,
        secured: Option<Secured>,
        hash: u64,
    ) -> Option<Fault> {
        let forged = Some(Fault::ForgedFrameOpened { station, src });
        let Some((_, key, counter)) =
            secured.filter(|it| it.0 == src && self.is_genuine(*it, hash))
        else {
            return forged;
        };
        self.note_opened(station, src, key, counter)
    }

    /// A station opened a frame that somebody sealed who holds the key, in the name of `src`.
    pub(super) fn opened_insiders(
        &mut self,
        station: StationId,
        src: Eui64,
        secured: Option<Secured>,
    ) -> Option<Fault> {
        let Some((_, key, counter)) = secured.filter(|it| it.0 == src) else {
            return Some(Fault::ForgedFrameOpened { station, src });
        };
        self.note_opened(station, src, key, counter)
    }

    fn note_opened(
        &mut self,
        station: StationId,
        src: Eui64,
        key: LinkKeyName,
        counter: u32,
    ) -> Option<Fault> {
        let receiver = self.receivers.get_mut(station.index())?;
        let opened = &mut receiver.opened;
        if opened.get(&(src, key)).is_some_and(|highest| *highest >= counter) {
            return Some(Fault::ReplayOpened { station, src });
        }
        opened.insert((src, key), counter);
        if opened.len() > OPENED_MAX {
            opened.retain(|(_, of), _| *of == key);
            if opened.len() > OPENED_MAX {
                opened.pop_first();
            }
            receiver.forgot = true;
        }
        None
    }

    /// A station says that it saw a genuine frame before.
    pub(super) fn refused(
        &self,
        station: StationId,
        (src, key, counter): Secured,
    ) -> Option<Fault> {
        let receiver = self.receivers.get(station.index())?;
        let newest = match receiver.opened.get(&(src, key)) {
            Some(highest) => *highest < counter,
            None => !receiver.forgot,
        };
        newest.then_some(Fault::FreshFrameRefused { station, src })
    }

    /// A station's radio heard an unsecured frame of `src`, who is an honest station or not.
    pub(super) fn heard_unsecured(&mut self, station: StationId, src: Eui64, honest: bool) {
        let Some(receiver) = self.receivers.get_mut(station.index()) else { return };
        if honest {
            receiver.neighbours.insert(src);
            return;
        }
        receiver.strangers.retain(|heard| *heard != src);
        if receiver.strangers.len() >= STRANGERS_MAX {
            receiver.strangers.pop_front();
        }
        receiver.strangers.push_back(src);
    }

    /// A station sends an unsecured datagram to `dst`.
    pub(super) fn addressed_unsecured(&self, station: StationId, dst: Eui64) -> Option<Fault> {
        let receiver = self.receivers.get(station.index())?;
        let heard = receiver.neighbours.contains(&dst) || receiver.strangers.contains(&dst);
        (!heard).then_some(Fault::UnheardAddressed { station, dst })
    }

    /// A station lost its power: what it opened it will not know again.
    pub(super) fn powered_off(&mut self, station: StationId) {
        if let Some(receiver) = self.receivers.get_mut(station.index()) {
            *receiver = Receiver::default();
        }
    }
}
