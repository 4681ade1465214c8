//! The joining device: finds a relay, proves who it is, takes its keys, and keeps the session for life.
//!
//! ```text
//! Idle -> Scanning -> Handshaking -> AwaitingKeys -> Member
//!            ^   |         |              |            | session lost
//!            |   v         v              v            v
//!            Resting <- next relay, or none left    Handshaking (direct)
//! ```
//!
//! **Invariant:** nothing is acknowledged before its owner stored it; a relay is changed only between
//! handshakes, because the manager tells sessions apart by it; no two handshakes share a random.

use crate::JOIN_DATAGRAM_OCTETS_MAX;
use crate::beacon::CROWD_LOAD_MIN;
use crate::candidates::{Candidate, Candidates};
use heapless::{Deque, Vec};
use lowgate_amikey::{KeyError, Message, Messages, MsgId, emit_all};
use lowgate_crypto::{Ccm, Secret, hmac_sha256};
use lowgate_dtls::{
    Client, ClientConfig, ClientInput, ClientOutput, CloseReason, ContentType, KeyLog, Psk,
    RecordDrop, Retransmission, SendRefused, is_hello_request,
};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, List, Prng};

/// Beacons are collected for so long after a request.
pub const SCAN: Duration = Duration::from_millis(350);
/// A relay through which nothing at all came back in this time is given up for the next.
pub const SILENCE_MAX: Duration = Duration::from_secs(8);
/// The same since the last answer, once there was one: the link to a relay may carry one datagram in ten.
const SILENCE_AFTER_ANSWER_MAX: Duration = Duration::from_secs(15);
/// A handshake that takes longer than this is given up.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// From Finished to the configuration; covers the manager's commit and its retransmissions.
pub const KEYS_MAX: Duration = Duration::from_secs(30);
/// The first pause when no relay was heard or all have failed; doubles up to [`REST_MAX`].
pub const REST_MIN: Duration = Duration::from_millis(700);
/// The longest pause between scans while no relay is heard.
pub const REST_MAX: Duration = Duration::from_secs(10);
/// The longest pause after relays were heard and every one of them failed.
pub const REST_REFUSED_MAX: Duration = Duration::from_secs(300);
/// A refusal counts like so many attempts in vain: the first pause after it is 11 s.
const REFUSED_VAIN_MIN: u32 = 4;
/// Scans without a relay count like so many attempts in vain at most: their pauses are the longest then.
const UNHEARD_VAIN_MAX: u32 = 4;
/// Devices that kept their keys over a power cut make their sessions anew spread over this time.
pub const RESUME_SPREAD: Duration = Duration::from_secs(10);
/// Anybody can say that the manager has no session (HelloRequest in the clear): it is asked within the
/// session no more often than this.
pub const DOUBT_INTERVAL: Duration = Duration::from_secs(60);
/// Octets of the largest record content that a joiner takes.
pub const CONTENT_OCTETS_MAX: usize = JOIN_DATAGRAM_OCTETS_MAX;
/// Messages of one record.
const CONFIRMED_MAX: usize = 12;
/// Records handed out and not yet stored; of more, the oldest is forgotten and comes again.
const STORING_MAX: usize = 4;
/// Before anything is known of the mesh: a relay in the middle of a building.
const HOPS_ASSUMED: u8 = 3;
/// A relay's rank grows by one a hop at least: its joiners are no further from the manager than that. Beacons are
/// not secured, so that a larger one is not believed.
const HOPS_BELIEVED_MAX: u8 = 4;

/// One record's plaintext.
pub type Content = List<u8, CONTENT_OCTETS_MAX>;
/// One DTLS datagram.
pub type Datagram = List<u8, JOIN_DATAGRAM_OCTETS_MAX>;

