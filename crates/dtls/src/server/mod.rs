//! The server: thousands of sessions, keyed by peer and by connection ID.

mod agenda;
mod alerts;
mod bars;
#[cfg(feature = "x509")]
mod certificates;
mod cookie;
mod crowd;
#[cfg(feature = "ecc")]
mod curve;
mod half_open;
mod heartbeat;
mod hello;
mod key_exchange;
mod last_flight;
mod records;
mod resumption;
mod routability;
mod session;
mod stale;
mod whereabouts;

#[cfg(feature = "ecc")]
use crate::Identity;
#[cfg(feature = "x509")]
use crate::UnixTime;
use crate::exporter::export;
use crate::flight::hello_request;
use crate::heartbeat::Asked;
use crate::schedule::Randoms;
use crate::{
    CipherSuite, CloseReason, ContentType, DATAGRAM_LEN_MIN, ExportRefused, GroupAnswer, KeyLog,
    PairwiseId, Psk, RecordDrop, Retransmission, SendRefused,
};
use agenda::Agenda;
use alerts::AlertQuota;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bars::Bars;
#[cfg(feature = "x509")]
pub use certificates::ServerCertificates;
use cookie::CookieJar;
use crowd::Crowd;
use lowgate_crypto::{Ccm, Secret};
#[cfg(feature = "ecc")]
use lowgate_crypto::{PrivateKey, PublicKey};
#[cfg(feature = "x509")]
use lowgate_units::Eui64;
use lowgate_units::{Duration, Entropy, Instant, Ipv6Addr, Prng};
use resumption::{Memory, TicketKeys};
use routability::Check;
use session::SessionTable;
use stale::Stale;
use zeroize::Zeroizing;

/// Where a client is heard: its own address, or a relay's together with the relay's header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Source address of the datagrams.
    pub addr: Ipv6Addr,
    /// Source port.
    pub port: u16,
    /// The header by which a relay knows its joiner; empty when the client is heard directly.
    pub relay_header: heapless::Vec<u8, 32>,
}

/// Names a session for as long as the server lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u64);

/// Who is known.
pub trait PskDirectory {
    /// The key of `identity`, compared octet by octet. `None` leads to the same alert, after the
    /// same time, as a wrong key does.
    fn psk(&self, identity: &[u8]) -> Option<Psk>;

    /// Who has this public key. `None` leads to the same alert as a key that the client has not.
    #[cfg(feature = "ecc")]
    fn owner(&self, key: &PublicKey) -> Option<Identity> {
        let _ = key;
        None
    }

    /// The public key of `identity`, as [`Self::owner`] knows it: asked when a session is resumed.
    #[cfg(feature = "ecc")]
    fn public_key(&self, identity: &[u8]) -> Option<PublicKey> {
        let _ = identity;
        None
    }

    /// Who the device is here that certificates name so, and that proved to have their key. `None`:
    /// access_denied.
    #[cfg(feature = "x509")]
    fn device(&self, eui64: Eui64) -> Option<Identity> {
        let _ = eui64;
        None
    }

    /// The name of `identity`, as [`Self::device`] knows it: asked when a session is resumed.
    #[cfg(feature = "x509")]
    fn eui64(&self, identity: &[u8]) -> Option<Eui64> {
        let _ = identity;
        None
    }

    /// What time it is, for certificates. `None`: nobody knows, and none is refused for its time.
    #[cfg(feature = "x509")]
    fn unix_time(&self) -> Option<UnixTime> {
        None
    }

    /// The answer to the 0xFF40 payload of a ClientHello: "understood", never a grant, for nobody is
    /// authenticated yet. `None`: the extension is ignored, content types 30 and 31 stay closed.
    fn group_answer(&self, request: &[u8]) -> Option<GroupAnswer> {
        let _ = request;
        None
    }

    /// The answer to the 0xFF41 payload of a ClientHello: who we are, if who says that is somebody we have a key with.
    /// Nobody is authenticated yet; the key will tell.
    fn pair_answer(&self, client: &[u8]) -> PairAnswer {
        let _ = client;
        PairAnswer::Ignored
    }

    /// Radio hops to who is heard at `peer`, where more is known than the adaptive policy says.
    fn hops(&self, peer: &Peer) -> Option<u8> {
        let _ = peer;
        None
    }

