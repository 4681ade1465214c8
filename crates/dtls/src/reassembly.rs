//! Handshake messages out of fragments, RFC 6347 section 4.2.3: in any order, overlapping, repeated.
//!
//! **Invariant:** memory is fixed; fragments of different messages never meet. Where fragments
//! contradict each other the latest wins, so that a forged one cannot spoil a slot for good: the
//! peer's next repetition heals it.

use crate::handshake::{Fragment, MessageType};
use crate::noise::RecordDrop;

/// Gaps that one message may have at a time.
const RANGES_MAX: usize = 8;

/// `SLOTS` messages of at most `OCTETS` octets.
#[derive(Default)]
pub(crate) struct Reassembler<const SLOTS: usize, const OCTETS: usize> {
    slots: heapless::Vec<Slot<OCTETS>, SLOTS>,
}

/// Where a message came from and which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label {
    epoch: u16,
    seq: u16,
    kind: MessageType,
    len: usize,
}

struct Slot<const OCTETS: usize> {
    label: Label,
    octets: [u8; OCTETS],
    /// Sorted, disjoint, never touching: `[start, end)`.
    ranges: heapless::Vec<(u16, u16), RANGES_MAX>,
}

/// A whole message.
pub(crate) struct Message<const OCTETS: usize> {
    pub(crate) epoch: u16,
    pub(crate) kind: MessageType,
    octets: [u8; OCTETS],
    len: usize,
}

