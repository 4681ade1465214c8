//! The operating system's random numbers.

use lowgate_units::Entropy;

/// Keys, nonces and cookies of the daemon come from here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        // Linux's generator fails only before it is seeded, and then it waits.
        getrandom::fill(octets).expect("the system has random numbers");
    }
}
