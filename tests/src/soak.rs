//! What long runs share: how long they are, and the chance that decides what happens in them.

use lowgate_units::Prng;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many times, as `cargo xtask soak` says, or `few`.
///
/// # Panics
/// When what it says is no number.
pub fn rounds(few: usize) -> usize {
    let said = std::env::var("LOWGATE_ROUNDS").ok();
    said.map_or(few, |said| said.parse().expect("LOWGATE_ROUNDS is a number"))
}

/// Another chance each time, unless LOWGATE_SEED says which. The seed is printed.
///
/// # Panics
/// When what it says is no number.
pub fn chance() -> Prng {
    let seed = match std::env::var("LOWGATE_SEED") {
        Ok(said) => said.parse().expect("LOWGATE_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs()),
    };
    println!("LOWGATE_SEED={seed}");
    Prng::new(seed)
}

/// A time between these two.
pub fn between(prng: &mut Prng, least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(least_ms + prng.below(most_ms - least_ms))
}
