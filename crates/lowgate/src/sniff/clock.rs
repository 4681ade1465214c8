//! From a co-processor's clock to the time of day: the radio knows best how far frames are apart, the host
//! what time it is.

use std::time::Duration;

/// Beyond this the two clocks are compared anew: a crystal strays so far in an hour, a serial line keeps a
/// frame waiting for less.
const ASTRAY: Duration = Duration::from_millis(100);

/// What is known of a co-processor's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RadioClock {
    /// The time of day when it stood at zero.
    zero: Option<Duration>,
}

impl RadioClock {
    /// When a frame came that was read `now` and has this stamp, in microseconds; 0 is none.
    pub(super) fn at(&mut self, now: Duration, stamp_us: u64) -> Duration {
        let stamp = Duration::from_micros(stamp_us);
        let told = self.zero.and_then(|zero| zero.checked_add(stamp)).filter(|_| stamp_us != 0);
        match told.filter(|told| told.abs_diff(now) <= ASTRAY) {
            Some(told) => told,
            None => {
                self.zero = now.checked_sub(stamp).filter(|_| stamp_us != 0);
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_790_000_000);

    /// Read so many milliseconds after noon, with this stamp; so many microseconds after noon it was.
    fn check(cases: &[(u64, u64, u64)]) {
        let mut clock = RadioClock::default();
        for (millis, stamp_us, expected_us) in cases {
            let at = clock.at(NOON + Duration::from_millis(*millis), *stamp_us);
            assert_eq!(at, NOON + Duration::from_micros(*expected_us), "{millis} ms, {stamp_us}");
        }
    }

    #[test]
    fn frames_are_as_far_apart_as_the_radio_says() {
        check(&[(0, 5_000_000, 0), (9, 5_004_100, 4_100), (9, 5_008_200, 8_200)]);
    }

    #[test]
    fn a_clock_that_strays_or_starts_afresh_is_compared_anew() {
        check(&[(0, 9_000_000, 0), (500, 9_300_000, 500_000), (600, 9_400_500, 600_500)]);
        check(&[(0, 9_000_000, 0), (800, 70, 800_000), (900, 90_070, 890_000)]);
    }

    #[test]
    fn without_a_stamp_it_is_now() {
        check(&[(0, 0, 0), (7, 0, 7_000), (8, 5_000, 8_000), (9, 5_900, 8_900)]);
        check(&[(0, u64::MAX, 0), (1, u64::MAX, 1_000)]);
    }
}
