//! Purpose: both ends end in bounded time, for a reason.

use crate::world::*;
use lowgate_dtls::{CloseReason, Retransmission};

#[test]
fn silence_from_the_start() {
    for (policy, bound) in
        [(ADAPTIVE, 60), (Retransmission::Rfc6347, 150), (Retransmission::Rfc7925, 150)]
    {
        let mut world = World::joining(1, |config| config.retransmission = policy);
        let start = world.now;
        world.tap = Some(Box::new(|_, _| Some(Vec::new())));
        world.run_for(secs(200));
        let (at, reason) = world.nodes[0].closed.expect("ended");
        assert_eq!((reason, at - start), (CloseReason::TimedOut, secs(bound)));
    }
}

/// The network falls silent after each datagram in turn, for ever.
#[test]
fn silence_after_any_datagram() {
    for until in 0..7 {
        let mut world = World::joining(until, |_| {});
        let mut count = 0;
        world.tap = Some(Box::new(move |_, _| {
            count += 1;
            (count > until).then(Vec::new)
        }));
        world.run_for(secs(200));
        let client_done = world.nodes[0].closed.is_some() || !world.nodes[0].established.is_empty();
        assert!(client_done, "after {until}");
        assert_eq!(world.server.half_open_count(), 0, "after {until}");
        let (failed, sessions) = (world.said.failed.len(), world.said.established.len());
        assert_eq!(failed + sessions, world.said.started, "each start has one end");
        assert!(world.said.failed.iter().all(|f| f.2 == CloseReason::TimedOut));
    }
}

/// A client that vanished during its handshake does not keep the next one waiting.
#[test]
fn a_silent_client_blocks_nobody() {
    let mut world = World::new(1);
    let silent = world.add(peer(1), config(b"d1"));
    let mut count = 0;
    world.tap = Some(Box::new(move |towards, _| {
        count += usize::from(towards == Towards::Server);
        (count > 2).then(Vec::new)
    }));
    world.start(silent);
    world.run_for(millis(100));
    assert_eq!(world.server.half_open_count(), 1);
    world.tap = None;
    let next = world.add(peer(2), config(b"d2"));
    world.start(next);
    world.run_for(millis(500));
    assert_eq!(world.nodes[next].established.len(), 1);
}

/// An established session has no timer.
#[test]
fn sessions_stay() {
    let mut world = World::joined(1, |_| {});
    world.run_for(secs(1_000_000));
    world.expect_working();
}
