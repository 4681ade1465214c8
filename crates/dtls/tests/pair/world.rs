//! A server, some clients, and a network between them that does as it is told.

use lowgate_crypto::SoftCcm;
#[cfg(feature = "ecc")]
use lowgate_crypto::{PrivateKey, PublicKey, Secret};
#[cfg(feature = "x509")]
use lowgate_dtls::UnixTime;
#[cfg(feature = "ecc")]
use lowgate_dtls::{CipherSuite, Identity};
use lowgate_dtls::{
    Client, ClientConfig, ClientInput, ClientOutput, CloseReason, ContentType, GroupAnswer, KeyLog,
    Peer, Psk, PskDirectory, RecordDrop, Retransmission, Server, ServerConfig, ServerInput,
    ServerOutput, SessionId,
};
#[cfg(feature = "x509")]
use lowgate_units::Eui64;
use lowgate_units::{Duration, Entropy, Instant, Ipv6Addr, Prng, SeededEntropy};
use std::collections::BTreeMap;

pub(crate) const ADAPTIVE: Retransmission = Retransmission::Adaptive { hops: 1 };
pub(crate) const REQUEST: &[u8] = &[1, 1, 8, 2, 0x12, 0x4b, 0, 0, 0, 0, 1, 3, 0, 7, 1];
pub(crate) const ANSWER: &[u8] = &[1, 1];
pub(crate) const DATA: ContentType = ContentType::ApplicationData;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Everyone's key is 16 times the identity's last octet; identities that begin with `x` are unknown.
pub(crate) struct Directory {
    pub(crate) change: Option<Change>,
}

/// What became of everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nobody is known any more.
    Unknown,
    /// All have other keys.
    Key,
    /// They are known, and shall prove it.
    MayNotResume,
}

impl PskDirectory for Directory {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        let key = identity.last().filter(|_| identity[0] != b'x')?;
        match self.change {
            Some(Change::Unknown) => None,
            Some(Change::Key) => Psk::new(&[!*key; 16]),
            Some(Change::MayNotResume) | None => Psk::new(&[*key; 16]),
        }
    }

    #[cfg(feature = "ecc")]
    fn owner(&self, key: &PublicKey) -> Option<Identity> {
        let known = (0..10u8).map(|n| [b'd', b'0' + n]);
        let identity = known.into_iter().find(|name| self.public_key(name) == Some(*key))?;
        Identity::from_slice(&identity).ok()
    }

    #[cfg(feature = "ecc")]
    fn public_key(&self, identity: &[u8]) -> Option<PublicKey> {
        let key = *identity.last()?;
        match self.change {
            Some(Change::Unknown) => None,
            Some(Change::Key) => Some(private_key(!key).public()),
            Some(Change::MayNotResume) | None => Some(private_key(key).public()),
        }
    }

    #[cfg(feature = "x509")]
    fn device(&self, eui64: Eui64) -> Option<Identity> {
        let name = eui64.0[7];
        let known = eui64 == crate::chains::device(name) && self.change != Some(Change::Unknown);
        Identity::from_slice(&[b'd', b'0' + name]).ok().filter(|_| known && name < 10)
    }

    #[cfg(feature = "x509")]
    fn eui64(&self, identity: &[u8]) -> Option<Eui64> {
        let name = identity.last()?.checked_sub(b'0')?;
        (self.change != Some(Change::Unknown)).then(|| crate::chains::device(name))
    }

    #[cfg(feature = "x509")]
    fn unix_time(&self) -> Option<UnixTime> {
        Some(crate::chains::NOW)
    }

    fn may_resume(&self, _: &[u8]) -> bool {
        self.change != Some(Change::MayNotResume)
    }

    fn group_answer(&self, request: &[u8]) -> Option<GroupAnswer> {
        (request[0] == 1).then(|| GroupAnswer::from_slice(ANSWER).expect("short"))
    }
}

/// Of who is called by this octet.
#[cfg(feature = "ecc")]
pub(crate) fn private_key(name: u8) -> PrivateKey {
    PrivateKey::new(&Secret::new([name; 32])).expect("in range")
}

pub(crate) fn peer(port: u16) -> Peer {
    let addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x77);
    Peer { addr, port, relay_header: heapless::Vec::new() }
}

