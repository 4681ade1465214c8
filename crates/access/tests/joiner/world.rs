//! A joiner, a DTLS server with the few lines of a domain manager, and the relays between them.

use lowgate_access::beacon::Beacon;
use lowgate_access::candidates::Candidate;
use lowgate_access::joiner::{
    Failure, Joiner, JoinerConfig, JoinerEvent, JoinerInput, JoinerOutput, Path,
};
use lowgate_amikey::{
    Cfg, CsbId, Generation, GroupId, GroupRequest, KeyError, KeyIndex, KeyUsage, LinkKey, Message,
    Messages, Mkd, MsgId, OldEpoch, Rand, RequestFlags, Spd, SpdParameters, TekId, Tgk, emit_all,
};
use lowgate_crypto::{Key128, Secret, SoftCcm};
use lowgate_dtls::{
    CloseReason, ContentType, GroupAnswer, Peer, Psk, PskDirectory, Retransmission, Server,
    ServerConfig, ServerInput, ServerOutput, SessionId,
};
use lowgate_units::{
    Duration, Eui64, Instant, Ipv6Addr, Lqi, PanId, Prng, Rssi, SeededEntropy, ShortAddr,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const JOINER: Eui64 = Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, 0x99]);
/// How long the manager waits for acknowledgements before it repeats a record.
const REPEAT: Duration = Duration::from_secs(2);
/// Outputs in a row after which a machine is in a loop.
const OUTPUTS_AT_ONCE_MAX: usize = 1000;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The relay of this number; smaller ones are nearer to the root, so they are tried first.
pub(crate) const fn relay(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 1, n])
}

pub(crate) fn candidate(n: u8) -> Candidate {
    Candidate {
        relay: relay(n),
        pan_id: PanId::new(0x1234).expect("not broadcast"),
        beacon: Beacon { join_open: true, domain_hint: [1, 2, 3, 4], dag_rank: n, load: 0 },
        rssi: Rssi(-60),
        lqi: Lqi(200),
    }
}

/// What the way between joiner and server does to datagrams.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) loss: f64,
    pub(crate) duplicate: f64,
    pub(crate) delay: (Duration, Duration),
}

/// What the manager does with whom it authenticated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Sends MKD, SPD and CFG, until they are acknowledged.
    Admit,
    Refuse,
    Ignore,
}

/// When the joiner's owner says that keys are stored.
#[derive(Clone, Copy)]
pub(crate) enum Storage {
    After(Duration),
    /// When the test says so.
    Held,
}

#[derive(Debug)]
enum Due {
    ToServer(Path, Vec<u8>),
    ToJoiner(Path, Vec<u8>),
    Beacon(Candidate),
    Stored(u32),
    Repeat(SessionId),
}

/// Who may join, by a key that the test may change.
struct Directory(u8);

impl PskDirectory for Directory {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        Psk::new(&[self.0; 16]).filter(|_| identity == JOINER.0)
    }

    fn group_answer(&self, request: &[u8]) -> Option<GroupAnswer> {
        let request = GroupRequest::parse(request).expect("the joiner's request");
        Some(GroupAnswer::from_slice(&[1, request.flags.0]).expect("short"))
    }
}

