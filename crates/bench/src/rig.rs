//! What is measured: a border router and its side of the co-processor, in the state in which a mesh of
//! three hops leaves them. The mesh is real, in virtual time, and gone once it is up: after that whatever
//! the co-processor would say is prepared beforehand, so that nobody else's work is measured.
//!
//! **Invariant:** equal calls give equal rigs, octet by octet.

use crate::traffic::tag_fragment;
use lowgate_crypto::SoftCcm;
use lowgate_dtls::{Psk, Retransmission};
use lowgate_mac::{
    FrameCounter, KeyIndex, LinkSecurity, Mac, MacConfig, MacInput, MacOutput, Psdu, RadioCommand,
    RadioEvent, Security, TxStatus, payload_room,
};
use lowgate_manager::{
    DevicePsk, DeviceRecord, Identity, Kind, LinkKey, Manager, ManagerConfig, ManagerInput,
    ManagerOutput, MemoryStore, NewDomain, Request, RequestId,
};
use lowgate_node::NodeConfig;
use lowgate_router::co_processor::{CoProcessor, CoProcessorInput, CoProcessorOutput};
use lowgate_router::{Datagram, Input, Inward, Output, Router, RouterConfig, datagram, packet};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{MANAGER_ADDR, ROUTER_ADDR, Root, World, WorldConfig};
use lowgate_sixlowpan::{
    ContextId, ContextUse, Contexts, DATAGRAM_OCTETS_MAX, DatagramTag, Fragmenter, LinkPair,
    Prefix, iphc,
};
use lowgate_units::{
    Channel, Duration, Eui64, Iid, Instant, Ipv6Addr, LinkAddr, LinkDst, PanId, Prng,
    SeededEntropy, ShortAddr,
};
use std::collections::BTreeMap;

/// Somebody in the building's network.
pub(crate) const OUTSIDER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0xb, 0, 0, 0, 2);

const SEED: u64 = 1;
const HOPS: u32 = 3;
/// The co-processor of the world, which is the first station.
const RADIO: StationId = StationId(0);
const ROOM_METRES: f64 = 28.0;
/// Virtual time within which the mesh is up.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// Of virtual time, for what follows a join.
const SETTLE: Duration = Duration::from_secs(20);
/// A frame of the neighbour's that the mesh did not see counts from here.
const COUNTER_FLOOR: u32 = 1_000_000;

const fn eui64(station: u32) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, station as u8])
}

/// The border router, joined.
pub(crate) struct Rig {
    pub(crate) now: Instant,
    pub(crate) router: Router,
    pub(crate) co_processor: CoProcessor,
    /// The device at the end of the line.
    pub(crate) device: Ipv6Addr,
    prefix: [u8; 8],
    short: ShortAddr,
    pan_id: PanId,
    link_key: LinkKey,
    /// The hop-by-hop header that its neighbour's packets carry: the RPL option.
    routing_option: [u8; 8],
}

/// The border router and everybody around it, on their way to be a [`Rig`].
struct Site {
    world: World,
    manager: Manager,
    router: Router,
    co_processor: CoProcessor,
    entropy: SeededEntropy,
    /// What left the mesh for somebody who is not there.
    outside: Vec<Vec<u8>>,
}

impl Rig {
    /// Lets a mesh come up.
    ///
    /// # Panics
    /// When it does not.
    pub(crate) fn new() -> Self {
        let mut site = Site::new();
        let device = site.come_up();
        let routing_option = site.routing_option();
        let Site { world, manager, router, co_processor, .. } = site;
        let domain = manager.domain();
        Self {
            now: world.now(),
            router,
            co_processor,
            device,
            prefix: domain.config().mesh_prefix,
            short: lowgate_manager::BORDER_ROUTER_SHORT,
            pan_id: domain.config().pan_id,
            link_key: domain.founding_pan().link_key.clone(),
            routing_option,
        }
    }

