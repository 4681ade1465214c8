//! One entry of a journal: how it began, an input, what came of it, how it ended.
//!
//! ```text
//! entry    len32 | kind8 | fields
//! 0 begun  time64 | program | configuration | domain's store (0, or 1 and its image)
//!          | border router's records (0, or 1, their number32 and name, octets of each)
//! 1 fed    time64 | input
//! 2 came   entropy drawn | outputs32 | running digest 8
//! 3 ended  reason8
//! ```
//! Texts and octets stand behind their number, 32 bits. Times are microseconds.
//!
//! **Invariant:** parse of emit is identity; whatever else is refused.

use super::wire::{Emit, Parse};
use crate::daemon::input::Input;
use lowgate_store::{FlashRecord, IMAGE_OCTETS_MAX};
use lowgate_units::Instant;
use zeroize::Zeroizing;

/// Octets of the largest entry: a store's image, and what begins with it.
pub(super) const ENTRY_OCTETS_MAX: usize = 2 * IMAGE_OCTETS_MAX;

/// One entry.
pub(in crate::daemon) enum Entry {
    /// Always the first, and only that.
    Begun(Beginning),
    /// The machines learn something.
    Fed { at: Instant, input: Input },
    /// What came of the beginning, or of the input before.
    Came(Outcome),
    /// Nothing more follows.
    Ended(Ending),
}

/// Everything that a daemon's machines begin with.
#[derive(Clone)]
pub(in crate::daemon) struct Beginning {
    pub(in crate::daemon) at: Instant,
    /// The program's version.
    pub(in crate::daemon) program: String,
    /// The text of the configuration's file.
    pub(in crate::daemon) config: String,
    /// A manager's: the image of its store.
    pub(in crate::daemon) domain: Option<Zeroizing<Vec<u8>>>,
    /// A border router's.
    pub(in crate::daemon) flash: Option<Vec<FlashRecord>>,
}

/// What the machines did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Outcome {
    /// The random octets that they drew.
    pub(in crate::daemon) entropy: Zeroizing<Vec<u8>>,
    /// How many outputs there were.
    pub(in crate::daemon) outputs: u32,
    /// Over all outputs since the beginning.
    pub(in crate::daemon) digest: [u8; 8],
}

/// Why a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Ending {
    /// The daemon ended.
    Closed,
    /// The file has its largest size.
    Full,
}

impl Entry {
    /// With its length before it.
    pub(super) fn emit(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Emit::default();
        out.u32(0);
        match self {
            Self::Begun(beginning) => beginning.emit(out.u8(0)),
            Self::Fed { at, input } => input.emit(out.u8(1).u64(at.as_micros())),
            Self::Came(Outcome { entropy, outputs, digest }) => {
                out.u8(2).octets(entropy).u32(*outputs).raw(digest);
            }
            Self::Ended(Ending::Closed) => {
                out.u8(3).u8(0);
            }
            Self::Ended(Ending::Full) => {
                out.u8(3).u8(1);
            }
        }
        let len = u32::try_from(out.0.len() - 4).expect("bounded by what the daemon takes");
        out.0[..4].copy_from_slice(&len.to_be_bytes());
        out.0
    }

    /// Without the length; `None` for what nobody wrote.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let mut from = Parse(octets);
        let entry = match from.u8()? {
            0 => Self::Begun(Beginning::parse(&mut from)?),
            1 => {
                let at = Instant::from_micros(from.u64()?);
                Self::Fed { at, input: Input::parse(&mut from)? }
            }
            2 => Self::Came(Outcome {
                entropy: Zeroizing::new(from.octets()?.to_vec()),
                outputs: from.u32()?,
                digest: from.array()?,
            }),
            3 => Self::Ended(match from.u8()? {
                0 => Ending::Closed,
                1 => Ending::Full,
                _ => return None,
            }),
            _ => return None,
        };
        from.end(entry)
    }
}

impl Beginning {
    fn emit(&self, out: &mut Emit) {
        out.u64(self.at.as_micros());
        out.octets(self.program.as_bytes()).octets(self.config.as_bytes());
        match &self.domain {
            None => {
                out.u8(0);
            }
            Some(image) => {
                out.u8(1).octets(image);
            }
        }
        let Some(flash) = &self.flash else {
            out.u8(0);
            return;
        };
        let count = u32::try_from(flash.len()).expect("a border router has a few dozen");
        out.u8(1).u32(count);
        for (name, record) in flash {
            out.octets(name).octets(record);
        }
    }

