//! Purpose: a server for many: what one peer, one address or ten thousand of them may cost it, who is barred, and
//! what neither can do to others. Seed 000 (sessions per device, three attempts, a day), RFC 6347 section 4.2.1.
//! Criteria: each bound holds at every moment; whoever has its key gets in, whatever others did in its name.

use crate::world::*;
use lowgate_crypto::SoftCcm;
use lowgate_dtls::{
    AlertDescription, BAR_USUAL, ClientConfig, CloseReason, Credential, Peer, Psk, RecordDrop,
    ServerConfig,
};
use lowgate_units::Ipv6Addr;

const DECRYPT_ERROR: CloseReason = CloseReason::PeerAlert(AlertDescription::DECRYPT_ERROR);

/// A joiner of this name behind a relay.
fn behind(relay: u16, joiner: u8) -> Peer {
    let addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, relay);
    let relay_header = heapless::Vec::from_slice(&[joiner; 20]).expect("room");
    Peer { addr, port: 61630, relay_header }
}

fn elsewhere(number: u32) -> Peer {
    let [high, low] = [(number >> 16) as u16, number as u16];
    Peer { addr: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 1, high, low), ..peer(5684) }
}

/// Somebody with a key that the server does not know tries once, in this name.
fn fail(world: &mut World, at: &Peer, identity: &[u8]) -> Option<CloseReason> {
    let psk = Psk::new(&[99; 16]).expect("16 octets");
    let credential = Credential::Psk { identity, psk };
    let node = world.add(at.clone(), ClientConfig { credential, ..config(identity) });
    world.start(node);
    world.run_for(secs(61));
    let node = world.nodes.remove(node);
    assert!(node.established.is_empty());
    node.closed.map(|closed| closed.1)
}

fn join(world: &mut World, at: &Peer, identity: &[u8]) -> bool {
    let node = world.add(at.clone(), config(identity));
    world.start(node);
    world.run_for(secs(59));
    let node = world.nodes.remove(node);
    !node.established.is_empty()
}

/// Two clients try. Each doubts an alert that anybody could have sent, and begins anew once: the second hears no more
/// behind the third handshake.
fn bar(world: &mut World, tries: [(&Peer, &[u8]); 2]) {
    let [(first, one), (second, other)] = tries;
    let (failed, drops) = (world.said.failed.len(), world.said.drops.len());
    assert_eq!(fail(world, first, one), Some(DECRYPT_ERROR));
    assert_eq!(fail(world, second, other), Some(CloseReason::TimedOut));
    assert_eq!(world.said.failed.len() - failed, 3);
    assert!(world.said.drops[drops..].contains(&RecordDrop::Barred));
}

/// Nothing but answers to its hellos, each when it asks for it; and the owner's log has no line more.
fn expect_silence(world: &mut World, at: &Peer, identity: &[u8]) {
    let (failed, sent) = (world.said.failed.len(), world.said.sent.len());
    assert_eq!(fail(world, at, identity), Some(CloseReason::TimedOut));
    let said = &world.said.sent[sent..];
    assert!(said.iter().all(|(_, octets)| octets[0] == 22), "an alert");
    assert_eq!(world.said.failed.len(), failed);
}

#[test]
fn three_failures_bar_an_identity_behind_its_relay() {
    let mut world = World::new(1);
    // Another place each time: it is the identity that is barred.
    bar(&mut world, [(&behind(1, 1), b"d1"), (&behind(1, 2), b"d1")]);
    expect_silence(&mut world, &behind(1, 3), b"d1");
    // Behind another relay the name is as good as any.
    assert_eq!(fail(&mut world, &behind(2, 4), b"d1"), Some(DECRYPT_ERROR));
    world.run_for(BAR_USUAL);
    assert_eq!(fail(&mut world, &behind(1, 4), b"d1"), Some(DECRYPT_ERROR));
}

