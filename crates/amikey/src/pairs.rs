//! What is said of the keys of pairs: between two devices in TLS extension 0xFF41, and by the manager when it tells
//! a device its share.
//!
//! ```text
//! ClientHello, ServerHello  ver8=1 | scheme8 | set16 | generation8 | id<1-octet length>
//! PSK identity              0x01 | scheme8 | set16 | generation8 | client's id
//! GET pairs/SET/GENERATION        CBOR [set, scheme, degree, generation, id, coefficients], in blocks
//! GET pairs/SET/GENERATION/lost   the EUI-64s of devices that are in the set no longer, in blocks
//! GET pairs/SET/GENERATION/EUI64  16 octets: the key with that one device, for who has no share
//! ```
//! An id is an EUI-64. Which polynomial there is, the configuration tells ([`Offered`]).
//!
//! **Invariant:** pure functions of octets. A hello is not authenticated yet: what it says only chooses the key,
//! which fits nobody but the two that are named.

use crate::pairwise::{COEFFICIENT_OCTETS, PairwiseFault, Polynomial, Scheme, SetName, Share};
use crate::wire::Reader;
use lowgate_units::Eui64;
use minicbor::Decoder;

/// The resource of the manager's that has the shares.
pub const PAIRS_PATH: &str = "pairs";
/// Behind it: who is in the set no longer.
pub const LOST_PATH: &str = "lost";
/// Octets of a hello.
pub const HELLO_OCTETS: usize = 14;
/// Octets of a client's PSK identity.
pub const PSK_IDENTITY_OCTETS: usize = 13;
/// The size exponent of Block2 with which a share is asked for: 128 octets stay in two frames of 802.15.4.
pub const BLOCK_EXPONENT: u8 = 3;
/// Octets before the coefficients at most: array 1, set 3, scheme 1, degree 2, generation 2, id 9, head of the
/// octets 3.
pub const SHARE_HEAD_OCTETS_MAX: usize = 21;

const VERSION: u8 = 1;
const EUI64_OCTETS: usize = 8;

/// The polynomial in force, as a configuration names it. Of a set everything moves forward only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Which.
    pub name: SetName,
    /// Its degree: a share has one coefficient more.
    pub degree: u16,
    /// So many devices of the set are in it no longer; the list of them only grows.
    pub lost: u16,
}

/// One end's word in a handshake of two devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairHello {
    /// How the client came by the key.
    pub scheme: Scheme,
    /// Of which polynomial.
    pub name: SetName,
    /// Who says so.
    pub id: Eui64,
}

impl PairHello {
    /// Reads the extension's payload; `None` for anything that is none of version 1 or has no EUI-64.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader(octets);
        (reader.u8()? == VERSION).then_some(())?;
        let id_len =
            |reader: &mut Reader<'_>| (usize::from(reader.u8()?) == EUI64_OCTETS).then_some(());
        let hello = Self::body(&mut reader, id_len)?;
        reader.is_empty().then_some(hello)
    }

    /// Writes the extension's payload.
    pub fn emit(&self) -> [u8; HELLO_OCTETS] {
        let mut out = [0; HELLO_OCTETS];
        let (head, id) = out.split_at_mut(HELLO_OCTETS - EUI64_OCTETS);
        head[..5].copy_from_slice(&self.head());
        head[5] = EUI64_OCTETS as u8;
        id.copy_from_slice(&self.id.0);
        out
    }

    /// Reads a PSK identity, which a client says of itself.
    pub fn of_psk_identity(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader(octets);
        (reader.u8()? == VERSION).then_some(())?;
        let hello = Self::body(&mut reader, |_| Some(()))?;
        reader.is_empty().then_some(hello)
    }

    /// As a PSK identity.
    pub fn psk_identity(&self) -> [u8; PSK_IDENTITY_OCTETS] {
        let mut out = [0; PSK_IDENTITY_OCTETS];
        let (head, id) = out.split_at_mut(PSK_IDENTITY_OCTETS - EUI64_OCTETS);
        head.copy_from_slice(&self.head());
        id.copy_from_slice(&self.id.0);
        out
    }

    const fn head(&self) -> [u8; 5] {
        let [high, low] = self.name.set.to_be_bytes();
        [VERSION, self.scheme as u8, high, low, self.name.generation]
    }

    fn body(
        reader: &mut Reader<'_>,
        before_id: impl FnOnce(&mut Reader<'_>) -> Option<()>,
    ) -> Option<Self> {
        let scheme = Scheme::new(reader.u8()?)?;
        let name = SetName { set: reader.u16()?, generation: reader.u8()? };
        before_id(reader)?;
        Some(Self { scheme, name, id: Eui64(reader.array()?) })
    }
}

