//! Frames that wait for the radio, oldest first.
//!
//! **Invariant:** secured frames leave in the order they came, or their counters would not rise.

use crate::upper::{Payload, QUEUE_FRAMES_MAX, Security, SendDrop};
use lowgate_units::{LinkDst, List};

/// A frame to send, not yet numbered and not yet sealed.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Data { token: u32, dst: LinkDst, security: Security, payload: Payload },
    BeaconRequest,
    Beacon { payload: Payload },
}

impl Outgoing {
    pub(crate) const fn is_secured(&self) -> bool {
        matches!(self, Self::Data { security: Security::Secured, .. })
    }

    /// Who waits for its end.
    pub(crate) const fn caller(&self) -> Option<u32> {
        match self {
            Self::Data { token, .. } => Some(*token),
            Self::BeaconRequest | Self::Beacon { .. } => None,
        }
    }
}

/// At most [`QUEUE_FRAMES_MAX`] frames.
pub(crate) struct Queue {
    frames: List<Outgoing, QUEUE_FRAMES_MAX>,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { frames: List::new() }
    }

    pub(crate) fn push(&mut self, frame: Outgoing) -> Result<(), SendDrop> {
        self.frames.push(frame).map_err(|_| SendDrop::QueueFull)
    }

    /// The oldest frame of those that are `ready`.
    pub(crate) fn pop(&mut self, ready: impl Fn(&Outgoing) -> bool) -> Option<Outgoing> {
        let at = self.frames.iter().position(ready)?;
        Some(self.frames.remove(at))
    }
}
