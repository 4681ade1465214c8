//! What was received lately, so that a copy is answered alike and processed once (RFC 7252 section
//! 4.5).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use lowgate_units::Instant;

use crate::Bounds;

/// How a copy of a message is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Not at all (any more, or not yet).
    Nothing,
    /// With these octets once more.
    Again(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Entry {
    until: Instant,
    reply: Reply,
}

/// Messages by peer and id. When it is full the oldest message is forgotten, first among those of
/// the peer itself: then a late copy would be processed again, which RFC 7252 tolerates and a lossy
/// table of strangers would not survive otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Seen<P> {
    entries: BTreeMap<(P, u16), Entry>,
}

impl<P: Copy + Ord> Seen<P> {
    pub(crate) const fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    /// The reply to a message that was seen before.
    pub(crate) fn reply(&self, now: Instant, peer: P, mid: u16) -> Option<&Reply> {
        self.entries.get(&(peer, mid)).filter(|entry| entry.until > now).map(|entry| &entry.reply)
    }

    /// Remembers a message until `until`.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        until: Instant,
        key: (P, u16),
        reply: Reply,
        bounds: &Bounds,
    ) {
        let of_peer = self.entries.range((key.0, 0)..=(key.0, u16::MAX));
        if of_peer.clone().count() >= bounds.seen_per_peer_max {
            let oldest = of_peer.min_by_key(|(_, entry)| entry.until).map(|(key, _)| *key);
            oldest.map(|key| self.entries.remove(&key));
        }
        if self.entries.len() >= bounds.seen_max {
            self.entries.retain(|_, entry| entry.until > now);
        }
        if self.entries.len() >= bounds.seen_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.until);
            oldest.map(|(key, _)| *key).map(|key| self.entries.remove(&key));
        }
        self.entries.insert(key, Entry { until, reply });
    }

    /// Copies of a message already remembered get this reply from now on.
    pub(crate) fn set_reply(&mut self, peer: P, mid: u16, reply: Reply) {
        if let Some(entry) = self.entries.get_mut(&(peer, mid)) {
            entry.reply = reply;
        }
    }

    /// Forgets a peer.
    pub(crate) fn forget(&mut self, peer: P) {
        self.entries.retain(|(other, _), _| *other != peer);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { seen_max: 4, seen_per_peer_max: 2, ..Bounds::DEVICE };

    fn insert(seen: &mut Seen<u8>, at: u64, peer: u8, mid: u16) {
        let now = Instant::from_secs(at);
        let until = Instant::from_secs(at + 100);
        seen.insert(now, until, (peer, mid), Reply::Nothing, &BOUNDS);
    }

    #[test]
    fn a_busy_peer_forgets_its_own_first() {
        let mut seen = Seen::new();
        insert(&mut seen, 0, 1, 7);
        for mid in 0..10 {
            insert(&mut seen, 1 + u64::from(mid), 2, mid);
        }
        let now = Instant::from_secs(20);
        assert!(seen.reply(now, 1, 7).is_some());
        assert!(seen.reply(now, 2, 9).is_some() && seen.reply(now, 2, 7).is_none());
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn many_peers_stay_within_the_bound_and_the_oldest_goes() {
        let mut seen = Seen::new();
        (0..9u8).for_each(|peer| insert(&mut seen, u64::from(peer), peer, 0));
        assert_eq!(seen.len(), 4);
        assert!(seen.reply(Instant::from_secs(9), 4, 0).is_none());
        assert!(seen.reply(Instant::from_secs(9), 5, 0).is_some());
    }

    #[test]
    fn rfc7252_4_5_after_its_lifetime_an_id_is_new_again() {
        let mut seen = Seen::new();
        insert(&mut seen, 0, 1, 7);
        assert!(seen.reply(Instant::from_secs(99), 1, 7).is_some());
        assert!(seen.reply(Instant::from_secs(100), 1, 7).is_none());
    }
}
