//! Periodic rekeys: nobody is expelled, everybody gets new keys, and people see how far it is.

use crate::world::{GROUP, ROUTER, World, eui, record, secs};
use lowgate_manager::{
    GroupId, GroupKeyStatus, KeyStatus, Kind, ManagerEvent, PanKeyStatus, Refusal, RekeyRefused,
    Reply, Request, Role,
};
use lowgate_units::Eui64;

fn office(seed: u64, lights: u8) -> World {
    let mut world = World::new(seed);
    world.import_office(lights);
    world.open_window();
    world.join_all();
    world
}

fn keys(world: &mut World) -> KeyStatus {
    match world.reply(Request::KeyStatus, secs(1)) {
        Reply::Keys(keys) => keys,
        other => panic!("{other:?}"),
    }
}

/// The only PAN's.
fn link(world: &mut World) -> PanKeyStatus {
    let mut pans = keys(world).pans;
    assert_eq!(pans.len(), 1);
    pans.remove(0)
}

fn group(world: &mut World) -> GroupKeyStatus {
    keys(world).groups.remove(0)
}

fn refused(world: &mut World, request: Request) -> Refusal {
    match world.reply(request, secs(1)) {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Purpose: a new link-layer key with one member that never answers. Topology: border router, a switch,
/// four lights. Criteria: the status names the silent one from the beginning to the switch; a second rekey
/// is refused meanwhile; nobody's membership or epoch changes.
#[test]
fn the_network() {
    let mut world = office(1, 4);
    let epoch = world.device(eui(1)).groups[&GROUP].tek_id;
    let calm = link(&mut world);
    assert_eq!((calm.link_key_index, calm.members, calm.staged), (1, 6, None));
    world.device(eui(3)).mute = true;
    world.must(Request::RekeyNetwork);
    let again = refused(&mut world, Request::RekeyNetwork);
    assert_eq!(again, Refusal::Rekey(RekeyRefused::UnderWay));
    for patience in [20, 38] {
        world.run_for(secs(patience));
        let staged = link(&mut world).staged.expect("it waits for the silent one");
        assert_eq!((staged.index, staged.confirmed, staged.of), (2, 5, 6));
        assert_eq!(staged.laggards, [eui(3)]);
    }
    world.run_for(secs(30));
    let after = link(&mut world);
    assert_eq!((after.link_key_index, after.members, after.staged), (2, 6, None));
    assert_eq!(world.device(ROUTER).sends_with, Some(2));
    assert_eq!(world.device(eui(1)).groups[&GROUP].tek_id, epoch);
    world.must(Request::RekeyNetwork);
}

/// Criteria: a border router that is away keeps the new key waiting; who did not confirm it in time stays
/// named, and is no longer once it has it.
#[test]
fn a_laggard_that_comes_back_before_the_switch() {
    let mut world = office(2, 2);
    for eui64 in [ROUTER, eui(1)] {
        world.device(eui64).mute = true;
    }
    world.must(Request::RekeyNetwork);
    world.run_for(secs(120));
    let staged = link(&mut world).staged.expect("nobody can switch");
    assert_eq!((staged.confirmed, staged.of), (2, 4));
    assert_eq!(staged.laggards, [eui(1), ROUTER]);
    world.device(ROUTER).mute = false;
    world.start(ROUTER);
    world.run_for(secs(60));
    let after = link(&mut world);
    assert_eq!((after.link_key_index, after.staged), (2, None));
}

/// Criteria: a group has another RAND and TEK_ID under the TGK that it had; every member gets them, the
/// sender a SenderID with them; who never answers stays named; other groups keep what they have.
#[test]
fn a_group() {
    let mut world = office(3, 4);
    let other = GroupId(8);
    world.must(Request::CreateGroup { id: other, name: "blinds".into() });
    world.import(vec![record(20, Kind::Light, &[(other, Role::Listener)])]);
    world.start(eui(20));
    world.run_for(secs(10));
    let (before, blinds) =
        (world.device(eui(1)).groups[&GROUP].clone(), world.device(eui(20)).groups[&other].clone());
    let calm = group(&mut world);
    assert_eq!((calm.id, calm.tek_id, calm.generation), (GROUP, before.tek_id.raw(), 1));
    // The switch and the border router send.
    assert_eq!((calm.senders, calm.members, calm.unconfirmed), (2, 6, vec![]));
    world.device(eui(2)).mute = true;
    world.must(Request::RekeyGroup { id: GROUP });
    world.run_for(secs(60));
    for eui64 in [eui(1), eui(3), eui(4), eui(100)] {
        let after = &world.device(eui64).groups[&GROUP];
        assert_eq!((after.csb_id, after.tek_id), (before.csb_id, before.tek_id.next()));
        assert_ne!(after.rand, before.rand);
        assert_eq!(after.sender_id.is_some(), eui64 == eui(100));
    }
    assert_eq!(world.device(eui(20)).groups[&other], blinds);
    let after = group(&mut world);
    assert_eq!((after.tek_id, after.generation), (before.tek_id.next().raw(), 1));
    assert_eq!((after.senders, after.members, after.unconfirmed), (2, 6, vec![eui(2)]));
    let told = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::EpochProgress { group: GROUP, done: 5, of: 6 })
    };
    assert_eq!(world.count(told), 1);
    world.device(eui(2)).mute = false;
    world.start(eui(2));
    world.run_for(secs(10));
    assert_eq!(group(&mut world).unconfirmed, []);
    assert_eq!(link(&mut world).link_key_index, 1);
}

