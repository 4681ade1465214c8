//! MIKEY's pseudo-random function, RFC 3830 section 4.1.2, with HMAC-SHA-256 (PRF func 1 of RFC 6043).
//! **Invariant:** a pure function; intermediate values are wiped.

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

/// RFC 3830 section 4.1.2: PRF(inkey, label), as many octets as `outkey` takes. The label is given in
/// two pieces.
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
