//! The server's handshakes on P-256: RFC 5489 section 2, RFC 8422 section 2.1, RFC 7250 section 4.
//!
//! **Invariants:** nothing is computed on the curve before a valid cookie came. A handshake agrees on a key
//! once, and answers no more than one other version of its hello. Whoever shows a key that nobody knows, or
//! signs with another, goes on with a secret that he cannot have, to the same decrypt_error.

use super::half_open::{Stage, Terms};
use super::key_exchange::{Proved, expect};
use super::resumption::public_key_check;
use super::{Server, Visit};
use crate::curve::{
    CERTIFICATE_REQUEST, params, parse_client_share, parse_raw_certificate, parse_signed,
    put_raw_certificate, put_signed, signed_params,
};
use crate::handshake::{Fragment, MessageType, hash_message};
use crate::hello::{CurveOffer, Sink};
use crate::schedule::{Premaster, Randoms};
use crate::{CipherSuite, RecordDrop};
use alloc::boxed::Box;
use lowgate_crypto::{Digest, EphemeralKey, PublicKey, Secret, Sha256, hmac_sha256};

/// Key agreements of one handshake.
const AGREEMENTS_MAX: u8 = 1;
/// Other versions of its hello that are answered: the first may have been changed on its way.
const REOPENED_MAX: u8 = 1;

/// What a handshake cost so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    agreements: u8,
    reopened: u8,
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

/// A key exchange under way.
pub(super) struct Exchange {
    /// Until it is used.
    key: Option<EphemeralKey>,
    public: PublicKey,
    /// What the client showed of itself so far.
    shown: Shown,
}

/// The client's flight with a raw public key, message by message.
struct Shown {
    certificate: Option<PublicKey>,
    share: Option<(PublicKey, Digest)>,
    verified: bool,
    /// Through the last of them.
    transcript: Sha256,
}

impl Server {
    /// Whether both ends can show their keys.
    pub(super) fn can_show_keys(&self, offer: &CurveOffer<'_>) -> bool {
        self.config.raw_key.is_some()
            && offer.has_our_curve()
            && offer.has_our_signature()
            && offer.has_raw_keys()
    }

    /// The key exchange of a full handshake, if its suite has one.
    pub(super) fn begin_exchange(
        &self,
        visit: &mut Visit<'_>,
        suite: CipherSuite,
    ) -> Option<Exchange> {
        if suite == CipherSuite::Psk {
            return None;
        }
        let key = EphemeralKey::generate(|octets| visit.entropy.fill(octets));
        let shown =
            Shown { certificate: None, share: None, verified: false, transcript: Sha256::new() };
        Some(Exchange { public: key.public(), key: Some(key), shown })
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
        let key = self.config.raw_key.as_ref().filter(|_| terms.suite == CipherSuite::EcdheEcdsa);
        let Some(key) = key else {
            flight.message(MessageType::ServerKeyExchange, seq, transcript, |out| {
                // RFC 5489 section 2: sent even without a hint.
                out.put(&[0, 0]);
                out.put(&params);
            });
            return seq + 1;
        };
        flight.message(MessageType::Certificate, seq, transcript, |out| {
            put_raw_certificate(&key.public(), out);
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
        let mut exchange = terms.exchange.take();
        let shown = &mut exchange.as_mut().ok_or(RecordDrop::Unexpected)?.shown;
        let taken = match kind {
            MessageType::Certificate => shown.certificate(&terms.transcript, seq, body),
            MessageType::ClientKeyExchange => shown.share(seq, body),
            MessageType::CertificateVerify => shown.signature(body),
            _ => Err(RecordDrop::Unexpected),
        };
        terms.exchange = exchange;
        let Some(proof) = taken? else { return Ok(()) };
        let Proof { key, share, session_hash, signed } = proof;
        let shared = half.spent.agree(terms.exchange.as_mut(), &share)?;
        // Computed in any case, so that it takes the same time.
        let dummy = Secret::new(hmac_sha256(self.dummy_secret.expose(), &[&key.point()]));
        let owner = visit.directory.owner(&key).filter(|_| signed);
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
            key_check: terms.can_be_resumed().then(|| public_key_check(&key, identity)),
            unreadable: 0,
        };
        *expected = Some(expect(terms, randoms, (master, transcript), seq + 1, proved));
        Ok(())
    }
}

/// What the client sends before Finished.
const FLIGHT: [MessageType; 3] =
    [MessageType::Certificate, MessageType::ClientKeyExchange, MessageType::CertificateVerify];

/// All of it came.
struct Proof {
    key: PublicKey,
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

    fn certificate(
        &mut self,
        transcript: &Sha256,
        seq: u16,
        body: &[u8],
    ) -> Result<Option<Proof>, RecordDrop> {
        let key = parse_raw_certificate(body).ok_or(RecordDrop::BadMessage)?;
        self.transcript = transcript.clone();
        hash_message(&mut self.transcript, MessageType::Certificate, seq, body);
        self.certificate = Some(key);
        Ok(None)
    }

    fn share(&mut self, seq: u16, body: &[u8]) -> Result<Option<Proof>, RecordDrop> {
        let share = parse_client_share(body)?;
        hash_message(&mut self.transcript, MessageType::ClientKeyExchange, seq, body);
        self.share = Some((share, self.transcript.digest()));
        Ok(None)
    }

    /// RFC 5246 section 7.4.8: over all messages up to here.
    fn signature(&mut self, body: &[u8]) -> Result<Option<Proof>, RecordDrop> {
        let (Some(key), Some((share, session_hash))) = (self.certificate, self.share) else {
            return Err(RecordDrop::Unexpected);
        };
        let signature = parse_signed(body).ok_or(RecordDrop::BadMessage)?;
        let signed = key.verifies(&session_hash, signature);
        self.verified = true;
        Ok(Some(Proof { key, share, session_hash, signed }))
    }
}