/// A share as the manager tells it: any part of it can be made by itself.
#[derive(Clone, Copy)]
pub struct ShareTold<'a> {
    polynomial: &'a Polynomial,
    owner: Eui64,
    head: [u8; SHARE_HEAD_OCTETS_MAX],
    head_len: usize,
}

impl<'a> ShareTold<'a> {
    /// A device's.
    pub fn new(polynomial: &'a Polynomial, owner: Eui64) -> Self {
        let SetName { set, generation } = polynomial.name();
        let mut head = [0; SHARE_HEAD_OCTETS_MAX];
        let mut cursor = minicbor::encode::write::Cursor::new(&mut head[..]);
        let mut encoder = minicbor::Encoder::new(&mut cursor);
        let written = encoder
            .array(6)
            .and_then(|it| it.u16(set)?.u8(Scheme::Polynomial as u8)?.u16(polynomial.degree()))
            .and_then(|it| it.u8(generation)?.bytes(&owner.0))
            .and_then(|it| it.bytes_len(polynomial.share_octets() as u64).map(|_| ()));
        written.expect("SHARE_HEAD_OCTETS_MAX suffice");
        let head_len = cursor.position();
        Self { polynomial, owner, head, head_len }
    }

    /// Octets of all of it.
    pub const fn len(&self) -> usize {
        self.head_len + self.polynomial.share_octets()
    }

    /// Never.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the octets from `offset` on, as many as `out` has and there are. The caller wipes `out`.
    ///
    /// # Errors
    /// The owner's name is none.
    pub fn write(&self, offset: usize, out: &mut [u8]) -> Result<(), PairwiseFault> {
        let end = self.len().min(offset.saturating_add(out.len()));
        let mut at = offset;
        while at < end {
            let to = &mut out[at - offset..end - offset];
            if let Some(head) = self.head[..self.head_len].get(at..).filter(|rest| !rest.is_empty())
            {
                let len = head.len().min(to.len());
                to[..len].copy_from_slice(&head[..len]);
                at += len;
                continue;
            }
            let (power, within) = {
                let at = at - self.head_len;
                (at / COEFFICIENT_OCTETS, at % COEFFICIENT_OCTETS)
            };
            let coefficient = self.polynomial.share_coefficient(self.owner, power as u16)?;
            let octets = &coefficient.expose()[within..];
            let len = octets.len().min(to.len());
            to[..len].copy_from_slice(&octets[..len]);
            at += len;
        }
        Ok(())
    }
}

/// Why a share that was told is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareFault {
    /// It cannot be read, or is of another scheme.
    Malformed,
    /// It is of another polynomial than was asked for.
    OtherSet(SetName),
    /// It is somebody else's.
    OtherOwner(Eui64),
    /// It is no share of that degree.
    Pairwise(PairwiseFault),
}

/// Reads a share that was told: the coefficients of `offered` and of nothing else, for `own` and nobody else.
///
/// # Errors
/// Why it is not that.
pub fn parse_share(told: &[u8], offered: Offered, own: Eui64) -> Result<&[u8], ShareFault> {
    let (name, degree, owner, coefficients) = read_share(told).ok_or(ShareFault::Malformed)?;
    if name != offered.name {
        return Err(ShareFault::OtherSet(name));
    }
    if owner != own {
        return Err(ShareFault::OtherOwner(owner));
    }
    Share::new(name, owner, coefficients).map_err(ShareFault::Pairwise)?;
    let expected = (usize::from(offered.degree) + 1) * COEFFICIENT_OCTETS;
    if degree != offered.degree || coefficients.len() != expected {
        return Err(ShareFault::Pairwise(PairwiseFault::Length(coefficients.len())));
    }
    Ok(coefficients)
}

