//! Purpose: nothing counts twice, and only authentic records move the window.
//! RFC 6347 section 4.1.2.6.

use crate::world::*;
use lowgate_dtls::{CloseReason, RecordDrop};

#[test]
fn every_datagram_of_a_session_again() {
    let mut world = World::joined(1, |_| {});
    world.expect_working();
    let (up, down) = (world.nodes[0].sent.clone(), world.said.sent.clone());
    let (got, sent) = (world.nodes[0].received.len(), world.said.received.len());
    for _ in 0..3 {
        for (_, octets) in &up {
            world.inject(Towards::Server, &peer(1), octets);
        }
        for (_, octets) in &down {
            world.inject(Towards::Client, &peer(1), octets);
        }
        world.run_for(secs(1));
    }
    assert_eq!((world.nodes[0].received.len(), world.said.received.len()), (got, sent));
    assert_eq!((world.said.established.len(), world.said.closed.len()), (1, 0));
    world.expect_working();
}

/// OpenSSL's window once moved before the tag was checked (CVE-2016-2181).
#[test]
fn a_forged_number_does_not_move_the_window() {
    let mut world = World::joined(1, |_| {});
    let genuine = world.seal(0, DATA, b"genuine");
    let mut forged = genuine.clone();
    forged[5..11].fill(0xff);
    world.inject(Towards::Server, &peer(1), &forged);
    assert_eq!(world.said.drops, [RecordDrop::BadTag]);
    world.inject(Towards::Server, &peer(1), &genuine);
    assert_eq!(world.said.received.len(), 1);
}

#[test]
fn later_epochs_do_not_exist() {
    let mut world = World::joined(1, |_| {});
    // tinydtls mixed epochs (CVE-2021-42141), and took large ones early (-42142).
    for epoch in [0u16, 2, 3, 0xffff] {
        let mut record = world.seal(0, DATA, b"x");
        record[3..5].copy_from_slice(&epoch.to_be_bytes());
        world.inject(Towards::Server, &peer(1), &record);
        world.inject(Towards::Client, &peer(1), &record);
    }
    assert!(world.said.received.is_empty());
    world.expect_working();
}

/// A client that lost its memory comes back from the same address and port. The old session works
/// until the new one does, and a forger cannot end it by hellos.
#[test]
fn the_same_address_again() {
    let mut world = World::joined(1, |config| config.connection_id = false);
    let old = world.said.established[0].session;
    let rebooted = world.add(peer(9), {
        let mut config = config(b"d1");
        config.connection_id = false;
        config
    });
    // The old incarnation still speaks while the new one shakes hands.
    let record = world.seal(0, DATA, b"before");
    world.nodes[rebooted].peer = peer(1);
    world.nodes.swap(0, rebooted);
    let mut count = 0;
    world.tap = Some(Box::new(move |towards, _| {
        count += usize::from(towards == Towards::Server);
        (count >= 3).then(Vec::new)
    }));
    world.start(0);
    world.run_for(millis(200));
    assert_eq!(world.server.half_open_count(), 1);
    world.inject(Towards::Server, &peer(1), &record);
    assert_eq!(world.said.received.len(), 1);
    assert!(world.said.closed.is_empty());
    world.tap = None;
    world.run_for(secs(5));
    assert_eq!(world.said.closed, [(old, CloseReason::Superseded)]);
    world.expect_working();
}

/// A client that loses its memory while the server repeats the answer to its former hello: that
/// answer arrives first, and the genuine one still counts.
#[test]
fn a_reboot_in_the_middle_of_a_handshake() {
    for seed in 0..100 {
        let mut world = World::joining(seed, |_| {});
        world.faults.delay = (millis(150), millis(150));
        world.run_for(millis(700 + 11 * seed));
        let mut config = config(b"d1");
        config.connection_id = seed % 2 == 0;
        let rebooted = world.add(peer(1), config);
        world.nodes.swap(0, rebooted);
        world.nodes.pop();
        world.start(0);
        world.run_for(secs(4));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.run_for(secs(1));
        world.expect_working();
    }
}

/// Answers to a former attempt keep arriving, before and after the genuine ones.
#[test]
fn answers_to_a_former_attempt() {
    let mut world = World::joining(1, |_| {});
    let (mut first, mut hellos) = (None::<Vec<u8>>, 0);
    world.tap = Some(Box::new(move |towards, octets| match (towards, octets[13]) {
        (Towards::Server, kind) => {
            hellos += usize::from(kind == 1);
            // Until the second attempt no key exchange arrives.
            (kind == 16 && hellos < 2).then(Vec::new)
        }
        (Towards::Client, 2) => {
            let stale = first.get_or_insert_with(|| octets.to_vec()).clone();
            let genuine = (millis(20), octets.to_vec());
            Some(vec![(millis(19), stale.clone()), genuine, (millis(21), stale)])
        }
        (Towards::Client, _) => None,
    }));
    world.run_for(secs(20));
    world.expect_joined();
    assert_eq!(world.said.started, 2, "one new attempt sufficed");
    world.expect_working();
}
