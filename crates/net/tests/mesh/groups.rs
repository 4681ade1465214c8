//! Purpose: group datagrams reach every member once. Topology: grids, node 0 in a corner is the
//! root. Clause: RFC 7731.

use crate::world::{MANAGER, World, addr, udp_packet};
use lowgate_net::NetInput;
use lowgate_units::{Duration, Ipv6Addr};
use std::collections::BTreeMap;

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0x40, 0xfd12, 0x3456, 0, 1, 0x8000, 7);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xff35, 0x40, 0xfd12, 0x3456, 0, 1, 0x8000, 8);
const PORT: u16 = 5683;

fn grid(seed: u64, width: usize, loss: f64) -> World {
    let mut world = World::grid(seed, width, loss);
    world.start_all();
    let attached = world.run_for(Duration::from_secs(120), World::all_attached);
    assert!(attached, "seed {seed}: {} attached", world.attached());
    for n in 0..world.stacks.len() {
        world.input(n, NetInput::JoinGroup { addr: GROUP, port: PORT });
    }
    world
}

/// How often each (node, payload) was delivered.
fn deliveries(world: &World) -> BTreeMap<(usize, Vec<u8>), usize> {
    let mut counts = BTreeMap::new();
    for (_, n, datagram) in &world.datagrams {
        assert_eq!(datagram.dst, GROUP);
        *counts.entry((*n, datagram.payload.to_vec())).or_insert(0) += 1;
    }
    counts
}

/// Criteria: of 20 datagrams from anywhere at 10 % loss, at least 99 % arrive within 10 s, none
/// twice, none at a stranger to the group.
#[test]
fn a_lossy_grid_of_25_hears_nearly_everything() {
    let (mut expected, mut arrived) = (0, 0);
    for seed in 0..4 {
        let mut world = grid(seed, 5, 0.1);
        for i in 0..20u8 {
            let seed_node = usize::from(i) * 7 % 25;
            world.udp(seed_node, GROUP, &[i; 40]);
            world.run(Duration::from_secs(1));
            expected += 24;
        }
        world.run(Duration::from_secs(10));
        let counts = deliveries(&world);
        assert!(counts.values().all(|count| *count == 1), "seed {seed}: delivered twice");
        arrived += counts.len();
    }
    assert!(arrived * 100 >= expected * 99, "{arrived} of {expected}");
}

/// Criteria: a datagram reaches the far corner of a grid of 49 within 2 s at 10 % loss, and the
/// nodes transmit it at most 3 times each, with the control messages at most 8.
#[test]
fn a_flood_is_quick_and_ends() {
    let mut world = grid(3, 7, 0.1);
    world.run(Duration::from_secs(5));
    let (before, start) = (world.transmissions, world.now);
    world.udp(0, GROUP, b"light on");
    assert!(world.run_for(Duration::from_secs(2), |world| deliveries(world).len() >= 48));
    world.run(Duration::from_secs(120));
    let sent = world.transmissions - before;
    assert!(sent < 49 * 8, "{sent} transmissions");
    let last = world.datagrams.iter().map(|(at, ..)| at.since(start)).max();
    assert!(last < Some(Duration::from_secs(2)), "{last:?}");
}

/// Criteria: the backbone's datagrams reach the group; what is for another group or port is not
/// delivered; the seed does not hear itself.
#[test]
fn the_backbone_speaks_to_groups() {
    let mut world = grid(1, 3, 0.0);
    world.manager_sends(GROUP, &udp_packet(MANAGER, GROUP, PORT, b"all"));
    world.manager_sends(OTHER, &udp_packet(MANAGER, OTHER, PORT, b"others"));
    world.manager_sends(GROUP, &udp_packet(MANAGER, GROUP, PORT + 1, b"elsewhere"));
    world.run(Duration::from_secs(5));
    let counts = deliveries(&world);
    assert_eq!(counts.len(), 8);
    assert!(counts.iter().all(|((n, payload), count)| *n != 0 && payload == b"all" && *count == 1));
    assert!(world.datagrams.iter().all(|(.., datagram)| datagram.src == MANAGER));
    world.input(4, NetInput::LeaveGroup { addr: GROUP, port: PORT });
    world.udp(2, GROUP, b"again");
    world.run(Duration::from_secs(5));
    let again = deliveries(&world).keys().filter(|(_, payload)| payload == b"again").count();
    assert_eq!(again, 7, "all but the sender and the one that left");
    assert_eq!(world.datagrams.last().map(|(.., datagram)| datagram.src), Some(addr(2)));
}

/// Criteria: who was out of range during the flood gets it by a control message when it is back.
#[test]
fn who_was_away_is_told() {
    let mut world = grid(2, 3, 0.0);
    let edges: Vec<_> = [4, 5, 7].into_iter().collect();
    for n in &edges {
        world.cut(8, *n);
    }
    world.udp(0, GROUP, b"missed");
    world.run(Duration::from_secs(3));
    assert_eq!(deliveries(&world).len(), 7);
    for n in edges {
        world.connect(8, n, 0.0, -60);
    }
    world.run(Duration::from_secs(30));
    assert_eq!(deliveries(&world).get(&(8, b"missed".to_vec())), Some(&1));
}