/// A stranger calls itself something else each time.
#[test]
fn three_failures_bar_a_stranger_of_a_relay() {
    let mut world = World::new(1);
    bar(&mut world, [(&behind(1, 7), b"x1"), (&behind(1, 7), b"d2")]);
    expect_silence(&mut world, &behind(1, 7), b"d4");
    // Its neighbour behind the same relay is no stranger yet.
    assert_eq!(fail(&mut world, &behind(1, 8), b"d5"), Some(DECRYPT_ERROR));
}

/// Somebody opens handshakes and waits for what comes: a barred one is sent each flight once.
#[test]
fn who_is_barred_and_silent_is_sent_nothing_twice() {
    let sent_to_silence = |barred: bool| {
        let mut world = World::new(1);
        if barred {
            bar(&mut world, [(&behind(1, 7), b"d1"), (&behind(1, 7), b"d1")]);
        }
        let node = world.add(behind(1, 7), config(b"d1"));
        world.start(node);
        world.run_for(millis(61));
        world.nodes.remove(node);
        let sent = world.said.sent.len();
        world.run_for(secs(100));
        assert_eq!(world.server.half_open_count(), 0);
        world.said.sent.len() - sent
    };
    assert_eq!(sent_to_silence(true), 0);
    assert!(sent_to_silence(false) > 10);
}

/// Hellos that lead nowhere count as well: their alerts would be somebody else's airtime.
#[test]
fn a_stranger_that_speaks_something_else_hears_three_alerts() {
    let mut world = World::with(1, |config| config.server_name = Some("here.example".into()));
    for _ in 0..20 {
        let client = ClientConfig { server_name: Some("there.example"), ..config(b"d1") };
        let node = world.add(behind(1, 7), client);
        world.start(node);
        world.run_for(secs(61));
        world.nodes.remove(node);
    }
    let alerts = world.said.sent.iter().filter(|(_, octets)| octets[0] == 21).count();
    assert_eq!((alerts, world.said.failed.len()), (3, 3));
}

/// Who is silent for good has proved nothing, and is not barred: the path may be bad.
#[test]
fn silence_bars_nobody() {
    let mut world = World::new(1);
    for _ in 0..4 {
        let node = world.add(behind(1, 7), config(b"d1"));
        world.start(node);
        world.run_for(millis(70));
        world.nodes.remove(node);
        world.run_for(secs(100));
    }
    assert_eq!(world.said.failed.len(), 4);
    assert_eq!(fail(&mut world, &behind(1, 7), b"d1"), Some(DECRYPT_ERROR));
}

/// Somebody knows a device's identity and writes its EUI-64 on his frames, for a day: the device gets in at once,
/// also over a path that loses, also in the middle of his attempts; and then the bar is gone.
#[test]
fn nobody_is_locked_out_by_who_knows_its_name() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let device = behind(1, 7);
        bar(&mut world, [(&device, b"d1"), (&device, b"d1")]);
        expect_silence(&mut world, &device, b"d1");
        if seed % 2 == 0 {
            world.faults = Faults { loss: 0.3, duplicate: 0.2, delay: (millis(1), millis(100)) };
        }
        let he_goes_on = seed % 4 > 1;
        if he_goes_on {
            let psk = Psk::new(&[98; 16]).expect("16 octets");
            let credential = Credential::Psk { identity: b"d1", psk };
            let other = world.add(behind(1, 9), ClientConfig { credential, ..config(b"d1") });
            world.start(other);
        }
        assert!(join(&mut world, &device, b"d1"), "seed {seed}");
        if !he_goes_on {
            world.faults = Faults::default();
            assert_eq!(fail(&mut world, &device, b"d1"), Some(DECRYPT_ERROR), "told again");
        }
    }
}

/// The bar does not tell whether an identity is known: barred or not, the answers are the same.
#[test]
fn bars_of_known_and_of_unknown_identities_are_alike() {
    let run = |identity: &[u8]| {
        let mut world = World::new(5);
        for attempt in 0..5 {
            fail(&mut world, &behind(1, attempt), identity);
        }
        world.said.sent.iter().map(|(at, octets)| (*at, octets.len())).collect::<Vec<_>>()
    };
    assert_eq!(run(b"d1"), run(b"x1"));
}

