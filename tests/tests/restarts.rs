//! Purpose: a loss of power is nothing that an installer has to come for. Topology: a border router and
//! four lights in a line of rooms, so that each hears the next only; a fifth light beside the first.
//! Pass, in every test: whoever lost power is reachable again within the time named, by itself, and no
//! checker finds anything, no frame counter used twice above all.

use lowgate_access::joiner::JoinerEvent;
use lowgate_manager::{
    DevicePsk, DeviceRecord, Identity, Kind, ManagerEvent, MemoryStore, Reply, Request,
};
use lowgate_node::Event;
use lowgate_node::flash::Record;
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Happening, What, World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};
use std::collections::BTreeMap;

const ROUTER: StationId = StationId(0);
const LINE: [StationId; 4] = [StationId(1), StationId(2), StationId(3), StationId(4)];
const MIDDLE: StationId = LINE[1];
const END: StationId = LINE[3];
/// Beside the first of the line.
const FIFTH: StationId = StationId(5);

/// Between two rooms.
const ROOM_METRES: f64 = 28.0;
/// Within this an answer comes or does not.
const PATIENCE: Duration = Duration::from_secs(5);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn eui64(station: StationId) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, station.0 as u8])
}

fn place(station: StationId, rooms: f64, y: f64) -> Device {
    Device { eui64: eui64(station), level: 0, x: rooms * ROOM_METRES, y }
}

fn record(station: StationId, kind: Kind) -> DeviceRecord {
    DeviceRecord {
        eui64: eui64(station),
        identity: Identity::from(eui64(station)),
        psk: DevicePsk::new(&[0x50 + station.0 as u8; 16]).expect("16 octets"),
        kind,
        name: format!("device {}", station.0),
        room: String::new(),
        groups: BTreeMap::new(),
    }
}

/// The border router has power, the window is open, and the devices of `on` joined, one after the other.
fn world(seed: u64, on: &[StationId]) -> World {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.propagation.shadowing_db = 0.0;
    building.border_routers = vec![place(ROUTER, 0.0, 0.0)];
    building.devices =
        LINE.into_iter().map(|station| place(station, f64::from(station.0), 0.0)).collect();
    building.devices.push(place(FIFTH, 1.0, 2.0));
    let mut inventory = vec![record(ROUTER, Kind::BorderRouter)];
    inventory.extend(LINE.into_iter().chain([FIFTH]).map(|light| record(light, Kind::Light)));
    let store = Box::<MemoryStore>::default();
    let config = WorldConfig::new(seed);
    let mut world = World::new(config, building, &inventory, Vec::new(), store);
    world.ask(Request::Import(inventory), PATIENCE).expect("a reply");
    let until = Instant::from_secs(3000);
    world.ask(Request::OpenWindow { until }, PATIENCE).expect("a reply");
    world.power_on(ROUTER);
    world.run_for(secs(5));
    for device in on {
        world.power_on(*device);
        assert!(
            world.run_until(secs(60), |world| is_in(world, *device)),
            "seed {seed}: {device:?}"
        );
    }
    world.run_for(secs(5));
    world.take_happenings();
    world
}

fn is_in(world: &World, station: StationId) -> bool {
    let node = world.station(station).node();
    node.is_some_and(|node| node.is_member() && node.net().is_attached())
}

fn read(world: &mut World, station: StationId) -> bool {
    let request = Request::ReadResource { eui64: eui64(station), path: "light".into() };
    matches!(world.ask(request, PATIENCE), Some(Reply::Resource { payload, .. }) if payload == b"0")
}

/// Each of `stations` answers the manager before `within` is over.
fn expect_reachable(world: &mut World, stations: &[StationId], within: Duration) {
    let deadline = world.now() + within;
    for station in stations {
        while !read(world, *station) {
            world.run_for(secs(1));
            let told: Vec<_> =
                world.take_happenings().into_iter().filter(|it| is_of(it, *station)).collect();
            assert!(world.now() < deadline, "{station:?} does not answer: {told:#?}");
        }
    }
    assert!(world.now() <= deadline, "{stations:?} took until {}", world.now());
    assert_eq!(world.findings(), []);
}

