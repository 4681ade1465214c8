//! Purpose: whether a client is where its records come from, RFC 9853, beside the other two conditions of RFC 9146
//! section 6, which `cid.rs` has.
//! Criteria: an address that did not answer is sent challenges alone, at most three of them and three times what came
//! from it; no session moves there, none ends, and who really moved is followed.

use crate::ends::{Hall, IDENTITY, KEY, at};
use crate::puppet::{
    APPLICATION_DATA, CHANGE_CIPHER_SPEC, CONNECTION_ID, HANDSHAKE, Plays, Puppet,
    RETURN_ROUTABILITY, RETURN_ROUTABILITY_CHECK, Verify, extension, extensions, server_extensions,
};
use crate::world::*;
use lowgate_dtls::{ClientConfig, ContentType, RecordDrop, SessionId};

/// A session whose ends may ask each other.
fn checked(seed: u64) -> (World, SessionId) {
    let mut world = World::with(seed, |config| config.return_routability = true);
    world.add(peer(1), ClientConfig { return_routability: true, ..config(b"d1") });
    world.start(0);
    world.run_for(secs(1));
    world.expect_joined();
    let session = world.said.established[0].session;
    (world, session)
}

/// Octets that went to `port` from the `before`th datagram on, and how many datagrams.
fn sent_to(world: &World, port: u16, before: usize) -> (usize, usize) {
    let sent = world.said.sent[before..].iter().zip(&world.said.sent_to[before..]);
    let there = sent.filter(|(_, to)| **to == peer(port)).map(|((_, octets), _)| octets.len());
    (there.clone().sum(), there.count())
}

/// The client is somewhere else: it is asked there, and answers go there once it answered.
#[test]
fn a_session_moves_when_its_client_answers_there() {
    let (mut world, session) = checked(1);
    world.nodes[0].peer = peer(2);
    let before = world.said.sent.len();
    world.client_sends(0, DATA, b"here");
    world.run_for(millis(25));
    assert_eq!(
        world.said.received,
        [(session, DATA, b"here".to_vec())],
        "valid wherever it is from"
    );
    assert_eq!(world.server.peer(session), Some(peer(1)), "not yet");
    assert_eq!(sent_to(&world, 2, before).1, 1, "the challenge");
    // What the owner says meanwhile goes where the client was.
    world.server_sends(session, DATA, &[7; 500]);
    assert_eq!(world.said.sent_to.last(), Some(&peer(1)));
    world.run_for(millis(100));
    assert_eq!(world.said.moved, [(session, peer(2))]);
    assert_eq!(world.server.peer(session), Some(peer(2)));
    let sent = world.said.sent.len();
    world.run_for(secs(100));
    assert_eq!(world.said.sent.len(), sent, "the timer stops");
    world.expect_working();
}

#[test]
fn a_session_moves_under_loss() {
    for seed in 0..50 {
        let (mut world, session) = checked(seed);
        world.nodes[0].peer = peer(2);
        world.faults = Faults { loss: 0.3, duplicate: 0.3, delay: (millis(1), millis(30)) };
        for _ in 0..30 {
            world.client_sends(0, DATA, b"here");
            world.run_for(secs(5));
        }
        assert_eq!(world.said.moved, [(session, peer(2))], "seed {seed}");
        world.faults = Faults::default();
        world.expect_working();
    }
}

/// Somebody on the path sends the client's records from an address that is not the client's.
#[test]
fn a_spoofed_address_moves_nothing() {
    let (mut world, session) = checked(1);
    for i in 0..10u8 {
        let up = world.seal(0, DATA, &vec![i; usize::from(i)]);
        let before = world.said.sent.len();
        world.inject(Towards::Server, &peer(66), &up);
        world.run_for(secs(70));
        let (octets, asked) = sent_to(&world, 66, before);
        assert!((1..=3).contains(&asked), "{asked} datagrams to who asked for none");
        assert!(octets <= 3 * up.len(), "{octets} octets for {}", up.len());
        assert_eq!(world.said.sent.len() - before, asked, "challenges alone");
    }
    assert_eq!((world.said.moved.len(), world.said.closed.len()), (0, 0));
    assert_eq!(world.said.received.len(), 10);
    world.expect_working();
    // The answer must come from the address in question, though the question got to the client.
    let up = world.seal(0, DATA, b"spoofed");
    world.inject(Towards::Server, &peer(66), &up);
    let challenge = world.said.sent.last().expect("challenge").1.clone();
    world.inject(Towards::Client, &peer(1), &challenge);
    world.run_for(secs(1));
    assert_eq!(world.said.drops.last(), Some(&RecordDrop::Unexpected));
    assert_eq!(world.server.peer(session), Some(peer(1)));
    world.expect_working();
}

