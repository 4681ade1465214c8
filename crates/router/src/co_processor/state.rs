//! Where the host's side of a co-processor stands.

use super::setup::Identity;
use lowgate_mac::RadioConfig;
use lowgate_spinel::Tid;
use lowgate_units::Instant;

#[derive(Clone, Debug)]
pub(super) enum State {
    /// No line.
    Closed,
    /// The next reset is due then.
    Pausing { until: Instant },
    /// A reset was sent.
    Resetting { until: Instant },
    /// `QUESTIONS[index]` was asked.
    Asking { index: usize, asked: Asked, identity: Identity },
    /// `SETTINGS[index]` was set; `old` is in force, if any.
    Setting { index: usize, asked: Asked, old: Option<RadioConfig>, new: RadioConfig },
    /// Of no use.
    Incompatible { until: Instant },
    /// Of use once it has a configuration.
    Ready { config: Option<RadioConfig>, errand: Errand },
}

/// A command that has to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) tid: Tid,
    pub(super) until: Instant,
    /// Never of a transmission: it would be on the air twice.
    pub(super) again_at: Option<Instant>,
}

impl Asked {
    pub(super) fn wake(&self) -> Instant {
        self.again_at.map_or(self.until, |again| again.min(self.until))
    }
}

/// What a ready co-processor is at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    Idle { probe_at: Instant },
    Probing(Asked),
    Transmitting(Asked),
}

impl State {
    /// When it wants to go on although nothing came.
    pub(super) fn wake(&self) -> Instant {
        match self {
            Self::Closed => Instant::FAR_FUTURE,
            Self::Pausing { until }
            | Self::Resetting { until }
            | Self::Incompatible { until }
            | Self::Ready { errand: Errand::Idle { probe_at: until }, .. } => *until,
            Self::Asking { asked, .. }
            | Self::Setting { asked, .. }
            | Self::Ready {
                errand: Errand::Probing(asked) | Errand::Transmitting(asked), ..
            } => asked.wake(),
        }
    }

    /// The question under way.
    pub(super) const fn asked_mut(&mut self) -> Option<&mut Asked> {
        match self {
            Self::Asking { asked, .. }
            | Self::Setting { asked, .. }
            | Self::Ready {
                errand: Errand::Probing(asked) | Errand::Transmitting(asked), ..
            } => Some(asked),
            Self::Closed
            | Self::Pausing { .. }
            | Self::Resetting { .. }
            | Self::Incompatible { .. }
            | Self::Ready { errand: Errand::Idle { .. }, .. } => None,
        }
    }
}
