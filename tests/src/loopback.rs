//! Our DTLS client and server on UDP sockets of the loopback interface: for peers that speak to
//! sockets and keep their own time. Every wait is for a datagram or a timer of the machine.
//!
//! # Panics
//! All of it when the peer keeps silent for [`PATIENCE`], or when the system has no sockets left.

use crate::certificates::DEVICE;
use lowgate_crypto::{PrivateKey, PublicKey, Secret, SoftCcm};
use lowgate_dtls::{
    Client, ClientConfig, ClientInput, ClientOutput, CloseReason, ContentType, Credential,
    Identity, Peer, Psk, PskDirectory, RecordDrop, Retransmission, SendRefused, Server,
    ServerConfig, ServerInput, ServerOutput, SessionId, UnixTime,
};
use lowgate_units::{Entropy, Eui64, Instant, Prng, SeededEntropy};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime};

/// Nothing that was waited for came.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// `TLS_PSK_WITH_AES_128_CCM_8` (RFC 6655 section 4).
pub const PSK_WITH_AES_128_CCM_8: u16 = 0xc0a8;

/// `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` (RFC 7251 section 2).
pub const ECDHE_ECDSA_WITH_AES_128_CCM_8: u16 = 0xc0ae;

/// `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256` (RFC 8442 section 3).
pub const ECDHE_PSK_WITH_AES_128_CCM_8_SHA256: u16 = 0xd003;

/// The cipher.
pub static CCM: SoftCcm = SoftCcm;

/// A socket at a port that the system chose.
pub fn socket() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port of the loopback interface")
}

/// A client's configuration for peers that know none of our extensions.
pub fn client_config<'a>(identity: &'a [u8], psk: &[u8]) -> ClientConfig<'a> {
    ClientConfig {
        connection_id: false,
        retransmission: Retransmission::Rfc6347,
        ..ClientConfig::new(identity, Psk::new(psk).expect("1 to 64 octets"))
    }
}

/// The suite of the first ServerHello among `datagrams`.
pub fn negotiated_suite(datagrams: &[Vec<u8>]) -> Option<u16> {
    // RFC 6347 sections 4.1 and 4.2.2, RFC 5246 section 7.4.1.3: record header 13, handshake
    // header 12, version 2, random 32, session id with its length, cipher suite.
    datagrams.iter().find_map(|octets| {
        let body = octets.get(13..).filter(|_| octets[0] == 22 && octets[3..5] == [0, 0])?;
        let after_random = body.get(12 + 2 + 32..).filter(|_| body[0] == 2)?;
        let session_id = usize::from(*after_random.first()?);
        let suite = after_random.get(1 + session_id..3 + session_id)?;
        Some(u16::from_be_bytes([suite[0], suite[1]]))
    })
}

/// The last alert in the clear: RFC 6347 section 4.1, RFC 5246 section 7.2.
pub fn last_alert(datagrams: &[Vec<u8>]) -> Option<u8> {
    let is_plain_alert = |octets: &&Vec<u8>| octets[0] == 21 && octets[3..5] == [0, 0];
    datagrams.iter().rfind(is_plain_alert)?.get(14).copied()
}

/// Real time for a machine.
struct Clock(std::time::Instant);

impl Clock {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        let micros = self.0.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).expect("a test is short"))
    }
}

/// One datagram, unless `until` comes first.
fn receive(
    socket: &UdpSocket,
    clock: &Clock,
    until: Instant,
    deadline: Instant,
) -> Option<(SocketAddr, Vec<u8>)> {
    let now = clock.now();
    assert!(now < deadline, "the peer kept silent for {PATIENCE:?}");
    // A timeout of nought would mean none.
    let wait = until.min(deadline).since(now).max(Duration::from_millis(1));
    socket.set_read_timeout(Some(wait)).expect("not nought");
    let mut octets = vec![0; 2048];
    match socket.recv_from(&mut octets) {
        Ok((len, from)) => {
            octets.truncate(len);
            Some((from, octets))
        }
        // The last: an earlier datagram of ours found nobody at its port.
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::WouldBlock
                    | ErrorKind::TimedOut
                    | ErrorKind::Interrupted
                    | ErrorKind::ConnectionRefused
            ) =>
        {
            None
        }
        Err(e) => panic!("receiving: {e}"),
    }
}

/// Our client at a socket.
pub struct ClientEnd {
    client: Client,
    socket: UdpSocket,
    server: SocketAddr,
    clock: Clock,
    /// Every datagram that left.
    pub sent: Vec<Vec<u8>>,
    /// Every datagram that came.
    pub heard: Vec<Vec<u8>>,
    /// What was dropped.
    pub drops: Vec<RecordDrop>,
}

