//! What goes wrong with the co-processor and its line, by command.
//!
//! **Invariant:** a fault ends by itself; of the octets that pass, only those that a fault names are lost
//! or changed.

use lowgate_units::{Duration, Instant, Prng};
use std::fmt;
use std::str::FromStr;

/// Octets that one command may spoil.
const OCTETS_MAX: u32 = 65_536;
/// Of the octets of [`Fault::Flip`] one in so many has a wrong bit: most frames, and no frame only of noise.
const FLIP_ONE_IN: u64 = 8;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The co-processor restarts.
    Reset,
    /// It takes nothing from its line and says nothing for so long; what waited then passes late.
    Hang(Duration),
    /// So many octets, whichever way they go, are lost.
    Lose(u32),
    /// Among so many octets, whichever way they go, some have a wrong bit.
    Flip(u32),
    /// Line and co-processor are gone for so long, and come back as after being plugged in.
    Unplug(Duration),
}

/// What is wrong at the moment.
#[derive(Debug)]
pub(super) struct Faults {
    hang_until: Option<Instant>,
    unplugged_until: Option<Instant>,
    lose: u32,
    flip: u32,
    prng: Prng,
}

/// A fault that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// [`Fault::Reset`].
    Reset,
    /// [`Fault::Hang`].
    Hang,
    /// [`Fault::Lose`].
    Lose,
    /// [`Fault::Flip`].
    Flip,
    /// [`Fault::Unplug`].
    Unplug,
}

impl Faults {
    /// None. `prng` chooses the bits.
    pub(super) fn new(prng: Prng) -> Self {
        Self { hang_until: None, unplugged_until: None, lose: 0, flip: 0, prng }
    }

    /// One more. A second of a kind takes the place of the first. The owner does what a reset and a line
    /// that is gone ask of it.
    pub(super) fn begin(&mut self, now: Instant, fault: Fault) {
        match fault {
            Fault::Reset => {}
            Fault::Hang(time) => self.hang_until = Some(now + time),
            Fault::Lose(octets) => self.lose = octets,
            Fault::Flip(octets) => self.flip = octets,
            Fault::Unplug(time) => self.unplugged_until = Some(now + time),
        }
    }

    /// Whether octets pass at all.
    pub(super) const fn passes(&self) -> bool {
        self.hang_until.is_none() && self.unplugged_until.is_none()
    }

