//! The claim code of a border router: the 128 bits that it and the domain manager share before they know
//! each other.
//!
//! A border router draws its code at its first start and shows it, as text and as a QR code; whoever reads
//! it tells the manager. EUI-64, identity and pre-shared key follow from the code, so that nothing else
//! need be copied.
//!
//! **Invariant:** the code is shown where somebody asks for it on the border router itself, and nowhere
//! else; a mistyped code is told from a good one before anything is done with it.

use lowgate_crypto::{Secret, Sha256, hkdf_sha256};
use lowgate_manager::{DevicePsk, DeviceRecord, Identity, Kind};
use lowgate_units::{Entropy, Eui64};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Octets of a code.
pub const CLAIM_OCTETS: usize = 16;
/// Letters and digits that nobody takes for another (Crockford's base 32: no I, L, O, U).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Of 130 bits, the last two zero.
const CODE_CHARS: usize = 26;
/// Ten bits of the code's SHA-256: of a thousand mistyped codes, one passes.
const CHECK_CHARS: usize = 2;
/// A dash after each.
const GROUP_CHARS: usize = 4;

/// A claim code. It does not print by accident: [`Claim::text`] is the way.
pub struct Claim(Secret<CLAIM_OCTETS>);

impl Claim {
    /// A new one.
    pub fn draw(entropy: &mut dyn Entropy) -> Self {
        let mut octets = Zeroizing::new([0; CLAIM_OCTETS]);
        entropy.fill(&mut *octets);
        Self(Secret::new(*octets))
    }

