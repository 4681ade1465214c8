//! Purpose: keys are replaced while a building is in use. Topology: border router, a switch and six lights
//! in a line of cells. Pass: at no loss a switch's command reaches every light before the rekey of its
//! group and after it, and some while the members change their epoch one after the other; the link-layer key changes with nobody joining anew.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, KeyStatus, Kind, ManagerEvent, MemoryStore, Reply,
    Request, Role,
};
use lowgate_node::Event;
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};
use std::collections::BTreeSet;

const GROUP: GroupId = GroupId(1);
const SWITCH: StationId = StationId(1);
const LIGHTS: u8 = 6;

fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, n])
}

fn record(n: u8) -> DeviceRecord {
    let (kind, role) = match n {
        0 => (Kind::BorderRouter, None),
        1 => (Kind::Switch, Some(Role::Sender)),
        _ => (Kind::Light, Some(Role::Listener)),
    };
    DeviceRecord {
        eui64: eui64(n),
        identity: Identity::from(eui64(n)),
        psk: DevicePsk::new(&[n.wrapping_mul(37); 16]).expect("16 octets"),
        kind,
        name: format!("device {n}"),
        room: String::new(),
        groups: role.map(|role| (GROUP, role)).into_iter().collect(),
    }
}

fn place(n: u8) -> Device {
    Device { eui64: eui64(n), level: 0, x: f64::from(n) * 5.0, y: 0.0 }
}

fn world() -> World {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.border_router = place(0);
    building.devices = (1..=1 + LIGHTS).map(place).collect();
    let inventory: Vec<_> = (0..=1 + LIGHTS).map(record).collect();
    let config = WorldConfig::new(12);
    let mut world = World::new(config, building, &inventory, vec![], Box::<MemoryStore>::default());
    must(&mut world, Request::CreateGroup { id: GROUP, name: "lights".into() });
    must(&mut world, Request::Import(inventory));
    must(&mut world, Request::OpenWindow { until: Instant::from_secs(3000) });
    for station in world.honest() {
        world.power_on(station);
        world.run_for(Duration::from_secs(5));
    }
    world.run_for(Duration::from_secs(20));
    world.take_happenings();
    world
}

fn must(world: &mut World, request: Request) {
    assert_eq!(world.ask(request, Duration::from_secs(10)), Some(Reply::Done));
}

fn keys(world: &mut World) -> KeyStatus {
    match world.ask(Request::KeyStatus, Duration::from_secs(1)) {
        Some(Reply::Keys(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

/// How many lights hear one command.
fn heard(world: &mut World, on: bool) -> usize {
    world.take_happenings();
    world.press(SWITCH, on);
    world.run_for(Duration::from_secs(2));
    let lights: BTreeSet<StationId> = world
        .take_happenings()
        .into_iter()
        .filter_map(|happening| match happening.what {
            What::Node(station, Event::GroupOpened { group: GROUP, .. }) => Some(station),
            _ => None,
        })
        .collect();
    lights.len()
}

#[test]
fn a_group_is_commanded_before_during_and_after_its_rekey() {
    let mut world = world();
    let all = usize::from(LIGHTS);
    assert_eq!(heard(&mut world, true), all);
    let mut during = Vec::new();
    for (n, after_ms) in [10, 30, 50, 80, 110, 150, 200, 300, 500].into_iter().enumerate() {
        must(&mut world, Request::RekeyGroup { id: GROUP });
        world.run_for(Duration::from_millis(after_ms));
        during.push((keys(&mut world).groups[0].unconfirmed.len(), heard(&mut world, n % 2 == 1)));
        let group = keys(&mut world).groups.remove(0);
        assert_eq!((usize::from(group.tek_id), group.generation), (n + 2, 1));
        assert_eq!(group.unconfirmed, []);
        assert_eq!(heard(&mut world, n % 2 == 0), all, "after rekey {n}");
    }
    // Members change one after the other, and nobody keeps the epoch before: a command in between
    // reaches a part of them.
    assert!(during.iter().all(|(_, heard)| *heard > 0), "{during:?}");
    assert!(during.iter().any(|(unconfirmed, _)| (1..all).contains(unconfirmed)), "{during:?}");
    assert_eq!(heard(&mut world, true), all);
    assert_eq!(world.findings(), []);
}

#[test]
fn the_network_changes_its_key_with_nobody_joining_anew() {
    let mut world = world();
    must(&mut world, Request::RekeyNetwork);
    let switched = |world: &World| world.manager().domain().link_key().index.raw() == 2;
    assert!(world.run_until(Duration::from_secs(60), switched));
    world.run_for(Duration::from_secs(10));
    let anew = world.take_happenings().into_iter().filter(|happening| {
        let what = &happening.what;
        matches!(what, What::Manager(ManagerEvent::Returned { .. } | ManagerEvent::GaveUp { .. }))
            || matches!(what, What::Node(_, Event::Stranded))
    });
    assert_eq!(anew.count(), 0);
    assert_eq!(heard(&mut world, true), usize::from(LIGHTS));
    assert_eq!(keys(&mut world).staged, None);
    assert_eq!(world.findings(), []);
}
