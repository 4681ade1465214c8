//! Our two ends, each by itself: fed by hand, drained at once, and what they said written down.

use lowgate_crypto::SoftCcm;
use lowgate_dtls::{
    Client, ClientConfig, ClientInput, ClientOutput, CloseReason, ContentType, Peer, Psk,
    PskDirectory, Server, ServerConfig, ServerInput, ServerOutput, SessionId,
};
#[cfg(feature = "x509")]
use lowgate_dtls::{Identity, UnixTime};
#[cfg(feature = "x509")]
use lowgate_units::Eui64;
use lowgate_units::{Duration, Instant, Ipv6Addr, Prng, SeededEntropy};

pub(crate) const IDENTITY: &[u8] = b"d1";
pub(crate) const KEY: &[u8] = &[7; 16];
const START: Instant = Instant::from_secs(1000);

struct Known;

impl PskDirectory for Known {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        (identity == IDENTITY).then(|| Psk::new(KEY)).flatten()
    }

    #[cfg(feature = "x509")]
    fn device(&self, eui64: Eui64) -> Option<Identity> {
        (eui64 == crate::chains::device(1)).then(|| Identity::from_slice(IDENTITY).ok()).flatten()
    }

    #[cfg(feature = "x509")]
    fn unix_time(&self) -> Option<UnixTime> {
        Some(crate::chains::NOW)
    }
}

pub(crate) fn at(port: u16) -> Peer {
    Peer { addr: Ipv6Addr::LOCALHOST, port, relay_header: heapless::Vec::new() }
}

/// A server, and all that it said.
pub(crate) struct Hall {
    pub(crate) server: Server,
    pub(crate) directory: Box<dyn PskDirectory>,
    entropy: SeededEntropy,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<(Peer, Vec<u8>)>,
    pub(crate) established: Vec<SessionId>,
    pub(crate) failed: Vec<CloseReason>,
    pub(crate) closed: Vec<CloseReason>,
    pub(crate) received: Vec<(ContentType, Vec<u8>)>,
    pub(crate) moved: Vec<Peer>,
}

impl Hall {
    pub(crate) fn new(edit: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::new(&SoftCcm);
        edit(&mut config);
        let mut entropy = SeededEntropy::new(1);
        let server = Server::new(config, Prng::new(1), &mut entropy);
        Self {
            server,
            directory: Box::new(Known),
            entropy,
            now: START,
            sent: Vec::new(),
            established: Vec::new(),
            failed: Vec::new(),
            closed: Vec::new(),
            received: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// What it sends in answer to a datagram.
    pub(crate) fn hear(&mut self, peer: &Peer, octets: &[u8]) -> Vec<Vec<u8>> {
        let input = ServerInput::Datagram { peer, octets: &mut octets.to_vec() };
        self.server.handle(self.now, input, &*self.directory, &mut self.entropy);
        let before = self.sent.len();
        self.drain();
        self.sent[before..].iter().map(|(_, octets)| octets.clone()).collect()
    }

    pub(crate) fn drain(&mut self) -> Instant {
        loop {
            match self.server.poll(self.now) {
                ServerOutput::Transmit { peer, octets } => self.sent.push((peer, octets)),
                ServerOutput::Established { session, .. } => self.established.push(session),
                ServerOutput::HandshakeFailed { reason, .. } => self.failed.push(reason),
                ServerOutput::Closed { reason, .. } => self.closed.push(reason),
                ServerOutput::Received { content_type, octets, .. } => {
                    self.received.push((content_type, octets));
                }
                ServerOutput::PeerMoved { peer, .. } => self.moved.push(peer),
                ServerOutput::HandshakeStarted { .. }
                | ServerOutput::HeartbeatAnswered { .. }
                | ServerOutput::KeyLog(_)
                | ServerOutput::Event { .. } => {}
                ServerOutput::Wait { until } => return until,
            }
        }
    }

    /// How many alerts left in the clear.
    pub(crate) fn alerts(&self) -> usize {
        self.sent.iter().filter(|(_, octets)| octets[0] == 21).count()
    }
}

/// A client that has said its first hello, and all that it said since.
pub(crate) struct Guest {
    pub(crate) client: Client,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) established: usize,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) received: Vec<(ContentType, Vec<u8>)>,
}

impl Guest {
    pub(crate) fn new(random: u8, edit: impl FnOnce(&mut ClientConfig<'_>)) -> Self {
        let mut config = ClientConfig::new(IDENTITY, Psk::new(KEY).expect("16 octets"));
        config.connection_id = false;
        edit(&mut config);
        let client = Client::new(&SoftCcm, config, [random; 32], Prng::new(u64::from(random)));
        let mut guest = Self {
            client: client.expect("a good configuration"),
            now: START,
            sent: Vec::new(),
            established: 0,
            closed: None,
            received: Vec::new(),
        };
        guest.client.handle(START, ClientInput::Start);
        guest.drain();
        guest
    }

    /// What it sends in answer to a datagram.
    pub(crate) fn hear(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        self.client.handle(self.now, ClientInput::Datagram(&mut octets.to_vec()));
        let before = self.sent.len();
        self.drain();
        self.sent[before..].to_vec()
    }

    pub(crate) fn drain(&mut self) -> Instant {
        let mut buf = [0; 2048];
        loop {
            match self.client.poll(self.now, &mut buf) {
                ClientOutput::Transmit { len } => self.sent.push(buf[..len].to_vec()),
                ClientOutput::Established { .. } => self.established += 1,
                ClientOutput::Received { content_type, len } => {
                    self.received.push((content_type, buf[..len].to_vec()));
                }
                ClientOutput::Closed { reason } => self.closed = Some(reason),
                ClientOutput::HeartbeatAnswered
                | ClientOutput::KeyLog(_)
                | ClientOutput::Event(_) => {}
                ClientOutput::Wait { until } => return until,
            }
        }
    }

    /// Goes on with `hall` over a path that loses nothing, until it is in, or gave up within two minutes.
    pub(crate) fn settle(&mut self, hall: &mut Hall, peer: &Peer) {
        let end = self.now + Duration::from_secs(120);
        let mut at = self.sent.len().saturating_sub(1);
        hall.now = hall.now.max(self.now);
        while self.established == 0 && self.closed.is_none() {
            if at < self.sent.len() {
                let octets = self.sent[at].clone();
                at += 1;
                hall.hear(peer, &octets);
                let answers: Vec<_> =
                    hall.sent.drain(..).filter(|(to, _)| to == peer).map(|(_, o)| o).collect();
                answers.iter().for_each(|answer| drop(self.hear(answer)));
                continue;
            }
            let until = self.drain();
            if at == self.sent.len() {
                assert!(until <= end, "it waits for nothing");
                self.now = until.max(self.now);
                hall.now = hall.now.max(self.now);
                hall.drain();
                self.drain();
            }
        }
        // The last flight of who resumed, or a goodbye.
        while at < self.sent.len() {
            let octets = self.sent[at].clone();
            at += 1;
            hall.hear(peer, &octets);
        }
    }
}
