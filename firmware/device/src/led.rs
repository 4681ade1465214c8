//! What the LED says: one pattern at a time, the most urgent.
//!
//! **Invariant:** a function of what is the case and of the time.

use lowgate_units::{Duration, Instant};

/// What is the case. Later ones go before earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// In the network: dark.
    Member,
    /// Looking for a way in: on for a second, dark for a second.
    Joining,
    /// Somebody asked which device this is: eight times a second.
    Identify,
    /// The flash takes nothing more: three flashes every two seconds.
    FlashFault,
    /// The settings page is damaged or cannot be read: two flashes every two seconds.
    DamagedSettings,
    /// The settings page is empty: one flash every two seconds.
    NoSettings,
}

/// The time of a flash, and between two of them.
const FLASH: Duration = Duration::from_millis(125);
const SECOND: Duration = Duration::from_secs(1);
/// In flashes.
const PERIOD: u64 = 16;

impl Sign {
    /// Whether the LED is lit, and when that may change.
    pub fn at(self, now: Instant) -> (bool, Instant) {
        let step = now.as_micros() / FLASH.as_micros() as u64;
        let flashes = |count: u64| step % PERIOD < 2 * count && step.is_multiple_of(2);
        match self {
            Self::Member => (false, Instant::FAR_FUTURE),
            Self::Joining => {
                let second = now.as_micros() / SECOND.as_micros() as u64;
                (second.is_multiple_of(2), Instant::from_secs(second + 1))
            }
            Self::Identify => (step.is_multiple_of(2), next(step)),
            Self::NoSettings => (flashes(1), next(step)),
            Self::DamagedSettings => (flashes(2), next(step)),
            Self::FlashFault => (flashes(3), next(step)),
        }
    }
}

fn next(step: u64) -> Instant {
    Instant::from_micros((step + 1) * FLASH.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sign: Sign, pattern: &str) {
        for (step, lit) in pattern.chars().enumerate() {
            let now = Instant::ZERO + FLASH * step as u32;
            let (is_lit, until) = sign.at(now);
            assert_eq!(is_lit, lit == '#', "{sign:?} at step {step}");
            assert!(until > now);
        }
    }

    #[test]
    fn patterns_differ() {
        check(Sign::Member, "................");
        check(Sign::Joining, "########........########");
        check(Sign::Identify, "#.#.#.#.#.#.#.#.");
        check(Sign::NoSettings, "#...............#");
        check(Sign::DamagedSettings, "#.#.............#.#.");
        check(Sign::FlashFault, "#.#.#...........#.#.#.");
    }
}
