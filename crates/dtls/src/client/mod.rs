//! The client: one session, fixed buffers.

mod config;
#[cfg(feature = "ecc")]
mod curve;
mod heartbeat;
mod inbound;
mod machine;
mod resume;
mod routability;

use crate::exporter::export;
use crate::flight::{Flight, RecordWriter, plain_alert};
use crate::fragment_len::FragmentLen;
use crate::handshake::VERIFY_DATA_OCTETS;
use crate::heartbeat::{Asked, HeartbeatMode};
use crate::hello::{SESSION_ID_OCTETS_MAX, TICKET_OCTETS_MAX};
use crate::protect::{CID_OCTETS_MAX, ReadKeys, SealRefused, WriteKeys};
use crate::record::RecordType;
use crate::schedule::{Master, Randoms};
use crate::{
    AlertDescription, CipherSuite, CloseReason, ContentType, DATAGRAM_LEN_MIN, ExportRefused,
    GroupAnswer, KeyLog, PAIRWISE_ID_OCTETS_MAX, RecordDrop, RetransmissionTimer,
    SERVER_NAME_OCTETS_MAX, SendRefused,
};
use config::Settings;
use inbound::Inbound;
#[cfg(feature = "ecc")]
use lowgate_crypto::PublicKey;
use lowgate_crypto::{Ccm, Sha256};
use lowgate_units::{Instant, Prng};
use resume::{Outcome, SessionName};

#[cfg(feature = "ecc")]
pub use config::WithoutExchange;
pub use config::{ClientConfig, ConfigRefused, Credential, Pair};
#[cfg(feature = "x509")]
pub use config::{KnownChain, ServerIdentity};
pub use resume::SavedSession;

/// What happens to a client.
#[derive(Debug)]
pub enum ClientInput<'a> {
    /// Begin the handshake. Only the first counts.
    Start,
    /// A datagram from the server; its octets are used as scratch.
    Datagram(&'a mut [u8]),
    /// Say close_notify and end.
    Close,
}

/// What a client wishes or tells. `len` counts octets at the start of the caller's buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientOutput {
    /// Send a datagram to the server.
    Transmit {
        /// Octets of it.
        len: usize,
    },
    /// Asked for by `key_log`.
    KeyLog(KeyLog),
    /// Both Finished verified.
    Established {
        /// The server's 0xFF40 payload; `None` when it did not answer the request.
        group_answer: Option<GroupAnswer>,
    },
    /// A payload arrived.
    Received {
        /// What it is.
        content_type: ContentType,
        /// Octets of it.
        len: usize,
    },
    /// The server is there: it answered [`Client::heartbeat`].
    HeartbeatAnswered,
    /// Something was dropped.
    Event(RecordDrop),
    /// The end; nothing but `Wait` follows.
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// Nothing more before `until`, unless fed.
    Wait {
        /// `Instant::FAR_FUTURE`: no timer runs.
        until: Instant,
    },
}

/// Events kept until they are polled; more than one datagram full of noise is not worth telling.
const EVENTS_MAX: usize = 8;
/// ClientHello: header 12, fixed part 34, session id 1, cookie 256, suites 4, compression 2,
/// extensions 2 + 5 + 4 + 5 + 196 + 5 + 5 + 4, a name with 9; a session to resume adds its id and a ticket. Key
/// exchange and Finished are shorter, but for certificates.
#[cfg(feature = "x509")]
const FLIGHT_OCTETS_MAX: usize = match () {
    () if curve::LAST_FLIGHTS[0] > HELLO_OCTETS_MAX => curve::LAST_FLIGHTS[0],
    () => HELLO_OCTETS_MAX,
};
#[cfg(not(feature = "x509"))]
const FLIGHT_OCTETS_MAX: usize = HELLO_OCTETS_MAX;
const HELLO_OCTETS_MAX: usize = 12
    + (34 + 1 + 256 + 4 + 2)
    + (2 + 5 + 4 + 5 + 196 + 5 + 5 + 4)
    + (9 + SERVER_NAME_OCTETS_MAX)
    + (SESSION_ID_OCTETS_MAX + 4 + TICKET_OCTETS_MAX)
    + PAIR_OFFER_OCTETS
    + CURVE_OFFER_OCTETS
    + CACHED_OFFER_OCTETS;
