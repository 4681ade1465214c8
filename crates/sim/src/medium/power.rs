//! Strengths in dBm as people write them, and powers as the medium sums them.
//!
//! **Invariant:** a power is a whole number of attowatts, so that a sum does not depend on the order of its
//! parts and is nothing again when they are gone.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use super::elementary::exp10;

/// Attowatts in a milliwatt.
const PER_MILLIWATT: f64 = 1e15;
/// What is stronger, in hundredths of a dBm, counts as this: no receiver tells it from more, and sums of
/// eighteen hundred of them do not overflow.
const CENTIBEL_MAX: i32 = 1000;

/// A strength in dBm, rounded to hundredths of a dB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strength(i32);

impl Strength {
    /// The strength of `dbm`, rounded.
    pub fn from_dbm(dbm: f64) -> Self {
        Self((dbm * 100.0).round() as i32)
    }

    /// In dBm.
    pub fn dbm(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// As a power; at most that of 10 dBm.
    pub(super) fn power(self) -> Power {
        let bels = f64::from(self.0.min(CENTIBEL_MAX)) / 1000.0;
        Power((exp10(bels) * PER_MILLIWATT).round() as u64)
    }
}

/// A power in attowatts: -102 dBm are 63 096 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Power(u64);

impl Power {
    /// At least so many attowatts.
    pub(super) fn ceil(attowatts: f64) -> Self {
        Self(attowatts.ceil() as u64)
    }

    /// In attowatts, for ratios.
    pub(super) fn attowatts(self) -> f64 {
        self.0 as f64
    }

    /// Attowatts times microseconds; saturates.
    pub(super) const fn over(self, micros: u64) -> u64 {
        self.0.saturating_mul(micros)
    }
}

impl Add for Power {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Power {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl AddAssign for Power {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Power {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dbm: f64, attowatts: u64) {
        let Power(found) = Strength::from_dbm(dbm).power();
        let off = found.abs_diff(attowatts) as f64;
        assert!(off <= attowatts as f64 * 1e-14, "{dbm} dBm: {found}, not {attowatts}");
    }

    #[test]
    fn powers_of_strengths() {
        check(0.0, 1_000_000_000_000_000);
        check(-102.0, 63_096);
        check(-100.0, 100_000);
        check(-200.0, 0);
        check(10.0, 10_000_000_000_000_000);
        check(30.0, 10_000_000_000_000_000);
    }
}
