//! Purpose: the mesh heals. Clauses: RFC 6550 sections 8.2.2 and 11.2, RFC 6719.

use crate::world::{MANAGER, World, addr, echo_request, eui64};
use lowgate_net::{AttachRoot, NetEvent, NetInput};
use lowgate_units::Duration;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Nobody's parents go round, now.
#[track_caller]
fn no_loop(world: &World) {
    for n in 1..world.stacks.len() {
        let mut ends = vec![n];
        let mut at = n;
        while at != 0
            && let Some(parent) = world.stacks[at].parent()
        {
            at = (0..world.stacks.len()).find(|n| eui64(*n) == parent).expect("known");
            assert!(!ends.contains(&at), "a loop through {ends:?} and {at} at {}", world.now);
            ends.push(at);
        }
    }
}

/// Topology: two ways to node 3. Criteria: its traffic takes the other way within 10 s of the
/// first one's death, and the root's route follows.
#[test]
fn the_parent_is_switched_when_the_link_dies() {
    let mut world = World::new(1, 5);
    for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)] {
        world.connect(a, b, 0.0, -60);
    }
    world.start_all();
    assert!(world.run_for(secs(30), World::all_attached));
    world.run(secs(5));
    let parent = (1..3).find(|n| world.stacks[3].parent() == Some(eui64(*n))).expect("1 or 2");
    let other = 3 - parent;
    world.cut(3, parent);
    for sequence in 0..10 {
        if world.stacks[4].is_attached() {
            world.ping(4, MANAGER, sequence);
        }
        world.run(secs(1));
    }
    assert_eq!(world.stacks[3].parent(), Some(eui64(other)));
    assert!(world.stacks[3].is_attached());
    world.manager_sends(addr(4), &echo_request(MANAGER, addr(4), 1));
    let before = world.backbone.len();
    assert!(world.run_for(secs(2), |world| world.backbone.len() > before));
    let lost = world.events.iter().any(|(_, n, event)| *n == 4 && *event == NetEvent::Detached);
    assert!(!lost, "the child did not notice");
}

/// Topology: a line whose root cannot send for half a minute, as while its radio recovers. Criteria: it
/// takes no way for dead, and the first packet afterwards arrives.
#[test]
fn a_radio_that_is_away_kills_no_way() {
    let mut world = World::line(3, 3, 0.0);
    world.start_all();
    assert!(world.run_for(secs(30), World::all_attached));
    world.run(secs(5));
    world.mute = Some(0);
    for sequence in 0..30 {
        for n in 1..3 {
            world.manager_sends(addr(n), &echo_request(MANAGER, addr(n), sequence));
        }
        world.run(secs(1));
    }
    world.mute = None;
    let lost = |event: &NetEvent| matches!(event, NetEvent::RouteLost { .. });
    assert!(!world.events.iter().any(|(_, _, event)| lost(event)), "{:?}", world.events);
    let before = world.backbone.len();
    world.manager_sends(addr(2), &echo_request(MANAGER, addr(2), 30));
    assert!(world.run_for(secs(2), |world| world.backbone.len() > before));
}

/// Criteria: a silent parent is noticed without traffic within three minutes.
#[test]
fn a_dead_parent_is_noticed_without_traffic() {
    let mut world = World::new(2, 4);
    for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        world.connect(a, b, 0.0, -60);
    }
    world.start_all();
    assert!(world.run_for(secs(30), World::all_attached));
    let parent = (1..3).find(|n| world.stacks[3].parent() == Some(eui64(*n))).expect("1 or 2");
    world.input(parent, NetInput::Detach);
    world.cut(3, parent);
    world.cut(0, parent);
    world.run(secs(180));
    assert_eq!(world.stacks[3].parent(), Some(eui64(3 - parent)));
    assert!(world.stacks[3].is_attached());
}

/// Topology: a line whose first link dies. Criteria: no loop ever, everybody knows that there is
/// no way, and all are back within a minute of the link's return.
#[test]
fn a_severed_line_counts_not_to_infinity() {
    for seed in 0..5 {
        let mut world = World::line(seed, 5, 0.05);
        world.start_all();
        assert!(world.run_for(secs(60), World::all_attached));
        world.cut(0, 1);
        world.cut(1, 2);
        world.connect(1, 2, 0.05, -60);
        for sequence in 0..30 {
            for n in 1..5 {
                if world.stacks[n].is_attached() {
                    world.ping(n, MANAGER, sequence);
                }
            }
            world.run(secs(1));
            no_loop(&world);
        }
        assert_eq!(world.attached(), 1, "seed {seed}: only the root is");
        world.connect(0, 1, 0.05, -60);
        assert!(world.run_for(secs(60), World::all_attached), "seed {seed}: {}", world.attached());
        no_loop(&world);
    }
}

