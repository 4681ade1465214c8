//! A token bucket for error messages, RFC 4443 section 2.4 (f).

use lowgate_units::{Duration, Instant};

/// Errors that may follow each other at once.
const BURST: u32 = 6;
/// Then one each.
const REFILL: Duration = Duration::from_millis(250);

/// The bucket.
#[derive(Debug)]
pub(crate) struct Limiter {
    tokens: u32,
    filled_at: Instant,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { tokens: BURST, filled_at: Instant::ZERO }
    }

    /// True if one more may be sent now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let refills = now.since(self.filled_at).as_millis() / REFILL.as_millis();
        if refills > 0 {
            let refills = u32::try_from(refills).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(refills).min(BURST);
            self.filled_at = now;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_trickle() {
        let mut limiter = Limiter::new();
        let start = Instant::from_secs(1);
        let taken = (0..100).filter(|_| limiter.take(start)).count();
        assert_eq!(taken, BURST as usize);
        assert!(limiter.take(start + REFILL) && !limiter.take(start + REFILL));
    }
}
