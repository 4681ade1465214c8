//! Transmission parameters and what follows from them (RFC 7252 section 4.8).

use core::time::Duration;

/// How many of each thing an endpoint keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Own requests that wait for their turn or their response.
    pub requests_max: usize,
    /// Requests of others not answered yet, and answers not acknowledged yet.
    pub exchanges_max: usize,
    /// Of those, from one peer.
    pub exchanges_per_peer_max: usize,
    /// Messages remembered so that a copy is recognised.
    pub seen_max: usize,
    /// Of those, from one peer: one peer cannot make us forget what another sent.
    pub seen_per_peer_max: usize,
}

impl Bounds {
    /// For the manager: a thousand peers.
    pub const MANAGER: Self = Self {
        requests_max: 1024,
        exchanges_max: 1024,
        exchanges_per_peer_max: 8,
        seen_max: 4096,
        seen_per_peer_max: 32,
    };

    /// For a device: the manager and the members of a group.
    pub const DEVICE: Self = Self {
        requests_max: 8,
        exchanges_max: 8,
        exchanges_per_peer_max: 4,
        seen_max: 64,
        seen_per_peer_max: 16,
    };
}

/// Transmission parameters, by their names in RFC 7252 section 4.8; [`Default`] has the values
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// ACK_TIMEOUT.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR in percent, at least 100.
    pub ack_random_factor_percent: u32,
    /// MAX_RETRANSMIT.
    pub max_retransmit: u8,
    /// NSTART: interactions with one peer that may be outstanding at a time.
    pub nstart: usize,
    /// DEFAULT_LEISURE: answers to a group are spread over so long.
    pub leisure: Duration,
    /// PROBING_RATE in octets per second: how fast a peer is asked that does not answer.
    pub probing_rate: u32,
    /// MAX_LATENCY.
    pub max_latency: Duration,
    /// How long a request may go without ACK while the application thinks; then the answer comes
    /// separately. Below [`Self::ack_timeout`], or the peer repeats itself.
    pub piggyback_within: Duration,
    /// How long an answer is waited for after the ACK of a request, and after a request that gets
    /// none.
    pub response_within: Duration,
    /// Sizes of the tables.
    pub bounds: Bounds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor_percent: 150,
            max_retransmit: 4,
            nstart: 1,
            leisure: Duration::from_secs(5),
            probing_rate: 1,
            max_latency: Duration::from_secs(100),
            piggyback_within: Duration::from_secs(1),
            response_within: Duration::from_secs(93),
            bounds: Bounds::MANAGER,
        }
    }
}

impl Config {
    /// MAX_TRANSMIT_SPAN: from the first transmission of a message to its last.
    pub fn max_transmit_span(&self) -> Duration {
        self.timeouts(u32::from(self.max_retransmit))
    }

    /// MAX_TRANSMIT_WAIT: from the first transmission of a message to giving up.
    pub fn max_transmit_wait(&self) -> Duration {
        self.timeouts(u32::from(self.max_retransmit) + 1)
    }

    /// EXCHANGE_LIFETIME: how long a message id means one message.
    pub fn exchange_lifetime(&self) -> Duration {
        // PROCESSING_DELAY is set to ACK_TIMEOUT.
        let latency = self.max_latency.saturating_mul(2);
        self.max_transmit_span().saturating_add(latency).saturating_add(self.ack_timeout)
    }

    /// ACK_TIMEOUT * (2^n - 1) * ACK_RANDOM_FACTOR
    fn timeouts(&self, n: u32) -> Duration {
        let doublings = (1u32 << n.min(31)) - 1;
        let longest = self.longest_timeout();
        longest.saturating_mul(doublings)
    }

    /// ACK_TIMEOUT * ACK_RANDOM_FACTOR
    pub(crate) fn longest_timeout(&self) -> Duration {
        // RFC 7252 section 4.8.1: ACK_RANDOM_FACTOR MUST NOT be decreased below 1.0.
        self.ack_timeout.saturating_mul(self.ack_random_factor_percent.max(100)) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7252_table_3() {
        let config = Config::default();
        assert_eq!(config.max_transmit_span(), Duration::from_secs(45));
        assert_eq!(config.max_transmit_wait(), Duration::from_secs(93));
        assert_eq!(config.exchange_lifetime(), Duration::from_secs(247));
    }
}
