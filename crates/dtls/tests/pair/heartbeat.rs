//! Purpose: whether the other end is there, RFC 6520, and whether it is where its records come from,
//! RFC 9146 section 6.

use crate::world::*;
use lowgate_dtls::{ClientConfig, CloseReason, RecordDrop, SendRefused, SessionId};

/// A session that has heartbeats.
fn beating(seed: u64) -> (World, SessionId) {
    let mut world = World::with(seed, |config| config.heartbeat = true);
    world.add(peer(1), ClientConfig { heartbeat: true, ..config(b"d1") });
    world.start(0);
    world.run_for(secs(1));
    world.expect_joined();
    let session = world.said.established[0].session;
    (world, session)
}

fn client_asks(world: &mut World) -> Result<(), SendRefused> {
    let now = world.now;
    world.nodes[0].client.heartbeat(now)
}

fn server_asks(world: &mut World, session: SessionId) -> Result<(), SendRefused> {
    world.server.heartbeat(world.now, session)
}

#[test]
fn both_ends_ask_and_answer() {
    let (mut world, session) = beating(1);
    assert_eq!(client_asks(&mut world), Ok(()));
    // RFC 6520 section 3: there MUST NOT be another one in flight.
    assert_eq!(client_asks(&mut world), Err(SendRefused::QueueFull));
    assert_eq!(server_asks(&mut world, session), Ok(()));
    assert_eq!(server_asks(&mut world, session), Err(SendRefused::QueueFull));
    world.run_for(millis(50));
    assert_eq!((world.nodes[0].answered, &world.said.answered[..]), (1, &[session][..]));
    assert!(world.nodes[0].drops.is_empty() && world.said.drops.is_empty());
    let sent = world.said.sent.len();
    world.run_for(secs(1000));
    assert_eq!(world.said.sent.len(), sent, "the timer stops");
    assert_eq!(client_asks(&mut world), Ok(()));
    world.run_for(millis(50));
    world.expect_working();
}

#[test]
fn only_when_agreed_on() {
    for (client, server) in [(true, false), (false, true), (false, false)] {
        let mut world = World::with(1, |config| config.heartbeat = server);
        world.add(peer(1), ClientConfig { heartbeat: client, ..config(b"d1") });
        assert_eq!(client_asks(&mut world), Err(SendRefused::NotEstablished));
        world.start(0);
        world.run_for(secs(1));
        world.expect_joined();
        let session = world.said.established[0].session;
        assert_eq!(client_asks(&mut world), Err(SendRefused::NotNegotiated));
        assert_eq!(server_asks(&mut world, session), Err(SendRefused::NotNegotiated));
    }
}

/// RFC 6520 section 3: a request is repeated as a flight is, and each time under another record number.
#[test]
fn lost_requests_are_repeated() {
    for seed in 0..50 {
        let (mut world, session) = beating(seed);
        world.faults = Faults { loss: 0.5, duplicate: 0.3, delay: (millis(1), millis(100)) };
        client_asks(&mut world).expect("none is under way");
        server_asks(&mut world, session).expect("none is under way");
        world.run_for(secs(50));
        assert_eq!((world.nodes[0].answered, world.said.answered.len()), (1, 1), "seed {seed}");
        for sent in [&world.nodes[0].sent, &world.said.sent] {
            let numbers = sent.iter().flat_map(|(_, octets)| records(octets, 4));
            let mut numbers: Vec<u64> = numbers.filter(|r| r.1 == 1).map(|r| r.2).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all);
        }
        world.expect_working();
    }
}

/// Who never answers is gone.
#[test]
fn silence_ends_the_session() {
    let (mut world, session) = beating(1);
    world.tap = Some(Box::new(|_, _| Some(Vec::new())));
    client_asks(&mut world).expect("none is under way");
    server_asks(&mut world, session).expect("none is under way");
    world.run_for(secs(61));
    assert_eq!(world.nodes[0].closed.map(|closed| closed.1), Some(CloseReason::TimedOut));
    assert_eq!(world.said.closed, [(session, CloseReason::TimedOut)]);
}