/// One authenticated session as the manager knows it.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Sent and not acknowledged: the record, and the numbers of its messages.
    unconfirmed: Option<(Vec<u8>, BTreeSet<MsgId>)>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) joiner: Joiner,
    pub(crate) server: Server,
    pub(crate) faults: Faults,
    pub(crate) policy: Policy,
    pub(crate) storage: Storage,
    /// Relays that answer a beacon request.
    pub(crate) relays: Vec<u8>,
    /// What their beacons say.
    pub(crate) load: u8,
    /// Relays and ways that pass nothing on.
    pub(crate) silent: Vec<Path>,
    /// What the joiner told, noise apart.
    pub(crate) events: Vec<(Instant, JoinerEvent)>,
    pub(crate) noise: usize,
    /// Records handed out for storage.
    pub(crate) keys: Vec<(u32, Vec<u8>)>,
    pub(crate) greetings: Vec<Instant>,
    pub(crate) applications: Vec<Vec<u8>>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) acks: Vec<MsgId>,
    pub(crate) uplinks: Vec<Vec<u8>>,
    pub(crate) moves: Vec<Peer>,
    /// Every datagram that reached the joiner.
    pub(crate) delivered: Vec<(Path, Vec<u8>)>,
    directory: Directory,
    prng: Prng,
    entropy: SeededEntropy,
    due: BTreeMap<(Instant, u64), Due>,
    queued: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, config(None))
    }

    /// A border router's joiner: it greets so often.
    pub(crate) fn greeting(seed: u64, every: Duration) -> Self {
        Self::with(seed, config(Some(every)))
    }

    fn with(seed: u64, config: JoinerConfig) -> Self {
        let root = Prng::new(seed);
        let mut entropy = SeededEntropy::new(seed);
        // What a joiner makes of an alert is looked at here: one that is barred would hear none.
        let told = ServerConfig { bar_for: None, ..ServerConfig::new(&SoftCcm) };
        let server = Server::new(told, root.fork(1), &mut entropy);
        Self {
            now: Instant::from_secs(100),
            joiner: Joiner::new(config, Secret::new([seed as u8; 32]), root.fork(2)),
            server,
            faults: Faults { loss: 0.0, duplicate: 0.0, delay: (millis(30), millis(30)) },
            policy: Policy::Admit,
            storage: Storage::After(millis(5)),
            relays: vec![1, 2, 3],
            load: 0,
            silent: Vec::new(),
            events: Vec::new(),
            noise: 0,
            keys: Vec::new(),
            greetings: Vec::new(),
            applications: Vec::new(),
            sessions: Vec::new(),
            acks: Vec::new(),
            uplinks: Vec::new(),
            moves: Vec::new(),
            delivered: Vec::new(),
            directory: Directory(7),
            prng: root.fork(3),
            entropy,
            due: BTreeMap::new(),
            queued: 0,
        }
    }

    /// A world whose joiner looks for a network.
    pub(crate) fn joining(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.tell(JoinerInput::Start);
        world
    }

    /// A world whose joiner is a member by way of the first relay.
    pub(crate) fn joined(seed: u64) -> Self {
        let mut world = Self::joining(seed);
        assert!(world.run_until(secs(10), |world| world.joiner.is_member()), "{:?}", world.events);
        world.run_for(secs(1));
        world
    }

    /// The manager's directory has another key for the joiner.
    pub(crate) const fn with_another_psk(mut self) -> Self {
        self.directory = Directory(8);
        self
    }

    pub(crate) fn tell(&mut self, input: JoinerInput<'_>) {
        self.joiner.handle(self.now, input);
        self.drain_joiner();
    }

    /// Gives a datagram to the joiner, outside of the network.
    pub(crate) fn inject(&mut self, path: Path, octets: &[u8]) {
        let octets = &mut octets.to_vec()[..];
        self.tell(JoinerInput::Datagram { path, octets });
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Runs until `done` holds, at most for `patience`; whether it holds.
    pub(crate) fn run_until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let deadline = self.now + patience;
        loop {
            let timers = self.drain_joiner().min(self.drain_server());
            if done(self) {
                return true;
            }
            let first = self.due.keys().next().map_or(Instant::FAR_FUTURE, |(at, _)| *at);
            let next = timers.min(first);
            if next > deadline {
                self.now = deadline;
                return false;
            }
            assert!(next >= self.now, "a machine waits for the past");
            self.now = next;
            if first == next {
                let (_, due) = self.due.pop_first().expect("the first");
                self.perform(due);
            }
        }
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::ToServer(path, mut octets) => {
                let peer = peer(path);
                let input = ServerInput::Datagram { peer: &peer, octets: &mut octets };
                self.server.handle(self.now, input, &self.directory, &mut self.entropy);
            }
            Due::ToJoiner(path, mut octets) => {
                self.delivered.push((path, octets.clone()));
                let octets = &mut octets[..];
                self.joiner.handle(self.now, JoinerInput::Datagram { path, octets });
            }
            Due::Beacon(candidate) => {
                self.joiner.handle(self.now, JoinerInput::BeaconHeard(candidate));
            }
            Due::Stored(ticket) => self.joiner.handle(self.now, JoinerInput::Stored { ticket }),
            Due::Repeat(session) => self.repeat(session),
        }
    }

    fn later(&mut self, delay: Duration, due: Due) {
        self.queued += 1;
        self.due.insert((self.now + delay, self.queued), due);
    }

    /// A datagram on its way, or its copies, or nothing.
    fn transfer(&mut self, path: Path, octets: Vec<u8>, due: fn(Path, Vec<u8>) -> Due) {
        let Faults { loss, duplicate, delay: (least, most) } = self.faults;
        let copies = if self.prng.unit_f64() < duplicate { 2 } else { 1 };
        for _ in 0..copies {
            let lost = self.prng.unit_f64() < loss || self.silent.contains(&path);
            let spread = (most - least).as_micros() as u64 + 1;
            let delay = least + Duration::from_micros(self.prng.below(spread));
            if !lost {
                self.later(delay, due(path, octets.clone()));
            }
        }
    }

    /// Performs what the joiner wants; gives the time at which it wants to be polled.
    pub(crate) fn drain_joiner(&mut self) -> Instant {
        for _ in 0..OUTPUTS_AT_ONCE_MAX {
            match self.joiner.poll(self.now) {
                JoinerOutput::RequestBeacons => {
                    for n in self.relays.clone() {
                        let mut heard = candidate(n);
                        heard.beacon.load = self.load;
                        self.later(millis(40), Due::Beacon(heard));
                    }
                }
                JoinerOutput::Tune(_) => {}
                JoinerOutput::Datagram { path, octets } => {
                    self.transfer(path, octets.to_vec(), Due::ToServer);
                }
                JoinerOutput::Keys { ticket, content } => {
                    self.keys.push((ticket, content.to_vec()));
                    if let Storage::After(delay) = self.storage {
                        self.later(delay, Due::Stored(ticket));
                    }
                }
                JoinerOutput::Application(content) => self.applications.push(content.to_vec()),
                JoinerOutput::Greet => self.greetings.push(self.now),
                JoinerOutput::Event(JoinerEvent::RecordDropped(_)) => self.noise += 1,
                JoinerOutput::Event(event) => self.events.push((self.now, event)),
                JoinerOutput::Wait { until } => return until,
            }
        }
        panic!("the joiner stands still at {}: {:?}", self.now, self.events);
    }

    fn drain_server(&mut self) -> Instant {
        loop {
            match self.server.poll(self.now) {
                ServerOutput::Transmit { peer, octets } => {
                    self.transfer(path(&peer), octets, Due::ToJoiner);
                }
                ServerOutput::Established { session, identity, .. } => {
                    assert_eq!(*identity, JOINER.0);
                    self.admit(session);
                }
                ServerOutput::Received { session, content_type, octets } => {
                    self.received(session, content_type, octets);
                }
                ServerOutput::PeerMoved { peer, .. } => self.moves.push(peer),
                ServerOutput::Closed { session, .. } => {
                    self.sessions.retain(|known| known.id != session);
                }
                ServerOutput::HandshakeStarted { .. }
                | ServerOutput::HandshakeFailed { .. }
                | ServerOutput::HeartbeatAnswered { .. }
                | ServerOutput::KeyLog(_)
                | ServerOutput::Event { .. } => {}
                ServerOutput::Wait { until } => return until,
            }
        }
    }

    fn admit(&mut self, id: SessionId) {
        self.sessions.push(Session { id, unconfirmed: None });
        match self.policy {
            Policy::Admit => self.send_keys(&keys(1)),
            Policy::Refuse => {
                let no = Message::Err { msg_id: MsgId(0), error: KeyError::NotAuthorized };
                let octets = emit(&[no]);
                self.server
                    .send(self.now, id, ContentType::KeyParameters, &octets)
                    .expect("a session");
            }
            Policy::Ignore => {}
        }
    }

    /// The manager sends a record of messages to the newest session, until they are acknowledged.
    pub(crate) fn send_keys(&mut self, messages: &[Message]) {
        let octets = emit(messages);
        let ids = messages.iter().map(Message::msg_id).collect();
        let session = self.sessions.last_mut().expect("a session");
        session.unconfirmed = Some((octets.clone(), ids));
        let id = session.id;
        self.server.send(self.now, id, ContentType::KeyData, &octets).expect("a session");
        self.later(REPEAT, Due::Repeat(id));
    }

    /// The same once, whatever is acknowledged.
    pub(crate) fn send_keys_once(&mut self, messages: &[Message]) {
        let id = self.session();
        self.server.send(self.now, id, ContentType::KeyData, &emit(messages)).expect("a session");
    }

    fn repeat(&mut self, id: SessionId) {
        let session = self.sessions.iter().find(|session| session.id == id);
        if let Some((octets, _)) = session.and_then(|session| session.unconfirmed.clone()) {
            self.server.send(self.now, id, ContentType::KeyData, &octets).expect("a session");
            self.later(REPEAT, Due::Repeat(id));
        }
    }

    fn received(&mut self, id: SessionId, content_type: ContentType, octets: Vec<u8>) {
        if content_type == ContentType::ApplicationData {
            self.uplinks.push(octets);
            return;
        }
        for message in Messages::new(&octets) {
            let Ok(Message::Ack { msg_id }) = message else {
                panic!("{message:?} from a joiner");
            };
            self.acks.push(msg_id);
            for session in self.sessions.iter_mut().filter(|session| session.id == id) {
                if let Some((_, ids)) = &mut session.unconfirmed {
                    ids.remove(&msg_id);
                }
                session.unconfirmed.take_if(|(_, ids)| ids.is_empty());
            }
        }
    }

    /// The newest session.
    pub(crate) fn session(&self) -> SessionId {
        self.sessions.last().expect("a session").id
    }

    /// Whether the manager waits for no acknowledgement.
    pub(crate) fn all_confirmed(&self) -> bool {
        self.sessions.last().is_some_and(|session| session.unconfirmed.is_none())
    }

    /// The manager sends application data.
    pub(crate) fn server_sends(&mut self, payload: &[u8]) {
        let (id, kind) = (self.session(), ContentType::ApplicationData);
        self.server.send(self.now, id, kind, payload).expect("a session");
    }

    /// The manager ends the newest session.
    pub(crate) fn close_session(&mut self) {
        self.server.close(self.now, self.session());
    }

    /// Ways of the handshakes so far.
    pub(crate) fn handshakes(&self) -> Vec<(Instant, Path)> {
        let path = |(at, event): &(Instant, JoinerEvent)| match event {
            JoinerEvent::Handshake(path) => Some((*at, *path)),
            _ => None,
        };
        self.events.iter().filter_map(path).collect()
    }

    /// Attempts that failed, and why.
    pub(crate) fn failures(&self) -> Vec<(Instant, Path, Failure)> {
        let failure = |(at, event): &(Instant, JoinerEvent)| match event {
            JoinerEvent::Failed { path, cause } => Some((*at, *path, *cause)),
            _ => None,
        };
        self.events.iter().filter_map(failure).collect()
    }

    /// How often `event` was told.
    pub(crate) fn count(&self, event: &JoinerEvent) -> usize {
        self.events.iter().filter(|(_, told)| told == event).count()
    }

    pub(crate) fn lost_sessions(&self) -> Vec<CloseReason> {
        let lost = |(_, event): &(Instant, JoinerEvent)| match event {
            JoinerEvent::SessionLost(reason) => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(lost).collect()
    }
}