    /// When a fault ends next without octets that pass.
    pub(super) fn next_at(&self) -> Instant {
        let ends = [self.hang_until, self.unplugged_until];
        ends.into_iter().flatten().min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Faults of time that are over by now.
    pub(super) fn elapsed(&mut self, now: Instant) -> Vec<Over> {
        let over = |until: &mut Option<Instant>, which| {
            until.take_if(|until| *until <= now).map(|_| which)
        };
        let ended =
            [over(&mut self.hang_until, Over::Hang), over(&mut self.unplugged_until, Over::Unplug)];
        ended.into_iter().flatten().collect()
    }

    /// Octets pass, whichever way; faults that these were the last of.
    pub(super) fn spoil(&mut self, octets: &mut Vec<u8>) -> Vec<Over> {
        let mut over = Vec::new();
        if self.lose > 0 && !octets.is_empty() {
            let lost = octets.len().min(self.lose as usize);
            drop(octets.drain(..lost));
            self.lose -= lost as u32;
            if self.lose == 0 {
                over.push(Over::Lose);
            }
        }
        if self.flip > 0 && !octets.is_empty() {
            for octet in octets.iter_mut().take(self.flip as usize) {
                if self.prng.below(FLIP_ONE_IN) == 0 {
                    *octet ^= 1 << self.prng.below(8);
                }
                self.flip -= 1;
            }
            if self.flip == 0 {
                over.push(Over::Flip);
            }
        }
        over
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let fault = match words[..] {
            ["reset"] => Some(Self::Reset),
            ["hang", time] => super::seconds(time).ok().map(Self::Hang),
            ["lose", number] => octets(number).map(Self::Lose),
            ["flip", number] => octets(number).map(Self::Flip),
            ["unplug", time] => super::seconds(time).ok().map(Self::Unplug),
            _ => None,
        };
        fault.ok_or_else(|| {
            format!(
                "{line:?} is no fault: write reset, hang SECONDS, lose OCTETS, flip OCTETS or unplug \
                 SECONDS; up to 3600 seconds and {OCTETS_MAX} octets"
            )
        })
    }
}

fn octets(text: &str) -> Option<u32> {
    text.parse().ok().filter(|octets| (1..=OCTETS_MAX).contains(octets))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::Hang(time) => write!(f, "hang {}", time.as_secs_f64()),
            Self::Lose(octets) => write!(f, "lose {octets}"),
            Self::Flip(octets) => write!(f, "flip {octets}"),
            Self::Unplug(time) => write!(f, "unplug {}", time.as_secs_f64()),
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Lose => "lose",
            Self::Flip => "flip",
            Self::Unplug => "unplug",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, fault: Option<Fault>) {
        assert_eq!(line.parse().ok(), fault, "{line}");
        if let Some(fault) = fault {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }

    #[test]
    fn commands() {
        check("reset", Some(Fault::Reset));
        check("hang 1.5", Some(Fault::Hang(Duration::from_millis(1500))));
        check("  lose   7 ", Some(Fault::Lose(7)));
        check("flip 65536", Some(Fault::Flip(65_536)));
        check("unplug 0", Some(Fault::Unplug(Duration::ZERO)));
        for line in
            ["", "reset 1", "hang", "hang -1", "hang 1h", "hang 3601", "lose 0", "flip 65537"]
        {
            check(line, None);
        }
    }

    fn spoilt(fault: Fault, len: usize) -> (Faults, Vec<u8>) {
        let mut faults = Faults::new(Prng::new(1));
        faults.begin(Instant::ZERO, fault);
        let mut octets = vec![0; len];
        let over = faults.spoil(&mut octets);
        assert_eq!(over.is_empty(), len < 100);
        (faults, octets)
    }

    #[test]
    fn only_the_named_octets_are_lost() {
        let (mut faults, octets) = spoilt(Fault::Lose(100), 90);
        assert!(octets.is_empty());
        let mut more = vec![1; 90];
        assert_eq!(faults.spoil(&mut more), [Over::Lose]);
        assert_eq!(more, [1; 80]);
        assert!(faults.spoil(&mut more).is_empty());
        assert_eq!(more, [1; 80]);
    }

    #[test]
    fn only_the_named_octets_are_changed() {
        let (_, octets) = spoilt(Fault::Flip(100), 300);
        let wrong: Vec<_> = octets.iter().filter(|octet| **octet != 0).collect();
        assert!((5..25).contains(&wrong.len()), "{} of 100", wrong.len());
        assert!(wrong.iter().all(|octet| octet.count_ones() == 1));
        assert_eq!(octets[100..], [0; 200]);
    }

    #[test]
    fn a_fault_of_time_ends_with_it() {
        let mut faults = Faults::new(Prng::new(1));
        faults.begin(Instant::ZERO, Fault::Hang(Duration::from_secs(2)));
        faults.begin(Instant::ZERO, Fault::Unplug(Duration::from_secs(1)));
        assert_eq!(faults.next_at(), Instant::from_secs(1));
        assert_eq!(faults.elapsed(Instant::from_secs(1)), [Over::Unplug]);
        assert!(!faults.passes());
        assert_eq!(faults.elapsed(Instant::from_secs(5)), [Over::Hang]);
        assert!(faults.passes());
        assert_eq!(faults.next_at(), Instant::FAR_FUTURE);
    }

    proptest! {
        #[test]
        fn any_line_is_a_fault_or_refused(line: String) {
            if let Ok(fault) = line.parse::<Fault>() {
                prop_assert_eq!(fault.to_string().parse(), Ok(fault));
            }
        }
    }
}
