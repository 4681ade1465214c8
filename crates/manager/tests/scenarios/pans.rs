//! Several PANs under one manager: each has its border router, keys, addresses and members; groups and the
//! inventory span them.

use crate::world::{GROUP, Path, ROUTER, World, eui, record, secs};
use lowgate_coap::Code;
use lowgate_manager::{
    CommandRefused, Domain, GroupId, Kind, ManagerDrop, ManagerEvent, NotAuthorized, PanStatus,
    Refusal, Reply, Request, Role, Store, group_address,
};
use lowgate_units::{Eui64, Ipv6Addr, PanId};

/// Another border router.
const SECOND: Eui64 = eui(0xfe);

/// Lights 1 and 2 and the switch in the first PAN, lights 3 and 4 in the second.
fn two_floors(seed: u64) -> (World, PanId, PanId) {
    let mut world = World::new(seed);
    world.import_office(4);
    world.import(vec![record(0xfe, Kind::BorderRouter, &[])]);
    world.open_window();
    for router in [ROUTER, SECOND] {
        world.start(router);
        world.run_for(secs(5));
    }
    let (first, second) = (world.pan_of(ROUTER), world.pan_of(SECOND));
    for (n, pan) in [(1, first), (2, first), (100, first), (3, second), (4, second)] {
        world.carry(eui(n), pan);
        world.run_for(secs(1));
    }
    world.run_for(secs(10));
    (world, first, second)
}

fn pan(world: &mut World, pan: PanId) -> PanStatus {
    let pans = world.status().pans.into_iter();
    pans.into_iter().find(|status| status.config.pan_id == pan).expect("it exists")
}

fn command(world: &mut World) -> Reply {
    let (path, value) = ("light".into(), b"1".to_vec());
    world.reply(Request::CommandGroup { group: GROUP, path, value }, secs(200))
}

/// Purpose: a second border router. Criteria: it gets a PAN of its own, the next subnet of the same /48;
/// devices are members of the PAN whose relay they came by, and only its border router knows them.
#[test]
fn each_border_router_has_its_pan() {
    let (mut world, first, second) = two_floors(1);
    let (one, two) = (pan(&mut world, first), pan(&mut world, second));
    assert_eq!(one.config, world.manager.domain().config().founding_pan());
    let [a, b, c, d, e, f, high, low] = one.config.mesh_prefix;
    let next = (u16::from_be_bytes([high, low]) + 1).to_be_bytes();
    assert_eq!(two.config.mesh_prefix, [a, b, c, d, e, f, next[0], next[1]]);
    assert_eq!((one.border_router, two.border_router), (Some(ROUTER), Some(SECOND)));
    assert_eq!((one.members, two.members), (4, 3));
    for (router, members) in [(ROUTER, &[1, 2, 100][..]), (SECOND, &[3, 4])] {
        let members: Vec<_> = members.iter().map(|n| eui(*n)).collect();
        let admitted = &world.device(router).admitted;
        assert_eq!(admitted.keys().copied().collect::<Vec<_>>(), members);
    }
    // Addresses begin anew in each.
    let shorts = [1, 3].map(|n| world.device(eui(n)).short.map(|short| short.raw()));
    assert_eq!(shorts, [Some(1), Some(1)]);
    assert_ne!(world.devices[&eui(1)].link_keys, world.devices[&eui(3)].link_keys);
    let (here, there) =
        (&world.devices[&eui(1)].groups[&GROUP], &world.devices[&eui(3)].groups[&GROUP]);
    let addr = |pan: PanStatus| Some(group_address(GROUP, pan.config.mesh_prefix));
    assert_eq!((here.parameters.address, there.parameters.address), (addr(one), addr(two)));
    assert_eq!((here.tek_id, here.parameters.port), (there.tek_id, there.parameters.port));
    assert_ne!(here.csb_id, there.csb_id, "a traffic key of its own");
}

/// Criteria: who is expelled costs its PAN the link-layer key, and its groups their keys in all PANs.
#[test]
fn a_revocation_rekeys_one_pan() {
    let (mut world, first, second) = two_floors(2);
    let epoch = world.device(eui(1)).groups[&GROUP].tek_id;
    world.must(Request::Revoke { eui64: eui(3) });
    world.run_for(secs(20));
    let (one, two) = (pan(&mut world, first), pan(&mut world, second));
    assert_eq!((one.key_index, one.staged_key_index), (1, None));
    assert_eq!((two.key_index, two.staged_key_index), (2, None));
    let switched = world.events.iter().filter_map(|(_, event)| match event {
        ManagerEvent::KeySwitched { pan, index } => Some((*pan, index.raw())),
        _ => None,
    });
    assert_eq!(switched.collect::<Vec<_>>(), [(second, 2)]);
    for n in [1, 2, 4, 100] {
        assert_eq!(world.device(eui(n)).groups[&GROUP].tek_id, epoch.next(), "{n}");
    }
    assert_eq!(world.device(eui(3)).groups[&GROUP].tek_id, epoch);
    assert!(!world.device(SECOND).admitted.contains_key(&eui(3)));
    assert!(world.device(ROUTER).admitted.contains_key(&eui(1)));
}

