//! The load: our client, many times, each time from another address.
//!
//! A session's socket is open while somebody waits for something there, and only then; its address is its own all
//! the time. So 50 000 sessions need no more files than a handful.

use super::serve::{client_key, server_key};
use lowgate_crypto::{Secret, SoftCcm};
use lowgate_dtls::{
    Client, ClientConfig, ClientInput, ClientOutput, ContentType, Credential, Psk, Retransmission,
    SavedSession,
};
use lowgate_units::{Duration, Entropy, Instant, Prng, SeededEntropy};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

/// The key of everybody.
pub(super) const PSK: &[u8; 16] = b"0123456789abcdef";
/// Handshakes that are under way at a time: datagrams wait for the server, not it for them.
const AT_A_TIME: usize = 32;
/// The same of those on a curve. One may take so long that a third client would repeat itself.
const ON_A_CURVE_AT_A_TIME: usize = 2;
/// Records that are under way at a time.
pub(super) const BATCH: usize = 32;
/// Octets of a record's payload.
pub(super) const PAYLOAD_OCTETS: usize = 64;
/// How often a client may have to repeat itself, a second apart.
const SILENCES_MAX: u32 = 10;
/// A client repeats itself after this.
const PATIENCE: Duration = Duration::from_secs(1);
const PORTS: usize = 20_000;

static CCM: SoftCcm = SoftCcm;

/// Which handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Full,
    BySessionId,
    ByTicket,
    RawKey,
}

/// What the clients offer beside that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Credentials {
    pub(super) connection_ids: bool,
}

/// Which records are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    LastAnswered,
    AllAnswered,
}

/// All the clients of a server.
pub(super) struct Callers {
    server: SocketAddrV4,
    offers: Credentials,
    way: Way,
    /// How many came so far.
    came: usize,
    /// What is resumed, once there is something to resume.
    saved: Vec<SavedSession>,
    began: std::time::Instant,
}

impl Callers {
    pub(super) fn new(port: u16, offers: Credentials, way: Way) -> Self {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let began = std::time::Instant::now();
        Self { server, offers, way, came: 0, saved: Vec::new(), began }
    }

    /// `count` clients come, some at a time, and nobody asks after them; before those that resume others come
    /// that leave something to resume.
    pub(super) fn warm_up(&mut self, count: usize) -> Result<(), String> {
        if matches!(self.way, Way::BySessionId | Way::ByTicket) {
            let first = self.crowd(AT_A_TIME)?;
            let saved = first.iter().map(|caller| caller.client.saved_session().cloned());
            self.saved = saved.collect::<Option<_>>().ok_or("nothing to resume")?;
        }
        self.come(count)
    }

    /// The same, without a warm-up.
    pub(super) fn come(&mut self, count: usize) -> Result<(), String> {
        let end = self.came + count;
        while self.came < end {
            self.crowd(self.at_a_time().min(end - self.came))?;
        }
        Ok(())
    }

    /// `count` clients that are kept.
    pub(super) fn come_and_stay(&mut self, count: usize) -> Result<Vec<Caller>, String> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            let crowd = self.crowd(self.at_a_time().min(count - sessions.len()))?;
            sessions.extend(crowd);
        }
        Ok(sessions)
    }

    /// One client that stays at its socket.
    pub(super) fn one(&mut self) -> Result<Caller, String> {
        let mut one = self.crowd(1)?.pop().ok_or("nobody came")?;
        one.sit_down()?;
        Ok(one)
    }

    const fn at_a_time(&self) -> usize {
        match self.way {
            Way::Full | Way::BySessionId | Way::ByTicket => AT_A_TIME,
            Way::RawKey => ON_A_CURVE_AT_A_TIME,
        }
    }

    fn crowd(&mut self, count: usize) -> Result<Vec<Caller>, String> {
        let mut crowd = Vec::with_capacity(count);
        for number in self.came..self.came + count {
            let mut caller = self.caller(number)?;
            caller.begin()?;
            crowd.push(caller);
        }
        self.came += count;
        loop {
            let mut all_there = true;
            for caller in crowd.iter_mut().filter(|caller| !caller.client.is_established()) {
                caller.turn()?;
                all_there &= caller.client.is_established();
            }
            if all_there {
                break;
            }
        }
        for caller in &mut crowd {
            if caller.client.is_resumed() == self.saved.is_empty() {
                return Err("it was not resumed, or nobody asked for it".into());
            }
            if !caller.asked_for_cookie {
                return Err("the server asked for no cookie".into());
            }
            caller.socket = None;
        }
        Ok(crowd)
    }

    fn caller(&self, number: usize) -> Result<Caller, String> {
        let identity = format!("device-{number:08}");
        let psk = Psk::new(PSK).expect("1 to 64 octets");
        let mut entropy = SeededEntropy::new(number as u64);
        let (mut random, mut seed) = ([0; 32], [0; 32]);
        entropy.fill(&mut random);
        entropy.fill(&mut seed);
        let mut config = ClientConfig {
            connection_id: self.offers.connection_ids,
            session_ticket: self.way == Way::ByTicket,
            resume: self.saved.get(number % AT_A_TIME).cloned(),
            retransmission: Retransmission::Rfc6347,
            ..ClientConfig::new(identity.as_bytes(), psk)
        };
        if self.way == Way::RawKey {
            config.credential = Credential::RawKey {
                own: client_key(),
                server: server_key().public(),
                seed: Secret::new(seed),
            };
        } else if let Some(of) = config.resume.is_some().then_some(number % AT_A_TIME) {
            // Who resumes is who he was.
            let identity = format!("device-{of:08}");
            return self.ready(
                number,
                ClientConfig {
                    credential: Credential::Psk {
                        identity: identity.as_bytes(),
                        psk: Psk::new(PSK).expect("1 to 64 octets"),
                    },
                    ..config
                },
                random,
            );
        }
        self.ready(number, config, random)
    }

    fn ready(
        &self,
        number: usize,
        config: ClientConfig<'_>,
        random: [u8; 32],
    ) -> Result<Caller, String> {
        let client = Client::new(&CCM, config, random, Prng::new(number as u64));
        let client = client.map_err(|refused| format!("{refused:?}"))?;
        let host = Ipv4Addr::new(127, 1, (number / PORTS) as u8, 1);
        let own = SocketAddrV4::new(host, (10_000 + number % PORTS) as u16);
        Ok(Caller {
            client: Box::new(client),
            own,
            server: self.server,
            socket: None,
            asked_for_cookie: false,
            silences: 0,
            began: self.began,
        })
    }
}