/// Who the device is and what it asks for.
#[derive(Clone)]
pub struct JoinerConfig {
    /// The cipher.
    pub ccm: &'static dyn Ccm,
    /// PSK identity, at most 128 octets.
    pub identity: Vec<u8, 128>,
    /// Its pre-shared key.
    pub psk: Psk,
    /// The payload of extension 0xFF40.
    pub group_request: Vec<u8, 192>,
    /// When to repeat a flight. The hops of an adaptive one are those that the relay's beacon makes likely.
    pub retransmission: Retransmission,
    /// Report each session's secrets.
    pub key_log: bool,
    /// A member asks so often whether the manager still has its session: for a border router, whose way to
    /// the manager is short. `None`: only when somebody says that it has none.
    pub greet_every: Option<Duration>,
}

/// The way a datagram takes to the domain manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Unsecured to a relay's join port, from link-local address to link-local address.
    Relay(Eui64),
    /// By routing, from an address of the domain.
    Direct,
}

/// What a joiner is told.
#[derive(Debug)]
pub enum JoinerInput<'a> {
    /// Look for a network.
    Start,
    /// The manager can be reached without a relay: a border router.
    StartDirect,
    /// A beacon that says joining is open.
    BeaconHeard(Candidate),
    /// A datagram from the manager, by the path named; opened in place.
    Datagram {
        /// How it came.
        path: Path,
        /// The octets.
        octets: &'a mut [u8],
    },
    /// What the [`JoinerOutput::Keys`] of this ticket carried is in storage and in force.
    Stored {
        /// As given.
        ticket: u32,
    },
    /// The device's own address works both ways: the session moves there, or is made anew if the device
    /// has none.
    Attached,
    /// The device lost the network: only what needs no relay goes on.
    Detached,
    /// What the manager was asked within the session, it did not answer: the session is made anew.
    Unanswered,
}

/// What a joiner wants. It does not print: what it passes on holds keys.
pub enum JoinerOutput {
    /// Send a beacon request and report the beacons.
    RequestBeacons,
    /// A relay was chosen: be on its PAN.
    Tune(Candidate),
    /// Send a datagram.
    Datagram {
        /// By which way.
        path: Path,
        /// The octets.
        octets: Datagram,
    },
    /// Key management messages of an authentic record: store them, put them in force, and say
    /// [`JoinerInput::Stored`]. All parse.
    Keys {
        /// Comes back.
        ticket: u32,
        /// The messages.
        content: Content,
    },
    /// Application data of an authentic record.
    Application(Content),
    /// Ask the manager, within the session, whether it is there; say [`JoinerInput::Unanswered`] if it does
    /// not answer.
    Greet,
    /// Something happened.
    Event(JoinerEvent),
    /// Nothing more until then.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinerEvent {
    /// A scan began.
    Scanning,
    /// A handshake began.
    Handshake(Path),
    /// Both ends are authenticated.
    Authenticated(Path),
    /// An attempt is over.
    Failed {
        /// Which way it took.
        path: Path,
        /// Why.
        cause: Failure,
    },
    /// The configuration is stored and acknowledged: this device belongs to the domain.
    Member,
    /// The session of a member ended; a new one follows.
    SessionLost(CloseReason),
    /// Noise.
    RecordDropped(RecordDrop),
    /// Key management octets of an authentic record that do not parse: a fault of the manager's.
    Malformed,
    /// A session's secrets, if the configuration asked for them.
    KeyLog(KeyLog),
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The handshake or the session ended.
    Closed(CloseReason),
    /// Nothing came back through this relay, or nothing more.
    Silence,
    /// The handshake took too long.
    HandshakeTimeout,
    /// No configuration came.
    KeysTimeout,
    /// The manager said no, authentically.
    Refused(KeyError),
}

enum State {
    Idle,
    Scanning {
        until: Instant,
    },
    Resting {
        until: Instant,
    },
    Handshaking {
        path: Path,
        silent_at: Instant,
        give_up_at: Instant,
    },
    AwaitingKeys {
        path: Path,
        give_up_at: Instant,
    },
    /// `path` is the relay until the device's own address works.
    Member {
        path: Path,
    },
    /// A member whose session ended, or went with a restart; its keys go on working.
    MemberAlone {
        retry_at: Instant,
    },
}

