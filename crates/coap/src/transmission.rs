//! One confirmable message on its way (RFC 7252 section 4.2).

use alloc::vec::Vec;
use core::time::Duration;
use lowgate_units::{Instant, Prng};

use crate::Config;

/// A confirmable message that waits for its ACK or Reset.
#[derive(Clone, Debug)]
pub(crate) struct Transmission {
    /// The message, the same at each transmission.
    pub(crate) octets: Vec<u8>,
    /// Its id.
    pub(crate) mid: u16,
    /// When it was sent first.
    pub(crate) first_at: Instant,
    /// When it is sent again, or given up.
    pub(crate) due_at: Instant,
    timeout: Duration,
    retransmissions: u8,
}

impl Transmission {
    /// Of a message that is sent now.
    pub(crate) fn new(
        now: Instant,
        octets: Vec<u8>,
        mid: u16,
        config: &Config,
        prng: &mut Prng,
    ) -> Self {
        // RFC 7252 section 4.2: between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR.
        let spread = config.longest_timeout().saturating_sub(config.ack_timeout).as_micros();
        let jitter = prng.below(u64::try_from(spread).unwrap_or(u64::MAX).saturating_add(1));
        let timeout = config.ack_timeout + Duration::from_micros(jitter);
        Self { octets, mid, first_at: now, due_at: now + timeout, timeout, retransmissions: 0 }
    }

    /// Called when it is due: whether to send it once more. `false` is the end of it.
    pub(crate) fn again(&mut self, now: Instant, config: &Config) -> bool {
        // RFC 7252 section 4.2: all transmissions MUST stay within MAX_TRANSMIT_SPAN, even when the
        // owner came late to an earlier one.
        let spent = now.since(self.first_at) > config.max_transmit_span();
        if spent || self.retransmissions >= config.max_retransmit {
            return false;
        }
        self.retransmissions += 1;
        self.timeout = self.timeout.saturating_mul(2);
        self.due_at = now + self.timeout;
        true
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    #[test]
    fn rfc7252_4_2_timeouts_double_and_end() {
        let config = Config::default();
        for seed in 0..50 {
            let (mut prng, start) = (Prng::new(seed), Instant::from_secs(7));
            let mut message = Transmission::new(start, vec![], 1, &config, &mut prng);
            let first = message.due_at - start;
            assert!(
                first >= Duration::from_secs(2) && first <= Duration::from_secs(3),
                "{first:?}"
            );
            for doublings in 1..=4u32 {
                let now = message.due_at;
                assert!(message.again(now, &config));
                assert_eq!(message.due_at - now, first * (1 << doublings));
            }
            assert!(!message.again(message.due_at, &config));
            assert_eq!(message.due_at - start, first * 31);
        }
    }

    #[test]
    fn rfc7252_4_2_a_late_owner_stays_within_the_span() {
        let config = Config::default();
        let start = Instant::from_secs(7);
        let mut message = Transmission::new(start, vec![], 1, &config, &mut Prng::new(1));
        assert!(!message.again(start + Duration::from_secs(46), &config));
    }
}