    fn parse(from: &mut Parse<'_>) -> Option<Self> {
        let at = Instant::from_micros(from.u64()?);
        let (program, config) = (from.text()?, from.text()?);
        let domain = match from.u8()? {
            0 => None,
            1 => Some(Zeroizing::new(from.octets()?.to_vec())),
            _ => return None,
        };
        let flash = match from.u8()? {
            0 => None,
            1 => {
                let count = from.u32()?;
                let mut flash = Vec::new();
                for _ in 0..count {
                    flash.push((from.octets()?.to_vec(), from.octets()?.to_vec()));
                }
                Some(flash)
            }
            _ => return None,
        };
        Some(Self { at, program, config, domain, flash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::control::Ask;
    use lowgate_units::Ipv6Addr;
    use proptest::prelude::*;

    /// Emit of parse is identity, and no prefix is an entry.
    fn check(entry: &Entry) {
        let octets = entry.emit();
        let (len, body) = octets.split_at(4);
        assert_eq!(len, u32::try_from(body.len()).expect("short").to_be_bytes());
        let parsed = Entry::parse(body).expect("its own octets");
        assert_eq!(*parsed.emit(), *octets);
        for len in 0..body.len() {
            assert!(Entry::parse(&body[..len]).is_none(), "{len} of {}", body.len());
        }
        assert!(Entry::parse(&[body, &[0]].concat()).is_none());
    }

    fn inputs() -> Vec<Input> {
        let from = (Ipv6Addr::LOCALHOST, 5684);
        let ask = Ask::DeviceImport { file: "x.csv".into(), text: "äöü,\n".into() };
        vec![
            Input::Start,
            Input::Wake,
            Input::LineOpened,
            Input::LineClosed { why: "gone".into() },
            Input::LineOctets(vec![0x7e, 1, 2]),
            Input::Packet(vec![0x60; 40]),
            Input::ForManager { from, dst_port: 61629, octets: vec![1] },
            Input::ForRouter { from, octets: vec![] },
            Input::ForGroup { from, group: Ipv6Addr::LOCALHOST, octets: vec![2] },
            Input::Trouble { line: "no address".into() },
            Input::Committed { revision: u64::MAX },
            Input::Stored { ticket: 7 },
            Input::Asked { question: 3, ask },
            Input::Asked { question: 4, ask: Ask::Status },
        ]
    }

    #[test]
    fn every_entry_comes_back() {
        for input in inputs() {
            check(&Entry::Fed { at: Instant::from_micros(5), input });
        }
        check(&Entry::Ended(Ending::Closed));
        check(&Entry::Ended(Ending::Full));
        let entropy = Zeroizing::new(vec![9; 40]);
        check(&Entry::Came(Outcome { entropy, outputs: 3, digest: [1; 8] }));
        let bare = Beginning {
            at: Instant::from_secs(1),
            program: "0.1.0".into(),
            config: "[radio]\n".into(),
            domain: None,
            flash: None,
        };
        check(&Entry::Begun(bare.clone()));
        let flash = Some(vec![(vec![0], vec![1, 2]), (vec![], vec![])]);
        let domain = Some(Zeroizing::new(vec![5; 100]));
        check(&Entry::Begun(Beginning { domain, flash, ..bare }));
    }

    #[test]
    fn no_line_tells_what_a_question_holds() {
        let told: Vec<String> = inputs().iter().map(Input::line).collect();
        assert!(told.iter().all(|line| !line.contains("äöü")), "{told:?}");
        assert_eq!(told[12], "question 3: device-import");
    }

    proptest! {
        #[test]
        fn any_octets_are_an_entry_or_none(octets: Vec<u8>, kind in 0..4u8, input in 0..13u8) {
            for octets in [&octets[..], &[&[kind][..], &octets].concat(),
                           &[&[1, 0, 0, 0, 0, 0, 0, 0, 0, input][..], &octets].concat()] {
                if let Some(entry) = Entry::parse(octets)
                    && !matches!(entry, Entry::Fed { input: Input::Asked { .. }, .. })
                {
                    prop_assert_eq!(&entry.emit()[4..], octets);
                }
            }
        }
    }
}