/// An answer that comes again, or to nobody's question, is noise.
#[test]
fn answers_out_of_turn() {
    let (mut world, session) = beating(1);
    server_asks(&mut world, session).expect("none is under way");
    world.run_for(millis(50));
    let answer = world.nodes[0].sent.last().expect("answer").1.clone();
    world.inject(Towards::Server, &peer(1), &answer);
    assert_eq!(world.said.drops, [RecordDrop::Replayed]);
    assert_eq!(world.said.answered.len(), 1);
    // The request goes to the client a second time, under its own number: a replay as well.
    let request = world.said.sent.last().expect("request").1.clone();
    world.inject(Towards::Client, &peer(1), &request);
    assert_eq!(world.nodes[0].drops, [RecordDrop::Replayed]);
    assert_eq!(world.nodes[0].sent.last().expect("answer").1, answer);
}

/// The client is somewhere else: it is asked there, and answers go there once it answered.
#[test]
fn a_session_moves_when_its_client_answers_there() {
    let (mut world, session) = beating(1);
    world.nodes[0].peer = peer(2);
    world.client_sends(0, DATA, b"here");
    world.run_for(millis(25));
    assert_eq!(
        world.said.received,
        [(session, DATA, b"here".to_vec())],
        "valid wherever it is from"
    );
    assert_eq!(world.server.peer(session), Some(peer(1)), "not yet");
    assert_eq!(world.said.sent_to.last(), Some(&peer(2)), "the question");
    world.run_for(millis(100));
    assert_eq!(world.said.moved, [(session, peer(2))]);
    assert_eq!(world.server.peer(session), Some(peer(2)));
    assert_eq!(world.said.answered, [], "the owner did not ask");
    world.expect_working();
}

#[test]
fn a_session_moves_under_loss() {
    for seed in 0..50 {
        let (mut world, session) = beating(seed);
        world.nodes[0].peer = peer(2);
        world.faults = Faults { loss: 0.3, duplicate: 0.3, delay: (millis(1), millis(100)) };
        for _ in 0..20 {
            world.client_sends(0, DATA, b"here");
            world.run_for(secs(5));
        }
        assert_eq!(world.said.moved, [(session, peer(2))], "seed {seed}");
        world.expect_working();
    }
}

/// Somebody on the path sends the client's records from an address that is not the client's.
#[test]
fn a_spoofed_address_moves_nothing() {
    let (mut world, session) = beating(1);
    for i in 0..10 {
        let up = world.seal(0, DATA, &[i]);
        let before = world.said.sent.len();
        world.inject(Towards::Server, &peer(66), &up);
        world.run_for(secs(70));
        let asked = world.said.sent.len() - before;
        assert!((1..=3).contains(&asked), "{asked} datagrams to who asked for none");
        assert!(world.said.sent[before].1.len() <= 2 * up.len(), "hardly longer than what came");
    }
    assert_eq!((world.said.moved.len(), world.said.closed.len()), (0, 0));
    assert_eq!(world.said.received.len(), 10);
    world.expect_working();
    // The answer must come from the address in question, though the question got to the client.
    let up = world.seal(0, DATA, b"spoofed");
    world.inject(Towards::Server, &peer(66), &up);
    let question = world.said.sent.last().expect("question").1.clone();
    world.inject(Towards::Client, &peer(1), &question);
    world.run_for(secs(1));
    assert_eq!(world.said.drops.last(), Some(&RecordDrop::Unexpected));
    assert_eq!(world.server.peer(session), Some(peer(1)));
    world.expect_working();
}

/// The owner's question is not lost behind the server's own.
#[test]
fn the_owner_hears_its_answer_all_the_same() {
    let (mut world, session) = beating(1);
    let up = world.seal(0, DATA, b"spoofed");
    world.inject(Towards::Server, &peer(66), &up);
    assert_eq!(server_asks(&mut world, session), Ok(()));
    assert_eq!(server_asks(&mut world, session), Err(SendRefused::QueueFull));
    world.run_for(secs(30));
    assert_eq!((&world.said.answered[..], world.said.moved.len()), (&[session][..], 0));
    // And the other way about.
    world.tap = Some(Box::new(|_, _| Some(Vec::new())));
    assert_eq!(server_asks(&mut world, session), Ok(()));
    world.run_for(millis(100));
    world.tap = None;
    world.nodes[0].peer = peer(2);
    world.client_sends(0, DATA, b"here");
    world.run_for(secs(1));
    assert_eq!((world.said.answered.len(), world.said.moved.len()), (2, 1));
    world.expect_working();
}
