//! Purpose: no state before a cookie, and what a cookie binds. RFC 6347 section 4.2.1.

use crate::world::*;
use lowgate_dtls::Peer;

/// The second hello of a client at `peer(1)`, and the world that knows it.
fn second_hello() -> (World, Vec<u8>) {
    let mut world = World::joining(1, |_| {});
    let mut hellos = 0;
    world.tap = Some(Box::new(move |towards, _| {
        hellos += usize::from(towards == Towards::Server);
        (hellos >= 1 && towards == Towards::Server).then(Vec::new)
    }));
    world.run_for(millis(100));
    let hello = world.nodes[0].sent[1].1.clone();
    (world, hello)
}

fn answers(world: &mut World, peer: &Peer, hello: &[u8]) -> u8 {
    let before = world.said.sent.len();
    world.inject(Towards::Server, peer, hello);
    world.said.sent.get(before).map_or(0, |(_, octets)| octets[13])
}

const VERIFY: u8 = 3;
const SERVER_HELLO: u8 = 2;

#[test]
fn a_first_hello_keeps_no_state_and_is_not_amplified() {
    let (mut world, _) = second_hello();
    let first = world.nodes[0].sent[0].1.clone();
    for port in 0..1000 {
        assert_eq!(answers(&mut world, &peer(port), &first), VERIFY);
    }
    assert_eq!((world.server.half_open_count(), world.said.started), (0, 0));
    let answer = &world.said.sent.last().expect("answer").1;
    assert!(answer.len() < first.len());
    assert_eq!(answer[5..11], first[5..11], "record number copied");
    assert_eq!(
        (answer[1..3].to_vec(), answer[25..27].to_vec()),
        (vec![0xfe, 0xff], vec![0xfe, 0xff])
    );
}

#[test]
fn it_binds_address_port_and_relay_header() {
    let (mut world, hello) = second_hello();
    let mut relayed = peer(1);
    relayed.relay_header.extend_from_slice(&[1; 20]).expect("room");
    let mut elsewhere = peer(1);
    elsewhere.addr = "fd00::78".parse().expect("address");
    for other in [peer(2), relayed, elsewhere] {
        assert_eq!(answers(&mut world, &other, &hello), VERIFY);
    }
    assert_eq!(world.server.half_open_count(), 0);
    assert_eq!(answers(&mut world, &peer(1), &hello), SERVER_HELLO);
}

/// Two joiners behind one relay cannot use each other's cookies.
#[test]
fn it_binds_every_octet_of_the_relay_header() {
    let (mut world, mut hello) = second_hello();
    let behind = |header: [u8; 20]| {
        let relay_header = heapless::Vec::from_slice(&header).expect("room");
        Peer { relay_header, ..peer(61630) }
    };
    assert_eq!(answers(&mut world, &behind([7; 20]), &hello), VERIFY);
    let cookie = world.said.sent.last().expect("answer").1[28..].to_vec();
    hello[61..77].copy_from_slice(&cookie);
    for at in 0..20 {
        let mut other = [7; 20];
        other[at] ^= 1;
        assert_eq!(answers(&mut world, &behind(other), &hello), VERIFY);
    }
    assert_eq!(answers(&mut world, &behind([7; 20]), &hello), SERVER_HELLO);
}

#[test]
fn it_binds_the_hello() {
    let (mut world, hello) = second_hello();
    // Version, random, cookie, suite: header 13 + 12, then 2, 32, 1 + 0, 1 + 16, 2.
    for at in [26, 27, 58, 61, 76, 79, 80] {
        let mut changed = hello.clone();
        changed[at] ^= 1;
        assert_ne!(answers(&mut world, &peer(1), &changed), SERVER_HELLO, "{at}");
    }
    assert_eq!(world.server.half_open_count(), 0);
    assert_eq!(answers(&mut world, &peer(1), &hello), SERVER_HELLO);
}