fn read_share(told: &[u8]) -> Option<(SetName, u16, Eui64, &[u8])> {
    let mut decoder = Decoder::new(told);
    (decoder.array().ok()?? == 6).then_some(())?;
    let set = decoder.u16().ok()?;
    (decoder.u8().ok()? == Scheme::Polynomial as u8).then_some(())?;
    let (degree, generation) = (decoder.u16().ok()?, decoder.u8().ok()?);
    let owner = Eui64(decoder.bytes().ok()?.try_into().ok()?);
    let coefficients = decoder.bytes().ok()?;
    (decoder.position() == told.len()).then_some(())?;
    Some((SetName { set, generation }, degree, owner, coefficients))
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use lowgate_crypto::Secret;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    const A: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 1]);
    const B: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 2]);
    const NAME: SetName = SetName { set: 1, generation: 1 };
    const OFFERED: Offered = Offered { name: NAME, degree: 3, lost: 0 };

    fn polynomial(name: SetName) -> Polynomial {
        let seed = hex("b01ec08c21e5362bf2370641a7804ffba851c12db54ce4114d515c67f3e45649");
        let seed = Secret::from_slice(&seed).expect("32 octets");
        Polynomial::new(name, 3, seed).expect("a degree")
    }

    fn told(name: SetName, owner: Eui64) -> Vec<u8> {
        let polynomial = polynomial(name);
        let told = ShareTold::new(&polynomial, owner);
        let mut octets = vec![0xaa; told.len()];
        told.write(0, &mut octets).expect("a name");
        octets
    }

    /// Both from the worked example of this profile, computed in another language.
    #[test]
    fn a_hello_and_a_share() {
        let hello = PairHello { scheme: Scheme::Polynomial, name: NAME, id: A };
        assert_eq!(to_hex(&hello.emit()), "01010001010802124b0000000001");
        assert_eq!(PairHello::parse(&hello.emit()), Some(hello));
        assert_eq!(to_hex(&hello.psk_identity()), "010100010102124b0000000001");
        assert_eq!(PairHello::of_psk_identity(&hello.psk_identity()), Some(hello));
        let share = "f4efa08433549b00efdb64a1236b0256eacc33ffc12641c17dca77f1409f52eb\
                     4626f6b56cac64c51176003ee203039e8e71bc7b77a7cc1558510c04e730bc2d";
        assert_eq!(to_hex(&told(NAME, A)), std::format!("86010103014802124b00000000015840{share}"));
        let octets = told(NAME, A);
        assert_eq!(parse_share(&octets, OFFERED, A).map(to_hex), Ok(share.into()));
    }

    #[test]
    fn what_is_no_hello() {
        let hello = PairHello { scheme: Scheme::Issued, name: NAME, id: A }.emit();
        for len in 0..hello.len() {
            assert_eq!(PairHello::parse(&hello[..len]), None);
            assert_eq!(PairHello::of_psk_identity(&hello[..len.min(12)]), None);
        }
        // Another version, a scheme nobody speaks, an id of another length, something behind it.
        for (at, octet) in [(0, 2), (1, 2), (5, 7)] {
            let mut wrong = hello;
            wrong[at] = octet;
            assert_eq!(PairHello::parse(&wrong), None);
        }
        assert_eq!(PairHello::parse(&[&hello[..], &[0]].concat()), None);
    }

    #[test]
    fn a_share_of_somebody_or_something_else_is_refused() {
        let refused = |octets: &[u8], offered| parse_share(octets, offered, A).map(|_| ());
        let next = SetName { generation: 2, ..NAME };
        assert_eq!(refused(&told(next, A), OFFERED), Err(ShareFault::OtherSet(next)));
        let other = SetName { set: 2, ..NAME };
        assert_eq!(refused(&told(other, A), OFFERED), Err(ShareFault::OtherSet(other)));
        assert_eq!(refused(&told(NAME, B), OFFERED), Err(ShareFault::OtherOwner(B)));
        let higher = Offered { degree: 4, ..OFFERED };
        let length = Err(ShareFault::Pairwise(PairwiseFault::Length(64)));
        assert_eq!(refused(&told(NAME, A), higher), length);
        let octets = told(NAME, A);
        for len in 0..octets.len() {
            assert_eq!(refused(&octets[..len], OFFERED), Err(ShareFault::Malformed));
        }
        assert_eq!(refused(&[&octets[..], &[0]].concat(), OFFERED), Err(ShareFault::Malformed));
    }

    proptest! {
        #[test]
        fn every_part_is_of_the_whole(offset in 0..100usize, len in 0..100usize) {
            let (polynomial, whole) = (polynomial(NAME), told(NAME, A));
            let mut part = vec![0; len];
            ShareTold::new(&polynomial, A).write(offset, &mut part).expect("a name");
            let there = len.min(whole.len().saturating_sub(offset));
            let expected = whole.get(offset..offset + there).unwrap_or_default();
            prop_assert_eq!(&part[..there], expected);
        }

        #[test]
        fn no_octets_panic(octets: Vec<u8>) {
            if let Some(hello) = PairHello::parse(&octets) {
                prop_assert_eq!(&hello.emit()[..], &octets[..]);
            }
            if let Some(hello) = PairHello::of_psk_identity(&octets) {
                prop_assert_eq!(&hello.psk_identity()[..], &octets[..]);
            }
            let _ = parse_share(&octets, OFFERED, A);
        }
    }
}
