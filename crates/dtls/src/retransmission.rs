//! When to send a flight again, and when to give up.

use lowgate_units::{Duration, Instant, Prng};

/// How patience is spent. A policy of the domain, for handshakes and key messages alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retransmission {
    /// RFC 6347 section 4.2.4.1: one second, doubling to 60.
    Rfc6347,
    /// RFC 7925 section 11: nine seconds, doubling to 60.
    Rfc7925,
    /// From measured round trips, and before the first of them from the number of radio hops:
    /// doubling, but at most 2 s or two measured round trips during the first 30 s, then doubling to 60 s.
    /// To a neighbour twelve transmissions are at most 0.5 s or four round trips apart: what one hop loses is
    /// lost to noise, not to a queue.
    Adaptive {
        /// Radio hops to the peer, as far as known; 1 for a neighbour.
        hops: u8,
    },
    /// The same in a crowd: the first repetition comes as soon as to a neighbour, those after it as late as over
    /// a long way.
    Crowded,
}

impl Retransmission {
    /// What domains use unless told otherwise.
    pub const USUAL: Self = Self::Adaptive { hops: 4 };

    /// The same policy where the number of hops is known.
    #[must_use]
    pub const fn over(self, hops: Option<u8>) -> Self {
        match (self, hops) {
            (Self::Adaptive { .. }, Some(hops)) => Self::Adaptive { hops },
            _ => self,
        }
    }

    /// Whether repetitions stay close to each other.
    const fn is_brisk(self) -> bool {
        matches!(self, Self::Adaptive { hops: 0..=1 })
    }
}

/// Doubling ends here (RFC 6347 section 4.2.4.1: no less than 60 s).
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Adaptive: the longest wait while the exchange is young, unless two round trips were measured to be longer. In a
/// building where everybody joins at once they take seconds: a shorter wait repeats what still stands in queues,
/// and the air has no room for both.
const YOUNG_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// Adaptive: the same to a neighbour, for so many transmissions. Who answers none of them stands in a queue after all.
const BRISK_INTERVAL_MAX: Duration = Duration::from_millis(500);
const BRISK_TRANSMISSIONS: u16 = 12;
/// Adaptive: how long an exchange is young.
const YOUNG: Duration = Duration::from_secs(30);
/// Adaptive: the shortest wait. A datagram in four frames needs 20 ms on the air per hop.
const INTERVAL_MIN: Duration = Duration::from_millis(150);
/// Adaptive: expected round trip per hop before one was measured.
const HOP_ROUND_TRIP: Duration = Duration::from_millis(120);
/// How long an exchange is tried at all.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const GIVE_UP_AFTER_RFC: Duration = Duration::from_secs(150);

/// The timer of one exchange: start, sent, heard.
#[derive(Clone, Copy, Debug)]
pub struct RetransmissionTimer {
    policy: Retransmission,
    started: Instant,
    first_sent: Instant,
    sent: Instant,
    due: Instant,
    round_trip: Option<Duration>,
    transmissions: u16,
    wait: Duration,
}

impl RetransmissionTimer {
    /// The exchange begins; nothing is due before [`Self::sent`].
    pub const fn new(policy: Retransmission, now: Instant) -> Self {
        Self {
            policy,
            started: now,
            first_sent: now,
            sent: now,
            due: Instant::FAR_FUTURE,
            round_trip: None,
            transmissions: 0,
            wait: Duration::ZERO,
        }
    }

    /// The same, on a path whose round trip an exchange before has measured.
    #[must_use]
    pub const fn with_round_trip(self, round_trip: Option<Duration>) -> Self {
        Self { round_trip, ..self }
    }

