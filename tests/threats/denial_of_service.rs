//! Purpose: denial of service (threat 9 of section 3.1): resources that run out, floods, jamming. The floods of
//! datagrams, unsecured frames and ClientHellos are in `tests/floods.rs`; here are the others.
//! Topology: the building of [`super::support`]; the attacker hangs beside the relay or beside the joiner.
//! Clause: section 3.1 (9) and 5.1.2 of the draft; RFC 4944 section 5.3 (reassembly), RFC 6347 section 4.1.2.7
//! (what is not authentic is dropped), RFC 9031 section 6.1 (joining is limited).
//! Criteria: with beacons of routers that do not exist, with fragments that never go on and with records in
//! clear, the joiner is in within a minute in each of the seeds, and nine of ten commands arrive, in at most twice
//! the time at the median. A jammer on a fifth of the air leaves nine of ten commands; from one on nearly all of
//! it everybody is back within a minute after it is gone.
//! Out of reach: a jammer that does not rest; no protocol on one channel withstands it. Beacons are not secured,
//! and a joiner gives each relay eight seconds to answer: with twenty names a second a join takes 33 to 49 s
//! instead of 0.6 s; with names enough to fill all eight places of a scan it waits until the attacker is gone.
//! Whoever answers a ClientHello before the manager does spoils that handshake, and lets nobody in by it.

use super::support::*;
use lowgate_access::joiner::{JoinerEvent, Path};
use lowgate_node::Event;
use lowgate_sim::world::{Lie, Trick, What, World};
use lowgate_units::Duration;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;
const LIGHTS: [lowgate_sim::medium::StationId; 3] = [RELAY, LAMP, LIGHT];

fn attacked(seed: u64, trick: Option<(Trick, f64)>) -> World {
    let intruders = trick.map(|(trick, rooms)| eavesdropper(ATTACKER, rooms, trick));
    let mut world = Plan::new(seed, intruders.into_iter().collect()).world();
    if trick.is_some() {
        world.power_on(ATTACKER);
        world.run_for(LEARNT);
    }
    world
}

#[derive(Default)]
struct Figures {
    commands: Commands,
    /// Frames of the attacker.
    attacks: usize,
    joins: Vec<Duration>,
}

fn measured(trick: Option<(Trick, f64)>) -> Figures {
    let mut figures = Figures::default();
    for seed in SEEDS {
        let mut world = attacked(seed, trick);
        let Commands { obeyed, of, took } = command(&mut world, 5, &LIGHTS);
        figures.commands.obeyed += obeyed;
        figures.commands.of += of;
        figures.commands.took.extend(took);
        figures.joins.extend(join(&mut world, JOINER));
        if trick.is_some() {
            figures.attacks += world.station(ATTACKER).intrusions().unwrap_or(0);
        }
        assert_eq!(world.findings(), [], "seed {seed}");
    }
    figures
}

fn check(trick: Trick, rooms: f64) {
    let (calm, attacked) = (measured(None), measured(Some((trick, rooms))));
    let [calm_took, took] = [&calm, &attacked].map(|it| median(&it.commands.took));
    println!(
        "denial: {trick:?}: joins {:?} calm, {:?} attacked; commands {calm_took:?} calm, {took:?}, {:.2}; {} frames",
        calm.joins,
        attacked.joins,
        attacked.commands.share(),
        attacked.attacks
    );
    assert!(attacked.attacks > 0, "no attack");
    assert_eq!(attacked.joins.len(), SEEDS.count(), "somebody is not in");
    assert!(attacked.commands.share() >= 0.9);
    assert!(took <= 2 * calm_took);
}

#[test]
fn beacons_of_nobody_delay_a_join_and_do_not_prevent_it() {
    check(Trick::Beacon, 2.0);
    // They were believed: relays were asked that do not exist.
    let mut world = attacked(1, Some((Trick::Beacon, 2.0)));
    world.power_on(JOINER);
    let astray = count(&mut world, secs(30), |what| match what {
        What::Node(JOINER, Event::Join(JoinerEvent::Handshake(Path::Relay(relay)))) => {
            *relay != eui64(RELAY) && *relay != eui64(LIGHT)
        }
        _ => false,
    });
    assert!(astray > 0, "the attacker is clumsy");
}

#[test]
fn fragments_that_never_go_on_take_nobody_s_room() {
    check(Trick::Tell(Lie::Fragments(eui64(RELAY))), 1.0);
}

#[test]
fn records_in_clear_end_no_handshake_and_no_session() {
    check(Trick::Tell(Lie::Records(eui64(JOINER))), 2.0);
    check(Trick::Tell(Lie::Records(eui64(LIGHT))), 2.0);
}

#[test]
fn a_jammer_on_a_fifth_of_the_air_leaves_nine_of_ten_commands() {
    let figures = measured(Some((Trick::Jam(20), 1.0)));
    println!("denial: jam: {:.2}, joins {:?}", figures.commands.share(), figures.joins);
    assert!(figures.commands.share() >= 0.9);
    assert_eq!(figures.joins.len(), SEEDS.count());
}

#[test]
fn when_a_jammer_is_gone_everybody_is_back() {
    let mut world = attacked(1, Some((Trick::Jam(97), 1.0)));
    world.run_for(secs(60));
    let jammed = command(&mut world, 5, &[RELAY, LIGHT]);
    println!("denial: jammed: {:.2} of the commands", jammed.share());
    assert!(jammed.share() <= 0.2, "the jammer is clumsy");
    world.power_off(ATTACKER);
    let back = |world: &World| LIGHTS.iter().all(|it| is_in(world, *it));
    let at = world.now();
    assert!(world.run_until(secs(60), back));
    println!("denial: back {:?} after the jammer", world.now() - at);
    world.run_for(secs(30));
    assert!(command(&mut world, 10, &LIGHTS).share() >= 0.9);
    assert_eq!(world.findings(), []);
}
