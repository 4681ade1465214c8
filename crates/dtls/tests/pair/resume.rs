//! Purpose: sessions that go on from earlier ones, by session id and by ticket. RFC 5246 section 7.3,
//! RFC 5077, RFC 6347 section 4.2.4, RFC 7627 section 5.3.
//! Criteria: three flights after the cookie become two, other keys each time, and whoever may not
//! resume gets a full handshake or none.

use crate::world::*;
use lowgate_crypto::SoftCcm;
use lowgate_dtls::{
    Client, ClientConfig, CloseReason, ConfigRefused, RecordDrop, SavedSession, ServerConfig,
};
use lowgate_units::{Duration, Prng};
use std::collections::BTreeSet;

/// By which means the server resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    SessionId,
    Ticket,
}

const BOTH: [By; 2] = [By::SessionId, By::Ticket];
const HOUR: Duration = secs(3600);

fn configure(by: By) -> impl FnOnce(&mut ServerConfig) {
    move |config| {
        config.resumable_max = if by == By::SessionId { 4 } else { 0 };
        config.tickets = by == By::Ticket;
        config.resumption_lifetime = HOUR;
    }
}

fn resuming(identity: &[u8], resume: Option<SavedSession>) -> ClientConfig<'_> {
    ClientConfig { resume, session_ticket: true, ..config(identity) }
}

/// A world with a session that can be resumed, and what it takes.
fn saved_world(seed: u64, by: By) -> (World, SavedSession) {
    let mut world = World::with(seed, configure(by));
    let node = world.add(peer(1), resuming(b"d1", None));
    world.start(node);
    world.run_for(secs(1));
    world.expect_joined();
    let saved = world.nodes[0].client.saved_session().expect("it can be resumed").clone();
    assert!(!world.nodes[0].client.is_resumed());
    world.expect_working();
    (world, saved)
}

/// Another client of the same identity takes node 0's place.
fn come_back(world: &mut World, config: ClientConfig<'_>) {
    let node = world.add(peer(1), config);
    let node = world.nodes.remove(node);
    world.nodes[0] = node;
    world.said.sent.clear();
    world.said.drops.clear();
    world.start(0);
}

fn is_resumed(world: &World) -> bool {
    let session = world.said.established.last().expect("session").session;
    let [ours, theirs] = [world.nodes[0].client.is_resumed(), world.server.is_resumed(session)];
    assert_eq!(ours, theirs);
    ours
}

fn expect_session(world: &mut World, resumed: bool) {
    assert_eq!(world.nodes[0].established.len(), 1, "{:?}", world.nodes[0].drops);
    assert_eq!(is_resumed(world), resumed);
    assert_eq!(world.nodes[0].key_log.last(), world.said.key_log.last());
    world.expect_working();
}

#[test]
fn two_flights_after_the_cookie() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        let hint = (by == By::Ticket).then_some(HOUR);
        assert_eq!(saved.lifetime(), hint);
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(secs(1));
        assert_eq!(world.nodes[0].sent.len(), 3, "hello, hello with cookie, Finished");
        assert_eq!(world.said.sent.len(), 2, "HelloVerifyRequest, and all the rest");
        assert!(world.nodes[0].drops.is_empty() && world.said.drops.is_empty());
        expect_session(&mut world, true);
        let last = world.said.established.last().expect("session");
        assert_eq!(last.group_request.as_deref(), Some(REQUEST), "extensions count anew");
    }
}

/// Neither session ids nor tickets unless somebody asked for them.
#[test]
fn nothing_is_saved_by_default() {
    let world = World::joined(1, |_| {});
    assert!(world.nodes[0].client.saved_session().is_none());
    let hello = &world.said.sent[1].1;
    assert_eq!((hello[13], hello[13 + 12 + 34]), (2, 0), "ServerHello, no session id");
    // A client that asks for no ticket gets none, and one of a server that has none is saved nothing.
    for (server, ask) in [(By::Ticket, false), (By::SessionId, true)] {
        let mut world = World::with(1, |config| {
            configure(server)(config);
            config.resumable_max = 0;
        });
        world.add(peer(1), ClientConfig { session_ticket: ask, ..config(b"d1") });
        world.start(0);
        world.run_for(secs(1));
        world.expect_joined();
        assert!(world.nodes[0].client.saved_session().is_none());
    }
}

