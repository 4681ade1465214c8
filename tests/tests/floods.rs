//! Purpose: whoever can send without being let in, in the building's network or on the air, keeps nobody
//! from joining and no light from being switched.
//! Topology: the border router; on one side a switch and a lamp, on the other a light, which is commanded over
//! two hops and is the only relay of another one that joins. Each hears the next room only; the attacker on
//! the air hangs beside the relay.
//! Clause: RFC 9031 section 6.1 (joining is limited lest it starve the network); figure 2 of the design.
//! Criteria, in every test: with the flood the joins and the group commands of the same seeds take at most
//! twice as long at the median as without it, every join succeeds, nine of ten commands arrive, and no
//! checker finds anything.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Request, Role,
};
use lowgate_node::Event;
use lowgate_router::{Datagram, packet};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Intruder, MANAGER_ADDR, OUTSIDERS, Trick, What, World, WorldConfig};
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
    building.border_router = place(ROUTER);
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
        // It listens first.
        world.run_for(Duration::from_secs(25));
    }
    world.take_happenings();
    world
}

fn is_in(world: &World, station: StationId) -> bool {
    let node = world.station(station).node();
    node.is_some_and(|node| node.is_member() && node.net().is_attached())
}

/// What was measured of one run.
#[derive(Debug, Default)]
struct Figures {
    joins: Vec<Duration>,
    commands: Vec<Duration>,
    /// Commands.
    expected: usize,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.joins.extend(other.joins);
        self.commands.extend(other.commands);
        self.expected += other.expected;
    }
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// Commands, then a join, while `flood` makes its octets of each slice.
fn measure(seed: u64, trick: Option<Trick>, mut flood: impl FnMut(&mut World)) -> Figures {
    let mut world = world(seed, trick);
    let mut figures = Figures::default();
    for press in 0..PRESSES {
        let at = world.now();
        world.press(SWITCH, press % 2 == 0);
        while world.now() < at + PRESS_INTERVAL {
            flood(&mut world);
            world.run_for(SLICE);
        }
        figures.expected += 1;
        for happening in world.take_happenings() {
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
    if trick.is_some() {
        println!("seed {seed}: {:?} frames", world.station(ATTACKER).intrusions());
    }
    assert_eq!(world.findings(), [], "seed {seed}");
    figures
}

/// The same seeds, calm and under the flood that `flood` makes for each.
fn check(name: &str, trick: Option<Trick>, flood: fn(Prng) -> Box<dyn FnMut(&mut World)>) {
    let (mut calm, mut flooded) = (Figures::default(), Figures::default());
    for seed in SEEDS {
        calm.add(measure(seed, None, |_| {}));
        flooded.add(measure(seed, trick, flood(Prng::new(seed))));
    }
    let [joins, joins_flooded] = [&calm, &flooded].map(|figures| median(&figures.joins));
    let [commands, commands_flooded] = [&calm, &flooded].map(|figures| median(&figures.commands));
    println!("{name}: joins {joins:?} calm, {joins_flooded:?} flooded");
    println!("{name}: commands {commands:?} calm, {commands_flooded:?} flooded");
    let (arrived, expected) = (flooded.commands.len(), flooded.expected);
    println!("{name}: {arrived} of {expected} commands arrived, calm {}", calm.commands.len());
    println!(
        "{name}: slowest {:?} / {:?}",
        flooded.joins.iter().max(),
        flooded.commands.iter().max()
    );
    assert!(joins_flooded <= 2 * joins, "joins");
    assert!(commands_flooded <= 2 * commands, "commands");
    assert!(10 * arrived >= 9 * expected, "{arrived} of {expected} commands");
}

fn outsider(n: u64) -> Ipv6Addr {
    Iid(n.to_be_bytes()).under(OUTSIDERS)
}

/// Ten datagrams a millisecond: CoAP and not, to a device and to nobody, from five sources that exist, from
/// as many as there are addresses, in the name of devices and in that of the manager.
fn from_building(mut prng: Prng) -> Box<dyn FnMut(&mut World)> {
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
    check("relay", Some(Trick::Flood(eui64(RELAY))), |_| Box::new(|_| {}));
}
