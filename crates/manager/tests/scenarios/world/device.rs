//! A device as the manager sees it: a DTLS client that keeps keys, confirms them, moves from its
//! relay to its own address, answers CoAP, and begins anew when nothing comes.

use super::checker::Checker;
use super::stock::Stock;
use lowgate_access::admitted::{ADMITTED_PATH, AdmittedSet, Removed};
use lowgate_access::group_command::GROUP_PATH;
use lowgate_access::{JOIN_DATAGRAM_OCTETS_MAX, MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_amikey::{
    Activation, Cfg, GroupRequest, KeyError, Membership, Message, Messages, MsgId, RequestFlags,
    Spd, emit_all,
};
use lowgate_coap::{Addressed, Code, Config, ContentFormat, Endpoint, Input, Output, Response};
use lowgate_crypto::SoftCcm;
use lowgate_dtls::{
    Client, ClientConfig, ClientInput, ClientOutput, CloseReason, ContentType, Psk, Retransmission,
};
use lowgate_manager::{DeviceRecord, GroupId, Kind};
use lowgate_units::{
    Duration, Entropy, Eui64, Iid, Instant, Ipv6Addr, PanId, Prng, SeededEntropy, ShortAddr,
};
use std::collections::{BTreeMap, BTreeSet};

const KEYS_PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(5);

/// How the device reaches the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Relay,
    Direct(Ipv6Addr),
}

pub(crate) struct Device {
    pub(crate) eui64: Eui64,
    pub(crate) psk: Vec<u8>,
    pub(crate) identity: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) path: Path,
    /// Who hears it before it has an address.
    pub(crate) relay: Ipv6Addr,
    /// It hears nothing and says nothing.
    pub(crate) mute: bool,
    /// It does not begin anew by itself.
    pub(crate) once: bool,
    pub(crate) request: Option<GroupRequest>,
    /// Its DTLS knows nothing of ours: it asks by CoAP.
    pub(crate) stock: Option<Stock>,
    pub(crate) pan: Option<PanId>,
    pub(crate) short: Option<ShortAddr>,
    pub(crate) link_keys: BTreeMap<u8, [u8; 16]>,
    pub(crate) sends_with: Option<u8>,
    pub(crate) groups: BTreeMap<GroupId, Spd>,
    /// What it was told to leave.
    pub(crate) left: Vec<GroupId>,
    pub(crate) errors: Vec<KeyError>,
    pub(crate) closed: Vec<CloseReason>,
    pub(crate) handshakes: u64,
    pub(crate) confirmed: u32,
    /// The border router's table.
    pub(crate) admitted: BTreeMap<Eui64, ShortAddr>,
    /// A border router's: whom the manager named in this session.
    named: BTreeSet<Eui64>,
    pub(crate) admitted_revision: u64,
    /// The border router's: what it was told to send to the group, and what it answers.
    pub(crate) commands: Vec<Vec<u8>>,
    pub(crate) obeys: Code,
    client: Option<Client>,
    coap: Endpoint<u8>,
    newest: Option<MsgId>,
    csb_groups: BTreeMap<u32, GroupId>,
    restart_at: Instant,
    client_until: Instant,
    coap_until: Instant,
    entropy: SeededEntropy,
    prng: Prng,
}

type Sent = (Ipv6Addr, u16, u16, Vec<u8>);