impl<const OCTETS: usize> Message<OCTETS> {
    pub(crate) fn body(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl<const SLOTS: usize, const OCTETS: usize> Reassembler<SLOTS, OCTETS> {
    /// Keeps `fragment` if it belongs to one of the `SLOTS` messages from `next` on.
    pub(crate) fn insert(
        &mut self,
        next: u16,
        epoch: u16,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        let ahead = usize::from(fragment.seq.checked_sub(next).ok_or(RecordDrop::Repeated)?);
        if ahead >= SLOTS || fragment.message_len > OCTETS {
            return Err(RecordDrop::BadFragment);
        }
        let label =
            Label { epoch, seq: fragment.seq, kind: fragment.kind, len: fragment.message_len };
        // What is no longer waited for makes room; so does a message that contradicts this one.
        self.slots.retain(|slot| {
            let seq = slot.label.seq;
            seq >= next
                && usize::from(seq - next) < SLOTS
                && (seq != label.seq || slot.label == label)
        });
        let at = match self.slots.iter().position(|slot| slot.label == label) {
            Some(at) => at,
            None => {
                let slot = Slot { label, octets: [0; OCTETS], ranges: heapless::Vec::new() };
                self.slots.push(slot).map_err(|_| RecordDrop::BadFragment)?;
                self.slots.len() - 1
            }
        };
        self.slots[at].add(fragment.offset, fragment.octets)
    }

    /// Takes message `next` out, if all of it is there.
    pub(crate) fn take(&mut self, next: u16) -> Option<Message<OCTETS>> {
        let at = self.slots.iter().position(|s| s.label.seq == next && s.is_complete())?;
        let Slot { label, octets, .. } = self.slots.swap_remove(at);
        Some(Message { epoch: label.epoch, kind: label.kind, octets, len: label.len })
    }
}

impl<const OCTETS: usize> Slot<OCTETS> {
    fn is_complete(&self) -> bool {
        self.label.len == 0 || self.ranges[..] == [(0, self.label.len as u16)]
    }

    fn add(&mut self, offset: usize, octets: &[u8]) -> Result<(), RecordDrop> {
        let end = offset + octets.len();
        let room = self.octets.get_mut(offset..end).ok_or(RecordDrop::BadFragment)?;
        let (mut start, mut end) = (offset as u16, end as u16);
        let mut merged = heapless::Vec::<(u16, u16), RANGES_MAX>::new();
        let mut at = 0;
        for (i, &(from, to)) in self.ranges.iter().enumerate() {
            if to < start {
                at = i + 1;
                let _ = merged.push((from, to)); // as many as there were at most
            } else if from > end {
                let _ = merged.push((from, to)); // likewise
            } else {
                (start, end) = (start.min(from), end.max(to));
            }
        }
        merged.insert(at, (start, end)).map_err(|_| RecordDrop::BadFragment)?;
        room.copy_from_slice(octets);
        self.ranges = merged;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn fragment(seq: u16, body: &[u8], from: usize, to: usize) -> Fragment<'_> {
        let kind = MessageType::ClientKeyExchange;
        Fragment { kind, seq, message_len: body.len(), offset: from, octets: &body[from..to] }
    }

    #[test]
    fn fragments_of_two_messages_never_meet() {
        let mut reassembler = Reassembler::<2, 16>::default();
        let (one, two) = ([1; 8], [2; 8]);
        reassembler.insert(5, 0, &fragment(5, &one, 0, 4)).expect("room");
        reassembler.insert(5, 0, &fragment(6, &two, 4, 8)).expect("room");
        assert!(reassembler.take(5).is_none() && reassembler.take(6).is_none());
        reassembler.insert(5, 0, &fragment(6, &two, 0, 4)).expect("room");
        assert!(reassembler.take(5).is_none());
        assert_eq!(reassembler.take(6).expect("whole").body(), two);
    }

    #[test]
    fn epochs_never_meet() {
        let mut reassembler = Reassembler::<2, 16>::default();
        let body = [1; 8];
        reassembler.insert(5, 0, &fragment(5, &body, 0, 4)).expect("room");
        reassembler.insert(5, 1, &fragment(5, &body, 4, 8)).expect("room");
        assert!(reassembler.take(5).is_none());
    }

    #[test]
    fn a_forged_length_is_healed_by_the_next_repetition() {
        let mut reassembler = Reassembler::<2, 16>::default();
        let body = [1; 8];
        reassembler.insert(5, 0, &fragment(5, &[9; 16], 0, 10)).expect("room");
        for (from, to) in [(4, 8), (0, 5)] {
            reassembler.insert(5, 0, &fragment(5, &body, from, to)).expect("room");
        }
        assert_eq!(reassembler.take(5).expect("whole").body(), body);
    }

    #[test]
    fn bounds() {
        let mut reassembler = Reassembler::<2, 16>::default();
        let mut check = |seq, body: &[u8], from, to, expected| {
            assert_eq!(reassembler.insert(5, 0, &fragment(seq, body, from, to)), expected);
        };
        check(4, &[1; 8], 0, 4, Err(RecordDrop::Repeated));
        check(7, &[1; 8], 0, 4, Err(RecordDrop::BadFragment));
        check(5, &[1; 17], 0, 4, Err(RecordDrop::BadFragment));
        for from in (0..16).step_by(2) {
            check(5, &[1; 16], from, from + 1, Ok(()));
        }
        check(5, &[1; 16], 0, 16, Ok(()));
        assert!(reassembler.take(5).is_some());
    }

    proptest! {
        #[test]
        fn any_cut_any_order(
            body in prop::collection::vec(any::<u8>(), 0..40),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), 1usize..20), 0..30),
        ) {
            let mut reassembler = Reassembler::<1, 40>::default();
            let mut have = std::vec![false; body.len()];
            for (from, len) in cuts {
                if body.is_empty() { break; }
                let from = from.index(body.len());
                let to = (from + len).min(body.len());
                if reassembler.insert(0, 0, &fragment(0, &body, from, to)).is_ok() {
                    have[from..to].fill(true);
                }
                if have.iter().all(|h| *h) { break; }
            }
            if have.iter().all(|h| *h) && !body.is_empty() {
                let message = reassembler.take(0).expect("all octets came");
                prop_assert_eq!(message.body().to_vec(), body);
            } else {
                prop_assert!(reassembler.take(0).is_none());
                let whole: Vec<u8> = body.clone();
                reassembler.insert(0, 0, &fragment(0, &whole, 0, whole.len())).expect("fits");
                let message = reassembler.take(0).expect("whole");
                prop_assert_eq!(message.body(), &whole[..]);
            }
        }
    }
}
