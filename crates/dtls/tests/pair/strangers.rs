//! Purpose: whatever strangers send, at whatever moment, nothing panics, nothing changes, and the
//! handshake still completes.

use crate::world::*;
use lowgate_dtls::{CloseReason, Peer};
use lowgate_units::Prng;
use proptest::prelude::*;

fn mutate(prng: &mut Prng, octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    let len = octets.len() as u64;
    match prng.below(6) {
        0 => octets.truncate(prng.below(len) as usize),
        1 => octets.extend((0..prng.below(40)).map(|i| i as u8)),
        2 => (0..len).for_each(|i| octets[i as usize] = prng.next_u64() as u8),
        _ => {
            for _ in 0..=prng.below(3) {
                octets[prng.below(len) as usize] ^= 1 << prng.below(8);
            }
        }
    }
    octets
}

/// A changed copy arrives before each genuine datagram of the first seconds. Some of them (a
/// ServerHello with another random) no DTLS 1.2 end can tell from genuine ones: they cost a new
/// attempt.
#[test]
fn changed_copies_come_first() {
    let mut restarted = 0;
    for seed in 0..300 {
        let mut world = World::joining(seed, |_| {});
        let mut prng = Prng::new(seed);
        let mut left = 12;
        world.tap = Some(Box::new(move |_, octets| {
            left -= i32::from(left > 0);
            (left > 0).then(|| {
                vec![(millis(5), mutate(&mut prng, octets)), (millis(20), octets.to_vec())]
            })
        }));
        world.run_for(secs(60));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        restarted += usize::from(world.said.started > 1);
        world.expect_working();
    }
    assert!(restarted < 150, "{restarted} of 300 began anew");
}

/// Noise between all datagrams, also long after the join.
#[test]
fn noise_at_every_moment() {
    for seed in 0..100 {
        let mut world = World::joining(seed, |config| config.connection_id = seed % 2 == 0);
        let mut prng = Prng::new(seed);
        for _ in 0..60 {
            let noise: Vec<u8> = (0..prng.below(120)).map(|_| prng.next_u64() as u8).collect();
            let sent = [&world.nodes[0].sent, &world.said.sent];
            let all: Vec<_> = sent.into_iter().flatten().map(|(_, o)| o.clone()).collect();
            let echo = all[prng.below(all.len() as u64) as usize].clone();
            // Reflected, to the wrong end.
            world.inject(Towards::Server, &peer(1), &noise);
            world.inject(Towards::Client, &peer(1), &noise);
            let from_server = world.said.sent.iter().any(|(_, octets)| *octets == echo);
            let wrong_end = if from_server { Towards::Server } else { Towards::Client };
            world.inject(wrong_end, &peer(1), &echo);
            world.run_for(millis(25));
        }
        world.run_for(secs(20));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.expect_working();
    }
}

/// A live session against changed copies of its own records.
#[test]
fn a_session_outlives_changed_records() {
    for seed in 0..20 {
        let mut world = World::joined(seed, |config| config.connection_id = seed % 2 == 0);
        let session = world.said.established[0].session;
        let mut prng = Prng::new(seed);
        for _ in 0..100 {
            let up = world.seal(0, DATA, b"genuine");
            let mut forged = up.clone();
            forged[prng.below(up.len() as u64) as usize] ^= 1 << prng.below(8);
            world.inject(Towards::Server, &peer(1), &forged);
            world.inject(Towards::Client, &peer(1), &forged);
        }
        assert!(world.said.received.is_empty() && world.nodes[0].received.is_empty());
        assert!(world.said.moved.is_empty() && world.said.closed.is_empty());
        assert_eq!(world.server.peer(session), Some(peer(1)));
        world.expect_working();
    }
}