fn config(greet_every: Option<Duration>) -> JoinerConfig {
    let request = GroupRequest {
        flags: RequestFlags::SPOKEN,
        node_id: heapless::Vec::from_slice(&JOINER.0).expect("8 octets"),
        groups: heapless::Vec::new(),
    };
    let mut group_request = heapless::Vec::new();
    group_request.resize_default(192).expect("its capacity");
    let len = request.emit(&mut group_request).expect("it fits");
    group_request.truncate(len);
    JoinerConfig {
        ccm: &SoftCcm,
        identity: heapless::Vec::from_slice(&JOINER.0).expect("8 octets"),
        psk: Psk::new(&[7; 16]).expect("16 octets"),
        group_request,
        retransmission: Retransmission::Adaptive { hops: 3 },
        key_log: false,
        greet_every,
    }
}

/// As the manager sees a way: a relay with the joiner in its header, or the device itself.
pub(crate) fn peer(path: Path) -> Peer {
    let (last, relay_header) = match path {
        Path::Relay(relay) => (relay.0[7], heapless::Vec::from_slice(&JOINER.0).expect("8 of 32")),
        Path::Direct => (0xff, heapless::Vec::new()),
    };
    Peer {
        addr: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, last.into()),
        port: 61630,
        relay_header,
    }
}

