//! The server's own certificates, and whose it trusts.

use crate::hello::Sink;
use crate::x509::{Expected, Purpose, Verified, check_own, fingerprint, put_chain, verify_chain};
use crate::{ANCHORS_MAX, CertificateRefused, ConfigRefused, TrustAnchor, UnixTime};
use alloc::boxed::Box;
use alloc::vec::Vec;
use lowgate_crypto::{Digest, PrivateKey};

/// What a server shows, and what it believes.
#[derive(Clone)]
pub struct ServerCertificates {
    key: PrivateKey,
    chain: Vec<Box<[u8]>>,
    message_len: usize,
    fingerprint: Digest,
    anchors: Vec<TrustAnchor>,
}

impl ServerCertificates {
    /// The certificate of `key` comes first in `chain`, each of the others certifies the one before it, and the
    /// anchor is left out. `anchors` are the clients'.
    ///
    /// # Errors
    /// When the chain is too long or not of `key`, or there are more than [`ANCHORS_MAX`] anchors.
    pub fn new(
        key: PrivateKey,
        chain: Vec<Box<[u8]>>,
        anchors: Vec<TrustAnchor>,
    ) -> Result<Self, ConfigRefused> {
        let message_len = check_own(&key.public(), chain.iter().map(|octets| &octets[..]))?;
        if anchors.len() > ANCHORS_MAX {
            return Err(ConfigRefused::TooManyAnchors);
        }
        let mut message = Vec::new();
        put_chain(chain.iter().map(|octets| &octets[..]), message_len, &mut message);
        let fingerprint = fingerprint(&message);
        Ok(Self { key, chain, message_len, fingerprint, anchors })
    }

    /// By what a client knows our chain again.
    pub(super) const fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    pub(super) const fn key(&self) -> &PrivateKey {
        &self.key
    }

    pub(super) fn put_chain(&self, out: &mut impl Sink) {
        put_chain(self.chain.iter().map(|octets| &octets[..]), self.message_len, out);
    }

    /// A client's: RFC 7925 section 4.4.2.
    pub(super) fn verify(
        &self,
        body: &[u8],
        now: Option<UnixTime>,
    ) -> Result<Verified, CertificateRefused> {
        verify_chain(body, &self.anchors, (Purpose::Client, Expected::AnyDevice), now)
    }
}