    /// What the path's round trip is taken for, once something is known of it.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The flight left: the next transmission is due at [`Self::due`].
    pub fn sent(&mut self, now: Instant, prng: &mut Prng) {
        let wait = self.next_wait(now);
        self.wait = wait;
        if self.transmissions == 0 {
            self.first_sent = now;
        }
        self.sent = now;
        self.transmissions = self.transmissions.saturating_add(1);
        // Up to a quarter more or less, so that devices powered up together do not stay in step.
        let jitter = prng.below(u64::try_from(wait.as_micros() / 4).unwrap_or(u64::MAX));
        let jitter = Duration::from_micros(jitter);
        self.due = now
            + match self.policy {
                // The intervals of the RFCs are the least.
                Retransmission::Rfc6347 | Retransmission::Rfc7925 => wait + jitter,
                // Those of ours the most.
                Retransmission::Adaptive { .. } | Retransmission::Crowded => wait - jitter,
            };
    }

    fn next_wait(&self, now: Instant) -> Duration {
        let doubled = |first: u64| match self.transmissions {
            0 => Duration::from_secs(first),
            _ => (self.wait * 2).min(INTERVAL_MAX),
        };
        match self.policy {
            Retransmission::Rfc6347 => doubled(1),
            Retransmission::Rfc7925 => doubled(9),
            Retransmission::Adaptive { .. } | Retransmission::Crowded
                if now - self.started < YOUNG =>
            {
                let round_trip = self.round_trip.unwrap_or(self.expected());
                let first = (round_trip * 2).max(INTERVAL_MIN);
                let patience = 1 << self.transmissions.min(8);
                let measured = self.round_trip.map_or(Duration::ZERO, |it| it * 2);
                let longest = match self.transmissions {
                    0..BRISK_TRANSMISSIONS if self.policy.is_brisk() => {
                        (round_trip * 4).max(BRISK_INTERVAL_MAX)
                    }
                    _ => YOUNG_INTERVAL_MAX,
                };
                (first * patience).min(longest.min(YOUNG_INTERVAL_MAX).max(measured))
            }
            Retransmission::Adaptive { .. } | Retransmission::Crowded => {
                (self.wait.max(YOUNG_INTERVAL_MAX) * 2).min(INTERVAL_MAX)
            }
        }
    }

    /// The answer to the last flight came: the exchange goes on with a fresh flight.
    pub fn answered(&mut self, now: Instant) {
        let waited = now - self.first_sent;
        self.round_trip = Some(match (self.transmissions, self.round_trip) {
            (0 | 1, None) => waited,
            (0 | 1, Some(longest)) => longest.max(waited),
            // Karn: which transmission was answered nobody knows. From a neighbour it was the last one; if not, the
            // next interval is longer, and so is what this says then.
            (_, estimate) if self.policy.is_brisk() => {
                waited.min(estimate.unwrap_or(self.expected()).max(now - self.sent))
            }
            // Elsewhere the path may be slower than thought, but not slower than this.
            (_, estimate) => waited.min(estimate.unwrap_or(self.expected()) * 2),
        });
        self.transmissions = 0;
        self.due = Instant::FAR_FUTURE;
    }

    /// The round trip before any was measured.
    fn expected(&self) -> Duration {
        match self.policy {
            Retransmission::Adaptive { hops } => HOP_ROUND_TRIP * u32::from(hops.max(1)),
            Retransmission::Crowded => HOP_ROUND_TRIP,
            Retransmission::Rfc6347 | Retransmission::Rfc7925 => INTERVAL_MIN,
        }
    }

    /// The exchange begins anew, within the same patience.
    pub fn restarted(&mut self) {
        self.transmissions = 0;
        self.due = Instant::FAR_FUTURE;
    }

    /// When the flight is due again, FAR_FUTURE when none is out.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// When the exchange is hopeless.
    pub fn gives_up(&self) -> Instant {
        self.started
            + match self.policy {
                Retransmission::Adaptive { .. } | Retransmission::Crowded => GIVE_UP_AFTER,
                Retransmission::Rfc6347 | Retransmission::Rfc7925 => GIVE_UP_AFTER_RFC,
            }
    }

    /// Times the present flight left.
    pub const fn transmissions(&self) -> u16 {
        self.transmissions
    }

    /// When the present flight left last.
    pub const fn last_sent(&self) -> Instant {
        self.sent
    }
}