/// One client.
pub(super) struct Caller {
    client: Box<Client>,
    own: SocketAddrV4,
    server: SocketAddrV4,
    socket: Option<UdpSocket>,
    asked_for_cookie: bool,
    silences: u32,
    began: std::time::Instant,
}

/// What came of draining a client.
#[derive(Default)]
struct Drained {
    sent: bool,
    payloads: usize,
}

impl Caller {
    /// It returns to where it was heard, says a word and hears it again.
    pub(super) fn returns(&mut self) -> Result<(), String> {
        self.sit_down()?;
        self.speak(1, Batch::AllAnswered)?;
        self.socket = None;
        Ok(())
    }

    /// Sends `count` records, some at a time, and waits for the answers.
    pub(super) fn speak(&mut self, count: usize, batch: Batch) -> Result<(), String> {
        let mut left = count;
        let mut out = [0; 256];
        while left > 0 {
            let now = left.min(BATCH);
            for nth in 1..=now {
                let answered = batch == Batch::AllAnswered || nth == now;
                let payload = [u8::from(answered); PAYLOAD_OCTETS];
                let sealed = self.client.send(ContentType::ApplicationData, &payload, &mut out);
                let len = sealed.map_err(|refused| format!("{refused:?}"))?;
                self.transmit(&out[..len])?;
            }
            let mut awaited = if batch == Batch::AllAnswered { now } else { 1 };
            while awaited > 0 {
                self.hear()?;
                awaited = awaited.saturating_sub(self.drain()?.payloads);
            }
            left -= now;
        }
        Ok(())
    }

    fn sit_down(&mut self) -> Result<(), String> {
        let told = |fault: std::io::Error| format!("{}: {fault}", self.own);
        let socket = UdpSocket::bind(self.own).map_err(told)?;
        socket.connect(self.server).map_err(told)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(told)?;
        self.socket = Some(socket);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        self.sit_down()?;
        self.client.handle(self.now(), ClientInput::Start);
        self.drain().map(|_| ())
    }

    /// Hears until it has something to say, or is done.
    fn turn(&mut self) -> Result<(), String> {
        loop {
            self.hear()?;
            if self.drain()?.sent || self.client.is_established() {
                return Ok(());
            }
        }
    }

    fn hear(&mut self) -> Result<(), String> {
        let socket = self.socket.as_ref().ok_or("nobody listens")?;
        let mut octets = [0; 2048];
        match socket.recv(&mut octets) {
            Ok(len) => {
                // RFC 6347 sections 4.1 and 4.2.2: the message's type behind the record's header.
                self.asked_for_cookie |= octets[0] == 22 && octets[13] == 3;
                let now = self.now();
                self.client.handle(now, ClientInput::Datagram(&mut octets[..len]));
                Ok(())
            }
            Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.silences += 1;
                if self.silences > SILENCES_MAX {
                    return Err(format!("the server does not answer {}", self.own));
                }
                Ok(())
            }
            Err(fault) => Err(format!("{}: {fault}", self.own)),
        }
    }

    fn drain(&mut self) -> Result<Drained, String> {
        let mut drained = Drained::default();
        let mut buf = [0; 1280];
        loop {
            match self.client.poll(self.now(), &mut buf) {
                ClientOutput::Transmit { len } => {
                    self.transmit(&buf[..len])?;
                    drained.sent = true;
                }
                ClientOutput::Received { len, .. } => {
                    if len != PAYLOAD_OCTETS {
                        return Err(format!("{len} octets came back"));
                    }
                    drained.payloads += 1;
                }
                ClientOutput::Closed { reason } => return Err(format!("{}: {reason:?}", self.own)),
                ClientOutput::Wait { .. } => return Ok(drained),
                ClientOutput::Established { .. }
                | ClientOutput::HeartbeatAnswered
                | ClientOutput::KeyLog(_)
                | ClientOutput::Event(_) => {}
            }
        }
    }

    fn transmit(&self, octets: &[u8]) -> Result<(), String> {
        let socket = self.socket.as_ref().ok_or("nobody listens")?;
        socket.send(octets).map(|_| ()).map_err(|fault| format!("{}: {fault}", self.own))
    }

    fn now(&self) -> Instant {
        let micros = self.began.elapsed().as_micros();
        Instant::ZERO + Duration::from_micros(micros as u64)
    }
}