/// No cookie, a longer and a shorter one: all count as none, and none is read past its end.
#[test]
fn wrong_lengths() {
    let (mut world, hello) = second_hello();
    for len in [0u8, 1, 15, 17, 255] {
        let mut changed = hello.clone();
        changed[60] = len;
        assert_ne!(answers(&mut world, &peer(1), &changed), SERVER_HELLO, "{len}");
    }
}

#[test]
fn it_grows_stale() {
    for (age, good) in [(50, true), (110, true), (130, false), (1000, false)] {
        let (mut world, hello) = second_hello();
        let first = world.nodes[0].sent[0].1.clone();
        world.nodes.clear();
        // Someone else's hello in between lets the secret change.
        for _ in 0..age / 10 {
            world.run_for(secs(10));
            answers(&mut world, &peer(7), &first);
        }
        let expected = if good { SERVER_HELLO } else { VERIFY };
        assert_eq!(answers(&mut world, &peer(1), &hello), expected, "{age} s");
    }
}

/// A stale cookie costs another round trip, nothing more.
#[test]
fn a_client_with_a_stale_cookie_gets_another() {
    let mut world = World::joining(1, |_| {});
    let mut count = 0;
    world.tap = Some(Box::new(move |towards, octets| {
        count += usize::from(towards == Towards::Server);
        (towards == Towards::Server && count == 1).then(|| {
            let mut spoilt = octets.to_vec();
            spoilt[61] ^= 1;
            vec![(millis(1), spoilt)]
        })
    }));
    world.run_for(secs(2));
    world.expect_joined();
    world.expect_working();
}

#[test]
fn it_can_be_turned_off() {
    let mut world = World::with(1, |config| config.cookie = false);
    let node = world.add(peer(1), config(b"d1"));
    world.start(node);
    world.run_for(secs(1));
    world.expect_joined();
    assert_eq!(world.nodes[0].sent.len(), 2, "two round trips, as in the measurements of old");
    world.expect_working();
}

/// Eight thousand forged HelloVerifyRequests, each with another cookie: the client answers some,
/// and still finds the genuine one.
#[test]
fn forged_verify_requests() {
    let mut world = World::joining(1, |_| {});
    for i in 0..8000u16 {
        let mut forged = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17];
        forged.extend_from_slice(&[3, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5, 0xfe, 0xff, 2]);
        forged.extend_from_slice(&i.to_be_bytes());
        world.inject(Towards::Client, &peer(1), &forged);
    }
    assert!(world.nodes[0].sent.len() < 30, "{}", world.nodes[0].sent.len());
    world.run_for(secs(10));
    world.expect_joined();
    world.expect_working();
}

/// The hello, which had no session id and no cookie, with both.
fn with(hello: &[u8], session_id: [u8; 32], cookie: &[u8]) -> Vec<u8> {
    let mut changed = hello.to_vec();
    let added = 32 + u8::try_from(cookie.len()).expect("a cookie of 16");
    changed[59] = 32;
    changed[60] = added - 32;
    changed.splice(61..61, cookie.iter().copied());
    changed.splice(60..60, session_id);
    for at in [12, 16, 24] {
        changed[at] += added;
    }
    changed
}

/// A stranger that hopes to resume a session gets a full handshake. It may hope for another one the second time:
/// who has a ticket may draw its session id, and Mbed TLS does so for each hello.
#[test]
fn a_hello_with_a_session_id_is_answered() {
    for second_id in [7, 8] {
        let (mut world, _) = second_hello();
        let hello = world.nodes[0].sent[0].1.clone();
        let first = with(&hello, [7; 32], &[]);
        assert_eq!(answers(&mut world, &peer(4), &first), VERIFY);
        let cookie = world.said.sent.last().expect("answer").1[28..].to_vec();
        let mut second = with(&hello, [second_id; 32], &cookie);
        second[18] = 1;
        assert_eq!(answers(&mut world, &peer(4), &second), SERVER_HELLO);
    }
}
