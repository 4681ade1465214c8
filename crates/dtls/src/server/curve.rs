//! The server's handshakes on P-256: RFC 5489 section 2, RFC 8422 section 2.1, RFC 7250 section 4.
//!
//! **Invariants:** nothing is computed on the curve before a valid cookie came. A handshake agrees on a key
//! once, verifies no more than two chains, and answers no more than one other version of its hello. Whoever shows
//! a raw key that nobody knows, or signs with another than he shows, goes on with a secret that he cannot have, to
//! the same decrypt_error.

#[cfg(feature = "x509")]
use super::ServerCertificates;
use super::half_open::{Stage, Terms};
use super::key_exchange::{Proved, expect};
#[cfg(feature = "x509")]
use super::resumption::device_check;
use super::resumption::{KeyCheck, public_key_check};
use super::{PskDirectory, Server, Visit};
#[cfg(feature = "x509")]
use crate::curve::X509;
use crate::curve::{
    CERTIFICATE_REQUEST, RAW_PUBLIC_KEY, params, parse_client_share, parse_raw_certificate,
    parse_signed, put_raw_certificate, put_signed, signed_params,
};
use crate::handshake::{Fragment, MessageType, hash_message};
use crate::hello::{ClientOffer, Sink};
use crate::schedule::{Premaster, Randoms};
#[cfg(feature = "x509")]
use crate::x509::{Verified, put_fingerprint};
#[cfg(feature = "x509")]
use crate::{CHAIN_OCTETS_MAX, CertificateRefused, CloseReason};
use crate::{CipherSuite, Identity, RecordDrop};
use alloc::boxed::Box;
use lowgate_crypto::{Digest, EphemeralKey, PublicKey, Secret, Sha256, hmac_sha256};
use lowgate_units::Duration;

/// Key agreements of one handshake.
const AGREEMENTS_MAX: u8 = 1;
/// Other versions of its hello that are answered: the first may have been changed on its way.
const REOPENED_MAX: u8 = 1;

/// Chains of certificates that one handshake verifies: the first may be somebody else's.
#[cfg(feature = "x509")]
const CHAINS_MAX: u8 = 2;

/// What a handshake cost so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    agreements: u8,
    reopened: u8,
    #[cfg(feature = "x509")]
    chains: u8,
}

impl Spent {
    /// Whether another version of the hello may be answered.
    pub(super) fn may_reopen(self, suite: CipherSuite) -> bool {
        suite == CipherSuite::Psk || self.reopened < REOPENED_MAX
    }

    /// It was.
    pub(super) const fn reopened(self) -> Self {
        Self { reopened: self.reopened.saturating_add(1), ..self }
    }

    /// The secret that we have in common with who has the other half of `share`.
    pub(super) fn agree(
        &mut self,
        exchange: Option<&mut Exchange>,
        share: &PublicKey,
    ) -> Result<Secret<32>, RecordDrop> {
        let key = exchange.and_then(|exchange| exchange.key.take());
        let key = key.filter(|_| self.agreements < AGREEMENTS_MAX).ok_or(RecordDrop::Unexpected)?;
        self.agreements += 1;
        Ok(key.agree(share))
    }
}

/// What the ends know each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A pre-shared key.
    Psk,
    RawKey,
    #[cfg(feature = "x509")]
    Certificates {
        /// The client knows ours.
        cached: bool,
    },
}

impl Kind {
    /// RFC 7250 section 3.
    pub(super) const fn certificate_type(self) -> Option<u8> {
        match self {
            Self::Psk => None,
            Self::RawKey => Some(RAW_PUBLIC_KEY),
            #[cfg(feature = "x509")]
            Self::Certificates { .. } => Some(X509),
        }
    }

    #[cfg(feature = "x509")]
    pub(super) const fn is_cached(self) -> bool {
        matches!(self, Self::Certificates { cached: true })
    }

    #[cfg(feature = "x509")]
    const fn has_certificates(self) -> bool {
        matches!(self, Self::Certificates { .. })
    }
}

/// A key exchange under way.
pub(super) struct Exchange {
    kind: Kind,
    /// Until it is used.
    key: Option<EphemeralKey>,
    public: PublicKey,
    /// What the client showed of itself so far.
    shown: Shown,
}