/// Criteria: a rekey of the network is one of every PAN; a silent member of one does not keep the other
/// waiting.
#[test]
fn a_rekey_of_all_pans() {
    let (mut world, first, second) = two_floors(3);
    world.device(eui(4)).mute = true;
    world.must(Request::RekeyNetwork);
    world.run_for(secs(20));
    assert_eq!(pan(&mut world, first).key_index, 2);
    let waiting = pan(&mut world, second);
    assert_eq!((waiting.key_index, waiting.staged_key_index), (1, Some(2)));
    world.must(Request::RekeyNetwork); // of the first
    world.run_for(secs(60));
    assert_eq!(pan(&mut world, first).key_index, 3);
    assert_eq!(pan(&mut world, second).key_index, 2);
}

/// Purpose: a switch is carried to another floor, and back. Criteria: another address there, the first one
/// back here; the border router that it left forgets it, the one it came to knows it; it keeps its groups,
/// under SenderIDs that nobody had; whoever expels it then replaces the keys of both PANs.
#[test]
fn a_device_moves() {
    let (mut world, first, second) = two_floors(4);
    world.must(Request::CloseWindow);
    let before = world.device(eui(100)).groups[&GROUP].sender_id;
    world.carry(eui(100), second);
    world.run_for(secs(5));
    let moved =
        |event: &ManagerEvent| matches!(event, ManagerEvent::Moved { pan, .. } if *pan == second);
    assert_eq!(world.count(moved), 1);
    assert_eq!(world.pan_of(eui(100)), second);
    assert_eq!(world.device(eui(100)).short.map(|short| short.raw()), Some(3));
    assert!(!world.device(ROUTER).admitted.contains_key(&eui(100)));
    assert!(world.device(SECOND).admitted.contains_key(&eui(100)));
    let keys = world.device(eui(3)).link_keys.clone();
    assert_eq!(world.device(eui(100)).link_keys, keys);
    let (there, light) =
        (&world.devices[&eui(100)].groups[&GROUP], &world.devices[&eui(3)].groups[&GROUP]);
    assert_eq!((there.csb_id, there.tek_id), (light.csb_id, light.tek_id));
    assert!(light.parameters.senders.contains(there.sender_id.expect("it sends")));
    world.carry(eui(100), first);
    world.run_for(secs(5));
    let back = world.device(eui(100));
    assert_eq!(back.short.map(|short| short.raw()), Some(3), "its own from before");
    assert!(back.groups[&GROUP].sender_id > before, "never the same again");
    world.must(Request::Revoke { eui64: eui(100) });
    world.run_for(secs(30));
    assert_eq!([first, second].map(|id| pan(&mut world, id).key_index), [2, 2]);
}

/// Criteria: a command leaves in every PAN with members of the group; the reply says where it did not.
#[test]
fn a_command_to_two_pans() {
    let (mut world, first, second) = two_floors(5);
    assert_eq!(command(&mut world), Reply::Done);
    for router in [ROUTER, SECOND] {
        assert_eq!(world.device(router).commands, [b"1".to_vec()], "{router}");
    }
    world.device(SECOND).obeys = Code::SERVICE_UNAVAILABLE;
    let why = CommandRefused::Busy;
    assert_eq!(command(&mut world), Reply::SentInPart { sent: 1, of: 2, why });
    world.device(ROUTER).obeys = Code::SERVICE_UNAVAILABLE;
    assert_eq!(command(&mut world), Reply::Refused(Refusal::Command(why)));
    for router in [ROUTER, SECOND] {
        world.device(router).obeys = Code::CHANGED;
    }
    world.device(SECOND).mute = true;
    let why = CommandRefused::NoAnswer;
    assert_eq!(command(&mut world), Reply::SentInPart { sent: 1, of: 2, why });
    // Only where somebody is.
    let before = world.device(SECOND).commands.len();
    world.device(SECOND).mute = false;
    world.start(SECOND);
    world.run_for(secs(10));
    for n in [3, 4] {
        world.must(Request::RemoveMember { group: GROUP, eui64: eui(n) });
    }
    world.run_for(secs(5));
    assert_eq!(command(&mut world), Reply::Done);
    assert_eq!(world.device(SECOND).commands.len(), before);
    assert!(world.device(SECOND).groups.is_empty());
    let empty = GroupId(8);
    world.must(Request::CreateGroup { id: empty, name: "blinds".into() });
    let (path, value) = ("light".into(), b"1".to_vec());
    let reply = world.reply(Request::CommandGroup { group: empty, path, value }, secs(5));
    assert_eq!(reply, Reply::Refused(Refusal::Command(CommandRefused::NoMembers)));
    let Reply::Groups(groups) = world.reply(Request::ListGroups, secs(1)) else {
        panic!("no list")
    };
    let pans: Vec<_> = groups[0].addrs.iter().map(|(pan, _)| *pan).collect();
    assert_eq!(pans, [first]);
    world.must(Request::AddMember { group: GROUP, eui64: eui(4), role: Role::Sender });
    world.run_for(secs(5));
    let ids = [SECOND, eui(4)].map(|n| world.device(n).groups[&GROUP].sender_id.map(|id| id.raw()));
    assert_eq!(ids, [Some(1), Some(2)], "of the second PAN: {second:?}");
}