    /// Whether `identity` may go on from an earlier session. Its pre-shared key was looked up just before, and
    /// is the one that it proved then; its public key likewise. `false` leads to a full handshake.
    fn may_resume(&self, identity: &[u8]) -> bool {
        let _ = identity;
        true
    }
}

/// What a server makes of extension 0xFF41.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairAnswer {
    /// Nothing: it does not speak it.
    Ignored,
    /// There is no key of the two: handshake_failure.
    Refused,
    /// This is who it is.
    Own(PairwiseId),
}

/// RFC 5246 appendix F.1.4: an upper limit of 24 hours is suggested for the life of a session.
pub const RESUMPTION_LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Seed 000: for so long a server should ignore who failed three times.
pub const BAR_USUAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Seed 000: sessions that a constrained device has at most.
const CONSTRAINED_SESSIONS_MAX: usize = 15;
/// Handshakes under way there. Each has 1 to 2 KB.
const CONSTRAINED_HALF_OPEN_MAX: usize = 8;

/// What a server is like.
#[derive(Clone)]
pub struct ServerConfig {
    /// The cipher.
    pub ccm: &'static dyn Ccm,
    /// Exchange keys with clients that have a pre-shared key and offer it
    /// (`TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256`).
    #[cfg(feature = "ecc")]
    pub forward_secrecy: bool,
    /// The server's own key: raw public keys are taken (RFC 7250, `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`), of
    /// clients whose keys the directory knows.
    #[cfg(feature = "ecc")]
    pub raw_key: Option<PrivateKey>,
    /// The server's certificates: those of clients are taken too (RFC 7925 section 4.4), whose names the directory
    /// knows.
    #[cfg(feature = "x509")]
    pub certificates: Option<ServerCertificates>,
    /// Ask for a cookie before any state is kept. Off only to reproduce old measurements.
    pub cookie: bool,
    /// Answer RFC 9146 with a connection ID of 4 octets.
    pub connection_id: bool,
    /// Established sessions; beyond it the one heard least recently is evicted.
    pub sessions_max: usize,
    /// Sessions of one identity; beyond it its own that was heard least recently is evicted.
    pub sessions_per_peer_max: usize,
    /// Say goodbye to sessions that were silent for so long. `None`: no session has a timer.
    pub idle_close: Option<Duration>,
    /// Handshakes under way; beyond it the oldest of the address that has most of them is evicted.
    pub half_open_max: usize,
    /// Handshakes under way of one address, a relay's say; beyond it its oldest is evicted.
    pub half_open_per_source_max: usize,
    /// For how long an identity behind a relay, or a relay's stranger, is barred once it failed three times. Who has
    /// the key gets in all the same; the others hear nothing more. `None`: nobody is barred.
    pub bar_for: Option<Duration>,
    /// The longest datagram we send, at least [`crate::DATAGRAM_LEN_MIN`] (raised to it).
    pub datagram_len_max: usize,
    /// The DNS name that the server is looked for by (RFC 6066 section 3). Who looks for another one is
    /// refused; `None`: names are ignored.
    pub server_name: Option<Box<str>>,
    /// Agree to RFC 6520: either end may ask whether the other is there.
    pub heartbeat: bool,
    /// Agree to RFC 9853, beside a connection ID: a client is asked at a new address before anything else goes there.
    pub return_routability: bool,
    /// When to repeat a flight.
    pub retransmission: Retransmission,
    /// How handshake messages share records and datagrams.
    pub packing: Packing,
    /// Sessions that can be resumed by their session ids (RFC 5246 section 7.3), one an identity; beyond
    /// it the one used least recently is forgotten. 0: none has a session id.
    pub resumable_max: usize,
    /// Give tickets (RFC 5077) to clients that ask for one, and keep nothing of their sessions.
    pub tickets: bool,
    /// How long after its full handshake a session can be resumed, at most
    /// [`RESUMPTION_LIFETIME_MAX`] (lowered to it).
    pub resumption_lifetime: Duration,
    /// Keep what [`Server::export`] needs: 112 octets a session.
    pub exporters: bool,
    /// Report [`ServerOutput::KeyLog`].
    pub key_log: bool,
}

