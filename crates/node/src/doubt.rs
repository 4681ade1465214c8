//! Whether this node has the keys that the others have: if a group speaks under a later epoch, or a tree of a later
//! one, the manager is asked.
//!
//! Whoever spreads keys spreads them over time, so that the question waits; most often the keys come meanwhile.

use crate::node::Node;
use lowgate_amikey::{CsbId, Message, MsgId, Req};
use lowgate_units::{Duration, Instant, Prng};

/// The keys may be on their way for so long; then the question is asked, within as long again, lest all ask at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// From one question to the next doubt.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// A doubt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubt {
    /// When the manager is to be asked.
    ask_at: Option<Instant>,
    quiet_until: Instant,
}

impl Doubt {
    fn rise(&mut self, now: Instant, prng: &mut Prng) {
        if self.ask_at.is_none() && now >= self.quiet_until {
            let spread = prng.below(PATIENCE.as_micros() as u64);
            self.ask_at = Some(now + PATIENCE + Duration::from_micros(spread));
        }
    }

    /// The keys came.
    pub(crate) const fn settle(&mut self) {
        self.ask_at = None;
    }

    pub(crate) fn due(&self) -> Instant {
        self.ask_at.unwrap_or(Instant::FAR_FUTURE)
    }

    fn take(&mut self, now: Instant) -> bool {
        let asks = self.ask_at.take_if(|at| *at <= now).is_some();
        if asks {
            self.quiet_until = now + ASKED_AGAIN;
        }
        asks
    }
}

impl Node {
    /// Others have a key that this node lacks. Who follows no trees is told until he confirms.
    pub(crate) fn doubt_keys(&mut self, now: Instant) {
        if self.config.key_trees {
            self.keys_doubted.rise(now, &mut self.prng);
        }
    }

    /// Asks the manager for everything that this node should hold.
    pub(crate) fn ask_for_keys_if_due(&mut self, now: Instant) {
        if self.keys_doubted.take(now) {
            let wishes = heapless::Vec::new();
            let (msg_id, csb_id, tek_id) = (MsgId(0), CsbId::NONE, None);
            // Without a session the next one brings all keys.
            let _ = self.joiner.tell(&Message::Req(Req { msg_id, csb_id, tek_id, wishes }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_waits_and_is_asked_once_in_a_while() {
        let (mut doubt, mut prng) = (Doubt::default(), Prng::new(1));
        let at = |secs| Instant::from_secs(secs);
        doubt.rise(at(10), &mut prng);
        let due = doubt.due();
        assert!((at(30)..at(50)).contains(&due));
        doubt.rise(at(20), &mut prng);
        assert_eq!(doubt.due(), due, "it is the same doubt");
        assert!(!doubt.take(at(29)) && doubt.take(at(50)) && !doubt.take(at(51)));
        doubt.rise(at(60), &mut prng);
        assert_eq!(doubt.due(), Instant::FAR_FUTURE, "it has just asked");
        doubt.rise(at(110), &mut prng);
        doubt.settle();
        assert!(!doubt.take(at(200)));
    }
}
