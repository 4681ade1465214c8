//! The slots in which datagrams grow together, RFC 4944 section 5.3.
//! **Bounds:** a slot holds one datagram of up to [`DATAGRAM_OCTETS_MAX`] octets.

use core::time::Duration;

use heapless::Vec;
use lowgate_units::{Instant, List};

use crate::frag::{DatagramSize, DatagramTag};
use crate::reassembly::{REASSEMBLY_STALE_AFTER, REASSEMBLY_TIMEOUT, ReceiveDrop};
use crate::{DATAGRAM_OCTETS_MAX, LinkPair};

/// What all fragments of a datagram have in common, besides their security.
// RFC 4944 section 5.3: source, destination, datagram_size and datagram_tag identify a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) link: LinkPair,
    pub(crate) size: DatagramSize,
    pub(crate) tag: DatagramTag,
}

/// What a fragment did for its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Others are missing.
    Waiting,
    /// It was the last one missing: [`Pool::take`] the datagram.
    Complete,
}

/// How long a finished datagram is remembered, so that a repeated fragment opens no new slot.
const FINISHED_FOR: Duration = Duration::from_secs(1);

/// Finished datagrams remembered per pool.
const FINISHED_MAX: usize = 8;

/// Octets in a unit of the received map.
const UNIT: usize = 8;
/// Units of the largest datagram.
const UNITS_MAX: usize = DATAGRAM_OCTETS_MAX / UNIT;

/// A datagram on its way to completeness.
#[derive(Debug)]
struct Slot {
    key: Key,
    /// When the datagram is given up.
    deadline: Instant,
    /// When the latest new fragment came.
    touched: Instant,
    /// Units that are there.
    received: UnitMap,
    /// Units at which a fragment began: with `received`, the bounds of every fragment.
    begun: UnitMap,
    octets: List<u8, DATAGRAM_OCTETS_MAX>,
}

/// How a fragment relates to those that are there.
enum Relation {
    New,
    Duplicate,
    Contradiction,
}

impl Slot {
    /// `None` for a datagram larger than any of the mesh.
    fn new(now: Instant, key: Key) -> Option<Self> {
        let mut octets = List::<u8, DATAGRAM_OCTETS_MAX>::new();
        octets.resize_default(key.size.octets()).ok()?;
        Some(Self {
            key,
            deadline: now + REASSEMBLY_TIMEOUT,
            touched: now,
            received: UnitMap::EMPTY,
            begun: UnitMap::EMPTY,
            octets,
        })
    }

    /// Forgets every fragment. The octets stay; nothing reads what is not marked received.
    fn restart(&mut self, now: Instant) {
        self.deadline = now + REASSEMBLY_TIMEOUT;
        self.received = UnitMap::EMPTY;
        self.begun = UnitMap::EMPTY;
    }

    // RFC 4944 section 5.3: a fragment that overlaps another and differs in size or offset makes
    // the accumulated ones be discarded. Ours also when the octets differ: two datagrams are mixed.
    fn relation(&self, offset: usize, octets: &[u8]) -> Relation {
        let (first, end) = (offset / UNIT, (offset + octets.len()).div_ceil(UNIT));
        let there = (first..end).filter(|unit| self.received.contains(*unit)).count();
        if there == 0 {
            return Relation::New;
        }
        let same_begin = self.begun.contains(first);
        let same_end = (first + 1..end).all(|unit| !self.begun.contains(unit))
            && (!self.received.contains(end) || self.begun.contains(end));
        let same_octets = self.octets.get(offset..offset + octets.len()) == Some(octets);
        if there == end - first && same_begin && same_end && same_octets {
            Relation::Duplicate
        } else {
            Relation::Contradiction
        }
    }

    fn write(&mut self, now: Instant, offset: usize, octets: &[u8]) {
        let end = offset + octets.len();
        let Some(to) = self.octets.get_mut(offset..end) else { return };
        to.copy_from_slice(octets);
        self.begun.insert(offset / UNIT);
        for unit in offset / UNIT..end.div_ceil(UNIT) {
            self.received.insert(unit);
        }
        self.touched = now;
    }

    fn is_complete(&self) -> bool {
        (0..self.key.size.octets().div_ceil(UNIT)).all(|unit| self.received.contains(unit))
    }
}

const WORDS: usize = UNITS_MAX.div_ceil(32);

/// A set of units of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnitMap([u32; WORDS]);

impl UnitMap {
    const EMPTY: Self = Self([0; WORDS]);

    fn contains(&self, unit: usize) -> bool {
        self.0.get(unit / 32).is_some_and(|word| word >> (unit % 32) & 1 == 1)
    }

    fn insert(&mut self, unit: usize) {
        if let Some(word) = self.0.get_mut(unit / 32) {
            *word |= 1 << (unit % 32);
        }
    }
}

