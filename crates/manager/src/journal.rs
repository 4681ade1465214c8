//! Which revision is stored, which is out to be stored, what goes into the next.
//!
//! **Invariant:** one batch is out at a time, and revisions are given without gaps.

use crate::change::{Batch, Change};

/// The way of changes to the store.
#[derive(Debug)]
pub(crate) struct Journal {
    committed: u64,
    in_flight: bool,
    pending: Vec<Change>,
}

impl Journal {
    /// Nothing is out; the store holds `committed`.
    pub(crate) const fn new(committed: u64) -> Self {
        Self { committed, in_flight: false, pending: Vec::new() }
    }

    /// Takes changes in; they are stored together, as part of the revision returned.
    pub(crate) fn record(&mut self, changes: &[Change]) -> u64 {
        self.pending.extend_from_slice(changes);
        self.newest()
    }

    /// The revision that holds everything recorded so far.
    pub(crate) fn newest(&self) -> u64 {
        self.committed + u64::from(self.in_flight) + u64::from(!self.pending.is_empty())
    }

    /// The last revision stored.
    pub(crate) const fn committed(&self) -> u64 {
        self.committed
    }

    /// Whether everything recorded is stored.
    pub(crate) fn is_settled(&self) -> bool {
        self.newest() == self.committed
    }

    /// The next batch for the store, if it is time for one.
    pub(crate) fn take_batch(&mut self) -> Option<Batch> {
        if self.in_flight || self.pending.is_empty() {
            return None;
        }
        self.in_flight = true;
        let changes = std::mem::take(&mut self.pending);
        Some(Batch { revision: self.committed + 1, changes })
    }

    /// The store has `revision`. Returns whether that was the one that was out.
    pub(crate) fn commit(&mut self, revision: u64) -> bool {
        let expected = self.in_flight && revision == self.committed + 1;
        if expected {
            self.committed = revision;
            self.in_flight = false;
        }
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_gather_while_a_batch_is_out() {
        let mut journal = Journal::new(4);
        assert!(journal.is_settled() && journal.take_batch().is_none());
        assert_eq!(journal.record(&[Change::WindowClosed]), 5);
        assert_eq!(journal.record(&[Change::WindowClosed]), 5);
        assert_eq!(journal.take_batch().map(|b| (b.revision, b.changes.len())), Some((5, 2)));
        assert_eq!(journal.record(&[Change::WindowClosed]), 6);
        assert!(journal.take_batch().is_none(), "one at a time");
        assert!(!journal.commit(6) && journal.commit(5) && !journal.commit(5));
        assert!(!journal.is_settled());
        assert_eq!(journal.take_batch().map(|b| b.revision), Some(6));
        assert!(journal.commit(6) && journal.is_settled());
    }
}
