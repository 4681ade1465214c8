//! Sessions with other devices: those that call this one, those that it calls, and CoAP in both.
//!
//! **Invariant:** a few sessions at a time, in either direction; no session with a device that is lost. No two
//! handshakes share a random.

use super::shares::Shares;
use crate::pair_event::{PAIR_CALLER_PORT, PAIR_PORT, PairEvent, PairRefused};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use lowgate_amikey::pairs::PairHello;
use lowgate_amikey::pairwise::{Scheme, SetName};
use lowgate_coap::{
    Addressed, Bounds, Config, Endpoint, ExchangeId, Input, Output, Reliability, Request,
    RequestId, Response,
};
use lowgate_crypto::{Ccm, Secret, hmac_sha256};
use lowgate_dtls::{
    AlertDescription, Client, ClientConfig, ClientInput, ClientOutput, CloseReason, ContentType,
    Pair, PairwiseId, Peer, Psk, Retransmission, Server, ServerConfig, ServerInput, ServerOutput,
    SessionId,
};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Entropy, Eui64, Instant, Ipv6Addr, Prng};

/// Devices that have a session because they called.
const CALLERS_MAX: usize = 2;
/// Devices that have a session because this one called.
const CALLED_MAX: usize = 2;
/// Requests that wait for a session.
const WAITING_MAX: usize = 2;
/// Nobody keeps a session for longer in which nothing is said.
const IDLE: Duration = Duration::from_secs(120);
/// Octets of a datagram: three frames of 802.15.4 at most.
const DATAGRAM_OCTETS_MAX: usize = 256;

const BOUNDS: Bounds = Bounds {
    requests_max: CALLED_MAX * WAITING_MAX,
    exchanges_max: 4,
    exchanges_per_peer_max: 2,
    seen_max: 16,
    seen_per_peer_max: 8,
};

/// With whom CoAP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Partner {
    Caller(SessionId),
    Called(Eui64),
}

/// Someone whom this device called.
struct Called {
    peer: Eui64,
    addr: Ipv6Addr,
    name: SetName,
    client: Box<Client>,
    until: Instant,
    used_at: Instant,
    waiting: VecDeque<Request>,
    /// Requests that are out.
    open: Vec<RequestId>,
}

/// What this device is asked, and what it wishes.
pub(crate) enum Wish {
    Send { dst: Ipv6Addr, src_port: u16, dst_port: u16, octets: Vec<u8> },
    Serve { exchange: ExchangeId, peer: Eui64, request: Request },
    Event(PairEvent),
}

/// All sessions.
pub(crate) struct Talk {
    ccm: &'static dyn Ccm,
    retransmission: Retransmission,
    server: Server,
    callers: Vec<(SessionId, PairHello)>,
    called: Vec<Called>,
    coap: Endpoint<Partner>,
    draws: Draws,
    prng: Prng,
    wishes: VecDeque<Wish>,
}

impl Talk {
    pub(crate) fn new(
        ccm: &'static dyn Ccm,
        retransmission: Retransmission,
        secret: Secret<32>,
        prng: &Prng,
    ) -> Self {
        let mut draws = Draws { secret, count: 0 };
        let config = ServerConfig {
            connection_id: false,
            sessions_max: CALLERS_MAX,
            sessions_per_peer_max: CALLERS_MAX,
            half_open_max: CALLERS_MAX,
            half_open_per_source_max: CALLERS_MAX,
            idle_close: Some(IDLE),
            datagram_len_max: DATAGRAM_OCTETS_MAX,
            retransmission,
            tickets: false,
            ..ServerConfig::constrained(ccm)
        };
        Self {
            ccm,
            retransmission,
            server: Server::new(config, prng.fork(1), &mut draws),
            callers: Vec::new(),
            called: Vec::new(),
            coap: Endpoint::new(Config { bounds: BOUNDS, ..Config::default() }, prng.fork(2)),
            draws,
            prng: prng.fork(3),
            wishes: VecDeque::new(),
        }
    }

