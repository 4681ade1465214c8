//! A station's own clock: a crystal that is never quite right.
//!
//! **Invariant:** it never goes back, and what it was told to wait for comes at the same moment of the
//! world, rounded up to a microsecond: nobody is woken early.

use lowgate_units::{Duration, Instant};

/// The most that a clock may be wrong by, either way, in parts per million: a hundred times what
/// IEEE 802.15.4-2006 (6.5.6) allows a radio.
pub const DRIFT_PPM_MAX: i32 = 4_000;

const MILLION: i128 = 1_000_000;

/// Where the clock stands, and how fast it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    drift_ppm: i32,
    /// A moment of the world, and what the clock said then.
    world: Instant,
    own: Instant,
}

impl Clock {
    /// A clock that is right.
    pub(super) const RIGHT: Self = Self { drift_ppm: 0, world: Instant::ZERO, own: Instant::ZERO };

    /// What the clock says.
    pub(super) fn read(&self, world: Instant) -> Instant {
        let passed = i128::from(world.since(self.world).as_micros() as u64);
        let own = passed + passed * i128::from(self.drift_ppm) / MILLION;
        self.own + Duration::from_micros(own as u64)
    }

    /// When the clock will say so; what it has said already is as far back as it began.
    pub(super) fn when(&self, own: Instant) -> Instant {
        if own == Instant::FAR_FUTURE || self.drift_ppm == 0 && self.own == self.world {
            return own;
        }
        let to_pass = i128::from(own.since(self.own).as_micros() as u64);
        let rate = MILLION + i128::from(self.drift_ppm);
        let mut world = self.world + Duration::from_micros((to_pass * MILLION / rate) as u64);
        while self.read(world) < own {
            world += Duration::from_micros(1);
        }
        world
    }

    /// From now on the clock goes so much too fast, or too slow where it is negative.
    pub(super) fn drift(&mut self, now: Instant, ppm: i32) {
        let ppm = ppm.clamp(-DRIFT_PPM_MAX, DRIFT_PPM_MAX);
        *self = Self { drift_ppm: ppm, world: now, own: self.read(now) };
    }

    /// The clock skips some time: its owner stood still and noticed nothing.
    pub(super) fn jump(&mut self, now: Instant, ahead: Duration) {
        *self = Self { world: now, own: self.read(now) + ahead, ..*self };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_woken_early_and_a_right_clock_is_the_worlds() {
        for ppm in [-DRIFT_PPM_MAX, -40, -1, 0, 1, 40, DRIFT_PPM_MAX] {
            let mut clock = Clock::RIGHT;
            clock.drift(Instant::from_secs(10), ppm);
            for micros in [0, 1, 17, 999, 1_000_000, 86_400_000_000] {
                let own = clock.read(Instant::from_secs(10)) + Duration::from_micros(micros);
                let world = clock.when(own);
                assert!(clock.read(world) >= own, "{ppm} ppm, {micros} us");
                let before = Instant::from_micros(world.as_micros() - 1);
                assert!(micros == 0 || clock.read(before) < own, "{ppm} ppm, {micros} us: late");
            }
        }
        assert_eq!(Clock::RIGHT.when(Instant::FAR_FUTURE), Instant::FAR_FUTURE);
    }

    #[test]
    fn a_fast_clock_gains_and_a_jump_stays() {
        let mut clock = Clock::RIGHT;
        clock.drift(Instant::ZERO, 100);
        assert_eq!(clock.read(Instant::from_secs(1000)), Instant::from_millis(1_000_100));
        clock.jump(Instant::from_secs(1000), Duration::from_secs(5));
        assert_eq!(clock.read(Instant::from_secs(1000)), Instant::from_millis(1_005_100));
        clock.drift(Instant::from_secs(1000), 0);
        assert_eq!(clock.read(Instant::from_secs(1001)), Instant::from_millis(1_006_100));
    }
}
