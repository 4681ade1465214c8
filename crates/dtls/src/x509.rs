//! X.509 certificates of the IoT profile: RFC 7925 section 4.4, RFC 5280. P-256 and ECDSA with SHA-256 alone.
//!
//! **Invariants:** nothing allocates, and what is looked at is bounded before it is looked at; what is cheap is
//! checked first, and signatures last, from the anchor downwards, so that a chain that nobody issued costs one
//! verification for each anchor of its issuer's name. What is not understood and critical refuses the chain.
//! *Absent:* revocation (RFC 7925 section 4.4.3), name constraints (a chain that has them is refused), wildcards,
//! a search for a path: a chain comes in its order (RFC 5246 section 7.4.2).

mod certificate;
mod extensions;
mod name;
mod path;
mod urls;

use crate::hello::Sink;
use crate::{AlertDescription, ConfigRefused};
use certificate::Certificate;
use lowgate_crypto::{Digest, PublicKey, Sha256};
use lowgate_units::Eui64;

pub(crate) use path::{Purpose, verify_chain};
pub use urls::{CERTIFICATE_URL_OCTETS_MAX, CertificateUrl, CertificateUrls};

/// Certificates of one chain. RFC 7925 section 4.4.4: at least three beside the anchor, which some send along.
pub const CERTIFICATES_MAX: usize = 4;
/// Octets of a Certificate message: its list and what stands before it. A certificate on P-256 has 350 to 600.
pub const CHAIN_OCTETS_MAX: usize = 2560;
/// Anchors that one end trusts.
pub const ANCHORS_MAX: usize = 4;
/// Before a list of certificates, and before each of them.
const LENGTH_OCTETS: usize = 3;

/// Why a chain of certificates is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateRefused {
    /// Nothing was shown.
    Missing,
    /// It could not be read, or not as the one form that DER has.
    Malformed,
    /// More certificates or octets than are looked at.
    TooLong,
    /// Another version, key, curve or signature algorithm than the profile's, or something critical that is not
    /// understood.
    Unsupported,
    /// A signature does not verify.
    BadSignature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// No anchor has the name of the last issuer, or a certificate was not issued by the next one.
    UnknownIssuer,
    /// An issuer may not issue, or not so far down.
    NoAuthority,
    /// The key is not for this.
    WrongPurpose,
    /// It has no name of the profile's, more than one, or not the one that was looked for.
    WrongName,
    /// The chain is good, and its device is not known here.
    NotAdmitted,
}

impl CertificateRefused {
    /// RFC 5246 section 7.2.2.
    pub(crate) const fn alert(self) -> AlertDescription {
        use AlertDescription as D;
        match self {
            // RFC 5246 section 7.4.6: when the client has none.
            Self::Missing => D::HANDSHAKE_FAILURE,
            Self::Malformed | Self::TooLong | Self::BadSignature => D::BAD_CERTIFICATE,
            Self::Unsupported | Self::WrongPurpose => D::UNSUPPORTED_CERTIFICATE,
            Self::Expired | Self::NotYetValid => D::CERTIFICATE_EXPIRED,
            Self::UnknownIssuer | Self::NoAuthority => D::UNKNOWN_CA,
            Self::WrongName => D::CERTIFICATE_UNKNOWN,
            Self::NotAdmitted => D::ACCESS_DENIED,
        }
    }
}

/// Seconds since the beginning of 1970, as certificates count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

/// An authority that is believed: what RFC 5280 section 6.1.1 calls the trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// Of the name as it stands in the certificates that it issues.
    name: Digest,
    key: PublicKey,
    /// Issuers below it, at most.
    path_len_max: Option<u8>,
}

impl TrustAnchor {
    /// Out of the authority's own certificate in DER. Neither its time nor who signed it is looked at: whoever
    /// puts it here vouches for it, until he takes it away.
    ///
    /// # Errors
    /// When it is no certificate of an authority, or not of this profile.
    pub fn from_certificate(octets: &[u8]) -> Result<Self, CertificateRefused> {
        let certificate = Certificate::parse(octets)?;
        certificate.extensions.check_authority()?;
        Ok(Self {
            name: Sha256::of(certificate.subject),
            key: certificate.key,
            path_len_max: certificate.extensions.path_len_max,
        })
    }

