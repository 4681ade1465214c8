//! Expelling devices: what the others get, what the expelled keeps, what the silent miss.

use crate::world::{GROUP, ROUTER, World, eui, record, secs};
use lowgate_manager::{
    BORDER_ROUTER_SHORT, DevicePsk, Kind, Lacks, ManagerEvent, NotAuthorized, Refusal, Reply,
    Request, RevokeRefused, Role,
};
use lowgate_units::{Duration, Eui64};

fn office(lights: u8) -> World {
    let mut world = World::new(5);
    world.import_office(lights);
    world.open_window();
    world.join_all();
    world
}

fn gave_up(world: &World, wanted: Lacks) -> Vec<Eui64> {
    let names = world.events.iter().filter_map(|(_, event)| match event {
        ManagerEvent::GaveUp { eui64, what } if *what == wanted => Some(*eui64),
        _ => None,
    });
    names.collect()
}

fn switched(world: &World) -> Vec<u8> {
    let indices = world.events.iter().filter_map(|(_, event)| match event {
        ManagerEvent::KeySwitched { index, .. } => Some(index.raw()),
        _ => None,
    });
    indices.collect()
}

/// Purpose: a revocation with a member that never answers. Topology: border router, a switch, five
/// lights. Criteria: the expelled hears nothing more; the router forgets it; everybody else has the
/// new keys, before the switch; the silent one is named at the deadline and joins again by itself.
#[test]
fn one_of_five_never_answers() {
    let mut world = office(5);
    let before = world.device(eui(1)).groups[&GROUP].clone();
    world.device(eui(4)).mute = true;
    world.must(Request::Revoke { eui64: eui(2) });
    world.run_for(secs(20));
    let ended = |event: &ManagerEvent| matches!(event, ManagerEvent::SessionEnded { eui64, .. } if *eui64 == eui(2));
    assert_eq!(world.count(ended), 1);
    assert!(!world.device(ROUTER).admitted.contains_key(&eui(2)));
    let informed = [ROUTER, eui(100), eui(1), eui(3), eui(5)];
    for eui64 in informed {
        let device = world.device(eui64);
        assert_eq!(device.key_indices().len(), 2, "{eui64} holds both keys");
        assert_eq!(device.sends_with, Some(1), "{eui64} sends with the old one");
    }
    assert!(switched(&world).is_empty(), "the silent one has its time");
    let after = world.device(eui(1)).groups[&GROUP].clone();
    assert_ne!(after.csb_id, before.csb_id);
    assert_eq!(after.tek_id, before.tek_id.next());
    world.run_for(secs(50));
    assert_eq!(gave_up(&world, Lacks::StagedKey), [eui(4)]);
    assert_eq!(switched(&world), [2]);
    assert_eq!(world.device(ROUTER).sends_with, Some(2));
    let status = world.status();
    assert_eq!(world.key_indices(), (2, None));
    assert_eq!((status.admitted, status.revoked), (6, 1));
    // The expelled still sees neither key nor epoch, and does not get in again.
    let expelled = world.device(eui(2));
    assert_eq!((expelled.key_indices().len(), &expelled.groups[&GROUP]), (1, &before));
    world.must(Request::CloseWindow);
    world.device(eui(2)).once = true;
    world.start(eui(2));
    world.device(eui(4)).mute = false;
    world.start(eui(4));
    world.run_for(secs(10));
    let refused = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::NotAuthorized { why: NotAuthorized::Revoked, .. })
    };
    assert!(world.count(refused) >= 1);
    assert_eq!(world.device(eui(2)).key_indices().len(), 1);
    assert_eq!(world.device(eui(4)).sends_with, Some(2), "it came back without an open window");
}

