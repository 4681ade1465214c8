//! The machine below the radio seam.
use crate::seam::{LinkInput, LinkOutput};
use lowgate_units::{Instant, Prng};

/// The machine below the seam.
#[derive(Debug)]
pub struct LinkMachine {
    _prng: Prng,
}
impl LinkMachine {
    /// With its own stream of chance.
    pub const fn new(prng: Prng) -> Self {
        Self { _prng: prng }
    }
    /// Takes one input; poll until `Wait` afterwards.
    pub fn handle(&mut self, _now: Instant, _input: LinkInput) {}
    /// The next output, `Wait` last.
    pub fn poll(&mut self, _now: Instant) -> LinkOutput {
        LinkOutput::Wait { until: Instant::FAR_FUTURE }
    }
}
