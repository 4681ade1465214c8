//! From a Certificate message to a key that may be believed: RFC 5280 section 6.
//!
//! **Invariant:** no signature is verified before everything else was found good.

use super::certificate::Certificate;
use super::{
    ANCHORS_MAX, CERTIFICATES_MAX, CertificateRefused, Expected, TrustAnchor, UnixTime, Verified,
    split_chain,
};
use lowgate_crypto::{PublicKey, Sha256};

/// What the key at the end of a chain shall be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be a server's.
    Server,
    /// To be a client's.
    #[cfg(feature = "server")]
    Client,
}

/// Verifies the chain in a Certificate message. Without a time none is compared: a device that has no clock
/// believes every certificate to be valid now.
pub(crate) fn verify_chain(
    body: &[u8],
    anchors: &[TrustAnchor],
    (purpose, expected): (Purpose, Expected<'_>),
    now: Option<UnixTime>,
) -> Result<Verified, CertificateRefused> {
    let mut path = heapless::Vec::<Certificate<'_>, CERTIFICATES_MAX>::new();
    let mut found = heapless::Vec::<&TrustAnchor, ANCHORS_MAX>::new();
    for octets in split_chain(body)? {
        let certificate = Certificate::parse(octets)?;
        if let Some(now) = now {
            certificate.check_time(now)?;
        }
        certificate.extensions.check_purpose(purpose)?;
        match path.last() {
            None => certificate.extensions.check_end_entity()?,
            Some(issued) => {
                // RFC 5246 section 7.4.2: each MUST directly certify the one before it.
                if issued.issuer != certificate.subject {
                    return Err(CertificateRefused::UnknownIssuer);
                }
                certificate.extensions.check_authority()?;
                check_depth(&path, certificate.extensions.path_len_max)?;
            }
        }
        let issuer = Sha256::of(certificate.issuer);
        path.push(certificate).map_err(|_| CertificateRefused::TooLong)?;
        for anchor in anchors.iter().filter(|anchor| anchor.is_named(&issuer)) {
            let _ = found.push(anchor); // there are no more
        }
        // What follows is the anchor, or of no use.
        if !found.is_empty() {
            break;
        }
    }
    let leaf = path.first().ok_or(CertificateRefused::Missing)?;
    if found.is_empty() {
        return Err(CertificateRefused::UnknownIssuer);
    }
    let eui64 = match expected {
        Expected::Host(host) => leaf.check_host(host).map(|()| None)?,
        #[cfg(feature = "server")]
        Expected::AnyDevice => Some(leaf.eui64()?),
        Expected::Device(device) => match leaf.eui64()? {
            eui64 if eui64 == device => Some(eui64),
            _ => return Err(CertificateRefused::WrongName),
        },
    };
    check_signatures(&path, &found)?;
    let until = path.iter().map(|certificate| certificate.not_after).min();
    Ok(Verified { key: leaf.key, eui64, until: until.unwrap_or(leaf.not_after) })
}

/// Signatures, from the anchor downwards. Anchors of one name have different keys when one follows the other.
fn check_signatures(
    path: &[Certificate<'_>],
    anchors: &[&TrustAnchor],
) -> Result<(), CertificateRefused> {
    let Some((last, rest)) = path.split_last() else { return Err(CertificateRefused::Missing) };
    let mut reaching = anchors.iter().filter(|it| check_depth(path, it.path_len_max).is_ok());
    let mut refused = CertificateRefused::NoAuthority;
    let is_issued = reaching.any(|anchor| {
        refused = CertificateRefused::BadSignature;
        is_signed(last, &anchor.key)
    });
    if !is_issued {
        return Err(refused);
    }
    let mut issuer = last;
    for certificate in rest.iter().rev() {
        if !is_signed(certificate, &issuer.key) {
            return Err(CertificateRefused::BadSignature);
        }
        issuer = certificate;
    }
    Ok(())
}

fn is_signed(certificate: &Certificate<'_>, key: &PublicKey) -> bool {
    key.verifies(&certificate.signed, certificate.signature)
}

/// RFC 5280 section 4.2.1.9: the issuers below, of which those that issued to themselves do not count, nor the
/// end entity.
fn check_depth(below: &[Certificate<'_>], len_max: Option<u8>) -> Result<(), CertificateRefused> {
    let Some(len_max) = len_max else { return Ok(()) };
    let issuers = below.iter().skip(1).filter(|it| it.issuer != it.subject).count();
    if issuers <= usize::from(len_max) { Ok(()) } else { Err(CertificateRefused::NoAuthority) }
}