pub(crate) fn config(identity: &[u8]) -> ClientConfig<'_> {
    let psk = Psk::new(&[*identity.last().expect("not empty"); 16]).expect("16 octets");
    ClientConfig { group_request: Some(REQUEST), key_log: true, ..ClientConfig::new(identity, psk) }
}

/// What the network does to datagrams that `tap` does not take.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) loss: f64,
    pub(crate) duplicate: f64,
    pub(crate) delay: (Duration, Duration),
}

impl Default for Faults {
    fn default() -> Self {
        Self { loss: 0.0, duplicate: 0.0, delay: (millis(20), millis(20)) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Towards {
    Server,
    Client,
}

/// A datagram and what becomes of it: each element arrives after its delay.
pub(crate) type Tap = Box<dyn FnMut(Towards, &[u8]) -> Option<Vec<(Duration, Vec<u8>)>>>;

pub(crate) struct Node {
    pub(crate) client: Client,
    pub(crate) peer: Peer,
    pub(crate) established: Vec<Option<GroupAnswer>>,
    pub(crate) received: Vec<(ContentType, Vec<u8>)>,
    pub(crate) drops: Vec<RecordDrop>,
    pub(crate) answered: usize,
    pub(crate) key_log: Vec<KeyLog>,
    pub(crate) closed: Option<(Instant, CloseReason)>,
    pub(crate) sent: Vec<(Instant, Vec<u8>)>,
}

impl Node {
    fn first_drops(&self) -> &[RecordDrop] {
        &self.drops[..self.drops.len().min(20)]
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) session: SessionId,
    pub(crate) peer: Peer,
    pub(crate) identity: Vec<u8>,
    pub(crate) group_request: Option<Vec<u8>>,
}

#[derive(Default)]
pub(crate) struct ServerSaid {
    pub(crate) started: usize,
    pub(crate) established: Vec<Entry>,
    pub(crate) failed: Vec<(Peer, Option<Vec<u8>>, CloseReason)>,
    pub(crate) received: Vec<(SessionId, ContentType, Vec<u8>)>,
    pub(crate) moved: Vec<(SessionId, Peer)>,
    pub(crate) answered: Vec<SessionId>,
    pub(crate) drops: Vec<RecordDrop>,
    pub(crate) closed: Vec<(SessionId, CloseReason)>,
    pub(crate) key_log: Vec<KeyLog>,
    pub(crate) sent: Vec<(Instant, Vec<u8>)>,
    /// Where each of them went.
    pub(crate) sent_to: Vec<Peer>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) said: ServerSaid,
    pub(crate) nodes: Vec<Node>,
    pub(crate) faults: Faults,
    pub(crate) tap: Option<Tap>,
    pub(crate) prng: Prng,
    pub(crate) entropy: SeededEntropy,
    pub(crate) config: ServerConfig,
    pub(crate) change: Option<Change>,
    queue: BTreeMap<(Instant, u64), (Towards, Peer, Vec<u8>)>,
    queued: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, |_| {})
    }

    pub(crate) fn with(seed: u64, edit: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::new(&SoftCcm);
        config.retransmission = ADAPTIVE;
        config.key_log = true;
        edit(&mut config);
        let mut entropy = SeededEntropy::new(seed);
        let server = Server::new(config.clone(), Prng::new(seed).fork(1), &mut entropy);
        Self {
            now: Instant::from_secs(1000),
            server,
            said: ServerSaid::default(),
            nodes: Vec::new(),
            faults: Faults::default(),
            tap: None,
            prng: Prng::new(seed).fork(2),
            entropy,
            config,
            change: None,
            queue: BTreeMap::new(),
            queued: 0,
        }
    }

    /// Adds a client that has not started; returns its index.
    pub(crate) fn add(&mut self, peer: Peer, config: ClientConfig<'_>) -> usize {
        let mut random = [0; 32];
        self.entropy.fill(&mut random);
        let prng = Prng::new(self.prng.next_u64());
        let client = Client::new(&SoftCcm, config, random, prng).expect("good configuration");
        self.nodes.push(Node {
            client,
            peer,
            established: Vec::new(),
            received: Vec::new(),
            drops: Vec::new(),
            answered: 0,
            key_log: Vec::new(),
            closed: None,
            sent: Vec::new(),
        });
        self.nodes.len() - 1
    }

