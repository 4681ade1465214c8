//! Client certificate URLs: RFC 6066 section 5, RFC 7925 section 4.4.5. A device says where its certificates are, and need
//! not have them.
//!
//! *Absent:* a server that fetches. Whoever names a URL would send it wherever he likes (RFC 6066 section 11.3): ours never
//! agrees, and the message is unknown to it.

use super::CERTIFICATES_MAX;
use crate::ConfigRefused;
use crate::hello::Sink;

/// Longest URL of a certificate.
pub const CERTIFICATE_URL_OCTETS_MAX: usize = 256;

/// SHA-1 of what is behind a URL. It names it; what it is worth, the chain's signatures say.
const HASH_OCTETS: usize = 20;
/// RFC 6066 section 5: a length, a padding that MUST be 1, a hash.
const ENTRY_OCTETS: usize = 2 + 1 + HASH_OCTETS;
const PADDING: u8 = 1;

const INDIVIDUAL_CERTS: u8 = 0;
const PKIPATH: u8 = 1;

const _: () = assert!(
    3 + CERTIFICATES_MAX * (ENTRY_OCTETS + CERTIFICATE_URL_OCTETS_MAX) <= super::CHAIN_OCTETS_MAX
);

/// Where something is that a server can fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateUrl {
    /// Absolute, of `http` or `https`, at most [`CERTIFICATE_URL_OCTETS_MAX`] octets. Servers follow no redirection.
    pub url: &'static str,
    /// SHA-1 of what is there.
    pub sha1: [u8; HASH_OCTETS],
}

/// Where a client's certificates are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUrls {
    /// Each by itself in DER, at most [`CERTIFICATES_MAX`]: that of our key first, each of the others certifies the one before it.
    Each(&'static [CertificateUrl]),
    /// All of them in one PkiPath (RFC 6066 section 10.1), where ours is the last.
    PkiPath(CertificateUrl),
}

impl CertificateUrls {
    pub(crate) fn check(&self) -> Result<(), ConfigRefused> {
        let entries = self.entries();
        let is_good = (1..=CERTIFICATES_MAX).contains(&entries.len())
            && entries.iter().all(|entry| is_url(entry.url));
        if is_good { Ok(()) } else { Err(ConfigRefused::BadCertificateUrl) }
    }

    /// The CertificateURL message of URLs that were checked.
    pub(crate) fn put(&self, out: &mut impl Sink) {
        let kind = match self {
            Self::Each(_) => INDIVIDUAL_CERTS,
            Self::PkiPath(_) => PKIPATH,
        };
        let len: usize = self.entries().iter().map(|entry| ENTRY_OCTETS + entry.url.len()).sum();
        out.put(&[kind]);
        out.put(&(len as u16).to_be_bytes());
        for CertificateUrl { url, sha1 } in self.entries() {
            out.put(&(url.len() as u16).to_be_bytes());
            out.put(url.as_bytes());
            out.put(&[PADDING]);
            out.put(sha1);
        }
    }

    const fn entries(&self) -> &[CertificateUrl] {
        match self {
            Self::Each(entries) => entries,
            Self::PkiPath(entry) => core::slice::from_ref(entry),
        }
    }
}

/// RFC 6066 section 5: other schemes may create unexpected problems.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    has_host
        && url.len() <= CERTIFICATE_URL_OCTETS_MAX
        && url.bytes().all(|octet| octet.is_ascii_graphic())
}
