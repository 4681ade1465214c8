//! Frame counters of keys that may come back: the first one that was not reserved under each.
//!
//! **Invariant:** storage holds no more of them than memory does, lest it fill up over the years.

use crate::api::Output;
use crate::flash::RecordKey;
use crate::node::Node;
use lowgate_amikey::KeyIndex;
use lowgate_mac::FrameCounter;

/// Keys whose counters are remembered: those a network uses at a time, and those before.
pub(crate) const FLOORS_MAX: usize = 8;

impl Node {
    /// Remembers the first counter not reserved under a key, for when the key comes back. The oldest key that
    /// is not in use makes room.
    pub(crate) fn note_floor(&mut self, index: KeyIndex, below: FrameCounter) {
        self.floors.retain(|(known, _)| *known != index);
        if self.floors.is_full() {
            let is_used = |key| self.link.as_ref().is_some_and(|link| link.holds(key));
            let oldest = self.floors.iter().position(|(known, _)| !is_used(*known));
            let (gone, _) = self.floors.remove(oldest.unwrap_or(0));
            self.push(Output::Erase(RecordKey::FrameCounter(gone)));
        }
        self.floors.push((index, below)).expect("room was made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::Record;
    use crate::outside::tests::light_with;
    use alloc::vec::Vec;
    use lowgate_units::Instant;

    #[test]
    fn what_memory_forgets_storage_does_too() {
        let index = |raw| KeyIndex::new(raw).expect("in range");
        let counters = (1..=12).map(|raw| Record::FrameCounter { index: index(raw), below: 1024 });
        let mut node = light_with(counters);
        let mut erased = Vec::new();
        loop {
            match node.poll(Instant::from_secs(1)) {
                Output::Erase(RecordKey::FrameCounter(index)) => erased.push(index.raw()),
                Output::Wait { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(erased, [1, 2, 3, 4]);
    }
}