/// Criteria: a relay that is in no mesh of the domain is not listened to; a device that was never in and
/// comes from nowhere stays out.
#[test]
fn what_comes_from_no_mesh() {
    let (mut world, ..) = two_floors(6);
    world.import(vec![record(5, Kind::Light, &[])]);
    let elsewhere: Ipv6Addr = "fd00:e::99".parse().expect("an address");
    world.device(eui(5)).relay = elsewhere;
    world.device(eui(5)).once = true;
    world.start(eui(5));
    world.run_for(secs(10));
    let dropped = ManagerDrop::RelayOutsideMesh(elsewhere);
    assert!(world.count(|event| *event == ManagerEvent::DatagramDropped(dropped.clone())) > 0);
    world.device(eui(5)).path = Path::Direct(elsewhere);
    world.start(eui(5));
    world.run_for(secs(10));
    let refused = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::NotAuthorized { why: NotAuthorized::OutsideMesh, .. })
    };
    assert_eq!(world.count(refused), 1);
}

/// Criteria: an expelled border router's PAN goes to the next one that comes, with its members; no third PAN.
#[test]
fn a_successor_takes_the_pan_that_is_vacant() {
    let (mut world, first, second) = two_floors(7);
    world.must(Request::Revoke { eui64: SECOND });
    assert_eq!(pan(&mut world, second).border_router, None);
    world.import(vec![record(0xfd, Kind::BorderRouter, &[])]);
    world.start(eui(0xfd));
    world.run_for(secs(10));
    assert_eq!(world.pan_of(eui(0xfd)), second);
    assert_eq!(world.device(eui(0xfd)).admitted.len(), 2);
    assert_eq!([first, second].map(|id| pan(&mut world, id).key_index), [1, 2]);
    assert_eq!(world.status().pans.len(), 2);
}

/// Criteria: what is stored is what is; the manager goes on with both PANs from there.
#[test]
fn both_pans_come_back() {
    let (mut world, _, second) = two_floors(8);
    world.carry(eui(2), second);
    world.run_for(secs(5));
    world.must(Request::Revoke { eui64: eui(4) });
    let snapshot = world.store.load().expect("memory does not fail");
    let restored = Domain::restore(&snapshot.changes).expect("it fits together");
    assert!(&restored == world.manager.domain());
    let again = Domain::restore(&restored.snapshot(1).changes);
    assert!(again.as_ref() == Ok(&restored));
    world.crash();
    world.run_for(secs(90));
    assert_eq!(pan(&mut world, second).key_index, 2);
    assert_eq!(world.status().sessions, 7 - 1);
    assert_eq!(command(&mut world), Reply::Done);
}

/// Criteria: under loss and repetition, with a device that moves and one that is expelled, everybody ends in
/// the last epoch and under its PAN's last key.
#[test]
fn loss_and_duplicates() {
    for seed in 0..8 {
        let (mut world, _, second) = two_floors(seed);
        (world.loss, world.duplication) = (20, 10);
        world.carry(eui(100), second);
        world.must(Request::Revoke { eui64: eui(1) });
        world.run_for(secs(240));
        let epoch = world.manager.domain().groups()[&GROUP].epoch.tek_id;
        for eui64 in [ROUTER, SECOND, eui(2), eui(3), eui(4), eui(100)] {
            let id = world.pan_of(eui64);
            let index = world.manager.domain().pans()[&id].link_key.index.raw();
            let device = world.device(eui64);
            assert_eq!(device.groups[&GROUP].tek_id, epoch, "seed {seed}: {eui64}");
            assert!(device.key_indices().contains(&index), "seed {seed}: {eui64}");
        }
        assert_eq!(world.pan_of(eui(100)), second, "seed {seed}");
    }
}