/// A saved session serves many times; each has keys of its own, so no record number is used twice.
#[test]
fn every_time_other_keys() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        let mut randoms = BTreeSet::new();
        for _ in 0..5 {
            come_back(&mut world, resuming(b"d1", Some(saved.clone())));
            world.run_for(secs(1));
            expect_session(&mut world, true);
            let again = world.nodes[0].client.saved_session().expect("still").clone();
            assert_eq!(again.lifetime(), saved.lifetime());
            // ServerHello and Finished of this time, in one datagram.
            let flight = records(&world.said.sent[1].1, 4);
            let server_random = flight[0].3[13 + 12 + 2..][..32].to_vec();
            let client_random = world.nodes[0].key_log[0].client_random;
            assert!(randoms.insert((client_random, server_random)));
            let (first, last) = (&world.said.key_log[0], world.said.key_log.last().expect("line"));
            assert!(first.master_secret == last.master_secret, "the same master secret");
        }
    }
}

#[test]
fn any_one_datagram_lost() {
    for by in BOTH {
        for lost in 0..6 {
            let (mut world, saved) = saved_world(lost, by);
            let mut count = 0;
            world.tap = Some(Box::new(move |_, _| {
                count += 1;
                (count == lost + 1).then(Vec::new)
            }));
            come_back(&mut world, resuming(b"d1", Some(saved)));
            world.run_for(secs(12));
            expect_session(&mut world, true);
        }
    }
}

#[test]
fn lost_doubled_and_late() {
    for by in BOTH {
        let mut resumed = 0;
        for seed in 0..100 {
            let (mut world, saved) = saved_world(seed, by);
            world.faults = Faults { loss: 0.3, duplicate: 0.2, delay: (millis(1), millis(200)) };
            come_back(&mut world, resuming(b"d1", Some(saved)));
            world.run_for(secs(60));
            assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
            resumed += usize::from(is_resumed(&world));
            world.run_for(secs(1));
            let mut seen = BTreeSet::new();
            for (kind, epoch, seq, record) in
                world.nodes[0].sent.iter().flat_map(|(_, octets)| records(octets, 4))
            {
                // Another attempt of the same client has other keys.
                let first_attempt = world.nodes[0].client.is_resumed();
                assert!(!first_attempt || seen.insert((epoch, seq)), "{kind} {record:?}");
            }
            world.expect_working();
        }
        assert!(resumed >= 95, "{by:?}: {resumed} of 100");
    }
}

/// RFC 6347 section 4.2.4: in an abbreviated handshake the client's flight is the last, so the client
/// repeats it when the server repeats its own, however late.
#[test]
fn the_client_repeats_its_last_flight() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        let sessions = world.said.established.len();
        let mut lost = 0;
        world.tap = Some(Box::new(move |towards, octets| {
            let last = towards == Towards::Server && octets[0] == 20;
            lost += usize::from(last);
            (last && lost <= 4).then(Vec::new)
        }));
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(millis(100));
        assert!(world.nodes[0].client.is_established(), "it has all that it needs");
        assert_eq!(world.said.established.len(), sessions, "the server has not");
        world.client_sends(0, DATA, b"too early");
        world.run_for(secs(15));
        expect_session(&mut world, true);
        let finals = world.nodes[0].sent.iter().filter(|(_, octets)| octets[0] == 20).count();
        assert_eq!(finals, 5, "one for each flight of the server");
        // RFC 6347 section 4.2.4: nothing is delivered before Finished.
        assert!(world.said.received.iter().all(|(_, _, octets)| octets != b"too early"));
    }
}

/// Forged records in the place of the client's Finished do not keep the server from asking for it.
#[test]
fn forged_records_before_the_last_flight() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        let mut lost = 0;
        world.tap = Some(Box::new(move |towards, octets| {
            (towards == Towards::Server && octets[0] == 20 && lost < 4).then(|| {
                lost += 1;
                let mut forged = octets.to_vec();
                let last = forged.len() - 1;
                forged[last] ^= 1;
                vec![(millis(1), forged)]
            })
        }));
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(secs(15));
        let bad = world.said.drops.iter().filter(|drop| **drop == RecordDrop::BadTag).count();
        assert_eq!(bad, 4);
        expect_session(&mut world, true);
    }
}

