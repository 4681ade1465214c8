//! Purpose: a power cut takes a member's session and leaves its keys. Topology: border router and a light.
//! Pass: the light makes a session anew and answers the manager in it; a revocation does not wait for it
//! to notice that a change of key passed it by.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, ManagerEvent, MemoryStore, Reply, Request,
    Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};

const GROUP: GroupId = GroupId(1);
const LIGHT: StationId = StationId(1);

fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, n])
}

fn record(n: u8, kind: Kind) -> DeviceRecord {
    DeviceRecord {
        eui64: eui64(n),
        identity: Identity::from(eui64(n)),
        psk: DevicePsk::new(&[n.wrapping_mul(37); 16]).expect("16 octets"),
        kind,
        name: format!("device {n}"),
        room: String::new(),
        groups: (kind == Kind::Light).then_some((GROUP, Role::Listener)).into_iter().collect(),
    }
}

fn place(n: u8) -> Device {
    Device { eui64: eui64(n), level: 0, x: f64::from(n) * 5.0, y: 0.0 }
}

fn world(lights: u8) -> World {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.border_router = place(0);
    building.devices = (1..=lights).map(place).collect();
    let mut inventory = vec![record(0, Kind::BorderRouter)];
    inventory.extend((1..=lights).map(|n| record(n, Kind::Light)));
    let config = WorldConfig::new(11);
    let mut world = World::new(config, building, &inventory, vec![], Box::<MemoryStore>::default());
    ask(&mut world, Request::CreateGroup { id: GROUP, name: "lights".into() });
    ask(&mut world, Request::Import(inventory));
    ask(&mut world, Request::OpenWindow { until: Instant::from_secs(3000) });
    for station in world.honest() {
        world.power_on(station);
        world.run_for(Duration::from_secs(5));
    }
    world
}

fn ask(world: &mut World, request: Request) -> Option<Reply> {
    world.ask(request, Duration::from_secs(10))
}

fn restart(world: &mut World, station: StationId) {
    world.power_off(station);
    world.run_for(Duration::from_secs(2));
    world.power_on(station);
    world.run_for(Duration::from_secs(30));
}

#[test]
fn a_light_answers_after_a_power_cut() {
    let mut world = world(1);
    restart(&mut world, LIGHT);
    let returned = world.take_happenings().into_iter().any(|happening| {
        matches!(happening.what, What::Manager(ManagerEvent::Returned { eui64: who, .. })
            if who == eui64(1))
    });
    assert!(returned);
    let reply = ask(&mut world, Request::ReadResource { eui64: eui64(1), path: "light".into() });
    assert!(matches!(reply, Some(Reply::Resource { .. })), "{reply:?}");
    assert_eq!(world.findings(), []);
}

#[test]
fn a_revocation_after_a_power_cut_does_not_wait() {
    let mut world = world(2);
    restart(&mut world, LIGHT);
    assert_eq!(ask(&mut world, Request::Revoke { eui64: eui64(2) }), Some(Reply::Done));
    let effective = |world: &World| {
        world.checkers().revocation().is_some_and(|revocation| revocation.effective_at.is_some())
    };
    assert!(world.run_until(Duration::from_secs(10), effective));
    assert_eq!(world.findings(), []);
}