/// As many spoofed addresses as there are records: one is in question at a time.
#[test]
fn many_spoofed_addresses() {
    let (mut world, session) = checked(1);
    let before = world.said.sent.len();
    for port in 100..200 {
        let up = world.seal(0, DATA, b"spoofed");
        world.inject(Towards::Server, &peer(port), &up);
    }
    world.run_for(secs(1));
    assert!(world.said.sent.len() - before <= 3);
    assert_eq!((world.said.moved.len(), world.said.received.len()), (0, 100));
    assert_eq!(world.server.peer(session), Some(peer(1)));
    world.expect_working();
}

/// A record that is newer than all before, from the old address: the client is there.
#[test]
fn what_comes_from_the_old_address_ends_the_check() {
    let (mut world, session) = checked(1);
    let up = world.seal(0, DATA, b"spoofed");
    world.inject(Towards::Server, &peer(66), &up);
    let challenge = world.said.sent.last().expect("challenge").1.clone();
    let up = world.seal(0, DATA, b"at home");
    world.inject(Towards::Server, &peer(1), &up);
    let before = world.said.sent.len();
    world.run_for(secs(10));
    assert_eq!(world.said.sent.len(), before, "nobody is asked again");
    // Who forwards the challenge, and its answer from his address, is late.
    world.inject(Towards::Client, &peer(1), &challenge);
    let answer = world.nodes[0].sent.last().expect("answer").1.clone();
    world.inject(Towards::Server, &peer(66), &answer);
    assert_eq!(world.server.peer(session), Some(peer(1)));
}

/// RFC 9853 section 3: only when both say so, and only beside a connection ID. The hellos of who does not ask for it
/// have no octet more.
#[test]
fn checks_are_agreed_on() {
    for (client, server, cid) in
        [(false, true, true), (true, false, true), (true, true, false), (true, true, true)]
    {
        let mut world = World::with(1, |config| {
            (config.return_routability, config.connection_id) = (server, cid || !server);
        });
        let offer =
            ClientConfig { return_routability: client, connection_id: cid, ..config(b"d1") };
        world.add(peer(1), offer);
        world.start(0);
        world.run_for(secs(1));
        world.expect_joined();
        let has = |octets: &[u8]| octets.windows(4).any(|w| w == [0, 61, 0, 0]);
        assert_eq!(has(&world.nodes[0].sent[1].1), client && cid);
        let agreed = client && server && cid;
        assert_eq!(has(&world.said.sent[1].1), agreed);
        world.expect_working();
        if cid {
            world.nodes[0].peer = peer(2);
            world.client_sends(0, DATA, b"here");
            world.run_for(millis(25));
            assert_eq!(world.said.moved.is_empty(), agreed, "asked, or told");
            world.run_for(secs(1));
            assert_eq!(world.said.moved.len(), 1);
        }
    }
    // RFC 9853 section 3: no answer to who offers it without a connection ID.
    let mut hall = Hall::new(|config| config.return_routability = true);
    let mut puppet = Puppet::new(Plays::Client, IDENTITY, KEY);
    puppet.extensions.extend(extension(RETURN_ROUTABILITY, &[]));
    for _ in 0..2 {
        let hello = puppet.client_hello();
        let octets = puppet.say(&hello);
        for answer in hall.hear(&at(1), &octets) {
            if answer[13] == 2 {
                let len = usize::from(u16::from_be_bytes([answer[11], answer[12]]));
                let found = server_extensions(&answer[25..13 + len]);
                assert!(found.iter().all(|(kind, _)| *kind != RETURN_ROUTABILITY), "no CID");
            }
            puppet.hear(&answer);
        }
    }
}

/// A session of a puppet, which says what it likes; its connection ID has `cid_len` octets.
fn puppet_session(hall: &mut Hall, cid_len: u8) -> Puppet {
    let mut puppet = Puppet::new(Plays::Client, IDENTITY, KEY);
    let cid = [&[cid_len][..], &vec![9; usize::from(cid_len)]].concat();
    puppet.extensions.extend(extension(CONNECTION_ID, &cid));
    puppet.extensions.extend(extension(RETURN_ROUTABILITY, &[]));
    assert!(extensions(&puppet.extensions).is_some());
    for _ in 0..2 {
        let hello = puppet.client_hello();
        let octets = puppet.say(&hello);
        hall.hear(&at(1), &octets).iter().for_each(|answer| puppet.hear(answer));
    }
    let exchange = puppet.client_key_exchange();
    let mut octets = puppet.say(&exchange);
    octets.extend(puppet.plain(CHANGE_CIPHER_SPEC, &[1]));
    let finished = puppet.finished(Verify::Right);
    octets.extend(puppet.seal(HANDSHAKE, &finished));
    hall.hear(&at(1), &octets);
    assert_eq!(hall.established.len(), 1);
    puppet
}

