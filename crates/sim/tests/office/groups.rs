//! Purpose: groups that change while the mesh runs. Topology: border router, manager and lights. Pass: with
//! each test.

use crate::world::{GROUP, LIGHT, ask, eui64, office};
use lowgate_manager::{GroupId, Reply, Request, Role};
use lowgate_node::Event;
use lowgate_node::flash::RecordKey;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World};
use lowgate_units::Duration;

const BLINDS: GroupId = GroupId(2);
const OTHER: StationId = StationId(2);

fn must(world: &mut World, request: Request) {
    assert_eq!(ask(world, request), Some(Reply::Done));
    world.run_for(Duration::from_secs(5));
}

/// What happened to a device's groups since the last call.
fn group_events(world: &mut World, station: StationId) -> Vec<Event> {
    let of_groups = |event: &Event| matches!(event, Event::GroupKeyed { .. } | Event::GroupLeft(_));
    let happenings = world.take_happenings().into_iter();
    let events = happenings.filter_map(|happening| match happening.what {
        What::Node(who, event) if who == station => Some(event),
        What::Node(..) | What::Manager(_) | What::PowerOn(_) => None,
    });
    events.filter(of_groups).collect()
}

fn holds(world: &World, station: StationId, group: GroupId) -> bool {
    world.station(station).flash().contains_key(&RecordKey::Group(group))
}

/// Criteria: a light that is put into a group has its keys, in its flash too; one that is taken out has
/// none, also after a power cut; the others have the new ones.
#[test]
fn lights_come_and_go() {
    let mut world = office(2);
    must(&mut world, Request::CreateGroup { id: BLINDS, name: "blinds".into() });
    world.take_happenings();
    let (role, light) = (Role::Listener, eui64(1));
    must(&mut world, Request::AddMember { group: BLINDS, eui64: light, role });
    let keyed = Event::GroupKeyed { group: BLINDS, epoch: 1 };
    assert_eq!(group_events(&mut world, LIGHT), [keyed]);
    assert!(holds(&world, LIGHT, BLINDS));
    must(&mut world, Request::RemoveMember { group: GROUP, eui64: light });
    assert!(!holds(&world, LIGHT, GROUP) && holds(&world, OTHER, GROUP));
    assert_eq!(group_events(&mut world, LIGHT), [Event::GroupLeft(GROUP)]);
    world.power_off(LIGHT);
    world.power_on(LIGHT);
    world.run_for(Duration::from_secs(30));
    assert!(!holds(&world, LIGHT, GROUP) && holds(&world, LIGHT, BLINDS));
    must(&mut world, Request::AddMember { group: GROUP, eui64: light, role });
    assert!(holds(&world, LIGHT, GROUP));
    assert_eq!(world.findings(), []);
}
