//! One device, composed: the machines of all layers, fed and drained as one.
//!
//! **Invariant:** what came without link-layer security reaches the relay or the joiner, nobody else;
//! what a frame depends on is in storage before the frame leaves.

use crate::api::{Event, Input, Kind, NodeConfig, Output};
use crate::app::App;
use crate::doubt::Doubt;
use crate::fed::Fed;
use crate::flash::Record;
use crate::floors::FLOORS_MAX;
use crate::groups::Groups;
use crate::keys::{Confirm, Link, Pending};
use crate::outside;
use crate::pairs::{self, Pairs};
use crate::trees::Trees;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use lowgate_access::beacon::Beacon;
use lowgate_access::candidates::Candidate;
use lowgate_access::joiner::{Joiner, JoinerConfig, JoinerEvent, JoinerInput, JoinerOutput, Path};
use lowgate_access::relay::Relay;
use lowgate_access::{
    ALL_NODES, JOIN_PORT, JOINER_PORT, MANAGER_PORT, MANAGER_RELAY_PORT, TREE_PORT,
};
use lowgate_amikey::{GroupId, GroupRequest, KeyIndex, RequestFlags};
use lowgate_coap::{Bounds, Config as CoapConfig, Endpoint, RequestId};
use lowgate_crypto::{Secret, hkdf_sha256};
use lowgate_mac::{FrameCounter, Mac, MacConfig, MacInput, MacOutput, Security};
use lowgate_net::{
    Attach, Frame, NetEvent, NetInput, NetOutput, SendDone, Stack, StackConfig, next_dodag_version,
};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Channel, Duration, Entropy, Eui64, Iid, Instant, Ipv6Addr, LinkAddr, Prng};

/// A router answers beacon requests no faster than this.
const BEACON_INTERVAL: Duration = Duration::from_millis(150);
/// Neighbours that hear the same request answer spread over this time.
const BEACON_JITTER_MICROS: u64 = 120_000;

/// A border router asks so often whether the manager still has its session.
const GREETING_INTERVAL: Duration = Duration::from_secs(15);
/// MAX_RETRANSMIT (RFC 7252 section 4.8) of a device: after 14 to 21 s without an answer it makes its
/// session with the manager anew, which restarts without the sessions that it had.
const MAX_RETRANSMIT: u8 = 2;

/// The version a DODAG begins with (RFC 6550 section 7.2).
const DODAG_VERSION_FIRST: u8 = 240;

/// Whom CoAP is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CoapPeer {
    /// The domain manager, through the DTLS session.
    Manager,
    /// A sender of a group.
    Member(GroupId, u8),
    /// Somebody outside, by address and port (RFC 7252 section 1.2).
    Outsider(Ipv6Addr, u16),
}

/// A device. Feed it with [`Node::handle`], then drain it with [`Node::poll`] to [`Output::Wait`].
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) mac: Fed<Mac>,
    // By themselves, lest a small chip's stack hold all of the node twice while it is made.
    pub(crate) net: Fed<Box<Stack>>,
    pub(crate) joiner: Fed<Box<Joiner>>,
    pub(crate) relay: Relay,
    pub(crate) coap: Fed<Endpoint<CoapPeer>>,
    /// What the manager was asked within the session and did not answer yet.
    pub(crate) greeting: Option<RequestId>,
    pub(crate) outside: Fed<Endpoint<CoapPeer>>,
    pub(crate) groups: Groups,
    pub(crate) trees: Trees,
    pub(crate) pairs: Fed<Pairs>,
    pub(crate) app: App,
    pub(crate) link: Option<Link>,
    pub(crate) floors: heapless::Vec<(KeyIndex, FrameCounter), FLOORS_MAX>,
    pub(crate) pending: Vec<(u32, Pending)>,
    pub(crate) next_ticket: u32,
    pub(crate) unopened: Unopened,
    pub(crate) later_key: LaterKey,
    pub(crate) keys_doubted: Doubt,
    /// Border router: the DODAG's version since this boot.
    pub(crate) dodag_version: u8,
    pub(crate) prng: Prng,
    /// Frames given to the link layer that have not ended.
    frames_out: u16,
    /// The mesh is entered when the last frame of the join has left: entering it clears the stack.
    pub(crate) entering: Option<Entering>,
    channel_turn: usize,
    beacon_at: Option<Instant>,
    beacon_allowed_at: Instant,
    outputs: VecDeque<Output>,
}

