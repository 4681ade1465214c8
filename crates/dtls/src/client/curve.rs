//! The client's handshakes on P-256: RFC 5489 section 2, RFC 8422 section 2.1, RFC 7250 section 4.
//!
//! **Invariants:** a share of the server's is a point of the curve. With a key to know the server by, its
//! signature over both randoms and the share verified before anything is computed from that. One signature
//! is verified for each transmission of ours, so that a forger cannot make us work as fast as he talks.

#[cfg(feature = "x509")]
use super::config::Certified;
use super::config::Own;
use super::machine::put_identity;
use super::{Client, Heard, Negotiated, State};
#[cfg(not(feature = "x509"))]
use crate::curve::RAW_CERTIFICATE_OCTETS;
use crate::curve::{
    PARAMS_OCTETS, SIGNED_OCTETS_MAX, is_request_for_us, parse_psk_params, parse_raw_certificate,
    parse_signed, put_client_share, put_raw_certificate, put_signed, signed_params, split_params,
};
use crate::flight::FINISHED_OCTETS;
use crate::handshake::{HEADER_OCTETS, MessageType};
use crate::schedule::{Master, Premaster, Randoms};
use crate::{CloseReason, IDENTITY_OCTETS_MAX, RecordDrop};
use lowgate_crypto::{EphemeralKey, POINT_OCTETS, PublicKey};

/// What came of a server that shows its key.
pub(super) struct Proof {
    /// The key that it showed, and that is the one we look for.
    shown: Option<PublicKey>,
    /// The share that it signed.
    share: Option<PublicKey>,
    /// Something came that nobody signed, after so many transmissions of ours.
    refused_after: Option<u16>,
    /// It wants to see ours.
    pub(super) requested: bool,
}

impl Proof {
    pub(super) const fn nothing() -> Self {
        Self { shown: None, share: None, refused_after: None, requested: false }
    }

    pub(super) const fn is_enough(&self) -> bool {
        self.share.is_some()
    }
}

impl Client {
    /// A message between ServerHello and ServerHelloDone. An error leaves everything as it was.
    pub(super) fn hear(&mut self, kind: MessageType, body: &[u8]) -> Result<(), RecordDrop> {
        let transmissions = self.timer.transmissions();
        let State::AwaitDone { hello, heard } = &mut self.state else {
            return Err(RecordDrop::Unexpected);
        };
        let randoms = Randoms { client: &self.random, server: &hello.server_random };
        let heard = match (kind, heard, &mut self.settings.own) {
            // RFC 5489 section 2: always sent.
            (
                MessageType::ServerKeyExchange,
                Heard::EcdhePsk { share: share @ None },
                Own::Psk { .. },
            ) => parse_psk_params(body).map(|point| *share = Some(point)),
            (
                MessageType::Certificate,
                Heard::EcdheEcdsa(proof @ Proof { shown: None, .. }),
                Own::RawKey { server, .. },
            ) => match parse_raw_certificate(body) {
                Some(key) if key == *server => {
                    proof.shown = Some(key);
                    Ok(())
                }
                // RFC 7925 section 6: the alerts of certificates MUST NOT be used.
                Some(_) | None => Err(CloseReason::KeyMismatch),
            },
            #[cfg(feature = "x509")]
            (
                MessageType::Certificate,
                Heard::EcdheEcdsa(proof @ Proof { shown: None, .. }),
                Own::Certificate(certified),
            ) if proof.may_verify(transmissions) => {
                let host = &self.settings.server_name;
                proof.server_chain((certified, hello.cached), host, body, transmissions)
            }
            (
                MessageType::ServerKeyExchange,
                Heard::EcdheEcdsa(proof @ Proof { shown: Some(_), .. }),
                _,
            ) if proof.may_verify(transmissions) => {
                proof.server_share(randoms, body, transmissions)
            }
            (
                MessageType::CertificateRequest,
                Heard::EcdheEcdsa(proof @ Proof { requested: false, .. }),
                own,
            ) if proof.is_enough() => match is_request_for_us(body) {
                Ok(true) if hello.is_shown(own) => {
                    proof.requested = true;
                    Ok(())
                }
                Ok(_) => Err(CloseReason::NoCommonSuite),
                Err(reason) => Err(reason),
            },
            _ => return Err(RecordDrop::Unexpected),
        };
        heard.map_err(|reason| {
            self.suspect(reason);
            RecordDrop::BadMessage
        })
    }

