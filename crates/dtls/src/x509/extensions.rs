//! Extensions of certificates: RFC 5280 section 4.2, those of RFC 7925 table 1.
//!
//! **Invariant:** one that is critical and not understood refuses the certificate; so do two of a kind, and name
//! constraints in any case, for whoever sets them means them.

use super::CertificateRefused;
use super::certificate::{end, malformed, open, take, value};
use super::path::Purpose;
use der::asn1::{BitStringRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};

/// Extensions of one certificate.
const EXTENSIONS_MAX: usize = 16;

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXT_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const ANY_EXT_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
#[cfg(feature = "server")]
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// RFC 5280 section 4.2.1.3: positions of bits.
const DIGITAL_SIGNATURE: usize = 0;
const KEY_CERT_SIGN: usize = 5;

/// What the extensions say; `None`: nothing.
#[derive(Default)]
pub(super) struct Extensions<'a> {
    /// GeneralNames, with tag and length.
    pub(super) alt_names: Option<&'a [u8]>,
    pub(super) path_len_max: Option<u8>,
    /// cA of the basic constraints.
    is_authority: Option<bool>,
    usage: Option<Usage>,
    /// Key purposes, with tag and length.
    purposes: Option<&'a [u8]>,
}

#[derive(Clone, Copy)]
struct Usage {
    signs: bool,
    issues: bool,
}

impl<'a> Extensions<'a> {
    /// From the field `extensions` with its tag, `[3] EXPLICIT`.
    pub(super) fn parse(octets: &'a [u8]) -> Result<Self, CertificateRefused> {
        let tag = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };
        let mut field = open(octets, tag)?;
        let mut list = open(take(&mut field)?, Tag::Sequence)?;
        end(field)?;
        let mut seen = heapless::Vec::<ObjectIdentifier, EXTENSIONS_MAX>::new();
        let mut extensions = Self::default();
        while !list.is_finished() {
            let mut one = open(take(&mut list)?, Tag::Sequence)?;
            let kind = ObjectIdentifier::decode(&mut one).map_err(malformed)?;
            // RFC 5280 section 4.2: MUST NOT include more than one instance of an extension.
            if seen.contains(&kind) {
                return Err(CertificateRefused::Malformed);
            }
            seen.push(kind).map_err(|_| CertificateRefused::TooLong)?;
            let critical = match Tag::peek(&one).map_err(malformed)? {
                Tag::Boolean => bool::decode(&mut one).map_err(malformed)?,
                _ => false,
            };
            let content = value(&mut one, Tag::OctetString)?;
            end(one)?;
            extensions.take(kind, critical, content)?;
        }
        Ok(extensions)
    }

    fn take(
        &mut self,
        kind: ObjectIdentifier,
        critical: bool,
        content: &'a [u8],
    ) -> Result<(), CertificateRefused> {
        match kind {
            SUBJECT_ALT_NAME => {
                open(content, Tag::Sequence)?;
                self.alt_names = Some(content);
            }
            BASIC_CONSTRAINTS => self.basic_constraints(content)?,
            KEY_USAGE => self.usage = Some(key_usage(content)?),
            EXT_KEY_USAGE => {
                open(content, Tag::Sequence)?;
                self.purposes = Some(content);
            }
            // RFC 5280 section 4.2: a critical one that is not recognized MUST be rejected.
            NAME_CONSTRAINTS => return Err(CertificateRefused::Unsupported),
            _ if critical => return Err(CertificateRefused::Unsupported),
            _ => {}
        }
        Ok(())
    }

    /// RFC 5280 section 4.2.1.9.
    fn basic_constraints(&mut self, content: &[u8]) -> Result<(), CertificateRefused> {
        let mut fields = open(content, Tag::Sequence)?;
        let next_is = |tag, reader: &SliceReader<'_>| {
            !reader.is_finished() && Tag::peek(reader).is_ok_and(|next| next == tag)
        };
        let is_authority = match next_is(Tag::Boolean, &fields) {
            true => bool::decode(&mut fields).map_err(malformed)?,
            false => false,
        };
        if next_is(Tag::Integer, &fields) {
            // A longer path than can be shown is no constraint; it is read all the same.
            let len = u32::decode(&mut fields).map_err(malformed)?;
            self.path_len_max = Some(u8::try_from(len).unwrap_or(u8::MAX));
        }
        end(fields)?;
        // MUST NOT be included unless cA is asserted.
        if self.path_len_max.is_some() && !is_authority {
            return Err(CertificateRefused::Malformed);
        }
        self.is_authority = Some(is_authority);
        Ok(())
    }

    /// Whether it may issue certificates: RFC 5280 section 6.1.4 (k) and (n).
    pub(super) fn check_authority(&self) -> Result<(), CertificateRefused> {
        let issues = self.is_authority == Some(true) && self.usage.is_none_or(|usage| usage.issues);
        if issues { Ok(()) } else { Err(CertificateRefused::NoAuthority) }
    }

    /// Whether its key may sign a handshake. RFC 7925 table 1: who may issue certificates is no end entity.
    pub(super) fn check_end_entity(&self) -> Result<(), CertificateRefused> {
        let signs = self.is_authority != Some(true) && self.usage.is_none_or(|usage| usage.signs);
        if signs { Ok(()) } else { Err(CertificateRefused::WrongPurpose) }
    }

    /// RFC 5280 section 4.2.1.12: MUST only be used for one of the purposes indicated, if any are. So it is for an
    /// issuer, whose purposes bound those of what it issues.
    pub(super) fn check_purpose(&self, purpose: Purpose) -> Result<(), CertificateRefused> {
        let Some(purposes) = self.purposes else { return Ok(()) };
        let wanted = match purpose {
            Purpose::Server => SERVER_AUTH,
            #[cfg(feature = "server")]
            Purpose::Client => CLIENT_AUTH,
        };
        let mut list = open(purposes, Tag::Sequence)?;
        let mut found = false;
        while !list.is_finished() {
            let one = ObjectIdentifier::decode(&mut list).map_err(malformed)?;
            found |= one == wanted || one == ANY_EXT_KEY_USAGE;
        }
        if found { Ok(()) } else { Err(CertificateRefused::WrongPurpose) }
    }
}

fn key_usage(content: &[u8]) -> Result<Usage, CertificateRefused> {
    let bits = BitStringRef::from_der(content).map_err(malformed)?;
    let has = |at| bits.get(at).unwrap_or(false);
    Ok(Usage { signs: has(DIGITAL_SIGNATURE), issues: has(KEY_CERT_SIGN) })
}
