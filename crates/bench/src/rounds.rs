//! Time, on a machine that others use too.

/// The shortest of several rounds: what somebody else's work took is in none of it.
pub(crate) fn shortest(rounds: usize, mut round: impl FnMut() -> f64) -> f64 {
    (0..rounds.max(1)).map(|_| round()).fold(f64::INFINITY, f64::min)
}
