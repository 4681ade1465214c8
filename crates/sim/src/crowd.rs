//! A commissioning in one moment: the inventory is known, joining is open, and everybody gets power at once.
//!
//! It is the most that a mesh around a border router, and the manager, may have to carry.

use crate::building::Generated;
use crate::scenario::records;
use crate::world::{World, WorldConfig};
use lowgate_manager::{GroupId, MemoryStore, Request, WINDOW_MAX};
use lowgate_units::{Duration, Instant};

/// How long the manager may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at whether all are in.
const GLANCE: Duration = Duration::from_secs(1);

/// A world in which all stations of a building, or of several, got power when it began, run until all are in,
/// at most for `patience`. The seed of `config` draws the keys too.
///
/// # Panics
/// When the manager does not answer.
pub fn at_once(config: WorldConfig, generated: Generated, patience: Duration) -> World {
    let inventory = records(&generated, config.seed);
    let building = generated.building;
    let groups = building.groups.clone();
    let store = Box::<MemoryStore>::default();
    let mut world = World::new(config, building, &inventory, Vec::new(), store);
    let mut ask = |request| world.ask(request, PATIENCE).expect("the manager answers");
    for group in groups {
        ask(Request::CreateGroup { id: GroupId(group.id), name: group.name });
    }
    ask(Request::Import(inventory));
    ask(Request::OpenWindow { until: Instant::ZERO + WINDOW_MAX });
    let stations: Vec<_> = world.honest().collect();
    stations.into_iter().for_each(|station| world.power_on(station));
    let deadline = world.now() + patience;
    while world.now() < deadline && !all_in(&world) {
        world.run_for(GLANCE);
        // Nobody asks, and a large mesh has much to tell.
        world.take_happenings();
    }
    world
}

/// Whether every device is a member whose address works both ways.
pub fn all_in(world: &World) -> bool {
    let routers = world.routers().count();
    let mut joins = world.survey().joins()[routers..].iter();
    joins.all(|join| join.member.is_some() && join.attached.is_some())
}
