//! AES-128-CCM (RFC 3610) in the shapes the protocols use.
//!
//! 802.15.4 takes a nonce of 13 octets and tags of 4, 8 or 16; DTLS takes 12 and 8 (RFC 6655).

use crate::Key128;
use aes::Aes128;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U4, U8, U12, U13, U16};

/// The tag does not belong to these octets under this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTag;

/// AES-128-CCM, in software or by a chip's engine.
///
/// # Panics
/// Both operations panic for a shape no protocol here uses: the nonce has 12 or 13 octets and the
/// tag 4, 8 or 16. Neither length ever comes from the network.
pub trait Ccm: Sync {
    /// Encrypts `payload` in place and overwrites `tag`.
    fn seal(&self, key: &Key128, nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]);

    /// Decrypts `payload` in place if `tag` is right.
    ///
    /// # Errors
    /// [`BadTag`]; `payload` is then meaningless and must be dropped.
    fn open(
        &self,
        key: &Key128,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), BadTag>;
}

/// RustCrypto's implementation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftCcm;

macro_rules! by_shape {
    ($nonce:expr, $tag_len:expr, $run:ident, $($arg:expr),*) => {
        match ($nonce.len(), $tag_len) {
            (13, 4) => $run::<ccm::Ccm<Aes128, U4, U13>>($($arg),*),
            (13, 8) => $run::<ccm::Ccm<Aes128, U8, U13>>($($arg),*),
            (13, 16) => $run::<ccm::Ccm<Aes128, U16, U13>>($($arg),*),
            (12, 8) => $run::<ccm::Ccm<Aes128, U8, U12>>($($arg),*),
            (nonce, tag) => panic!("no protocol uses CCM with nonce {nonce} and tag {tag}"),
        }
    };
}

impl Ccm for SoftCcm {
    fn seal(&self, key: &Key128, nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) {
        by_shape!(nonce, tag.len(), seal_as, key, nonce, aad, payload, tag)
    }

    fn open(
        &self,
        key: &Key128,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), BadTag> {
        by_shape!(nonce, tag.len(), open_as, key, nonce, aad, payload, tag)
    }
}

fn seal_as<C: AeadInOut + KeyInit>(
    key: &Key128,
    nonce: &[u8],
    aad: &[u8],
    payload: &mut [u8],
    tag: &mut [u8],
) {
    let cipher = C::new_from_slice(key.expose()).expect("128 bits");
    let nonce = nonce.try_into().expect("length matched the shape");
    let sealed = cipher
        .encrypt_inout_detached(nonce, aad, InOutBuf::from(payload))
        .expect("payloads are far below CCM's limit of 2^16 octets");
    tag.copy_from_slice(&sealed);
}

fn open_as<C: AeadInOut + KeyInit>(
    key: &Key128,
    nonce: &[u8],
    aad: &[u8],
    payload: &mut [u8],
    tag: &[u8],
) -> Result<(), BadTag> {
    let cipher = C::new_from_slice(key.expose()).expect("128 bits");
    let nonce = nonce.try_into().expect("length matched the shape");
    let tag = tag.try_into().expect("length matched the shape");
    cipher.decrypt_inout_detached(nonce, aad, InOutBuf::from(payload), tag).map_err(|_| BadTag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_testkit::hex;

    fn check(key: &str, nonce: &str, aad: &str, plain: &str, sealed: &str) {
        let key = Key128::from_slice(&hex(key)).expect("16 octets");
        let (nonce, aad, plain, sealed) = (hex(nonce), hex(aad), hex(plain), hex(sealed));
        let mut octets = plain.clone();
        let mut tag = [0xaa; 16];
        let tag = &mut tag[..sealed.len() - plain.len()];
        SoftCcm.seal(&key, &nonce, &aad, &mut octets, tag);
        assert_eq!([&octets[..], tag].concat(), sealed);
        SoftCcm.open(&key, &nonce, &aad, &mut octets, tag).expect("own tag");
        assert_eq!(octets, plain);
        tag[0] ^= 1;
        assert_eq!(SoftCcm.open(&key, &nonce, &aad, &mut octets, tag), Err(BadTag));
    }

    #[test]
    fn rfc3610_packet_vector_1() {
        check(
            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
            "00000003020100a0a1a2a3a4a5",
            "0001020304050607",
            "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
            "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0",
        );
    }

    #[test]
    fn ieee802154_2006_c_2_1_1_beacon() {
        check(
            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
            "acde4800000000010000000502",
            "08d0842143010000000048deac020500000055cf000051525354",
            "",
            "223bc1ec841ab553",
        );
    }

    #[test]
    fn ieee802154_2006_c_2_3_command() {
        check(
            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
            "acde4800000000010000000506",
            "2bdc842143020000000048deacffff010000000048deac060500000001",
            "ce",
            "d84fde529061f9c6f1",
        );
    }

    #[test]
    fn dtls_record_of_a_public_capture() {
        // The client's first application record in dtls12-aes128ccm8.pcap.
        check(
            "0ec0da229b86ffdbf017f079b13a5e85",
            "4e4dee2f0001000000000001",
            "000100000000000117fefd0020",
            "44544c53312e322074657374207573696e6720476e75544c5320332e352e380a",
            "c2315fbaace18d75d6220ca5fb6d978216d736c454f287b518743b2b32013f33ce62ab214c2a0b9c",
        );
    }
}
