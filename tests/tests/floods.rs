//! Purpose: whoever can send without being let in, in the building's network or on the air, keeps nobody
//! from joining and no light from being switched.
//! Topology: the border router; on one side a switch and a lamp, on the other a light, which is commanded over
//! two hops and is the only relay of another one that joins. Each hears the next room only; the attacker on
//! the air hangs beside the relay.
//! Clause: RFC 9031 section 6.1 (joining is limited lest it starve the network); figure 2 of the design.
//! Criteria, in every test: with the flood the joins and the group commands of the same seeds take at most
//! twice as long at the median as without it, and the joins on average too, every join succeeds, nine of ten
//! commands arrive, and no checker finds anything.

use lowgate_access::jpy::{self, Envelope};
use lowgate_access::{JOIN_PORT, MANAGER_RELAY_PORT};
use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, ManagerEvent, MemoryStore, Peer, Request,
    Role,
};
use lowgate_node::Event;
use lowgate_router::{Datagram, datagram, packet};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{
    Happening, Intruder, MANAGER_ADDR, OUTSIDERS, Trick, What, World, WorldConfig,
};
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, Prng, ShortAddr};

const ROUTER: StationId = StationId(0);
const RELAY: StationId = StationId(1);
const SWITCH: StationId = StationId(2);
const LAMP: StationId = StationId(3);
const JOINER: StationId = StationId(4);
const ATTACKER: StationId = StationId(5);

const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;
const ROOM_METRES: f64 = 28.0;
const PATIENCE: Duration = Duration::from_secs(5);
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
const PRESSES: usize = 5;
/// Between two commands; whoever has not heard one by then never will.
const PRESS_INTERVAL: Duration = Duration::from_secs(1);
const GROUP: GroupId = GroupId(7);
/// It learns what the network looks like.
const ATTACKER_LISTENS: Duration = Duration::from_secs(20);
/// On the air, before anything is measured.
const FLOODED_BEFORE: Duration = Duration::from_secs(5);
/// Handshakes that the manager has under way at most.
const HALF_OPEN_MAX: usize = 256;
/// In the mesh, and nobody's: the manager hears no relay from elsewhere.
const CROWD_RELAY: Iid = Iid([0, 0, 0, 0xff, 0xfe, 0, 0x7a, 0x7a]);
/// A slice of a flood of 10 000 a second.
const SLICE: Duration = Duration::from_millis(1);

const fn eui64(station: StationId) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, station.0 as u8])
}

fn place(station: StationId) -> Device {
    let (rooms, y) = match station {
        RELAY => (1.0, 0.0),
        SWITCH => (-1.0, 2.0),
        LAMP => (-1.0, 0.0),
        JOINER => (2.0, 0.0),
        ATTACKER => (1.0, 1.0),
        _ => (0.0, 0.0),
    };
    Device { eui64: eui64(station), level: 0, x: (rooms + 1.0) * ROOM_METRES, y }
}

fn record(station: StationId) -> DeviceRecord {
    let (kind, role) = match station {
        ROUTER => (Kind::BorderRouter, None),
        SWITCH => (Kind::Switch, Some(Role::Sender)),
        _ => (Kind::Light, Some(Role::Listener)),
    };
    DeviceRecord {
        eui64: eui64(station),
        identity: Identity::from(eui64(station)),
        psk: DevicePsk::new(&[0x50 + station.0 as u8; 16]).expect("16 octets"),
        kind,
        name: format!("device {}", station.0),
        room: String::new(),
        groups: role.map(|role| (GROUP, role)).into_iter().collect(),
    }
}

/// Everybody is in but the one that joins later. The attacker on the air, if there is one, is at it.
fn world(seed: u64, trick: Option<Trick>) -> World {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.propagation.shadowing_db = 0.0;
    building.border_routers = vec![place(ROUTER)];
    building.devices = [RELAY, SWITCH, LAMP, JOINER].map(place).to_vec();
    let inventory: Vec<_> = [ROUTER, RELAY, SWITCH, LAMP, JOINER].map(record).to_vec();
    let attacker = trick.map(|trick| Intruder::Eavesdropper { place: place(ATTACKER), trick });
    let store = Box::<MemoryStore>::default();
    let config = WorldConfig::new(seed);
    let mut world = World::new(config, building, &inventory, attacker.into_iter().collect(), store);
    let until = Instant::from_secs(3000);
    for request in [
        Request::CreateGroup { id: GROUP, name: "lights".into() },
        Request::Import(inventory),
        Request::OpenWindow { until },
    ] {
        world.ask(request, PATIENCE).expect("a reply");
    }
    world.power_on(ROUTER);
    world.run_for(PATIENCE);
    for device in [RELAY, SWITCH, LAMP] {
        world.power_on(device);
        assert!(world.run_until(JOIN_PATIENCE, |world| is_in(world, device)), "seed {seed}");
    }
    world.run_for(Duration::from_secs(20));
    if trick.is_some() {
        world.power_on(ATTACKER);
        world.run_for(ATTACKER_LISTENS + FLOODED_BEFORE);
    }
    world.take_happenings();
    world
}

