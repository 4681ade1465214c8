//! The Trickle algorithm, RFC 6206 section 4.2.
//! **Invariant:** a reset never shortens an interval that is already the smallest.

use lowgate_units::{Duration, Instant, Prng};

/// Parameters of one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrickleParameters {
    /// Imin.
    pub(crate) interval_min: Duration,
    /// The largest interval, as a duration.
    pub(crate) interval_max: Duration,
    /// k; 0 never suppresses.
    pub(crate) redundancy: u8,
}

/// One timer.
#[derive(Clone, Debug)]
pub(crate) struct Trickle {
    parameters: TrickleParameters,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Stopped,
    /// Before t: hears, then fires.
    Listening {
        interval: Duration,
        fires_at: Instant,
        ends_at: Instant,
        heard: u8,
    },
    /// After t.
    Fired {
        interval: Duration,
        ends_at: Instant,
    },
}

/// What [`Trickle::poll`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fire {
    /// Send.
    Transmit,
    /// Others said it often enough.
    Suppress,
}

impl Trickle {
    pub(crate) fn new(parameters: TrickleParameters) -> Self {
        Self { parameters, state: State::Stopped }
    }

    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.state, State::Stopped)
    }

    /// Begins with the smallest interval.
    // RFC 6206 section 4.2 (1) allows any interval in [Imin, Imax].
    pub(crate) fn start(&mut self, now: Instant, prng: &mut Prng) {
        self.begin(now, self.parameters.interval_min, prng);
    }

    /// Begins with the smallest interval and fires at once.
    pub(crate) fn start_firing(&mut self, now: Instant) {
        let interval = self.parameters.interval_min;
        let ends_at = now + interval;
        self.state = State::Listening { interval, fires_at: now, ends_at, heard: 0 };
    }

    pub(crate) fn stop(&mut self) {
        self.state = State::Stopped;
    }

    /// Something inconsistent was heard.
    pub(crate) fn reset(&mut self, now: Instant, prng: &mut Prng) {
        match self.state {
            State::Stopped => {}
            // RFC 6206 section 4.2 (6): if I is Imin, do nothing.
            State::Listening { interval, .. } | State::Fired { interval, .. } => {
                if interval > self.parameters.interval_min {
                    self.start(now, prng);
                }
            }
        }
    }

    /// Something consistent was heard.
    pub(crate) fn hear(&mut self) {
        if let State::Listening { heard, .. } = &mut self.state {
            *heard = heard.saturating_add(1);
        }
    }

    /// When to poll next.
    pub(crate) fn due(&self) -> Instant {
        match self.state {
            State::Stopped => Instant::FAR_FUTURE,
            State::Listening { fires_at, .. } => fires_at,
            State::Fired { ends_at, .. } => ends_at,
        }
    }

    /// Lets time pass. `Some` at most once an interval, at its t.
    pub(crate) fn poll(&mut self, now: Instant, prng: &mut Prng) -> Option<Fire> {
        if now < self.due() {
            return None;
        }
        match self.state {
            State::Stopped => None,
            State::Listening { interval, ends_at, heard, .. } => {
                self.state = State::Fired { interval, ends_at };
                let k = self.parameters.redundancy;
                Some(if k == 0 || heard < k { Fire::Transmit } else { Fire::Suppress })
            }
            State::Fired { interval, .. } => {
                // RFC 6206 section 4.2 (5): doubles, up to Imax.
                let doubled = interval.saturating_mul(2).min(self.parameters.interval_max);
                self.begin(now, doubled.max(self.parameters.interval_min), prng);
                None
            }
        }
    }

    fn begin(&mut self, now: Instant, interval: Duration, prng: &mut Prng) {
        // RFC 6206 section 4.2 (2): t is uniform in [I/2, I).
        let half = u64::try_from(interval.as_micros() / 2).unwrap_or(u64::MAX);
        let fires_at = now + interval / 2 + Duration::from_micros(prng.below(half));
        self.state = State::Listening { interval, fires_at, ends_at: now + interval, heard: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: TrickleParameters = TrickleParameters {
        interval_min: Duration::from_secs(1),
        interval_max: Duration::from_secs(8),
        redundancy: 1,
    };

    fn next(trickle: &mut Trickle, prng: &mut Prng) -> (Instant, Fire) {
        loop {
            let due = trickle.due();
            if let Some(fire) = trickle.poll(due, prng) {
                return (due, fire);
            }
        }
    }

    #[test]
    fn intervals_double_to_the_largest() {
        let (mut trickle, mut prng) = (Trickle::new(PARAMETERS), Prng::new(1));
        trickle.start(Instant::ZERO, &mut prng);
        let mut begin = 0;
        for interval in [1, 2, 4, 8, 8, 8] {
            let (at, fire) = next(&mut trickle, &mut prng);
            assert_eq!(fire, Fire::Transmit);
            let since = at.since(Instant::from_secs(begin)).as_millis();
            assert!(since >= interval * 500 && since < interval * 1000, "{at}");
            begin += interval as u64;
        }
    }

    #[test]
    fn what_is_heard_before_t_suppresses() {
        let (mut trickle, mut prng) = (Trickle::new(PARAMETERS), Prng::new(1));
        trickle.start(Instant::ZERO, &mut prng);
        trickle.hear();
        assert_eq!(next(&mut trickle, &mut prng).1, Fire::Suppress);
        trickle.hear(); // after t: does not count
        assert_eq!(next(&mut trickle, &mut prng).1, Fire::Transmit);
    }

    #[test]
    fn a_reset_begins_anew_but_not_within_the_smallest_interval() {
        let (mut trickle, mut prng) = (Trickle::new(PARAMETERS), Prng::new(1));
        trickle.reset(Instant::ZERO, &mut prng);
        assert!(!trickle.is_running());
        trickle.start(Instant::ZERO, &mut prng);
        let due = trickle.due();
        trickle.reset(Instant::from_millis(1), &mut prng);
        assert_eq!(trickle.due(), due);
        for _ in 0..3 {
            next(&mut trickle, &mut prng);
        }
        let now = Instant::from_secs(6);
        trickle.reset(now, &mut prng);
        assert!(trickle.due() < now + Duration::from_secs(1));
    }
}
