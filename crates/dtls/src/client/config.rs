//! What a client wants, checked once.

use super::resume::SavedSession;
use crate::fragment_len::FragmentLen;
use crate::hello::Offered;
#[cfg(feature = "x509")]
use crate::hello::Sink;
use crate::psk::Identity;
#[cfg(feature = "ecc")]
use crate::suite::CipherSuite;
use crate::suite::Suites;
#[cfg(feature = "x509")]
use crate::x509::{
    CertificateUrls, Expected, Purpose, check_own, fingerprint, put_chain, verify_chain,
};
#[cfg(feature = "x509")]
use crate::{ANCHORS_MAX, CertificateRefused, TrustAnchor, UnixTime};
use crate::{
    DATAGRAM_LEN_MIN, GROUP_REQUEST_OCTETS_MAX, PairwiseId, Psk, Retransmission,
    SERVER_NAME_OCTETS_MAX,
};
#[cfg(feature = "x509")]
use lowgate_crypto::{Digest, Sha256};
#[cfg(feature = "ecc")]
use lowgate_crypto::{PrivateKey, PublicKey, Secret, hmac_sha256};
#[cfg(feature = "x509")]
use lowgate_units::Eui64;

/// Who a client is, and how it knows its server.
#[derive(Clone, Debug)]
pub enum Credential<'a> {
    /// A pre-shared key: `TLS_PSK_WITH_AES_128_CCM_8`.
    Psk {
        /// PSK identity, 0 to 128 octets.
        identity: &'a [u8],
        /// The key that belongs to it.
        psk: Psk,
    },
    /// The same with a key exchange: `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256`.
    #[cfg(feature = "ecc")]
    EcdhePsk {
        /// PSK identity, 0 to 128 octets.
        identity: &'a [u8],
        /// The key that belongs to it.
        psk: Psk,
        /// Fresh from a generator fit for secrets, and used for nothing else.
        seed: Secret<32>,
        /// What becomes of it with a server that exchanges no keys.
        without: WithoutExchange,
    },
    /// Both ends know each other's public key: `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` with RFC 7250.
    #[cfg(feature = "ecc")]
    RawKey {
        /// Ours.
        own: PrivateKey,
        /// The server's.
        server: PublicKey,
        /// Fresh from a generator fit for secrets, and used for nothing else.
        seed: Secret<32>,
    },
    /// Certificates on both ends: `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` with RFC 7925 section 4.4.
    #[cfg(feature = "x509")]
    Certificate {
        /// Our key.
        own: PrivateKey,
        /// Our certificates in DER: that of our key first, each of the others certifies the one before it, and
        /// the anchor is left out. A device has them in its flash; none with `urls` and a server that fetches them.
        chain: &'static [&'static [u8]],
        /// Where they are (RFC 6066 section 5): offered to the server in place of showing them.
        urls: Option<CertificateUrls>,
        /// Whom we trust to certify the server, at most [`crate::ANCHORS_MAX`].
        anchors: &'a [TrustAnchor],
        /// Who the server must be.
        server: ServerIdentity,
        /// What [`crate::Client::known_chain`] said of an earlier session: the server need not show it again (RFC 7924).
        known: Option<KnownChain>,
        /// What time it is. `None`, of a device without a clock: no certificate is refused for its time.
        now: Option<UnixTime>,
        /// Fresh from a generator fit for secrets, and used for nothing else.
        seed: Secret<32>,
    },
}

/// A server's certificates that were verified: no secret. It belongs to the anchors and the server that it was verified
/// for; for others it is of no use.
#[cfg(feature = "x509")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownChain {
    fingerprint: Digest,
    key: PublicKey,
    until: UnixTime,
    mark: Digest,
}

/// What a server's certificate must say (RFC 7925 section 4.4.1).
#[cfg(feature = "x509")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerIdentity {
    /// [`ClientConfig::server_name`], as its one dNSName.
    Host,
    /// A device's EUI-64: a server that has no DNS name.
    Device(Eui64),
}

/// What a client does with a server that has its key and exchanges none.
#[cfg(feature = "ecc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutExchange {
    /// No session.
    Refuse,
    /// A session under the key alone. Nobody but the server can bring this about.
    Accept,
}

