//! The radio model against results that are known without it: what a report shows and the tests assert.
//!
//! **Invariant:** the known side computes from formulas alone and runs no simulator; the simulated side knows
//! no formula.

mod contention;
mod hidden;
mod noise;
mod senders;

pub use contention::{contention, nonpersistent_csma};
pub use hidden::hidden;
pub use noise::noise;

/// One comparison: some curves, where the known ones come from, and how far the simulator may be off.
#[derive(Clone, Debug)]
pub struct Study {
    /// What is compared.
    pub title: &'static str,
    /// Whose result it is: authors, title, year.
    pub source: &'static str,
    /// What was simulated, and what the formula leaves out.
    pub setting: &'static str,
    /// What [`Point::x`] is, with its unit.
    pub x: &'static str,
    /// What the other two are, with their unit.
    pub y: &'static str,
    /// One per size or number of stations.
    pub curves: Vec<Curve>,
    /// The largest deviation that is accepted, in the unit of `y`.
    pub deviation_max: f64,
    /// The largest that is accepted as a share of the known value, where that is never small.
    pub relative_deviation_max: Option<f64>,
}

/// One line of known results and what was simulated beside it.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What sets it apart from the others.
    pub name: String,
    /// By rising `x`.
    pub points: Vec<Point>,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The setting.
    pub x: f64,
    /// What the formula says.
    pub known: f64,
    /// What the simulator says.
    pub simulated: f64,
}

impl Study {
    /// The largest difference between simulated and known.
    pub fn deviation(&self) -> f64 {
        self.curves.iter().map(Curve::deviation).fold(0.0, f64::max)
    }

    /// The largest difference as a share of the known value, where that says something.
    pub fn relative_deviation(&self) -> Option<f64> {
        self.relative_deviation_max?;
        Some(self.curves.iter().map(Curve::relative_deviation).fold(0.0, f64::max))
    }

    /// Whether the simulator is as near as accepted.
    pub fn holds(&self) -> bool {
        self.deviation() <= self.deviation_max
            && self.relative_deviation() <= self.relative_deviation_max
    }
}

impl Curve {
    /// The largest difference between simulated and known.
    pub fn deviation(&self) -> f64 {
        self.points.iter().map(|p| (p.simulated - p.known).abs()).fold(0.0, f64::max)
    }

    /// The largest difference between simulated and known as a share of the known.
    pub fn relative_deviation(&self) -> f64 {
        self.points.iter().map(|p| (p.simulated / p.known - 1.0).abs()).fold(0.0, f64::max)
    }
}

/// All comparisons, with equal results for equal seeds.
pub fn all(seed: u64) -> Vec<Study> {
    vec![noise(seed), contention(seed), hidden(seed)]
}

#[cfg(test)]
mod tests;