fn path(peer: &Peer) -> Path {
    let [.., last] = peer.addr.octets();
    if peer.relay_header.is_empty() { Path::Direct } else { Path::Relay(relay(last)) }
}

fn emit(messages: &[Message]) -> Vec<u8> {
    let mut octets = vec![0; 384];
    let len = emit_all(messages, &mut octets).expect("they fit");
    octets.truncate(len);
    octets
}

/// A group's key and epoch and a configuration, numbered from `first`.
pub(crate) fn keys(first: u8) -> [Message; 3] {
    let csb_id = CsbId(0x1234_5678);
    let mkd = Mkd {
        msg_id: MsgId(first),
        csb_id,
        generation: Generation(1),
        group: GroupId(1),
        tgk: Tgk(Key128::new([first; 16])),
    };
    let spd = Spd {
        msg_id: MsgId(first + 1),
        csb_id,
        tek_id: TekId::FIRST,
        sender_id: None,
        rand: Rand(Secret::new([first; 16])),
        old_epoch: OldEpoch::GRACE_DEFAULT,
        parameters: SpdParameters::default(),
    };
    let key = LinkKey {
        index: KeyIndex::FIRST,
        usage: KeyUsage::EncMic64,
        key: Key128::new([first; 16]),
    };
    let cfg = Cfg {
        keys: [key].into_iter().collect(),
        short: ShortAddr::new(9),
        join_rate: Some(100),
        ..Cfg::default()
    };
    [Message::Mkd(mkd), Message::Spd(spd), Message::Cfg { msg_id: MsgId(first + 2), cfg }]
}

/// The numbers of `keys(first)`.
pub(crate) fn ids(first: u8) -> [MsgId; 3] {
    [MsgId(first), MsgId(first + 1), MsgId(first + 2)]
}
