//! Groups that change while the domain runs: who comes in, who goes, who hears of it.

use crate::world::{GROUP, Path, ROUTER, World, eui, record, secs};
use lowgate_manager::{
    GROUP_SENDERS_MAX, GroupId, Kind, ManagerEvent, MemberRefused, Refusal, Reply, Request, Role,
};

const BLINDS: GroupId = GroupId(8);

fn office(lights: u8) -> World {
    let mut world = World::new(9);
    world.import_office(lights);
    world.open_window();
    world.join_all();
    world
}

fn add(n: u8, group: GroupId, role: Role) -> Request {
    Request::AddMember { group, eui64: eui(n), role }
}

fn remove(n: u8, group: GroupId) -> Request {
    Request::RemoveMember { group, eui64: eui(n) }
}

fn refusal(world: &mut World, request: Request) -> MemberRefused {
    match world.reply(request, secs(1)) {
        Reply::Refused(Refusal::Member(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Purpose: a lamp and a switch join a group while they are in the mesh. Topology: border router, a
/// switch, two lights. Criteria: they have its keys at once, the switch a SenderID that everybody was told of
/// before; nobody else hears anything.
#[test]
fn members_come() {
    let mut world = office(2);
    world.must(Request::CreateGroup { id: BLINDS, name: "blinds".into() });
    world.must(add(1, BLINDS, Role::Listener));
    world.run_for(secs(2));
    let told = world.device(eui(1)).groups[&BLINDS].clone();
    assert_eq!(told.sender_id, None);
    let confirmed = world.device(eui(1)).confirmed;
    world.must(add(100, BLINDS, Role::Sender));
    world.run_for(secs(2));
    let switch = world.device(eui(100)).groups[&BLINDS].clone();
    let sender_id = switch.sender_id.expect("it sends");
    assert!(told.parameters.senders.contains(sender_id));
    assert_eq!((told.csb_id, told.tek_id), (switch.csb_id, switch.tek_id));
    assert_eq!(world.device(eui(1)).confirmed, confirmed, "it had nothing to learn");
    assert_eq!(world.device(eui(2)).confirmed, 1);
}

/// Criteria: who goes is told so and gets no key any more; those who stay, and they alone, get others; who
/// comes back gets those.
#[test]
fn a_member_goes_and_comes_back() {
    let mut world = office(3);
    let before = world.device(eui(1)).groups[&GROUP].clone();
    world.must(remove(1, GROUP));
    world.run_for(secs(5));
    let gone = world.device(eui(1));
    assert_eq!((gone.groups.len(), &gone.left[..]), (0, &[GROUP][..]));
    for eui64 in [ROUTER, eui(2), eui(3), eui(100)] {
        let after = world.device(eui64).groups[&GROUP].clone();
        assert_ne!(after.csb_id, before.csb_id, "{eui64}");
        assert_eq!(after.tek_id, before.tek_id.next(), "{eui64}");
    }
    assert_eq!(world.key_indices().1, None, "the mesh's key has nothing to do with it");
    world.must(add(1, GROUP, Role::Listener));
    world.run_for(secs(5));
    let after = world.device(eui(2)).groups[&GROUP].clone();
    assert_eq!(world.device(eui(1)).groups[&GROUP].csb_id, after.csb_id);
}

/// Criteria: a sender that goes takes its SenderID along; its successor gets one of the new epoch.
#[test]
fn a_sender_goes_and_another_comes() {
    let mut world = office(1);
    world.must(remove(100, GROUP));
    world.must(remove(1, GROUP));
    world.must(add(1, GROUP, Role::SenderAndListener));
    world.run_for(secs(5));
    let sender_ids = &world.manager.domain().groups()[&GROUP].sender_ids;
    let pan = world.pan_of(eui(1));
    let senders: Vec<_> = sender_ids.keys().copied().collect();
    assert_eq!(senders, [(pan, eui(1)), (pan, ROUTER)]);
    let sender_id = sender_ids[&(pan, eui(1))];
    assert_eq!(world.device(eui(1)).groups[&GROUP].sender_id, Some(sender_id));
    assert!(world.device(eui(100)).groups.is_empty());
}

/// Criteria: who never held the keys costs nobody a key; who joins gets what the inventory says by then,
/// though it asks for something else, and hears what it is not in.
#[test]
fn the_expected_change_groups_in_the_inventory() {
    let mut world = World::new(9);
    world.must(Request::CreateGroup { id: BLINDS, name: "blinds".into() });
    world.import_office(2);
    world.open_window();
    let epoch = world.manager.domain().groups()[&GROUP].epoch.clone();
    world.must(remove(1, GROUP));
    world.must(add(1, BLINDS, Role::Listener));
    assert_eq!(world.manager.domain().groups()[&GROUP].epoch, epoch);
    world.join_all();
    let light = world.device(eui(1));
    assert_eq!(light.groups.keys().copied().collect::<Vec<_>>(), [BLINDS]);
    assert_eq!(light.left, [GROUP]);
    assert_eq!(world.device(eui(2)).groups.keys().copied().collect::<Vec<_>>(), [GROUP]);
}

/// Criteria: who has no session when its groups change gets them when it is back.
#[test]
fn members_that_are_away() {
    let mut world = office(2);
    world.must(Request::CreateGroup { id: BLINDS, name: "blinds".into() });
    for eui64 in [eui(1), eui(2)] {
        world.device(eui64).mute = true;
    }
    world.must(add(1, BLINDS, Role::Listener));
    world.must(remove(2, GROUP));
    world.run_for(secs(60));
    assert_eq!(world.device(eui(1)).groups.len(), 1);
    for eui64 in [eui(1), eui(2)] {
        world.device(eui64).mute = false;
        world.device(eui64).path = Path::Relay;
        world.start(eui64);
    }
    world.run_for(secs(10));
    let groups: Vec<_> = world.device(eui(1)).groups.keys().copied().collect();
    assert_eq!(groups, [GROUP, BLINDS]);
    assert_eq!(world.device(eui(2)).left, [GROUP]);
    assert!(world.device(eui(2)).groups.is_empty());
}

/// Criteria: every refusal has its reason, and nothing is stored for it.
#[test]
fn refusals() {
    let mut world = office(1);
    for n in 10..14 {
        world.must(Request::CreateGroup { id: GroupId(n), name: String::new() });
    }
    for n in 10..13 {
        world.must(add(1, GroupId(n), Role::Listener));
    }
    let switches = (20..=31).map(|n| record(n, Kind::Switch, &[(GroupId(10), Role::Sender)]));
    assert_eq!(switches.len(), GROUP_SENDERS_MAX);
    world.import(switches.collect());
    world.import(vec![record(40, Kind::Light, &[])]);
    world.must(Request::Revoke { eui64: eui(40) });
    let revision = world.status().revision;
    let listener = Role::Listener;
    let cases = [
        (add(77, GROUP, listener), MemberRefused::UnknownDevice),
        (add(1, GroupId(99), listener), MemberRefused::UnknownGroup),
        (remove(1, GroupId(99)), MemberRefused::UnknownGroup),
        (add(40, GROUP, listener), MemberRefused::Revoked),
        (add(1, GROUP, Role::Sender), MemberRefused::AlreadyIn),
        (remove(100, GroupId(10)), MemberRefused::NotIn),
        (add(0xff, GROUP, listener), MemberRefused::BorderRouter),
        (remove(0xff, GROUP), MemberRefused::BorderRouter),
        (add(100, GroupId(10), Role::Sender), MemberRefused::SendersFull),
        (add(1, GroupId(13), listener), MemberRefused::TooManyGroups),
    ];
    for (request, why) in cases {
        assert_eq!(refusal(&mut world, request), why);
    }
    assert_eq!(world.status().revision, revision);
    world.must(add(100, GroupId(10), listener));
}

/// Criteria: the border router sends to the groups of its PAN's members, however they came in, and to no
/// others; its successor does; it leaves when the last of them goes.
#[test]
fn the_border_router_follows_its_members() {
    let mut world = office(1);
    for n in 100..163 {
        world.must(Request::CreateGroup { id: GroupId(n), name: String::new() });
    }
    world.import(vec![record(20, Kind::Light, &[(GroupId(100), Role::Listener)])]);
    world.must(add(1, GroupId(101), Role::Listener));
    world.run_for(secs(10));
    let groups = |world: &mut World, n: u8| {
        let groups = world.device(eui(n)).groups.iter();
        let groups = groups.map(|(id, spd)| (id.0, spd.tek_id, spd.sender_id.is_some()));
        groups.collect::<Vec<_>>()
    };
    let expected = |world: &World, ids: &[u16]| {
        let epoch = |id: &u16| world.manager.domain().groups()[&GroupId(*id)].epoch.tek_id;
        ids.iter().map(|id| (*id, epoch(id), true)).collect::<Vec<_>>()
    };
    assert_eq!(groups(&mut world, 0xff), expected(&world, &[GROUP.0, 101]), "20 is not in");
    world.start(eui(20));
    world.run_for(secs(10));
    assert_eq!(groups(&mut world, 0xff), expected(&world, &[GROUP.0, 100, 101]));
    world.device(ROUTER).groups.clear();
    world.start(ROUTER);
    world.run_for(secs(20));
    assert_eq!(groups(&mut world, 0xff), expected(&world, &[GROUP.0, 100, 101]));
    world.must(Request::Revoke { eui64: ROUTER });
    let mut successor = record(0xfe, Kind::BorderRouter, &[]);
    successor.psk = lowgate_manager::DevicePsk::new(&[8; 16]).expect("16 octets");
    world.import(vec![successor]);
    world.start(eui(0xfe));
    world.run_for(secs(20));
    assert_eq!(groups(&mut world, 0xfe), expected(&world, &[GROUP.0, 100, 101]));
    world.must(remove(20, GroupId(100)));
    world.must(Request::Revoke { eui64: eui(1) });
    world.run_for(secs(5));
    assert_eq!(groups(&mut world, 0xfe), expected(&world, &[GROUP.0]), "the switch is in it");
    assert_eq!(world.device(eui(0xfe)).left, [GroupId(100), GroupId(101)]);
}

/// Criteria: all groups, with those who are in them and not expelled.
#[test]
fn the_list() {
    let mut world = office(2);
    world.must(Request::Revoke { eui64: eui(2) });
    let Reply::Groups(groups) = world.reply(Request::ListGroups, secs(1)) else {
        panic!("no list");
    };
    let [lights] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((lights.id, &lights.name[..]), (GROUP, "lights"));
    let expected = [(eui(1), Role::Listener), (eui(100), Role::Sender), (ROUTER, Role::Sender)];
    assert_eq!(lights.members, expected);
}

/// Criteria: under loss and repetition everybody ends with what the inventory says.
#[test]
fn loss_and_duplicates() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        world.import_office(4);
        world.open_window();
        world.join_all();
        (world.loss, world.duplication) = (20, 10);
        world.must(remove(1, GROUP));
        world.must(remove(2, GROUP));
        world.must(add(1, GROUP, Role::SenderAndListener));
        world.run_for(secs(60));
        let epoch = world.manager.domain().groups()[&GROUP].epoch.tek_id;
        for eui64 in [ROUTER, eui(1), eui(3), eui(4), eui(100)] {
            let held = world.device(eui64).groups.get(&GROUP).map(|spd| spd.tek_id);
            assert_eq!(held, Some(epoch), "seed {seed}: {eui64}");
        }
        assert!(world.device(eui(2)).groups.is_empty(), "seed {seed}");
        let gave_up = |event: &ManagerEvent| matches!(event, ManagerEvent::GaveUp { .. });
        assert_eq!(world.count(gave_up), 0, "seed {seed}");
    }
}