/// RFC 9853 section 5.4: exactly one answer to each challenge, to where it came from; the server does so too, but not
/// with three times as many octets. What is no message, or of another type, is nothing.
#[test]
fn the_server_answers_challenges() {
    for cid_len in [0u8, 8, 200] {
        let mut hall = Hall::new(|config| config.return_routability = true);
        let mut puppet = puppet_session(&mut hall, cid_len);
        let cookie = *b"\0cookies";
        let challenge = [&[0][..], &cookie].concat();
        for port in [1, 2] {
            let up = puppet.seal(RETURN_ROUTABILITY_CHECK, &challenge);
            let answers: Vec<_> = {
                let before = hall.sent.len();
                hall.hear(&at(port), &up);
                hall.sent[before..].to_vec()
            };
            let opened = |octets: &[u8]| puppet.open(octets, usize::from(cid_len));
            let response = answers.iter().filter_map(|(to, octets)| Some((to, opened(octets)?)));
            let response: Vec<_> = response.filter(|(_, (_, text))| text[0] == 1).collect();
            if cid_len == 200 {
                assert!(answers.iter().all(|(_, octets)| octets.len() <= 3 * up.len()));
                continue;
            }
            let expected = (RETURN_ROUTABILITY_CHECK, [&[1][..], &cookie].concat());
            assert_eq!(response, [(&at(port), expected)]);
        }
        hall.now += secs(10);
        hall.drain();
        for nothing in [&[][..], &[3, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 1], &[1; 9], &[2; 9], &[0; 10]]
        {
            let up = puppet.seal(RETURN_ROUTABILITY_CHECK, nothing);
            assert!(hall.hear(&at(1), &up).is_empty());
        }
        assert!(hall.moved.is_empty() && hall.closed.is_empty());
        let up = puppet.seal(APPLICATION_DATA, b"x");
        hall.hear(&at(1), &up);
        assert_eq!(hall.received, [(ContentType::ApplicationData, b"x".to_vec())]);
    }
}

/// RFC 9853 section 5.3: each challenge has a cookie of its own; any of them may be answered, once.
#[test]
fn each_challenge_has_another_cookie() {
    let mut hall = Hall::new(|config| config.return_routability = true);
    let mut puppet = puppet_session(&mut hall, 0);
    let up = puppet.seal(APPLICATION_DATA, &[1; 100]);
    let before = hall.sent.len();
    hall.hear(&at(2), &up);
    for _ in 0..20 {
        hall.now += millis(500);
        hall.drain();
    }
    let challenges: Vec<_> = hall.sent[before..]
        .iter()
        .map(|(to, octets)| {
            assert_eq!(*to, at(2));
            puppet.open(octets, 0).expect("sealed well")
        })
        .collect();
    assert_eq!(challenges.len(), 3);
    for (i, (kind, text)) in challenges.iter().enumerate() {
        assert_eq!((*kind, text.len(), text[0]), (RETURN_ROUTABILITY_CHECK, 9, 0));
        assert!(challenges[..i].iter().all(|(_, other)| other != text));
    }
    // All of them are over: their answers move nothing.
    let answer = [&[1][..], &challenges[2].1[1..]].concat();
    let up = puppet.seal(RETURN_ROUTABILITY_CHECK, &answer);
    hall.hear(&at(2), &up);
    assert!(hall.moved.is_empty());
    // That record began another check; the last answer was to an older one.
    let (_, octets) = hall.sent.last().expect("challenge").clone();
    let (_, text) = puppet.open(&octets, 0).expect("sealed well");
    let up = puppet.seal(RETURN_ROUTABILITY_CHECK, &[&[1][..], &text[1..]].concat());
    hall.hear(&at(2), &up);
    assert_eq!(hall.moved, [at(2)]);
}

/// A client that lost our last flight says its own again, and somebody sends that from elsewhere: ours, which is longer
/// with a ticket in it, goes where the session is.
#[test]
fn a_last_flight_goes_where_the_session_is() {
    let mut hall = Hall::new(|config| config.return_routability = true);
    let mut puppet = puppet_session(&mut hall, 0);
    let finished = puppet.finished(Verify::Right);
    let up = puppet.seal(HANDSHAKE, &finished);
    let before = hall.sent.len();
    hall.hear(&at(66), &up);
    let to_66 = hall.sent[before..].iter().filter(|(to, _)| *to == at(66));
    assert_eq!(to_66.count(), 1, "the challenge");
    assert_eq!(hall.sent[before..].iter().filter(|(to, _)| *to == at(1)).count(), 1);
}