/// Topology: border router, a switch, five lights, one of which answers after half a minute, and one after more
/// than one. Criteria: the last one is told again while others are waited for, and when it holds the
/// network's new key it holds its group's too: the expelled could have sent to it under the old one.
#[test]
fn who_is_told_again_has_the_groups_keys_with_the_network_s() {
    let mut world = office(5);
    let before = world.device(eui(4)).groups[&GROUP].clone();
    world.device(eui(3)).mute = true;
    world.device(eui(4)).mute = true;
    world.must(Request::Revoke { eui64: eui(2) });
    world.run_for(secs(30));
    world.device(eui(3)).mute = false;
    world.run_for(secs(35));
    assert!(gave_up(&world, Lacks::StagedKey).is_empty(), "it is still waited for");
    assert_eq!(world.device(eui(4)).key_indices().len(), 1);
    world.device(eui(4)).mute = false;
    for _ in 0..600 {
        world.run_for(Duration::from_millis(50));
        if world.device(eui(4)).key_indices().len() == 2 {
            break;
        }
    }
    assert_eq!(world.device(eui(4)).key_indices().len(), 2);
    assert_eq!(world.device(eui(4)).groups[&GROUP].tek_id, before.tek_id.next());
}

/// Topology: border router, a switch, five lights, one of which is off. Criteria: the first expulsion waits for
/// it, the next does not; when it is back, the one after waits for it again.
#[test]
fn one_that_is_off_delays_one_expulsion() {
    let mut world = office(5);
    world.device(eui(4)).mute = true;
    world.must(Request::Revoke { eui64: eui(2) });
    world.run_for(secs(70));
    assert_eq!(gave_up(&world, Lacks::StagedKey), [eui(4)]);
    assert_eq!(switched(&world), [2]);
    world.must(Request::Revoke { eui64: eui(3) });
    world.run_for(secs(5));
    assert_eq!(switched(&world), [2, 3], "nobody waits for who lacks the key before");
    world.device(eui(4)).mute = false;
    world.start(eui(4));
    world.run_for(secs(10));
    assert_eq!(world.device(eui(4)).sends_with, Some(3));
    world.device(eui(4)).mute = true;
    world.must(Request::Revoke { eui64: eui(5) });
    world.run_for(secs(20));
    assert_eq!(switched(&world), [2, 3], "it has its time again");
    world.run_for(secs(50));
    assert_eq!(switched(&world), [2, 3, 4]);
}

/// Criteria: with everybody there the switch does not wait for the deadline; every key and epoch the
/// expelled held is replaced, and at most four members are served at a time.
#[test]
fn everybody_answers() {
    let mut world = office(12);
    let revoked_at = world.now;
    world.must(Request::Revoke { eui64: eui(12) });
    world.run_for(secs(20));
    assert_eq!(switched(&world), [2]);
    let progress = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::RekeyProgress { done: 13, of: 13, .. })
    };
    assert_eq!(world.count(progress), 1);
    let mut out = 0;
    let mut most = 0;
    for (_, event) in world.events.iter().filter(|(at, _)| *at > revoked_at) {
        match event {
            ManagerEvent::KeysSent { .. } => out += 1,
            ManagerEvent::KeysConfirmed { .. } => out -= 1,
            _ => {}
        }
        most = most.max(out);
    }
    assert_eq!((out, most), (0, 4));
    let epoch = world.device(eui(100)).groups[&GROUP].tek_id;
    for n in 1..12 {
        assert_eq!(world.device(eui(n)).groups[&GROUP].tek_id, epoch);
    }
    assert_eq!(world.device(eui(12)).groups[&GROUP].tek_id.next(), epoch);
}