    /// Frames in which the last hop brings `count` datagrams of `payload_octets` from the device to
    /// somebody outside; sealed, each newer than the one before.
    pub(crate) fn upward(&self, count: usize, payload_octets: usize) -> Vec<Vec<Psdu>> {
        let payload = &vec![0x55; payload_octets][..];
        let (src, dst) = (self.device, OUTSIDER);
        let plain = packet(&Datagram { src, dst, src_port: 5683, dst_port: 5683, payload });
        let fragments = self.compressed(&self.with_routing_option(&plain));
        let mut sealer = self.sealer();
        let datagrams = 0..count as u16;
        let mut seal = |tag| {
            let frames = fragments.iter().cloned();
            let tagged = frames.map(|mut fragment| {
                tag_fragment(&mut fragment, tag);
                seal(&mut sealer, self.short, &fragment)
            });
            tagged.collect()
        };
        datagrams.map(&mut seal).collect()
    }

    /// RFC 9008 section 7.1: what goes up carries the option, put in by its source.
    fn with_routing_option(&self, plain: &[u8]) -> Vec<u8> {
        const HEADER_OCTETS: usize = 40;
        const NEXT_HEADER_AT: usize = 6;
        let (head, body) = plain.split_at(HEADER_OCTETS);
        let mut head = head.to_vec();
        let mut option = self.routing_option;
        option[0] = std::mem::replace(&mut head[NEXT_HEADER_AT], 0);
        let len = (option.len() + body.len()) as u16;
        head[4..6].copy_from_slice(&len.to_be_bytes());
        [&head[..], &option, body].concat()
    }

    fn compressed(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        let src = LinkAddr::Extended(eui64(1));
        let dst = LinkDst::Unicast(LinkAddr::Short(self.short));
        let contexts = contexts(self.prefix);
        let room = payload_room(Some(LinkSecurity::EncMic64), dst);
        let mut octets = vec![0; DATAGRAM_OCTETS_MAX + 1];
        let headers_max = Fragmenter::headers_max(room);
        let link = LinkPair { src, dst };
        let datagram = iphc::compress_within(packet, link, &contexts, headers_max, &mut octets)
            .expect("a packet of ours");
        octets.truncate(datagram.len());
        let mut fragmenter =
            Fragmenter::new(datagram, DatagramTag(0), room).expect("frames have room");
        let mut fragments = Vec::new();
        let mut frame = [0; 127];
        while let Some(len) = fragmenter.emit_next(&octets, &mut frame[..room]) {
            fragments.push(frame[..len].to_vec());
        }
        fragments
    }

    /// The link layer of the neighbour, as it would count on.
    fn sealer(&self) -> Mac {
        let mut mac = Mac::new(MacConfig::new(eui64(1), &SoftCcm), Prng::new(SEED));
        let LinkKey { index, key } = self.link_key.clone();
        let index = KeyIndex::new(index.raw()).expect("an index in use");
        let counter_floor = FrameCounter(COUNTER_FLOOR);
        let (channel, pan_id) = (Channel::new(15).expect("in the band"), Some(self.pan_id));
        let short = ShortAddr::new(2);
        for input in [
            MacInput::SetNetwork { channel, pan_id, short },
            MacInput::InstallKey { index, key, counter_floor },
            MacInput::ActivateKey { index },
        ] {
            mac.handle(self.now, input);
        }
        mac
    }
}

/// One frame out of `mac`, which then waits for the next.
fn seal(mac: &mut Mac, to: ShortAddr, payload: &[u8]) -> Psdu {
    let now = Instant::ZERO;
    let (token, dst, security) = (0, LinkDst::Unicast(LinkAddr::Short(to)), Security::Secured);
    mac.handle(now, MacInput::Send { token, dst, security, payload });
    let mut sealed = None;
    loop {
        match mac.poll(now) {
            MacOutput::Radio(RadioCommand::Transmit { token, psdu }) => {
                sealed = Some(psdu);
                let (status, attempts) = (TxStatus::Acked, 1);
                let event = RadioEvent::Transmitted { token, status, attempts };
                mac.handle(now, MacInput::Radio(event));
            }
            MacOutput::ReserveCounter { index, below } => {
                mac.handle(now, MacInput::CounterReserved { index, below });
            }
            MacOutput::Wait { .. } => return sealed.expect("it has a key and a network"),
            _ => {}
        }
    }
}