/// The client's flight with a key to show, message by message.
struct Shown {
    certificate: Option<Bearer>,
    share: Option<(PublicKey, Digest)>,
    verified: bool,
    /// Through the last of them.
    transcript: Sha256,
}

/// Whose key a client shows.
#[derive(Clone, Copy)]
struct Bearer {
    key: PublicKey,
    /// What its certificates say.
    #[cfg(feature = "x509")]
    verified: Option<Verified>,
}

impl Exchange {
    pub(super) fn begin(visit: &mut Visit<'_>, kind: Kind) -> Self {
        let key = EphemeralKey::generate(|octets| visit.entropy.fill(octets));
        let shown =
            Shown { certificate: None, share: None, verified: false, transcript: Sha256::new() };
        Self { kind, public: key.public(), key: Some(key), shown }
    }
}

impl Server {
    /// What both ends can show: of that what the client likes best to see.
    pub(super) fn shows(&self, offer: &ClientOffer<'_>) -> Option<Kind> {
        if !offer.curve.has_our_curve() || !offer.curve.has_our_signature() {
            return None;
        }
        offer.curve.certificate_types().find_map(|kind| match kind {
            RAW_PUBLIC_KEY => self.config.raw_key.as_ref().map(|_| Kind::RawKey),
            #[cfg(feature = "x509")]
            X509 => self
                .config
                .certificates
                .as_ref()
                .map(|own| Kind::Certificates { cached: offer.knows(own.fingerprint()) }),
            _ => None,
        })
    }

    /// The key exchange of a full handshake, if its suite has one.
    pub(super) fn exchange_kind(
        &self,
        suite: CipherSuite,
        offer: &ClientOffer<'_>,
    ) -> Option<Kind> {
        match suite {
            CipherSuite::Psk => None,
            CipherSuite::EcdhePsk => Some(Kind::Psk),
            CipherSuite::EcdheEcdsa => self.shows(offer),
        }
    }

    /// Our part of the key exchange, between ServerHello and ServerHelloDone. Returns the next message_seq.
    pub(super) fn put_exchange(
        &self,
        terms: &mut Terms,
        client_random: &[u8; 32],
        mut seq: u16,
    ) -> u16 {
        let Terms { exchange: Some(exchange), flight, transcript, .. } = terms else { return seq };
        let params = params(&exchange.public);
        let key = match exchange.kind {
            Kind::Psk => None,
            Kind::RawKey => self.config.raw_key.as_ref(),
            #[cfg(feature = "x509")]
            Kind::Certificates { .. } => {
                self.config.certificates.as_ref().map(ServerCertificates::key)
            }
        };
        let Some(key) = key else {
            flight.message(MessageType::ServerKeyExchange, seq, transcript, |out| {
                // RFC 5489 section 2: sent even without a hint.
                out.put(&[0, 0]);
                out.put(&params);
            });
            return seq + 1;
        };
        flight.message(MessageType::Certificate, seq, transcript, |out| match exchange.kind {
            #[cfg(feature = "x509")]
            Kind::Certificates { cached } => {
                self.config.certificates.iter().for_each(|own| match cached {
                    true => put_fingerprint(own.fingerprint(), out),
                    false => own.put_chain(out),
                });
            }
            Kind::RawKey | Kind::Psk => put_raw_certificate(&key.public(), out),
        });
        seq += 1;
        let randoms = Randoms { client: client_random, server: &terms.server_random };
        flight.message(MessageType::ServerKeyExchange, seq, transcript, |out| {
            out.put(&params);
            put_signed(key, &signed_params(randoms, &params), out);
        });
        seq += 1;
        // RFC 7250 section 4.2: MUST follow from the client_certificate_type of our hello.
        flight.message(MessageType::CertificateRequest, seq, transcript, |out| {
            out.put(&CERTIFICATE_REQUEST);
        });
        seq + 1
    }