/// What a client wants.
#[derive(Clone, Debug)]
pub struct ClientConfig<'a> {
    /// Who the client is, and how it knows the server.
    pub credential: Credential<'a>,
    /// Payload of the 0xFF40 extension, at most 192 octets; `None` leaves it out.
    pub group_request: Option<&'a [u8]>,
    /// The key belongs to two devices: who they are (0xFF41).
    pub pair: Option<Pair>,
    /// Offer RFC 9146, with an empty connection ID towards us.
    pub connection_id: bool,
    /// Offer and demand RFC 7627. Off only to talk to peers that do not have it.
    pub extended_master_secret: bool,
    /// The longest datagram we send, at least [`crate::DATAGRAM_LEN_MIN`].
    pub datagram_len_max: usize,
    /// Ask for records of at most this length (RFC 6066 section 4).
    pub fragment_len: Option<FragmentLen>,
    /// The server's DNS name (RFC 6066 section 3), at most [`crate::SERVER_NAME_OCTETS_MAX`] octets.
    pub server_name: Option<&'a str>,
    /// Offer RFC 6520: either end may ask whether the other is there.
    pub heartbeat: bool,
    /// Offer RFC 9853, beside a connection ID: the server may ask whether the client is where its records come from.
    pub return_routability: bool,
    /// When to repeat a flight.
    pub retransmission: Retransmission,
    /// Go on from this session if the server still knows it.
    pub resume: Option<SavedSession>,
    /// Ask for a ticket (RFC 5077), by which a server resumes that keeps nothing.
    pub session_ticket: bool,
    /// Report [`crate::ClientOutput::KeyLog`].
    pub key_log: bool,
}

impl<'a> ClientConfig<'a> {
    /// The defaults: extended master secret and connection ID offered, datagrams of 1024 octets, adaptive
    /// retransmission to a neighbour; nothing else offered, nothing to resume, no key log.
    pub const fn new(identity: &'a [u8], psk: Psk) -> Self {
        Self {
            credential: Credential::Psk { identity, psk },
            group_request: None,
            pair: None,
            connection_id: true,
            extended_master_secret: true,
            datagram_len_max: 1024,
            fragment_len: None,
            server_name: None,
            heartbeat: false,
            return_routability: false,
            retransmission: Retransmission::Adaptive { hops: 1 },
            resume: None,
            session_ticket: false,
            key_log: false,
        }
    }
}

/// The two ends of a key that no third has; each a payload of extension 0xFF41. A server that does not answer the
/// extension is taken all the same, for it has the key; one that says it is somebody else is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What we say of ourselves.
    pub own: PairwiseId,
    /// What the server must say of itself.
    pub peer: PairwiseId,
}

/// Why a configuration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigRefused {
    /// More than 128 octets of identity.
    IdentityTooLong,
    /// More than 192 octets of group request.
    GroupRequestTooLong,
    /// A group request is bound to the keys by the extended master secret alone.
    GroupRequestNeedsExtendedMasterSecret,
    /// RFC 7627 section 5.3: a session is resumed with the extended master secret alone.
    ResumptionNeedsExtendedMasterSecret,
    /// `datagram_len_max` is below [`crate::DATAGRAM_LEN_MIN`].
    DatagramTooShort,
    /// RFC 6066 section 3: a name is ASCII, neither empty nor an address, without a dot at its end.
    BadServerName,
    /// A server that is known by its name has none.
    #[cfg(feature = "x509")]
    ServerNameMissing,
    /// More than [`crate::ANCHORS_MAX`] anchors.
    #[cfg(feature = "x509")]
    TooManyAnchors,
    /// No certificate, more than [`crate::CERTIFICATES_MAX`], or more than [`crate::CHAIN_OCTETS_MAX`] octets of them.
    #[cfg(feature = "x509")]
    ChainTooLong,
    /// The first certificate is of another key.
    #[cfg(feature = "x509")]
    KeyOfAnother,
    /// No URL of certificates, more than [`crate::CERTIFICATES_MAX`], or one that is not an absolute URL of `http` or `https` of
    /// at most [`crate::CERTIFICATE_URL_OCTETS_MAX`] octets.
    #[cfg(feature = "x509")]
    BadCertificateUrl,
    /// A certificate of our own is not of the profile.
    #[cfg(feature = "x509")]
    BadCertificate(CertificateRefused),
}