/// Who we are of two.
const PAIR_OFFER_OCTETS: usize = 4 + PAIRWISE_ID_OCTETS_MAX;
/// A fingerprint.
const CACHED_OFFER_OCTETS: usize = if cfg!(feature = "x509") { 4 + 2 + 2 + 32 } else { 0 };
/// A second suite, and the extensions of curves and keys.
const CURVE_OFFER_OCTETS: usize = if cfg!(feature = "ecc") { 2 + 8 + 6 + 8 + 6 + 6 } else { 0 };

/// RFC 6347 section 4.2.1: one octet of length.
const COOKIE_OCTETS_MAX: usize = 255;
/// ServerHellos that were given up; older ones are out of the network.
const DISOWNED_MAX: usize = 4;

/// A DTLS client and its one session.
pub struct Client {
    ccm: &'static dyn Ccm,
    prng: Prng,
    settings: Settings,
    random: [u8; 32],
    state: State,
    /// message_seq of the ClientHello that is out.
    hello_seq: u16,
    /// message_seq that is processed next.
    next_receive: u16,
    /// Next record number of epoch 0; never goes back.
    plain_seq: u64,
    transcript: Sha256,
    inbound: Inbound,
    flight: Flight<heapless::Vec<u8, FLIGHT_OCTETS_MAX>>,
    timer: RetransmissionTimer,
    suspicion: Option<Suspicion>,
    /// What the last HelloVerifyRequest of this attempt wants to hear.
    cookie: heapless::Vec<u8, COOKIE_OCTETS_MAX>,
    /// How the random begins of the ServerHello that is believed,
    believed: Option<[u8; 8]>,
    /// and of those that are so no longer: late copies of them must not spoil the next attempt.
    disowned: heapless::Deque<[u8; 8], DISOWNED_MAX>,
    /// Times that another ServerHello was believed in this attempt.
    rewinds: u8,
    /// HelloVerifyRequests answered in this attempt.
    verifies: u8,
    /// Attempts that began anew after a peer's alert.
    doubted: u8,
    /// The session that is offered, later the one that was made.
    saved: Option<SavedSession>,
    news: News,
}

enum State {
    Idle,
    /// A ClientHello is out.
    AwaitHello,
    /// A ServerHello came; ServerHelloDone is missing.
    AwaitDone {
        hello: Negotiated,
        heard: Heard,
    },
    /// Our Finished is out.
    AwaitFinished {
        session: Session,
        outcome: Outcome,
        server_verify: [u8; VERIFY_DATA_OCTETS],
        cipher_changed: bool,
    },
    Established(Session),
    /// `session` says goodbye if it can.
    Closing {
        session: Option<Session>,
        reason: CloseReason,
        told: bool,
    },
    Closed,
}

/// What came of the server's flight behind its ServerHello.
enum Heard {
    /// A hint at most.
    Psk { hint_seen: bool },
    /// The server's share.
    #[cfg(feature = "ecc")]
    EcdhePsk { share: Option<PublicKey> },
    #[cfg(feature = "ecc")]
    EcdheEcdsa(curve::Proof),
}

