//! Who a certificate is about: RFC 7925 sections 4.4.1 and 4.4.2.
//!
//! **Invariant:** a host is named by one dNSName and by nothing else, a device by one EUI-64; two answers are none.

use super::CertificateRefused;
use super::certificate::{Certificate, end, malformed, open, take};
use core::str::{self, FromStr};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, Tag, TagNumber, Tagged};
use lowgate_units::Eui64;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// RFC 5280 section 4.2.1.6: alternatives of GeneralName.
const DNS_NAME: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(2) };
const URI: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(6) };
/// RFC 9039 section 4.1: how a URI says an EUI-64. RFC 7925 does not say which form it has in a subjectAltName, and
/// no other alternative of GeneralName has room for one that is not a DNS name.
const DEVICE_URI: &[u8] = b"urn:dev:mac:";

impl<'a> Certificate<'a> {
    /// Whether it names this host.
    pub(super) fn check_host(&self, host: &[u8]) -> Result<(), CertificateRefused> {
        let name = self.alt_name(DNS_NAME)?.ok_or(CertificateRefused::WrongName)?;
        // RFC 7925 section 4.4.1: MUST NOT contain wildcards, so an asterisk is one that no host has in its name.
        // RFC 6125 section 6.4.1: compared without regard to the case of ASCII letters.
        match name.eq_ignore_ascii_case(host) {
            true => Ok(()),
            false => Err(CertificateRefused::WrongName),
        }
    }

    /// The EUI-64 in the subjectAltName or, without one there, in the common name.
    pub(super) fn eui64(&self) -> Result<Eui64, CertificateRefused> {
        let name = match self.alt_name(URI)?.and_then(|uri| uri.strip_prefix(DEVICE_URI)) {
            Some(name) => name,
            None => self.common_name()?.ok_or(CertificateRefused::WrongName)?,
        };
        let name = str::from_utf8(name).map_err(|_| CertificateRefused::WrongName)?;
        Eui64::from_str(name).map_err(|_| CertificateRefused::WrongName)
    }

    /// The one alternative name of this kind. RFC 7925 section 4.4.1: MUST NOT contain multiple names.
    fn alt_name(&self, kind: Tag) -> Result<Option<&'a [u8]>, CertificateRefused> {
        let Some(names) = self.extensions.alt_names else { return Ok(None) };
        let (mut names, mut found) = (open(names, Tag::Sequence)?, None);
        while !names.is_finished() {
            let name = AnyRef::decode(&mut names).map_err(malformed)?;
            if name.tag() == kind && found.replace(name.value()).is_some() {
                return Err(CertificateRefused::WrongName);
            }
        }
        Ok(found)
    }

    /// The one common name of the subject.
    fn common_name(&self) -> Result<Option<&'a [u8]>, CertificateRefused> {
        let (mut names, mut found) = (open(self.subject, Tag::Sequence)?, None);
        while !names.is_finished() {
            let mut set = open(take(&mut names)?, Tag::Set)?;
            while !set.is_finished() {
                let mut pair = open(take(&mut set)?, Tag::Sequence)?;
                let kind = ObjectIdentifier::decode(&mut pair).map_err(malformed)?;
                let text = AnyRef::decode(&mut pair).map_err(malformed)?;
                end(pair)?;
                if kind != COMMON_NAME {
                    continue;
                }
                // RFC 5280 section 4.1.2.4: one of these two, in which an EUI-64 has the same octets.
                let is_text = matches!(text.tag(), Tag::Utf8String | Tag::PrintableString);
                if !is_text || found.replace(text.value()).is_some() {
                    return Err(CertificateRefused::WrongName);
                }
            }
        }
        Ok(found)
    }
}