/// The neighbour of `n` to the left in a grid of five columns; above, where there is none.
fn left_or_above(n: usize) -> usize {
    if n.is_multiple_of(5) { n - 5 } else { n - 1 }
}

/// Topology: a grid whose links die and return at random. Criteria: parents never go round for
/// longer than it takes to notice, and after healing all are attached.
#[test]
fn rank_loops_do_not_form() {
    for seed in 0..3 {
        let mut world = World::grid(seed, 5, 0.05);
        world.start_all();
        assert!(world.run_for(secs(120), World::all_attached), "{}", world.attached());
        let mut dice = lowgate_units::Prng::new(seed);
        for round in 0..40u16 {
            let n = 1 + dice.below(24) as usize;
            let neighbour = left_or_above(n);
            match round % 3 {
                0 => world.connect(n, neighbour, 0.05, -65),
                _ => world.cut(n, neighbour),
            }
            let n = 1 + dice.below(24) as usize;
            if world.stacks[n].is_attached() {
                world.ping(n, MANAGER, round);
            }
            world.run(secs(1));
            no_loop(&world);
        }
        for n in 1..25 {
            let neighbour = left_or_above(n);
            world.connect(n, neighbour, 0.05, -65);
        }
        world.run(secs(60));
        assert!(world.all_attached(), "seed {seed}: {}", world.attached());
        no_loop(&world);
    }
}

/// Criteria: a hop that died below its parent is reported to the root, which doubts it, holds it for dead when
/// the reports go on, and then tells the backbone, but for a packet now and then, which tries it. One that arrives
/// does so when the hop is there again.
#[test]
fn a_source_route_with_a_dead_hop() {
    let mut world = World::line(4, 4, 0.0);
    world.start_all();
    assert!(world.run_for(secs(30), World::all_attached));
    world.cut(2, 3);
    let routed = |world: &World| world.stacks[0].routes().any(|route| route.device.raw() == 3);
    for sequence in 0..3 {
        world.manager_sends(addr(3), &echo_request(MANAGER, addr(3), sequence));
        world.run(secs(1));
    }
    assert!(routed(&world), "three reports may be of three collisions");
    for sequence in 3..30 {
        world.manager_sends(addr(3), &echo_request(MANAGER, addr(3), sequence));
        world.run(secs(1));
    }
    let reported = |event: &NetEvent| matches!(event, NetEvent::Unreachable { kind: 1, code: 7, dst } if *dst == addr(3));
    assert!(world.events.iter().any(|(_, n, event)| *n == 0 && reported(event)));
    assert!(!routed(&world));
    for sequence in [98, 99] {
        world.manager_sends(addr(3), &echo_request(MANAGER, addr(3), sequence));
    }
    let (_, error) = world.backbone.last().expect("an error");
    assert_eq!((&error[24..40], &error[40..42]), (&MANAGER.octets()[..], &[1, 0][..]));
    world.run(secs(3));
    world.connect(2, 3, 0.0, -60);
    let before = world.backbone.len();
    world.manager_sends(addr(3), &echo_request(MANAGER, addr(3), 100));
    assert!(world.run_for(secs(2), |world| world.backbone.len() > before));
    let (_, reply) = world.backbone.last().expect("an answer");
    assert_eq!((reply[40], reply[48]), (58, 129), "an echo reply, after the RPL option");
}

/// Criteria: a root that lost its tables has everybody back, told by the next DODAG version.
#[test]
fn a_new_root_version_brings_everybody_back() {
    let mut world = World::grid(5, 4, 0.05);
    world.start_all();
    assert!(world.run_for(secs(60), World::all_attached));
    let attach =
        AttachRoot { short: crate::world::short(0), prefix: crate::world::PREFIX, version: 241 };
    world.input(0, NetInput::AttachRoot(attach));
    for n in 1..16 {
        world.admit(n);
    }
    assert_eq!(world.stacks[0].routes().count(), 0);
    let all = |world: &World| world.all_attached() && world.stacks[0].routes().count() == 15;
    assert!(world.run_for(secs(60), all), "{} routes", world.stacks[0].routes().count());
    no_loop(&world);
}