    /// One client that has started.
    pub(crate) fn joining(seed: u64, edit: impl FnOnce(&mut ClientConfig<'_>)) -> Self {
        let mut world = Self::new(seed);
        let mut config = config(b"d1");
        edit(&mut config);
        let node = world.add(peer(1), config);
        world.start(node);
        world
    }

    /// One client with a session.
    pub(crate) fn joined(seed: u64, edit: impl FnOnce(&mut ClientConfig<'_>)) -> Self {
        let mut world = Self::joining(seed, edit);
        world.run_for(secs(1));
        world.expect_joined();
        world
    }

    pub(crate) fn expect_joined(&self) {
        assert_eq!(self.nodes[0].established.len(), 1, "client: {:?}", self.nodes[0].first_drops());
        assert!(!self.said.established.is_empty(), "server: {:?}", self.said.drops.iter().take(20));
    }

    /// Both ends have the same session under this suite, and it works.
    #[cfg(feature = "ecc")]
    pub(crate) fn expect_suite(&mut self, suite: CipherSuite) {
        self.expect_joined();
        let session = self.said.established.last().expect("session");
        assert_eq!(self.nodes[0].client.suite(), Some(suite));
        assert_eq!(self.server.suite(session.session), Some(suite));
        assert_eq!(session.identity, b"d1");
        assert_eq!(self.nodes[0].key_log.last(), self.said.key_log.last());
        self.expect_working();
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.nodes[node].client.handle(self.now, ClientInput::Start);
        self.drain(node);
    }

    pub(crate) fn close(&mut self, node: usize) {
        self.nodes[node].client.handle(self.now, ClientInput::Close);
        self.drain(node);
    }

    /// A record of the client, on its way.
    pub(crate) fn client_sends(&mut self, node: usize, kind: ContentType, payload: &[u8]) {
        let octets = self.seal(node, kind, payload);
        self.put(Towards::Server, node, octets);
    }

    pub(crate) fn seal(&mut self, node: usize, kind: ContentType, payload: &[u8]) -> Vec<u8> {
        let mut out = [0; 1024];
        let len = self.nodes[node].client.send(kind, payload, &mut out).expect("session");
        out[..len].to_vec()
    }

    pub(crate) fn server_sends(&mut self, session: SessionId, kind: ContentType, payload: &[u8]) {
        self.server.send(self.now, session, kind, payload).expect("session");
        self.drain_server();
    }

    /// Something arrives right now, outside of the network.
    pub(crate) fn inject(&mut self, towards: Towards, peer: &Peer, octets: &[u8]) {
        self.deliver(towards, peer.clone(), octets.to_vec());
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timers = (0..self.nodes.len()).map(|node| self.drain(node)).min();
            let until = self.drain_server().min(timers.unwrap_or(Instant::FAR_FUTURE));
            let first = self.queue.keys().next().map_or(Instant::FAR_FUTURE, |(at, _)| *at);
            let next = until.min(first);
            if next > end {
                self.now = end;
                return;
            }
            assert!(next >= self.now, "a machine waits for the past");
            self.now = next;
            if first == next {
                let ((_, _), (towards, peer, octets)) = self.queue.pop_first().expect("first");
                self.deliver(towards, peer, octets);
            }
        }
    }

    fn deliver(&mut self, towards: Towards, peer: Peer, mut octets: Vec<u8>) {
        match towards {
            Towards::Server => {
                let input = ServerInput::Datagram { peer: &peer, octets: &mut octets };
                let directory = Directory { change: self.change };
                self.server.handle(self.now, input, &directory, &mut self.entropy);
                self.drain_server();
            }
            Towards::Client => {
                let Some(node) = self.nodes.iter().position(|node| node.peer == peer) else {
                    return;
                };
                self.nodes[node].client.handle(self.now, ClientInput::Datagram(&mut octets));
                self.drain(node);
            }
        }
    }

    fn put(&mut self, towards: Towards, node: usize, octets: Vec<u8>) {
        let peer = self.nodes[node].peer.clone();
        self.nodes[node].sent.push((self.now, octets.clone()));
        self.queue_datagram(towards, peer, octets);
    }

    fn queue_datagram(&mut self, towards: Towards, peer: Peer, octets: Vec<u8>) {
        let tapped = self.tap.as_mut().and_then(|tap| tap(towards, &octets));
        let arrivals = tapped.unwrap_or_else(|| self.faulty(octets));
        for (delay, octets) in arrivals {
            self.queued += 1;
            self.queue.insert((self.now + delay, self.queued), (towards, peer.clone(), octets));
        }
    }

    fn faulty(&mut self, octets: Vec<u8>) -> Vec<(Duration, Vec<u8>)> {
        let Faults { loss, duplicate, delay: (least, most) } = self.faults;
        let copies = if self.prng.unit_f64() < duplicate { 2 } else { 1 };
        let spread = (most - least).as_micros() as u64 + 1;
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let lost = self.prng.unit_f64() < loss;
            let delay = least + Duration::from_micros(self.prng.below(spread));
            if !lost {
                arrivals.push((delay, octets.clone()));
            }
        }
        arrivals
    }

