//! The curve P-256 (secp256r1, SEC 2): key exchange (RFC 8422 section 5.10) and ECDSA with SHA-256.
//!
//! **Invariants:** a [`PublicKey`] is a point of the curve and not infinity; it comes from octets in the
//! uncompressed form alone. Private keys wipe themselves and never print. Signing needs no chance: the
//! nonce is RFC 6979's.

use crate::{Digest, Secret, hmac_sha256};
use core::fmt;
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::ecdh;
use zeroize::Zeroizing;

/// Octets of an uncompressed point: 4 and two coordinates.
pub const POINT_OCTETS: usize = 65;
/// Octets of a SubjectPublicKeyInfo (RFC 5480) that holds such a point.
pub const SPKI_OCTETS: usize = SPKI_HEAD.len() + POINT_OCTETS;
/// Most octets of an ECDSA-Sig-Value (RFC 3279 section 2.2.3): two integers of up to 33 octets, DER.
pub const SIGNATURE_OCTETS_MAX: usize = 2 + 2 * (2 + 33);

/// The first octet of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;
/// RFC 5480 section 2: id-ecPublicKey, secp256r1, and the head of the bit string. DER has one way to say it.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A point of the curve that is somebody's public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// `None` unless `octets` are an uncompressed point that lies on the curve. (Its cofactor is 1: every
    /// point but infinity has the curve's order, and infinity has no uncompressed form.)
    pub fn from_point(octets: &[u8]) -> Option<Self> {
        if octets.len() != POINT_OCTETS || octets[0] != UNCOMPRESSED {
            return None;
        }
        VerifyingKey::from_sec1_bytes(octets).ok().map(Self)
    }

    /// `None` unless `octets` are a SubjectPublicKeyInfo of a P-256 key, in DER, and nothing else.
    pub fn from_spki(octets: &[u8]) -> Option<Self> {
        Self::from_point(octets.strip_prefix(&SPKI_HEAD)?)
    }

    /// The uncompressed point.
    pub fn point(&self) -> [u8; POINT_OCTETS] {
        let mut octets = [0; POINT_OCTETS];
        octets.copy_from_slice(self.0.to_sec1_point(false).as_bytes());
        octets
    }

    /// The SubjectPublicKeyInfo.
    pub fn spki(&self) -> [u8; SPKI_OCTETS] {
        let mut octets = [0; SPKI_OCTETS];
        octets[..SPKI_HEAD.len()].copy_from_slice(&SPKI_HEAD);
        octets[SPKI_HEAD.len()..].copy_from_slice(&self.point());
        octets
    }

    /// Whether `signature`, an ECDSA-Sig-Value in DER, is this key's over what has this digest.
    #[must_use]
    pub fn verifies(&self, digest: &Digest, signature: &[u8]) -> bool {
        Signature::from_der(signature)
            .is_ok_and(|signature| self.0.verify_prehash(digest, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.point()[1..9].iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str("..)")
    }
}

/// A private key that signs.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

/// A signature, in DER.
#[derive(Clone)]
pub struct SignatureOctets(DerSignature);

impl SignatureOctets {
    /// Its octets, at most [`SIGNATURE_OCTETS_MAX`].
    pub fn octets(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PrivateKey {
    /// `None` unless the number is from 1 to the curve's order.
    pub fn new(scalar: &Secret<32>) -> Option<Self> {
        SigningKey::from_slice(scalar.expose()).ok().map(Self)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Signs what has this digest.
    pub fn sign(&self, digest: &Digest) -> SignatureOctets {
        let signature: Signature =
            self.0.sign_prehash(digest).expect("a digest of 32 octets can be signed");
        SignatureOctets(signature.to_der())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Our half of one key exchange: used up by it.
pub struct EphemeralKey(p256::SecretKey);

impl EphemeralKey {
    /// Out of `draw`, which fills with octets fit for secrets.
    pub fn generate(mut draw: impl FnMut(&mut [u8; 32])) -> Self {
        loop {
            let mut octets = Zeroizing::new([0; 32]);
            draw(&mut octets);
            // All but one in 2^32 numbers are in range.
            if let Ok(key) = p256::SecretKey::from_slice(&*octets) {
                return Self(key);
            }
        }
    }

    /// Out of a seed that was drawn for it; `parts` tell this exchange from others.
    pub fn derive(seed: &Secret<32>, parts: [&[u8]; 2]) -> Self {
        let mut attempt = 0u32;
        Self::generate(|octets| {
            let label: &[u8] = b"lowgate ephemeral key";
            let parts = [label, &attempt.to_be_bytes(), parts[0], parts[1]];
            *octets = hmac_sha256(seed.expose(), &parts);
            attempt += 1;
        })
    }

    /// What the peer gets.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().into())
    }

    /// What both ends have: the x-coordinate, with its leading zeros.
    pub fn agree(self, peer: &PublicKey) -> Secret<32> {
        let shared = ecdh::diffie_hellman(self.0.to_nonzero_scalar(), peer.0.as_affine());
        Secret::new((*shared.raw_secret_bytes()).into())
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::Sha256;
    use lowgate_testkit::hex;
    use std::vec::Vec;

    /// RFC 5903 section 8.1: the 256-bit random ECP group.
    const I: &str = "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433";
    const GI: &str = "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180 \
                      5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3";
    const R: &str = "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53";
    const GR: &str = "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63 \
                      56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab";
    const GIR: &str = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de";

    fn point(coordinates: &str) -> Vec<u8> {
        [&[UNCOMPRESSED][..], &hex(coordinates)].concat()
    }

    fn ephemeral(scalar: &str) -> EphemeralKey {
        EphemeralKey::generate(|octets| octets.copy_from_slice(&hex(scalar)))
    }

    #[test]
    fn key_exchange_of_rfc5903() {
        for (own, public, peer) in [(I, GI, GR), (R, GR, GI)] {
            let own = ephemeral(own);
            assert_eq!(own.public().point()[..], point(public));
            let peer = PublicKey::from_point(&point(peer)).expect("on the curve");
            assert_eq!(own.agree(&peer).expose()[..], hex(GIR));
        }
    }

    /// RFC 6979 appendix A.2.5, SHA-256, message "sample".
    #[test]
    fn signature_of_rfc6979() {
        let scalar = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let key = PrivateKey::new(&Secret::from_slice(&scalar).expect("32")).expect("in range");
        assert_eq!(
            key.public().point()[..],
            point(
                "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6 \
                 7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
            )
        );
        let digest = Sha256::of(b"sample");
        let signature = key.sign(&digest);
        let expected =
            hex("3046 022100 efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716 \
             022100 f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
        assert_eq!(signature.octets(), expected);
        assert!(key.public().verifies(&digest, &expected));
        assert!(!key.public().verifies(&Sha256::of(b"test"), &expected));
        // DER has one form alone, nothing behind it, and no numbers out of range.
        assert!(!key.public().verifies(&digest, &[&expected[..], &[0]].concat()));
        assert!(!key.public().verifies(&digest, &expected[..expected.len() - 1]));
        assert!(!key.public().verifies(&digest, &hex("3006 020100 020100")));
        assert!(!key.public().verifies(&digest, &hex("3006 020101 020100")));
        assert!(!key.public().verifies(&digest, &[]));
    }

    /// What the test vectors of the Wycheproof project (ecdh_secp256r1_ecpoint) call by these names.
    #[test]
    fn points_that_are_none() {
        let good = point(GI);
        assert!(PublicKey::from_point(&good).is_some());
        let check = |octets: &[u8]| assert!(PublicKey::from_point(octets).is_none());
        // Empty; infinity; too long; cut.
        check(&[]);
        check(&[0]);
        check(&[&good[..], &[0]].concat());
        check(&good[..64]);
        // Compressed, and hybrid.
        check(&[&[3], &good[1..33]].concat());
        check(&[&[7], &good[1..]].concat());
        // Not on the curve: one bit changed anywhere.
        for at in 1..POINT_OCTETS {
            let mut bad = good.clone();
            bad[at] ^= 1;
            check(&bad);
        }
        // (0, 0), which some take for infinity.
        check(&[&[4][..], &[0; 64]].concat());
        // x = 0 has points. x = p, beyond the field, has not, though it is 0 for whoever reduces it.
        let y = "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
        let zero = "0000000000000000000000000000000000000000000000000000000000000000";
        let field = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
        assert!(PublicKey::from_point(&point(&std::format!("{zero}{y}"))).is_some());
        check(&point(&std::format!("{field}{y}")));
        // A point of the twist, or of another curve: secp256k1's base point.
        check(&point(
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 \
             483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
        ));
    }

    #[test]
    fn private_keys_in_range() {
        let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        let check = |text: &str| {
            PrivateKey::new(&Secret::from_slice(&hex(text)).expect("32 octets")).is_some()
        };
        assert!(!check(order) && !check(&"00".repeat(32)) && !check(&"ff".repeat(32)));
        assert!(check(&order.replace("632551", "632550")));
        // A draw out of range is followed by another.
        let mut draws = std::vec![hex(I), hex(order), hex(&"00".repeat(32))];
        let key = EphemeralKey::generate(|octets| {
            octets.copy_from_slice(&draws.pop().expect("the third is good"));
        });
        assert_eq!(key.public().point()[..], point(GI));
    }

    #[test]
    fn public_key_infos() {
        let key = PublicKey::from_point(&point(GI)).expect("on the curve");
        assert_eq!(PublicKey::from_spki(&key.spki()), Some(key));
        for at in 0..SPKI_OCTETS {
            let mut bad = key.spki();
            bad[at] ^= 1;
            assert_eq!(PublicKey::from_spki(&bad), None, "{at}");
        }
        assert_eq!(PublicKey::from_spki(&key.spki()[..90]), None);
        assert_eq!(PublicKey::from_spki(&[&key.spki()[..], &[0]].concat()), None);
    }

    #[test]
    fn another_exchange_another_key() {
        let seed = Secret::new([7; 32]);
        let key = |part: &[u8]| EphemeralKey::derive(&seed, [b"one", part]).public();
        assert!(key(b"a") == key(b"a") && key(b"a") != key(b"b"));
        assert_eq!(std::format!("{:?}", EphemeralKey::derive(&seed, [b"", b""])), "(secret)");
    }
}
