//! The messages of a handshake on P-256: RFC 5489 section 2, RFC 8422 section 5, RFC 7250 section 3.
//!
//! **Invariants:** one curve, points in the uncompressed form alone, each on the curve; one signature
//! algorithm. What is parsed here is exact: nothing may follow.

use crate::CloseReason;
#[cfg(feature = "server")]
use crate::RecordDrop;
use crate::hello::{Reader, Sink};
use crate::schedule::Randoms;
use lowgate_crypto::{
    Digest, POINT_OCTETS, PrivateKey, PublicKey, SIGNATURE_OCTETS_MAX, SPKI_OCTETS, Sha256,
};

/// RFC 8422 section 5.1.1: secp256r1.
pub(crate) const SECP256R1: u16 = 23;
/// RFC 8422 section 5.1.2.
pub(crate) const UNCOMPRESSED: u8 = 0;
/// RFC 8446 section 4.2.3 calls it so: ECDSA with SHA-256.
pub(crate) const ECDSA_SECP256R1_SHA256: [u8; 2] = [4, 3];
/// RFC 7250 section 3: certificates, which is what goes without saying,
#[cfg(feature = "server")]
pub(crate) const X509: u8 = 0;
/// and keys as they are.
pub(crate) const RAW_PUBLIC_KEY: u8 = 2;
/// RFC 8422 section 5.5: ecdsa_sign.
const ECDSA_SIGN: u8 = 64;
/// RFC 8422 section 5.4: named_curve, secp256r1, and the length of the point.
const PARAMS_HEAD: [u8; 4] = [3, 0, SECP256R1 as u8, POINT_OCTETS as u8];

/// ServerECDHParams.
pub(crate) const PARAMS_OCTETS: usize = PARAMS_HEAD.len() + POINT_OCTETS;
/// DigitallySigned, RFC 5246 section 4.7.
pub(crate) const SIGNED_OCTETS_MAX: usize = 4 + SIGNATURE_OCTETS_MAX;
/// The Certificate message of a raw public key.
#[cfg(not(feature = "x509"))]
pub(crate) const RAW_CERTIFICATE_OCTETS: usize = 3 + SPKI_OCTETS;
/// Our CertificateRequest.
#[cfg(feature = "server")]
pub(crate) const CERTIFICATE_REQUEST: [u8; 8] =
    [1, ECDSA_SIGN, 0, 2, ECDSA_SECP256R1_SHA256[0], ECDSA_SECP256R1_SHA256[1], 0, 0];

/// ServerECDHParams of our share.
#[cfg(feature = "server")]
pub(crate) fn params(share: &PublicKey) -> [u8; PARAMS_OCTETS] {
    let mut octets = [0; PARAMS_OCTETS];
    let (head, point) = octets.split_at_mut(PARAMS_HEAD.len());
    head.copy_from_slice(&PARAMS_HEAD);
    point.copy_from_slice(&share.point());
    octets
}

/// The server's share, and what is left.
pub(crate) fn split_params(body: &[u8]) -> Result<(PublicKey, &[u8]), CloseReason> {
    let rest = body.strip_prefix(&PARAMS_HEAD).ok_or(CloseReason::IllegalHello)?;
    let (point, rest) = rest.split_at_checked(POINT_OCTETS).ok_or(CloseReason::MalformedHello)?;
    // RFC 8422 section 5.4: the point MUST be checked to be on the curve.
    Ok((PublicKey::from_point(point).ok_or(CloseReason::IllegalHello)?, rest))
}

/// The ServerKeyExchange of RFC 5489: a hint, which is ignored (RFC 4279 section 5.2), and the share.
pub(crate) fn parse_psk_params(body: &[u8]) -> Result<PublicKey, CloseReason> {
    let mut reader = Reader(body);
    reader.vec16()?;
    match split_params(reader.0)? {
        (share, []) => Ok(share),
        (_, [_, ..]) => Err(CloseReason::MalformedHello),
    }
}

/// ClientECDiffieHellmanPublic.
#[cfg(feature = "server")]
pub(crate) fn parse_client_share(octets: &[u8]) -> Result<PublicKey, RecordDrop> {
    let (len, point) = octets.split_first().ok_or(RecordDrop::BadMessage)?;
    if usize::from(*len) != point.len() {
        return Err(RecordDrop::BadMessage);
    }
    PublicKey::from_point(point).ok_or(RecordDrop::BadMessage)
}

/// The same of ours.
pub(crate) fn put_client_share(share: &PublicKey, out: &mut impl Sink) {
    out.put(&[POINT_OCTETS as u8]);
    out.put(&share.point());
}

/// The Certificate message of a raw public key: no list, RFC 7250 section 3.
pub(crate) fn put_raw_certificate(key: &PublicKey, out: &mut impl Sink) {
    out.put(&[0, 0, SPKI_OCTETS as u8]);
    out.put(&key.spki());
}

/// The key in it. Another kind of key, or another form of this one, is as good as none.
pub(crate) fn parse_raw_certificate(body: &[u8]) -> Option<PublicKey> {
    PublicKey::from_spki(body.strip_prefix(&[0, 0, SPKI_OCTETS as u8])?)
}

/// What a server signs: RFC 8422 section 5.4.
pub(crate) fn signed_params(randoms: Randoms<'_>, params: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    for part in [&randoms.client[..], randoms.server, params] {
        hash.update(part);
    }
    hash.digest()
}

