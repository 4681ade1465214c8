//! The machine above the radio seam.
use crate::upper::{MacConfig, MacInput, MacOutput};
use lowgate_units::{Instant, Prng};

/// The machine above the seam.
pub struct Mac {
    _config: MacConfig,
    _prng: Prng,
}
impl Mac {
    /// Knows no key and no network.
    pub const fn new(config: MacConfig, prng: Prng) -> Self {
        Self { _config: config, _prng: prng }
    }
    /// Takes one input; poll until `Wait` afterwards.
    pub fn handle(&mut self, _now: Instant, _input: MacInput<'_>) {}
    /// The next output, `Wait` last.
    pub fn poll(&mut self, _now: Instant) -> MacOutput {
        MacOutput::Wait { until: Instant::FAR_FUTURE }
    }
}