/// The two never answer each other's Finished for ever.
#[test]
fn a_repeated_finished_ends_it() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(secs(1));
        let (up, down) = (world.nodes[0].sent.clone(), world.said.sent.clone());
        for (_, octets) in up.iter().chain(&down) {
            world.inject(Towards::Server, &peer(1), octets);
            world.inject(Towards::Client, &peer(1), octets);
        }
        world.run_for(secs(100));
        assert_eq!(world.nodes[0].sent.len(), up.len());
        // A hello that comes again is asked for its cookie, no more.
        assert!(world.said.sent.len() <= down.len() + 1, "{}", world.said.sent.len());
        expect_session(&mut world, true);
    }
}

#[test]
fn only_within_its_lifetime() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        world.run_for(HOUR - secs(60));
        come_back(&mut world, resuming(b"d1", Some(saved.clone())));
        world.run_for(secs(10));
        expect_session(&mut world, true);
        // Use does not prolong it.
        world.run_for(secs(60));
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(secs(1));
        expect_session(&mut world, false);
        assert!(world.nodes[0].client.saved_session().is_some(), "there is a new one");
    }
}

/// Who is no longer known, whose key changed, or whom the directory wants to see in full.
#[test]
fn the_directory_is_asked_again() {
    for by in BOTH {
        for change in [Change::Unknown, Change::Key, Change::MayNotResume] {
            let (mut world, saved) = saved_world(1, by);
            world.change = Some(change);
            come_back(&mut world, resuming(b"d1", Some(saved)));
            world.run_for(secs(20));
            let flight = &world.said.sent[1].1;
            assert!(flight[13] == 2 && records(flight, 4).iter().all(|record| record.1 == 0));
            match change {
                Change::MayNotResume => expect_session(&mut world, false),
                Change::Unknown | Change::Key => {
                    assert!(world.nodes[0].established.is_empty());
                    let (_, _, reason) = world.said.failed.last().expect("failed");
                    assert_eq!(*reason, CloseReason::KeyMismatch);
                }
            }
        }
    }
}

/// A server that lost its memory (tickets: its keys) makes a new session.
#[test]
fn a_server_without_its_memory() {
    for by in BOTH {
        let (_, saved) = saved_world(1, by);
        let mut world = World::with(2, configure(by));
        world.add(peer(1), resuming(b"d1", Some(saved)));
        world.start(0);
        world.run_for(secs(1));
        expect_session(&mut world, false);
    }
}

/// RFC 7627 section 5.3: a hello without the extended master secret resumes nothing.
#[test]
fn without_extended_master_secret() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        let config =
            ClientConfig { extended_master_secret: false, ..resuming(b"d1", Some(saved.clone())) };
        let config = ClientConfig { group_request: None, ..config };
        let refused = Client::new(&SoftCcm, config, [1; 32], Prng::new(1)).map(|_| ());
        assert_eq!(refused, Err(ConfigRefused::ResumptionNeedsExtendedMasterSecret));
        // Somebody takes it out of the hello on its way.
        world.tap = Some(Box::new(|towards, octets| {
            let at = octets.windows(4).position(|part| part == [0, 23, 0, 0])?;
            (towards == Towards::Server && octets[13] == 1).then(|| {
                let mut changed = octets.to_vec();
                changed[at + 1] = 99;
                vec![(millis(1), changed)]
            })
        }));
        // A group request would be refused without it anyhow.
        let config = ClientConfig { group_request: None, ..resuming(b"d1", Some(saved)) };
        come_back(&mut world, config);
        world.run_for(secs(2));
        let refused = RecordDrop::HelloRefused(CloseReason::ExtendedMasterSecretMissing);
        assert!(world.said.drops.contains(&refused), "{:?}", world.said.drops);
        assert!(world.nodes[0].established.is_empty());
    }
    // A session without it is not remembered.
    let mut world = World::with(1, configure(By::SessionId));
    let config = ClientConfig {
        extended_master_secret: false,
        group_request: None,
        ..resuming(b"d1", None)
    };
    world.add(peer(1), config);
    world.start(0);
    world.run_for(secs(1));
    world.expect_joined();
    assert!(world.nodes[0].client.saved_session().is_none());
}

