//! What came of a run.

use crate::check::Finding;
use crate::medium::StationId;
use lowgate_units::{Duration, Eui64, Instant};
use std::fmt;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What the checkers found.
    pub findings: Vec<Finding>,
    /// Expectations that did not hold.
    pub failures: Vec<Failure>,
    /// What was counted.
    pub figures: Figures,
    /// The last moment.
    pub ended: Instant,
}

impl Outcome {
    /// Nothing was found and everything held.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.failures.is_empty()
    }
}

/// An expectation that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// When it was looked at.
    pub at: Instant,
    /// Which: an index into the scenario's expectations.
    pub expectation: usize,
    /// What was seen instead.
    pub saw: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expectation {}: {}", self.at, self.expectation + 1, self.saw)
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// That did.
    pub done: u64,
    /// That should have.
    pub of: u64,
}

impl Count {
    /// 1 where nothing should have.
    pub fn share(self) -> f64 {
        if self.of == 0 { 1.0 } else { self.done as f64 / self.of as f64 }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.done, self.of)
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Devices that were installed, and those of them that joined at some time.
    pub joined: Count,
    /// From power to a working address, in the order of the stations.
    pub joins: Vec<Duration>,
    /// The longest way to the border router, in hops.
    pub hops_max: u8,
    /// Group commands, counted once for each light that should obey.
    pub commands: Count,
    /// Pings.
    pub pings: Count,
    /// Reads by the manager.
    pub reads: Count,
    /// What people asked of the manager and were refused.
    pub refused: Vec<String>,
    /// Frames on the air.
    pub frames: u64,
}

/// Why a station is not where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// It has no power.
    Off,
    /// It is no member.
    Out,
    /// It has no working address.
    Unattached,
    /// It sends with another link-layer key than the one in force.
    OldKey,
    /// It does not answer the manager.
    Silent,
}

/// Names the first few of many.
pub(super) fn named(lagging: &[(StationId, Eui64, Lag)]) -> String {
    const NAMED_MAX: usize = 5;
    let names = lagging.iter().take(NAMED_MAX);
    let mut text: Vec<_> = names.map(|(_, eui64, lag)| format!("{eui64} {lag:?}")).collect();
    if lagging.len() > NAMED_MAX {
        text.push(format!("and {} more", lagging.len() - NAMED_MAX));
    }
    text.join(", ")
}
