//! MIKEY's pseudo-random function, RFC 3830 section 4.1.2, with HMAC-SHA-256 (PRF func 1 of RFC
//! 6043).
//! **Invariant:** a pure function; what lies between stays in `Secret`s.

use lowgate_crypto::{Secret, hmac_sha256};

use crate::CsbId;

/// The first four octets of a label: which key of the bundle is wanted (RFC 3830 section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Constant {
    /// Traffic-encrypting key.
    Tek = 0x2ad0_1c64,
    /// Authentication key.
    Authentication = 0x1b5c_7973,
    /// Encryption key.
    Encryption = 0x1579_8cef,
    /// Salting key.
    Salt = 0x39a2_c14b,
}

// RFC 3830 section 4.1.3: label = constant || cs_id || csb_id || RAND.
/// The fixed part of a label; the RAND follows it.
pub fn label(constant: Constant, cs_id: u8, csb_id: CsbId) -> [u8; 9] {
    let mut label = [0; 9];
    label[..4].copy_from_slice(&(constant as u32).to_be_bytes());
    label[4] = cs_id;
    label[5..].copy_from_slice(&csb_id.0.to_be_bytes());
    label
}

/// Octets of one block of the key that goes in.
const INKEY_BLOCK_OCTETS: usize = 32;
/// Octets of one block that comes out: the length of a SHA-256 value.
const OUTKEY_BLOCK_OCTETS: usize = 32;

/// RFC 3830 section 4.1.2: PRF(inkey, label), as many octets as `outkey` takes. The label is given
/// in two pieces.
pub fn prf(inkey: &[u8], label: [&[u8]; 2], outkey: &mut [u8]) {
    outkey.fill(0);
    // The input key is split into blocks of 256 bits, the last one possibly shorter. A key whose
    // length is a multiple of 256 bits has a full last block, which others have got wrong.
    for s in inkey.chunks(INKEY_BLOCK_OCTETS) {
        xor_p(s, label, outkey);
    }
}

/// XORs P(s, label, m) into `out`; m follows from its length.
fn xor_p(s: &[u8], label: [&[u8]; 2], out: &mut [u8]) {
    // A_1 = HMAC(s, A_0) with A_0 = label.
    let mut a = Secret::new(hmac_sha256(s, &label));
    for chunk in out.chunks_mut(OUTKEY_BLOCK_OCTETS) {
        let block = Secret::new(hmac_sha256(s, &[a.expose(), label[0], label[1]]));
        for (octet, from_block) in chunk.iter_mut().zip(block.expose()) {
            *octet ^= from_block;
        }
        a = Secret::new(hmac_sha256(s, &[a.expose()]));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::{hex, to_hex};
    use std::vec::Vec;

    fn outkey(inkey: &[u8], label: &[u8], len: usize) -> Vec<u8> {
        let mut outkey = std::vec![0xaa; len];
        let (fixed, rand) = label.split_at(9);
        prf(inkey, [fixed, rand], &mut outkey);
        outkey
    }

    /// Values published with another project's unit tests for PRF-HMAC-SHA-256.
    #[test]
    fn public_values() {
        let inkey = hex("a27b7d578eeb9b1ee7705e385996d300");
        let rand = "4339f62f55aac86348846a482c893802";
        for (label, expected) in [
            ("15798cef0405a85c16", "3924935940c154ccbc3c2ad05c8f5181"),
            ("39a2c14b0405a85c16", "1725869b80f370cc9f24e13b"),
            ("15798cef0005a85c16", "f17c80a8d2f9befa47cf712603d7229a"),
            ("39a2c14b0005a85c16", "c3b7b561a291a1d3abef482b"),
            ("2ad01c64040633f457", "59aaa49ebb54813602b7cc165961b4e8"),
            ("39a2c14b040633f457", "745eb4df7d155c473114a799"),
        ] {
            let label = [hex(label), hex(rand)].concat();
            assert_eq!(to_hex(&outkey(&inkey, &label, expected.len() / 2)), expected);
        }
    }

    /// Consistency with an implementation of our own in another language, written from the RFC's
    /// text: input keys of less than a block, of exactly one and two, and between; outputs over one
    /// block.
    #[test]
    fn consistent_over_key_lengths() {
        for (label, inkey_len, expected) in [
            (
                "2ad01c6401",
                16,
                "52ee03476789ec22e3cc1c7c44105ee918d6323e4601649ee09a31125c5b9778123172dfac9c78b8",
            ),
            (
                "2ad01c6401",
                24,
                "1b9a8e0274569f1196a226cca0f8212cd6e119b85b81dfcd9928c613f6891c25e8edf1f6c6c40bea",
            ),
            (
                "2ad01c6401",
                32,
                "d0221131f9ea1d945d4147a3fd7ff94ab6812ac4e04724d0d02879724cf8437434a0c5ae5d3093c8",
            ),
            ("39a2c14b01", 32, "bdccd67ec4ef1b23f810a5567184"),
            ("2d22ac75ff", 32, "e50b5d734b267275306673c0618ef001c81c9790"),
            ("2ad01c6400", 33, "1a78c26e2960dafca001642daa65b555"),
            (
                "2ad01c6401",
                44,
                "792e1d48c6c680c8dcc978356bd8a257062dbbd843fcf20516d6308a4b09fd9258c585e217254655",
            ),
            (
                "2ad01c6401",
                64,
                "2bbc0ccea89f2bd5c4a7f1b2f87bb3a6d054333bc2a05b30fa3fb41a577256fe7f2c2190cd576cae",
            ),
            ("1b5c797301", 64, "3f54f1aeceb063b949a41378855ab72f9f6c27d1"),
            ("29b88916ff", 64, "d4c099eeb8a9c876a3180cd4d934"),
            (
                "2ad01c6401",
                80,
                "af1945af97dd2986588c71f11dfd84090db89e9f62192e744c8da29d733dc8747219ff648c6f4376",
            ),
        ] {
            let inkey: Vec<u8> = (0..inkey_len).map(|i| (3 + 7 * i) as u8).collect();
            let label = [hex(label), hex("deadbeef101112131415161718191a1b1c1d1e1f")].concat();
            let outkey = outkey(&inkey, &label, expected.len() / 2);
            assert_eq!(to_hex(&outkey), expected, "{inkey_len} octets");
        }
    }

    #[test]
    fn rfc3830_4_1_3_the_label_begins_with_its_constant() {
        let expected = hex("2ad01c64025a17c0de");
        assert_eq!(label(Constant::Tek, 2, CsbId(0x5a17_c0de))[..], expected);
        assert_eq!(label(Constant::Salt, 2, CsbId(0))[..4], hex("39a2c14b"));
    }
}
