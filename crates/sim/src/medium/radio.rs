//! One radio: what it hears, whom it follows, whether it sends.

use lowgate_units::{Channel, Duration, Instant};

use super::bit_error::{SINR_CLEAN, ln_bit_intact};
use super::elementary::exp;
use super::power::Power;
use super::{MediumCounters, Receiver};

/// How long a bit lasts, in microseconds.
pub(super) const BIT_MICROS: f64 = 4.0;
/// The preamble and the delimiter: as long as they last, a louder frame takes the receiver over.
const SHR_TIME: Duration = Duration::from_micros(160);
/// A carrier has been recognised after half the preamble.
const CARRIER_SENSE_TIME: Duration = Duration::from_micros(64);
/// A receiver does not notice a preamble at less than this ratio of powers (-2 dB).
pub(super) const LOCK_SINR_MIN: f64 = 0.63;
/// Another frame, spread by the same chips, harms more than noise of its power: data sheets of receivers
/// ask for 3 dB over an interferer on the same channel, where the formula for noise is content with 0.
pub(super) const INTERFERENCE_WEIGHT: f64 = 2.0;
/// How much louder a frame must be to take a receiver over (3 dB).
const TAKEOVER_RATIO: f64 = 2.0;

#[derive(Clone, Debug, Default)]
pub(super) struct Radio {
    /// `None`: switched off.
    pub(super) channel: Option<Channel>,
    /// The power of all frames on its channel, its own excepted.
    pub(super) incident: Power,
    pub(super) sending: Sending,
    pub(super) lock: Option<Lock>,
    pub(super) cca: Option<Assessment>,
    /// The radio listened at least until then, and turns around from there.
    pub(super) listened_until: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sending {
    #[default]
    No,
    /// Turning around; deaf to what it cannot follow to its end.
    Soon(usize),
    Now(usize),
}

/// The frame a receiver follows.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    pub(super) flight: usize,
    power: Power,
    since: Instant,
    settled: Instant,
    ln_intact: f64,
    /// The most there was of all else, in attowatts; makes the LQI.
    against_max: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Assessment {
    pub(super) ends: Instant,
    pub(super) settled: Instant,
    /// Attowatts times microseconds, without the noise.
    pub(super) energy: u64,
}

impl Lock {
    /// Whether all bits arrive intact when the dice say `chance`, from 0 to 1.
    pub(super) fn survives(&self, chance: f64) -> bool {
        // The line lies below the exponential, and mostly decides.
        chance < 1.0 + self.ln_intact || chance < exp(self.ln_intact)
    }

    /// The SINR at the frame's worst moment.
    pub(super) fn sinr_min(&self) -> f64 {
        self.power.attowatts() / self.against_max
    }
}

impl Radio {
    /// Accounts for the time since the last change, during which the powers around were constant.
    pub(super) fn settle(&mut self, now: Instant, receiver: &Receiver) {
        if let Some(lock) = &mut self.lock {
            let micros = now.as_micros() - lock.settled.as_micros();
            if micros > 0 {
                let against = against(lock.power, self.incident, receiver);
                let power = lock.power.attowatts();
                if power < SINR_CLEAN * against {
                    lock.ln_intact += micros as f64 / BIT_MICROS * ln_bit_intact(power / against);
                }
                lock.against_max = lock.against_max.max(against);
                lock.settled = now;
            }
        }
        if let Some(cca) = &mut self.cca {
            let micros = now.as_micros() - cca.settled.as_micros();
            cca.energy = cca.energy.saturating_add(self.incident.over(micros));
            cca.settled = now;
        }
    }

    /// A frame begins and already counts among the incident ones: does this radio follow it?
    pub(super) fn notice(
        &mut self,
        now: Instant,
        flight: usize,
        power: Power,
        receiver: &Receiver,
        counters: &mut MediumCounters,
    ) {
        if power < receiver.noticed {
            return;
        }
        let against = against(power, self.incident, receiver);
        let taken = self.lock.as_ref().is_some_and(|lock| {
            now > lock.since + SHR_TIME
                || power.attowatts() < lock.power.attowatts() * TAKEOVER_RATIO
        });
        let drowned = power.attowatts() < LOCK_SINR_MIN * against;
        if matches!(self.sending, Sending::Now(_)) || taken || drowned {
            counters.unheard += 1;
            return;
        }
        counters.abandoned += u64::from(self.lock.is_some());
        self.lock = Some(Lock {
            flight,
            power,
            since: now,
            settled: now,
            ln_intact: 0.0,
            against_max: against,
        });
    }

    /// Whether it recognises the modulation of a frame.
    pub(super) fn senses_carrier(&self, now: Instant) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.since + CARRIER_SENSE_TIME <= now)
    }
}

/// What stands against one of the incident frames, in attowatts: the noise and all the others.
fn against(power: Power, incident: Power, receiver: &Receiver) -> f64 {
    receiver.noise + INTERFERENCE_WEIGHT * (incident - power).attowatts()
}