/// Topology: a line whose second link loses six of ten frames. Criteria: a bad way is better
/// than none: the node behind it is attached, and nearly always stays so.
#[test]
fn the_only_way_is_kept_however_bad() {
    let mut world = World::line(6, 3, 0.0);
    world.connect(1, 2, 0.6, -95);
    world.start_all();
    assert!(world.run_for(secs(60), World::all_attached));
    let mut attached = 0;
    for sequence in 0..300 {
        if world.stacks[2].is_attached() {
            attached += 1;
            world.ping(2, MANAGER, sequence);
        }
        world.run(secs(1));
    }
    assert!(attached > 240, "{attached} of 300 s");
    assert!(world.backbone.len() > 150, "{} echoes", world.backbone.len());
}

/// Topology: a line whose first link dies. Criteria: the children hear of it before the node begins
/// to look for another way (RFC 6550 section 8.2.2.5).
#[test]
fn children_are_poisoned_at_once() {
    let mut world = World::line(7, 4, 0.0);
    world.start_all();
    assert!(world.run_for(secs(30), World::all_attached));
    world.cut(0, 1);
    world.ping(1, MANAGER, 1);
    let detached = |n: usize| move |world: &World| !world.stacks[n].is_attached();
    assert!(world.run_for(secs(10), detached(1)));
    let soon = Duration::from_millis(100);
    assert!(world.run_for(soon, detached(2)) && world.run_for(soon, detached(3)));
}

/// Topology: two ways to node 3, whose parent is expelled and says nothing any more. Criteria: it is behind
/// the other one within 15 s, though it has nothing to send.
#[test]
fn nobody_stays_behind_who_is_expelled() {
    let mut world = World::new(9, 4);
    for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        world.connect(a, b, 0.05, -60);
    }
    world.start_all();
    assert!(world.run_for(secs(60), World::all_attached));
    world.run(secs(60));
    let expelled =
        (1..3).find(|n| world.stacks[3].parent() == Some(eui64(*n))).expect("one of both");
    world.input(0, NetInput::Expelled { eui64: eui64(expelled) });
    world.mute = Some(expelled);
    let behind_the_other = |world: &World| {
        world.stacks[3].is_attached() && world.stacks[3].parent() == Some(eui64(3 - expelled))
    };
    assert!(world.run_for(secs(15), behind_the_other));
}

/// Topology: two ways to node 3, whose parent it still hears and does not reach any more. Criteria: it is behind
/// the other one within four minutes, though it has nothing to send.
#[test]
fn a_parent_that_is_heard_and_not_reached_is_left() {
    let mut world = World::new(10, 4);
    for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        world.connect(a, b, 0.05, -60);
    }
    world.start_all();
    assert!(world.run_for(secs(60), World::all_attached));
    let heard = (1..3).find(|n| world.stacks[3].parent() == Some(eui64(*n))).expect("one of both");
    world.deafen(3, heard);
    let behind_the_other = |world: &World| {
        world.stacks[3].is_attached() && world.stacks[3].parent() == Some(eui64(3 - heard))
    };
    for _ in 0..240 {
        // Its parent has much to say.
        world.udp(heard, addr(3), b"talk");
        world.run(secs(1));
    }
    assert!(behind_the_other(&world));
}

/// Topology: a line whose first link dies while the next node hears nothing of its parent: neither that it
/// has no way any more nor that it asks for one. Criteria: the two, who then hold each other for the way
/// up, notice it, and are back within a minute of the link's return.
#[test]
fn who_missed_the_poison_hears_it_with_the_first_packet() {
    let mut world = World::line(8, 3, 0.0);
    world.start_all();
    assert!(world.run_for(secs(30), World::all_attached));
    world.cut(0, 1);
    world.deafen(1, 2);
    let goes_round = |world: &World| (1..3).all(|n| world.stacks[n].parent() == Some(eui64(3 - n)));
    world.ping(1, MANAGER, 1);
    assert!(world.run_for(secs(60), goes_round), "the mistake is made");
    world.connect(1, 2, 0.0, -60);
    assert!(world.run_for(secs(10), |world| !goes_round(world)), "and noticed");
    world.run(secs(10));
    assert_eq!(world.attached(), 1, "only the root is");
    world.connect(0, 1, 0.0, -60);
    assert!(world.run_for(secs(60), World::all_attached), "{}", world.attached());
}