impl ClientEnd {
    /// Goes through the handshake.
    ///
    /// # Errors
    /// When it did not lead to a session.
    pub fn connect(
        socket: UdpSocket,
        server: SocketAddr,
        config: ClientConfig<'_>,
    ) -> Result<Self, CloseReason> {
        let (end, ended) = Self::try_connect(socket, server, config);
        ended.map_or(Ok(end), Err)
    }

    /// Goes through the handshake; with why there is no session, if there is none.
    pub fn try_connect(
        socket: UdpSocket,
        server: SocketAddr,
        config: ClientConfig<'_>,
    ) -> (Self, Option<CloseReason>) {
        let mut end = Self::start(socket, server, config);
        match end.next() {
            (ClientOutput::Established { .. }, _) => (end, None),
            (ClientOutput::Closed { reason }, _) => (end, Some(reason)),
            (other, _) => panic!("{other:?} before the session"),
        }
    }

    /// Goes through a handshake that the server ends: what its alert in the clear says. (The client itself does not
    /// believe that at once, and tries on.)
    pub fn first_alert(socket: UdpSocket, server: SocketAddr, config: ClientConfig<'_>) -> u8 {
        let mut end = Self::start(socket, server, config);
        let deadline = end.clock.now() + PATIENCE;
        let mut buf = [0; 2048];
        loop {
            match end.client.poll(end.clock.now(), &mut buf) {
                ClientOutput::Transmit { len } => end.transmit(&buf[..len]),
                ClientOutput::Wait { until } => end.hear(until, deadline),
                ClientOutput::Event(drop) => end.drops.push(drop),
                ClientOutput::KeyLog(_) => {}
                other => panic!("{other:?} instead of an alert"),
            }
            if let Some(alert) = last_alert(&end.heard) {
                return alert;
            }
        }
    }

    fn start(socket: UdpSocket, server: SocketAddr, config: ClientConfig<'_>) -> Self {
        let mut random = [0; 32];
        SeededEntropy::new(11).fill(&mut random);
        let client = Client::new(&CCM, config, random, Prng::new(12)).expect("a sound config");
        let (sent, heard, drops) = (Vec::new(), Vec::new(), Vec::new());
        let clock = Clock::start();
        let mut end = Self { client, socket, server, clock, sent, heard, drops };
        end.client.handle(end.clock.now(), ClientInput::Start);
        end
    }

    /// One datagram, unless `until` comes first.
    fn hear(&mut self, until: Instant, deadline: Instant) {
        let came = receive(&self.socket, &self.clock, until, deadline);
        let Some((_, mut octets)) = came.filter(|(from, _)| *from == self.server) else { return };
        self.heard.push(octets.clone());
        self.client.handle(self.clock.now(), ClientInput::Datagram(&mut octets));
    }

    /// The machine.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends application data.
    pub fn send(&mut self, payload: &[u8]) {
        self.try_send(payload).expect("there is a session");
    }

    /// Sends application data.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn try_send(&mut self, payload: &[u8]) -> Result<(), SendRefused> {
        let mut octets = [0; 1280];
        let len = self.client.send(ContentType::ApplicationData, payload, &mut octets)?;
        self.transmit(&octets[..len]);
        Ok(())
    }

    /// Waits for application data.
    pub fn receive(&mut self) -> Vec<u8> {
        match self.next() {
            (ClientOutput::Received { .. }, payload) => payload,
            (other, _) => panic!("{other:?} instead of data"),
        }
    }

    /// Asks the server whether it is there, and waits for its answer.
    pub fn heartbeat(&mut self) {
        self.client.heartbeat(self.clock.now()).expect("it was agreed on");
        let (answer, _) = self.next();
        assert_eq!(answer, ClientOutput::HeartbeatAnswered);
    }

    /// Says goodbye.
    pub fn close(mut self) {
        self.client.handle(self.clock.now(), ClientInput::Close);
        let (end, _) = self.next();
        assert_eq!(end, ClientOutput::Closed { reason: CloseReason::Requested });
    }

    fn transmit(&mut self, octets: &[u8]) {
        self.socket.send_to(octets, self.server).expect("the loopback interface takes it");
        self.sent.push(octets.to_vec());
    }

    /// What the machine tells next, with the payload if it is one.
    fn next(&mut self) -> (ClientOutput, Vec<u8>) {
        let deadline = self.clock.now() + PATIENCE;
        let mut buf = [0; 2048];
        loop {
            match self.client.poll(self.clock.now(), &mut buf) {
                ClientOutput::Transmit { len } => self.transmit(&buf[..len]),
                ClientOutput::Wait { until } => self.hear(until, deadline),
                ClientOutput::Event(drop) => self.drops.push(drop),
                ClientOutput::KeyLog(_) => {}
                ClientOutput::Received { content_type, len } => {
                    let output = ClientOutput::Received { content_type, len };
                    return (output, buf[..len].to_vec());
                }
                output @ (ClientOutput::Established { .. }
                | ClientOutput::HeartbeatAnswered
                | ClientOutput::Closed { .. }) => {
                    return (output, Vec::new());
                }
            }
        }
    }
}

