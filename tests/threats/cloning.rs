//! Purpose: cloning of things (threat 1 of section 3.1). Somebody copies a device: its shape, its program,
//! its name; then its key as well.
//! Topology: the building of [`super::support`]; the clone hangs beside the relay.
//! Clause: section 3.1 (1) and 5.2.2 of the draft; RFC 4279 section 2 (the PSK proves the identity), this
//! design's DTLS-PSK with one key per device and no default.
//! Criteria: a clone without the key gets into nothing, however often it asks, and the genuine device and the
//! others do not notice: it stays in, nine of ten commands arrive. A clone with the key does get keys: then
//! expelling the identity expels both.
//! Out of reach: a maker who keeps his devices' keys clones them whole, and no protocol tells the two apart; two
//! of them at once show as handshakes of one identity by turns. Against the maker helps a key that the owner
//! gives the device.

use super::support::*;
use lowgate_access::joiner::JoinerEvent;
use lowgate_dtls::Psk;
use lowgate_manager::{Identity, ManagerEvent, Request};
use lowgate_node::Event;
use lowgate_sim::world::{Intruder, What, World};

/// The clone of the light has power for two minutes in which the switch is pressed.
fn cloned(key: [u8; 16]) -> (World, usize, f64) {
    let place = place(eui64(ATTACKER), 1.0, 1.0);
    let psk = Psk::new(&key).expect("16 octets");
    let clone = Intruder::Stranger { place, identity: Identity::from(eui64(LIGHT)), psk };
    let mut world = Plan::new(1, vec![clone]).world();
    world.power_on(ATTACKER);
    let member = What::Node(ATTACKER, Event::Join(JoinerEvent::Member));
    let mut got_keys = count(&mut world, secs(60), |what| *what == member);
    let commands = command(&mut world, 10, &[RELAY, LAMP, LIGHT]);
    got_keys += count(&mut world, secs(50), |what| *what == member);
    (world, got_keys, commands.share())
}

#[test]
fn without_the_key_it_gets_none_and_nobody_notices() {
    let (mut world, got_keys, share) = cloned([0xc1; 16]);
    assert_eq!(got_keys, 0);
    assert_eq!(world.station(ATTACKER).flash().len(), 0, "it keeps something");
    println!("cloning: {share:.2} of the commands arrive");
    assert!(share >= 0.9, "{share}");
    assert!(is_in(&world, LIGHT));
    assert_eq!(read(&mut world, LIGHT, 3), 3);
    assert_eq!(world.findings(), []);
}

#[test]
fn with_the_key_it_is_the_device_until_that_is_expelled() {
    let (mut world, got_keys, _) = cloned(psk(LIGHT));
    assert!(got_keys > 0, "the clone is clumsy");
    revoke(&mut world, LIGHT);
    world.take_happenings();
    // Both lost everything, and neither comes back.
    world.run_for(secs(120));
    let admitted = world.take_happenings().into_iter().filter(|it| match it.what {
        What::Manager(
            ManagerEvent::Admitted { eui64: who, .. } | ManagerEvent::Returned { eui64: who, .. },
        ) => who == eui64(LIGHT),
        _ => false,
    });
    assert_eq!(admitted.count(), 0);
    assert!(!is_in(&world, LIGHT) && !is_in(&world, ATTACKER));
    assert!(command(&mut world, 10, &[RELAY, LAMP]).share() >= 0.9);
    assert!(world.ask(Request::KeyStatus, secs(5)).is_some());
}
