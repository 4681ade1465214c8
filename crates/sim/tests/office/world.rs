//! A small office: a border router, lights, and a manager, all real, in virtual time.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Reply, Request, Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant};

/// All lights are in it.
pub(crate) const GROUP: GroupId = GroupId(1);
/// The first light.
pub(crate) const LIGHT: StationId = StationId(1);

pub(crate) fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, n])
}

fn record(n: u8, kind: Kind) -> DeviceRecord {
    let role = match kind {
        Kind::Light => Some(Role::Listener),
        Kind::Switch => Some(Role::Sender),
        Kind::BorderRouter | Kind::Sensor => None,
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

/// A border router and so many lights, in a row, all in.
pub(crate) fn office(lights: u8) -> World {
    row(11, &vec![Kind::Light; usize::from(lights)])
}

/// A border router and these devices, in a row, all in.
pub(crate) fn row(seed: u64, devices: &[Kind]) -> World {
    row_of(WorldConfig::new(seed), devices)
}

/// The same in another world.
pub(crate) fn row_of(config: WorldConfig, devices: &[Kind]) -> World {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.border_routers = vec![place(0)];
    building.devices = (1..).map(place).take(devices.len()).collect();
    let kinds = std::iter::once(Kind::BorderRouter).chain(devices.iter().copied());
    let inventory: Vec<_> = (0..).zip(kinds).map(|(n, kind)| record(n, kind)).collect();
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

pub(crate) fn ask(world: &mut World, request: Request) -> Option<Reply> {
    world.ask(request, Duration::from_secs(10))
}