fn is_in(world: &World, station: StationId) -> bool {
    let node = world.station(station).node();
    node.is_some_and(|node| node.is_member() && node.net().is_attached())
}

/// Sends what there is to send in one slice.
type Flood = Box<dyn FnMut(&mut World)>;

/// What was measured of one run.
#[derive(Debug, Default)]
struct Figures {
    joins: Vec<Duration>,
    commands: Vec<Duration>,
    /// Commands.
    expected: usize,
    /// Shares of the air that the attacker took.
    air: Vec<f64>,
    /// Handshakes that outsiders began, and those that ended.
    outsiders_began: usize,
    outsiders_ended: usize,
    /// Of them under way at once, at most.
    half_open: usize,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.joins.extend(other.joins);
        self.commands.extend(other.commands);
        self.expected += other.expected;
        self.air.extend(other.air);
        self.outsiders_began += other.outsiders_began;
        self.outsiders_ended += other.outsiders_ended;
        self.half_open = self.half_open.max(other.half_open);
    }

    fn note(&mut self, happenings: &[Happening]) {
        let is_outsider = |peer: &Peer| Iid::of(peer.addr) == CROWD_RELAY;
        for happening in happenings {
            match &happening.what {
                What::Manager(ManagerEvent::HelloReceived { peer }) if is_outsider(peer) => {
                    self.outsiders_began += 1;
                }
                What::Manager(ManagerEvent::HandshakeFailed { peer, .. }) if is_outsider(peer) => {
                    self.outsiders_ended += 1;
                }
                _ => {}
            }
            self.half_open = self.half_open.max(self.outsiders_began - self.outsiders_ended);
        }
    }
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

fn mean(of: &[Duration]) -> Duration {
    of.iter().sum::<Duration>() / of.len() as u32
}

/// Commands, then a join, while `flood` makes its octets of each slice.
fn measure(seed: u64, trick: Option<Trick>, mut flood: impl FnMut(&mut World)) -> Figures {
    let mut world = world(seed, trick);
    let began = world.now();
    let mut figures = Figures::default();
    for press in 0..PRESSES {
        let at = world.now();
        world.press(SWITCH, press % 2 == 0);
        while world.now() < at + PRESS_INTERVAL {
            flood(&mut world);
            world.run_for(SLICE);
        }
        figures.expected += 1;
        let happenings = world.take_happenings();
        figures.note(&happenings);
        for happening in happenings {
            if let What::Node(RELAY, Event::GroupOpened { group: GROUP, .. }) = happening.what {
                figures.commands.push(happening.at - at);
            }
        }
    }
    world.power_on(JOINER);
    let at = world.now();
    while !is_in(&world, JOINER) {
        assert!(world.now() < at + JOIN_PATIENCE, "seed {seed}: it does not get in");
        flood(&mut world);
        world.run_for(SLICE);
    }
    figures.joins.push(world.now() - at);
    figures.note(&world.take_happenings());
    if let Some(on_air) = trick.and_then(|_| world.station(ATTACKER).intrusions_on_air()) {
        figures
            .air
            .push(on_air.as_secs_f64() / (world.now() - began + FLOODED_BEFORE).as_secs_f64());
    }
    assert_eq!(world.findings(), [], "seed {seed}");
    figures
}

/// The same seeds, calm and under the flood that `flood` makes for each.
fn check(name: &str, trick: Option<Trick>, flood: fn(Prng) -> Flood) -> Figures {
    let (mut calm, mut flooded) = (Figures::default(), Figures::default());
    for seed in SEEDS {
        calm.add(measure(seed, None, |_| {}));
        flooded.add(measure(seed, trick, flood(Prng::new(seed))));
    }
    let [joins, joins_flooded] = [&calm, &flooded].map(|figures| median(&figures.joins));
    let [mean_joins, mean_joins_flooded] = [&calm, &flooded].map(|figures| mean(&figures.joins));
    let [commands, commands_flooded] = [&calm, &flooded].map(|figures| median(&figures.commands));
    println!("{name}: joins {joins:?} calm, {joins_flooded:?} flooded");
    println!("{name}: joins {mean_joins:?} calm, {mean_joins_flooded:?} flooded on average");
    println!("{name}: commands {commands:?} calm, {commands_flooded:?} flooded");
    let (arrived, expected) = (flooded.commands.len(), flooded.expected);
    println!("{name}: {arrived} of {expected} commands arrived, calm {}", calm.commands.len());
    println!(
        "{name}: slowest {:?} / {:?}",
        flooded.joins.iter().max(),
        flooded.commands.iter().max()
    );
    assert!(joins_flooded <= 2 * joins, "joins");
    assert!(mean_joins_flooded <= 2 * mean_joins, "joins on average");
    assert!(commands_flooded <= 2 * commands, "commands");
    assert!(10 * arrived >= 9 * expected, "{arrived} of {expected} commands");
    flooded
}

fn outsider(n: u64) -> Ipv6Addr {
    Iid(n.to_be_bytes()).under(OUTSIDERS)
}