fn is_of(happening: &Happening, station: StationId) -> bool {
    matches!(happening.what, What::Node(told, _) if told == station)
}

/// How often the station told an event like this since the happenings were last taken.
fn count(happenings: &[Happening], station: StationId, like: fn(&Event) -> bool) -> usize {
    let told = |happening: &&Happening| match &happening.what {
        What::Node(told, event) => *told == station && like(event),
        What::Manager(_) | What::PowerOn(_) => false,
    };
    happenings.iter().filter(told).count()
}

const fn is_scanning(event: &Event) -> bool {
    matches!(event, Event::Join(JoinerEvent::Scanning))
}

/// The first frame counter that is not reserved, under the only key.
fn counter_below(world: &World, station: StationId) -> u32 {
    let records = world.station(station).flash().iter();
    let mut counters = records.filter_map(|(key, octets)| match Record::parse(*key, octets) {
        Some(Record::FrameCounter { below, .. }) => Some(below),
        _ => None,
    });
    counters.next().expect("its frames have counters")
}

/// Off for `off`, the device in the middle of the line goes on with the keys that it has.
fn check_middle(seed: u64, off: Duration) {
    let mut world = world(seed, &LINE);
    let hops: Vec<_> = world.survey().joins()[1..=4].iter().map(|join| join.hops).collect();
    assert_eq!(hops, [Some(1), Some(2), Some(3), Some(4)], "no line");
    let below = counter_below(&world, MIDDLE);
    world.power_off(MIDDLE);
    world.run_for(off);
    assert!(!read(&mut world, MIDDLE) && !read(&mut world, END));
    world.take_happenings();
    world.power_on(MIDDLE);
    expect_reachable(&mut world, &[MIDDLE], secs(60));
    let happenings = world.take_happenings();
    assert_eq!(count(&happenings, MIDDLE, is_scanning), 0, "it joined again");
    expect_reachable(&mut world, &LINE, secs(120));
    let happenings = world.take_happenings();
    for station in LINE {
        assert_eq!(count(&happenings, station, is_scanning), 0, "{station:?} joined again");
    }
    assert!(counter_below(&world, MIDDLE) > below);
}

#[test]
fn in_the_middle_of_the_line_for_a_moment() {
    (1..=5).for_each(|seed| check_middle(seed, secs(1)));
}

#[test]
fn in_the_middle_of_the_line_until_everybody_noticed() {
    (1..=5).for_each(|seed| check_middle(seed, secs(120)));
}

/// Keys, counters and admissions are in storage; routes and registrations are not.
#[test]
fn the_border_router() {
    for (seed, off) in [(1, 1), (2, 10), (3, 60), (4, 300), (5, 1)] {
        let mut world = world(seed, &LINE);
        world.power_off(ROUTER);
        world.run_for(secs(off));
        world.power_on(ROUTER);
        expect_reachable(&mut world, &LINE, secs(180));
        let happenings = world.take_happenings();
        for station in LINE {
            assert_eq!(count(&happenings, station, is_scanning), 0, "{station:?} joined again");
        }
    }
}

/// It has no session then, and its devices do not know: it tells them, each asks, hears nothing, and makes
/// another. Nobody joins anew, and the mesh goes on meanwhile.
#[test]
fn the_manager() {
    for (seed, off) in [(1, 0), (2, 1), (3, 60), (4, 600), (5, 20)] {
        let mut world = world(seed, &LINE);
        world.manager_off();
        world.run_for(secs(off));
        assert!(LINE.iter().all(|station| is_in(&world, *station)), "the mesh needs no manager");
        world.take_happenings();
        world.manager_on();
        expect_reachable(&mut world, &LINE, secs(90));
        let happenings = world.take_happenings();
        for station in LINE {
            assert_eq!(count(&happenings, station, is_scanning), 0, "{station:?} joined again");
        }
    }
}