/// Hellos with valid cookies from one address crowd out each other, not a join from elsewhere.
#[test]
fn a_flood_from_one_address() {
    let mut world = World::with(1, |config| config.half_open_max = 8);
    let mut honest = peer(1);
    honest.addr = "fd00::1".parse().expect("address");
    let honest_node = world.add(honest, config(b"d1"));
    world.start(honest_node);
    for port in 0..50 {
        let node = world.add(peer(port), config(b"d2"));
        world.start(node);
    }
    // Nobody comes beyond the second hello, the honest one included.
    world.tap = Some(Box::new(|towards, octets| {
        (towards == Towards::Server && octets[13] == 16).then(Vec::new)
    }));
    world.run_for(millis(100));
    assert_eq!(world.server.half_open_count(), 8);
    let flooded = world.said.failed.len();
    assert!(flooded > 0 && world.said.failed.iter().all(|f| f.2 == CloseReason::Evicted));
    let addr = world.nodes[honest_node].peer.addr;
    assert!(world.said.failed.iter().all(|f| f.0.addr != addr), "the oldest, but alone");
    world.tap = None;
    world.run_for(secs(1));
    assert_eq!(world.nodes[honest_node].established.len(), 1);
}

/// A full table gives up the session that was silent longest.
#[test]
fn the_table_of_sessions_is_bounded() {
    let mut world = World::with(1, |config| config.sessions_max = 3);
    for port in 0..5 {
        let node = world.add(peer(port), config(b"d1"));
        world.start(node);
        world.run_for(secs(1));
        if port == 2 {
            world.client_sends(0, DATA, b"I live");
            world.run_for(secs(1));
        }
    }
    assert_eq!(world.server.session_count(), 3);
    let ids: Vec<_> = world.said.established.iter().map(|entry| entry.session).collect();
    let evicted = CloseReason::Evicted;
    assert_eq!(world.said.closed, [(ids[1], evicted), (ids[2], evicted)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_datagrams(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20),
        after in 0u64..130,
    ) {
        let mut world = World::joining(1, |_| {});
        world.run_for(millis(after));
        for octets in &datagrams {
            world.inject(Towards::Client, &peer(1), octets);
            world.inject(Towards::Server, &peer(1), octets);
        }
        world.run_for(secs(20));
        world.expect_joined();
        world.expect_working();
    }

    /// Records with good headers and any body, of every type and epoch.
    #[test]
    fn any_bodies(
        bodies in prop::collection::vec(
            (19u8..33, 0u16..3, 0u64..1000, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
        handshake in any::<bool>(),
        after in 0u64..130,
    ) {
        let mut world = World::joining(1, |_| {});
        world.run_for(millis(after));
        for (kind, epoch, seq, body) in &bodies {
            let mut octets = vec![*kind, 0xfe, 0xfd];
            octets.extend_from_slice(&epoch.to_be_bytes());
            octets.extend_from_slice(&seq.to_be_bytes()[2..]);
            let mut body = body.clone();
            if handshake && body.len() >= 12 {
                // Lengths that fit, so that the message itself is looked at.
                let len = (body.len() - 12) as u8;
                body[0] %= 21;
                body[1..4].copy_from_slice(&[0, 0, len]);
                body[4] = 0;
                body[5] %= 4;
                body[6..12].copy_from_slice(&[0, 0, 0, 0, 0, len]);
            }
            octets.extend_from_slice(&(body.len() as u16).to_be_bytes());
            octets.extend_from_slice(&body);
            world.inject(Towards::Client, &peer(1), &octets);
            world.inject(Towards::Server, &peer(1), &octets);
        }
        world.run_for(secs(40));
        world.expect_joined();
        world.expect_working();
    }
}

/// A ServerHello that cannot be right, under a number that is over: it once moved the count for good.
#[test]
fn a_forged_hello_with_an_old_number() {
    for after in [0, 20, 40, 50] {
        let mut world = World::joining(1, |_| {});
        world.run_for(millis(after));
        let mut forged = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12];
        forged.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        world.inject(Towards::Client, &peer(1), &forged);
        world.run_for(millis(200));
        world.expect_joined();
        world.expect_working();
    }
}

/// The cookie covers no extensions: a hello that lost one on its way, before the genuine one.
#[test]
fn a_hello_changed_behind_its_cookie() {
    let mut world = World::joining(1, |_| {});
    world.tap = Some(Box::new(|towards, octets| {
        let at = octets.windows(4).position(|w| w == [0, 23, 0, 0])?;
        let mut changed = octets.to_vec();
        changed[at + 1] = 99;
        let group = octets.windows(2).position(|w| w == [0xff, 0x40])?;
        changed[group] = 0x7f;
        let both = vec![(millis(5), changed), (millis(20), octets.to_vec())];
        (towards == Towards::Server).then_some(both)
    }));
    world.run_for(millis(200));
    world.expect_joined();
    assert_eq!((world.said.started, world.said.failed.len()), (1, 0));
    world.expect_working();
}

/// The server's flight with another random and, if `seq` says so, another number; alone or whole.
fn forged_hello(genuine: &[u8], random: u8, seq: Option<u8>) -> Vec<u8> {
    let mut forged = records(genuine, 0)[0].3.clone();
    forged[30] ^= random;
    forged[18] = seq.unwrap_or(forged[18]);
    forged
}

/// A forged answer comes first, the genuine one still counts: no new attempt is needed.
#[test]
fn a_forged_answer_first() {
    for seq in [None, Some(0)] {
        for alone in [true, false] {
            let mut world = World::joining(1, |_| {});
            world.tap = Some(Box::new(move |towards, octets| {
                (towards == Towards::Client && octets[13] == 2).then(|| {
                    let mut forged = forged_hello(octets, 1, seq);
                    if !alone {
                        let mut done = records(octets, 0)[1].3.clone();
                        done[18] = forged[18] + 1;
                        forged.extend_from_slice(&done);
                    }
                    vec![(millis(15), forged), (millis(20), octets.to_vec())]
                })
            }));
            world.run_for(millis(300));
            world.expect_joined();
            assert_eq!(world.said.started, 1);
            world.expect_working();
        }
    }
}

/// More forged answers than are believed one after the other: a new attempt.
#[test]
fn many_forged_answers() {
    let mut world = World::joining(1, |_| {});
    let mut flooded = false;
    world.tap = Some(Box::new(move |towards, octets| {
        let hello = towards == Towards::Client && octets[13] == 2;
        (hello && !core::mem::replace(&mut flooded, true)).then(|| {
            let mut arrivals: Vec<_> =
                (1..20).map(|i| (millis(1), forged_hello(octets, i, Some(0)))).collect();
            arrivals.push((millis(20), octets.to_vec()));
            arrivals
        })
    }));
    world.run_for(secs(10));
    world.expect_joined();
    assert_eq!(world.said.started, 2);
    world.expect_working();
}

/// A key exchange of somebody else's identity comes first: the genuine one still counts.
#[test]
fn a_forged_key_exchange_first() {
    let mut world = World::joining(1, |_| {});
    world.tap = Some(Box::new(|towards, octets| {
        (towards == Towards::Server && octets[13] == 16).then(|| {
            let mut forged = records(octets, 4)[0].3.clone();
            *forged.last_mut().expect("identity") = b'7';
            vec![(millis(15), forged), (millis(20), octets.to_vec())]
        })
    }));
    world.run_for(millis(200));
    world.expect_joined();
    assert_eq!((world.said.started, &world.said.established[0].identity[..]), (1, &b"d1"[..]));
    world.expect_working();
}

/// Relay headers are part of who a peer is: two joiners behind one relay do not disturb each other.
#[test]
fn joiners_behind_one_relay() {
    let mut world = World::new(1);
    for i in 0..20u8 {
        let relay_header = heapless::Vec::from_slice(&[i; 20]).expect("room");
        let behind = Peer { relay_header, ..peer(61630) };
        let identity = [b'd', i + 1];
        let node = world.add(behind, config(&identity));
        world.start(node);
    }
    world.faults.loss = 0.1;
    world.run_for(secs(60));
    assert_eq!(world.server.session_count(), 20);
    assert!(world.nodes.iter().all(|node| node.established.len() == 1));
}
