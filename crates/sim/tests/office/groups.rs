//! Purpose: groups that change while the mesh runs. Topology: border router, manager and lights. Pass: with
//! each test.

use crate::world::{GROUP, LIGHT, ask, eui64, office};
use lowgate_manager::{
    CommandRefused, GroupId, Refusal, Reply, Request, Role, VALUE_OCTETS_MAX, group_address,
};
use lowgate_node::Event;
use lowgate_node::flash::RecordKey;
use lowgate_router::{Datagram, packet};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World};
use lowgate_units::{Duration, Ipv6Addr};

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

fn lamps(world: &World, lights: u32) -> Vec<bool> {
    let lamp = |n| world.station(StationId(n)).node().is_some_and(|node| node.lamp_on());
    (1..=lights).map(lamp).collect()
}

/// Criteria: a command of the manager reaches every member, also of a group that is younger than the border
/// router; what cannot be sent is refused with its reason.
#[test]
fn the_manager_commands_a_group() {
    let mut world = office(3);
    must(&mut world, Request::CreateGroup { id: BLINDS, name: "blinds".into() });
    let role = Role::Listener;
    must(&mut world, Request::AddMember { group: BLINDS, eui64: eui64(2), role });
    let command = |group, value: &[u8]| {
        let path = "light".into();
        Request::CommandGroup { group, path, value: value.to_vec() }
    };
    must(&mut world, command(GROUP, b"1"));
    assert_eq!(lamps(&world, 3), [true; 3]);
    must(&mut world, command(BLINDS, b"0"));
    assert_eq!(lamps(&world, 3), [true, false, true]);
    let cases = [
        (command(GroupId(9), b"1"), CommandRefused::UnknownGroup),
        (command(GROUP, &[0; VALUE_OCTETS_MAX]), CommandRefused::TooLong),
        (command(GROUP, &[0; VALUE_OCTETS_MAX + 1]), CommandRefused::TooLong),
    ];
    for (request, why) in cases {
        assert_eq!(ask(&mut world, request), Some(Reply::Refused(Refusal::Command(why))));
    }
    world.power_off(StationId(0));
    world.run_for(Duration::from_secs(300));
    let reply = ask(&mut world, command(GROUP, b"1"));
    assert!(matches!(reply, Some(Reply::Refused(_)) | None), "{reply:?}");
    assert_eq!(world.findings(), []);
}

/// Criteria: plain CoAP to a group's address switches its lights, once however often it arrives, also after
/// the border router lost its power; confirmable, to another port or to a group that is not there it does
/// nothing. Nobody answers.
#[test]
fn the_building_commands_a_group() {
    let mut world = office(2);
    let prefix = world.manager().domain().config().mesh_prefix;
    let send = |world: &mut World, group, dst_port, payload: &[u8]| {
        let src = Ipv6Addr::new(0xfd5a, 0x10f2, 0x9a3b, 0xeeee, 0, 0, 0, 2);
        let (dst, src_port) = (group_address(group, prefix), 40_000);
        world.from_building(packet(&Datagram { src, dst, src_port, dst_port, payload }));
        world.run_for(Duration::from_secs(3));
    };
    let on = |mid: u8| [&[0x50, 3, 0, mid][..], b"\xb5light\xff1"].concat();
    let off = |mid: u8| [&[0x50, 3, 0, mid][..], b"\xb5light\xff0"].concat();
    let confirmable = [&[0x40, 3, 0, 9][..], b"\xb5light\xff1"].concat();
    send(&mut world, GROUP, 5683, &confirmable);
    send(&mut world, GROUP, 5684, &on(1));
    send(&mut world, BLINDS, 5683, &on(2));
    assert_eq!(lamps(&world, 2), [false; 2]);
    send(&mut world, GROUP, 5683, &on(3));
    assert_eq!(lamps(&world, 2), [true; 2]);
    send(&mut world, GROUP, 5683, &off(4));
    send(&mut world, GROUP, 5683, &on(3));
    assert_eq!(lamps(&world, 2), [false; 2], "it was here before");
    world.power_off(StationId(0));
    world.power_on(StationId(0));
    world.run_for(Duration::from_secs(60));
    send(&mut world, GROUP, 5683, &on(5));
    assert_eq!(lamps(&world, 2), [true; 2]);
    assert_eq!(world.take_for_outsiders().len(), 0);
    assert_eq!(world.findings(), []);
}