/// What the ServerHello said.
struct Negotiated {
    suite: CipherSuite,
    server_random: [u8; 32],
    extended_master_secret: bool,
    /// What the session is called; empty when it cannot be resumed by name.
    name: SessionName,
    /// Whether it is the one that we offered to resume.
    resumed: bool,
    ticket_promised: bool,
    fragment_len: Option<FragmentLen>,
    /// Whether heartbeats were agreed on, and whether the server answers ours.
    heartbeat: Option<HeartbeatMode>,
    /// Whether the server may ask where we are.
    return_routability: bool,
    /// Whether a raw key of ours may be asked for.
    #[cfg(feature = "ecc")]
    client_raw_key: bool,
    /// Whether the server shows the fingerprint of its certificates.
    #[cfg(feature = "x509")]
    cached: bool,
    /// Whether it fetches ours.
    #[cfg(feature = "x509")]
    certificate_url: bool,
    cid: ConnectionId,
    group_answer: Option<GroupAnswer>,
}

/// What the server wants to read in our records; empty for none.
type ConnectionId = heapless::Vec<u8, CID_OCTETS_MAX>;

struct Session {
    write: WriteKeys,
    read: ReadKeys,
    master: Master,
    /// Our heartbeat that is not answered yet.
    asked: Option<Asked>,
    hello: Negotiated,
}

/// Something said that this will not work out, and nobody vouches for it: believed only when
/// repeating ourselves brings nothing better. A single forged datagram must not end a join.
#[derive(Clone, Copy)]
struct Suspicion {
    reason: CloseReason,
    /// Transmissions of ours that were answered so.
    told: u8,
    /// Whether the last one was among them.
    heard: bool,
}

/// What waits to be polled.
#[derive(Default)]
struct News {
    key_log: Option<KeyLog>,
    established: bool,
    heartbeat_answered: bool,
    /// The server asked for another handshake.
    renegotiation: bool,
    events: heapless::Deque<RecordDrop, EVENTS_MAX>,
}

impl News {
    fn event(&mut self, drop: RecordDrop) {
        let _ = self.events.push_back(drop); // the bound is meant
    }
}

impl Client {
    /// A client that has not started. `random` must be fresh from a generator fit for secrets.
    ///
    /// # Errors
    /// When `config` breaks a bound.
    pub fn new(
        ccm: &'static dyn Ccm,
        config: ClientConfig<'_>,
        random: [u8; 32],
        prng: Prng,
    ) -> Result<Self, ConfigRefused> {
        let (settings, saved) = Settings::new(config)?;
        Ok(Self {
            ccm,
            prng,
            timer: RetransmissionTimer::new(settings.retransmission, Instant::ZERO),
            settings,
            random,
            state: State::Idle,
            hello_seq: 0,
            next_receive: 0,
            plain_seq: 0,
            transcript: Sha256::new(),
            inbound: Inbound::fragments(),
            flight: Flight::default(),
            suspicion: None,
            cookie: heapless::Vec::new(),
            believed: None,
            disowned: heapless::Deque::new(),
            rewinds: 0,
            verifies: 0,
            doubted: 0,
            saved,
            news: News::default(),
        })
    }

    /// Feeds one input; drain with [`Self::poll`] until `Wait` afterwards.
    pub fn handle(&mut self, now: Instant, input: ClientInput<'_>) {
        match (input, &self.state) {
            (ClientInput::Start, State::Idle) => {
                self.timer = RetransmissionTimer::new(self.settings.retransmission, now);
                self.begin(now);
            }
            (ClientInput::Start, _) => {}
            (ClientInput::Datagram(octets), _) => self.datagram(now, octets),
            (ClientInput::Close, _) => self.end(CloseReason::Requested),
        }
    }