impl ServerConfig {
    /// The defaults around `ccm`: cookie and connection ID on, 4096 sessions of whoever, which stay, 256 handshakes,
    /// half of them of one address, bars of a day, datagrams of 1024 octets, adaptive retransmission, any name, no
    /// heartbeats, no resumption, no exporters, no key log.
    pub const fn new(ccm: &'static dyn Ccm) -> Self {
        Self {
            ccm,
            #[cfg(feature = "ecc")]
            forward_secrecy: true,
            #[cfg(feature = "ecc")]
            raw_key: None,
            #[cfg(feature = "x509")]
            certificates: None,
            cookie: true,
            connection_id: true,
            sessions_max: 4096,
            sessions_per_peer_max: usize::MAX,
            idle_close: None,
            half_open_max: 256,
            half_open_per_source_max: 128,
            bar_for: Some(BAR_USUAL),
            datagram_len_max: 1024,
            server_name: None,
            heartbeat: false,
            return_routability: false,
            retransmission: Retransmission::USUAL,
            packing: Packing::Plain,
            resumable_max: 0,
            tickets: false,
            resumption_lifetime: RESUMPTION_LIFETIME_MAX,
            exporters: false,
            key_log: false,
        }
    }

    /// The defaults of a server that is a small device itself: 15 sessions (seed 000), 8 handshakes, and tickets, so
    /// that nothing is kept of who left (RFC 7925 section 7).
    pub fn constrained(ccm: &'static dyn Ccm) -> Self {
        Self {
            sessions_max: CONSTRAINED_SESSIONS_MAX,
            sessions_per_peer_max: CONSTRAINED_SESSIONS_MAX,
            half_open_max: CONSTRAINED_HALF_OPEN_MAX,
            half_open_per_source_max: CONSTRAINED_HALF_OPEN_MAX / 2,
            tickets: true,
            ..Self::new(ccm)
        }
    }
}

/// How handshake messages share records and datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Each message has a record of its own, each flight its own datagrams: some peers read nothing else.
    Plain,
    /// Towards clients that speak our extension: whole messages of epoch 0 share a record (RFC 6347 section
    /// 4.2.3), and our last flight shares a datagram with the owner's first payload. Until such a client is
    /// heard again, every payload brings that flight along.
    Tight {
        /// How long the last flight waits for a payload. ZERO: until the owner's next turn.
        linger: Duration,
    },
}

/// What happens to a server.
#[derive(Debug)]
pub enum ServerInput<'a> {
    /// A datagram; its octets are used as scratch.
    Datagram {
        /// From whom.
        peer: &'a Peer,
        /// The UDP payload (without a relay's envelope).
        octets: &'a mut [u8],
    },
}

/// What a server wishes or tells.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerOutput {
    /// Send a datagram.
    Transmit {
        /// To whom.
        peer: Peer,
        /// The UDP payload.
        octets: Vec<u8>,
    },
    /// A client proved that it is heard at `peer`; its handshake is under way.
    HandshakeStarted {
        /// Where.
        peer: Peer,
    },
    /// Both Finished verified. An earlier session of this peer, if any, was closed just before.
    Established {
        /// Its name from now on.
        session: SessionId,
        /// Where.
        peer: Peer,
        /// Who, authentically.
        identity: Box<[u8]>,
        /// The 0xFF40 payload of its ClientHello, when it was answered.
        group_request: Option<Box<[u8]>>,
    },
    /// A handshake ended without a session.
    HandshakeFailed {
        /// Where.
        peer: Peer,
        /// The identity it claimed, if it came so far. Nobody vouches for it.
        identity: Option<Box<[u8]>>,
        /// Why.
        reason: CloseReason,
    },
    /// A payload arrived.
    Received {
        /// From whom.
        session: SessionId,
        /// What it is.
        content_type: ContentType,
        /// The payload.
        octets: Vec<u8>,
    },
    /// An authentic record, newer than all before, came from another address; answers go there now. With
    /// `return_routability` the client was asked there and answered. Without it nobody vouches that it is heard
    /// there: the owner should have it answer before it trusts the address with much (RFC 9146 section 6).
    PeerMoved {
        /// Whose.
        session: SessionId,
        /// Where it is now.
        peer: Peer,
    },
    /// The client is there: it answered [`Server::heartbeat`].
    HeartbeatAnswered {
        /// Which.
        session: SessionId,
    },
    /// Asked for by `key_log`.
    KeyLog(KeyLog),
    /// Something of this peer was dropped.
    Event {
        /// Where it came from.
        peer: Peer,
        /// Why.
        drop: RecordDrop,
    },
    /// A session ended.
    Closed {
        /// Which.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// Nothing more before `until`, unless fed.
    Wait {
        /// `Instant::FAR_FUTURE`: no timer runs.
        until: Instant,
    },
}