/// The device's side of network access.
pub struct Joiner {
    config: JoinerConfig,
    state: State,
    client: Option<Client>,
    candidates: Candidates,
    /// Scans or handshakes in vain since the last success, for the pauses.
    vain: u32,
    /// Handshakes since boot: makes each client random another.
    handshakes: u32,
    seed: Secret<32>,
    prng: Prng,
    /// The newest message that was put in force in this session.
    newest: Option<MsgId>,
    /// Messages of this session that were handed out and are not yet stored, the oldest first.
    storing: Vec<Storing, STORING_MAX>,
    /// Never given twice, so that what an earlier session began confirms nothing in this one.
    next_ticket: u32,
    /// The device's own address works.
    direct: bool,
    /// A relay was tried in vain since the last pause.
    failed_since_rest: bool,
    client_until: Instant,
    /// When a member asks again whether the manager has its session.
    greet_at: Instant,
    /// Before that, nobody's word makes it ask.
    doubt_allowed_at: Instant,
    outputs: Deque<JoinerOutput, 8>,
}

type Ids = Vec<MsgId, CONFIRMED_MAX>;

struct Storing {
    ticket: u32,
    ids: Ids,
    configured: bool,
}

impl Joiner {
    /// A joiner at rest. `seed` is drawn anew at each boot from an [`Entropy`](lowgate_units::Entropy).
    pub fn new(config: JoinerConfig, seed: Secret<32>, prng: Prng) -> Self {
        Self {
            config,
            state: State::Idle,
            client: None,
            candidates: Candidates::default(),
            vain: 0,
            handshakes: 0,
            seed,
            prng,
            newest: None,
            storing: Vec::new(),
            next_ticket: 0,
            direct: false,
            failed_since_rest: false,
            client_until: Instant::FAR_FUTURE,
            greet_at: Instant::FAR_FUTURE,
            doubt_allowed_at: Instant::ZERO,
            outputs: Deque::new(),
        }
    }

    /// Whether the configuration was stored and acknowledged.
    pub const fn is_member(&self) -> bool {
        matches!(self.state, State::Member { .. } | State::MemberAlone { .. })
    }

    /// The relay of the handshake or session in progress, if it takes one.
    pub fn relay(&self) -> Option<Eui64> {
        match self.path()? {
            Path::Relay(relay) => Some(relay),
            Path::Direct => None,
        }
    }

    fn path(&self) -> Option<Path> {
        match self.state {
            State::Handshaking { path, .. }
            | State::AwaitingKeys { path, .. }
            | State::Member { path } => Some(path),
            State::Idle
            | State::Scanning { .. }
            | State::Resting { .. }
            | State::MemberAlone { .. } => None,
        }
    }

    /// Takes one input; poll afterwards.
    pub fn handle(&mut self, now: Instant, input: JoinerInput<'_>) {
        match input {
            JoinerInput::Start => {
                self.end_session();
                self.candidates.forget_failures();
                self.vain = 0;
                self.scan(now);
            }
            JoinerInput::StartDirect => {
                self.end_session();
                self.direct = true;
                self.handshake_directly(now);
            }
            JoinerInput::BeaconHeard(candidate) => {
                if matches!(self.state, State::Scanning { .. }) && candidate.beacon.join_open {
                    self.candidates.hear(candidate);
                }
            }
            JoinerInput::Datagram { path, octets } => self.datagram(now, path, octets),
            JoinerInput::Stored { ticket } => self.stored(now, ticket),
            JoinerInput::Attached => self.attached(now),
            JoinerInput::Detached => self.direct = false,
            JoinerInput::Unanswered => {
                if matches!(self.state, State::Member { path: Path::Direct }) {
                    self.session_lost(now, CloseReason::TimedOut);
                }
            }
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self, now: Instant) -> JoinerOutput {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if self.expire(now) {
                continue;
            }
            if !self.drain_client(now) && self.outputs.is_empty() {
                return JoinerOutput::Wait { until: self.wake_at() };
            }
        }
    }