    fn drain(&mut self, node: usize) -> Instant {
        let mut buf = [0; 1280];
        loop {
            let this = &mut self.nodes[node];
            match this.client.poll(self.now, &mut buf) {
                ClientOutput::Transmit { len } => {
                    self.put(Towards::Server, node, buf[..len].to_vec());
                }
                ClientOutput::KeyLog(line) => this.key_log.push(line),
                ClientOutput::Established { group_answer } => this.established.push(group_answer),
                ClientOutput::Received { content_type, len } => {
                    this.received.push((content_type, buf[..len].to_vec()));
                }
                ClientOutput::HeartbeatAnswered => this.answered += 1,
                ClientOutput::Event(drop) => this.drops.push(drop),
                ClientOutput::Closed { reason } => this.closed = Some((self.now, reason)),
                ClientOutput::Wait { until } => return until,
            }
        }
    }

    fn drain_server(&mut self) -> Instant {
        loop {
            match self.server.poll(self.now) {
                ServerOutput::Transmit { peer, octets } => {
                    assert!(octets.len() <= self.config.datagram_len_max);
                    self.said.sent.push((self.now, octets.clone()));
                    self.said.sent_to.push(peer.clone());
                    self.queue_datagram(Towards::Client, peer, octets);
                }
                ServerOutput::HandshakeStarted { .. } => self.said.started += 1,
                ServerOutput::Established { session, peer, identity, group_request } => {
                    self.said.established.push(Entry {
                        session,
                        peer,
                        identity: identity.into(),
                        group_request: group_request.map(Into::into),
                    });
                }
                ServerOutput::HandshakeFailed { peer, identity, reason } => {
                    self.said.failed.push((peer, identity.map(Into::into), reason));
                }
                ServerOutput::Received { session, content_type, octets } => {
                    self.said.received.push((session, content_type, octets));
                }
                ServerOutput::PeerMoved { session, peer } => self.said.moved.push((session, peer)),
                ServerOutput::HeartbeatAnswered { session } => self.said.answered.push(session),
                ServerOutput::KeyLog(line) => self.said.key_log.push(line),
                ServerOutput::Event { drop, .. } => self.said.drops.push(drop),
                ServerOutput::Closed { session, reason } => {
                    self.said.closed.push((session, reason));
                }
                ServerOutput::Wait { until } => return until,
            }
        }
    }

    /// Payloads go both ways, also in key-management records.
    pub(crate) fn expect_working(&mut self) {
        self.tap = None;
        self.faults = Faults::default();
        let session = self.said.established.last().expect("session").session;
        let (client_got, server_got) = (self.nodes[0].received.len(), self.said.received.len());
        self.client_sends(0, DATA, b"up");
        self.server_sends(session, ContentType::KeyData, b"down");
        self.run_for(millis(50));
        let down = (ContentType::KeyData, b"down".to_vec());
        assert_eq!(self.nodes[0].received[client_got..], [down], "{:?}", self.nodes[0].drops);
        assert_eq!(self.said.received[server_got..], [(session, DATA, b"up".to_vec())]);
    }
}

/// Splits a datagram at its records: type, epoch, number, octets.
pub(crate) fn records(datagram: &[u8], cid_len: usize) -> Vec<(u8, u16, u64, Vec<u8>)> {
    let (mut rest, mut found) = (datagram, Vec::new());
    while !rest.is_empty() {
        let header = if rest[0] == 25 { 13 + cid_len } else { 13 };
        let len = usize::from(u16::from_be_bytes([rest[header - 2], rest[header - 1]]));
        let (record, tail) = rest.split_at(header + len);
        let epoch = u16::from_be_bytes([record[3], record[4]]);
        let seq = record[5..11].iter().fold(0, |n, octet| n << 8 | u64::from(*octet));
        found.push((record[0], epoch, seq, record.to_vec()));
        rest = tail;
    }
    found
}