/// The building has power again, but for the manager: the border router knows its members by itself.
#[test]
fn the_border_router_while_the_manager_is_away() {
    for seed in 1..=5 {
        let mut world = world(seed, &LINE);
        world.manager_off();
        world.power_off(ROUTER);
        world.run_for(secs(10));
        world.power_on(ROUTER);
        let all_have_ways = |world: &World| {
            let routes = world.station(ROUTER).node().map(|node| node.net().routes().count());
            routes == Some(LINE.len())
        };
        assert!(world.run_until(secs(180), all_have_ways), "seed {seed}");
        assert_eq!(world.findings(), []);
        world.manager_on();
        expect_reachable(&mut world, &LINE, secs(90));
    }
}

/// The building's fuse.
#[test]
fn everybody_at_once() {
    for seed in 1..=5 {
        let mut world = world(seed, &LINE);
        let all = [ROUTER, LINE[0], LINE[1], LINE[2], LINE[3]];
        all.into_iter().for_each(|station| world.power_off(station));
        world.run_for(secs(10));
        all.into_iter().for_each(|station| world.power_on(station));
        expect_reachable(&mut world, &LINE, secs(180));
    }
}

/// Before, between and after everything that a join stores and sends.
#[test]
fn at_every_moment_of_a_join() {
    let mut cut_as_member = 0;
    for moment in 0..=100 {
        let millis = 10 * moment;
        let mut world = world(moment, &LINE[..2]);
        let joiner = LINE[2];
        world.power_on(joiner);
        world.run_for(Duration::from_millis(millis));
        cut_as_member += u32::from(is_in(&world, joiner));
        world.power_off(joiner);
        world.run_for(secs(1));
        world.power_on(joiner);
        let back = world.run_until(secs(60), |world| is_in(world, joiner));
        assert!(back, "cut after {millis} ms: {:#?}", world.take_happenings());
        assert_eq!(world.findings(), [], "cut after {millis} ms");
        expect_reachable(&mut world, &[joiner], secs(60));
    }
    assert!((10..90).contains(&cut_as_member), "the moments miss the join: {cut_as_member}");
}

fn revoke_fifth(world: &mut World) {
    assert_eq!(world.ask(Request::CloseWindow, PATIENCE), Some(Reply::Done));
    let request = Request::Revoke { eui64: eui64(FIFTH) };
    world.ask(request, PATIENCE).expect("a reply");
    world.take_happenings();
    world.run_for(secs(100));
    let switched =
        |it: &Happening| matches!(it.what, What::Manager(ManagerEvent::KeySwitched { .. }));
    assert!(world.take_happenings().iter().any(switched), "the manager did not change the key");
}

/// The change of the link key passed it by, and joining is closed: its PSK brings it back, for it is
/// still admitted.
#[test]
fn off_while_the_key_changes() {
    for seed in 1..=5 {
        let mut world = world(seed, &[LINE[0], FIFTH, LINE[1], LINE[2], LINE[3]]);
        world.power_off(END);
        revoke_fifth(&mut world);
        world.power_on(END);
        expect_reachable(&mut world, &LINE[3..], secs(120));
        expect_reachable(&mut world, &LINE, secs(60));
    }
}

/// Those behind it heard nothing of the new key either.
#[test]
fn off_in_the_middle_of_the_line_while_the_key_changes() {
    for seed in 1..=5 {
        let mut world = world(seed, &[LINE[0], FIFTH, LINE[1], LINE[2], LINE[3]]);
        world.power_off(MIDDLE);
        revoke_fifth(&mut world);
        world.power_on(MIDDLE);
        expect_reachable(&mut world, &LINE, secs(300));
    }
}