impl Device {
    pub(crate) fn new(record: &DeviceRecord, relay: Ipv6Addr, seed: u64) -> Self {
        let router = record.kind == Kind::BorderRouter;
        let host = u16::from(record.eui64.0[7]) + 2;
        let backbone = Ipv6Addr::new(0xfd00, 0xb, 0, 0, 0, 0, 0, host);
        let prng = Prng::new(seed);
        let groups = record.groups.iter();
        let groups = groups.map(|(group, role)| Membership { group: *group, role: *role });
        let request = GroupRequest {
            flags: RequestFlags::SPOKEN,
            node_id: record.identity.octets().iter().copied().collect(),
            groups: groups.collect(),
        };
        Self {
            eui64: record.eui64,
            psk: record.psk.expose().to_vec(),
            identity: record.identity.octets().to_vec(),
            kind: record.kind,
            path: if router { Path::Direct(backbone) } else { Path::Relay },
            relay,
            mute: false,
            once: false,
            request: Some(request),
            stock: None,
            pan: None,
            short: None,
            link_keys: BTreeMap::new(),
            sends_with: None,
            groups: BTreeMap::new(),
            left: Vec::new(),
            errors: Vec::new(),
            closed: Vec::new(),
            handshakes: 0,
            confirmed: 0,
            admitted: BTreeMap::new(),
            named: BTreeSet::new(),
            admitted_revision: 0,
            commands: Vec::new(),
            obeys: Code::CHANGED,
            client: None,
            coap: Endpoint::new(Config::default(), prng.fork(1)),
            newest: None,
            csb_groups: BTreeMap::new(),
            restart_at: Instant::FAR_FUTURE,
            client_until: Instant::FAR_FUTURE,
            coap_until: Instant::FAR_FUTURE,
            entropy: SeededEntropy::new(seed),
            prng,
        }
    }

    pub(crate) fn is_at(&self, addr: Ipv6Addr, port: u16) -> bool {
        port == MANAGER_PORT && self.path == Path::Direct(addr)
    }

    pub(crate) fn hears_relay(&self) -> bool {
        self.path == Path::Relay
    }

    pub(crate) fn wants_session(&self) -> bool {
        self.handshakes > 0 && !self.once && !self.mute
    }

    pub(crate) fn wake_at(&self) -> Instant {
        self.restart_at.min(self.client_until).min(self.coap_until)
    }

    /// A new handshake, with all that was remembered of the old session gone.
    pub(crate) fn start(&mut self, now: Instant) {
        let mut octets = [0; 256];
        let request = self.request.as_ref().map(|request| {
            let len = request.emit(&mut octets).expect("room");
            &octets[..len]
        });
        let config = ClientConfig {
            group_request: request,
            datagram_len_max: JOIN_DATAGRAM_OCTETS_MAX,
            retransmission: Retransmission::Adaptive { hops: 3 },
            ..ClientConfig::new(&self.identity, Psk::new(&self.psk).expect("a key"))
        };
        let mut random = [0; 32];
        self.entropy.fill(&mut random);
        self.handshakes += 1;
        let prng = self.prng.fork(self.handshakes);
        let mut client = Client::new(&SoftCcm, config, random, prng).expect("within bounds");
        client.handle(now, ClientInput::Start);
        self.client = Some(client);
        self.coap.handle(now, Input::PeerGone { peer: 0 });
        self.newest = None;
        self.restart_at = if self.once { Instant::FAR_FUTURE } else { now + KEYS_PATIENCE };
    }

    pub(crate) fn receive(&mut self, now: Instant, octets: &mut [u8]) {
        if let Some(client) = self.client.as_mut().filter(|_| !self.mute) {
            client.handle(now, ClientInput::Datagram(octets));
        }
    }

    pub(crate) fn wake(&mut self, now: Instant) {
        if now >= self.restart_at {
            self.start(now);
        }
    }

    /// Sends one record of application data or key messages.
    pub(crate) fn send(&mut self, content_type: ContentType, content: &[u8]) -> Option<Sent> {
        let mut octets = [0; JOIN_DATAGRAM_OCTETS_MAX];
        let len = self.client.as_mut()?.send(content_type, content, &mut octets).ok()?;
        Some(self.wrapped(octets[..len].to_vec()))
    }

    fn wrapped(&self, octets: Vec<u8>) -> Sent {
        match self.path {
            Path::Direct(addr) => (addr, MANAGER_PORT, MANAGER_PORT, octets),
            Path::Relay => {
                let mut header = [7; 20];
                header[12..].copy_from_slice(&self.eui64.0);
                let envelope = jpy::Envelope { header: &header, content: &octets };
                let mut out = [0; 512];
                let len = envelope.emit(&mut out).expect("room");
                (self.relay, 61630, MANAGER_RELAY_PORT, out[..len].to_vec())
            }
        }
    }

