//! A token bucket over octets: what strangers may cause, by time and in bulk.
//!
//! **Invariant:** what passed never exceeds the burst plus the rate times the time since the start.

use crate::JOIN_DATAGRAM_OCTETS_MAX;
use lowgate_units::{Duration, Instant};

/// Octets per second with a burst; a rate of zero lets nothing pass (RFC 9031 section 8.4.2).
#[derive(Clone, Debug)]
pub struct OctetBucket {
    octets_per_s: u32,
    burst_octets: u32,
    /// In millionths of an octet, so that no time is lost to rounding.
    level: u64,
    filled_at: Instant,
}

impl OctetBucket {
    /// A full bucket at `now`.
    pub fn new(now: Instant, octets_per_s: u32, burst_octets: u32) -> Self {
        let level = u64::from(burst_octets) * 1_000_000;
        Self { octets_per_s, burst_octets, level, filled_at: now }
    }

    /// Changes the rate; what is in the bucket stays.
    pub fn set_rate(&mut self, now: Instant, octets_per_s: u32) {
        self.refill(now);
        self.octets_per_s = octets_per_s;
    }

    /// Takes `octets` if a datagram as large as any has room and the rate is not zero: were there but room for
    /// small ones, who sends small ones would leave none for others.
    #[must_use]
    pub fn take(&mut self, now: Instant, octets: usize) -> bool {
        self.refill(now);
        let [cost, room] = [octets, octets.max(JOIN_DATAGRAM_OCTETS_MAX)]
            .map(|octets| u64::try_from(octets).unwrap_or(u64::MAX).saturating_mul(1_000_000));
        if self.octets_per_s == 0 || room > self.level {
            return false;
        }
        self.level -= cost;
        true
    }

    /// How full the bucket is, 0 (empty) to 255.
    pub fn fullness(&mut self, now: Instant) -> u8 {
        self.refill(now);
        let full = u64::from(self.burst_octets.max(1)) * 1_000_000;
        u8::try_from(self.level * 255 / full).unwrap_or(u8::MAX)
    }

    fn refill(&mut self, now: Instant) {
        let elapsed: Duration = now - self.filled_at;
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let gained = micros.saturating_mul(u64::from(self.octets_per_s));
        let full = u64::from(self.burst_octets) * 1_000_000;
        self.level = self.level.saturating_add(gained).min(full);
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut bucket = OctetBucket::new(Instant::ZERO, 100, 500);
        assert!(bucket.take(Instant::ZERO, 216));
        assert!(!bucket.take(Instant::from_millis(999), 100));
        assert!(bucket.take(Instant::from_millis(1000), 100));
        assert!(!bucket.take(Instant::from_millis(1000), 1));
    }

    #[test]
    fn small_ones_leave_room_for_a_large_one() {
        let mut bucket = OctetBucket::new(Instant::ZERO, 100, 500);
        let small = (0..100).filter(|_| bucket.take(Instant::ZERO, 50)).count();
        assert_eq!(small, 3, "down to 350");
        assert!(!bucket.take(Instant::from_millis(300), 50));
        assert!(bucket.take(Instant::from_millis(340), JOIN_DATAGRAM_OCTETS_MAX));
    }

    #[test]
    fn time_that_goes_back_gains_nothing() {
        let mut bucket = OctetBucket::new(Instant::from_secs(10), 100, 384);
        assert!(bucket.take(Instant::from_secs(10), 1));
        assert!(!bucket.take(Instant::from_secs(5), 1));
        assert!(!bucket.take(Instant::from_secs(10), 1));
    }

    #[test]
    fn a_rate_of_zero_is_closed_even_with_a_full_bucket() {
        let mut bucket = OctetBucket::new(Instant::ZERO, 0, 384);
        assert!(!bucket.take(Instant::from_secs(100), 1));
        bucket.set_rate(Instant::from_secs(100), 10);
        assert!(bucket.take(Instant::from_secs(100), 384));
    }

    #[test]
    fn it_fills_while_nobody_takes() {
        let mut bucket = OctetBucket::new(Instant::ZERO, 100, 400);
        assert!(bucket.take(Instant::ZERO, 400));
        assert_eq!(bucket.fullness(Instant::ZERO), 0);
        assert_eq!(bucket.fullness(Instant::from_secs(2)), 127);
        assert_eq!(bucket.fullness(Instant::from_secs(100)), 255);
    }
}