    /// Tells it from others.
    pub(crate) fn hash_into(&self, hash: &mut Sha256) {
        hash.update(&self.name);
        hash.update(&self.key.point());
        hash.update(&[self.path_len_max.unwrap_or(u8::MAX)]);
    }

    fn is_named(&self, issuer: &Digest) -> bool {
        self.name == *issuer
    }
}

/// Who the other end must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected<'a> {
    /// A server of this DNS name: RFC 7925 section 4.4.1.
    Host(&'a [u8]),
    /// A device with this EUI-64: section 4.4.2.
    Device(Eui64),
    /// A device with any.
    #[cfg(feature = "server")]
    AnyDevice,
}

/// A chain that leads to an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) key: PublicKey,
    /// Of a device.
    pub(crate) eui64: Option<Eui64>,
    /// When the first certificate of it expires.
    pub(crate) until: UnixTime,
}

/// What a certificate of our own must be: ours, in a chain that is short enough. Returns its [`message_len`].
pub(crate) fn check_own<'a>(
    key: &PublicKey,
    chain: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<usize, ConfigRefused> {
    let len = message_len(chain.clone()).ok_or(ConfigRefused::ChainTooLong)?;
    for (at, octets) in chain.enumerate() {
        let certificate = Certificate::parse(octets).map_err(ConfigRefused::BadCertificate)?;
        if at == 0 && certificate.key != *key {
            return Err(ConfigRefused::KeyOfAnother);
        }
    }
    Ok(len)
}

/// Octets of the Certificate message for this chain; `None`: more than [`CHAIN_OCTETS_MAX`], or no chain at all.
fn message_len<'a>(chain: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    let (mut count, mut len) = (0, LENGTH_OCTETS);
    for octets in chain {
        count += 1;
        len += LENGTH_OCTETS + octets.len();
    }
    ((1..=CERTIFICATES_MAX).contains(&count) && len <= CHAIN_OCTETS_MAX).then_some(len)
}

/// The Certificate message (RFC 5246 section 7.4.2) of a chain whose [`message_len`] this is.
pub(crate) fn put_chain<'a>(
    chain: impl Iterator<Item = &'a [u8]>,
    message_len: usize,
    out: &mut impl Sink,
) {
    let u24 = |number: usize| [(number >> 16) as u8, (number >> 8) as u8, number as u8];
    out.put(&u24(message_len - LENGTH_OCTETS));
    for octets in chain {
        out.put(&u24(octets.len()));
        out.put(octets);
    }
}

/// By what a Certificate message is known again: RFC 7924 section 5, of the message with the header that TLS gives it.
pub(crate) fn fingerprint(body: &[u8]) -> Digest {
    const CERTIFICATE: u8 = 11;
    let mut hash = Sha256::new();
    hash.update(&[
        CERTIFICATE,
        (body.len() >> 16) as u8,
        (body.len() >> 8) as u8,
        body.len() as u8,
    ]);
    hash.update(body);
    hash.digest()
}

/// What a server says when the client knows its certificates (RFC 7924 section 4.1): nothing but their fingerprint.
#[cfg(feature = "server")]
pub(crate) fn put_fingerprint(fingerprint: &Digest, out: &mut impl Sink) {
    out.put(&[fingerprint.len() as u8]);
    out.put(fingerprint);
}

/// The certificates in such a message.
fn split_chain(body: &[u8]) -> Result<heapless::Vec<&[u8], CERTIFICATES_MAX>, CertificateRefused> {
    if body.len() > CHAIN_OCTETS_MAX {
        return Err(CertificateRefused::TooLong);
    }
    let (list, rest) = split_vec24(body).ok_or(CertificateRefused::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateRefused::Malformed);
    }
    if list.is_empty() {
        return Err(CertificateRefused::Missing);
    }
    let (mut chain, mut left) = (heapless::Vec::new(), list);
    while !left.is_empty() {
        let (octets, rest) = split_vec24(left).ok_or(CertificateRefused::Malformed)?;
        chain.push(octets).map_err(|_| CertificateRefused::TooLong)?;
        left = rest;
    }
    Ok(chain)
}

fn split_vec24(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = octets.split_first_chunk::<LENGTH_OCTETS>()?;
    rest.split_at_checked(
        usize::from(len[0]) << 16 | usize::from(len[1]) << 8 | usize::from(len[2]),
    )
}

#[cfg(all(test, feature = "server"))]
mod tests;
