//! Keys of pairs, computed by both and told to nobody: symmetric bivariate polynomials (Blundo and others,
//! "Perfectly-Secure Key Distribution for Dynamic Conferences", CRYPTO '92) over GF(2^128).
//!
//! The manager holds `f(x, y)` with `f(x, y) = f(y, x)` of degree `t` in each; device `u` gets the coefficients
//! of `g_u(y) = f(u, y)`, its [`Share`]; `u` and `v` have `K = g_u(v) = g_v(u)` in common, of which
//! [`Share::psk`] makes the key of a DTLS session. Scheme 1 of the profile: an element is 16 octets, the highest
//! power first, reduced by `x^128 + x^7 + x^2 + x + 1`; a device's element is its EUI-64.
//!
//! **Bounds of trust:** `t` devices opened by an attacker tell nothing of a key of two others, `t + 1` tell all
//! keys of the set; so the manager counts whom it lost and makes a new generation in time ([`lost_max`]). The
//! coefficients are drawn from a seed by HMAC-SHA-256, so "nothing" holds for who cannot break that. There is no
//! forward secrecy: the key serves as PSK, never for traffic.
//!
//! **Invariant:** what is multiplied with is a name that everybody may know; time tells of names only.

use lowgate_crypto::{Key128, Secret, hmac_sha256};
use lowgate_units::Eui64;

/// How one end of a pair came by the key; the other always has a share. For the wire and the derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scheme {
    /// The manager told it the key with this one peer: no share, and nothing of anybody else.
    Issued = 0,
    /// It has a share.
    Polynomial = 1,
}

impl Scheme {
    /// `None` for one that is not spoken.
    pub const fn new(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Issued),
            1 => Some(Self::Polynomial),
            _ => None,
        }
    }
}

/// Octets of one coefficient.
pub const COEFFICIENT_OCTETS: usize = 16;
/// The largest degree: a share of 4 KiB.
pub const DEGREE_MAX: u16 = 255;

/// Of a set of degree `degree`: as many devices lost as are the last reason to begin a new generation.
pub const fn lost_max(degree: u16) -> u16 {
    degree / 4
}

/// Which polynomial a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName {
    /// The set of devices that have shares of it.
    pub set: u16,
    /// Counts the polynomials that the set has had.
    pub generation: u8,
}

/// Why no pairwise key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairwiseFault {
    /// A degree of 0 or above [`DEGREE_MAX`].
    Degree(u16),
    /// The coefficients are not a whole number of octets for the degree.
    Length(usize),
    /// The EUI-64 of zeros is no device's name.
    NameZero,
    /// A device has no key with itself.
    OwnName,
    /// The other's share is of another set or generation.
    OtherSet(SetName),
}

/// The manager's side of a set: any device's share can be made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polynomial {
    name: SetName,
    degree: u16,
    seed: Secret<32>,
}

impl Polynomial {
    /// The one of a seed, which is drawn for it alone.
    ///
    /// # Errors
    /// The degree is 0 or too high.
    pub fn new(name: SetName, degree: u16, seed: Secret<32>) -> Result<Self, PairwiseFault> {
        check_degree(degree)?;
        Ok(Self { name, degree, seed })
    }

    /// Which one.
    pub const fn name(&self) -> SetName {
        self.name
    }

    /// The highest power.
    pub const fn degree(&self) -> u16 {
        self.degree
    }

    /// What it is drawn from: for the store.
    pub const fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// Octets of a share.
    pub const fn share_octets(&self) -> usize {
        (self.degree as usize + 1) * COEFFICIENT_OCTETS
    }

    /// Writes what [`Share::new`] takes for a device; costs `(degree + 1) * (degree + 2) / 2` HMACs. The caller
    /// wipes `out`.
    ///
    /// # Errors
    /// The name is none, or `out` is not of [`Polynomial::share_octets`].
    pub fn share(&self, owner: Eui64, out: &mut [u8]) -> Result<(), PairwiseFault> {
        let own = element(owner)?;
        let octets = out.len();
        let (coefficients, rest) = out.as_chunks_mut::<COEFFICIENT_OCTETS>();
        if octets != self.share_octets() || !rest.is_empty() {
            return Err(PairwiseFault::Length(octets));
        }
        coefficients.fill([0; COEFFICIENT_OCTETS]);
        let mut add = |power: u16, term: u128| {
            let octets = &mut coefficients[usize::from(power)];
            *octets = (u128::from_be_bytes(*octets) ^ term).to_be_bytes();
        };
        // The term of x^i y^j stands for that of x^j y^i too.
        let mut own_to_i = 1;
        for i in 0..=self.degree {
            let mut own_to_j = own_to_i;
            for j in i..=self.degree {
                let a = self.coefficient(i, j);
                add(j, multiply(a, own_to_i));
                if i != j {
                    add(i, multiply(a, own_to_j));
                }
                own_to_j = times(own_to_j, own);
            }
            own_to_i = times(own_to_i, own);
        }
        Ok(())
    }

