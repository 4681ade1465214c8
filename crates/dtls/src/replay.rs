//! The replay window of 64 records, RFC 6347 section 4.1.2.6.
//!
//! **Invariant:** asking moves nothing; only [`ReplayWindow::accept`] does, and its caller has
//! verified the tag. Otherwise a forger could push the window past every genuine record.

/// Which record numbers of one epoch and one sender have been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplayWindow {
    /// One above the highest number seen, 0 when none was.
    next: u64,
    /// Bit i: `next - 1 - i` was seen.
    seen: u64,
}

impl ReplayWindow {
    /// Everything below `next` counts as seen.
    pub(crate) const fn starting_at(next: u64) -> Self {
        Self { next, seen: u64::MAX }
    }

    /// Whether `seq` may still be accepted.
    pub(crate) const fn is_fresh(&self, seq: u64) -> bool {
        if seq >= self.next {
            return true;
        }
        let age = self.next - 1 - seq;
        age < 64 && self.seen >> age & 1 == 0
    }

    /// Whether `seq` is newer than all that was accepted.
    pub(crate) const fn is_newest(&self, seq: u64) -> bool {
        seq >= self.next
    }

    /// Marks `seq` as seen. Only after its tag was right.
    pub(crate) fn accept(&mut self, seq: u64) {
        if seq >= self.next {
            let shift = seq - self.next + 1;
            self.seen = if shift < 64 { self.seen << shift | 1 } else { 1 };
            self.next = seq + 1;
        } else if self.next - 1 - seq < 64 {
            self.seen |= 1 << (self.next - 1 - seq);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn edges_of_the_window() {
        let mut window = ReplayWindow::default();
        assert!(window.is_fresh(0));
        window.accept(100);
        assert!(!window.is_fresh(100) && window.is_fresh(99));
        assert!(window.is_fresh(37) && !window.is_fresh(36), "100 - 63 is the oldest");
        window.accept(37);
        assert!(!window.is_fresh(37));
        window.accept(101);
        assert!(!window.is_fresh(37) && window.is_fresh(38));
        window.accept((1 << 48) - 1);
        assert!(!window.is_fresh(101) && window.is_fresh((1 << 48) - 2));
    }

    #[test]
    fn a_floor_counts_as_seen() {
        let window = ReplayWindow::starting_at(1024);
        assert!(!window.is_fresh(1023) && window.is_fresh(1024));
    }

    proptest! {
        #[test]
        fn nothing_is_accepted_twice(seqs in prop::collection::vec(0u64..300, 0..200)) {
            let mut window = ReplayWindow::default();
            let mut model = BTreeSet::new();
            for seq in seqs {
                let highest = model.last().copied();
                let expected = !model.contains(&seq) && highest.is_none_or(|h| seq + 64 > h);
                prop_assert_eq!(window.is_fresh(seq), expected);
                if expected {
                    window.accept(seq);
                    model.insert(seq);
                }
            }
        }
    }
}