    /// The flight up to Finished: the master secret, and Finished's message_seq.
    pub(super) fn exchange_keys(&mut self, hello: &Negotiated, heard: &Heard) -> (Master, u16) {
        let randoms = Randoms { client: &self.random, server: &hello.server_random };
        let Some(seed) = &self.settings.seed else {
            unreachable!("a suite with a key exchange was offered");
        };
        // RFC 7925 section 9: for this exchange and no other.
        let ephemeral = EphemeralKey::derive(seed, [randoms.client, randoms.server]);
        let public = ephemeral.public();
        let (flight, transcript) = (&mut self.flight, &mut self.transcript);
        let mut seq = self.hello_seq + 1;
        match (heard, &self.settings.own) {
            (Heard::EcdhePsk { share: Some(share) }, Own::Psk { identity, psk }) => {
                flight.message(MessageType::ClientKeyExchange, seq, transcript, |out| {
                    put_identity(identity, out);
                    put_client_share(&public, out);
                });
                let hash = transcript.digest();
                let session_hash = hello.extended_master_secret.then_some(&hash);
                let shared = ephemeral.agree(share);
                let premaster = Premaster::EcdhePsk(&shared, psk);
                (Master::derive(&premaster, randoms, session_hash), seq + 1)
            }
            (Heard::EcdheEcdsa(Proof { share: Some(share), requested, .. }), credential) => {
                let own = credential.key();
                if *requested {
                    let kind = hello.shown_by();
                    flight.message(kind, seq, transcript, |out| match credential {
                        #[cfg(feature = "x509")]
                        Own::Certificate(certified) if hello.certificate_url => {
                            certified.put_urls(out);
                        }
                        #[cfg(feature = "x509")]
                        Own::Certificate(certified) => certified.put_chain(out),
                        Own::RawKey { .. } | Own::Psk { .. } => {
                            put_raw_certificate(&own.public(), out);
                        }
                    });
                    seq += 1;
                }
                flight.message(MessageType::ClientKeyExchange, seq, transcript, |out| {
                    put_client_share(&public, out);
                });
                // RFC 7627 section 3: up to and including the ClientKeyExchange.
                let hash = transcript.digest();
                seq += 1;
                if *requested {
                    // RFC 5246 section 7.4.8: over all messages so far.
                    flight.message(MessageType::CertificateVerify, seq, transcript, |out| {
                        put_signed(own, &hash, out);
                    });
                    seq += 1;
                }
                let session_hash = hello.extended_master_secret.then_some(&hash);
                let shared = ephemeral.agree(share);
                (Master::derive(&Premaster::Ecdhe(&shared), randoms, session_hash), seq)
            }
            _ => unreachable!("ServerHelloDone is taken when enough was heard for the credential"),
        }
    }
}

impl Negotiated {
    /// Whether the server takes what we have to show.
    fn is_shown(&self, own: &Own) -> bool {
        // RFC 7250 section 4.2: a raw key is shown to who said that it wants one.
        if own.is_raw_key() {
            return self.client_raw_key;
        }
        #[cfg(feature = "x509")]
        let has_some = self.certificate_url || own.is_shown();
        #[cfg(not(feature = "x509"))]
        let has_some = true;
        has_some
    }

    /// The message that shows it.
    const fn shown_by(&self) -> MessageType {
        #[cfg(feature = "x509")]
        if self.certificate_url {
            return MessageType::CertificateUrl;
        }
        MessageType::Certificate
    }
}

impl Proof {
    fn may_verify(&self, now: u16) -> bool {
        self.share.is_none() && self.refused_after.is_none_or(|transmissions| now > transmissions)
    }

    /// A Certificate that is no raw key (RFC 5246 section 7.4.2).
    #[cfg(feature = "x509")]
    fn server_chain(
        &mut self,
        (certified, cached): (&mut Certified, bool),
        host: &[u8],
        body: &[u8],
        transmissions: u16,
    ) -> Result<(), CloseReason> {
        let key = match cached {
            true => certified.recognize(body),
            false => certified.verify(host, body),
        };
        self.shown = Some(key.map_err(|refused| {
            self.refused_after = Some(transmissions);
            CloseReason::Certificate(refused)
        })?);
        Ok(())
    }

    /// A ServerKeyExchange (RFC 8422 section 5.4).
    fn server_share(
        &mut self,
        randoms: Randoms<'_>,
        body: &[u8],
        transmissions: u16,
    ) -> Result<(), CloseReason> {
        let (share, rest) = split_params(body)?;
        let signature = parse_signed(rest).ok_or(CloseReason::IllegalHello)?;
        let digest = signed_params(randoms, &body[..PARAMS_OCTETS]);
        if !self.shown.is_some_and(|server| server.verifies(&digest, signature)) {
            self.refused_after = Some(transmissions);
            return Err(CloseReason::KeyMismatch);
        }
        self.share = Some(share);
        Ok(())
    }
}

#[cfg(not(feature = "x509"))]
const OWN_CERTIFICATE_OCTETS_MAX: usize = RAW_CERTIFICATE_OCTETS;
#[cfg(feature = "x509")]
const OWN_CERTIFICATE_OCTETS_MAX: usize = crate::CHAIN_OCTETS_MAX;
/// Certificate, ClientKeyExchange, CertificateVerify, Finished; or an identity and no certificates.
pub(super) const LAST_FLIGHTS: [usize; 2] = [
    3 * HEADER_OCTETS
        + OWN_CERTIFICATE_OCTETS_MAX
        + 1
        + POINT_OCTETS
        + SIGNED_OCTETS_MAX
        + FINISHED_OCTETS,
    HEADER_OCTETS + 2 + IDENTITY_OCTETS_MAX + 1 + POINT_OCTETS + FINISHED_OCTETS,
];
const _: () = assert!(LAST_FLIGHTS[0] <= super::FLIGHT_OCTETS_MAX);
const _: () = assert!(LAST_FLIGHTS[1] <= super::FLIGHT_OCTETS_MAX);