/// Who saw the session id, or stole the ticket, has no use of it and harms nobody.
#[test]
fn a_session_id_is_no_key() {
    for by in BOTH {
        let (mut world, saved) = saved_world(1, by);
        let mut hello = World::new(9);
        hello.add(peer(1), resuming(b"d1", Some(saved.clone())));
        hello.start(0);
        // The thief's own hello, with what he saw: everything but the master secret.
        let node = world.add(peer(66), resuming(b"d1", Some(saved.clone())));
        world.tap = Some(Box::new(|towards, octets| {
            // He cannot seal a Finished; he can send anything in its place.
            (towards == Towards::Server && octets[0] == 20).then(|| {
                let mut forged = octets.to_vec();
                let last = forged.len() - 1;
                forged[last] ^= 1;
                vec![(millis(1), forged)]
            })
        }));
        let sessions = world.said.established.len();
        world.start(node);
        world.run_for(secs(70));
        assert_eq!(world.said.established.len(), sessions);
        assert_eq!(world.server.half_open_count(), 0);
        assert_eq!(world.said.closed, []);
        world.expect_working();
        world.nodes.pop();
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(secs(1));
        expect_session(&mut world, true);
    }
}

/// Somebody answers first, with a ServerHello that takes our session, or that declines it.
#[test]
fn a_forged_server_hello_costs_time_alone() {
    for by in BOTH {
        for takes in [true, false] {
            let (mut world, saved) = saved_world(1, by);
            world.tap = Some(Box::new(move |towards, octets| {
                (towards == Towards::Client && octets[13] == 2).then(|| {
                    let (_, _, _, hello) = records(octets, 4).remove(0);
                    let mut forged = hello;
                    forged[13 + 12 + 2] ^= 1; // another random
                    if !takes {
                        forged[13 + 12 + 35] ^= 1; // another session id
                    }
                    vec![(millis(1), forged), (millis(2), octets.to_vec())]
                })
            }));
            come_back(&mut world, resuming(b"d1", Some(saved)));
            world.run_for(secs(20));
            expect_session(&mut world, true);
        }
    }
}

/// A NewSessionTicket changed on its way fails the handshake; the next attempt asks for none.
#[test]
fn a_forged_ticket_costs_time_alone() {
    let mut world = World::with(1, configure(By::Ticket));
    world.add(peer(1), resuming(b"d1", None));
    world.tap = Some(Box::new(|towards, octets| {
        (towards == Towards::Client && octets[13] == 4).then(|| {
            let mut changed = octets.to_vec();
            changed[13 + 12 + 6 + 20] ^= 1;
            vec![(millis(1), changed)]
        })
    }));
    world.start(0);
    world.run_for(secs(20));
    expect_session(&mut world, false);
    assert!(world.nodes[0].client.saved_session().is_none(), "no ticket that nobody vouches for");
}

/// RFC 5246 section 7.2.1: close_notify ends a session that can be resumed.
#[test]
fn a_closed_session_can_be_resumed() {
    for by in BOTH {
        let (mut world, _) = saved_world(1, by);
        world.close(0);
        world.run_for(secs(1));
        assert_eq!(world.server.session_count(), 0);
        let saved = world.nodes[0].client.saved_session().expect("it ended well").clone();
        come_back(&mut world, resuming(b"d1", Some(saved)));
        world.run_for(secs(1));
        expect_session(&mut world, true);
    }
}

/// The memory is bounded, and nobody crowds others out of it by joining often.
#[test]
fn the_memory_is_bounded() {
    let (mut world, saved) = saved_world(1, By::SessionId);
    for _ in 0..10 {
        come_back(&mut world, resuming(b"d2", None));
        world.run_for(secs(1));
        expect_session(&mut world, false);
    }
    come_back(&mut world, resuming(b"d1", Some(saved.clone())));
    world.run_for(secs(1));
    expect_session(&mut world, true);
    for identity in [b"d3", b"d4", b"d5", b"d6"] {
        come_back(&mut world, resuming(identity, None));
        world.run_for(secs(1));
        expect_session(&mut world, false);
    }
    come_back(&mut world, resuming(b"d1", Some(saved)));
    world.run_for(secs(1));
    expect_session(&mut world, false);
}

/// A hello whose cookie lies behind its first fragment is never answered, for no fragments are kept before a
/// cookie: where session id and cookie do not fit one datagram, a session is made anew.
#[test]
fn every_datagram_length() {
    for by in BOTH {
        for max in 96..130 {
            let (mut world, saved) = saved_world(max as u64, by);
            come_back(
                &mut world,
                ClientConfig { datagram_len_max: max, ..resuming(b"d1", Some(saved)) },
            );
            world.run_for(secs(1));
            // Headers 25, hello 42, session id 32, cookie 16.
            expect_session(&mut world, max >= 115);
        }
    }
}