    /// Seals application data for the manager. The datagram follows from [`Joiner::poll`].
    ///
    /// # Errors
    /// There is no session, or the content is too large.
    pub fn send(&mut self, content: &[u8]) -> Result<(), SendRefused> {
        self.seal(ContentType::ApplicationData, content)
    }

    /// Tells the manager something of keys, once.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn tell(&mut self, message: &Message) -> Result<(), SendRefused> {
        let mut content = [0; JOIN_DATAGRAM_OCTETS_MAX];
        let len = message.emit(&mut content).map_err(|_| SendRefused::TooLong)?;
        self.seal(ContentType::KeyParameters, &content[..len])
    }

    fn seal(&mut self, content_type: ContentType, content: &[u8]) -> Result<(), SendRefused> {
        let path = self.path().ok_or(SendRefused::NotEstablished)?;
        if self.outputs.is_full() {
            return Err(SendRefused::QueueFull);
        }
        let client = self.client.as_mut().ok_or(SendRefused::NotEstablished)?;
        let mut buffer = [0; JOIN_DATAGRAM_OCTETS_MAX];
        let len = client.send(content_type, content, &mut buffer)?;
        let octets = first(&buffer, len);
        self.push(JoinerOutput::Datagram { path, octets });
        Ok(())
    }

    fn push(&mut self, output: JoinerOutput) {
        // Each input makes a handful of outputs and is drained before the next.
        if self.outputs.push_back(output).is_err() {
            unreachable!("a joiner was fed without being drained");
        }
    }

    fn event(&mut self, event: JoinerEvent) {
        self.push(JoinerOutput::Event(event));
    }

    fn scan(&mut self, now: Instant) {
        self.candidates.clear_heard();
        self.state = State::Scanning { until: now + SCAN };
        self.event(JoinerEvent::Scanning);
        self.push(JoinerOutput::RequestBeacons);
    }

    fn handshake_directly(&mut self, now: Instant) {
        let retransmission = self.config.retransmission.over(Some(HOPS_ASSUMED));
        self.handshake(now, Path::Direct, retransmission);
    }

    fn handshake(&mut self, now: Instant, path: Path, retransmission: Retransmission) {
        self.handshakes += 1;
        let random =
            hmac_sha256(self.seed.expose(), &[b"client random", &self.handshakes.to_be_bytes()]);
        let config = ClientConfig {
            group_request: Some(&self.config.group_request),
            datagram_len_max: JOIN_DATAGRAM_OCTETS_MAX,
            retransmission,
            key_log: self.config.key_log,
            ..ClientConfig::new(&self.config.identity, self.config.psk.clone())
        };
        let prng = Prng::new(self.prng.next_u64());
        let mut client = Client::new(self.config.ccm, config, random, prng)
            .expect("identity and request are bounded by their types");
        client.handle(now, ClientInput::Start);
        self.client = Some(client);
        self.newest = None;
        self.storing.clear();
        self.state = State::Handshaking {
            path,
            silent_at: now + SILENCE_MAX,
            give_up_at: now + HANDSHAKE_MAX,
        };
        self.event(JoinerEvent::Handshake(path));
    }

    /// The next relay of this scan, or a pause and another scan.
    fn next_relay(&mut self, now: Instant) {
        if let Some(candidate) = self.candidates.take_best() {
            self.push(JoinerOutput::Tune(candidate));
            // A relay in a crowd passes who speaks again before who never did, so that the first repetition is
            // soon.
            let in_crowd = candidate.beacon.load >= CROWD_LOAD_MIN;
            let rank = candidate.beacon.dag_rank.clamp(1, HOPS_BELIEVED_MAX);
            let retransmission = match self.config.retransmission {
                Retransmission::Adaptive { .. } if in_crowd => Retransmission::Crowded,
                policy => policy.over(Some(rank)),
            };
            self.handshake(now, Path::Relay(candidate.relay), retransmission);
            return;
        }
        // Relays that failed may have failed for a reason that passes: they get another chance,
        // after a pause that grows if the reason does not.
        let failed = core::mem::take(&mut self.failed_since_rest);
        self.candidates.forget_failures();
        let pause = self.pause(if failed { REST_REFUSED_MAX } else { REST_MAX });
        if !failed && !planted(Fault::PausesUnbounded) {
            // That nobody was heard, however often, is no reason to be patient with who is heard then.
            self.vain = self.vain.min(UNHEARD_VAIN_MAX);
        }
        self.state = State::Resting { until: now + pause };
    }

    /// Doubles with each attempt in vain, less up to a quarter so that devices fall out of step.
    fn pause(&mut self, longest: Duration) -> Duration {
        let longest = if planted(Fault::PausesUnbounded) { Duration::MAX } else { longest };
        let pause = REST_MIN.saturating_mul(1 << self.vain.min(12)).min(longest);
        self.vain = self.vain.saturating_add(1);
        let spread = u64::try_from(pause.as_micros() / 4).unwrap_or(u64::MAX);
        pause - Duration::from_micros(self.prng.below(spread))
    }

    /// An attempt by `path` is over.
    fn fail(&mut self, now: Instant, path: Path, cause: Failure) {
        self.end_session();
        self.event(JoinerEvent::Failed { path, cause });
        match path {
            // The manager said no, authentically: no other relay has another manager.
            Path::Relay(_) if matches!(cause, Failure::Refused(_)) => {
                self.vain = self.vain.max(REFUSED_VAIN_MIN);
                self.candidates.forget_failures();
                let pause = self.pause(REST_REFUSED_MAX);
                self.state = State::Resting { until: now + pause };
            }
            Path::Relay(relay) => {
                self.failed_since_rest = true;
                self.candidates.fail(relay);
                self.next_relay(now);
            }
            Path::Direct => self.rest_alone(now),
        }
    }

    /// Without a session until a pause is over; a border router's pauses stay short, since nobody is
    /// admitted without it.
    fn rest_alone(&mut self, now: Instant) {
        let longest = if self.config.greet_every.is_some() { REST_MAX } else { REST_REFUSED_MAX };
        self.state = State::MemberAlone { retry_at: now + self.pause(longest) };
    }

    fn session_lost(&mut self, now: Instant, reason: CloseReason) {
        self.end_session();
        self.event(JoinerEvent::SessionLost(reason));
        self.rest_alone(now);
    }

    /// Somebody says that the manager knows of no session.
    fn doubted(&mut self, now: Instant) {
        if !matches!(self.state, State::Member { path: Path::Direct }) {
            return;
        }
        if now >= self.doubt_allowed_at {
            self.doubt_allowed_at = now + DOUBT_INTERVAL;
            self.push(JoinerOutput::Greet);
        } else {
            self.greet_at = self.greet_at.min(self.doubt_allowed_at);
        }
    }

    fn end_session(&mut self) {
        self.client = None;
        self.newest = None;
        self.storing.clear();
    }

    fn attached(&mut self, now: Instant) {
        self.direct = true;
        match &mut self.state {
            State::Member { path } => *path = Path::Direct,
            State::MemberAlone { retry_at } => *retry_at = now,
            // It kept its keys over a restart, not its session; a building that gets power back makes
            // new ones one after the other.
            State::Idle => {
                let spread = u64::try_from(RESUME_SPREAD.as_micros()).unwrap_or(u64::MAX);
                let retry_at = now + Duration::from_micros(self.prng.below(spread));
                self.state = State::MemberAlone { retry_at };
            }
            State::Scanning { .. }
            | State::Resting { .. }
            | State::Handshaking { .. }
            | State::AwaitingKeys { .. } => {}
        }
    }

    fn datagram(&mut self, now: Instant, path: Path, octets: &mut [u8]) {
        let expected = match (self.path(), path) {
            // The manager learns of the move with the first record from the new address.
            (Some(Path::Direct), Path::Relay(_)) => self.is_member(),
            (Some(own), path) => own == path,
            (None, _) => false,
        };
        let Some(client) = self.client.as_mut().filter(|_| expected) else {
            return self.roused(now, path, octets);
        };
        client.handle(now, ClientInput::Datagram(octets));
        if let State::Handshaking { silent_at, .. } = &mut self.state {
            // Whoever answers may be a forger; the deadline of the handshake bounds him.
            *silent_at = now + SILENCE_AFTER_ANSWER_MAX;
        }
    }

    /// The manager asks a member that waits to make its session anew: it waits no longer. Anybody in the
    /// building's network can pose as the manager, and no more often than he can make a member doubt.
    fn roused(&mut self, now: Instant, path: Path, octets: &[u8]) {
        if let (State::MemberAlone { retry_at }, Path::Direct) = (&mut self.state, path)
            && is_hello_request(octets)
        {
            *retry_at = (*retry_at).min(self.doubt_allowed_at.max(now));
            self.doubt_allowed_at = *retry_at + DOUBT_INTERVAL;
        }
    }

    /// Does what is due; whether anything was.
    fn expire(&mut self, now: Instant) -> bool {
        match self.state {
            State::Scanning { until } if now >= until => self.next_relay(now),
            State::Resting { until } if now >= until => self.scan(now),
            State::Handshaking { path, silent_at, .. } if now >= silent_at => {
                self.fail(now, path, Failure::Silence);
            }
            State::Handshaking { path, give_up_at, .. } if now >= give_up_at => {
                self.fail(now, path, Failure::HandshakeTimeout);
            }
            State::AwaitingKeys { path, give_up_at } if now >= give_up_at => {
                // The manager is there and took us in: it is the way that lost something.
                self.vain = 0;
                self.fail(now, path, Failure::KeysTimeout);
            }
            State::MemberAlone { retry_at } if now >= retry_at && self.direct => {
                self.handshake_directly(now);
            }
            State::Member { path: Path::Direct } if now >= self.greet_at => {
                self.greet_later(now);
                self.doubt_allowed_at = now + DOUBT_INTERVAL;
                self.push(JoinerOutput::Greet);
            }
            State::Idle
            | State::Scanning { .. }
            | State::Resting { .. }
            | State::Handshaking { .. }
            | State::AwaitingKeys { .. }
            | State::Member { .. }
            | State::MemberAlone { .. } => return false,
        }
        true
    }

    fn greet_later(&mut self, now: Instant) {
        self.greet_at = self.config.greet_every.map_or(Instant::FAR_FUTURE, |every| now + every);
    }

    fn wake_at(&self) -> Instant {
        let own = match self.state {
            State::Member { path: Path::Direct } => self.greet_at,
            State::Scanning { until } | State::Resting { until } => until,
            State::Handshaking { silent_at, give_up_at, .. } => silent_at.min(give_up_at),
            State::AwaitingKeys { give_up_at, .. } => give_up_at,
            State::MemberAlone { retry_at } if self.direct => retry_at,
            State::Idle | State::Member { .. } | State::MemberAlone { .. } => Instant::FAR_FUTURE,
        };
        own.min(self.client_until)
    }

    /// Drains the client by one output; whether there was one.
    fn drain_client(&mut self, now: Instant) -> bool {
        let Some((path, client)) = self.path().zip(self.client.as_mut()) else {
            self.client_until = Instant::FAR_FUTURE;
            return false;
        };
        let mut buffer = [0; JOIN_DATAGRAM_OCTETS_MAX];
        match client.poll(now, &mut buffer) {
            ClientOutput::Transmit { len } => {
                let octets = first(&buffer, len);
                self.push(JoinerOutput::Datagram { path, octets });
            }
            ClientOutput::KeyLog(log) => self.event(JoinerEvent::KeyLog(log)),
            ClientOutput::Established { .. } => {
                self.state = State::AwaitingKeys { path, give_up_at: now + KEYS_MAX };
                self.event(JoinerEvent::Authenticated(path));
            }
            ClientOutput::Received { content_type, len } => {
                let content = first(&buffer, len);
                match content_type {
                    ContentType::ApplicationData => self.push(JoinerOutput::Application(content)),
                    ContentType::KeyData | ContentType::KeyParameters => {
                        self.messages(now, path, content);
                    }
                }
            }
            // A joiner offers no heartbeats.
            ClientOutput::HeartbeatAnswered => {}
            ClientOutput::Event(drop) => {
                self.event(JoinerEvent::RecordDropped(drop));
                if drop == RecordDrop::HelloRequested {
                    self.doubted(now);
                }
            }
            ClientOutput::Closed { reason } => self.closed(now, path, reason),
            ClientOutput::Wait { until } => {
                self.client_until = until;
                return false;
            }
        }
        true
    }

    fn closed(&mut self, now: Instant, path: Path, reason: CloseReason) {
        if self.is_member() {
            self.session_lost(now, reason);
        } else {
            self.fail(now, path, Failure::Closed(reason));
        }
    }

    /// One record of key management: what is new goes to the owner, what was stored is confirmed again.
    fn messages(&mut self, now: Instant, path: Path, content: Content) {
        let mut ids = Ids::new();
        let mut fresh = false;
        let mut configured = false;
        for message in Messages::new(&content) {
            let Ok(message) = message else {
                return self.event(JoinerEvent::Malformed);
            };
            match &message {
                Message::Err { error, .. } if matches!(self.state, State::AwaitingKeys { .. }) => {
                    return self.fail(now, path, Failure::Refused(*error));
                }
                Message::Ack { .. } | Message::Err { .. } | Message::Followed(_) => continue,
                Message::Cfg { .. } => configured = true,
                Message::Mkd(_) | Message::Spd(_) | Message::Req(_) | Message::Path(_) => {}
            }
            let id = message.msg_id();
            fresh |= self.newest.is_none_or(|newest| id.is_newer_than(newest));
            if ids.push(id).is_err() {
                return self.event(JoinerEvent::Malformed);
            }
        }
        if !fresh {
            self.confirm(&ids);
        } else if self.storing.iter().all(|storing| storing.ids != ids) {
            let ticket = self.next_ticket;
            self.next_ticket = self.next_ticket.wrapping_add(1);
            if self.storing.is_full() {
                self.storing.remove(0);
            }
            let storing = Storing { ticket, ids, configured };
            assert!(self.storing.push(storing).is_ok(), "room was made");
            self.push(JoinerOutput::Keys { ticket, content });
        }
    }

    fn stored(&mut self, now: Instant, ticket: u32) {
        let Some(at) = self.storing.iter().position(|storing| storing.ticket == ticket) else {
            return; // its session ended meanwhile
        };
        let storing = self.storing.remove(at);
        let newest = |a: MsgId, b: MsgId| if b.is_newer_than(a) { b } else { a };
        self.newest = storing.ids.iter().copied().chain(self.newest).reduce(newest);
        self.confirm(&storing.ids);
        if let (State::AwaitingKeys { path, .. }, true) = (&self.state, storing.configured) {
            self.state = State::Member { path: *path };
            self.greet_later(now);
            self.vain = 0;
            self.candidates.forget_failures();
            self.event(JoinerEvent::Member);
            if self.direct {
                self.attached(now);
            }
        }
    }

    fn confirm(&mut self, ids: &Ids) {
        let acks: Vec<Message, CONFIRMED_MAX> =
            ids.iter().map(|msg_id| Message::Ack { msg_id: *msg_id }).collect();
        let mut content = [0; 2 * CONFIRMED_MAX];
        let len = emit_all(&acks, &mut content).expect("two octets each");
        // Without a session there is nobody to tell; the manager asks again in the next one.
        let _ = self.seal(ContentType::KeyParameters, &content[..len]);
    }
}

/// The octets that were written to a buffer.
fn first(buffer: &[u8; JOIN_DATAGRAM_OCTETS_MAX], len: usize) -> Datagram {
    List::from_slice(&buffer[..len]).expect("no more than the buffer has")
}
