//! Resuming a session: by session id (RFC 5246 section 7.3) or by ticket (RFC 5077).
//!
//! **Invariants:** only a session whose server's Finished verified is saved, and only with the
//! extended master secret (RFC 7627 section 5.3). An attempt that comes to nothing offers no session
//! again: whoever spoils a resumption cannot spoil the handshake.

use super::config::Mark;
use super::{Client, Negotiated, Session, State};
use crate::fragment_len::FragmentLen;
use crate::handshake::{Fragment, MessageType, VERIFY_DATA_OCTETS};
use crate::hello::{
    SESSION_ID_OCTETS_MAX, ServerHello, Sink, TICKET_OCTETS_MAX, parse_new_session_ticket,
};
use crate::protect::{ReadKeys, WriteKeys};
use crate::schedule::{Master, Randoms};
use crate::{CipherSuite, KeyLog, RecordDrop};
use core::fmt;
use lowgate_crypto::Sha256;
use lowgate_units::Duration;

pub(super) type SessionName = heapless::Vec<u8, SESSION_ID_OCTETS_MAX>;

/// What it takes to go on from a session later: a secret, which wipes itself and never prints.
///
/// It belongs to the server, the identity and the key that it was made with; whoever has it can be the
/// client until the server forgets it.
#[derive(Clone)]
pub struct SavedSession {
    /// RFC 5077 section 3.4: of a ticket the client makes it, to see in the answer what was taken.
    name: SessionName,
    ticket: Ticket,
    master: Master,
    fragment_len: Option<FragmentLen>,
    /// RFC 5246 section 7.4.1.2: a session keeps its suite.
    suite: CipherSuite,
    mark: Mark,
}

impl SavedSession {
    pub(super) const fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Whether it was made by who has this credential.
    pub(super) fn is_of(&self, mark: &Mark) -> bool {
        self.mark == *mark
    }

    /// For how long the server means to take its ticket; `None`: it did not say, or there is no ticket.
    pub fn lifetime(&self) -> Option<Duration> {
        let secs = u64::from(self.ticket.lifetime_secs);
        (secs > 0).then(|| Duration::from_secs(secs))
    }

    /// Whether it can be gone on from by who wants records of this length.
    pub(super) fn fits(&self, fragment_len: Option<FragmentLen>) -> bool {
        self.fragment_len == fragment_len
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn ticket(&self) -> &[u8] {
        &self.ticket.octets
    }
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedSession(..)")
    }
}

/// A ticket; empty for none.
#[derive(Clone, Default)]
pub(super) struct Ticket {
    octets: heapless::Vec<u8, TICKET_OCTETS_MAX>,
    lifetime_secs: u32,
}

impl Ticket {
    /// RFC 5077 section 3.3. A ticket that is longer than ours to keep is as good as none, and so is an empty one:
    /// how long it would have lived says nothing about the session's name.
    fn parse(body: &[u8]) -> Result<Self, RecordDrop> {
        let (lifetime_secs, octets) = parse_new_session_ticket(body)?;
        Ok(match heapless::Vec::from_slice(octets) {
            Ok(octets) if !octets.is_empty() => Self { octets, lifetime_secs },
            Ok(_) | Err(_) => Self::default(),
        })
    }
}

/// What the server's Finished is waited for with.
pub(super) struct Outcome {
    /// Whether a NewSessionTicket comes first,
    pub(super) ticket_promised: bool,
    /// and whether it brought a ticket. That lies where the session is saved, though nobody vouches for it yet: nothing
    /// is told of it before the server's Finished verified, and a handshake that fails takes it along.
    has_ticket: bool,
}

impl SavedSession {
    /// How to go on from a session another time.
    fn of(session: &Session, ticket: Ticket, mark: Mark) -> Option<Self> {
        let Session { hello, master, .. } = session;
        let name = match &ticket.octets[..] {
            [] => hello.name.clone(),
            octets => SessionName::from_slice(&Sha256::of(octets)).unwrap_or_default(),
        };
        let savable = hello.extended_master_secret && !name.is_empty();
        let (master, fragment_len) = (master.clone(), hello.fragment_len);
        let suite = hello.suite;
        savable.then_some(Self { name, ticket, master, fragment_len, suite, mark })
    }
}

impl Client {
    /// Whether a ServerHello takes the session that we offered.
    pub(super) fn is_resumed_by(&self, hello: &ServerHello<'_>) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.name[..] == *hello.session_id)
    }

    /// The server gives a ticket.
    pub(super) fn new_session_ticket(&mut self, body: &[u8]) -> Result<(), RecordDrop> {
        let ticket = Ticket::parse(body)?;
        let State::AwaitFinished { session, outcome, .. } = &mut self.state else {
            return Err(RecordDrop::Unexpected);
        };
        outcome.ticket_promised = false;
        outcome.has_ticket = !ticket.octets.is_empty();
        if outcome.has_ticket {
            self.saved = SavedSession::of(
                session,
                ticket,
                self.settings.own.mark(&self.settings.server_name),
            );
        }
        Ok(())
    }

