//! Which seeds, and which part of them.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// Most seeds of one call.
const SEEDS_MAX: u64 = 1_000_000;

/// From one to another, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seeds(RangeInclusive<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let range = first.parse().ok().zip(last.parse().ok());
        let range =
            range.filter(|(first, last): &(u64, u64)| first <= last && last - first < SEEDS_MAX);
        let (first, last) = range.ok_or_else(|| {
            format!("a number, or A..B with at most {SEEDS_MAX} seeds from A to B")
        })?;
        Ok(Self(first..=last))
    }
}

/// One of several parts, as equal as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// From 1 to `of`.
    nth: u64,
    of: u64,
}

impl Shard {
    /// Every so manieth seed.
    pub(super) fn of(self, seeds: &Seeds) -> Vec<u64> {
        let skip = (self.nth - 1) as usize;
        // More parts than seeds: some are empty.
        let step = usize::try_from(self.of).unwrap_or(usize::MAX);
        seeds.0.clone().skip(skip).step_by(step).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(nth, of)| nth.parse().ok().zip(of.parse().ok()));
        let parts = parts.filter(|(nth, of)| (1..=*of).contains(nth) && *of <= SEEDS_MAX);
        let (nth, of) = parts.ok_or("I/N with I from 1 to N, as 1/4")?;
        Ok(Self { nth, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &str) -> Vec<u64> {
        "1/1".parse::<Shard>().expect("all").of(&text.parse().expect("seeds"))
    }

    #[test]
    fn one_or_both_ends_included() {
        assert_eq!(seeds("7"), [7]);
        assert_eq!(seeds("3..6"), [3, 4, 5, 6]);
        assert_eq!(seeds("18446744073709551615"), [u64::MAX]);
        for wrong in ["", "x", "2..1", "..", "1..", "-1", "0..1000000", "1...2"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_add_up() {
        let all: Seeds = "10..20".parse().expect("seeds");
        for of in [1, 2, 3, 11, 15] {
            let part = |nth: u64| format!("{nth}/{of}").parse::<Shard>().expect("a part").of(&all);
            let mut together: Vec<_> = (1..=of).flat_map(part).collect();
            together.sort_unstable();
            assert_eq!(together, (10..=20).collect::<Vec<_>>(), "{of} parts");
        }
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