/// Frames under a key that this node does not have, since the last one of its parent's that it could open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unopened {
    pub(crate) count: u16,
    /// Those of them that are in the parent's name.
    pub(crate) of_parent: u16,
    pub(crate) since: Instant,
    /// The network was asked for a sign.
    pub(crate) asked_at: Option<Instant>,
}

/// Frames under a later key than this node has. Those whom a change of key passed by together open each other's
/// frames, so that they take each other for the network; the root's word alone shows that they are in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaterKey {
    pub(crate) frames: u16,
    /// When the root's word was asked for, or the network was entered.
    pub(crate) since: Instant,
    /// The root's word is awaited.
    pub(crate) is_awaited: bool,
}

/// A first parent to try, if one is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entering {
    pub(crate) hint: Option<Eui64>,
}

impl Node {
    /// A device as it wakes up: `records` is what its storage holds, `entropy` is asked for the
    /// secrets of this boot.
    pub fn new(
        now: Instant,
        config: NodeConfig,
        records: impl IntoIterator<Item = Record>,
        entropy: &mut dyn Entropy,
        mut prng: Prng,
    ) -> Self {
        let mut boot = [0; 32];
        entropy.fill(&mut boot);
        let mut relay_secret = [0; 16];
        hkdf_sha256(b"", &boot, &[b"lowgate relay secret v1"], &mut relay_secret);
        let mut joiner_seed = [0; 32];
        hkdf_sha256(b"", &boot, &[b"lowgate joiner seed v1"], &mut joiner_seed);
        let records: Vec<Record> = records.into_iter().collect();
        let stack = StackConfig {
            eui64: config.eui64,
            join_port: JOIN_PORT,
            mpl_sequence: first_mpl_sequence(&records),
        };
        let joiner = joiner_config(&config);
        let coap = CoapConfig {
            bounds: Bounds::DEVICE,
            max_retransmit: MAX_RETRANSMIT,
            ..CoapConfig::default()
        };
        let mut node = Self {
            mac: Fed::new(Mac::new(MacConfig::new(config.eui64, config.ccm), prng.fork(1))),
            net: Fed::new(Box::new(Stack::new(stack, prng.fork(2)))),
            joiner: Fed::new(Box::new(Joiner::new(joiner, Secret::new(joiner_seed), prng.fork(3)))),
            relay: Relay::new(now, &relay_secret, config.eui64, 0),
            coap: Fed::new(Endpoint::new(coap, prng.fork(4))),
            greeting: None,
            outside: Fed::new(outside::endpoint(prng.fork(5))),
            groups: Groups::new(config.kind),
            trees: Trees::new(),
            pairs: Fed::new(Pairs::new(now, &config, &records, (&boot, &prng.fork(6)))),
            app: App::new(config.kind),
            link: None,
            floors: heapless::Vec::new(),
            pending: Vec::new(),
            next_ticket: 0,
            dodag_version: next_dodag_version_of(&records),
            unopened: Unopened::new(now),
            later_key: LaterKey::new(now),
            keys_doubted: Doubt::default(),
            frames_out: 0,
            entering: None,
            channel_turn: 0,
            beacon_at: None,
            beacon_allowed_at: now,
            outputs: VecDeque::new(),
            prng: Prng::new(prng.next_u64()),
            config,
        };
        if follows_trees(&node.config) {
            let (addr, port) = (ALL_NODES, TREE_PORT);
            node.net.handle(now, NetInput::JoinGroup { addr, port });
        }
        node.restore(now, &records);
        node
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Start => self.start(now),
            Input::Radio(event) => self.mac.handle(now, MacInput::Radio(event)),
            Input::Stored { ticket } => self.stored(now, ticket),
            Input::Press { on } => self.press(now, on),
            Input::Ask { peer, addr, request } => self.ask_pair(now, (peer, addr), request),
            Input::Measured { tenths } => self.app.measure(tenths),
            Input::Ping { dst, sequence } => {
                if self.net.ping(now, dst, PING_IDENTIFIER, sequence, b"lowgate").is_err() {
                    self.event(Event::PingRefused);
                }
            }
            Input::FromManager(mut octets) => {
                let (path, octets) = (Path::Direct, &mut octets[..]);
                self.joiner.handle(now, JoinerInput::Datagram { path, octets });
            }
            Input::FromBackbone(packet) => {
                let manager = self.link.as_ref().and_then(|link| link.manager());
                let input = match manager {
                    Some(manager) if is_of_manager(&packet, manager) => {
                        NetInput::FromManager(&packet)
                    }
                    Some(_) | None => NetInput::FromBackbone(&packet),
                };
                self.net.handle(now, input);
            }
            Input::Admitted { eui64, short } => {
                self.net.handle(now, NetInput::Admitted { eui64, short });
            }
            Input::Expelled { eui64 } => self.net.handle(now, NetInput::Expelled { eui64 }),
            Input::Managed { exchange, response } => self.respond(now, exchange, response),
        }
        self.settle(now);
    }

    /// The next wish.
    pub fn poll(&mut self, now: Instant) -> Output {
        if self.outputs.is_empty() {
            self.settle(now);
        }
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait { until: self.wake_at() })
    }

    /// Who it is.
    pub const fn eui64(&self) -> Eui64 {
        self.config.eui64
    }

    /// The mesh as this node sees it.
    pub fn net(&self) -> &Stack {
        &self.net
    }

    /// Whether the domain manager's configuration is in force.
    pub fn is_member(&self) -> bool {
        self.joiner.is_member()
    }

    /// The link-layer key that it sends with.
    pub fn link_key(&self) -> Option<KeyIndex> {
        self.mac.active_key().and_then(|index| KeyIndex::new(index.raw()))
    }

    /// The lamp of a light.
    pub const fn lamp_on(&self) -> bool {
        self.app.lamp_on()
    }

    fn wake_at(&self) -> Instant {
        let beacon = self.beacon_at.unwrap_or(Instant::FAR_FUTURE);
        let own = beacon.min(self.unopened.due()).min(self.later_key.due());
        own.min(self.keys_doubted.due())
            .min(self.trees.due())
            .min(self.mac.until())
            .min(self.net.until())
            .min(self.joiner.until())
            .min(self.coap.until())
            .min(self.outside.until())
            .min(self.pairs.until())
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn start(&mut self, now: Instant) {
        match self.config.kind {
            // RFC 6550 section 7.2: a root that lost its tables begins another version, which has
            // everybody register and announce again. It is stored before anybody hears of it.
            Kind::BorderRouter => {
                let version = self.dodag_version;
                self.store(Record::DodagVersion { version }, Pending::DodagVersion);
            }
            Kind::Light | Kind::Switch | Kind::Sensor => self.begin(now),
        }
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        match (&self.link, self.config.kind) {
            (Some(_), _) => self.resume(now),
            (None, Kind::BorderRouter) => self.joiner.handle(now, JoinerInput::StartDirect),
            (None, Kind::Light | Kind::Switch | Kind::Sensor) => {
                self.joiner.handle(now, JoinerInput::Start);
            }
        }
    }

    /// Passes what the machines say between them until all of them wait.
    pub(crate) fn settle(&mut self, now: Instant) {
        loop {
            self.send_beacon_if_due(now);
            self.doubt_if_due(now);
            self.ask_for_keys_if_due(now);
            self.say_followed_if_due(now);
            let moved = self.drain_mac(now)
                | self.drain_net(now)
                | self.drain_joiner(now)
                | self.drain_coap(now)
                | self.drain_outside(now)
                | self.drain_pairs(now);
            if moved {
                continue;
            }
            match self.entering.take_if(|_| self.frames_out == 0) {
                Some(entering) => self.attach(now, entering.hint),
                None => return,
            }
        }
    }

    fn drain_mac(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while self.mac.is_due(now) {
            match self.mac.poll(now) {
                MacOutput::Wait { until } => {
                    self.mac.waits(until);
                    break;
                }
                output => self.mac_output(now, output),
            }
            moved = true;
        }
        moved
    }

    fn mac_output(&mut self, now: Instant, output: MacOutput) {
        match output {
            MacOutput::Radio(command) => self.push(Output::Radio(command)),
            MacOutput::Received { src, dst, secured, payload, rssi, lqi } => {
                if let Some(index) = secured {
                    self.opened(now, src, index);
                }
                let secured = secured.is_some() || planted(Fault::UnsecuredAccepted);
                let frame = Frame { src, dst, secured, payload: &payload, rssi, lqi };
                self.net.handle(now, NetInput::Frame(frame));
            }
            MacOutput::BeaconRequested { .. } => self.schedule_beacon(now),
            MacOutput::BeaconHeard { src, pan_id, payload, rssi, lqi } => {
                if let Ok(beacon) = Beacon::parse(&payload) {
                    let candidate = Candidate { relay: src, pan_id, beacon, rssi, lqi };
                    self.joiner.handle(now, JoinerInput::BeaconHeard(candidate));
                }
            }
            MacOutput::SendDone { token, status, attempts } => {
                self.frames_out = self.frames_out.saturating_sub(1);
                let done = SendDone { token, acked: status.is_success(), attempts };
                self.net.handle(now, NetInput::SendDone(done));
            }
            MacOutput::ReserveCounter { index, below } => self.reserve_counter(index, below),
            MacOutput::Event(event) => self.mac_event(event),
            MacOutput::Wait { .. } => unreachable!("the caller keeps it"),
        }
    }

    fn drain_net(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while self.net.is_due(now) {
            match self.net.poll(now) {
                NetOutput::Wait { until } => {
                    self.net.waits(until);
                    break;
                }
                NetOutput::Frame(frame) => {
                    self.frames_out += 1;
                    let security =
                        if frame.secured { Security::Secured } else { Security::Unsecured };
                    let (token, dst) = (frame.token, frame.dst);
                    let payload = &frame.payload[..];
                    self.mac.handle(now, MacInput::Send { token, dst, security, payload });
                }
                NetOutput::Udp(datagram) => self.udp(now, datagram),
                NetOutput::ToBackbone(packet) => self.push(Output::ToBackbone(packet)),
                NetOutput::StoreMplSequence { through } => {
                    self.store(Record::MplSequence { through }, Pending::MplSequence { through });
                }
                NetOutput::StoreDodagVersion { version } => {
                    self.store(Record::DodagVersion { version }, Pending::NextVersion { version });
                }
                NetOutput::Event(event) => self.net_event(now, event),
            }
            moved = true;
        }
        moved
    }

    fn net_event(&mut self, now: Instant, event: NetEvent) {
        if matches!(event, NetEvent::Attached { .. }) {
            self.joiner.handle(now, JoinerInput::Attached);
            self.greet_manager(now);
        }
        self.event(Event::Net(event));
    }

    fn drain_joiner(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while self.joiner.is_due(now) {
            match self.joiner.poll(now) {
                JoinerOutput::Wait { until } => {
                    self.joiner.waits(until);
                    break;
                }
                JoinerOutput::RequestBeacons => self.request_beacons(now),
                JoinerOutput::Tune(candidate) => {
                    let channel = self.channel();
                    let pan_id = Some(candidate.pan_id);
                    self.mac.handle(now, MacInput::SetNetwork { channel, pan_id, short: None });
                }
                JoinerOutput::Datagram { path, octets } => self.send_to_manager(now, path, octets),
                JoinerOutput::Keys { ticket, content } => {
                    self.keys(now, Confirm::Ticket(ticket), &content)
                }
                JoinerOutput::Application(content) => self.take_from_manager(now, &content),
                JoinerOutput::Greet => self.greet_manager(now),
                JoinerOutput::Event(event) => {
                    // What was asked in another session says nothing of this one.
                    if matches!(event, JoinerEvent::SessionLost(_) | JoinerEvent::Handshake(_)) {
                        self.forget_greeting(now);
                    }
                    self.event(Event::Join(event));
                }
            }
            moved = true;
        }
        moved
    }

    /// Leaves the network it may have been in and listens on the next channel.
    fn request_beacons(&mut self, now: Instant) {
        self.channel_turn = (self.channel_turn + 1) % self.config.channels.len().max(1);
        let channel = self.channel();
        self.mac.handle(now, MacInput::SetNetwork { channel, pan_id: None, short: None });
        self.mac.handle(now, MacInput::SendBeaconRequest);
    }

    pub(crate) fn channel(&self) -> Channel {
        let configured = self.link.as_ref().and_then(|link| link.cfg.channel);
        configured.unwrap_or(self.config.channels[self.channel_turn])
    }

    fn schedule_beacon(&mut self, now: Instant) {
        let open = self.link.as_ref().is_some_and(Link::join_open) && self.net.is_attached();
        if open && self.beacon_at.is_none() && now >= self.beacon_allowed_at {
            let jitter = Duration::from_micros(self.prng.below(BEACON_JITTER_MICROS));
            self.beacon_at = Some(now + jitter);
        }
    }

    fn send_beacon_if_due(&mut self, now: Instant) {
        let (Some(_), Some(link)) = (self.beacon_at.take_if(|at| *at <= now), &self.link) else {
            return;
        };
        self.beacon_allowed_at = now + BEACON_INTERVAL;
        let beacon = Beacon {
            join_open: link.join_open(),
            domain_hint: link.domain_hint(),
            dag_rank: u8::try_from(self.net.rank() >> 7).unwrap_or(u8::MAX),
            load: self.relay.load(now),
        };
        self.mac.handle(now, MacInput::SendBeacon { payload: &beacon.emit() });
    }

    fn attach(&mut self, now: Instant, hint: Option<Eui64>) {
        let Some(short) = self.link.as_ref().and_then(|link| link.cfg.short) else {
            return;
        };
        match self.config.kind {
            Kind::BorderRouter => self.attach_root(now, short),
            Kind::Light | Kind::Switch | Kind::Sensor => {
                self.net.handle(now, NetInput::Attach(Attach { short, hint }));
            }
        }
    }
}