    /// The ServerHello resumes our session.
    pub(super) fn resume(&mut self, hello: Negotiated) {
        let master = match &self.saved {
            Some(saved) => saved.master.clone(),
            None => unreachable!("the caller compared its name"),
        };
        self.await_finished(hello, master);
    }

    /// The keys are there; the server's Finished is missing.
    pub(super) fn await_finished(&mut self, hello: Negotiated, master: Master) {
        let randoms = Randoms { client: &self.random, server: &hello.server_random };
        let (client_keys, server_keys) = master.schedule().keys(randoms);
        if self.settings.key_log {
            let master_secret = master.0.clone();
            self.news.key_log = Some(KeyLog { client_random: self.random, master_secret });
        }
        let outcome = Outcome { ticket_promised: hello.ticket_promised, has_ticket: false };
        let longest = FragmentLen::plaintext_octets_max(hello.fragment_len);
        self.state = State::AwaitFinished {
            session: Session {
                write: WriteKeys::new(client_keys, longest),
                read: ReadKeys::new(server_keys, longest),
                master,
                asked: None,
                hello,
            },
            outcome,
            server_verify: [0; VERIFY_DATA_OCTETS],
            cipher_changed: false,
        };
    }

    /// What the server's Finished must say, after everything so far.
    pub(super) fn expect_finished(&mut self) {
        if let State::AwaitFinished { session, server_verify, .. } = &mut self.state {
            *server_verify = session.master.server_finished(&self.transcript.digest());
        }
    }

    /// The server's Finished verified.
    pub(super) fn establish(&mut self, session: Session, outcome: Outcome) {
        self.flight.clear();
        if session.hello.resumed {
            // The last flight is ours (RFC 5246 section 7.3). It is kept, for it may be lost.
            let verify = session.master.schedule().client_finished(&self.transcript.digest());
            self.flight.change_cipher();
            let (kind, seq) = (MessageType::Finished, self.hello_seq + 1);
            self.flight.message(kind, seq, &mut self.transcript, |out| out.put(&verify));
            self.flight.start();
        }
        // Who resumed and was given no other ticket keeps what it has.
        if !outcome.has_ticket && !session.hello.resumed {
            self.saved = SavedSession::of(
                &session,
                Ticket::default(),
                self.settings.own.mark(&self.settings.server_name),
            );
        }
        self.state = State::Established(session);
    }

    /// After the handshake the server has nothing to say that we want to hear, but that it missed our
    /// last flight.
    pub(super) fn authentic_handshake(&mut self, payload: &[u8]) -> Result<(), RecordDrop> {
        let (fragment, _) = Fragment::split(payload)?;
        Err(match (fragment.kind, &self.state) {
            // RFC 6347 section 4.2.4: in FINISHED, who sent the last flight MUST answer the peer's last
            // flight with it. The record is authentic and no replay, so nobody else can ask.
            (MessageType::Finished, State::Established(session)) => {
                if session.hello.resumed && fragment.seq == self.next_receive {
                    self.flight.start();
                }
                RecordDrop::Repeated
            }
            (MessageType::Finished, _) => RecordDrop::Repeated,
            // RFC 7925 section 17: clients MUST respond with no_renegotiation.
            (MessageType::HelloRequest, _) => {
                self.news.renegotiation = true;
                RecordDrop::Renegotiation
            }
            (
                MessageType::ClientHello
                | MessageType::ServerHello
                | MessageType::HelloVerifyRequest
                | MessageType::NewSessionTicket
                | MessageType::ServerKeyExchange
                | MessageType::ServerHelloDone
                | MessageType::ClientKeyExchange,
                _,
            ) => RecordDrop::Unexpected,
            #[cfg(feature = "ecc")]
            (
                MessageType::Certificate
                | MessageType::CertificateRequest
                | MessageType::CertificateVerify,
                _,
            ) => RecordDrop::Unexpected,
            #[cfg(feature = "x509")]
            (MessageType::CertificateUrl, _) => RecordDrop::Unexpected,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn kept(len: usize) -> (usize, u32) {
        let (lifetime, octets) = (3600u32.to_be_bytes(), vec![7; len]);
        let body = [&lifetime[..], &(len as u16).to_be_bytes(), &octets].concat();
        let ticket = Ticket::parse(&body).expect("well formed");
        (ticket.octets.len(), ticket.lifetime_secs)
    }

    /// GnuTLS 3.7 sends 338 octets. Of a ticket that is not kept there is no lifetime either.
    #[test]
    fn tickets_of_all_lengths() {
        for len in [1, 208, 256, 338, TICKET_OCTETS_MAX] {
            assert_eq!(kept(len), (len, 3600));
        }
        for len in [0, TICKET_OCTETS_MAX + 1, 2000, 0xffff] {
            assert_eq!(kept(len), (0, 0), "{len}");
        }
    }
}