    /// The next output. `buf` holds a datagram or a payload; 1280 octets suffice. A payload that is
    /// longer than `buf` is dropped with an event.
    ///
    /// # Panics
    /// When `buf` is shorter than [`crate::DATAGRAM_LEN_MIN`].
    pub fn poll(&mut self, now: Instant, buf: &mut [u8]) -> ClientOutput {
        assert!(buf.len() >= DATAGRAM_LEN_MIN, "a datagram must fit");
        self.tick(now);
        if let Some(len) = self.write_flight(buf) {
            return ClientOutput::Transmit { len };
        }
        if let Some(line) = self.news.key_log.take() {
            return ClientOutput::KeyLog(line);
        }
        if core::mem::take(&mut self.news.established) {
            let group_answer = match &self.state {
                State::Established(session) => session.hello.group_answer.clone(),
                State::Closing { session, .. } => {
                    session.as_ref().and_then(|session| session.hello.group_answer.clone())
                }
                State::Idle
                | State::AwaitHello
                | State::AwaitDone { .. }
                | State::AwaitFinished { .. }
                | State::Closed => None,
            };
            return ClientOutput::Established { group_answer };
        }
        if core::mem::take(&mut self.news.heartbeat_answered) {
            return ClientOutput::HeartbeatAnswered;
        }
        if core::mem::take(&mut self.news.renegotiation)
            && let Some(len) = self.warn(AlertDescription::NO_RENEGOTIATION, buf)
        {
            return ClientOutput::Transmit { len };
        }
        if let Some(output) = self.next_inbound(buf).or_else(|| self.ask(now, buf)) {
            return output;
        }
        if let Some(drop) = self.news.events.pop_front() {
            return ClientOutput::Event(drop);
        }
        if let Some(output) = self.say_goodbye(buf) {
            return output;
        }
        ClientOutput::Wait { until: self.wake_at() }
    }

    /// What came first of what waits: a payload goes to the owner, a heartbeat or a cookie back to the server.
    fn next_inbound(&mut self, buf: &mut [u8]) -> Option<ClientOutput> {
        let (kind, octets) = self.inbound.front()?;
        let len = octets.len();
        let output = match (kind, buf.get_mut(..len)) {
            (RecordType::Payload(content_type), Some(room)) => {
                room.copy_from_slice(octets);
                ClientOutput::Received { content_type, len }
            }
            (RecordType::Payload(_), None) => ClientOutput::Event(RecordDrop::QueueFull),
            (
                RecordType::ChangeCipherSpec
                | RecordType::Alert
                | RecordType::Handshake
                | RecordType::Heartbeat,
                _,
            ) => self.answer_heartbeat(buf),
            (RecordType::ReturnRoutability, _) => self.answer_challenge(buf),
        };
        self.inbound.pop();
        Some(output)
    }

