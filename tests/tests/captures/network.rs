//! A network with a capture of all that passed in it: a line of rooms, several hops deep.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Reply, Request, Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::keybook::KeyFile;
use lowgate_sim::world::{World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};
use std::path::Path;

const DEVICES: u8 = 4;
const SWITCH: u8 = DEVICES;
const EXPELLED: u8 = 1;

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

fn place(n: u8) -> Device {
    Device { eui64: eui64(n), level: 0, x: f64::from(n) * 18.0, y: 0.0 }
}

fn line() -> (Building, Vec<DeviceRecord>) {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.propagation.shadowing_db = 0.0;
    building.border_routers = vec![place(0)];
    building.devices = (1..=DEVICES).map(place).collect();
    let mut inventory = vec![record(0, Kind::BorderRouter, &[])];
    inventory.extend((1..SWITCH).map(|n| record(n, Kind::Light, &[(1, Role::Listener)])));
    inventory.push(record(SWITCH, Kind::Switch, &[(1, Role::Sender)]));
    (building, inventory)
}

/// Everybody joins, a light is read, the switch is pressed, a light is expelled, the switch is
/// pressed again.
pub(crate) fn run() -> World {
    let (building, inventory) = line();
    let config = WorldConfig { capture: true, key_log: true, ..WorldConfig::new(7) };
    let mut world = World::new(config, building, &inventory, vec![], Box::<MemoryStore>::default());
    ask(&mut world, Request::CreateGroup { id: GroupId(1), name: "lights".into() });
    ask(&mut world, Request::Import(inventory));
    ask(&mut world, Request::OpenWindow { until: Instant::from_secs(3000) });
    for station in world.honest() {
        world.power_on(station);
        world.run_for(Duration::from_secs(5));
    }
    world.run_for(Duration::from_secs(10));
    ask(&mut world, Request::ReadResource { eui64: eui64(SWITCH - 1), path: "light".into() });
    let switch = world.honest().last().expect("the switch");
    world.press(switch, true);
    world.run_for(Duration::from_secs(2));
    ask(&mut world, Request::Revoke { eui64: eui64(EXPELLED) });
    world.run_for(Duration::from_secs(20));
    world.press(switch, false);
    world.run_for(Duration::from_secs(2));
    assert!(world.findings().is_empty(), "{:?}", world.findings());
    world
}

fn ask(world: &mut World, request: Request) {
    let reply = world.ask(request, Duration::from_secs(5)).expect("a reply in time");
    assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
}

/// The files of keys for a capture.
pub(crate) fn keys(world: &World, folder: &Path, capture: &Path) -> Vec<KeyFile> {
    let log: Vec<String> = world.capture().key_log().map(str::to_owned).collect();
    world.key_book().expect("asked for").files(folder, capture, &log)
}
