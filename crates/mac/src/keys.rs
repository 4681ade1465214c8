//! Link-layer keys and our own frame counters under them.
//!
//! **Invariant:** a counter is given out once, in rising order, and only below what storage holds.

use crate::upper::{COUNTER_BLOCK, COUNTER_LOW_WATER, KEYS_MAX};
use lowgate_crypto::Key128;
use lowgate_ieee802154::{FrameCounter, KeyIndex};
use lowgate_units::planted::{Fault, planted};

/// Names a place in the ring while the key there lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) usize);

/// The keys, at most [`KEYS_MAX`]; every one opens, the active one seals.
pub(crate) struct KeyRing {
    keys: [Option<LinkKey>; KEYS_MAX],
    active: Option<Slot>,
}

struct LinkKey {
    index: KeyIndex,
    key: Key128,
    /// The next counter to send with.
    next: u32,
    /// Storage holds this bound: counters below it may be used.
    reserved: u32,
    /// The bound last asked for.
    asked: u32,
}

/// What became of the slot that a key was installed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// It was there already, with these octets.
    Known,
    /// It is another key than whatever used this slot before.
    Fresh(Slot),
}

/// The ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingFull;

/// Why there is no counter to send with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoCounter {
    NoActiveKey,
    NotReserved,
    Exhausted,
}

impl KeyRing {
    pub(crate) const fn new() -> Self {
        Self { keys: [const { None }; KEYS_MAX], active: None }
    }

    pub(crate) fn install(
        &mut self,
        index: KeyIndex,
        key: Key128,
        floor: FrameCounter,
    ) -> Result<Installed, RingFull> {
        let slot = self.find(index);
        if let Some(known) = slot.and_then(|slot| self.keys[slot.0].as_mut())
            && known.key == key
        {
            known.next = known.next.max(floor.0);
            return Ok(Installed::Known);
        }
        let free = || self.keys.iter().position(Option::is_none).map(Slot);
        let slot = slot.or_else(free).ok_or(RingFull)?;
        if self.active == Some(slot) {
            self.active = None;
        }
        let FrameCounter(next) = floor;
        self.keys[slot.0] = Some(LinkKey { index, key, next, reserved: next, asked: next });
        Ok(Installed::Fresh(slot))
    }

    /// `None` if the key is not there.
    pub(crate) fn activate(&mut self, index: KeyIndex) -> Option<Slot> {
        let slot = self.find(index)?;
        self.active = Some(slot);
        Some(slot)
    }