    /// A datagram of the mesh for one of the two ports.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        (addr, port, to): (Ipv6Addr, u16, u16),
        octets: &mut [u8],
        shares: &Shares,
    ) {
        match (to, port) {
            (PAIR_PORT, _) => {
                let peer = &Peer { addr, port, relay_header: heapless::Vec::new() };
                let input = ServerInput::Datagram { peer, octets };
                self.server.handle(now, input, shares, &mut self.draws);
            }
            (_, PAIR_PORT) => {
                if let Some(called) = self.called.iter_mut().find(|it| it.addr == addr) {
                    called.client.handle(now, ClientInput::Datagram(octets));
                    called.until = now;
                }
            }
            _ => {}
        }
    }

    /// Asks another device. Whatever becomes of it, an event tells.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        (peer, addr): (Eui64, Ipv6Addr),
        request: Request,
        shares: &Shares,
    ) {
        let known = self.called.iter().position(|it| it.peer == peer && it.addr == addr);
        let at = match (known, shares.name()) {
            (Some(at), _) => Ok(at),
            (None, Some(name)) => self.call(now, (peer, addr), name, shares),
            (None, None) => Err(PairRefused::NoShare),
        };
        let queued = at.and_then(|at| {
            let called = &mut self.called[at];
            called.used_at = now;
            if called.waiting.len() + called.open.len() >= WAITING_MAX {
                return Err(PairRefused::Busy);
            }
            called.waiting.push_back(request);
            Ok(at)
        });
        match queued {
            Ok(at) => self.ask_waiting(now, at),
            Err(why) => self.unanswered(peer, why),
        }
    }

    /// Answers a caller.
    pub(crate) fn respond(&mut self, now: Instant, exchange: ExchangeId, response: &Response) {
        // Refused when the exchange was forgotten meanwhile: the caller asks again.
        let _ = self.coap.respond(now, exchange, response);
    }

    /// Ends every session that there is no key for any more.
    pub(crate) fn end_keyless(&mut self, now: Instant, shares: &Shares) {
        if planted(Fault::PairSessionKept) {
            return;
        }
        let keyless = |hello: &PairHello| shares.key(hello.scheme, hello.id, hello.name).is_none();
        for (session, hello) in &self.callers {
            if keyless(hello) {
                self.server.close(now, *session);
            }
        }
        for called in &mut self.called {
            let hello =
                PairHello { scheme: Scheme::Polynomial, name: called.name, id: called.peer };
            if keyless(&hello) {
                called.client.handle(now, ClientInput::Close);
                called.until = now;
            }
        }
    }

    /// What comes next; `None` until the time that [`Self::until`] says.
    pub(crate) fn poll(&mut self, now: Instant, shares: &Shares) -> Option<Wish> {
        loop {
            if let Some(wish) = self.wishes.pop_front() {
                return Some(wish);
            }
            let moved = self.poll_server(now) | self.poll_called(now, shares) | self.poll_coap(now);
            if !moved {
                return None;
            }
        }
    }

    /// When to poll again.
    pub(crate) fn until(&mut self, now: Instant) -> Instant {
        let wait = |until: Instant| until.max(now);
        let server = match self.server.poll(now) {
            ServerOutput::Wait { until } => until,
            output => {
                self.server_output(now, output);
                now
            }
        };
        let coap = match self.coap.poll(now) {
            Output::Wait { until } => until,
            output => {
                self.coap_output(now, output);
                now
            }
        };
        let called = self.called.iter().map(|it| it.until.min(it.idle_at()));
        called.chain([server, coap]).map(wait).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// A session with somebody who has none: whose was used least recently makes room, if nothing is out in it.
    fn call(
        &mut self,
        now: Instant,
        (peer, addr): (Eui64, Ipv6Addr),
        name: SetName,
        shares: &Shares,
    ) -> Result<usize, PairRefused> {
        let scheme = Scheme::Polynomial;
        let psk = shares.key(scheme, peer, name).ok_or(PairRefused::NoKey)?;
        if self.called.len() >= CALLED_MAX {
            let idle = self.called.iter().enumerate().filter(|(_, it)| it.is_idle());
            let (at, _) = idle.min_by_key(|(_, it)| it.used_at).ok_or(PairRefused::Busy)?;
            self.hang_up(now, at, CloseReason::Evicted);
        }
        let id =
            |hello: PairHello| PairwiseId::from_slice(&hello.emit()).expect("HELLO_OCTETS fit");
        let own = shares.hello(scheme, name);
        let identity = own.psk_identity();
        let config = ClientConfig {
            pair: Some(Pair { own: id(own), peer: id(PairHello { id: peer, ..own }) }),
            connection_id: false,
            datagram_len_max: DATAGRAM_OCTETS_MAX,
            retransmission: self.retransmission,
            ..ClientConfig::new(&identity, Psk::from(&psk))
        };
        let random = self.draws.random();
        let prng = Prng::new(self.prng.next_u64());
        let client = Client::new(self.ccm, config, random, prng).expect("all within its bounds");
        let mut client = Box::new(client);
        client.handle(now, ClientInput::Start);
        let (waiting, open) = (VecDeque::new(), Vec::new());
        self.called.push(Called {
            peer,
            addr,
            name,
            client,
            until: now,
            used_at: now,
            waiting,
            open,
        });
        Ok(self.called.len() - 1)
    }

    /// What waited for the session goes out.
    fn ask_waiting(&mut self, now: Instant, at: usize) {
        let called = &mut self.called[at];
        if !called.client.is_established() {
            return;
        }
        let (partner, kind) = (Partner::Called(called.peer), Reliability::Confirmable);
        while let Some(request) = called.waiting.pop_front() {
            match self.coap.request(now, partner, kind, &request) {
                Ok(request) => called.open.push(request),
                Err(_) => {
                    let (peer, why) = (called.peer, PairRefused::Busy);
                    self.wishes.push_back(Wish::Event(PairEvent::Unanswered { peer, why }));
                }
            }
        }
    }

    fn poll_server(&mut self, now: Instant) -> bool {
        match self.server.poll(now) {
            ServerOutput::Wait { .. } => return false,
            output => self.server_output(now, output),
        }
        true
    }

    fn server_output(&mut self, now: Instant, output: ServerOutput) {
        match output {
            ServerOutput::Transmit { peer, octets } => {
                let (dst, src_port, dst_port) = (peer.addr, PAIR_PORT, peer.port);
                self.wishes.push_back(Wish::Send { dst, src_port, dst_port, octets });
            }
            ServerOutput::Established { session, identity, .. } => {
                let hello =
                    PairHello::of_psk_identity(&identity).expect("it has a key by that name");
                self.callers.push((session, hello));
                let (peer, name) = (hello.id, hello.name);
                self.event(PairEvent::Opened { peer, name });
            }
            ServerOutput::HandshakeFailed { peer, reason, .. } => {
                let addr = peer.addr;
                self.event(PairEvent::CallerFailed { addr, reason });
            }
            ServerOutput::Received { session, content_type, octets } => {
                if content_type == ContentType::ApplicationData {
                    let (peer, addressed) = (Partner::Caller(session), Addressed::ToUs);
                    let octets = &octets[..];
                    self.coap.handle(now, Input::Datagram { peer, addressed, octets });
                }
            }
            ServerOutput::Closed { session, reason } => {
                self.coap.handle(now, Input::PeerGone { peer: Partner::Caller(session) });
                let at = self.callers.iter().position(|(it, _)| *it == session);
                if let Some((_, PairHello { id: peer, .. })) = at.map(|at| self.callers.remove(at))
                {
                    self.event(PairEvent::Closed { peer, reason });
                }
            }
            ServerOutput::HandshakeStarted { .. }
            | ServerOutput::PeerMoved { .. }
            | ServerOutput::HeartbeatAnswered { .. }
            | ServerOutput::KeyLog(_)
            | ServerOutput::Event { .. }
            | ServerOutput::Wait { .. } => {}
        }
    }

    /// One thing of one client.
    fn poll_called(&mut self, now: Instant, shares: &Shares) -> bool {
        let idle = self.called.iter().position(|it| now >= it.idle_at());
        if let Some(at) = idle {
            self.hang_up(now, at, CloseReason::Idle);
            return true;
        }
        let Some(at) = self.called.iter().position(|it| now >= it.until) else { return false };
        let mut buf = [0; DATAGRAM_OCTETS_MAX];
        let called = &mut self.called[at];
        let (peer, dst) = (called.peer, called.addr);
        match called.client.poll(now, &mut buf) {
            ClientOutput::Wait { until } => called.until = until,
            ClientOutput::Transmit { len } => self.send_to_called(dst, &buf[..len]),
            ClientOutput::Established { .. } => {
                let name = called.name;
                self.event(PairEvent::Opened { peer, name });
                self.ask_waiting(now, at);
            }
            ClientOutput::Received { content_type: ContentType::ApplicationData, len } => {
                let (peer, addressed) = (Partner::Called(peer), Addressed::ToUs);
                let octets = &buf[..len];
                self.coap.handle(now, Input::Datagram { peer, addressed, octets });
            }
            ClientOutput::Closed { reason } => self.called_closed(now, at, reason, shares),
            ClientOutput::Received { .. }
            | ClientOutput::KeyLog(_)
            | ClientOutput::HeartbeatAnswered
            | ClientOutput::Event(_) => {}
        }
        true
    }

    /// A session ended, or there never was one: who does not have the polynomial yet has the one before.
    fn called_closed(&mut self, now: Instant, at: usize, reason: CloseReason, shares: &Shares) {
        let Called { peer, addr, name, waiting, open, .. } = self.called.remove(at);
        self.coap.handle(now, Input::PeerGone { peer: Partner::Called(peer) });
        let refused = CloseReason::PeerAlert(AlertDescription::HANDSHAKE_FAILURE);
        let earlier =
            shares.previous_name().filter(|_| reason == refused && Some(name) == shares.name());
        if let Some(earlier) = earlier
            && let Ok(at) = self.call(now, (peer, addr), earlier, shares)
        {
            self.called[at].waiting = waiting;
            return;
        }
        self.event(PairEvent::Closed { peer, reason });
        for _ in waiting.iter().map(|_| ()).chain(open.iter().map(|_| ())) {
            self.unanswered(peer, PairRefused::Handshake(reason));
        }
    }

    fn hang_up(&mut self, now: Instant, at: usize, reason: CloseReason) {
        let mut called = self.called.remove(at);
        called.client.handle(now, ClientInput::Close);
        let mut buf = [0; DATAGRAM_OCTETS_MAX];
        while let ClientOutput::Transmit { len } = called.client.poll(now, &mut buf) {
            self.send_to_called(called.addr, &buf[..len]);
        }
        self.coap.handle(now, Input::PeerGone { peer: Partner::Called(called.peer) });
        self.event(PairEvent::Closed { peer: called.peer, reason });
    }

    fn poll_coap(&mut self, now: Instant) -> bool {
        match self.coap.poll(now) {
            Output::Wait { .. } => return false,
            output => self.coap_output(now, output),
        }
        true
    }

    fn coap_output(&mut self, now: Instant, output: Output<Partner>) {
        match output {
            Output::Transmit { peer, octets } => self.transmit(now, peer, &octets),
            Output::Requested { exchange, peer: Partner::Caller(session), request, .. } => {
                match self.callers.iter().find(|(it, _)| *it == session) {
                    Some((_, PairHello { id: peer, .. })) => {
                        self.wishes.push_back(Wish::Serve { exchange, peer: *peer, request });
                    }
                    None => self.coap.ignore(exchange),
                }
            }
            // Who is called answers and does not ask: it may call itself.
            Output::Requested { exchange, peer: Partner::Called(_), .. } => {
                self.coap.ignore(exchange);
            }
            Output::Responded { request, peer: Partner::Called(peer), response, .. } => {
                self.over(peer, request);
                let (code, payload) = (response.code, response.payload);
                self.event(PairEvent::Answered { peer, code, payload });
            }
            Output::Failed { request, peer: Partner::Called(peer), .. } => {
                if self.over(peer, request) {
                    self.unanswered(peer, PairRefused::Silent);
                }
            }
            Output::Responded { .. }
            | Output::Failed { .. }
            | Output::Ponged { .. }
            | Output::Ended { .. }
            | Output::AnswerLost { .. }
            | Output::ObserverGone { .. }
            | Output::Dropped { .. }
            | Output::Wait { .. } => {}
        }
    }

    /// A request is over. Returns whether it was out.
    fn over(&mut self, peer: Eui64, request: RequestId) -> bool {
        let Some(called) = self.called.iter_mut().find(|it| it.peer == peer) else { return false };
        let before = called.open.len();
        called.open.retain(|it| *it != request);
        called.open.len() < before
    }

    fn transmit(&mut self, now: Instant, partner: Partner, octets: &[u8]) {
        let data = ContentType::ApplicationData;
        match partner {
            // Refused without a session: CoAP repeats what matters.
            Partner::Caller(session) => _ = self.server.send(now, session, data, octets),
            Partner::Called(peer) => {
                let mut buf = [0; DATAGRAM_OCTETS_MAX];
                let called = self.called.iter_mut().find(|it| it.peer == peer);
                if let Some(called) = called
                    && let Ok(len) = called.client.send(data, octets, &mut buf)
                {
                    called.used_at = now;
                    let addr = called.addr;
                    self.send_to_called(addr, &buf[..len]);
                }
            }
        }
    }

    fn send_to_called(&mut self, dst: Ipv6Addr, octets: &[u8]) {
        let (src_port, dst_port) = (PAIR_CALLER_PORT, PAIR_PORT);
        self.wishes.push_back(Wish::Send { dst, src_port, dst_port, octets: octets.to_vec() });
    }

    fn unanswered(&mut self, peer: Eui64, why: PairRefused) {
        self.event(PairEvent::Unanswered { peer, why });
    }

    fn event(&mut self, event: PairEvent) {
        self.wishes.push_back(Wish::Event(event));
    }
}

impl Called {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    /// When it was not used for too long.
    fn idle_at(&self) -> Instant {
        if self.is_idle() { self.used_at + IDLE } else { Instant::FAR_FUTURE }
    }
}

/// What handshakes draw, from a secret of this boot: no two draws are the same.
struct Draws {
    secret: Secret<32>,
    count: u64,
}

impl Draws {
    fn random(&mut self) -> [u8; 32] {
        let mut random = [0; 32];
        self.fill(&mut random);
        random
    }
}

impl Entropy for Draws {
    fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(32) {
            if !planted(Fault::PairRandomRepeats) {
                self.count += 1;
            }
            let drawn =
                Secret::new(hmac_sha256(self.secret.expose(), &[&self.count.to_be_bytes()]));
            chunk.copy_from_slice(&drawn.expose()[..chunk.len()]);
        }
    }
}