    /// Lets the device do all it can now; what it sends.
    pub(crate) fn drain(&mut self, now: Instant, checker: &mut Checker) -> Vec<Sent> {
        let mut sent = Vec::new();
        while self.drain_client(now, checker, &mut sent) || self.drain_coap(now, &mut sent) {}
        if self.mute {
            sent.clear();
        }
        sent
    }

    fn drain_client(&mut self, now: Instant, checker: &mut Checker, sent: &mut Vec<Sent>) -> bool {
        let mut octets = [0; 1280];
        let Some(client) = self.client.as_mut() else { return false };
        match client.poll(now, &mut octets) {
            ClientOutput::Transmit { len } => sent.push(self.wrapped(octets[..len].to_vec())),
            ClientOutput::Received { content_type, len } => match content_type {
                ContentType::ApplicationData if self.stock.is_some() => {
                    self.stock_hears(now, &octets[..len], checker, sent);
                }
                ContentType::ApplicationData => {
                    let addressed = Addressed::ToUs;
                    let input = Input::Datagram { peer: 0, addressed, octets: &octets[..len] };
                    self.coap.handle(now, input);
                }
                ContentType::KeyData | ContentType::KeyParameters => {
                    assert!(content_type == ContentType::KeyData || octets[0] != 0xa1);
                    self.key_record(now, &octets[..len], checker, sent);
                }
            },
            ClientOutput::Closed { reason } => {
                self.closed.push(reason);
                self.client = None;
                self.client_until = Instant::FAR_FUTURE;
                self.restart_at = if self.once { Instant::FAR_FUTURE } else { now + PAUSE };
            }
            ClientOutput::Wait { until } => {
                self.client_until = until;
                return false;
            }
            ClientOutput::Established { .. } => {
                self.named.clear();
                let asks = self.stock.as_mut().map(Stock::begin).unwrap_or_default();
                for octets in asks {
                    sent.extend(self.send(ContentType::ApplicationData, &octets));
                }
            }
            ClientOutput::HeartbeatAnswered | ClientOutput::KeyLog(_) | ClientOutput::Event(_) => {}
        }
        true
    }

    fn drain_coap(&mut self, now: Instant, sent: &mut Vec<Sent>) -> bool {
        match self.coap.poll(now) {
            Output::Transmit { octets, .. } => {
                sent.extend(self.send(ContentType::ApplicationData, &octets));
            }
            Output::Requested { exchange, request, .. } => {
                let response = if request.path.is(ADMITTED_PATH) {
                    self.admit(&AdmittedSet::parse(&request.payload).expect("the manager's own"));
                    Response::new(Code::CHANGED)
                } else if request.path.is(&format!("{GROUP_PATH}/7/light")) {
                    self.commands.push(request.payload.clone());
                    Response::new(self.obeys)
                } else if request.path.is("temperature") {
                    let payload = b"21.5".to_vec();
                    Response::new(Code::CONTENT).with_payload(ContentFormat::TEXT, payload)
                } else {
                    Response::new(Code::NOT_FOUND)
                };
                self.coap.respond(now, exchange, &response).expect("within bounds");
            }
            Output::Wait { until } => {
                self.coap_until = until;
                return false;
            }
            _ => {}
        }
        true
    }

    fn stock_hears(
        &mut self,
        now: Instant,
        octets: &[u8],
        checker: &mut Checker,
        sent: &mut Vec<Sent>,
    ) {
        let heard = self.stock.as_mut().map(|stock| stock.hear(octets)).unwrap_or_default();
        if let Some(ack) = heard.ack {
            sent.extend(self.send(ContentType::ApplicationData, &ack));
        }
        if !heard.keys.is_empty() {
            self.key_record(now, &heard.keys, checker, sent);
        }
    }

    fn admit(&mut self, set: &AdmittedSet) {
        self.admitted.extend(set.added.iter().copied());
        self.named.extend(set.added.iter().map(|(eui64, _)| *eui64));
        match &set.removed {
            Removed::AllOthers => self.admitted.retain(|eui64, _| self.named.contains(eui64)),
            Removed::Listed(removed) => {
                self.admitted.retain(|eui64, _| !removed.contains(eui64));
                self.named.retain(|eui64| !removed.contains(eui64));
            }
        }
        assert!(set.revision >= self.admitted_revision, "revisions never go back");
        self.admitted_revision = set.revision;
    }

