//! Whom the border router may register: the body of the manager's CoAP PUT `admitted`.
//!
//! ```text
//! [revision, [[eui64, short]*], [eui64*] / null]
//! ```
//! The second element is added; the third is removed. Null removes everybody who was not added since the
//! border router's session began: a new session tells all members, in as many bodies as it takes, and
//! the last of these has the null. The answer 2.04 confirms each body.
//!
//! **Invariant:** pure functions of octets.

use heapless::Vec;
use lowgate_units::{Eui64, ShortAddr};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

/// The resource at the border router.
pub const ADMITTED_PATH: &str = "admitted";
/// Entries, added and removed together, of one body.
pub const ADMITTED_ENTRIES_MAX: usize = 24;

const ENTRY_OCTETS_MAX: usize = 1 + 9 + 3;
/// Octets of the longest body.
pub const ADMITTED_OCTETS_MAX: usize = 1 + 9 + 2 + 2 + 2 * ADMITTED_ENTRIES_MAX * ENTRY_OCTETS_MAX;

/// One body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedSet {
    /// The domain's revision that this is part of.
    pub revision: u64,
    /// Members with their short addresses.
    pub added: Vec<(Eui64, ShortAddr), ADMITTED_ENTRIES_MAX>,
    /// Members no longer.
    pub removed: Removed,
}

/// Who is no member any longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// These.
    Listed(Vec<Eui64, ADMITTED_ENTRIES_MAX>),
    /// Whoever was not added since the session began.
    AllOthers,
}

/// Why octets are no such body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmittedDrop {
    /// Not the CBOR above, or cut short.
    Malformed,
    /// Octets are left over.
    Trailing,
    /// An EUI-64 without eight octets, or a short address that names nobody.
    Address,
    /// More than [`ADMITTED_ENTRIES_MAX`] entries.
    TooMany,
}

impl From<minicbor::decode::Error> for AdmittedDrop {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

impl AdmittedSet {
    /// Reads a body.
    ///
    /// # Errors
    /// The first fault found.
    pub fn parse(octets: &[u8]) -> Result<Self, AdmittedDrop> {
        let mut decoder = Decoder::new(octets);
        if decoder.array()? != Some(3) {
            return Err(AdmittedDrop::Malformed);
        }
        let revision = decoder.u64()?;
        let mut added = Vec::new();
        for _ in 0..count(&mut decoder, ADMITTED_ENTRIES_MAX)? {
            if decoder.array()? != Some(2) {
                return Err(AdmittedDrop::Malformed);
            }
            let eui64 = eui64(&mut decoder)?;
            let short = ShortAddr::new(decoder.u16()?).ok_or(AdmittedDrop::Address)?;
            added.push((eui64, short)).map_err(|_| AdmittedDrop::TooMany)?;
        }
        let removed = if decoder.datatype()? == Type::Null {
            decoder.null()?;
            Removed::AllOthers
        } else {
            let count = count(&mut decoder, ADMITTED_ENTRIES_MAX - added.len())?;
            Removed::Listed((0..count).map(|_| eui64(&mut decoder)).collect::<Result<_, _>>()?)
        };
        if decoder.position() == octets.len() {
            Ok(Self { revision, added, removed })
        } else {
            Err(AdmittedDrop::Trailing)
        }
    }

    /// The body's octets.
    pub fn emit(&self) -> Vec<u8, ADMITTED_OCTETS_MAX> {
        let mut octets = Vec::new();
        octets.resize_default(ADMITTED_OCTETS_MAX).expect("its own capacity");
        let mut encoder = Encoder::new(minicbor::encode::write::Cursor::new(&mut octets[..]));
        self.encode(&mut encoder).expect("the entries are bounded");
        let len = encoder.into_writer().position();
        octets.truncate(len);
        octets
    }

    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.array(3)?.u64(self.revision)?.array(self.added.len() as u64)?;
        for (eui64, short) in &self.added {
            encoder.array(2)?.bytes(&eui64.0)?.u16(short.raw())?;
        }
        match &self.removed {
            Removed::AllOthers => _ = encoder.null()?,
            Removed::Listed(removed) => {
                encoder.array(removed.len() as u64)?;
                removed.iter().try_for_each(|eui64| encoder.bytes(&eui64.0).map(|_| ()))?;
            }
        }
        Ok(())
    }
}

fn count(decoder: &mut Decoder<'_>, count_max: usize) -> Result<usize, AdmittedDrop> {
    let count = decoder.array()?.ok_or(AdmittedDrop::Malformed)?;
    usize::try_from(count).ok().filter(|n| *n <= count_max).ok_or(AdmittedDrop::TooMany)
}

fn eui64(decoder: &mut Decoder<'_>) -> Result<Eui64, AdmittedDrop> {
    decoder.bytes()?.try_into().map(Eui64).map_err(|_| AdmittedDrop::Address)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<AdmittedSet, AdmittedDrop>) {
        let octets = hex(text);
        assert_eq!(AdmittedSet::parse(&octets), expected, "{text}");
        if let Ok(set) = expected {
            assert_eq!(to_hex(&set.emit()), to_hex(&octets));
            for cut in 0..octets.len() {
                assert!(AdmittedSet::parse(&octets[..cut]).is_err(), "prefix of {cut} octets");
            }
        }
    }

    fn set(added: &[u8], removed: Removed) -> AdmittedSet {
        let entry = |n: &u8| {
            let short = ShortAddr::new(u16::from(*n)).expect("small");
            (Eui64([*n; 8]), short)
        };
        AdmittedSet { revision: 7, added: added.iter().map(entry).collect(), removed }
    }

    #[test]
    fn golden_octets() {
        let listed = Removed::Listed(Vec::from_iter([Eui64([2; 8])]));
        check("83 07 81 82 480101010101010101 01 81 480202020202020202", Ok(set(&[1], listed)));
        check("83 07 80 f6", Ok(set(&[], Removed::AllOthers)));
        check("83 07 80 80", Ok(set(&[], Removed::Listed(Vec::new()))));
    }

    #[test]
    fn faults() {
        check("82 07 80", Err(AdmittedDrop::Malformed));
        check("83 07 80 f6 00", Err(AdmittedDrop::Trailing));
        check("83 07 81 82 4701010101010101 01 80", Err(AdmittedDrop::Address));
        check("83 07 81 82 480101010101010101 19fffe 80", Err(AdmittedDrop::Address));
        check("83 07 98ff", Err(AdmittedDrop::TooMany));
        check("83 07 9bffffffffffffffff", Err(AdmittedDrop::TooMany));
    }

    #[test]
    fn the_longest_body_fits() {
        let largest = ShortAddr::new(0xfffd).expect("not reserved");
        let added = Vec::from_iter([(Eui64([0xff; 8]), largest); ADMITTED_ENTRIES_MAX]);
        let set = AdmittedSet { revision: u64::MAX, added, removed: Removed::AllOthers };
        assert_eq!(AdmittedSet::parse(&set.emit()), Ok(set));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_octets_never_panic_and_what_parses_comes_back(octets: std::vec::Vec<u8>) {
            if let Ok(set) = AdmittedSet::parse(&octets) {
                prop_assert_eq!(AdmittedSet::parse(&set.emit()), Ok(set));
            }
        }
    }
}