    /// Seals one record into `out` and returns its length; several may share a datagram.
    ///
    /// # Errors
    /// See [`SendRefused`].
    pub fn send(
        &mut self,
        content_type: ContentType,
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendRefused> {
        let State::Established(session) = &mut self.state else {
            return Err(SendRefused::NotEstablished);
        };
        if content_type.needs_negotiation() && session.hello.group_answer.is_none() {
            return Err(SendRefused::NotNegotiated);
        }
        // The last number is kept for close_notify.
        if session.write.is_nearly_exhausted() {
            return Err(SendRefused::SequenceExhausted);
        }
        let room = out.len().min(self.settings.datagram_len_max);
        let kind = RecordType::Payload(content_type);
        let cid = &session.hello.cid;
        session.write.seal(self.ccm, kind, cid, plaintext, &mut out[..room]).map_err(|refused| {
            match refused {
                SealRefused::TooLong => SendRefused::TooLong,
                SealRefused::Exhausted => SendRefused::SequenceExhausted,
            }
        })
    }

    /// What it takes to go on from this session later. `None` before there is one, and when the server
    /// resumes none or the session failed.
    pub const fn saved_session(&self) -> Option<&SavedSession> {
        match self.state {
            State::Established(_) | State::Closing { .. } | State::Closed => self.saved.as_ref(),
            State::Idle
            | State::AwaitHello
            | State::AwaitDone { .. }
            | State::AwaitFinished { .. } => None,
        }
    }

    /// The server's certificates, once they were verified: with them the next handshake is shorter
    /// ([`Credential::Certificate`]).
    #[cfg(feature = "x509")]
    pub const fn known_chain(&self) -> Option<&KnownChain> {
        self.settings.own.known_chain()
    }

    /// How the session's secret was agreed on.
    pub const fn suite(&self) -> Option<CipherSuite> {
        match &self.state {
            State::Established(session) => Some(session.hello.suite),
            State::Idle
            | State::AwaitHello
            | State::AwaitDone { .. }
            | State::AwaitFinished { .. }
            | State::Closing { .. }
            | State::Closed => None,
        }
    }

    /// Whether the session goes on from [`ClientConfig::resume`].
    pub const fn is_resumed(&self) -> bool {
        matches!(&self.state, State::Established(session) if session.hello.resumed)
    }

    /// Keying material for a purpose of the application's own (RFC 5705), into all of `out`. The server has
    /// the same.
    ///
    /// # Errors
    /// See [`ExportRefused`].
    pub fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportRefused> {
        let State::Established(session) = &self.state else {
            return Err(ExportRefused::NotEstablished);
        };
        if !session.hello.extended_master_secret {
            return Err(ExportRefused::NoExtendedMasterSecret);
        }
        let randoms = Randoms { client: &self.random, server: &session.hello.server_random };
        export(&session.master, randoms, label, context, out)
    }

    /// Whether [`Self::send`] would work.
    pub const fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// What [`Self::send`] adds to a payload, 0 without a session.
    pub fn record_overhead(&self) -> usize {
        match &self.state {
            State::Established(session) => WriteKeys::overhead(session.hello.cid.len()),
            State::Idle
            | State::AwaitHello
            | State::AwaitDone { .. }
            | State::AwaitFinished { .. }
            | State::Closing { .. }
            | State::Closed => 0,
        }
    }

    fn wake_at(&self) -> Instant {
        match &self.state {
            State::AwaitHello | State::AwaitDone { .. } | State::AwaitFinished { .. } => {
                self.timer.due().min(self.timer.gives_up())
            }
            State::Established(Session { asked: Some(asked), .. }) => asked.wake_at(),
            State::Idle | State::Established(_) | State::Closing { .. } | State::Closed => {
                Instant::FAR_FUTURE
            }
        }
    }

    fn write_flight(&mut self, buf: &mut [u8]) -> Option<usize> {
        let keys = match &mut self.state {
            // Who resumed a session has the last flight.
            State::AwaitFinished { session, .. } | State::Established(session) => {
                Some((&mut session.write, &session.hello.cid[..]))
            }
            State::AwaitHello | State::AwaitDone { .. } => None,
            State::Idle | State::Closing { .. } | State::Closed => return None,
        };
        let room = buf.len().min(self.settings.datagram_len_max);
        let writer = RecordWriter { ccm: self.ccm, plain_seq: &mut self.plain_seq, keys };
        let len = self.flight.datagram(writer, &mut buf[..room]);
        (len > 0).then_some(len)
    }

    /// A warning within the session.
    fn warn(&mut self, description: AlertDescription, buf: &mut [u8]) -> Option<usize> {
        let State::Established(session) = &mut self.state else { return None };
        if session.write.is_nearly_exhausted() {
            return None;
        }
        let (alert, cid) = ([1, description.0], &session.hello.cid);
        session.write.seal(self.ccm, RecordType::Alert, cid, &alert, buf).ok()
    }

    /// The alert, then `Closed`.
    fn say_goodbye(&mut self, buf: &mut [u8]) -> Option<ClientOutput> {
        let State::Closing { session, reason, told } = &mut self.state else { return None };
        let reason = *reason;
        if let Some(alert) = reason.alert().filter(|_| !core::mem::replace(told, true)) {
            let len = match session {
                Some(session) => session
                    .write
                    .seal(self.ccm, RecordType::Alert, &session.hello.cid, &alert, buf)
                    .unwrap_or(0),
                None => plain_alert(alert, self.plain_seq, buf),
            };
            if len > 0 {
                return Some(ClientOutput::Transmit { len });
            }
        }
        self.state = State::Closed;
        Some(ClientOutput::Closed { reason })
    }
}

#[cfg(all(test, feature = "server"))]
mod tests;