    /// The slot that is free now.
    pub(crate) fn retire(&mut self, index: KeyIndex) -> Option<Slot> {
        let slot = self.find(index)?;
        self.keys[slot.0] = None;
        if self.active == Some(slot) {
            self.active = None;
        }
        Some(slot)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn find(&self, index: KeyIndex) -> Option<Slot> {
        let is_it = |key: &Option<LinkKey>| key.as_ref().is_some_and(|key| key.index == index);
        self.keys.iter().position(is_it).map(Slot)
    }

    pub(crate) fn key(&self, slot: Slot) -> Option<&Key128> {
        self.keys[slot.0].as_ref().map(|key| &key.key)
    }

    pub(crate) fn active(&self) -> Option<KeyIndex> {
        let slot = self.active?;
        self.keys[slot.0].as_ref().map(|key| key.index)
    }

    /// The active key has counters left, but storage has yet to hold them.
    pub(crate) fn counters_wait(&self) -> bool {
        let active = self.active.and_then(|slot| self.keys[slot.0].as_ref());
        active.is_some_and(|key| {
            key.next >= key.reserved
                && FrameCounter(key.next) != FrameCounter::EXHAUSTED
                && !planted(Fault::CounterUnreserved)
        })
    }

    /// The active key and a counter that no frame under it had or will have.
    pub(crate) fn take_counter(&mut self) -> Result<(&Key128, KeyIndex, FrameCounter), NoCounter> {
        let slot = self.active.ok_or(NoCounter::NoActiveKey)?;
        let key = self.keys[slot.0].as_mut().ok_or(NoCounter::NoActiveKey)?;
        if FrameCounter(key.next) == FrameCounter::EXHAUSTED {
            return Err(NoCounter::Exhausted);
        }
        if key.next >= key.reserved && !planted(Fault::CounterUnreserved) {
            return Err(NoCounter::NotReserved);
        }
        let counter = FrameCounter(key.next);
        key.next += 1;
        Ok((&key.key, key.index, counter))
    }

    /// What to store next. Each bound is asked for once, early enough that no frame waits for it.
    pub(crate) fn next_reservation(&mut self) -> Option<(KeyIndex, FrameCounter)> {
        self.keys.iter_mut().flatten().find_map(|key| {
            let running_low = key.asked.saturating_sub(key.next) < COUNTER_LOW_WATER;
            if !running_low || FrameCounter(key.asked) == FrameCounter::EXHAUSTED {
                return None;
            }
            key.asked = key.asked.max(key.next).saturating_add(COUNTER_BLOCK);
            Some((key.index, FrameCounter(key.asked)))
        })
    }

    /// Storage holds `below`. Bounds that nobody asked for do not count.
    pub(crate) fn reserved(&mut self, index: KeyIndex, below: FrameCounter) {
        let slot = self.find(index);
        if let Some(key) = slot.and_then(|slot| self.keys[slot.0].as_mut())
            && below.0 <= key.asked
        {
            key.reserved = key.reserved.max(below.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: KeyIndex = KeyIndex::new(1).expect("not 0");
    const OTHER: KeyIndex = KeyIndex::new(2).expect("not 0");

    fn key(octet: u8) -> Key128 {
        Key128::new([octet; 16])
    }

    fn ring(floor: u32) -> KeyRing {
        let mut ring = KeyRing::new();
        ring.install(INDEX, key(1), FrameCounter(floor)).expect("room");
        ring.activate(INDEX).expect("just installed");
        ring
    }

    fn counter(ring: &mut KeyRing) -> Result<u32, NoCounter> {
        ring.take_counter().map(|(_, _, counter)| counter.0)
    }

    #[test]
    fn nothing_is_used_before_it_is_stored() {
        let mut ring = ring(100);
        assert_eq!(counter(&mut ring), Err(NoCounter::NotReserved));
        let below = FrameCounter(100 + COUNTER_BLOCK);
        assert_eq!(ring.next_reservation(), Some((INDEX, below)));
        assert_eq!(ring.next_reservation(), None);
        assert_eq!(counter(&mut ring), Err(NoCounter::NotReserved));
        ring.reserved(INDEX, FrameCounter(below.0 + 1));
        assert_eq!(counter(&mut ring), Err(NoCounter::NotReserved));
        ring.reserved(INDEX, below);
        assert_eq!(counter(&mut ring), Ok(100));
        assert_eq!(counter(&mut ring), Ok(101));
    }

    #[test]
    fn the_next_block_is_asked_for_before_the_last_one_ends() {
        let mut ring = ring(0);
        let mut used = 0;
        while used < 5 * COUNTER_BLOCK {
            if let Some((index, below)) = ring.next_reservation() {
                ring.reserved(index, below);
            }
            assert_eq!(counter(&mut ring), Ok(used));
            used += 1;
        }
    }

    #[test]
    fn the_last_counter_is_the_last() {
        let mut ring = ring(u32::MAX - 2);
        assert_eq!(ring.next_reservation(), Some((INDEX, FrameCounter::EXHAUSTED)));
        ring.reserved(INDEX, FrameCounter::EXHAUSTED);
        assert_eq!(counter(&mut ring), Ok(u32::MAX - 2));
        assert_eq!(counter(&mut ring), Ok(u32::MAX - 1));
        assert_eq!(counter(&mut ring), Err(NoCounter::Exhausted));
        assert_eq!(ring.next_reservation(), None);
    }

    #[test]
    fn the_same_key_again_only_raises_the_floor() {
        let mut ring = ring(100);
        let reservation = ring.next_reservation().expect("first block");
        ring.reserved(reservation.0, reservation.1);
        assert_eq!(counter(&mut ring), Ok(100));
        assert_eq!(ring.install(INDEX, key(1), FrameCounter(0)), Ok(Installed::Known));
        assert_eq!(counter(&mut ring), Ok(101));
        assert_eq!(ring.install(INDEX, key(1), FrameCounter(9000)), Ok(Installed::Known));
        assert_eq!(counter(&mut ring), Err(NoCounter::NotReserved));
        let below = FrameCounter(9000 + COUNTER_BLOCK);
        assert_eq!(ring.next_reservation(), Some((INDEX, below)));
        ring.reserved(INDEX, below);
        assert_eq!(counter(&mut ring), Ok(9000));
    }

    #[test]
    fn another_key_under_the_index_is_not_active() {
        let mut ring = ring(0);
        let slot = ring.find(INDEX).expect("installed");
        assert_eq!(ring.install(INDEX, key(2), FrameCounter(0)), Ok(Installed::Fresh(slot)));
        assert_eq!(counter(&mut ring), Err(NoCounter::NoActiveKey));
        assert_eq!(ring.key(slot), Some(&key(2)));
    }

    #[test]
    fn the_ring_has_an_end_and_retired_keys_make_room() {
        let mut ring = ring(0);
        for raw in 2..=KEYS_MAX as u8 {
            let index = KeyIndex::new(raw).expect("not 0");
            assert!(ring.install(index, key(raw), FrameCounter(0)).is_ok());
        }
        let spare = KeyIndex::new(99).expect("not 0");
        assert_eq!(ring.install(spare, key(99), FrameCounter(0)), Err(RingFull));
        assert_eq!(ring.activate(spare), None);
        assert!(ring.retire(OTHER).is_some());
        assert!(ring.retire(OTHER).is_none());
        assert!(ring.install(spare, key(99), FrameCounter(0)).is_ok());
        assert_eq!(ring.active(), Some(INDEX));
        assert!(ring.retire(INDEX).is_some());
        assert_eq!(ring.active(), None);
    }
}
