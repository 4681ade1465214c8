//! What each neighbour's next frame must at least count to, for each key.
//!
//! **Invariant:** an entry lives as long as a key it has a counter under. Nothing is evicted: an
//! evicted neighbour's frames could be replayed, and a common floor for the evicted would shut out
//! newcomers, whose counters are low. A full table refuses further neighbours, by name, until a key
//! is retired. Twice the planned number of neighbours costs 3 KiB.

use crate::keys::Slot;
use crate::upper::{KEYS_MAX, NEIGHBOURS_MAX};
use lowgate_ieee802154::FrameCounter;
use lowgate_units::{Eui64, List};

/// The receive counters, at most [`NEIGHBOURS_MAX`] neighbours.
pub(crate) struct Neighbours {
    entries: List<Neighbour, NEIGHBOURS_MAX>,
}

struct Neighbour {
    eui64: Eui64,
    /// The lowest counter still acceptable, by slot of the key; 0 where none was heard.
    next: [u32; KEYS_MAX],
}

/// No room for another neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableFull;

impl Neighbours {
    pub(crate) const fn new() -> Self {
        Self { entries: List::new() }
    }

    /// Never heard before, as far as the counter tells.
    pub(crate) fn is_fresh(&self, eui64: Eui64, slot: Slot, counter: FrameCounter) -> bool {
        let entry = self.entries.iter().find(|entry| entry.eui64 == eui64);
        entry.is_none_or(|entry| entry.next[slot.0] <= counter.0)
    }

    /// After the tag was right, and only then: a forger must not move a counter.
    pub(crate) fn heard(
        &mut self,
        eui64: Eui64,
        slot: Slot,
        counter: FrameCounter,
    ) -> Result<(), TableFull> {
        let next = counter.0.saturating_add(1);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.eui64 == eui64) {
            entry.next[slot.0] = entry.next[slot.0].max(next);
            return Ok(());
        }
        let mut entry = Neighbour { eui64, next: [0; KEYS_MAX] };
        entry.next[slot.0] = next;
        self.entries.push(entry).map_err(|_| TableFull)
    }

    /// The key is gone, so are its counters, and whoever had no others.
    pub(crate) fn forget_key(&mut self, slot: Slot) {
        for entry in &mut self.entries {
            entry.next[slot.0] = 0;
        }
        self.entries.retain(|entry| entry.next.iter().any(|next| *next > 0));
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eui64(number: usize) -> Eui64 {
        Eui64((number as u64).to_be_bytes())
    }

    #[test]
    fn counters_rise_strictly_per_neighbour_and_key() {
        let mut table = Neighbours::new();
        let (a, b) = (Slot(0), Slot(1));
        assert!(table.is_fresh(eui64(1), a, FrameCounter(0)));
        assert_eq!(table.heard(eui64(1), a, FrameCounter(7)), Ok(()));
        assert!(!table.is_fresh(eui64(1), a, FrameCounter(0)));
        assert!(!table.is_fresh(eui64(1), a, FrameCounter(7)));
        assert!(table.is_fresh(eui64(1), a, FrameCounter(8)));
        assert!(table.is_fresh(eui64(1), b, FrameCounter(0)));
        assert!(table.is_fresh(eui64(2), a, FrameCounter(0)));
    }

    #[test]
    fn a_full_table_refuses_newcomers_and_forgets_nobody() {
        let mut table = Neighbours::new();
        for number in 0..NEIGHBOURS_MAX {
            assert_eq!(table.heard(eui64(number), Slot(0), FrameCounter(5)), Ok(()));
        }
        assert_eq!(table.heard(eui64(9999), Slot(0), FrameCounter(5)), Err(TableFull));
        assert_eq!(table.heard(eui64(0), Slot(0), FrameCounter(6)), Ok(()));
        for number in 0..NEIGHBOURS_MAX {
            assert!(!table.is_fresh(eui64(number), Slot(0), FrameCounter(5)));
        }
    }

    #[test]
    fn a_retired_key_frees_those_who_used_no_other() {
        let mut table = Neighbours::new();
        for number in 0..NEIGHBOURS_MAX {
            assert_eq!(table.heard(eui64(number), Slot(0), FrameCounter(5)), Ok(()));
        }
        assert_eq!(table.heard(eui64(0), Slot(1), FrameCounter(3)), Ok(()));
        table.forget_key(Slot(0));
        assert_eq!(table.entries.len(), 1);
        assert!(!table.is_fresh(eui64(0), Slot(1), FrameCounter(3)));
        assert!(table.is_fresh(eui64(0), Slot(0), FrameCounter(0)));
    }
}