/// Criteria: a rekey of a group that meets another, or a revocation, ends with everybody in the last epoch.
#[test]
fn rekeys_that_meet() {
    for seed in 0..8 {
        let mut world = office(seed, 5);
        (world.loss, world.duplication) = (20, 10);
        let before = world.device(eui(1)).groups[&GROUP].clone();
        world.must(Request::RekeyGroup { id: GROUP });
        world.must(Request::RekeyGroup { id: GROUP });
        world.must(Request::Revoke { eui64: eui(2) });
        world.must(Request::RekeyGroup { id: GROUP });
        world.run_for(secs(180));
        let tek_id = before.tek_id.next().next().next().next();
        for eui64 in [eui(100), eui(1), eui(3), eui(4), eui(5)] {
            let after = &world.device(eui64).groups[&GROUP];
            assert_eq!(after.tek_id, tek_id, "seed {seed}: {eui64}");
            assert_ne!(after.csb_id, before.csb_id, "seed {seed}: {eui64}");
        }
        assert_eq!(world.device(eui(2)).groups[&GROUP].csb_id, before.csb_id, "seed {seed}");
        assert_eq!(group(&mut world).unconfirmed, Vec::<Eui64>::new(), "seed {seed}");
    }
}

/// Criteria: the manager dies between any two of its outputs; another one carries both rekeys through.
#[test]
fn a_manager_that_dies_carries_on() {
    let history = |world: &mut World| {
        world.import_office(2);
        world.open_window();
        for eui64 in [ROUTER, eui(1), eui(2), eui(100)] {
            world.start(eui64);
            world.run_for(secs(2));
        }
        world.run_for(secs(10));
        world.must(Request::RekeyGroup { id: GROUP });
        world.ask(Request::RekeyNetwork);
        world.run_for(secs(1));
        let domain = world.manager.domain();
        let pan = domain.founding_pan();
        if pan.staged_key.is_none() && pan.link_key.index.raw() == 1 {
            // It died before it had stored the decision.
            world.ask(Request::RekeyNetwork);
        }
        world.run_for(secs(150));
    };
    let mut calm = World::new(4);
    history(&mut calm);
    let (first, outputs) = (calm.outputs_seen / 2, calm.outputs_seen);
    for crash_at in first..outputs {
        let mut world = World::crashing(4, Some(crash_at));
        history(&mut world);
        let keys = keys(&mut world);
        let (group, pan) = (&keys.groups[0], &keys.pans[0]);
        assert_eq!(pan.staged, None, "crash at output {crash_at}");
        assert!(group.unconfirmed.is_empty(), "crash at output {crash_at}: {group:?}");
        for eui64 in [eui(1), eui(2), eui(100)] {
            let device = world.device(eui64);
            assert_eq!(device.groups[&GROUP].tek_id.raw(), group.tek_id, "{eui64}");
            assert!(device.key_indices().contains(&pan.link_key_index), "{eui64}");
        }
        assert!(group.tek_id >= 2 && pan.link_key_index == 2, "crash at output {crash_at}");
    }
}

#[test]
fn refusals() {
    let mut world = World::new(1);
    let nobody = refused(&mut world, Request::RekeyNetwork);
    assert_eq!(nobody, Refusal::Rekey(RekeyRefused::NoBorderRouter));
    let unknown = refused(&mut world, Request::RekeyGroup { id: GroupId(99) });
    assert_eq!(unknown, Refusal::Rekey(RekeyRefused::UnknownGroup));
    // A group without members has keys all the same.
    let revision = world.status().revision;
    world.must(Request::RekeyGroup { id: GROUP });
    assert_eq!(world.status().revision, revision + 1);
    let group = group(&mut world);
    assert_eq!((group.tek_id, group.members), (2, 0));
}
