#![no_std]
//! Every primitive Lowgate uses, over RustCrypto: AES-CCM, SHA-256, HMAC, HKDF, the TLS 1.2 PRF;
//! and, with the cargo feature `p256`, the curve P-256.
//!
//! **Invariant:** key types wipe themselves when dropped, compare in constant time and never print.
//! [`Ccm`] is a trait so that a chip's AES engine can stand in for [`SoftCcm`]: an [`AesEngine`] of one
//! block is enough for [`EngineCcm`].

mod aead;
#[cfg(feature = "p256")]
mod curve;
mod hash;
mod key;

pub use aead::{AesEngine, BadTag, Ccm, EngineCcm, SoftCcm};
#[cfg(feature = "p256")]
pub use curve::{
    EphemeralKey, POINT_OCTETS, PrivateKey, PublicKey, SIGNATURE_OCTETS_MAX, SPKI_OCTETS,
    SignatureOctets,
};
pub use hash::{Digest, Sha256, Tls12Prf, hkdf_sha256, hmac_sha256, tags_match, tls12_prf};
pub use key::{Key128, Secret};