/// DigitallySigned over what has this digest.
pub(crate) fn put_signed(key: &PrivateKey, digest: &Digest, out: &mut impl Sink) {
    let signature = key.sign(digest);
    out.put(&ECDSA_SECP256R1_SHA256);
    out.put(&(signature.octets().len() as u16).to_be_bytes());
    out.put(signature.octets());
}

/// The signature in a DigitallySigned. Another algorithm than the one that was offered is refused
/// (Mbed TLS CVE-2026-25834).
pub(crate) fn parse_signed(octets: &[u8]) -> Option<&[u8]> {
    let (len, signature) = octets.strip_prefix(&ECDSA_SECP256R1_SHA256)?.split_first_chunk()?;
    (usize::from(u16::from_be_bytes(*len)) == signature.len()).then_some(signature)
}

/// Whether we can do what a CertificateRequest (RFC 5246 section 7.4.4) asks for. The authorities that it
/// names are hints for who has several certificates.
pub(crate) fn is_request_for_us(body: &[u8]) -> Result<bool, CloseReason> {
    let mut reader = Reader(body);
    let (kinds, algorithms) = (reader.vec8()?, reader.vec16()?);
    reader.vec16()?;
    if !reader.0.is_empty() || !algorithms.len().is_multiple_of(2) {
        return Err(CloseReason::MalformedHello);
    }
    Ok(kinds.contains(&ECDSA_SIGN)
        && algorithms.chunks_exact(2).any(|pair| pair == ECDSA_SECP256R1_SHA256))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_crypto::Secret;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn emitted(emit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        emit(&mut out);
        out
    }

    fn private_key(octets: [u8; 32]) -> Option<PrivateKey> {
        PrivateKey::new(&Secret::new(octets))
    }

    /// What is read, of any octets, is what would be written for it: nothing more, no second form.
    fn check_exact(octets: &[u8]) {
        if let Some(key) = parse_raw_certificate(octets) {
            assert_eq!(emitted(|out| put_raw_certificate(&key, out)), octets);
        }
        if let Ok((share, rest)) = split_params(octets) {
            let point = share.point();
            assert_eq!([&PARAMS_HEAD[..], &point, rest].concat(), octets);
        }
        if let Ok(share) = parse_psk_params(octets) {
            assert!(octets.ends_with(&share.point()));
            let hint = octets.len() - PARAMS_OCTETS - 2;
            assert_eq!(octets[..2], (hint as u16).to_be_bytes());
        }
        if let Some(signature) = parse_signed(octets) {
            let len = (signature.len() as u16).to_be_bytes();
            assert_eq!([&ECDSA_SECP256R1_SHA256[..], &len, signature].concat(), octets);
        }
        #[cfg(feature = "server")]
        if let Ok(share) = parse_client_share(octets) {
            assert_eq!(emitted(|out| put_client_share(&share, out)), octets);
        }
        if let Ok(true) = is_request_for_us(octets) {
            assert!(octets.windows(2).any(|pair| pair == ECDSA_SECP256R1_SHA256));
        }
    }

    #[test]
    fn requests_of_others() {
        let check = |octets: &[u8], expected| assert_eq!(is_request_for_us(octets), expected);
        check(&[1, ECDSA_SIGN, 0, 2, 4, 3, 0, 0], Ok(true));
        check(&[2, 1, ECDSA_SIGN, 0, 4, 2, 3, 4, 3, 0, 1, 9], Ok(true));
        check(&[1, 1, 0, 2, 4, 3, 0, 0], Ok(false)); // RSA alone
        check(&[1, ECDSA_SIGN, 0, 2, 2, 3, 0, 0], Ok(false)); // SHA-1 alone
        let malformed = Err(CloseReason::MalformedHello);
        check(&[], malformed);
        check(&[1, ECDSA_SIGN, 0, 3, 4, 3, 4, 0, 0], malformed);
        check(&[1, ECDSA_SIGN, 0, 2, 4, 3, 0, 0, 0], malformed);
        check(&[1, ECDSA_SIGN, 0, 2, 4, 3, 0, 1], malformed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            check_exact(&octets);
        }

        /// Near what an honest end says: cut, longer, or with one octet changed.
        #[test]
        fn nearly_right(scalar in any::<[u8; 32]>(), cut in 0_usize..100, at in 0_usize..100, by: u8) {
            let Some(key) = private_key(scalar) else { return Ok(()) };
            let public = key.public();
            let params = [&PARAMS_HEAD[..], &public.point()].concat();
            let digest = Sha256::of(&scalar);
            let good = [
                emitted(|out| put_raw_certificate(&public, out)),
                emitted(|out| put_client_share(&public, out)),
                emitted(|out| put_signed(&key, &digest, out)),
                [&[0, 3, 1, 2, 3], &params[..]].concat(),
                params,
            ];
            prop_assert_eq!(parse_raw_certificate(&good[0]), Some(public));
            #[cfg(feature = "server")]
            prop_assert_eq!(parse_client_share(&good[1]), Ok(public));
            let signature = parse_signed(&good[2]).expect("ours");
            prop_assert!(public.verifies(&digest, signature));
            prop_assert_eq!(parse_psk_params(&good[3]), Ok(public));
            prop_assert_eq!(split_params(&good[4]), Ok((public, &[][..])));
            for octets in good {
                check_exact(&octets);
                check_exact(&octets[..cut.min(octets.len())]);
                check_exact(&[&octets[..], &[by]].concat());
                let mut changed = octets.clone();
                changed[at % octets.len()] ^= by;
                check_exact(&changed);
            }
        }
    }
}
