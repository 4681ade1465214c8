//! Purpose: attachment, both directions. Topology: a line, node 0 is the root.

use crate::world::{MANAGER, World, addr, echo_request, eui64, short, udp_packet};
use lowgate_net::{NetEvent, NetInput};
use lowgate_units::Duration;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Criteria: joined one after the other with the relay as hint, each is attached within 3 s.
#[test]
fn six_attach_one_by_one() {
    for seed in 0..10 {
        let mut world = World::line(seed, 6, 0.1);
        world.start_root();
        for n in 1..6 {
            world.admit(n);
            world.attach(n, Some(n - 1));
            let before = world.now;
            let attached = world.run_for(secs(10), |world| world.stacks[n].is_attached());
            assert!(attached, "seed {seed}: node {n} is not attached");
            let took = world.now.since(before);
            assert!(took < secs(3), "seed {seed}: node {n} took {took:?}");
            assert_eq!(world.stacks[n].hops(), Some(n as u8));
            assert_eq!(world.stacks[n].parent(), Some(eui64(n - 1)));
        }
        assert_eq!(world.stacks[0].routes().count(), 5);
    }
}

/// Criteria: the same without hints; a second more.
#[test]
fn six_attach_without_hints() {
    for seed in 0..10 {
        let mut world = World::line(seed, 6, 0.1);
        world.start_all();
        assert!(world.run_for(secs(40), World::all_attached), "seed {seed}: {}", world.attached());
    }
}

/// Criteria: the root tells whom it hears itself, how well and when last; ways down end some time.
#[test]
fn the_root_knows_its_neighbour() {
    let mut world = World::line(3, 4, 0.0);
    world.start_all();
    assert!(world.run_for(secs(40), World::all_attached));
    world.ping(0, addr(1), 1);
    world.run(secs(2));
    let neighbours: Vec<_> = world.stacks[0].neighbours().collect();
    let [neighbour] = neighbours[..] else { panic!("one is in range: {neighbours:?}") };
    assert_eq!((neighbour.eui64, neighbour.short), (eui64(1), Some(short(1))));
    assert!(neighbour.rank > Some(128) && (128..256).contains(&neighbour.etx), "{neighbour:?}");
    assert!(world.now.since(neighbour.heard_at) <= secs(2), "{neighbour:?}");
    for route in world.stacks[0].routes() {
        let valid = route.until.since(world.now);
        assert!((secs(60)..secs(7200)).contains(&valid), "{route:?}");
    }
}

/// Criteria: the backbone pings the deepest node, the deepest pings the backbone and its peers.
#[test]
fn echo_in_all_directions() {
    let mut world = World::line(7, 6, 0.1);
    world.start_all();
    assert!(world.run_for(secs(40), World::all_attached));
    world.manager_sends(addr(5), &echo_request(MANAGER, addr(5), 1));
    world.run(secs(2));
    let (_, reply) = world.backbone.last().expect("an answer");
    assert_eq!(reply[8..24], addr(5).octets());
    assert_eq!(reply[24..40], MANAGER.octets());
    world.ping(5, MANAGER, 2);
    world.run(secs(2));
    assert_eq!(world.backbone.len(), 2);
    for (from, to) in [(5, 0), (0, 5), (5, 2), (2, 5), (3, 4)] {
        world.ping(from, addr(to), 3);
        world.run(secs(2));
        assert_eq!(world.replies(from, addr(to)), 1, "{from} to {to}");
    }
}

/// Criteria: datagrams of a kilobyte pass in both directions, in fragments.
#[test]
fn large_datagrams_both_ways() {
    let mut world = World::line(8, 6, 0.05);
    world.start_all();
    assert!(world.run_for(secs(40), World::all_attached));
    let payload: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
    world.manager_sends(addr(5), &udp_packet(MANAGER, addr(5), 5683, &payload));
    world.run(secs(3));
    let (_, node, datagram) = world.datagrams.last().expect("arrived");
    assert_eq!((*node, &datagram.payload[..], datagram.src), (5, &payload[..], MANAGER));
    assert!(datagram.secured);
    world.udp(5, addr(0), &payload);
    world.run(secs(3));
    let (_, node, datagram) = world.datagrams.last().expect("arrived");
    assert_eq!((*node, &datagram.payload[..], datagram.src), (0, &payload[..], addr(5)));
    world.udp(5, MANAGER, &payload);
    world.run(secs(3));
    assert!(world.backbone.last().expect("arrived").1.ends_with(&payload));
}

/// Criteria: whom nobody admitted is refused, and is admitted as soon as the manager says so.
#[test]
fn a_stranger_is_refused() {
    let mut world = World::line(9, 4, 0.0);
    world.start_root();
    for n in [1, 2] {
        world.admit(n);
        world.attach(n, Some(n - 1));
        assert!(world.run_for(secs(5), |world| world.stacks[n].is_attached()));
    }
    world.attach(3, Some(2));
    world.run(secs(20));
    assert!(!world.stacks[3].is_attached());
    assert!(world.stacks[0].routes().all(|route| route.device.raw() != 3));
    let refused = |event: &NetEvent| matches!(event, NetEvent::RegistrationRefused { .. });
    assert!(world.events.iter().any(|(_, n, event)| *n == 3 && refused(event)));
    let denied = |event: &NetEvent| matches!(event, NetEvent::RegistrationDenied { .. });
    assert!(world.events.iter().any(|(_, n, event)| *n == 0 && denied(event)));
    world.admit(3);
    assert!(world.run_for(secs(60), |world| world.stacks[3].is_attached()));
    // And out again.
    world.input(0, NetInput::Expelled { eui64: eui64(3) });
    world.manager_sends(addr(3), &echo_request(MANAGER, addr(3), 1));
    world.run(secs(2));
    let (_, answer) = world.backbone.last().expect("an error");
    assert_eq!(answer[40..42], [1, 0], "no route");
}

/// Criteria: what is detached has forgotten everything and says nothing secured.
#[test]
fn detach_forgets() {
    let mut world = World::line(10, 3, 0.0);
    world.start_all();
    assert!(world.run_for(secs(20), World::all_attached));
    world.input(2, NetInput::Detach);
    world.run(secs(1));
    assert_eq!(world.stacks[2].global_addr(), None);
    assert_eq!(world.stacks[2].neighbours().count(), 0);
    let frames = world.frames.iter().filter(|(n, _)| *n == 2).count();
    world.run(secs(300));
    assert_eq!(world.frames.iter().filter(|(n, _)| *n == 2).count(), frames);
    // It comes back with its counters begun anew.
    world.attach(2, Some(1));
    assert!(world.run_for(secs(15), |world| world.stacks[2].is_attached()));
}