/// Somebody between a device and us changes a message: the Finished opens, so its sender has the key.
#[test]
fn a_changed_message_bars_nobody() {
    let mut world = World::new(1);
    world.tap = Some(Box::new(|towards, octets| {
        let at = octets.windows(5).position(|w| w == [0xff, 1, 0, 1, 0])?;
        let mut changed = octets.to_vec();
        changed[at] = 0x7f;
        (towards == Towards::Server).then(|| vec![(millis(20), changed)])
    }));
    let without =
        ClientConfig { extended_master_secret: false, group_request: None, ..config(b"d1") };
    for _ in 0..4 {
        let node = world.add(behind(1, 7), without.clone());
        world.start(node);
        world.run_for(secs(61));
        assert_eq!(world.nodes.remove(node).closed.map(|it| it.1), Some(DECRYPT_ERROR));
    }
    assert!(!world.said.drops.contains(&RecordDrop::Barred));
}

/// One datagram full of hellos that are refused, again and again: one alert, and one more each tenth of a second.
#[test]
fn one_alert_a_peer_and_a_while() {
    let mut world = World::with(1, |config| {
        config.bar_for = None;
        config.server_name = Some("here.example".into());
    });
    let client = ClientConfig { server_name: Some("there.example"), ..config(b"d1") };
    let node = world.add(peer(1), client);
    world.start(node);
    world.run_for(millis(41));
    let hello = world.nodes[node].sent[1].1.clone();
    world.nodes.clear();
    world.run_for(secs(1));
    let before = world.said.sent.len();
    let mut datagram = Vec::new();
    for seq in 10..14u8 {
        let mut again = hello.clone();
        again[10] = seq;
        datagram.extend_from_slice(&again);
    }
    for _ in 0..50 {
        world.inject(Towards::Server, &peer(1), &datagram);
        world.run_for(millis(10));
    }
    let alerts = world.said.sent[before..].iter().filter(|(_, octets)| octets[0] == 21).count();
    assert_eq!(alerts, 5);
}

/// Hellos with cookies from one address, as many as there are ports: they have their share and no more, and nobody
/// else is evicted for them.
#[test]
fn a_flood_from_one_source() {
    let mut world = World::with(1, |config| {
        (config.half_open_max, config.half_open_per_source_max) = (64, 16);
    });
    let patient: Vec<usize> = (0..8).map(|n| world.add(elsewhere(n), config(b"d2"))).collect();
    // The others' last messages are slow to come.
    world.tap = Some(Box::new(|towards, octets| {
        let last = towards == Towards::Server && octets[13] == 16;
        last.then(|| vec![(secs(2), octets.to_vec())])
    }));
    patient.iter().for_each(|node| world.start(*node));
    world.run_for(millis(100));
    for port in 0..1000 {
        let node = world.add(peer(port), config(b"x2"));
        world.start(node);
        world.run_for(millis(1));
        assert!(world.server.half_open_count() <= 16 + 8);
        if world.nodes.len() > 200 {
            world.nodes.remove(8);
        }
    }
    world.run_for(secs(4));
    assert!(patient.iter().all(|node| world.nodes[*node].established.len() == 1));
    let evicted = world.said.failed.iter().filter(|failed| failed.2 == CloseReason::Evicted);
    assert!(evicted.clone().count() > 900 && evicted.clone().all(|it| it.0.addr == peer(0).addr));
}

/// Ten thousand addresses, each with a valid cookie, a thousand a second: the table stays as large as it may be,
/// and who comes in the midst of them, with the greatest address of all, gets in.
#[test]
fn a_flood_from_ten_thousand_sources() {
    let mut world = World::new(1);
    let honest = Peer { addr: "ffff::1".parse().expect("address"), ..peer(5684) };
    let honest_node = world.add(honest, config(b"d1"));
    for number in 0..10_000 {
        let node = world.add(elsewhere(number), config(b"x1"));
        world.start(node);
        world.run_for(millis(1));
        assert!(world.server.half_open_count() <= 256);
        // They fall silent behind their second hello.
        if world.nodes.len() > 45 {
            world.nodes.remove(1);
        }
        if number == 5000 {
            world.start(honest_node);
        }
        if number == 5300 {
            assert_eq!(world.nodes[honest_node].established.len(), 1, "in its first attempt");
        }
    }
    assert!(world.said.started > 9900 && world.said.failed.len() > 9600);
    world.run_for(secs(61));
    assert_eq!((world.server.half_open_count(), world.server.session_count()), (0, 1));
    world.nodes.truncate(1);
    world.expect_working();
}

