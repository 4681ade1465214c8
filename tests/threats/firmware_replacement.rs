//! Purpose: firmware replacement (threat 5 of section 3.1).
//! Topology: the building of [`super::support`]; the attacker is a host of the building's network, then a
//! device of the building with other firmware.
//! Clause: section 3.1 (5) of the draft. There is no update over the network here: a device's resources are its
//! lamp or its sensor, and everything else is 4.04 (RFC 7252 section 5.9.2.5); what a device keeps it is told
//! in the session with the manager alone.
//! Criteria: what is sent to a device for an update is answered 4.04 if it is whole, 4.02 if it comes in blocks
//! (RFC 7959), of which a device knows nothing, and changes no record of its flash; 4.04 also if the manager
//! itself asks. A command to its lamp by the same way is obeyed, so the way is open. A device whose firmware was
//! replaced by hand does what it likes with the keys that it has, until it is expelled: then nobody obeys it any
//! more, and nine of ten commands of the others arrive.
//! Out of reach: who has a device in his hands replaces its firmware. Against that helps a boot loader that
//! verifies, which is the board's; and nothing tells the manager what runs on a device (no attestation).

use super::support::*;
use lowgate_manager::{Reply, Request};
use lowgate_node::Event;
use lowgate_router::{Datagram, datagram, packet};
use lowgate_sim::world::{Lie, OUTSIDERS, What, World};
use lowgate_units::Iid;

const COAP_PORT: u16 = 5683;
const PATHS: [&str; 6] = ["fw", "firmware", "update", "image", "k", "boot"];
/// RFC 7252 section 12.1.2.
const CHANGED: u8 = 0x44;
const NOT_FOUND: u8 = 0x84;
const BAD_OPTION: u8 = 0x82;

/// A confirmable PUT of so many octets, its block option (RFC 7959 section 2.1) the first of many.
fn put(message_id: u8, path: &str, block: bool, payload: &[u8]) -> Vec<u8> {
    let head = [0x40, 3, 0x77, message_id, 0xb0 | path.len() as u8];
    // Block1 is option 27: delta 16 from Uri-Path; number 0, more, 64 octets.
    let option: &[u8] = if block { &[0xd1, 3, 0x0a] } else { &[] };
    [&head[..], path.as_bytes(), option, &[0xff], payload].concat()
}

/// Sends it to the light from the building's network; the code of the answer.
fn asked(world: &mut World, request: &[u8]) -> Option<u8> {
    let dst = world.station(LIGHT).node().and_then(|node| node.net().global_addr())?;
    let src = Iid([0, 0, 0, 0, 0, 0, 0, 9]).under(OUTSIDERS);
    let (src_port, dst_port) = (40_000, COAP_PORT);
    world.take_for_outsiders();
    world.from_building(packet(&Datagram { src, dst, src_port, dst_port, payload: request }));
    world.run_for(secs(3));
    let answers = world.take_for_outsiders();
    answers.iter().find_map(|answer| datagram(answer)?.payload.get(1).copied())
}

#[test]
fn no_resource_takes_a_firmware() {
    let mut world = Plan::new(5, vec![]).world();
    let before = world.station(LIGHT).flash_writes();
    for (message_id, path) in (0..).zip(PATHS) {
        let whole = asked(&mut world, &put(message_id, path, false, &[0x7f; 64]));
        assert_eq!(whole, Some(NOT_FOUND), "{path}");
        let block = asked(&mut world, &put(100 + message_id, path, true, &[0x7f; 64]));
        assert_eq!(block, Some(BAD_OPTION), "{path}");
        let request = Request::ReadResource { eui64: eui64(LIGHT), path: path.into() };
        let told = world.ask(request, secs(8));
        assert!(matches!(told, Some(Reply::Resource { code: NOT_FOUND, .. })), "{path}: {told:?}");
    }
    // Counters are reserved now and then; nothing else is written.
    let written = world.station(LIGHT).flash_writes() - before;
    assert!(written <= 2, "{written}");
    assert_eq!(asked(&mut world, &put(99, "light", false, b"1")), Some(CHANGED));
    assert_eq!(world.findings(), []);
}

#[test]
fn a_device_with_other_firmware_is_heard_until_it_is_expelled() {
    let mut world = Plan::new(5, vec![insider(1.0, LAMP, Lie::Command(eui64(LIGHT)))]).world();
    world.power_off(LAMP);
    world.power_on(ATTACKER);
    world.run_for(LEARNT);
    let obeyed = |what: &What| matches!(what, What::Node(LIGHT, Event::Light { .. }));
    let before = count(&mut world, secs(10), obeyed);
    revoke(&mut world, LAMP);
    let after = count(&mut world, secs(10), obeyed);
    println!("firmware: the light obeyed {before} times before, {after} times after");
    assert!(before > 0, "the insider is clumsy");
    assert_eq!(after, 0);
    assert!(command(&mut world, 10, &[RELAY, LIGHT]).share() >= 0.9);
    assert_eq!(world.findings(), []);
}
