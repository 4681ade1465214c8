//! Something to ask for until it is answered, and to ask for again when the answer grows old.

use lowgate_units::{Duration, Instant, Prng};

/// How an errand waits between its attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// After the first attempt.
    pub(crate) first: Duration,
    /// Doubled up to this.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The wait after attempt number `attempt` (from 0), of which up to a quarter is chance.
    fn after(&self, attempt: u8, prng: &mut Prng) -> Duration {
        let wait = self.first.saturating_mul(1 << attempt.min(16)).min(self.longest);
        jittered(wait, prng)
    }
}

/// `duration` and up to a quarter more.
pub(crate) fn jittered(duration: Duration, prng: &mut Prng) -> Duration {
    duration + within(duration / 4, prng)
}

/// Uniform below `duration`.
pub(crate) fn within(duration: Duration, prng: &mut Prng) -> Duration {
    Duration::from_micros(prng.below(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
}

/// Its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Nothing to ask for.
    Idle,
    /// Ask at this time; `attempt` times asked before.
    Due { at: Instant, attempt: u8 },
    /// Answered; ask again at this time.
    Done { again_at: Instant },
}

impl Errand {
    /// To be asked at `at`, unless it is to be asked before.
    pub(crate) fn want(&mut self, at: Instant) {
        match *self {
            Self::Due { at: earlier, attempt: 0 } if earlier <= at => {}
            Self::Idle | Self::Due { .. } | Self::Done { .. } => {
                *self = Self::Due { at, attempt: 0 };
            }
        }
    }

    /// Whether an answer is one to this errand: who has not asked yet is answered an earlier question.
    pub(crate) fn was_asked(&self) -> bool {
        matches!(self, Self::Due { attempt: 1.., .. })
    }

    pub(crate) fn due(&self) -> Instant {
        match *self {
            Self::Idle => Instant::FAR_FUTURE,
            Self::Due { at, .. } | Self::Done { again_at: at } => at,
        }
    }

    /// If it is time to ask: the number of this attempt, from 0. The next is scheduled.
    pub(crate) fn take(&mut self, now: Instant, backoff: &Backoff, prng: &mut Prng) -> Option<u8> {
        if now < self.due() {
            return None;
        }
        let attempt = match *self {
            Self::Idle => return None,
            Self::Due { attempt, .. } => attempt,
            Self::Done { .. } => 0,
        };
        let at = now + backoff.after(attempt, prng);
        *self = Self::Due { at, attempt: attempt.saturating_add(1) };
        Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(4) };
        let mut prng = Prng::new(1);
        let mut errand = Errand::Idle;
        assert_eq!(errand.take(Instant::FAR_FUTURE, &backoff, &mut prng), None);
        errand.want(Instant::ZERO);
        assert!(!errand.was_asked());
        let mut now = Instant::ZERO;
        for (attempt, wait) in (0u8..).zip([1, 2, 4, 4, 4]) {
            assert_eq!(errand.take(now, &backoff, &mut prng), Some(attempt));
            assert_eq!(errand.take(now, &backoff, &mut prng), None);
            assert!(errand.was_asked());
            let waited = errand.due().since(now).as_millis();
            assert!(waited >= wait * 1000 && waited <= wait * 1250, "{waited}");
            now = errand.due();
        }
        errand.want(now);
        assert!(!errand.was_asked(), "an answer on its way is one to what was asked before");
        errand = Errand::Done { again_at: now };
        assert!(!errand.was_asked());
        assert_eq!(errand.take(now, &backoff, &mut prng), Some(0));
    }
}