/// What a client proves itself with.
#[cfg_attr(
    feature = "x509",
    expect(
        clippy::large_enum_variant,
        reason = "there is one, without an allocator to put its larger variant elsewhere"
    )
)]
pub(super) enum Own {
    Psk {
        identity: Identity,
        psk: Psk,
    },
    #[cfg(feature = "ecc")]
    RawKey {
        own: PrivateKey,
        server: PublicKey,
    },
    #[cfg(feature = "x509")]
    Certificate(Certified),
}

/// What a client with certificates shows, and what it believes.
#[cfg(feature = "x509")]
pub(super) struct Certified {
    own: PrivateKey,
    chain: &'static [&'static [u8]],
    message_len: usize,
    urls: Option<CertificateUrls>,
    anchors: heapless::Vec<TrustAnchor, ANCHORS_MAX>,
    server: ServerIdentity,
    now: Option<UnixTime>,
    known: Option<KnownChain>,
}

#[cfg(feature = "x509")]
impl Certified {
    /// Our Certificate message.
    pub(super) fn put_chain(&self, out: &mut impl Sink) {
        put_chain(self.chain.iter().copied(), self.message_len, out);
    }

    /// Our CertificateURL message, for a server that agreed to it.
    pub(super) fn put_urls(&self, out: &mut impl Sink) {
        if let Some(urls) = &self.urls {
            urls.put(out);
        }
    }

    /// The server's, which is looked for as `host` if it has a name.
    pub(super) fn verify(
        &mut self,
        host: &[u8],
        body: &[u8],
    ) -> Result<PublicKey, CertificateRefused> {
        let expected = match self.server {
            ServerIdentity::Host => Expected::Host(host),
            ServerIdentity::Device(eui64) => Expected::Device(eui64),
        };
        let chain = verify_chain(body, &self.anchors, (Purpose::Server, expected), self.now)?;
        let (fingerprint, mark) = (fingerprint(body), self.mark(host));
        self.known = Some(KnownChain { fingerprint, key: chain.key, until: chain.until, mark });
        Ok(chain.key)
    }

    /// The server says that it is the one that we know.
    pub(super) fn recognize(&self, body: &[u8]) -> Result<PublicKey, CertificateRefused> {
        match (&self.known, body.split_first()) {
            (Some(known), Some((len, hash)))
                if usize::from(*len) == hash.len() && *hash == known.fingerprint =>
            {
                Ok(known.key)
            }
            _ => Err(CertificateRefused::Malformed),
        }
    }

    /// What is known is so of others, or is over.
    fn forget_others(&mut self, host: &[u8]) {
        let (mark, now) = (self.mark(host), self.now);
        let is_good =
            |known: &KnownChain| known.mark == mark && now.is_none_or(|now| now <= known.until);
        self.known = self.known.take().filter(is_good);
    }

    fn mark(&self, host: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.own.public().point());
        for anchor in &self.anchors {
            anchor.hash_into(&mut hash);
        }
        match self.server {
            ServerIdentity::Host => hash.update(host),
            ServerIdentity::Device(eui64) => hash.update(&eui64.0),
        }
        hmac_sha256(b"certificate", &[&hash.digest()])
    }
}

#[cfg(feature = "x509")]
impl Own {
    pub(super) const fn has_urls(&self) -> bool {
        matches!(self, Self::Certificate(Certified { urls: Some(_), .. }))
    }

    /// Whether a server that does not fetch is shown anything.
    pub(super) const fn is_shown(&self) -> bool {
        !matches!(self, Self::Certificate(Certified { chain: [], .. }))
    }

    pub(super) const fn known_chain(&self) -> Option<&KnownChain> {
        match self {
            Self::Certificate(certified) => certified.known.as_ref(),
            Self::Psk { .. } | Self::RawKey { .. } => None,
        }
    }

    /// Of that, or of nothing.
    pub(super) fn fingerprint(&self) -> &Digest {
        self.known_chain().map_or(&[0; 32], |known| &known.fingerprint)
    }
}

#[cfg(feature = "ecc")]
impl Own {
    pub(super) const fn is_raw_key(&self) -> bool {
        matches!(self, Self::RawKey { .. })
    }