/// The slots for one kind of security.
#[derive(Debug)]
pub(crate) struct Pool<const SLOTS: usize> {
    slots: Vec<Slot, SLOTS>,
    /// Datagrams completed a moment ago, and until when to remember them.
    finished: Vec<(Key, Instant), FINISHED_MAX>,
}

impl<const SLOTS: usize> Pool<SLOTS> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), finished: Vec::new() }
    }

    /// Puts a fragment to the others of its datagram.
    pub(crate) fn place(
        &mut self,
        now: Instant,
        key: Key,
        offset: usize,
        octets: &[u8],
        abandoned: &mut u16,
    ) -> Result<Placed, ReceiveDrop> {
        let end = offset + octets.len();
        if end > key.size.octets() {
            return Err(ReceiveDrop::BeyondDatagram);
        }
        // RFC 4944 section 5.3: all link fragments except the last MUST be multiples of 8 octets.
        if end != key.size.octets() && !end.is_multiple_of(UNIT) {
            return Err(ReceiveDrop::Unaligned);
        }
        if self.finished.iter().any(|(finished, _)| *finished == key) {
            return Err(ReceiveDrop::AlreadyComplete);
        }
        let index = match self.slots.iter().position(|slot| slot.key == key) {
            Some(index) => index,
            None => self.admit(now, key, abandoned)?,
        };
        let slot = self.slots.get_mut(index).ok_or(ReceiveDrop::NoSlot)?;
        let relation = slot.relation(offset, octets);
        match relation {
            Relation::New => {}
            Relation::Duplicate => return Ok(Placed::Waiting),
            // RFC 4944 section 5.3: a fresh reassembly may be commenced with the most recently
            // received fragment. A sender that restarted and reuses the tag gets through.
            Relation::Contradiction => slot.restart(now),
        }
        slot.write(now, offset, octets);
        if slot.is_complete() {
            return Ok(Placed::Complete);
        }
        match relation {
            Relation::New | Relation::Duplicate => Ok(Placed::Waiting),
            Relation::Contradiction => Err(ReceiveDrop::Overlap),
        }
    }

    /// Moves a complete datagram to `out` and its slot to another.
    pub(crate) fn take(&mut self, now: Instant, key: Key, out: &mut [u8]) {
        let Some(index) = self.slots.iter().position(|slot| slot.key == key) else { return };
        let len = key.size.octets();
        let from = self.slots.get(index).and_then(|slot| slot.octets.get(..len));
        if let (Some(from), Some(to)) = (from, out.get_mut(..len)) {
            to.copy_from_slice(from);
        }
        self.finish(now, key);
    }

    /// Whatever there is of a datagram goes, and what is to come of it for a while is not kept.
    pub(crate) fn finish(&mut self, now: Instant, key: Key) {
        self.slots.retain(|slot| slot.key != key);
        self.finished.retain(|(finished, _)| *finished != key);
        if self.finished.is_full() {
            self.finished.remove(0);
        }
        let _ = self.finished.push((key, now + FINISHED_FOR)); // There is room for one now.
    }

    /// Opens a slot, if need be instead of the one that has been silent longest. One that lacks its beginning
    /// goes at once: neighbours send in order, so that it will not be complete.
    fn admit(&mut self, now: Instant, key: Key, abandoned: &mut u16) -> Result<usize, ReceiveDrop> {
        let slot = Slot::new(now, key).ok_or(ReceiveDrop::NoSlot)?;
        if self.slots.is_full() {
            let silent = |slot: &Slot| now.since(slot.touched) >= REASSEMBLY_STALE_AFTER;
            let headless = |slot: &Slot| !slot.received.contains(0);
            let (index, _) = (self.slots.iter().enumerate())
                .filter(|(_, slot)| silent(slot) || headless(slot))
                .min_by_key(|(_, slot)| (!headless(slot), slot.touched))
                .ok_or(ReceiveDrop::NoSlot)?;
            self.slots.swap_remove(index);
            *abandoned = abandoned.saturating_add(1);
        }
        self.slots.push(slot).map_err(|_| ReceiveDrop::NoSlot)?;
        Ok(self.slots.len() - 1)
    }

    pub(crate) fn expire(&mut self, now: Instant, abandoned: &mut u16) {
        let before = self.slots.len();
        self.slots.retain(|slot| slot.deadline > now);
        let gone = u16::try_from(before - self.slots.len()).unwrap_or(u16::MAX);
        *abandoned = abandoned.saturating_add(gone);
        self.finished.retain(|(_, until)| *until > now);
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.finished.clear();
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.slots.iter().map(|slot| slot.deadline).min().unwrap_or(Instant::FAR_FUTURE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_has_a_place() {
        let mut map = UnitMap::EMPTY;
        map.insert(UNITS_MAX - 1);
        assert!(map.contains(UNITS_MAX - 1) && !map.contains(UNITS_MAX - 2));
    }
}
