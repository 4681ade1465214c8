//! Purpose: routing attacks (threat 7 of section 3.1): spoofed, altered and replayed routing information, a
//! sinkhole, selective forwarding, a wormhole, a Sybil.
//! Topology: the building of [`super::support`]; the joiner is let in as a device three hops away, two rooms
//! beyond the relay. The attacker hangs beside whom it lies to.
//! Clause: section 3.1 (7) of the draft; RFC 6550 section 10 (RPL's own security is not used: the link layer's
//! stands in, section 10.9), RFC 8505 section 6 (the registry at the border router), this design's frames of level 6.
//! Criteria: without the key no lie moves a parent, a route, a registration or a counter, and nine of ten commands
//! arrive. With the keys of a captured lamp the same messages
//! - draw away who is three hops from the border router, not who is two: a rank is believed, a better one than
//!   the border router's own is not. Commands to groups do not take that way: nine of ten arrive; and who was
//!   drawn leaves a parent that does not pass on its announcements: half of the reads are answered;
//! - turn the ways down over, begin versions and silence names until the lamp is expelled, which takes effect
//!   within two minutes, under false versions within three; a minute later everybody is back;
//! - do not move an address: the registry knows whose it is.
//!
//! A wormhole is believed while it is there, and left when it is gone.
//! Out of reach: that the expulsion is quick while versions are told: the border router's switch waits a minute
//! after each member that confirms, and one that confirmed after 71 s made it 132 s; a member's word about its own rank, about the DODAG's version, and with the network's one key
//! about any other name: until it is expelled, one captured device can keep a mesh from being read (no read is
//! answered while versions are told or the relay is silenced; commands to groups arrive). Names that it makes up
//! fill the neighbours' tables of counters, in which nobody is forgotten: members go on, newcomers beside it wait
//! for the next key. What a parent forwards nobody but the sender of a confirmable message can tell.

use super::support::*;
use lowgate_manager::BORDER_ROUTER_SHORT;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Intruder, Lie, Trick, World};
use lowgate_units::{Duration, Eui64, ShortAddr};

/// One room beyond the light.
const FAR: f64 = 3.0;
const FAR_END: StationId = StationId(7);
/// Under false versions members confirm the new key late, and each that does is given the others' minute again.
const EFFECTIVE_UNDER_VERSIONS: Duration = secs(180);
/// When an attack is over everybody is back within this time.
const BACK: Duration = secs(60);

fn world(intruders: Vec<Intruder>) -> World {
    let mut world = Plan { joiner_at: FAR, ..Plan::new(7, intruders) }.world();
    assert!(join(&mut world, JOINER).is_some());
    world.run_for(secs(30));
    world
}

fn parent(world: &World, station: StationId) -> Option<Eui64> {
    world.station(station).node().and_then(|node| node.net().parent())
}

/// Everybody's parent, and the ways down as the border router knows them.
fn ways(world: &World) -> (Vec<Option<Eui64>>, Vec<(ShortAddr, ShortAddr)>) {
    let parents = world.honest().map(|station| parent(world, station)).collect();
    let router = world.station(ROUTER).node().expect("it has power");
    (parents, router.net().routes().map(|route| (route.device, route.parent)).collect())
}

/// The lies and where each is told: beside the device that believes it.
const LIES: [(Lie, f64); 7] = [
    (Lie::Rank, FAR),
    (Lie::Crowd, FAR),
    (Lie::Version, 1.0),
    (Lie::Route(eui64(JOINER)), 0.0),
    (Lie::Address(eui64(LIGHT)), 0.0),
    (Lie::Removal(eui64(LIGHT)), 1.0),
    (Lie::Counter(eui64(RELAY)), 1.0),
];

#[test]
fn without_the_key_no_lie_is_believed() {
    for (lie, rooms) in LIES {
        let mut world = world(vec![eavesdropper(ATTACKER, rooms, Trick::Tell(lie))]);
        let before = ways(&world);
        world.power_on(ATTACKER);
        world.run_for(LEARNT + secs(10));
        let share = command(&mut world, 10, &[RELAY, LAMP, LIGHT, JOINER]).share();
        let sent = world.station(ATTACKER).intrusions();
        println!("routing: {lie:?} without the key, {sent:?} times: {share:.2} of the commands");
        assert!(sent > Some(100), "{lie:?} was not told");
        assert_eq!(ways(&world), before, "{lie:?}");
        assert!(share >= 0.9, "{lie:?}: {share}");
        assert_eq!(world.findings(), []);
    }
}

/// The lamp is stolen, and the attack is on.
fn inside(lie: Lie, rooms: f64) -> World {
    let mut world = world(vec![insider(rooms, LAMP, lie)]);
    world.power_off(LAMP);
    world.power_on(ATTACKER);
    world.run_for(LEARNT);
    world
}

/// Once the lamp is expelled the others are back.
fn expelled(world: &mut World, what: &str) {
    revoke(world, LAMP);
    others_are_back(world, what);
}

fn others_are_back(world: &mut World, what: &str) {
    let at = world.now();
    let others = [RELAY, SWITCH, LIGHT, JOINER];
    let back = |world: &World| others.iter().all(|it| is_in(world, *it));
    assert!(world.run_until(BACK, back), "{what}");
    println!("routing: {what}: back {:?} after the lamp was out", world.now() - at);
    let share = command(world, 10, &[RELAY, LIGHT, JOINER]).share();
    assert!(share >= 0.9, "{what}: {share}");
    assert!(read(world, JOINER, 3) >= 2, "{what}");
    assert_ne!(parent(world, JOINER), Some(eui64(LAMP)), "{what}");
    assert_eq!(world.findings(), [], "{what}");
}