/// The scalar of the device's own key.
pub const DEVICE_SCALAR: [u8; 32] = [0x1d; 32];
/// The scalar of the server's.
pub const SERVER_SCALAR: [u8; 32] = [0x5e; 32];

/// The key of the device.
pub fn device_key() -> PrivateKey {
    PrivateKey::new(&Secret::new(DEVICE_SCALAR)).expect("in range")
}

/// The key of the server.
pub fn server_key() -> PrivateKey {
    PrivateKey::new(&Secret::new(SERVER_SCALAR)).expect("in range")
}

/// A client that has [`device_key`] and knows the server by [`server_key`].
pub fn raw_key_config() -> ClientConfig<'static> {
    let credential = Credential::RawKey {
        own: device_key(),
        server: server_key().public(),
        seed: Secret::new([13; 32]),
    };
    ClientConfig { credential, ..client_config(b"", b"of no use") }
}

/// What time it is.
pub fn unix_time() -> UnixTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime(since_1970.expect("it is later than 1970").as_secs())
}

/// One identity and its key.
#[derive(Clone)]
pub struct OneDevice {
    /// Who.
    pub identity: Vec<u8>,
    /// Its key.
    pub psk: Vec<u8>,
}

impl PskDirectory for OneDevice {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        if identity == self.identity { Psk::new(&self.psk) } else { None }
    }

    /// Its raw public key is that of the private key [`device_key`].
    fn owner(&self, key: &PublicKey) -> Option<Identity> {
        (*key == device_key().public()).then(|| Identity::from_slice(&self.identity).ok())?
    }

    fn public_key(&self, identity: &[u8]) -> Option<PublicKey> {
        (identity == self.identity).then(|| device_key().public())
    }

    /// Its certificates name [`DEVICE`].
    fn device(&self, eui64: Eui64) -> Option<Identity> {
        (eui64 == DEVICE).then(|| Identity::from_slice(&self.identity).ok())?
    }

    fn eui64(&self, identity: &[u8]) -> Option<Eui64> {
        (identity == self.identity).then_some(DEVICE)
    }

    fn unix_time(&self) -> Option<UnixTime> {
        Some(unix_time())
    }
}

/// Our server at a socket.
pub struct ServerEnd {
    server: Server,
    socket: UdpSocket,
    clock: Clock,
    device: OneDevice,
    entropy: SeededEntropy,
    /// Every datagram that left.
    pub sent: Vec<Vec<u8>>,
    /// Every datagram that came.
    pub heard: Vec<Vec<u8>>,
    /// What was dropped.
    pub drops: Vec<RecordDrop>,
}

impl ServerEnd {
    /// A server at `socket` that knows one device.
    pub fn new(socket: UdpSocket, device: OneDevice) -> Self {
        Self::with(socket, device, ServerConfig::new(&CCM))
    }

    /// The same with another configuration.
    pub fn with(socket: UdpSocket, device: OneDevice, config: ServerConfig) -> Self {
        let mut entropy = SeededEntropy::new(21);
        let server = Server::new(config, Prng::new(22), &mut entropy);
        let (sent, heard, drops) = (Vec::new(), Vec::new(), Vec::new());
        Self { server, socket, clock: Clock::start(), device, entropy, sent, heard, drops }
    }

    /// The machine.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// Waits for a session.
    ///
    /// # Errors
    /// When a handshake failed first.
    pub fn accept(&mut self) -> Result<SessionId, CloseReason> {
        match self.next() {
            ServerOutput::Established { session, identity, .. } => {
                assert_eq!(*identity, *self.device.identity);
                Ok(session)
            }
            ServerOutput::HandshakeFailed { reason, .. } => {
                // The alert.
                self.flush();
                Err(reason)
            }
            other => panic!("{other:?} instead of a session"),
        }
    }