    /// A fragment of Certificate, ClientKeyExchange or CertificateVerify. They are taken in this order.
    pub(super) fn shown(
        &mut self,
        visit: &mut Visit<'_>,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let first = half.hello_seq + 1;
        let Stage::Answered { terms, .. } = &mut half.stage else {
            return Err(RecordDrop::Unexpected);
        };
        let exchange = terms.exchange.as_mut().ok_or(RecordDrop::Unexpected)?;
        let next = first + exchange.shown.count();
        if fragment.seq < next {
            return Err(RecordDrop::Repeated);
        }
        let place = fragment.seq - first;
        if FLIGHT.get(usize::from(place)) != Some(&fragment.kind) {
            return Err(RecordDrop::Unexpected);
        }
        #[cfg(feature = "x509")]
        if exchange.kind.has_certificates() && fragment.message_len > CHAIN_OCTETS_MAX {
            return Err(self.refuse(visit, CertificateRefused::TooLong));
        }
        if fragment.seq == next && fragment.is_whole() {
            self.show(visit, (fragment.kind, fragment.seq), fragment.octets)?;
        } else {
            terms.reassemble(next, 0, fragment)?;
        }
        // What came early, or in pieces.
        loop {
            let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
            let Stage::Answered { terms, .. } = &mut half.stage else { return Ok(()) };
            let Some(exchange) = &terms.exchange else { return Ok(()) };
            let next = first + exchange.shown.count();
            #[cfg(feature = "x509")]
            if let Some(chain) = terms.chain.as_mut().and_then(|chain| chain.take(next)) {
                self.show(visit, (chain.kind, next), chain.body())?;
                continue;
            }
            let Some(message) = terms.reassembled(next) else { return Ok(()) };
            self.show(visit, (message.kind, next), message.body())?;
        }
    }

    /// A whole message whose turn it is. An error leaves everything as it was.
    fn show(
        &mut self,
        visit: &mut Visit<'_>,
        (kind, seq): (MessageType, u16),
        body: &[u8],
    ) -> Result<(), RecordDrop> {
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let Stage::Answered { terms, expected } = &mut half.stage else {
            return Err(RecordDrop::Unexpected);
        };
        #[cfg(feature = "x509")]
        if kind == MessageType::Certificate
            && terms.exchange.as_ref().is_some_and(|exchange| exchange.kind.has_certificates())
        {
            return self.chain(visit, seq, body);
        }
        let mut exchange = terms.exchange.take();
        let shown = &mut exchange.as_mut().ok_or(RecordDrop::Unexpected)?.shown;
        let taken = match kind {
            MessageType::Certificate => shown.raw_key(&terms.transcript, seq, body),
            MessageType::ClientKeyExchange => shown.share(seq, body),
            MessageType::CertificateVerify => shown.signature(body),
            _ => Err(RecordDrop::Unexpected),
        };
        terms.exchange = exchange;
        let Some(proof) = taken? else { return Ok(()) };
        let Proof { bearer, share, session_hash, signed } = proof;
        let owner = match bearer.identity(visit.directory) {
            #[cfg(feature = "x509")]
            None if signed && bearer.verified.is_some() => {
                return Err(self.refuse(visit, CertificateRefused::NotAdmitted));
            }
            owner => owner.filter(|_| signed),
        };
        let shared = half.spent.agree(terms.exchange.as_mut(), &share)?;
        // Computed in any case, so that it takes the same time.
        let dummy = Secret::new(hmac_sha256(self.dummy_secret.expose(), &[&bearer.key.point()]));
        let (shared, identity) = match &owner {
            Some(identity) => (&shared, &identity[..]),
            None => (&dummy, &[][..]),
        };
        let randoms = Randoms { client: &half.client_random, server: &terms.server_random };
        let master = terms.master(&Premaster::Ecdhe(shared), randoms, &session_hash);
        let mut transcript = match &terms.exchange {
            Some(exchange) => exchange.shown.transcript.clone(),
            None => return Err(RecordDrop::Unexpected),
        };
        hash_message(&mut transcript, kind, seq, body);
        let proved = Proved {
            identity: Box::from(identity),
            share: Some(share),
            key_check: match terms.can_be_resumed() {
                true => {
                    bearer.key_check(identity, visit.directory, self.config.resumption_lifetime)
                }
                false => None,
            },
            unreadable: 0,
        };
        *expected = Some(expect(terms, randoms, (master, transcript), seq + 1, proved));
        Ok(())
    }
}