#[test]
fn a_sinkhole_draws_the_far_and_not_the_near_and_commands_pass_it_by() {
    let mut world = inside(Lie::Rank, FAR);
    let drawn = world.run_until(secs(60), |world| parent(world, JOINER) == Some(eui64(LAMP)));
    assert!(drawn, "the sinkhole is clumsy");
    assert_eq!(parent(&world, LIGHT), Some(eui64(RELAY)));
    let share = command(&mut world, 20, &[RELAY, LIGHT, JOINER]).share();
    let reads = read(&mut world, JOINER, 10);
    println!("routing: sinkhole: {share:.2} of the commands arrive, {reads} of 10 reads");
    assert!(share >= 0.9, "{share}");
    assert!(reads >= 5, "{reads}");
    expelled(&mut world, "sinkhole");
}

#[test]
fn a_captured_device_turns_routes_over_until_it_is_expelled() {
    let mut world = inside(Lie::Route(eui64(JOINER)), 0.0);
    let router = world.station(ROUTER).node().expect("it has power");
    let lamp = world.manager().domain().devices()[&eui64(LAMP)].short().expect("a member");
    let turned = router.net().routes().filter(|route| route.parent == lamp).count();
    println!("routing: {turned} ways over the lamp");
    assert!(turned > 0, "the liar is clumsy");
    let share = command(&mut world, 10, &[RELAY, LIGHT, JOINER]).share();
    assert!(share >= 0.9, "{share}");
    expelled(&mut world, "route");
}

#[test]
fn a_captured_device_moves_no_address() {
    let mut world = inside(Lie::Address(eui64(LIGHT)), 0.0);
    world.run_for(secs(10));
    assert_eq!(read(&mut world, LIGHT, 5), 5);
    assert!(is_in(&world, LIGHT));
    let routes = ways(&world).1;
    let light = world.manager().domain().devices()[&eui64(LIGHT)].short().expect("a member");
    let relay = world.manager().domain().devices()[&eui64(RELAY)].short().expect("a member");
    assert!(routes.contains(&(light, relay)) && routes.contains(&(relay, BORDER_ROUTER_SHORT)));
    assert_eq!(world.findings(), []);
}

#[test]
fn versions_that_never_began_end_with_the_liar() {
    let mut world = inside(Lie::Version, 1.0);
    world.run_for(secs(10));
    let share = command(&mut world, 10, &[RELAY, LIGHT, JOINER]).share();
    println!(
        "routing: versions: {share:.2} of the commands arrive, {} reads",
        read(&mut world, LIGHT, 3)
    );
    assert!(share >= 0.9, "{share}");
    revoke_within(&mut world, LAMP, EFFECTIVE_UNDER_VERSIONS);
    others_are_back(&mut world, "version");
}

#[test]
fn a_name_that_was_silenced_speaks_again_under_the_next_key() {
    let mut world = inside(Lie::Counter(eui64(RELAY)), 1.0);
    world.run_for(secs(10));
    let reads = read(&mut world, LIGHT, 3);
    println!("routing: the relay silenced: {reads} of 3 reads");
    assert_eq!(reads, 0, "the liar is clumsy");
    expelled(&mut world, "counter");
}

#[test]
fn a_crowd_of_one_takes_no_member_s_place() {
    let mut world = inside(Lie::Crowd, 1.0);
    world.run_for(secs(30));
    let share = command(&mut world, 10, &[RELAY, LIGHT, JOINER]).share();
    let reads = read(&mut world, LIGHT, 5);
    println!("routing: crowd: {share:.2} of the commands arrive, {reads} of 5 reads");
    assert!(share >= 0.9, "{share}");
    expelled(&mut world, "crowd");
}

#[test]
fn a_wormhole_is_believed_and_left_when_it_is_gone() {
    let near = eavesdropper(ATTACKER, 0.0, Trick::Tunnel(eui64(FAR_END)));
    let far = eavesdropper(FAR_END, FAR, Trick::Tunnel(eui64(ATTACKER)));
    let mut world = world(vec![near, far]);
    assert_eq!(parent(&world, JOINER), Some(eui64(LIGHT)));
    world.power_on(ATTACKER);
    world.power_on(FAR_END);
    let drawn = world.run_until(secs(300), |world| parent(world, JOINER) == Some(eui64(ROUTER)));
    let share = command(&mut world, 10, &[RELAY, LAMP, LIGHT, JOINER]).share();
    let reads = read(&mut world, JOINER, 5);
    println!("routing: wormhole: drawn {drawn}, {share:.2} of the commands, {reads} of 5 reads");
    assert!(drawn, "the wormhole is clumsy");
    assert!(share >= 0.9, "{share}");
    world.power_off(ATTACKER);
    world.power_off(FAR_END);
    let at = world.now();
    let back = world.run_until(BACK, |world| parent(world, JOINER) == Some(eui64(LIGHT)));
    assert!(back, "it waits for who is not there");
    println!("routing: wormhole: left {:?} after it was gone", world.now() - at);
    world.run_for(secs(10));
    assert!(read(&mut world, JOINER, 3) >= 2);
    assert_eq!(world.findings(), []);
}