/// Identifier of this node's echo requests.
const PING_IDENTIFIER: u16 = 0x4c47;

fn joiner_config(config: &NodeConfig) -> JoinerConfig {
    let request = GroupRequest {
        flags: spoken(config),
        // The handshake says who asks, and that authentically.
        node_id: heapless::Vec::new(),
        groups: config.groups.iter().copied().collect(),
    };
    let mut group_request = heapless::Vec::new();
    group_request.resize_default(group_request.capacity()).expect("its own capacity");
    let len = request.emit(&mut group_request).expect("GROUPS_MAX groups fit");
    group_request.truncate(len);
    JoinerConfig {
        ccm: config.ccm,
        identity: config.identity.clone(),
        psk: config.psk.clone(),
        group_request,
        retransmission: config.retransmission,
        key_log: config.key_log,
        greet_every: (config.kind == Kind::BorderRouter).then_some(GREETING_INTERVAL),
    }
}

/// A border router tells them and follows none.
const fn follows_trees(config: &NodeConfig) -> bool {
    cfg!(feature = "trees") && config.key_trees && !matches!(config.kind, Kind::BorderRouter)
}

fn spoken(config: &NodeConfig) -> RequestFlags {
    let mut flags = RequestFlags::SPOKEN;
    if follows_trees(config) {
        flags = flags.with(RequestFlags::KEY_TREES);
    }
    if pairs::is_on(config) {
        flags = flags.with(RequestFlags::POLYNOMIAL_SHARE);
    }
    flags
}

