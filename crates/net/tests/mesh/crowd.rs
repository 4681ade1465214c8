//! Purpose: many nodes, without flooding the channel. Topology: a grid of 100, root in a corner,
//! 10 % loss, 18 hops along the edges.

use crate::world::World;
use lowgate_net::NetDrop;
use lowgate_units::Duration;

/// Criteria: after a common start all are attached within 30 s, at no more than 60 transmissions
/// each, of all the forwarding; then the mesh falls silent.
#[test]
fn a_hundred_start_at_once() {
    let mut world = World::grid(1, 10, 0.1);
    world.start_all();
    assert!(world.run_for(Duration::from_secs(30), World::all_attached), "{}", world.attached());
    assert!(world.transmissions < 6000, "{}", world.transmissions);
    assert_eq!(world.drops(NetDrop::QueueFull), 0);
    world.run(Duration::from_secs(60));
    let before = world.transmissions;
    world.run(Duration::from_secs(600));
    let sent = world.transmissions - before;
    assert!(sent < 600 * 100 / 20, "{sent}: more than one in 20 s each");
    assert!(world.all_attached());
}

/// Criteria: one after the other by their relays, each is attached within 3 s.
#[test]
fn a_hundred_join_one_by_one() {
    let mut world = World::grid(2, 10, 0.1);
    world.start_root();
    for n in 1..100usize {
        let relay = if n.is_multiple_of(10) { n - 10 } else { n - 1 };
        world.admit(n);
        world.attach(n, Some(relay));
        let span = Duration::from_secs(3);
        assert!(world.run_for(span, |world| world.stacks[n].is_attached()), "node {n}");
    }
}