/// Criteria: the group the expelled was not in keeps its keys; who was never in costs nobody a key.
#[test]
fn only_what_was_held_is_replaced() {
    let mut world = World::new(6);
    let other = lowgate_manager::GroupId(8);
    world.must(Request::CreateGroup { id: other, name: "blinds".into() });
    world.import_office(1);
    world.import(vec![
        record(20, Kind::Light, &[(other, Role::SenderAndListener)]),
        record(21, Kind::Sensor, &[]),
    ]);
    world.open_window();
    world.join_all();
    let before = world.device(eui(20)).groups[&other].clone();
    world.must(Request::Revoke { eui64: eui(1) });
    world.run_for(secs(20));
    assert_eq!(world.device(eui(20)).groups[&other], before);
    assert_eq!(world.device(eui(20)).key_indices().len(), 2);
    world.import(vec![record(22, Kind::Sensor, &[])]);
    let revision = world.status().revision;
    world.must(Request::Revoke { eui64: eui(22) });
    assert_eq!((world.status().revision, world.key_indices().1), (revision + 1, None));
    let again = world.reply(Request::Revoke { eui64: eui(22) }, secs(1));
    let refusal = Refusal::Revoke(RevokeRefused::AlreadyRevoked);
    assert_eq!(again, Reply::Refused(refusal));
}

/// Criteria: a second revocation during the first replaces the key that was on its way.
#[test]
fn two_revocations_at_once() {
    let mut world = office(4);
    world.device(eui(3)).mute = true;
    world.must(Request::Revoke { eui64: eui(1) });
    world.must(Request::Revoke { eui64: eui(2) });
    world.run_for(secs(100));
    assert_eq!(switched(&world), [3]);
    assert_eq!(world.device(eui(4)).key_indices().into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.device(ROUTER).sends_with, Some(3));
    assert!(!world.device(eui(2)).key_indices().contains(&3));
}

/// Criteria: a revocation while the switch is out takes the key of the switch for one in force.
#[test]
fn a_revocation_while_the_router_switches() {
    let mut world = office(3);
    world.ask(Request::Revoke { eui64: eui(1) });
    while world.device(ROUTER).sends_with != Some(2) {
        world.run_for(Duration::from_millis(1));
    }
    // The router's confirmation is still on its way.
    assert!(switched(&world).is_empty());
    world.must(Request::Revoke { eui64: eui(2) });
    world.run_for(secs(30));
    assert_eq!(switched(&world), [2, 3]);
    assert_eq!(world.device(eui(3)).key_indices().len(), 3);
}

/// Criteria: a router that is away at the switch switches when it is back.
#[test]
fn the_router_is_away() {
    let mut world = office(2);
    world.device(ROUTER).mute = true;
    world.must(Request::Revoke { eui64: eui(1) });
    world.run_for(secs(120));
    assert!(switched(&world).is_empty());
    world.device(ROUTER).mute = false;
    world.start(ROUTER);
    world.run_for(secs(60));
    assert_eq!(switched(&world), [2]);
    assert_eq!(world.device(ROUTER).sends_with, Some(2));
}

/// Criteria: an expelled border router's successor has its address, under another key at once.
#[test]
fn the_border_router_itself() {
    let mut world = office(1);
    world.must(Request::Revoke { eui64: ROUTER });
    assert_eq!(switched(&world), [2]);
    let mut successor = record(0xfe, Kind::BorderRouter, &[]);
    successor.psk = DevicePsk::new(&[8; 16]).expect("16 octets");
    world.import(vec![successor]);
    world.start(eui(0xfe));
    world.run_for(secs(10));
    let successor = world.device(eui(0xfe));
    assert_eq!(successor.short, Some(BORDER_ROUTER_SHORT));
    assert_eq!(successor.key_indices().into_iter().collect::<Vec<_>>(), [2]);
    assert_eq!(successor.admitted.len(), 2);
}

/// Criteria: under loss and repetition everybody who stays has the new keys in the end.
#[test]
fn loss_and_duplicates() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        world.import_office(5);
        world.open_window();
        world.join_all();
        (world.loss, world.duplication) = (20, 10);
        world.must(Request::Revoke { eui64: eui(2) });
        world.run_for(secs(180));
        assert_eq!(switched(&world), [2], "seed {seed}");
        for eui64 in [ROUTER, eui(100), eui(1), eui(3), eui(4), eui(5)] {
            assert!(world.device(eui64).key_indices().contains(&2), "seed {seed}: {eui64}");
        }
        assert!(!world.device(ROUTER).admitted.contains_key(&eui(2)), "seed {seed}");
    }
}
