//! Purpose: what arrives twice counts once.

use crate::world::*;
use lowgate_dtls::RecordDrop;

#[test]
fn every_datagram_twice() {
    let mut world = World::joining(1, |_| {});
    world.faults.duplicate = 1.0;
    world.run_for(secs(60));
    world.expect_joined();
    assert_eq!((world.said.started, world.said.established.len()), (1, 1));
    assert_eq!(world.said.failed, []);
    assert!(world.nodes[0].sent.len() <= 6, "duplicates do not multiply");
    world.faults.duplicate = 1.0;
    world.client_sends(0, DATA, b"once");
    world.run_for(secs(1));
    assert_eq!(world.said.received.len(), 1);
    assert!(world.said.drops.contains(&RecordDrop::Replayed));
}

#[test]
fn duplicates_loss_and_disorder_together() {
    for seed in 0..150 {
        let mut world = World::joining(seed, |config| config.datagram_len_max = 96 + seed as usize);
        world.faults = Faults { loss: 0.15, duplicate: 0.3, delay: (millis(1), millis(300)) };
        world.run_for(secs(60));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.run_for(secs(1));
        world.expect_working();
    }
}

/// A hello that was delayed until its handshake was over opens no second one.
#[test]
fn a_late_hello_with_a_valid_cookie() {
    let mut world = World::joined(1, |_| {});
    let hello = world.nodes[0].sent[1].1.clone();
    let sent = world.said.sent.len();
    world.inject(Towards::Server, &peer(1), &hello);
    assert_eq!(world.server.half_open_count(), 0);
    assert_eq!(world.said.sent.len(), sent, "no answer either");
    assert_eq!(world.said.drops, [RecordDrop::Repeated]);
    world.expect_working();
}