    /// Waits for application data.
    pub fn receive(&mut self) -> Vec<u8> {
        match self.next() {
            ServerOutput::Received { content_type, octets, .. } => {
                assert_eq!(content_type, ContentType::ApplicationData);
                octets
            }
            other => panic!("{other:?} instead of data"),
        }
    }

    /// Sends application data.
    pub fn send(&mut self, session: SessionId, payload: &[u8]) {
        self.try_send(session, payload).expect("there is a session");
    }

    /// Sends application data.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn try_send(&mut self, session: SessionId, payload: &[u8]) -> Result<(), SendRefused> {
        let now = self.clock.now();
        self.server.send(now, session, ContentType::ApplicationData, payload)?;
        self.flush();
        Ok(())
    }

    /// Asks the client whether it is there, and waits for its answer.
    pub fn heartbeat(&mut self, session: SessionId) {
        self.server.heartbeat(self.clock.now(), session).expect("it was agreed on");
        match self.next() {
            ServerOutput::HeartbeatAnswered { session: answered } => assert_eq!(answered, session),
            other => panic!("{other:?} instead of an answer"),
        }
    }

    /// Waits until the session is over and says why.
    pub fn closed(&mut self) -> CloseReason {
        match self.next() {
            ServerOutput::Closed { reason, .. } => reason,
            other => panic!("{other:?} instead of an end"),
        }
    }

    /// Serves whoever comes until `done`; nobody gets a session.
    pub fn serve_nobody(&mut self, mut done: impl FnMut() -> bool) {
        let deadline = self.clock.now() + PATIENCE;
        while !done() {
            match self.server.poll(self.clock.now()) {
                ServerOutput::Transmit { peer, octets } => self.transmit(&peer, octets),
                ServerOutput::Wait { until } => {
                    let soon = self.clock.now() + Duration::from_millis(20);
                    self.hear(until.min(soon), deadline);
                }
                ServerOutput::Event { drop, .. } => self.drops.push(drop),
                ServerOutput::HandshakeStarted { .. } | ServerOutput::HandshakeFailed { .. } => {}
                other => panic!("{other:?} for nobody"),
            }
        }
    }

    /// One datagram, unless `until` comes first.
    fn hear(&mut self, until: Instant, deadline: Instant) {
        let came = receive(&self.socket, &self.clock, until, deadline);
        let Some((from, mut octets)) = came else { return };
        self.heard.push(octets.clone());
        let IpAddr::V4(addr) = from.ip() else { unreachable!("bound to IPv4") };
        let (addr, port) = (addr.to_ipv6_mapped(), from.port());
        let peer = Peer { addr, port, relay_header: heapless::Vec::new() };
        let input = ServerInput::Datagram { peer: &peer, octets: &mut octets };
        self.server.handle(self.clock.now(), input, &self.device, &mut self.entropy);
    }

    /// Sends what the machine has to send now.
    fn flush(&mut self) {
        loop {
            match self.server.poll(self.clock.now()) {
                ServerOutput::Transmit { peer, octets } => self.transmit(&peer, octets),
                ServerOutput::Wait { .. } => return,
                ServerOutput::Event { drop, .. } => self.drops.push(drop),
                other => panic!("{other:?} though nothing came"),
            }
        }
    }

    fn transmit(&mut self, peer: &Peer, octets: Vec<u8>) {
        let ip = peer.addr.to_ipv4_mapped().map_or(IpAddr::V6(peer.addr), IpAddr::V4);
        self.socket.send_to(&octets, (ip, peer.port)).expect("the loopback interface takes it");
        self.sent.push(octets);
    }

    /// What the machine tells next.
    fn next(&mut self) -> ServerOutput {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            match self.server.poll(self.clock.now()) {
                ServerOutput::Transmit { peer, octets } => self.transmit(&peer, octets),
                ServerOutput::Wait { until } => self.hear(until, deadline),
                ServerOutput::Event { drop, .. } => self.drops.push(drop),
                ServerOutput::HandshakeStarted { .. }
                | ServerOutput::PeerMoved { .. }
                | ServerOutput::KeyLog(_) => {}
                output @ (ServerOutput::Established { .. }
                | ServerOutput::HeartbeatAnswered { .. }
                | ServerOutput::HandshakeFailed { .. }
                | ServerOutput::Received { .. }
                | ServerOutput::Closed { .. }) => return output,
            }
        }
    }
}