#[cfg(feature = "x509")]
impl Server {
    /// A client's certificates. What is not taken leaves everything as it was: the genuine ones may still come.
    fn chain(&mut self, visit: &Visit<'_>, seq: u16, body: &[u8]) -> Result<(), RecordDrop> {
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let Stage::Answered { terms, .. } = &mut half.stage else {
            return Err(RecordDrop::Unexpected);
        };
        let (Some(exchange), Some(own)) = (&mut terms.exchange, &self.config.certificates) else {
            return Err(RecordDrop::Unexpected);
        };
        if half.spent.chains == CHAINS_MAX {
            return Err(RecordDrop::Unexpected);
        }
        half.spent.chains += 1;
        match own.verify(body, visit.directory.unix_time()) {
            Ok(verified) => {
                let bearer = Bearer { key: verified.key, verified: Some(verified) };
                exchange.shown.bearer(bearer, &terms.transcript, seq, body);
                half.doom = None;
                Ok(())
            }
            Err(refused) => Err(self.refuse(visit, refused)),
        }
    }

    fn refuse(&mut self, visit: &Visit<'_>, refused: CertificateRefused) -> RecordDrop {
        self.doom(visit.now, visit.peer, CloseReason::Certificate(refused));
        RecordDrop::CertificateRefused(refused)
    }
}

impl Bearer {
    /// Who it is.
    fn identity(&self, directory: &dyn PskDirectory) -> Option<Identity> {
        #[cfg(feature = "x509")]
        if let Some(verified) = &self.verified {
            return directory.device(verified.eui64?);
        }
        directory.owner(&self.key)
    }

    /// What a later session is compared with. A session does not outlive a certificate: whose is over within the
    /// life of one has none.
    fn key_check(
        &self,
        identity: &[u8],
        directory: &dyn PskDirectory,
        lifetime: Duration,
    ) -> Option<KeyCheck> {
        #[cfg(feature = "x509")]
        if let Some(verified) = &self.verified {
            let last =
                directory.unix_time().map_or(0, |now| now.0.saturating_add(lifetime.as_secs()));
            return verified
                .eui64
                .filter(|_| last <= verified.until.0)
                .map(|eui64| device_check(eui64, identity));
        }
        #[cfg(not(feature = "x509"))]
        let _ = (directory, lifetime);
        Some(public_key_check(&self.key, identity))
    }
}

/// What the client sends before Finished.
const FLIGHT: [MessageType; 3] =
    [MessageType::Certificate, MessageType::ClientKeyExchange, MessageType::CertificateVerify];

/// All of it came.
struct Proof {
    bearer: Bearer,
    share: PublicKey,
    session_hash: Digest,
    /// Whether the signature is the key's.
    signed: bool,
}

impl Shown {
    /// How many messages were taken.
    fn count(&self) -> u16 {
        u16::from(self.certificate.is_some())
            + u16::from(self.share.is_some())
            + u16::from(self.verified)
    }

    fn raw_key(
        &mut self,
        transcript: &Sha256,
        seq: u16,
        body: &[u8],
    ) -> Result<Option<Proof>, RecordDrop> {
        let key = parse_raw_certificate(body).ok_or(RecordDrop::BadMessage)?;
        let bearer = Bearer {
            key,
            #[cfg(feature = "x509")]
            verified: None,
        };
        self.bearer(bearer, transcript, seq, body);
        Ok(None)
    }

    /// The Certificate is taken.
    fn bearer(&mut self, bearer: Bearer, transcript: &Sha256, seq: u16, body: &[u8]) {
        self.transcript = transcript.clone();
        hash_message(&mut self.transcript, MessageType::Certificate, seq, body);
        self.certificate = Some(bearer);
    }

    fn share(&mut self, seq: u16, body: &[u8]) -> Result<Option<Proof>, RecordDrop> {
        let share = parse_client_share(body)?;
        hash_message(&mut self.transcript, MessageType::ClientKeyExchange, seq, body);
        self.share = Some((share, self.transcript.digest()));
        Ok(None)
    }

    /// RFC 5246 section 7.4.8: over all messages up to here.
    fn signature(&mut self, body: &[u8]) -> Result<Option<Proof>, RecordDrop> {
        let (Some(bearer), Some((share, session_hash))) = (self.certificate, self.share) else {
            return Err(RecordDrop::Unexpected);
        };
        let signature = parse_signed(body).ok_or(RecordDrop::BadMessage)?;
        let signed = bearer.key.verifies(&session_hash, signature);
        self.verified = true;
        Ok(Some(Proof { bearer, share, session_hash, signed }))
    }
}