    /// One coefficient of a device's share, for who wants a part of it; costs `degree + 1` HMACs.
    ///
    /// # Errors
    /// The name is none, or `power` above the degree.
    pub fn share_coefficient(
        &self,
        owner: Eui64,
        power: u16,
    ) -> Result<Secret<COEFFICIENT_OCTETS>, PairwiseFault> {
        let own = element(owner)?;
        if power > self.degree {
            return Err(PairwiseFault::Degree(power));
        }
        let falling = (0..=self.degree).rev();
        let value = falling
            .fold(0, |value, i| times(value, own) ^ self.coefficient(i.min(power), i.max(power)));
        Ok(Secret::new(value.to_be_bytes()))
    }

    /// The PSK of two devices, as either has it: what is told to one that has no share. Costs as much as a share.
    ///
    /// # Errors
    /// They are no two devices.
    pub fn psk(&self, scheme: Scheme, one: Eui64, other: Eui64) -> Result<Key128, PairwiseFault> {
        if one == other {
            return Err(PairwiseFault::OwnName);
        }
        let at = element(other)?;
        let mut common = 0;
        for power in (0..=self.degree).rev() {
            let coefficient = self.share_coefficient(one, power)?;
            common = times(common, at) ^ u128::from_be_bytes(*coefficient.expose());
        }
        Ok(psk_of(&Secret::new(common.to_be_bytes()), scheme, self.name, (one, other)))
    }

    /// Of `x^i y^j` and of `x^j y^i`, where `i <= j`.
    fn coefficient(&self, i: u16, j: u16) -> u128 {
        let SetName { set, generation } = self.name;
        let digest = Secret::new(hmac_sha256(
            self.seed.expose(),
            &[
                b"KPS-poly-v1",
                &set.to_be_bytes(),
                &[generation],
                &i.to_be_bytes(),
                &j.to_be_bytes(),
            ],
        ));
        u128::from_be_bytes(half(&digest))
    }
}

/// A device's side: what it has a key of every other device of the set with. It stays where it is stored.
#[derive(Clone, Copy)]
pub struct Share<'a> {
    name: SetName,
    owner: Eui64,
    coefficients: &'a [[u8; COEFFICIENT_OCTETS]],
}

impl<'a> Share<'a> {
    /// From what the manager told: `octets` are the coefficients, that of `y^0` first.
    ///
    /// # Errors
    /// They are too few or too many, or the owner has no name.
    pub fn new(name: SetName, owner: Eui64, octets: &'a [u8]) -> Result<Self, PairwiseFault> {
        element(owner)?;
        let (coefficients, rest) = octets.as_chunks();
        let degree = coefficients.len().checked_sub(1).filter(|_| rest.is_empty());
        let degree = degree.and_then(|degree| u16::try_from(degree).ok());
        check_degree(degree.ok_or(PairwiseFault::Length(octets.len()))?)?;
        Ok(Self { name, owner, coefficients })
    }

    /// Which polynomial it is of.
    pub const fn name(&self) -> SetName {
        self.name
    }

    /// Whose it is.
    pub const fn owner(&self) -> Eui64 {
        self.owner
    }

    /// The PSK of the owner and `peer`, which says that its share is of `named`: the same on both sides, and
    /// another for each generation and scheme.
    ///
    /// # Errors
    /// The peer's share is of another polynomial, or the peer is no other device.
    pub fn psk(
        &self,
        scheme: Scheme,
        peer: Eui64,
        named: SetName,
    ) -> Result<Key128, PairwiseFault> {
        if named != self.name {
            return Err(PairwiseFault::OtherSet(named));
        }
        if peer == self.owner {
            return Err(PairwiseFault::OwnName);
        }
        let common = self.evaluate(element(peer)?);
        Ok(psk_of(&common, scheme, self.name, (self.owner, peer)))
    }

    /// At `y`, by Horner's rule.
    fn evaluate(&self, y: u64) -> Secret<COEFFICIENT_OCTETS> {
        let falling = self.coefficients.iter().rev().map(|octets| u128::from_be_bytes(*octets));
        let value = falling.fold(0, |value, coefficient| times(value, y) ^ coefficient);
        Secret::new(value.to_be_bytes())
    }
}

impl core::fmt::Debug for Share<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Share({:?} of {:?}, secret)", self.owner, self.name)
    }
}

