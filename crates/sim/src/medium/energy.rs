//! What a radio's states cost: how long it was in each, and the charge of that.

use lowgate_units::{Duration, Instant};

/// How long a radio was in each of its states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RadioTime {
    /// Switched off, or asleep.
    pub off: Duration,
    /// Listening, receiving, assessing the channel, turning around: the receiver is on.
    pub listen: Duration,
    /// Sending.
    pub transmit: Duration,
}

impl RadioTime {
    /// The charge of all of it in millicoulombs: milliamperes times seconds.
    pub fn charge_mc(&self, currents: &Currents) -> f64 {
        self.off.as_secs_f64() * currents.off_ma
            + self.listen.as_secs_f64() * currents.listen_ma
            + self.transmit.as_secs_f64() * currents.transmit_ma
    }
}

/// What a transceiver draws in each state, in milliamperes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Currents {
    /// Off.
    pub off_ma: f64,
    /// With the receiver on.
    pub listen_ma: f64,
    /// Sending at 0 dBm.
    pub transmit_ma: f64,
}

impl Currents {
    /// Texas Instruments CC2420, data sheet SWRS041c, electrical specifications: voltage regulator off 0.02
    /// uA, receive 18.8 mA, transmit at 0 dBm 17.4 mA.
    pub const CC2420: Self = Self { off_ma: 0.000_02, listen_ma: 18.8, transmit_ma: 17.4 };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RadioState {
    #[default]
    Off,
    Listen,
    Transmit,
}

/// One radio's account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    state: RadioState,
    since: Instant,
    spent: RadioTime,
}

impl Meter {
    /// The radio is in `state` from now on.
    pub(super) fn enter(&mut self, now: Instant, state: RadioState) {
        *self = Self { state, since: now, spent: self.read(now) };
    }

    /// Everything up to now.
    pub(super) fn read(&self, now: Instant) -> RadioTime {
        let mut spent = self.spent;
        let state = match self.state {
            RadioState::Off => &mut spent.off,
            RadioState::Listen => &mut spent.listen,
            RadioState::Transmit => &mut spent.transmit,
        };
        *state += now - self.since;
        spent
    }
}
