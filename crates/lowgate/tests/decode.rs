//! Purpose: captures of a whole network are readable. Topology: a line of rooms, three hops deep.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Request, Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::world::{World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};
use std::path::Path;

const DEVICES: u8 = 4;

fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, n])
}

fn record(n: u8, kind: Kind, groups: &[(u16, Role)]) -> DeviceRecord {
    DeviceRecord {
        eui64: eui64(n),
        identity: Identity::from(eui64(n)),
        psk: DevicePsk::new(&[n.wrapping_mul(37); 16]).expect("16 octets"),
        kind,
        name: format!("device {n}"),
        room: String::new(),
        groups: groups.iter().map(|(group, role)| (GroupId(*group), *role)).collect(),
    }
}

fn line() -> (Building, Vec<DeviceRecord>) {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.propagation.shadowing_db = 0.0;
    let place = |n: u8| Device { eui64: eui64(n), level: 0, x: f64::from(n) * 18.0, y: 0.0 };
    building.border_router = place(0);
    building.devices = (1..=DEVICES).map(place).collect();
    let mut inventory = vec![record(0, Kind::BorderRouter, &[])];
    inventory.extend((1..DEVICES).map(|n| record(n, Kind::Light, &[(1, Role::Listener)])));
    inventory.push(record(DEVICES, Kind::Switch, &[(1, Role::Sender)]));
    (building, inventory)
}

/// Everybody joins, one resource is read, the switch is pressed, one device is expelled.
fn world() -> World {
    let (building, inventory) = line();
    let config = WorldConfig { capture: true, key_log: true, ..WorldConfig::new(7) };
    let mut world = World::new(config, building, &inventory, vec![], Box::<MemoryStore>::default());
    let patience = Duration::from_secs(5);
    world.ask(Request::CreateGroup { id: GroupId(1), name: "lights".into() }, patience);
    world.ask(Request::Import(inventory), patience);
    world.ask(Request::OpenWindow { until: Instant::from_secs(3000) }, patience);
    for station in world.honest() {
        world.power_on(station);
        world.run_for(Duration::from_secs(5));
    }
    world.run_for(Duration::from_secs(20));
    let read = Request::ReadResource { eui64: eui64(DEVICES - 1), path: "light".into() };
    println!("{:?}", world.ask(read, patience));
    let switch = world.honest().last().expect("the switch");
    world.press(switch, true);
    world.run_for(Duration::from_secs(2));
    println!("{:?}", world.ask(Request::Revoke { eui64: eui64(1) }, patience));
    world.run_for(Duration::from_secs(20));
    world.press(switch, false);
    world.run_for(Duration::from_secs(2));
    for happening in world.take_happenings() {
        println!("{} {:?}", happening.at, happening.what);
    }
    world
}

#[test]
fn dump() {
    let world = world();
    let dir = Path::new("/tmp/i-keys");
    std::fs::create_dir_all(dir).unwrap();
    let capture = Path::new("/tmp/i.pcapng");
    std::fs::write(capture, world.capture().emit("test")).unwrap();
    let log: Vec<String> = world.capture().key_log().map(str::to_owned).collect();
    for file in world.key_book().unwrap().files(dir, capture, &log) {
        std::fs::write(dir.join(file.name), file.content).unwrap();
    }
}