    /// From storage.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        Some(Self(Secret::new(octets.try_into().ok()?)))
    }

    /// For storage.
    pub const fn octets(&self) -> &[u8; CLAIM_OCTETS] {
        self.0.expose()
    }

    /// What people type, however they group it and whether they shout.
    ///
    /// # Errors
    /// One line, with the cause and the remedy; it does not repeat the code.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut digits = Zeroizing::new(Vec::new());
        for letter in text.trim().bytes().filter(|letter| !matches!(letter, b'-' | b' ')) {
            // What looks alike is meant alike.
            let letter = match letter.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                letter => letter,
            };
            let digit = ALPHABET.iter().position(|known| *known == letter);
            let digit = digit.ok_or("a claim code has letters and digits, and no U")?;
            digits.push(digit as u8);
        }
        if digits.len() != CODE_CHARS + CHECK_CHARS {
            let (want, got) = (CODE_CHARS + CHECK_CHARS, digits.len());
            return Err(format!("a claim code has {want} letters and digits, this has {got}"));
        }
        let mut octets = Zeroizing::new([0; CLAIM_OCTETS]);
        for bit in 0..8 * CLAIM_OCTETS {
            octets[bit / 8] |= (digits[bit / 5] >> (4 - bit % 5) & 1) << (7 - bit % 8);
        }
        let claim = Self(Secret::new(*octets));
        if *claim.digits() == *digits {
            Ok(claim)
        } else {
            Err("the claim code is mistyped; compare it with what `lowgate claim` shows".into())
        }
    }

    /// For people.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for (at, digit) in self.digits().iter().enumerate() {
            if at > 0 && at % GROUP_CHARS == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(*digit)]));
        }
        text
    }

    /// Code and check, five bits each.
    fn digits(&self) -> Zeroizing<Vec<u8>> {
        let bit = |octets: &[u8], bit: usize| {
            octets.get(bit / 8).map_or(0, |octet| octet >> (7 - bit % 8) & 1)
        };
        let five = |octets: &[u8], at: usize| {
            (0..5).fold(0, |digit, n| digit << 1 | bit(octets, 5 * at + n))
        };
        let code = self.0.expose();
        let check = Sha256::of(code);
        let digits = (0..CODE_CHARS).map(|at| five(code, at));
        Zeroizing::new(digits.chain((0..CHECK_CHARS).map(|at| five(&check, at))).collect())
    }

    /// A locally administered EUI-64 (IEEE 802, bit 1 of the first octet).
    pub fn eui64(&self) -> Eui64 {
        let mut octets: [u8; 8] = self.derived(b"lowgate border router eui64 v1");
        octets[0] = (octets[0] & 0xfc) | 0x02;
        Eui64(octets)
    }

    /// The pre-shared key.
    pub fn psk(&self) -> Zeroizing<[u8; 16]> {
        Zeroizing::new(self.derived(b"lowgate border router psk v1"))
    }

    /// The border router's line of the inventory.
    pub fn record(&self) -> DeviceRecord {
        let eui64 = self.eui64();
        DeviceRecord {
            eui64,
            identity: Identity::from(eui64),
            psk: DevicePsk::new(&*self.psk()).expect("16 octets are a key"),
            kind: Kind::BorderRouter,
            name: "border router".into(),
            room: String::new(),
            groups: BTreeMap::new(),
        }
    }

    fn derived<const N: usize>(&self, info: &[u8]) -> [u8; N] {
        let mut octets = [0; N];
        hkdf_sha256(b"", self.0.expose(), &[info], &mut octets);
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(octets: [u8; 16]) -> Claim {
        Claim(Secret::new(octets))
    }

    /// The check is the first ten bits of SHA-256 of sixteen zeros, `37 47 08 ff...`: 00110 11101.
    #[test]
    fn the_smallest() {
        let text = claim([0; 16]).text();
        assert_eq!(*text, "0000-0000-0000-0000-0000-0000-006X");
    }

    #[test]
    fn people_type_as_they_like() {
        let octets = *b"sixteen octets!!";
        let text = claim(octets).text();
        let sloppy = format!(" {} ", text.to_lowercase().replace('-', " ").replace('0', "o"));
        for typed in [&*text, &*text.replace('-', ""), &sloppy] {
            assert_eq!(Claim::parse(typed).map(|claim| *claim.octets()), Ok(octets), "{typed}");
        }
    }

    #[test]
    fn what_is_no_code_is_told() {
        for (typed, cause) in [
            ("", "this has 0"),
            ("0000-0000", "this has 8"),
            ("UUUU-0000-0000-0000-0000-0000-006X", "no U"),
            ("0000-0000-0000-0000-0000-0000-006Y", "mistyped"),
            // The two bits behind the code.
            ("0000-0000-0000-0000-0000-0000-016X", "mistyped"),
        ] {
            let Err(fault) = Claim::parse(typed) else { panic!("{typed} passed") };
            assert!(fault.contains(cause), "{typed}: {fault}");
        }
    }

    #[test]
    fn what_follows_from_a_code_tells_nothing_of_it_and_differs() {
        let (one, other) = (claim([1; 16]), claim([2; 16]));
        assert_ne!(one.eui64(), other.eui64());
        assert_ne!(one.psk(), other.psk());
        assert_ne!(one.psk()[..], one.octets()[..]);
        assert_eq!(one.eui64().0[0] & 3, 2, "locally administered, not a group's");
        assert_eq!(one.record().eui64, one.eui64());
    }

    proptest! {
        #[test]
        fn any_code_comes_back(octets: [u8; 16]) {
            prop_assert_eq!(*Claim::parse(&claim(octets).text()).expect("its own").octets(), octets);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Claim::parse(&text);
        }

        #[test]
        fn one_wrong_letter_hardly_passes(octets: [u8; 16], at in 0..26usize, step in 1..32u8) {
            let code = claim(octets);
            let mut digits = code.digits().to_vec();
            digits[at] = (digits[at] + step) % 32;
            let text: String =
                digits.iter().map(|digit| char::from(ALPHABET[usize::from(*digit)])).collect();
            // One of a thousand does; then it is another code.
            if let Ok(other) = Claim::parse(&text) {
                prop_assert_ne!(other.octets(), code.octets());
            }
        }
    }
}
