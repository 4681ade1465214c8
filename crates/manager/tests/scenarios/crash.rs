//! The manager dies between any two of its outputs; another one goes on from the store.
//!
//! The checker sees to it throughout that no address, SenderID or key index is given twice, that
//! nothing is sent that is not stored, and that nothing acknowledged is lost.

use crate::world::{GROUP, ROUTER, World, config, eui, secs};
use lowgate_manager::{
    GroupId, Manager, ManagerEvent, ManagerInput, ManagerOutput, NewDomain, Refusal, Reply,
    Request, RequestId, Role,
};
use lowgate_units::{Channel, Instant, Ipv6Addr, Prng, SeededEntropy};

const BLINDS: GroupId = GroupId(8);

/// A border router, a switch and three lights join, one light is expelled, another one joins late, one
/// leaves its group, the switch gets another one.
fn history(world: &mut World) {
    world.import_office(3);
    world.open_window();
    for eui64 in [ROUTER, eui(1), eui(2), eui(100)] {
        world.start(eui64);
        world.run_for(secs(2));
    }
    world.run_for(secs(10));
    world.must(Request::Revoke { eui64: eui(2) });
    world.run_for(secs(2));
    world.start(eui(3));
    world.must(Request::CreateGroup { id: BLINDS, name: "blinds".into() });
    world.must(Request::AddMember { group: BLINDS, eui64: eui(100), role: Role::Sender });
    world.must(Request::RemoveMember { group: GROUP, eui64: eui(1) });
    world.run_for(secs(150));
}

fn check_end(world: &mut World, context: &str) {
    let status = world.status();
    assert_eq!((status.admitted, status.revoked), (4, 1), "{context}");
    let pan = &status.pans[0];
    assert_eq!((pan.key_index, pan.staged_key_index), (2, None), "{context}");
    for eui64 in [eui(1), eui(3), eui(100)] {
        assert!(world.device(eui64).key_indices().contains(&2), "{context}: {eui64}");
        assert!(world.device(ROUTER).admitted.contains_key(&eui64), "{context}: {eui64}");
    }
    assert!(!world.device(ROUTER).admitted.contains_key(&eui(2)), "{context}");
    assert!(!world.device(eui(2)).key_indices().contains(&2), "{context}");
    assert_eq!(world.device(ROUTER).sends_with, Some(2), "{context}");
    let epoch = |id| world.manager.domain().groups()[&id].epoch.tek_id;
    let (lights, blinds) = (epoch(GROUP), epoch(BLINDS));
    for (eui64, group, epoch) in [
        (ROUTER, GROUP, lights),
        (ROUTER, BLINDS, blinds),
        (eui(3), GROUP, lights),
        (eui(100), GROUP, lights),
        (eui(100), BLINDS, blinds),
    ] {
        let held = world.device(eui64).groups.get(&group).map(|spd| spd.tek_id);
        assert_eq!(held, Some(epoch), "{context}: {eui64} in {group:?}");
    }
    let gone = world.device(eui(1)).groups.get(&GROUP).map(|spd| spd.tek_id);
    assert_ne!(gone, Some(lights), "{context}");
}

#[test]
fn between_any_two_outputs() {
    let mut calm = World::new(3);
    history(&mut calm);
    check_end(&mut calm, "no crash");
    let outputs = calm.outputs_seen;
    assert!(outputs > 100);
    for crash_at in 1..outputs {
        let mut world = World::crashing(3, Some(crash_at));
        history(&mut world);
        check_end(&mut world, &format!("crash at output {crash_at}"));
    }
}

/// Criteria: after every stored revision a restored domain equals the one in memory.
#[test]
fn what_is_stored_is_what_is() {
    let mut world = World::new(4);
    history(&mut world);
    let snapshot = lowgate_manager::Store::load(&mut world.store).expect("memory does not fail");
    let restored = lowgate_manager::Domain::restore(&snapshot.changes).expect("it fits together");
    assert!(&restored == world.manager.domain());
    assert_eq!(world.status().revision, snapshot.revision);
}

#[test]
fn a_store_that_fails_stops_the_manager() {
    let mut entropy = SeededEntropy::new(1);
    let channel = Channel::new(15).expect("in the band");
    let new = NewDomain::new(channel, Ipv6Addr::LOCALHOST);
    let mut manager = Manager::found(config(), new, Prng::new(1), &mut entropy);
    let now = Instant::ZERO;
    assert!(matches!(manager.poll(now), ManagerOutput::Commit(batch) if batch.revision == 1));
    manager.request(now, RequestId(1), Request::CloseWindow, &mut entropy);
    assert!(matches!(manager.poll(now), ManagerOutput::Wait { .. }), "it waits for the store");
    manager.handle(now, ManagerInput::StoreFailed, &mut entropy);
    let refused = |id| {
        let reply = Reply::Refused(Refusal::StoreFailed);
        ManagerOutput::Reply { id: RequestId(id), reply }
    };
    assert_eq!(manager.poll(now), refused(1));
    assert_eq!(manager.poll(now), ManagerOutput::Event(ManagerEvent::StoreFailed));
    manager.request(now, RequestId(2), Request::Status, &mut entropy);
    assert_eq!(manager.poll(now), refused(2));
    manager.handle(now, ManagerInput::Committed { revision: 1 }, &mut entropy);
    assert_eq!(manager.poll(now), ManagerOutput::Wait { until: Instant::FAR_FUTURE });
}
