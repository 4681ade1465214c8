//! Purpose: lost datagrams cost time, never the join. RFC 6347 section 4.2.4.

use crate::world::*;
use lowgate_dtls::{CloseReason, Retransmission};

#[test]
fn nothing_lost_takes_three_round_trips() {
    let mut world = World::joined(1, |_| {});
    assert_eq!(world.nodes[0].sent.len(), 3, "hello, hello with cookie, Finished");
    assert_eq!(world.said.sent.len(), 3);
    let entry = &world.said.established[0];
    assert_eq!((&entry.identity[..], &entry.peer), (&b"d1"[..], &peer(1)));
    assert_eq!(entry.group_request.as_deref(), Some(REQUEST));
    assert_eq!(world.nodes[0].established[0].as_deref(), Some(ANSWER));
    assert_eq!(world.nodes[0].key_log, world.said.key_log);
    assert!(world.nodes[0].drops.is_empty() && world.said.drops.is_empty());
    world.expect_working();
}

#[test]
fn one_datagram_in_five_lost() {
    let mut joined_late = 0;
    for seed in 0..200 {
        let mut world = World::joining(seed, |_| {});
        world.faults = Faults { loss: 0.2, ..Faults::default() };
        world.run_for(secs(15));
        joined_late += usize::from(world.nodes[0].established.is_empty());
        world.run_for(secs(45));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.run_for(secs(1));
        world.expect_working();
    }
    assert_eq!(joined_late, 0, "15 s of repetitions suffice at 20 % loss");
}

#[test]
fn every_second_datagram_lost() {
    let mut missed = 0;
    for seed in 0..200 {
        let mut world = World::joining(seed, |_| {});
        world.faults = Faults { loss: 0.5, ..Faults::default() };
        world.run_for(secs(70));
        match world.nodes[0].closed {
            Some((_, reason)) => {
                assert_eq!(reason, CloseReason::TimedOut, "seed {seed}");
                missed += 1;
            }
            None => {
                assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
                world.expect_working();
            }
        }
    }
    assert!(missed <= 2, "{missed} of 200 gave up");
}

/// Each datagram of a loss-free run in turn is lost once, under each policy.
#[test]
fn any_one_datagram_lost() {
    for policy in [Retransmission::Rfc6347, Retransmission::Rfc7925, ADAPTIVE] {
        for lost in 0..6 {
            let mut world = World::with(lost, |config| config.retransmission = policy);
            let mut config = config(b"d1");
            config.retransmission = policy;
            let node = world.add(peer(1), config);
            let mut count = 0;
            world.tap = Some(Box::new(move |_, _| {
                count += 1;
                (count == lost + 1).then(Vec::new)
            }));
            world.start(node);
            world.run_for(secs(12));
            world.expect_joined();
            assert_eq!(world.said.closed, []);
            world.expect_working();
        }
    }
}

/// The server's last flight is lost four times: the client's Finished asks for it again, and the
/// session is the one that the server has had since the first.
#[test]
fn a_lost_last_flight_recovers() {
    let mut world = World::joining(3, |_| {});
    let mut count = 0;
    world.tap = Some(Box::new(move |towards, octets| {
        let last = towards == Towards::Client && octets[0] == 20;
        count += usize::from(last);
        (last && count <= 4).then(Vec::new)
    }));
    world.run_for(secs(15));
    world.expect_joined();
    assert_eq!(world.said.established.len(), 1);
    world.expect_working();
}