/// A constrained server has 15 sessions for one peer (seed 000); its own stalest goes, nobody else's.
#[test]
fn sessions_of_one_peer_are_bounded() {
    let constrained = ServerConfig::constrained(&SoftCcm);
    assert_eq!((constrained.sessions_max, constrained.sessions_per_peer_max), (15, 15));
    let mut world = World::with(1, |config| {
        config.sessions_per_peer_max = constrained.sessions_per_peer_max;
    });
    assert!(join(&mut world, &elsewhere(99), b"d2"));
    for number in 0..20 {
        assert!(join(&mut world, &elsewhere(number), b"d1"));
        assert!(world.server.session_count() <= 16);
    }
    let evicted: Vec<_> =
        world.said.established[1..6].iter().map(|it| (it.session, CloseReason::Evicted)).collect();
    assert_eq!(world.said.closed, evicted);
    assert_eq!(world.server.peer(world.said.established[0].session), Some(elsewhere(99)));
}

/// Who was silent for an hour hears a goodbye; who spoke does not.
#[test]
fn idle_sessions_are_closed() {
    let mut world = World::with(1, |config| config.idle_close = Some(secs(3600)));
    for number in 0..200 {
        let node = world.add(elsewhere(number), config(b"d1"));
        world.start(node);
        world.run_for(secs(1));
    }
    let sessions: Vec<_> = world.said.established.iter().map(|it| it.session).collect();
    world.run_for(secs(3000));
    for node in (0..200).step_by(2) {
        world.client_sends(node, DATA, b"here");
    }
    world.run_for(secs(1000));
    assert_eq!(world.server.session_count(), 100);
    let closed: Vec<_> =
        sessions.iter().skip(1).step_by(2).map(|id| (*id, CloseReason::Idle)).collect();
    assert_eq!(world.said.closed, closed, "in the order of their silence");
    let told = world.nodes.iter().map(|node| node.closed.map(|it| it.1));
    assert_eq!(told.filter(|it| *it == Some(CloseReason::PeerClosed)).count(), 100);
    world.run_for(secs(3600));
    assert_eq!(world.server.session_count(), 0);
}

/// Whichever end has something to say uses the session that is there (seed 000); a goodbye ends that one alone.
#[test]
fn a_session_serves_both_directions_until_one_says_goodbye() {
    let mut world = World::new(1);
    for number in 0..2 {
        let node = world.add(elsewhere(number), config(b"d1"));
        world.start(node);
        world.run_for(secs(1));
    }
    let [one, two] = [0, 1].map(|i| world.said.established[i].session);
    let handshakes = world.said.started;
    for round in 0..3 {
        world.run_for(secs(86_400));
        let found = world.server.session_at(&elsewhere(0));
        assert_eq!(found, Some(one));
        world.server_sends(one, DATA, b"request of the server");
        world.run_for(secs(1));
        world.client_sends(0, DATA, b"answer");
        world.run_for(secs(1));
        world.client_sends(0, DATA, b"request of the client");
        world.run_for(secs(1));
        assert_eq!(
            (world.said.received.len(), world.nodes[0].received.len()),
            (2 * round + 2, round + 1)
        );
    }
    assert_eq!(world.said.started, handshakes, "no further handshake");
    world.close(0);
    world.run_for(millis(25));
    assert_eq!(world.said.closed, [(one, CloseReason::PeerClosed)]);
    assert_eq!(world.server.session_at(&elsewhere(0)), None);
    world.server.close(world.now, two);
    world.run_for(millis(25));
    assert_eq!(world.nodes[1].closed.map(|it| it.1), Some(CloseReason::PeerClosed));
    assert_eq!(world.server.session_count(), 0);
}