/// Outputs that may wait. Events beyond it are not told, payloads are not accepted for sending.
const OUTPUTS_MAX: usize = 1024;

/// A DTLS server and all its sessions.
pub struct Server {
    config: ServerConfig,
    prng: Prng,
    cookies: CookieJar,
    /// Makes keys for identities that nobody knows.
    dummy_secret: Secret<32>,
    table: SessionTable,
    /// One handshake a peer, beside whatever session it has.
    half_open: Crowd,
    bars: Bars,
    alerts: AlertQuota,
    /// Sessions whose last flight waits for company, and until when.
    held: Agenda<SessionId>,
    /// Heartbeats that are not answered yet, one a session,
    probes: BTreeMap<SessionId, Asked>,
    /// and when to do something about them.
    probes_due: Agenda<SessionId>,
    /// Addresses in question, one a session,
    checks: BTreeMap<SessionId, Check>,
    /// and when to ask there again.
    checks_due: Agenda<SessionId>,
    stale: Stale,
    /// When the input came that is being handled.
    now: Instant,
    /// What can be resumed by session id,
    memory: Memory,
    /// and the keys of tickets, from the first that was given.
    tickets: Option<TicketKeys>,
    outputs: VecDeque<ServerOutput>,
}

/// What one call of [`Server::handle`] works with.
struct Visit<'a> {
    now: Instant,
    peer: &'a Peer,
    directory: &'a dyn PskDirectory,
    entropy: &'a mut dyn Entropy,
}

impl Server {
    /// A server without sessions. Draws its cookie secret.
    pub fn new(config: ServerConfig, prng: Prng, entropy: &mut dyn Entropy) -> Self {
        let config = ServerConfig {
            sessions_max: config.sessions_max.max(1),
            half_open_max: config.half_open_max.max(1),
            half_open_per_source_max: config.half_open_per_source_max.max(1),
            sessions_per_peer_max: config.sessions_per_peer_max.max(1),
            datagram_len_max: config.datagram_len_max.max(DATAGRAM_LEN_MIN),
            resumption_lifetime: config.resumption_lifetime.min(RESUMPTION_LIFETIME_MAX),
            ..config
        };
        let table = match config.sessions_per_peer_max < config.sessions_max {
            true => SessionTable::counting(),
            false => SessionTable::default(),
        };
        Self {
            config,
            prng,
            cookies: CookieJar::new(entropy),
            dummy_secret: draw_secret(entropy),
            table,
            half_open: Crowd::default(),
            bars: Bars::default(),
            alerts: AlertQuota::default(),
            held: Agenda::default(),
            probes: BTreeMap::new(),
            probes_due: Agenda::default(),
            checks: BTreeMap::new(),
            checks_due: Agenda::default(),
            stale: Stale::default(),
            now: Instant::ZERO,
            memory: Memory::default(),
            tickets: None,
            outputs: VecDeque::new(),
        }
    }

    /// Feeds one input; drain with [`Self::poll`] until `Wait` afterwards.
    pub fn handle(
        &mut self,
        now: Instant,
        input: ServerInput<'_>,
        directory: &dyn PskDirectory,
        entropy: &mut dyn Entropy,
    ) {
        let ServerInput::Datagram { peer, octets } = input;
        self.datagram(&mut Visit { now, peer, directory, entropy }, octets);
    }

    /// The next output.
    pub fn poll(&mut self, now: Instant) -> ServerOutput {
        if self.outputs.is_empty() {
            self.tick(now);
        }
        match self.outputs.pop_front() {
            Some(output) => output,
            None => ServerOutput::Wait { until: self.wake_at() },
        }
    }

    /// Seals one payload into a datagram of its own and queues it.
    ///
    /// # Errors
    /// See [`SendRefused`].
    pub fn send(
        &mut self,
        now: Instant,
        session: SessionId,
        content_type: ContentType,
        payload: &[u8],
    ) -> Result<(), SendRefused> {
        self.send_together(now, session, &[(content_type, payload)])
    }

