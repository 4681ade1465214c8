//! Purpose: the privacy threat (8 of section 3.1): what somebody who only listens learns of those who live there.
//! Topology: the building of [`super::support`]; the listener hears every frame of everybody.
//! Clause: section 3.1 (8) and 5.2.3 of the draft; security level 6 hides whatever is above the link layer.
//! Criteria: no name, no room, no group and no address above the link layer is heard; "on" and "off" are frames
//! of the same number and lengths, so that what was switched stays hidden; with the link key, addresses are
//! read, so they were there to be hidden.
//! Out of reach, and measured here so that nobody is deceived: every frame carries its sender's EUI-64, since
//! the nonce needs it and a newcomer knows no table, and so does a ClientHello's PSK identity unless the inventory
//! gives another: a device is recognised and a press of a switch shows as frames where there were few. Against
//! that helps neither a key nor a protocol of this kind but frames that are sent for nothing.

use super::support::*;
use lowgate_sim::world::World;
use lowgate_units::{Duration, Instant};

fn recorded() -> World {
    let mut world = Plan { capture: true, ..Plan::new(8, vec![]) }.world();
    assert!(join(&mut world, JOINER).is_some());
    world.run_for(secs(20));
    world
}

/// What is on the air in the second after a press, as lengths.
fn lengths_after_press(world: &mut World, on: bool) -> Vec<usize> {
    let at = world.now();
    world.press(SWITCH, on);
    world.run_for(secs(2));
    let of_switch = |frame: &[u8]| contains(frame, &reversed(SWITCH));
    air(world)
        .into_iter()
        .filter(|(then, frame)| *then >= at && of_switch(frame))
        .map(|(_, frame)| frame.len())
        .take(1)
        .collect()
}

/// As it stands in a frame.
fn reversed(station: lowgate_sim::medium::StationId) -> Vec<u8> {
    eui64(station).0.iter().rev().copied().collect()
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_name_room_group_or_address_is_heard_and_with_the_key_addresses_are() {
    let mut world = recorded();
    assert!(command(&mut world, 5, &[RELAY, LAMP, LIGHT, JOINER]).obeyed > 0);
    let domain = world.manager().domain();
    let pan = domain.founding_pan();
    let mut hidden: Vec<Vec<u8>> = vec![pan.config.mesh_prefix.to_vec()];
    for record in (0..ATTACKER.0).map(|it| record(lowgate_sim::medium::StationId(it))) {
        hidden.extend([record.name.into_bytes(), record.room.into_bytes()]);
    }
    let frames = air(&world);
    let heard = |what: &[u8]| frames.iter().any(|(_, frame)| contains(frame, what));
    assert!(!hidden.iter().any(|what| heard(what)));
    // The manager's address is not of the mesh, so nothing compresses it away.
    let manager = lowgate_sim::world::MANAGER_ADDR.octets();
    assert!(!heard(&manager));
    let key = pan.link_key.key.clone();
    let opened: Vec<_> = frames.iter().filter_map(|(_, it)| opened(it, &key)).collect();
    assert!(opened.iter().any(|payload| contains(payload, &manager)), "there was nothing to hide");
}

#[test]
fn on_looks_like_off() {
    let mut world = recorded();
    let mut seen = Vec::new();
    for press in 0..6 {
        seen.push(lengths_after_press(&mut world, press % 2 == 0));
    }
    println!("privacy: lengths {seen:?}");
    assert!(seen.iter().all(|it| !it.is_empty() && *it == seen[0]));
}

#[test]
fn who_speaks_and_when_is_heard() {
    let mut world = recorded();
    let before = world.now();
    world.run_for(secs(15));
    let at = world.now();
    assert!(command(&mut world, 5, &[RELAY, LAMP, LIGHT, JOINER]).obeyed > 0);
    let frames = air(&world);
    let named = world
        .honest()
        .filter(|station| frames.iter().any(|(_, frame)| contains(frame, &reversed(*station))));
    assert_eq!(named.count(), 6, "not out of reach after all");
    let within = |from: Instant, lasts: Duration| {
        frames.iter().filter(|(then, _)| (from..from + lasts).contains(then)).count()
    };
    let (pressed, quiet) = (within(at, secs(5)), within(before, secs(5)));
    println!("privacy: {pressed} frames in five seconds with presses, {quiet} without");
    assert!(pressed > 2 * quiet, "not out of reach after all");
}
