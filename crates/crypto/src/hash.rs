//! SHA-256 and what is built on it: HMAC (RFC 2104), HKDF (RFC 5869), the TLS 1.2 PRF (RFC 5246).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Digest as _;
use subtle::ConstantTimeEq;

/// A SHA-256 value.
pub type Digest = [u8; 32];

/// Incremental SHA-256; cloning forks the transcript.
#[derive(Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Over nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `octets`.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest so far; the state goes on.
    pub fn digest(&self) -> Digest {
        self.0.clone().finalize().into()
    }

    /// The digest of one piece.
    pub fn of(octets: &[u8]) -> Digest {
        sha2::Sha256::digest(octets).into()
    }
}

impl core::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sha256(..)")
    }
}

/// HMAC-SHA-256 over the concatenation of `parts`.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether two tags are equal, in a time that tells nothing of where they differ.
#[must_use]
pub fn tags_match(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

fn keyed(key: &[u8]) -> Hmac<sha2::Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 3)")
}

/// HKDF-SHA-256, extract and expand, into all of `out` (at most 8160 octets).
pub fn hkdf_sha256(salt: &[u8], input_key: &[u8], info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= 255 * 32, "RFC 5869 section 2.3: at most 255 blocks");
    hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), input_key)
        .expand_multi_info(info, out)
        .expect("length checked above");
}

/// RFC 5246 section 5: P_SHA256(secret, label + seed), into all of `out`.
pub fn tls12_prf(secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    Tls12Prf::new(secret).expand(label, seed, out);
}

/// P_SHA256 under one secret, for who derives several things from it: what HMAC makes of the secret is made once.
/// As secret as the secret itself, and not to be kept longer.
pub struct Tls12Prf(Hmac<sha2::Sha256>);

impl Tls12Prf {
    /// A secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        Self(keyed(secret))
    }

    /// RFC 5246 section 5: P_SHA256(secret, label + seed), into all of `out`.
    pub fn expand(&self, label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
        let seeded = |mut mac: Hmac<sha2::Sha256>| {
            mac.update(label);
            for part in seed {
                mac.update(part);
            }
            mac.finalize().into_bytes()
        };
        let mut a = seeded(self.0.clone());
        let mut chunks = out.chunks_mut(32).peekable();
        while let Some(chunk) = chunks.next() {
            let mut block = self.0.clone();
            block.update(&a);
            chunk.copy_from_slice(&seeded(block)[..chunk.len()]);
            if chunks.peek().is_some() {
                let mut next = self.0.clone();
                next.update(&a);
                a = next.finalize().into_bytes();
            }
        }
    }
}

impl core::fmt::Debug for Tls12Prf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tls12Prf(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_testkit::hex;

    #[test]
    fn hmac_rfc4231_case_2() {
        let expected = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(hmac_sha256(b"Jefe", &[b"what do ya ", b"want for nothing?"])[..], expected);
    }

    #[test]
    fn hkdf_rfc5869_case_1() {
        let mut okm = [0; 42];
        let (salt, info) = (hex("000102030405060708090a0b0c"), hex("f0f1f2f3f4f5f6f7f8f9"));
        hkdf_sha256(&salt, &[0x0b; 22], &[&info], &mut okm);
        let expected = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf
            34007208d5b887185865");
        assert_eq!(okm[..], expected);
    }

    #[test]
    fn tls12_prf_public_vector() {
        // The P_SHA256 vector published on the TLS working group's list for RFC 5246.
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let mut out = [0; 100];
        tls12_prf(&secret, b"test label", &[&seed[..5], &seed[5..]], &mut out);
        let expected = hex("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a
            6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab
            4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701
            87347b66");
        assert_eq!(out[..], expected);
    }

    #[test]
    fn a_transcript_can_be_read_midway() {
        let mut transcript = Sha256::new();
        transcript.update(b"a");
        assert_eq!(transcript.digest(), Sha256::of(b"a"));
        transcript.update(b"bc");
        // FIPS 180-2 appendix B.1.
        let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(transcript.digest()[..], expected);
    }
}