    /// Seals several payloads, one record each, into one datagram and queues it.
    ///
    /// # Errors
    /// See [`SendRefused`]; [`SendRefused::TooLong`] when they do not fit one datagram.
    pub fn send_together(
        &mut self,
        _now: Instant,
        session: SessionId,
        payloads: &[(ContentType, &[u8])],
    ) -> Result<(), SendRefused> {
        if self.outputs.len() >= OUTPUTS_MAX {
            return Err(SendRefused::QueueFull);
        }
        self.seal_with_last_flight(session, payloads)
    }

    /// Says close_notify and forgets the session; `Closed` follows. Unknown sessions are ignored.
    pub fn close(&mut self, _now: Instant, session: SessionId) {
        self.end_session(session, CloseReason::Requested);
    }

    /// Tells somebody who may believe in a session with us that there is none: HelloRequest, in the clear,
    /// so that it proves nothing. The owner bounds how often.
    pub fn request_hello(&mut self, peer: &Peer) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.transmit(peer, hello_request().to_vec());
        }
    }

    /// The session with who is heard there: to be used by whoever has something to say, whichever end began it.
    pub fn session_at(&self, peer: &Peer) -> Option<SessionId> {
        self.table.by_peer(peer)
    }

    /// Where the session is heard.
    pub fn peer(&self, session: SessionId) -> Option<Peer> {
        self.table.get(session).map(|session| session.place.peer())
    }

    /// Who the session is.
    pub fn identity(&self, session: SessionId) -> Option<&[u8]> {
        self.table.get(session).map(|session| &session.identity[..])
    }

    /// When the session's last authentic record came.
    pub fn last_heard(&self, session: SessionId) -> Option<Instant> {
        self.table.get(session).map(|session| session.last_heard)
    }

    /// The round trip to the client, as its handshake measured it.
    pub fn round_trip(&self, session: SessionId) -> Option<Duration> {
        let millis = self.table.get(session)?.round_trip_ms;
        (millis > 0).then(|| Duration::from_millis(u64::from(millis)))
    }

    /// Keying material for a purpose of the application's own (RFC 5705), into all of `out`. The client has
    /// the same.
    ///
    /// # Errors
    /// See [`ExportRefused`].
    pub fn export(
        &self,
        session: SessionId,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportRefused> {
        let session = self.table.get(session).ok_or(ExportRefused::NotEstablished)?;
        let extras = session.extras.as_deref();
        let Some(kept) = extras.and_then(|extras| extras.for_exporters.as_deref()) else {
            return Err(match self.config.exporters {
                true => ExportRefused::NoExtendedMasterSecret,
                false => ExportRefused::NotEstablished,
            });
        };
        let randoms = Randoms { client: &kept.client_random, server: &kept.server_random };
        export(&kept.master, randoms, label, context, out)
    }

    /// How the session's secret was agreed on.
    pub fn suite(&self, session: SessionId) -> Option<CipherSuite> {
        self.table.get(session).map(|session| session.suite)
    }

    /// Whether the session goes on from an earlier one, without its key having been proved anew.
    pub fn is_resumed(&self, session: SessionId) -> bool {
        self.table.get(session).is_some_and(|session| session.resumed)
    }

    /// How many sessions are established.
    pub fn session_count(&self) -> usize {
        self.table.len()
    }

    /// How many handshakes are under way.
    pub fn half_open_count(&self) -> usize {
        self.half_open.len()
    }

    fn event(&mut self, peer: &Peer, drop: RecordDrop) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(ServerOutput::Event { peer: peer.clone(), drop });
        }
    }

    fn transmit(&mut self, peer: &Peer, octets: Vec<u8>) {
        if !octets.is_empty() {
            self.outputs.push_back(ServerOutput::Transmit { peer: peer.clone(), octets });
        }
    }

    /// Tells the peer if telling helps, and the owner.
    fn end_session(&mut self, id: SessionId, reason: CloseReason) {
        self.release_last_flight(id);
        let Some(mut session) = self.table.remove(id) else { return };
        self.probes.remove(&id);
        self.probes_due.remove(&id);
        self.forget_check(id);
        if let Some(alert) = reason.alert() {
            let octets = session.seal_alert(self.config.ccm, alert);
            self.transmit(&session.place.peer(), octets);
        }
        self.outputs.push_back(ServerOutput::Closed { session: id, reason });
    }
}

fn draw_secret(entropy: &mut dyn Entropy) -> Secret<32> {
    let mut octets = Zeroizing::new([0; 32]);
    entropy.fill(&mut *octets);
    Secret::new(*octets)
}