fn contexts(prefix: [u8; 8]) -> Contexts {
    let mut contexts = Contexts::new();
    let prefix = Prefix::new(Iid([0; 8]).under(prefix), 64).expect("64 bits");
    contexts.set(ContextId::DEFAULT, prefix, ContextUse::Both);
    contexts
}

impl Site {
    fn new() -> Self {
        let mut building = Building::generate(1, 1).expect("one device").building;
        building.floors.clear();
        building.groups.clear();
        building.propagation.shadowing_db = 0.0;
        building.border_routers = vec![place(0)];
        building.devices = (1..=HOPS).map(place).collect();
        let inventory: Vec<DeviceRecord> = (0..=HOPS).map(record).collect();
        let config = WorldConfig { root: Root::CoProcessor, ..WorldConfig::new(SEED) };
        let channel = config.channel;
        let store = Box::<MemoryStore>::default();
        let world = World::new(config, building, &inventory, Vec::new(), store);
        let mut entropy = SeededEntropy::new(SEED);
        let new = NewDomain::new(channel, MANAGER_ADDR);
        let config = ManagerConfig::new(&SoftCcm);
        let manager = Manager::found(config, new, Prng::new(SEED), &mut entropy);
        let router = router(channel, &mut entropy);
        let co_processor = CoProcessor::new(Instant::ZERO);
        let outside = Vec::new();
        let mut site = Self { world, manager, router, co_processor, entropy, outside };
        site.drain();
        let until = Instant::from_secs(3600);
        for (id, request) in (0..).zip([Request::Import(inventory), Request::OpenWindow { until }])
        {
            site.manager.request(Instant::ZERO, RequestId(id), request, &mut site.entropy);
            site.drain();
        }
        site
    }

    /// Runs until the end of the line is reached; its address.
    fn come_up(&mut self) -> Ipv6Addr {
        let co_processor = self.world.honest().next().expect("a border router");
        self.world.power_on(co_processor);
        self.co_processor.handle(self.world.now(), CoProcessorInput::Opened);
        self.router.handle(self.world.now(), Input::Start);
        self.run_for(Duration::from_secs(5));
        for station in (1..=HOPS).map(StationId) {
            self.world.power_on(station);
            let deadline = self.world.now() + UP_WITHIN;
            while !self.is_in(station) {
                assert!(self.world.now() < deadline, "{station:?} does not join");
                self.run_for(Duration::from_millis(100));
            }
        }
        self.run_for(SETTLE);
        let end = self.world.station(StationId(HOPS)).node().expect("it has power");
        assert_eq!(end.net().hops(), Some(HOPS as u8), "no line");
        end.net().global_addr().expect("it is attached")
    }

    fn is_in(&self, station: StationId) -> bool {
        let node = self.world.station(station).node();
        node.is_some_and(|node| node.is_member() && node.net().is_attached())
    }

    /// Of a packet of the last device: the header with the RPL option, as the last hop left it.
    fn routing_option(&mut self) -> [u8; 8] {
        self.world.ping(StationId(HOPS), OUTSIDER, 1);
        self.run_for(Duration::from_secs(2));
        let packet = self.outside.first().expect("it came up the line");
        packet.get(40..48).and_then(|header| header.try_into().ok()).expect("an RPL option")
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.world.now() + duration;
        loop {
            let next = self.drain().min(self.world.next_at());
            if next > end {
                break;
            }
            self.world.run_to(next);
            self.manager.handle(self.world.now(), ManagerInput::Wake, &mut self.entropy);
        }
        self.world.run_to(end);
    }

    fn drain(&mut self) -> Instant {
        loop {
            let said = self.world.take_serial_out(RADIO);
            if !said.is_empty() {
                self.co_processor.handle(self.world.now(), CoProcessorInput::Octets(&said));
            }
            let (mut moved, mut until) = (false, Instant::FAR_FUTURE);
            for drain in [Self::drain_co_processor, Self::drain_router, Self::drain_manager] {
                let (one_moved, one_until) = drain(self);
                moved |= one_moved;
                until = until.min(one_until);
            }
            if !moved {
                return until;
            }
        }
    }

