//! Who failed three times is barred: an identity behind a relay, and a stranger of a relay, whatever it calls
//! itself there. Seed 000 has the server ignore them for a day.
//!
//! Both names are borrowed: anybody can claim an identity in clear, and anybody in earshot can write another's
//! EUI-64 on his frames. So a server that ignored what bears a barred name would ignore its owner as soon as
//! somebody else wished it. What tells them apart is the key, and the one proof of the key is a Finished; hence
//! the bar takes away all that who has the key does not need, and nothing else:
//!
//! - no alert says what was wrong, so that nothing is learnt from an attempt,
//! - no flight of ours is repeated by our timer: each is sent when the client asks, and the client has a timer too,
//! - the owner is told of a failure no more, but in a count, so that nobody fills a log in another's name.
//!
//! Whoever shows a Finished that verifies has a session as at any other time, and the bars of its names end. Whether
//! an identity is known decides nothing here: else the bar would tell.
//!
//! **Invariants:** the table is bounded; it holds no names, but their codes under a key of this server. Forgetting an
//! entry costs nobody but us: three more alerts.

use super::{Peer, Server};
use crate::CloseReason;
use alloc::collections::{BTreeMap, BTreeSet};
use lowgate_crypto::hmac_sha256;
use lowgate_units::{Duration, Instant};

/// Attempts that may fail (seed 000).
const FAILURES_MAX: u8 = 3;
/// Names that are remembered; beyond it the one goes that would be forgotten first.
const NAMES_MAX: usize = 4096;

/// The code of a name.
type Code = [u8; 16];

struct Entry {
    failures: u8,
    /// When it is forgotten.
    until: Instant,
}

/// Names under which somebody failed.
#[derive(Default)]
pub(super) struct Bars {
    entries: BTreeMap<Code, Entry>,
    ends: BTreeSet<(Instant, Code)>,
}

impl Bars {
    fn holds(&self, code: &Code, now: Instant) -> bool {
        let entry = self.entries.get(code);
        entry.is_some_and(|entry| entry.failures >= FAILURES_MAX && now < entry.until)
    }

    /// Somebody failed under this name. Who is barred is not so for longer by trying again.
    fn failed(&mut self, code: Code, now: Instant, length: Duration) {
        self.expire(now);
        let failures = self.entries.get(&code).map_or(0, |entry| entry.failures);
        if failures >= FAILURES_MAX {
            return;
        }
        self.forget(&code);
        if self.entries.len() >= NAMES_MAX
            && let Some((_, first)) = self.ends.first().copied()
        {
            self.forget(&first);
        }
        let until = now + length;
        self.entries.insert(code, Entry { failures: failures + 1, until });
        self.ends.insert((until, code));
    }

    fn forget(&mut self, code: &Code) {
        if let Some(entry) = self.entries.remove(code) {
            self.ends.remove(&(entry.until, *code));
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((until, code)) = self.ends.first().copied()
            && until <= now
        {
            self.forget(&code);
        }
    }
}

impl Server {
    /// A stranger's place: not its port, which costs nothing to change.
    fn code_of_place(&self, peer: &Peer) -> Code {
        self.code(&[b"place", &peer.addr.octets(), &peer.relay_header])
    }

    fn code_of_identity(&self, peer: &Peer, identity: &[u8]) -> Code {
        self.code(&[b"identity", &peer.addr.octets(), identity])
    }

    fn code(&self, name: &[&[u8]]) -> Code {
        *hmac_sha256(self.dummy_secret.expose(), name).first_chunk().expect("16 of 32 octets")
    }

    /// Whether the handshake at `peer`, or the next one there, is one of who is barred.
    pub(super) fn is_barred(&self, peer: &Peer) -> bool {
        if self.bars.entries.is_empty() {
            return false;
        }
        let identity = self.half_open.get(peer).and_then(|half| half.identity());
        let holds = |code| self.bars.holds(&code, self.now);
        holds(self.code_of_place(peer))
            || identity.is_some_and(|identity| holds(self.code_of_identity(peer, &identity)))
    }

    /// A handshake ended without a session.
    pub(super) fn count_failure(
        &mut self,
        peer: &Peer,
        identity: Option<&[u8]>,
        (unreadable, reason): (u8, CloseReason),
    ) {
        let (Some(length), now) = (self.config.bar_for, self.now) else { return };
        // Who begins anew, or is evicted, behind a Finished that did not open has failed all the same. One that opened
        // and says something else is of who has the key: somebody between us changed a message.
        let opened = unreadable == 0 && reason == CloseReason::KeyMismatch;
        if opened || unreadable == 0 && !reason.is_fatal() {
            return;
        }
        self.bars.failed(self.code_of_place(peer), now, length);
        if let Some(identity) = identity {
            self.bars.failed(self.code_of_identity(peer, identity), now, length);
        }
    }

    /// Somebody proved that these names are its own.
    pub(super) fn lift_bars(&mut self, peer: &Peer, identity: &[u8]) {
        if self.bars.entries.is_empty() {
            return;
        }
        let codes = [self.code_of_place(peer), self.code_of_identity(peer, identity)];
        codes.iter().for_each(|code| self.bars.forget(code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn code(n: usize) -> Code {
        (n as u128).to_be_bytes()
    }

    #[test]
    fn three_failures_bar_for_the_time_that_was_configured() {
        let mut bars = Bars::default();
        let at = Instant::from_secs;
        for n in 0..3 {
            assert!(!bars.holds(&code(1), at(n)));
            bars.failed(code(1), at(n), DAY);
        }
        let end = at(2) + DAY;
        // Trying again makes it no longer.
        bars.failed(code(1), at(50), DAY);
        assert!(bars.holds(&code(1), at(50)) && bars.holds(&code(1), at(1) + DAY));
        assert!(!bars.holds(&code(1), end) && !bars.holds(&code(2), at(50)));
        // After it three failures are needed again.
        bars.failed(code(1), end, DAY);
        assert!(!bars.holds(&code(1), end));
    }

    #[test]
    fn the_table_is_bounded_and_the_first_to_be_forgotten_goes() {
        let mut bars = Bars::default();
        for n in 0..NAMES_MAX + 10 {
            for _ in 0..3 {
                bars.failed(code(n), Instant::from_secs(n as u64), DAY);
            }
            assert!(bars.entries.len() <= NAMES_MAX);
            assert_eq!(bars.entries.len(), bars.ends.len());
        }
        let now = Instant::from_secs(NAMES_MAX as u64 + 10);
        assert!(!bars.holds(&code(9), now) && bars.holds(&code(10), now));
    }
}