    /// Ours that is shown.
    pub(super) fn key(&self) -> &PrivateKey {
        match self {
            Self::RawKey { own, .. } => own,
            #[cfg(feature = "x509")]
            Self::Certificate(certified) => &certified.own,
            Self::Psk { .. } => unreachable!("no key is shown with a pre-shared key"),
        }
    }
}

/// The configuration, owned.
pub(super) struct Settings {
    pub(super) own: Own,
    /// Of the keys that are exchanged; `None`: none are.
    #[cfg(feature = "ecc")]
    pub(super) seed: Option<Secret<32>>,
    pub(super) group_request: heapless::Vec<u8, GROUP_REQUEST_OCTETS_MAX>,
    pub(super) pair: Option<Pair>,
    pub(super) server_name: heapless::Vec<u8, SERVER_NAME_OCTETS_MAX>,
    pub(super) offered: Offered,
    pub(super) datagram_len_max: usize,
    pub(super) retransmission: Retransmission,
    pub(super) key_log: bool,
}

/// Whose a session is that is gone on from.
/// Pre-shared keys alone have none: the owner keeps sessions and keys together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(#[cfg(feature = "ecc")] [u8; 8]);

impl Own {
    #[cfg(not(feature = "ecc"))]
    pub(super) const fn mark(&self, _host: &[u8]) -> Mark {
        Mark()
    }

    /// Changes with everything that the session's ends know each other by.
    #[cfg(feature = "ecc")]
    pub(super) fn mark(&self, host: &[u8]) -> Mark {
        #[cfg(not(feature = "x509"))]
        let _ = host;
        let mac = match self {
            Self::Psk { identity, psk } => hmac_sha256(psk.expose(), &[b"psk", identity]),
            Self::RawKey { own, server } => {
                hmac_sha256(b"raw key", &[&own.public().point(), &server.point()])
            }
            #[cfg(feature = "x509")]
            Self::Certificate(certified) => certified.mark(host),
        };
        Mark(*mac.first_chunk().expect("8 of 32 octets"))
    }
}

impl Settings {
    /// A secret that nobody else has, but the server at most.
    pub(super) fn secret(&self) -> &[u8] {
        #[cfg(feature = "ecc")]
        if let Some(seed) = &self.seed {
            return seed.expose();
        }
        match &self.own {
            Own::Psk { psk, .. } => psk.expose(),
            #[cfg(feature = "ecc")]
            Own::RawKey { .. } => unreachable!("a raw key comes with a seed"),
            #[cfg(feature = "x509")]
            Own::Certificate(_) => unreachable!("a certificate comes with a seed"),
        }
    }

    /// The settings, and the session to offer.
    pub(super) fn new(
        config: ClientConfig<'_>,
    ) -> Result<(Self, Option<SavedSession>), ConfigRefused> {
        let group_request = heapless::Vec::from_slice(config.group_request.unwrap_or_default())
            .map_err(|_| ConfigRefused::GroupRequestTooLong)?;
        let name = config.server_name.map_or(Ok(&[][..]), server_name)?;
        let server_name =
            heapless::Vec::from_slice(name).map_err(|_| ConfigRefused::BadServerName)?;
        if config.group_request.is_some() && !config.extended_master_secret {
            return Err(ConfigRefused::GroupRequestNeedsExtendedMasterSecret);
        }
        if config.resume.is_some() && !config.extended_master_secret {
            return Err(ConfigRefused::ResumptionNeedsExtendedMasterSecret);
        }
        if config.datagram_len_max < DATAGRAM_LEN_MIN {
            return Err(ConfigRefused::DatagramTooShort);
        }
        let held = Held::new(config.credential)?;
        #[cfg(feature = "x509")]
        let held = held.for_server(&server_name);
        #[cfg(feature = "x509")]
        if let Own::Certificate(Certified { server: ServerIdentity::Host, .. }) = held.own
            && server_name.is_empty()
        {
            return Err(ConfigRefused::ServerNameMissing);
        }
        // RFC 6066 section 4: a session keeps its length. Who wants another one makes another session.
        let saved = config.resume.filter(|saved| {
            saved.fits(config.fragment_len)
                && held.suites.0.contains(&saved.suite())
                && saved.is_of(&held.own.mark(&server_name))
        });
        let offered = Offered {
            suites: held.suites,
            #[cfg(feature = "ecc")]
            raw_keys: matches!(held.own, Own::RawKey { .. }),
            #[cfg(feature = "x509")]
            cached: held.own.known_chain().is_some(),
            #[cfg(feature = "x509")]
            certificate_url: held.own.has_urls(),
            extended_master_secret: config.extended_master_secret,
            connection_id: config.connection_id,
            group_request: config.group_request.is_some(),
            pairwise: config.pair.is_some(),
            fragment_len: config.fragment_len,
            server_name: config.server_name.is_some(),
            heartbeat: config.heartbeat,
            // RFC 9853 section 3: MUST NOT be offered without.
            return_routability: config.return_routability && config.connection_id,
            session_ticket: config.session_ticket
                || saved.as_ref().is_some_and(|saved| !saved.ticket().is_empty()),
        };
        let settings = Self {
            own: held.own,
            #[cfg(feature = "ecc")]
            seed: held.seed,
            group_request,
            pair: config.pair,
            server_name,
            offered,
            datagram_len_max: config.datagram_len_max,
            retransmission: config.retransmission,
            key_log: config.key_log,
        };
        Ok((settings, saved))
    }
}

