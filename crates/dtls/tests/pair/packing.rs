//! Purpose: towards clients that speak our extension hellos share a record, and the server's last flight travels
//! with the owner's first payload, again until the client is heard. RFC 6347 sections 4.2.3 and 4.2.4.

use crate::world::*;
use lowgate_dtls::{ContentType, Packing, SendRefused};
use lowgate_units::Duration;

const LINGER: Duration = Duration::from_millis(300);
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// A client on its way to a server that packs tightly.
fn joining(seed: u64, edit: impl FnOnce(&mut lowgate_dtls::ClientConfig<'_>)) -> World {
    let mut world = World::with(seed, |server| server.packing = Packing::Tight { linger: LINGER });
    let mut config = config(b"d1");
    edit(&mut config);
    let node = world.add(peer(1), config);
    world.start(node);
    world
}

/// Runs until the server has a session: its last flight waits.
fn until_established(world: &mut World) -> lowgate_dtls::SessionId {
    for _ in 0..1000 {
        if let Some(entry) = world.said.established.first() {
            return entry.session;
        }
        world.run_for(Duration::from_millis(1));
    }
    panic!("no session: {:?}", world.said.drops);
}

/// Types of the records of the server's latest datagram.
fn latest(world: &World) -> Vec<u8> {
    let (_, octets) = world.said.sent.last().expect("something was sent");
    records(octets, 0).into_iter().map(|(kind, ..)| kind).collect()
}

#[test]
fn the_first_payload_brings_the_last_flight_along() {
    let mut world = joining(1, |_| {});
    let session = until_established(&mut world);
    // HelloVerifyRequest, and both hellos in one record.
    assert_eq!(world.said.sent.len(), 2);
    assert_eq!(latest(&world), [HANDSHAKE]);
    world.server_sends(session, ContentType::KeyData, b"keys");
    assert_eq!(latest(&world), [CHANGE_CIPHER_SPEC, HANDSHAKE, 30]);
    world.run_for(secs(1));
    assert_eq!(world.said.sent.len(), 3, "one datagram for both");
    assert_eq!(world.nodes[0].received, [(ContentType::KeyData, b"keys".to_vec())]);
    assert!(world.nodes[0].drops.is_empty(), "{:?}", world.nodes[0].drops);
    // The client was not heard yet, then it is.
    world.server_sends(session, ContentType::KeyData, b"more");
    assert_eq!(latest(&world).len(), 3);
    world.client_sends(0, ContentType::KeyParameters, b"ack");
    world.run_for(secs(1));
    world.server_sends(session, ContentType::KeyData, b"last");
    assert_eq!(latest(&world), [30]);
}

#[test]
fn without_a_payload_it_leaves_alone() {
    let mut world = joining(2, |_| {});
    until_established(&mut world);
    world.run_for(secs(1));
    world.expect_joined();
    assert_eq!(latest(&world), [CHANGE_CIPHER_SPEC, HANDSHAKE]);
    world.expect_working();
}

#[test]
fn who_is_turned_away_has_the_session_to_hear_it_in() {
    let mut world = joining(3, |_| {});
    let session = until_established(&mut world);
    world.server.close(world.now, session);
    world.run_for(secs(1));
    world.expect_joined();
    assert!(world.nodes[0].closed.is_some());
}

#[test]
fn who_does_not_speak_the_extension_sees_none_of_it() {
    let mut world = joining(4, |client| client.group_request = None);
    world.run_for(secs(1));
    world.expect_joined();
    let hellos = &world.said.sent[1].1;
    assert_eq!(records(hellos, 0).len(), 2, "ServerHello and ServerHelloDone each in a record");
    assert_eq!(latest(&world), [CHANGE_CIPHER_SPEC, HANDSHAKE]);
}

#[test]
fn a_payload_without_room_beside_it_goes_behind_it() {
    let mut world = joining(5, |_| {});
    let session = until_established(&mut world);
    let len = world.config.datagram_len_max;
    let refused = world.server.send(world.now, session, ContentType::KeyData, &vec![0; len]);
    assert_eq!(refused, Err(SendRefused::TooLong));
    world.server_sends(session, ContentType::KeyData, &vec![7; len - 40]);
    assert_eq!(latest(&world), [30]);
    world.run_for(secs(1));
    assert_eq!(world.nodes[0].received.len(), 1, "{:?}", world.nodes[0].drops);
}

/// With repeated payloads the client needs no repetition of its own: half of all datagrams are lost.
#[test]
fn half_of_the_datagrams_lost() {
    for seed in 0..50 {
        let mut world = joining(seed, |_| {});
        world.faults = Faults { loss: 0.5, ..Faults::default() };
        for _ in 0..60 {
            world.run_for(secs(1));
            if let Some(entry) = world.said.established.first() {
                let session = entry.session;
                world.server_sends(session, ContentType::KeyData, b"keys");
            }
        }
        let received = &world.nodes[0].received;
        assert!(received.iter().any(|(_, octets)| octets == b"keys"), "seed {seed}");
    }
}
