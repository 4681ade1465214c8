//! The host's side of a radio co-processor: Spinel over a serial line, and its supervision.
//!
//! It resets the co-processor, learns what it is, configures it, passes frames both ways, and does all
//! of that again whenever the co-processor falls silent, forgets, or talks nonsense. A question whose answer
//! the line lost it asks again.
//!
//! **Invariant:** every [`RadioCommand::Transmit`] ends in one [`RadioEvent::Transmitted`], whatever
//! happens to the line; no PSDU is repeated by itself; events of frames come from a co-processor that
//! is configured.

mod event;
mod frames;
mod machine;
mod setup;
mod state;

#[cfg(test)]
mod tests;

pub use event::{CoProcessorEvent, Fault, Incompatibility};
pub use machine::{
    BACKOFF_MAX, CoProcessor, INCOMPATIBLE_PAUSE, OUTPUTS_MAX, PROBE_INTERVAL, REPEAT_AFTER,
    RESET_ATTEMPTS_MAX, RESPONSE_MAX, TRANSMISSION_MAX, UNREADY_MAX,
};
pub use setup::{QUESTIONS, objection};

use lowgate_mac::{RadioCommand, RadioEvent};
use lowgate_units::Instant;

/// Into the host's side.
#[derive(Clone, Debug)]
pub enum CoProcessorInput<'a> {
    /// The serial line is open, for the first time or again.
    Opened,
    /// It is gone.
    Closed,
    /// From the line, however they were cut.
    Octets(&'a [u8]),
    /// From the MAC.
    Command(RadioCommand),
}

/// Out of the host's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoProcessorOutput {
    /// For the line.
    Octets(Vec<u8>),
    /// For the MAC.
    Event(RadioEvent),
    /// Close the line and open it again: a reset by command does not help.
    Reopen,
    /// For the log.
    Told(CoProcessorEvent),
    /// Nothing more until then, or until the next input.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}