fn first_mpl_sequence(records: &[Record]) -> u8 {
    let through = records.iter().find_map(|record| match record {
        Record::MplSequence { through } => Some(*through),
        Record::Network { .. }
        | Record::FrameCounter { .. }
        | Record::DodagVersion { .. }
        | Record::Group { .. }
        | Record::GroupSequence { .. }
        | Record::Member { .. }
        | Record::PairShare { .. }
        | Record::Pairs { .. }
        | Record::PairsLost { .. } => None,
    });
    let through = through.filter(|_| !planted(Fault::MplSequenceRepeats));
    through.map_or(0, |through| through.wrapping_add(1))
}

fn next_dodag_version_of(records: &[Record]) -> u8 {
    let before = records.iter().find_map(|record| match record {
        Record::DodagVersion { version } => Some(*version),
        Record::Network { .. }
        | Record::FrameCounter { .. }
        | Record::MplSequence { .. }
        | Record::Group { .. }
        | Record::GroupSequence { .. }
        | Record::Member { .. }
        | Record::PairShare { .. }
        | Record::Pairs { .. }
        | Record::PairsLost { .. } => None,
    });
    before.map_or(DODAG_VERSION_FIRST, next_dodag_version)
}

/// Whether a relay of this link address is meant.
pub(crate) fn relay_of(link_src: LinkAddr) -> Option<Eui64> {
    match link_src {
        LinkAddr::Extended(eui64) => Some(eui64),
        LinkAddr::Short(_) => None,
    }
}

/// Whether a packet of the backbone is of the manager's sessions, by its source and ports (the header of
/// RFC 8200 section 3 with UDP behind it). Anybody can say so: the border router bounds how much of it
/// passes.
fn is_of_manager(packet: &[u8], manager: Ipv6Addr) -> bool {
    const UDP: u8 = 17;
    let port = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let ports = (port(40), port(42));
    packet.get(6) == Some(&UDP)
        && packet.get(8..24) == Some(&manager.octets())
        && [(MANAGER_PORT, JOINER_PORT), (MANAGER_RELAY_PORT, JOIN_PORT)]
            .iter()
            .any(|(src, dst)| ports == (Some(*src), Some(*dst)))
}

/// A neighbour's link-local address.
pub(crate) fn link_local(eui64: Eui64) -> Ipv6Addr {
    Iid::from(eui64).link_local()
}
