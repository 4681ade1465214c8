//! The daemon's random numbers: the operating system's, or those of a journal.

use lowgate_units::{Entropy, Prng};
use zeroize::Zeroizing;

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        // Linux's generator fails only before it is seeded, and then it waits.
        getrandom::fill(octets).expect("the system has random numbers");
    }
}

/// Keys, nonces and cookies of the daemon's machines come from here, and the seeds of their generators.
pub(super) enum Chance {
    /// The system's, and nobody is told.
    System,
    /// The system's, with a copy for the journal of what was drawn.
    Copied(Zeroizing<Vec<u8>>),
    /// A journal's: what is left of what was drawn then, and how much more is drawn now.
    Journal { left: Zeroizing<Vec<u8>>, more: usize },
}

impl Chance {
    /// What was drawn since this was last asked.
    pub(super) fn take_copy(&mut self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Copied(drawn) => std::mem::take(drawn),
            Self::System | Self::Journal { .. } => Zeroizing::default(),
        }
    }

    /// A generator of its own.
    pub(super) fn prng(&mut self) -> Prng {
        let mut seed = [0; 8];
        self.fill(&mut seed);
        Prng::new(u64::from_le_bytes(seed))
    }
}

impl Entropy for Chance {
    fn fill(&mut self, octets: &mut [u8]) {
        match self {
            Self::System => OsEntropy.fill(octets),
            Self::Copied(drawn) => {
                OsEntropy.fill(octets);
                drawn.extend_from_slice(octets);
            }
            Self::Journal { left, more } => {
                let there = octets.len().min(left.len());
                octets.fill(0);
                octets[..there].copy_from_slice(&left[..there]);
                left.drain(..there);
                *more += octets.len() - there;
            }
        }
    }
}