    fn drain_co_processor(&mut self) -> (bool, Instant) {
        let (mut moved, now) = (false, self.world.now());
        loop {
            match self.co_processor.poll(now) {
                CoProcessorOutput::Octets(octets) => self.world.serial_in(RADIO, &octets),
                CoProcessorOutput::Event(event) => {
                    self.router.handle(now, Input::Radio(event));
                }
                CoProcessorOutput::Reopen => panic!("the co-processor is of no use"),
                CoProcessorOutput::Told(_) => {}
                CoProcessorOutput::Wait { until } => return (moved, until),
            }
            moved = true;
        }
    }

    fn drain_router(&mut self) -> (bool, Instant) {
        let (mut moved, now) = (false, self.world.now());
        loop {
            match self.router.poll(now) {
                Output::Radio(command) => {
                    self.co_processor.handle(now, CoProcessorInput::Command(command));
                }
                Output::Store { ticket, .. } => self.router.handle(now, Input::Stored { ticket }),
                Output::Backbone(packet) => self.outward(&packet),
                Output::Erase(_) | Output::Event(_) => {}
                Output::Wait { until } => return (moved, until),
            }
            moved = true;
        }
    }

    fn outward(&mut self, packet: &[u8]) {
        match datagram(packet).filter(|datagram| datagram.dst == MANAGER_ADDR) {
            Some(Datagram { src, src_port, dst_port, payload: octets, .. }) => {
                let input = ManagerInput::Datagram { src, src_port, dst_port, octets };
                self.manager.handle(self.world.now(), input, &mut self.entropy);
            }
            None => self.outside.push(packet.to_vec()),
        }
    }

    fn drain_manager(&mut self) -> (bool, Instant) {
        let (mut moved, now) = (false, self.world.now());
        loop {
            match self.manager.poll(now) {
                ManagerOutput::Datagram { dst, dst_port, src_port, octets } => {
                    let (src, payload) = (MANAGER_ADDR, &octets[..]);
                    let packet = packet(&Datagram { src, dst, src_port, dst_port, payload });
                    self.router.handle(now, Input::Backbone(packet));
                }
                ManagerOutput::Commit(batch) => {
                    let input = ManagerInput::Committed { revision: batch.revision };
                    self.manager.handle(now, input, &mut self.entropy);
                }
                ManagerOutput::Reply { .. }
                | ManagerOutput::Event(_)
                | ManagerOutput::KeyLog(_) => {}
                ManagerOutput::Wait { until } => return (moved, until),
            }
            moved = true;
        }
    }
}

fn place(station: u32) -> Device {
    let x = f64::from(station) * ROOM_METRES;
    Device { eui64: eui64(station), level: 0, x, y: 0.0 }
}

fn record(station: u32) -> DeviceRecord {
    DeviceRecord {
        eui64: eui64(station),
        identity: Identity::from(eui64(station)),
        psk: DevicePsk::new(&psk(station)).expect("16 octets"),
        kind: if station == 0 { Kind::BorderRouter } else { Kind::Light },
        name: format!("device {station}"),
        room: String::new(),
        groups: BTreeMap::new(),
    }
}

const fn psk(station: u32) -> [u8; 16] {
    [0x50 + station as u8; 16]
}

fn router(channel: Channel, entropy: &mut SeededEntropy) -> Router {
    let node = NodeConfig {
        eui64: eui64(0),
        identity: eui64(0).0.into_iter().collect(),
        psk: Psk::new(&psk(0)).expect("16 octets"),
        kind: lowgate_node::Kind::BorderRouter,
        groups: [].into_iter().collect(),
        channels: [channel].into_iter().collect(),
        ccm: &SoftCcm,
        retransmission: Retransmission::USUAL,
        key_trees: false,
        pairs: false,
        key_log: false,
    };
    let (backbone_addr, manager_addr) = (ROUTER_ADDR, MANAGER_ADDR);
    let config = RouterConfig { node, backbone_addr, manager_addr, inward: Inward::ALL };
    Router::new(Instant::ZERO, config, [], entropy, Prng::new(SEED))
}