/// A credential, owned.
struct Held {
    own: Own,
    suites: Suites,
    #[cfg(feature = "ecc")]
    seed: Option<Secret<32>>,
}

impl Held {
    #[inline(never)]
    fn new(credential: Credential<'_>) -> Result<Self, ConfigRefused> {
        let owned = |identity: &[u8]| {
            Identity::from_slice(identity).map_err(|_| ConfigRefused::IdentityTooLong)
        };
        Ok(match credential {
            Credential::Psk { identity, psk } => Self {
                own: Own::Psk { identity: owned(identity)?, psk },
                suites: Suites::default(),
                #[cfg(feature = "ecc")]
                seed: None,
            },
            #[cfg(feature = "ecc")]
            Credential::EcdhePsk { identity, psk, seed, without } => Self {
                own: Own::Psk { identity: owned(identity)?, psk },
                suites: Suites(match without {
                    WithoutExchange::Refuse => &[CipherSuite::EcdhePsk],
                    WithoutExchange::Accept => &[CipherSuite::EcdhePsk, CipherSuite::Psk],
                }),
                seed: Some(seed),
            },
            #[cfg(feature = "ecc")]
            Credential::RawKey { own, server, seed } => Self {
                own: Own::RawKey { own, server },
                suites: Suites(&[CipherSuite::EcdheEcdsa]),
                seed: Some(seed),
            },
            #[cfg(feature = "x509")]
            Credential::Certificate { own, chain, urls, anchors, server, known, now, seed } => {
                urls.as_ref().map_or(Ok(()), CertificateUrls::check)?;
                let message_len = match (chain, &urls) {
                    ([], Some(_)) => 0,
                    _ => check_own(&own.public(), chain.iter().copied())?,
                };
                let anchors = heapless::Vec::from_slice(anchors)
                    .map_err(|_| ConfigRefused::TooManyAnchors)?;
                let certified =
                    Certified { own, chain, message_len, urls, anchors, server, now, known };
                Self {
                    own: Own::Certificate(certified),
                    suites: Suites(&[CipherSuite::EcdheEcdsa]),
                    seed: Some(seed),
                }
            }
        })
    }
}

#[cfg(feature = "x509")]
impl Held {
    /// Without what is known of other servers.
    fn for_server(mut self, host: &[u8]) -> Self {
        if let Own::Certificate(certified) = &mut self.own {
            certified.forget_others(host);
        }
        self
    }
}

fn server_name(name: &str) -> Result<&[u8], ConfigRefused> {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    // The last label of an IPv4 address is a number, and colons are not a host's.
    let is_address = last.bytes().all(|octet| octet.is_ascii_digit());
    if is_address || !name.bytes().all(is_host) {
        return Err(ConfigRefused::BadServerName);
    }
    Ok(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names() {
        for good in ["a", "manager.example", "xn--mnchen-3ya.example", "10.example", "_coap.e"] {
            assert_eq!(server_name(good), Ok(good.as_bytes()));
        }
        for bad in ["", "a.", "192.0.2.1", "2001:db8::1", "m\u{fc}nchen.example", "a b", "."] {
            assert_eq!(server_name(bad), Err(ConfigRefused::BadServerName), "{bad}");
        }
    }
}
