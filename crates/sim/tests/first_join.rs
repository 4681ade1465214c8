//! Purpose: the whole path of a join, every layer real. Topology: a line of rooms. Pass: everybody is in,
//! and no checker found anything.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Request, Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::world::{World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};

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

fn line(devices: u8) -> (Building, Vec<DeviceRecord>) {
    let generated = Building::generate(1, 1).expect("one device");
    let mut building = generated.building;
    building.floors.clear();
    building.propagation.shadowing_db = 0.0;
    let place = |n: u8| Device { eui64: eui64(n), level: 0, x: f64::from(n) * 18.0, y: 0.0 };
    building.border_router = place(0);
    building.devices = (1..=devices).map(place).collect();
    let mut inventory = vec![record(0, Kind::BorderRouter, &[])];
    inventory.extend((1..=devices).map(|n| record(n, Kind::Light, &[(1, Role::Listener)])));
    (building, inventory)
}

#[test]
fn a_line_of_devices_joins_one_by_one() {
    let (building, inventory) = line(4);
    let mut world = World::new(
        WorldConfig::new(7),
        building,
        &inventory,
        Vec::new(),
        Box::<MemoryStore>::default(),
    );
    let patience = Duration::from_secs(5);
    let group = Request::CreateGroup { id: GroupId(1), name: "lights".into() };
    println!("{:?}", world.ask(group, patience));
    println!("{:?}", world.ask(Request::Import(inventory.clone()), patience));
    let until = Instant::from_secs(3000);
    println!("{:?}", world.ask(Request::OpenWindow { until }, patience));
    let stations: Vec<_> = world.honest().collect();
    for station in stations {
        world.power_on(station);
        world.run_for(Duration::from_secs(5));
        for happening in world.take_happenings() {
            println!("{} {:?}", happening.at, happening.what);
        }
    }
    world.run_for(Duration::from_secs(20));
    for happening in world.take_happenings() {
        println!("{} {:?}", happening.at, happening.what);
    }
    for join in world.survey().joins() {
        println!("{join:?}");
    }
    println!("{:?} {:?}", world.medium().counters(), world.findings());
    assert!(world.findings().is_empty());
    assert!(world.survey().joins()[1..].iter().all(|join| join.took().is_some()));
}
