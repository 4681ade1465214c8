//! Purpose: handshake messages longer than a datagram. RFC 6347 section 4.2.3.

use crate::world::*;
use lowgate_dtls::{RecordDrop, Retransmission};

#[test]
fn every_datagram_length_on_both_ends() {
    let long_identity = [b'd'; 128];
    let long_request = [1; 192];
    for max in (96..400).step_by(13) {
        let mut world = World::with(max as u64, |config| config.datagram_len_max = max);
        let mut config = config(&long_identity);
        config.datagram_len_max = max;
        config.group_request = Some(&long_request);
        config.retransmission = Retransmission::Rfc6347;
        let node = world.add(peer(1), config);
        world.start(node);
        world.run_for(millis(900));
        assert!(world.nodes[0].sent.iter().all(|(_, octets)| octets.len() <= max));
        assert_eq!(world.nodes[0].established.len(), 1, "{max}: without any repetition");
        assert_eq!(world.said.established[0].identity, long_identity);
        world.expect_working();
    }
}

/// Fragments before the cookie cost no memory: only a first fragment is answered at all.
#[test]
fn no_memory_before_the_cookie() {
    let mut world = World::joining(1, |config| {
        config.datagram_len_max = 96;
        config.group_request = Some(&[1; 192]);
    });
    world.tap = Some(Box::new(|towards, _| (towards == Towards::Client).then(Vec::new)));
    world.run_for(secs(5));
    assert_eq!((world.server.half_open_count(), world.said.started), (0, 0));
    assert!(world.said.sent.iter().all(|(_, octets)| octets[13] == 3));
    assert!(world.said.drops.iter().all(|drop| *drop == RecordDrop::Unexpected));
}

/// A first fragment with a valid cookie, then nothing: the handshake is forgotten in time.
#[test]
fn an_unfinished_hello_is_forgotten() {
    let mut world = World::joining(1, |config| {
        config.datagram_len_max = 96;
        config.group_request = Some(&[1; 192]);
    });
    world.tap = Some(Box::new(|towards, octets| {
        let later = towards == Towards::Server && octets[19..22] != [0, 0, 0];
        later.then(Vec::new)
    }));
    world.run_for(secs(5));
    assert_eq!(world.server.half_open_count(), 1);
    world.run_for(secs(70));
    assert_eq!(world.server.half_open_count(), 0);
}

/// Overlapping pieces of the client's key exchange, as a sender cuts whose path changed.
#[test]
fn overlapping_fragments() {
    let identity = [b'o'; 100];
    let mut world = World::new(1);
    let node = world.add(peer(1), config(&identity));
    world.tap = Some(Box::new(|towards, octets| {
        if towards == Towards::Client || octets[13] != 16 {
            return None;
        }
        let body = &octets[25..25 + 102];
        let rest = octets[25 + 102..].to_vec();
        let piece = |from: usize, to: usize| {
            let mut piece = octets[..25].to_vec();
            piece[11..13].copy_from_slice(&(12 + to as u16 - from as u16).to_be_bytes());
            piece[19..22].copy_from_slice(&(from as u32).to_be_bytes()[1..]);
            piece[22..25].copy_from_slice(&((to - from) as u32).to_be_bytes()[1..]);
            piece.extend_from_slice(&body[from..to]);
            piece
        };
        let cuts = [(60, 102), (0, 50), (10, 40), (30, 70)];
        let cuts = cuts.iter().enumerate();
        let mut sent: Vec<_> =
            cuts.map(|(i, (from, to))| (millis(i as u64), piece(*from, *to))).collect();
        sent.push((millis(5), rest));
        Some(sent)
    }));
    world.start(node);
    world.run_for(millis(200));
    world.expect_joined();
    world.expect_working();
}
