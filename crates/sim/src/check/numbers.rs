//! Numbers that must not be used twice under one key, and what each was used for.
//!
//! **Bound:** the [`WINDOW`] highest numbers of a key. A number below them is known to be old, no more.

use std::collections::VecDeque;

/// Numbers remembered of each key.
pub(super) const WINDOW: usize = 128;

/// What is known of a number and a use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It was not used yet.
    First,
    /// It was used for the same.
    Again,
    /// It was used for something else.
    Otherwise,
    /// It is below all that are remembered.
    Older,
}

/// The numbers of one key.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// A number and the hash of what it was used for, rising.
    used: VecDeque<(u64, u64)>,
}

impl Numbers {
    /// What is known of a number.
    pub(super) fn look_up(&self, number: u64, value: u64) -> Use {
        match self.place(number) {
            Ok(at) if self.used[at].1 == value => Use::Again,
            Ok(_) => Use::Otherwise,
            Err(0) if self.used.len() >= WINDOW => Use::Older,
            Err(_) => Use::First,
        }
    }

    /// A number is used; what was known of it.
    pub(super) fn note(&mut self, number: u64, value: u64) -> Use {
        let known = self.look_up(number, value);
        if let (Use::First, Err(at)) = (known, self.place(number)) {
            self.used.insert(at, (number, value));
            if self.used.len() > WINDOW {
                self.used.pop_front();
            }
        }
        known
    }

    fn place(&self, number: u64) -> Result<usize, usize> {
        self.used.binary_search_by_key(&number, |(used, _)| *used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_by_its_use_until_it_is_old() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.note(7, 1), Use::First);
        assert_eq!(numbers.note(7, 1), Use::Again);
        assert_eq!(numbers.note(7, 2), Use::Otherwise);
        assert_eq!(numbers.note(5, 3), Use::First, "late, and not used before");
        for number in 8..=6 + WINDOW as u64 {
            assert_eq!(numbers.note(number, number), Use::First);
        }
        assert_eq!(numbers.note(7, 2), Use::Otherwise, "the lowest remembered");
        assert_eq!(numbers.note(5, 3), Use::Older);
        assert_eq!(numbers.used.len(), WINDOW);
    }
}
