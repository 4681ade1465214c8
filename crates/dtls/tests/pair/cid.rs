//! Purpose: connection IDs. RFC 9146.

use crate::world::*;
use lowgate_dtls::{CloseReason, RecordDrop};

#[test]
fn records_towards_the_server_carry_it() {
    let mut world = World::joined(1, |_| {});
    let up = world.seal(0, DATA, b"up");
    assert_eq!((up[0], up.len()), (25, 2 + 13 + 8 + 8 + 4 + 1));
    let session = world.said.established[0].session;
    world.server_sends(session, DATA, b"down");
    assert_eq!(world.said.sent.last().expect("sent").1[0], 23, "we want none ourselves");
    world.inject(Towards::Server, &peer(1), &up);
    world.run_for(millis(50));
    world.expect_working();
}

#[test]
fn off_on_either_side() {
    for (client, server) in [(true, false), (false, true), (false, false)] {
        let mut world = World::with(1, |config| config.connection_id = server);
        let mut config = config(b"d1");
        config.connection_id = client;
        let node = world.add(peer(1), config);
        world.start(node);
        world.run_for(secs(1));
        world.expect_joined();
        assert_eq!(world.seal(0, DATA, b"")[0], 23);
        world.expect_working();
    }
}

/// The joiner gets its address and speaks from there; the session goes on.
#[test]
fn a_session_moves() {
    let mut world = World::joined(1, |_| {});
    let session = world.said.established[0].session;
    world.nodes[0].peer = peer(2);
    world.client_sends(0, DATA, b"here");
    world.run_for(secs(1));
    assert_eq!(world.said.moved, [(session, peer(2))]);
    assert_eq!(world.server.peer(session), Some(peer(2)));
    world.expect_working();
}

/// RFC 9146 section 6: only the newest record moves a session; older ones are still delivered.
#[test]
fn an_old_record_moves_nothing() {
    let mut world = World::joined(1, |_| {});
    let old = world.seal(0, DATA, b"old");
    let new = world.seal(0, DATA, b"new");
    world.inject(Towards::Server, &peer(1), &new);
    world.inject(Towards::Server, &peer(66), &old);
    // A replay from elsewhere, and a forgery.
    world.inject(Towards::Server, &peer(66), &new);
    let mut forged = world.seal(0, DATA, b"forged");
    forged[30] ^= 1;
    world.inject(Towards::Server, &peer(66), &forged);
    assert_eq!((world.said.moved.len(), world.said.received.len()), (0, 2));
    assert_eq!(world.said.drops, [RecordDrop::Replayed, RecordDrop::BadTag]);
    world.expect_working();
}

/// RFC 9146 section 3: a record without the connection ID it should have is invalid.
#[test]
fn a_record_without_it_is_dropped() {
    let mut world = World::joined(1, |_| {});
    let up = world.seal(0, DATA, b"up");
    let mut plain = up.clone();
    plain.drain(11..15);
    plain[0] = 23;
    world.inject(Towards::Server, &peer(1), &plain);
    let mut other = up.clone();
    other[11] ^= 1;
    world.inject(Towards::Server, &peer(1), &other);
    assert_eq!(world.said.drops, [RecordDrop::ConnectionIdExpected, RecordDrop::UnknownPeer]);
    world.inject(Towards::Server, &peer(1), &up);
    assert_eq!(world.said.received.len(), 1);
}

/// A member that writes another's address on its records takes nothing away from it.
#[test]
fn nobody_is_made_unreachable() {
    let mut world = World::new(1);
    let mut without = config(b"d1");
    without.connection_id = false;
    world.add(peer(1), without);
    world.start(0);
    world.add(peer(2), config(b"d2"));
    world.start(1);
    world.run_for(secs(1));
    let [victim, mallory] = [0, 1].map(|i| world.said.established[i].session);
    let spoofed = world.seal(1, DATA, b"I am at 1");
    world.inject(Towards::Server, &peer(1), &spoofed);
    assert_eq!(world.said.moved, [(mallory, peer(1))]);
    world.client_sends(0, DATA, b"still here");
    world.run_for(secs(1));
    assert_eq!(world.said.received.last().map(|r| r.0), Some(victim));
    // The victim may even come back with a new session: the other one's is not "previous".
    world.nodes[0].client = {
        let mut other = World::new(9);
        other.add(peer(1), config(b"d1"));
        other.nodes.remove(0).client
    };
    world.nodes[0].established.clear();
    world.start(0);
    world.run_for(secs(1));
    assert_eq!(world.nodes[0].established.len(), 1);
    assert_eq!(world.said.closed, [(victim, CloseReason::Superseded)]);
}

/// A session that moved to an address where somebody else then joins is nobody's "previous" one.
#[test]
fn who_joins_at_an_address_ends_no_strangers_session() {
    let mut world = World::joined(1, |_| {});
    let moved = world.said.established[0].session;
    world.nodes[0].peer = peer(3);
    world.client_sends(0, DATA, b"I am at 3");
    world.run_for(secs(1));
    assert_eq!(world.said.moved, [(moved, peer(3))]);
    let mut other = World::new(9);
    other.add(peer(3), config(b"d3"));
    world.nodes.insert(0, other.nodes.remove(0));
    world.start(0);
    world.run_for(secs(1));
    assert_eq!(world.nodes[0].established.len(), 1);
    assert_eq!((world.said.closed.len(), world.server.session_count()), (0, 2));
    world.nodes.remove(0);
    world.client_sends(0, DATA, b"still here");
    world.run_for(secs(1));
    assert_eq!(world.said.received.last().map(|r| r.0), Some(moved));
}
