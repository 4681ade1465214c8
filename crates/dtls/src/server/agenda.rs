//! What is to be done when: the earliest first, found without looking at the rest.
//!
//! **Invariant:** both trees say the same; nobody has two times.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use lowgate_units::Instant;

/// A time for each of some.
pub(super) struct Agenda<K> {
    times: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { times: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Agenda<K> {
    /// In place of the time that it had.
    pub(super) fn put(&mut self, key: &K, at: Instant) {
        if self.times.get(key) == Some(&at) {
            return;
        }
        self.remove(key);
        self.times.insert(key.clone(), at);
        self.order.insert((at, key.clone()));
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, key: &K) -> bool {
        let Some(at) = self.times.remove(key) else { return false };
        self.order.remove(&(at, key.clone()))
    }

    /// The earliest time.
    pub(super) fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// All whose time has come, by their names: it does not matter how late the owner woke up.
    pub(super) fn due(&self, now: Instant) -> Vec<K> {
        let due = self.order.iter().take_while(|(at, _)| *at <= now);
        let mut due: Vec<K> = due.map(|(_, key)| key.clone()).collect();
        due.sort();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As if all were looked at each time.
        #[test]
        fn the_earliest_is_found(steps in prop::collection::vec((0u8..8, 0u64..20, 0u64..20), 0..60)) {
            let (mut agenda, mut plain) = (Agenda::default(), BTreeMap::new());
            for (key, at, now) in steps {
                let (at, now) = (Instant::from_secs(at), Instant::from_secs(now));
                if at > now {
                    agenda.put(&key, at);
                    plain.insert(key, at);
                } else {
                    prop_assert_eq!(agenda.remove(&key), plain.remove(&key).is_some());
                }
                prop_assert_eq!(agenda.first(), plain.values().min().copied());
                let due: Vec<u8> = plain.iter().filter(|it| *it.1 <= now).map(|it| *it.0).collect();
                prop_assert_eq!(agenda.due(now), due);
                prop_assert_eq!(agenda.times.len(), agenda.order.len());
            }
        }
    }
}
