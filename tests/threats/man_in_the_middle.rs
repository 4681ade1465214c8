//! Purpose: a man in the middle while a device is let in (threat 4 of section 3.1).
//! Topology: the building of [`super::support`], but the joiner hangs four rooms beyond everybody: all that it
//! says and hears goes through the attacker, who has one end of a tunnel beside it and the other one beside the
//! relay.
//! Clause: section 3.1 (4) of the draft; RFC 5246 section 7.4.9 (Finished covers the whole handshake), RFC 6347
//! section 4.1.2 (records are authentic or dropped).
//! Criteria: what he only passes on gets the joiner in, so he is in the middle indeed. If he changes two octets
//! of each datagram, in a way that no checksum shows, the joiner gets nothing and stores nothing in two minutes,
//! and nobody else notices: nine of ten commands arrive. When he has gone a device within reach joins as ever.
//! Out of reach: that he passes on faithfully. A device that is let in through a tunnel hangs elsewhere than
//! people think; how far away somebody is, radio frames of this kind do not tell.

use super::support::*;
use lowgate_access::joiner::JoinerEvent;
use lowgate_node::Event;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Trick, What, World};
use lowgate_units::Eui64;

const FAR_END: StationId = StationId(7);
const JOINER_AT: f64 = 6.0;

fn world(trick: fn(Eui64) -> Trick) -> World {
    let near = eavesdropper(ATTACKER, 1.0, trick(eui64(FAR_END)));
    let far = eavesdropper(FAR_END, JOINER_AT, trick(eui64(ATTACKER)));
    let mut world = Plan { joiner_at: JOINER_AT, ..Plan::new(4, vec![near, far]) }.world();
    world.power_on(ATTACKER);
    world.power_on(FAR_END);
    world
}

#[test]
fn who_only_passes_on_gets_the_joiner_in_and_learns_nothing() {
    let mut world = world(Trick::Tunnel);
    let took = join(&mut world, JOINER).expect("through the tunnel");
    println!("man in the middle: in after {took:?}, through the tunnel");
    assert_eq!(read(&mut world, JOINER, 3), 3);
    assert_eq!(world.findings(), []);
}

#[test]
fn who_changes_something_gets_nobody_in() {
    let mut world = world(Trick::Tamper);
    world.power_on(JOINER);
    let tried =
        |what: &What| matches!(what, What::Node(JOINER, Event::Join(JoinerEvent::Handshake(_))));
    let handshakes = count(&mut world, secs(60), tried);
    println!(
        "man in the middle: {handshakes} handshakes, {:?}",
        world.station(ATTACKER).intrusions()
    );
    assert!(handshakes > 0 && world.station(ATTACKER).intrusions() > Some(10), "nothing was tried");
    let share = command(&mut world, 10, &[RELAY, LAMP, LIGHT]).share();
    let got_in = |what: &What| {
        matches!(
            what,
            What::Node(JOINER, Event::Join(JoinerEvent::Authenticated(_) | JoinerEvent::Member))
        )
    };
    assert_eq!(count(&mut world, secs(50), got_in), 0);
    assert_eq!(world.station(JOINER).flash().len(), 0);
    println!("man in the middle: {share:.2} of the commands arrive");
    assert!(share >= 0.9, "{share}");
    assert_eq!(world.findings(), []);
}

#[test]
fn when_he_has_gone_a_device_within_reach_joins() {
    let near = eavesdropper(ATTACKER, 1.0, Trick::Tamper(eui64(FAR_END)));
    let far = eavesdropper(FAR_END, 2.0, Trick::Tamper(eui64(ATTACKER)));
    let mut world = Plan::new(4, vec![near, far]).world();
    world.power_on(ATTACKER);
    world.power_on(FAR_END);
    world.run_for(secs(5));
    world.power_on(JOINER);
    world.run_for(secs(20));
    world.power_off(ATTACKER);
    world.power_off(FAR_END);
    assert!(world.run_until(JOIN_PATIENCE, |world| is_in(world, JOINER)));
}