/// Ten datagrams a millisecond: CoAP and not, to a device and to nobody, from five sources that exist, from
/// as many as there are addresses, in the name of devices and in that of the manager.
fn from_building(mut prng: Prng) -> Flood {
    Box::new(move |world| {
        let prefix = world.manager().domain().config().mesh_prefix;
        let device = world.station(LAMP).node().and_then(|node| node.net().global_addr());
        let device = device.expect("it is in");
        let nobody = Iid::from(ShortAddr::new(0x7777).expect("an address")).under(prefix);
        for kind in 0..10 {
            let dst = if kind % 3 == 2 { nobody } else { device };
            let (src, src_port, dst_port) = match kind {
                0..=3 => (outsider(1 + prng.below(5)), 40_000, 5683),
                4 | 5 => (outsider(prng.next_u64()), 40_000, 5683),
                6 | 7 => (outsider(1 + prng.below(5)), 40_000, 40_000),
                8 => (device, 40_000, 5683),
                _ => (MANAGER_ADDR, 40_000, 5683),
            };
            let payload = &vec![0x55; 10 + prng.below(1200) as usize][..];
            world.from_building(packet(&Datagram { src, dst, src_port, dst_port, payload }));
        }
        world.take_for_outsiders();
    })
}

/// Purpose: a flood of 10 000 datagrams a second from the building's network.
#[test]
fn from_the_building_s_network() {
    check("building", None, from_building);
}

/// Purpose: a flood of unsecured frames at the relay, a fifth of its air (a frame, then four times as long
/// nothing; who never rests jams, and no protocol helps against that).
#[test]
fn of_unsecured_frames_at_a_relay() {
    let trick = Some(Trick::Flood(eui64(RELAY)));
    let figures = check("relay", trick, |_| Box::new(|_| {}));
    println!("relay: shares of the air {:.3?}", figures.air);
    assert!(figures.air.iter().all(|share| (0.12..0.2).contains(share)), "{:?}", figures.air);
}

/// A relay that has a thousand joiners a second, none of which gets farther than to a handshake.
struct Crowd {
    prng: Prng,
}

impl Crowd {
    fn say(&mut self, world: &mut World) {
        let mut header = [0; 20];
        header.iter_mut().for_each(|octet| *octet = self.prng.next_u64() as u8);
        let relay = CROWD_RELAY.under(world.manager().domain().founding_pan().config.mesh_prefix);
        world.take_over(relay);
        world.to_manager(relayed(relay, &header, &client_hello(&header, &[])));
        for answer in world.take_for_outsiders() {
            let Some(answer) = datagram(&answer) else { continue };
            let Ok(Envelope { header, content }) = jpy::parse(answer.payload) else { continue };
            // Every other one brings its cookie back.
            if header[0] % 2 == 0
                && let Some(cookie) = cookie(content)
            {
                world.to_manager(relayed(relay, header, &client_hello(header, cookie)));
            }
        }
    }
}

fn relayed(relay: Ipv6Addr, header: &[u8], content: &[u8]) -> Vec<u8> {
    let mut envelope = [0; 300];
    let len = Envelope { header, content }.emit(&mut envelope).expect("room for it");
    packet(&Datagram {
        src: relay,
        dst: MANAGER_ADDR,
        src_port: JOIN_PORT,
        dst_port: MANAGER_RELAY_PORT,
        payload: &envelope[..len],
    })
}

/// Of the joiner with this header (RFC 6347 section 4.2.2): PSK, no compression, no extensions.
fn client_hello(header: &[u8], cookie: &[u8]) -> Vec<u8> {
    let sequence = u8::from(!cookie.is_empty());
    let random: Vec<u8> = header.iter().cycle().take(32).copied().collect();
    let suites = [0, 2, 0xc0, 0xa8, 1, 0];
    let body = [&[0xfe, 0xfd], &random[..], &[0, cookie.len() as u8], cookie, &suites].concat();
    let len = body.len() as u8;
    let record = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence, 0, 12 + len];
    let message = [1, 0, 0, len, 0, sequence, 0, 0, 0, 0, 0, len];
    [&record[..], &message, &body].concat()
}

/// What a HelloVerifyRequest (RFC 6347 section 4.2.1) wants to hear.
fn cookie(record: &[u8]) -> Option<&[u8]> {
    const RECORD_AND_MESSAGE_OCTETS: usize = 13 + 12;
    const HELLO_VERIFY_REQUEST: u8 = 3;
    let body = record.get(RECORD_AND_MESSAGE_OCTETS..)?;
    let len = usize::from(*body.get(2)?);
    (record[13] == HELLO_VERIFY_REQUEST).then(|| body.get(3..3 + len))?
}

/// Purpose: a flood of a thousand ClientHellos a second from one relay, each in another name, every other
/// one followed by the one with the manager's cookie. The tables of the manager stay bounded.
#[test]
fn of_client_hellos_from_one_relay() {
    let figures = check("hellos", None, |prng| {
        let mut crowd = Crowd { prng };
        Box::new(move |world| crowd.say(world))
    });
    println!("hellos: {} handshakes, {} at once", figures.outsiders_began, figures.half_open);
    assert!(figures.outsiders_began > 1000, "no flood");
    assert!(figures.half_open <= HALF_OPEN_MAX);
}