/// What two have in common, as the key of their DTLS sessions.
fn psk_of(
    common: &Secret<COEFFICIENT_OCTETS>,
    scheme: Scheme,
    SetName { set, generation }: SetName,
    (one, other): (Eui64, Eui64),
) -> Key128 {
    let (first, second) = (one.min(other), one.max(other));
    let name = [&set.to_be_bytes()[..], &[generation]];
    let digest = Secret::new(hmac_sha256(
        common.expose(),
        &[b"KPS-psk-v1", &[scheme as u8], name[0], name[1], &first.0, &second.0],
    ));
    Key128::new(half(&digest))
}

/// The first of two halves.
fn half(digest: &Secret<32>) -> [u8; 16] {
    *digest.expose().first_chunk().expect("16 of 32 octets")
}

pub(crate) const fn check_degree(degree: u16) -> Result<(), PairwiseFault> {
    if degree == 0 || degree > DEGREE_MAX {
        return Err(PairwiseFault::Degree(degree));
    }
    Ok(())
}

/// A device's element: its EUI-64, never 0.
fn element(name: Eui64) -> Result<u64, PairwiseFault> {
    match u64::from_be_bytes(name.0) {
        0 => Err(PairwiseFault::NameZero),
        element => Ok(element),
    }
}

/// `x^7 + x^2 + x + 1`, which `x^128` is.
const REDUCTION: u128 = 0x87;

/// Times `x`.
const fn double(a: u128) -> u128 {
    let carry = (a >> 127).wrapping_neg();
    a << 1 ^ carry & REDUCTION
}

/// Times an element that everybody may know; its time tells of that one alone.
const fn times(mut a: u128, mut by: u64) -> u128 {
    let mut product = 0;
    while by != 0 {
        if by & 1 == 1 {
            product ^= a;
        }
        a = double(a);
        by >>= 1;
    }
    product
}

