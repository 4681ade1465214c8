//! Purpose: whether the other end is there, RFC 6520.

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
