//! One certificate: RFC 5280 section 4.1, with the elements of RFC 7925 table 1 and no others.
//!
//! **Invariant:** what parses has one form: DER, version 3, a key on P-256, and the same signature algorithm
//! inside and outside, ECDSA with SHA-256.

use super::extensions::Extensions;
use super::{CertificateRefused, UnixTime};
use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, UintRef, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use lowgate_crypto::{Digest, PublicKey, Sha256};

/// `[0] EXPLICIT INTEGER` 2: version 3.
const VERSION_3: [u8; 5] = [0xa0, 3, 2, 1, 2];
/// RFC 5758 section 3.2: ecdsa-with-SHA256, without parameters.
const ECDSA_WITH_SHA256: [u8; 12] =
    [0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// RFC 5280 section 4.1.2.2.
const SERIAL_OCTETS_MAX: usize = 20;

/// What of a certificate matters here.
pub(super) struct Certificate<'a> {
    /// Of what is signed,
    pub(super) signed: Digest,
    /// and how.
    pub(super) signature: &'a [u8],
    /// Names with their tags and lengths, as they are compared.
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) key: PublicKey,
    pub(super) extensions: Extensions<'a>,
}

/// Anything that DER does not allow.
pub(super) fn malformed<E>(_: E) -> CertificateRefused {
    CertificateRefused::Malformed
}

/// What stands in a SEQUENCE (or SET) that is all of `octets`.
pub(super) fn open(octets: &[u8], tag: Tag) -> Result<SliceReader<'_>, CertificateRefused> {
    let any = AnyRef::from_der(octets).map_err(malformed)?;
    if any.tag() != tag {
        return Err(CertificateRefused::Malformed);
    }
    SliceReader::new(any.value()).map_err(malformed)
}

/// The next element with its tag and length.
pub(super) fn take<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8], CertificateRefused> {
    reader.tlv_bytes().map_err(malformed)
}

/// The next element's content.
pub(super) fn value<'a>(
    reader: &mut SliceReader<'a>,
    tag: Tag,
) -> Result<&'a [u8], CertificateRefused> {
    let any = AnyRef::decode(reader).map_err(malformed)?;
    if any.tag() == tag { Ok(any.value()) } else { Err(CertificateRefused::Malformed) }
}

/// Nothing follows.
pub(super) fn end(reader: SliceReader<'_>) -> Result<(), CertificateRefused> {
    reader.finish().map_err(malformed)
}

impl<'a> Certificate<'a> {
    /// Reads one that is all of `octets`.
    pub(super) fn parse(octets: &'a [u8]) -> Result<Self, CertificateRefused> {
        let mut outer = open(octets, Tag::Sequence)?;
        let signed = take(&mut outer)?;
        // RFC 5280 section 4.1.1.2: MUST contain the same algorithm as inside.
        is_ours(take(&mut outer)?)?;
        let signature = BitStringRef::decode(&mut outer).map_err(malformed)?;
        end(outer)?;
        let signature = signature.as_bytes().ok_or(CertificateRefused::Malformed)?;

        let mut inner = open(signed, Tag::Sequence)?;
        if take(&mut inner)? != VERSION_3 {
            return Err(CertificateRefused::Unsupported);
        }
        serial(&mut inner)?;
        is_ours(take(&mut inner)?)?;
        let issuer = take(&mut inner)?;
        let mut validity = open(take(&mut inner)?, Tag::Sequence)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        end(validity)?;
        let subject = take(&mut inner)?;
        // RFC 5280 section 4.1.2.4: MUST be a distinguished name that is not empty.
        for name in [issuer, subject] {
            open(name, Tag::Sequence)?;
        }
        if open(issuer, Tag::Sequence)?.is_finished() {
            return Err(CertificateRefused::Malformed);
        }
        let spki = take(&mut inner)?;
        open(spki, Tag::Sequence)?;
        let key = PublicKey::from_spki(spki).ok_or(CertificateRefused::Unsupported)?;
        // Unique identifiers have other tags than extensions, which must follow here, and MUST NOT be there.
        let extensions = match inner.is_finished() {
            true => Extensions::default(),
            false => Extensions::parse(take(&mut inner)?)?,
        };
        end(inner)?;
        let signed = Sha256::of(signed);
        Ok(Self { signed, signature, issuer, subject, not_before, not_after, key, extensions })
    }

    /// Whether it is good at this time.
    pub(super) fn check_time(&self, now: UnixTime) -> Result<(), CertificateRefused> {
        match () {
            () if now < self.not_before => Err(CertificateRefused::NotYetValid),
            () if now > self.not_after => Err(CertificateRefused::Expired),
            () => Ok(()),
        }
    }
}

fn is_ours(algorithm: &[u8]) -> Result<(), CertificateRefused> {
    open(algorithm, Tag::Sequence)?;
    if *algorithm == ECDSA_WITH_SHA256 { Ok(()) } else { Err(CertificateRefused::Unsupported) }
}

/// RFC 5280 section 4.1.2.2: a positive integer of at most 20 octets.
fn serial(reader: &mut SliceReader<'_>) -> Result<(), CertificateRefused> {
    let number = UintRef::decode(reader).map_err(malformed)?;
    let octets = number.as_bytes();
    let is_zero = octets.iter().all(|octet| *octet == 0);
    if is_zero || octets.len() > SERIAL_OCTETS_MAX {
        return Err(CertificateRefused::Malformed);
    }
    Ok(())
}

/// RFC 5280 section 4.1.2.5: either form of a time, both in seconds and in UTC.
fn time(reader: &mut SliceReader<'_>) -> Result<UnixTime, CertificateRefused> {
    let since_1970 = match Tag::peek(reader).map_err(malformed)? {
        Tag::UtcTime => UtcTime::decode(reader).map_err(malformed)?.to_unix_duration(),
        Tag::GeneralizedTime => {
            GeneralizedTime::decode(reader).map_err(malformed)?.to_unix_duration()
        }
        _ => return Err(CertificateRefused::Malformed),
    };
    Ok(UnixTime(since_1970.as_secs()))
}