    /// Stores what is new, confirms everything.
    fn key_record(
        &mut self,
        now: Instant,
        octets: &[u8],
        checker: &mut Checker,
        sent: &mut Vec<Sent>,
    ) {
        let messages: Vec<Message> =
            Messages::new(octets).collect::<Result<_, _>>().expect("the manager's own");
        let mut acks = Vec::new();
        let fresh = messages
            .iter()
            .filter(|message| message.wants_ack())
            .any(|message| self.newest.is_none_or(|newest| message.msg_id().is_newer_than(newest)));
        for message in &messages {
            if message.wants_ack() {
                acks.push(Message::Ack { msg_id: message.msg_id() });
            }
            if fresh || !message.wants_ack() {
                self.learn(message, checker);
            }
        }
        if fresh {
            self.newest = messages.last().map(Message::msg_id);
            self.restart_at = Instant::FAR_FUTURE;
            self.confirmed += 1;
        }
        let mut content = [0; 64];
        let len = emit_all(&acks, &mut content).expect("two octets each");
        if len > 0 {
            let said = match &mut self.stock {
                Some(stock) => {
                    let octets = stock.post(&content[..len]);
                    self.send(ContentType::ApplicationData, &octets)
                }
                None => self.send(ContentType::KeyParameters, &content[..len]),
            };
            sent.extend(said);
        }
        let moves = self.stock.is_none() && len > 0;
        if let (Path::Relay, Some(short)) = (self.path, self.short.filter(|_| moves)) {
            let prefix = self.relay.octets().first_chunk().copied().expect("16 octets");
            self.path = Path::Direct(Iid::from(short).under(prefix));
            self.coap.ping(now, 0).expect("room for one");
        }
    }

    fn learn(&mut self, message: &Message, checker: &mut Checker) {
        match message {
            Message::Mkd(mkd) => {
                self.csb_groups.insert(mkd.csb_id.0, mkd.group);
            }
            Message::Spd(spd) => {
                let group = *self.csb_groups.get(&spd.csb_id.0).expect("its MKD came before");
                checker.heard_epoch((self.eui64, self.handshakes), group, spd);
                self.groups.insert(group, spd.clone());
            }
            Message::Cfg { cfg, .. } => self.configure(cfg, checker),
            Message::Err { error, .. } => self.errors.push(*error),
            Message::Req(req) => {
                let gone = req.wishes.iter().filter(|wish| wish.role.is_none());
                for wish in gone {
                    self.groups.remove(&wish.group);
                    self.left.push(wish.group);
                }
            }
            // None of these devices follows key trees.
            Message::Path(_) | Message::Followed(_) => panic!("{message:?}"),
            Message::Ack { .. } => {}
        }
    }

    fn configure(&mut self, cfg: &Cfg, checker: &Checker) {
        if cfg.pan_id.is_some_and(|pan| self.pan.is_some_and(|before| before != pan)) {
            self.link_keys.clear();
            self.short = None;
        }
        self.pan = cfg.pan_id.or(self.pan);
        let pan = self.pan.expect("the first configuration names it");
        for key in &cfg.keys {
            checker.heard_key(pan, key.index.raw(), key.key.expose());
            self.link_keys.insert(key.index.raw(), *key.key.expose());
        }
        // RFC 9031 section 8.4.3.1: who has no key yet uses the first one that it is given.
        let at_once = match cfg.activation {
            Activation::Switch { .. } => true,
            Activation::ByRole => self.sends_with.is_none(),
            Activation::Stage => false,
        };
        if let Some(key) = cfg.keys.first().filter(|_| at_once) {
            self.sends_with = Some(key.index.raw());
        }
        if let Some(short) = cfg.short {
            checker.heard_short(self.eui64, self.kind, pan, short);
            assert!(self.short.is_none_or(|earlier| earlier == short), "an address is for good");
            self.short = Some(short);
        }
    }

    pub(crate) fn key_indices(&self) -> BTreeSet<u8> {
        self.link_keys.keys().copied().collect()
    }
}