/// The product of any two, in a time that depends on neither.
const fn multiply(mut a: u128, mut b: u128) -> u128 {
    let (mut product, mut bit) = (0, 0);
    while bit < u128::BITS {
        product ^= a & (b & 1).wrapping_neg();
        a = double(a);
        b >>= 1;
        bit += 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    const A: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 1]);
    const B: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 2]);
    const NAME: SetName = SetName { set: 1, generation: 1 };
    const SCHEME: Scheme = Scheme::Polynomial;

    fn number(text: &str) -> u128 {
        u128::from_be_bytes(hex(text).try_into().expect("16 octets"))
    }

    fn share_of(polynomial: &Polynomial, owner: Eui64) -> Vec<u8> {
        let mut octets = vec![0xff; polynomial.share_octets()];
        polynomial.share(owner, &mut octets).expect("a name, and room");
        octets
    }

    fn worked_example() -> Polynomial {
        let seed = hex("b01ec08c21e5362bf2370641a7804ffba851c12db54ce4114d515c67f3e45649");
        Polynomial::new(NAME, 3, Secret::from_slice(&seed).expect("32 octets")).expect("degree 3")
    }

    /// The worked example of this profile, computed in another language.
    #[test]
    fn shares_and_key_of_the_worked_example() {
        let [octets_a, octets_b] = [A, B].map(|owner| share_of(&worked_example(), owner));
        let a = Share::new(NAME, A, &octets_a).expect("as it was told");
        let b = Share::new(NAME, B, &octets_b).expect("as it was told");
        let of_a = "f4efa08433549b00efdb64a1236b0256eacc33ffc12641c17dca77f1409f52eb\
                    4626f6b56cac64c51176003ee203039e8e71bc7b77a7cc1558510c04e730bc2d";
        let of_b = "b13effdc55d13a96089e04d02777113936061a5a9985cabc0ec87fad6301e5be\
                    62c1327700f0382535f1c7fb174143e7987e06c2797ba246ee74ca67a04cc748";
        assert_eq!(to_hex(&octets_a), of_a);
        assert_eq!(to_hex(&octets_b), of_b);
        let common = a.evaluate(element(B).expect("name"));
        assert_eq!(to_hex(common.expose()), "6bd4adc7d4708ad2526ccc54dc3a3a17");
        let psk = hex("deb9cf54868f4825d92baeed5b3cf278");
        assert_eq!(a.psk(SCHEME, B, NAME).expect("pair").expose()[..], psk);
        assert_eq!(b.psk(SCHEME, A, NAME).expect("pair").expose()[..], psk);
        assert_eq!(worked_example().psk(SCHEME, A, B), a.psk(SCHEME, B, NAME));
        assert!(!std::format!("{a:?}").contains("244"), "no coefficient is printed");
    }

    #[test]
    fn the_product_of_the_worked_example() {
        let product = multiply(
            number("2cabc269b264b134fa847bd3fc7810ff"),
            number("5274bfdf6b070e7c363528dfd132a420"),
        );
        assert_eq!(product, number("52008592b2edaf2a9429701d05393624"));
    }

    #[test]
    fn what_is_no_share_or_no_pair_is_refused() {
        let read = |len| Share::new(NAME, A, &vec![1; len]).map(|_| ());
        assert_eq!(read(0), Err(PairwiseFault::Length(0)));
        assert_eq!(read(31), Err(PairwiseFault::Length(31)));
        assert_eq!(read(16), Err(PairwiseFault::Degree(0)));
        assert_eq!(read(16 * 256), Ok(()));
        assert_eq!(read(16 * 257), Err(PairwiseFault::Degree(256)));
        let zero = Eui64([0; 8]);
        assert_eq!(worked_example().share(zero, &mut [0; 64]), Err(PairwiseFault::NameZero));
        assert_eq!(worked_example().share(A, &mut [0; 63]), Err(PairwiseFault::Length(63)));
        let octets = share_of(&worked_example(), A);
        let share = Share::new(NAME, A, &octets).expect("as it was told");
        assert_eq!(share.psk(SCHEME, A, NAME), Err(PairwiseFault::OwnName));
        assert_eq!(share.psk(SCHEME, zero, NAME), Err(PairwiseFault::NameZero));
        let next = SetName { generation: 2, ..NAME };
        assert_eq!(share.psk(SCHEME, B, next), Err(PairwiseFault::OtherSet(next)));
        let polynomial = |degree| Polynomial::new(NAME, degree, Secret::new([1; 32])).map(|_| ());
        assert_eq!(polynomial(0), Err(PairwiseFault::Degree(0)));
        assert_eq!(polynomial(256), Err(PairwiseFault::Degree(256)));
    }

    proptest! {
        #[test]
        fn a_field(a: u128, b: u128, c: u128, y: u64) {
            prop_assert_eq!(multiply(a, b), multiply(b, a));
            prop_assert_eq!(multiply(a, multiply(b, c)), multiply(multiply(a, b), c));
            prop_assert_eq!(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c));
            prop_assert_eq!(multiply(a, 1), a);
            prop_assert_eq!(times(a, y), multiply(a, u128::from(y)));
            prop_assert!(a == 0 || b == 0 || multiply(a, b) != 0);
        }

        #[test]
        fn a_share_of_any_octets_is_whole_or_refused(octets: Vec<u8>, peer: [u8; 8]) {
            if let Ok(share) = Share::new(NAME, A, &octets) {
                prop_assert!(octets.len() >= 32 && octets.len().is_multiple_of(16));
                let refused = Eui64(peer) == A || peer == [0; 8];
                prop_assert_eq!(share.psk(SCHEME, Eui64(peer), NAME).is_err(), refused);
            }
        }

        #[test]
        fn both_of_a_pair_have_the_same_key_and_a_third_another(
            seed: [u8; 32],
            degree in 1..9u16,
            (a, b, c) in (1..u64::MAX, 1..u64::MAX, 1..u64::MAX),
        ) {
            prop_assume!(a != b && b != c && a != c);
            let polynomial = Polynomial::new(NAME, degree, Secret::new(seed)).expect("degree");
            let [a, b, c] = [a, b, c].map(|name| Eui64(name.to_be_bytes()));
            let octets = [a, b, c].map(|owner| share_of(&polynomial, owner));
            let share = |at: usize, owner| Share::new(NAME, owner, &octets[at]).expect("told");
            let (of_a, of_b, of_c) = (share(0, a), share(1, b), share(2, c));
            prop_assert_eq!(of_a.psk(SCHEME, b, NAME), of_b.psk(SCHEME, a, NAME));
            prop_assert_ne!(of_a.psk(SCHEME, b, NAME), of_a.psk(SCHEME, c, NAME));
            prop_assert_ne!(of_a.psk(SCHEME, b, NAME), of_c.psk(SCHEME, b, NAME));
            for scheme in [Scheme::Issued, SCHEME] {
                prop_assert_eq!(polynomial.psk(scheme, b, a), of_a.psk(scheme, b, NAME));
            }
            prop_assert_ne!(of_a.psk(SCHEME, b, NAME), of_a.psk(Scheme::Issued, b, NAME));
            for (power, octets) in (0..).zip(octets[0].chunks(COEFFICIENT_OCTETS)) {
                let one = polynomial.share_coefficient(a, power).expect("not above the degree");
                prop_assert_eq!(&one.expose()[..], octets);
            }
            let above = polynomial.share_coefficient(a, degree + 1);
            prop_assert_eq!(above.map(|_| ()), Err(PairwiseFault::Degree(degree + 1)));
        }
    }
}
