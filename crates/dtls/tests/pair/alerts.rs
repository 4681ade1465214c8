//! Purpose: who may end what. An alert without keys is a hint; a bad record is nothing at all.
//! RFC 6347 section 4.1.2.7, RFC 5246 section 7.2, RFC 7925 section 4.2.

use crate::world::*;
use lowgate_dtls::{
    AlertDescription, ClientConfig, CloseReason, ContentType, Credential, Psk, RecordDrop,
    SendRefused,
};

const DECRYPT_ERROR: CloseReason = CloseReason::PeerAlert(AlertDescription::DECRYPT_ERROR);

fn plain_alert(description: u8) -> Vec<u8> {
    vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, description]
}

#[test]
fn goodbye_of_the_client() {
    let mut world = World::joined(1, |_| {});
    world.close(0);
    world.run_for(secs(1));
    let session = world.said.established[0].session;
    assert_eq!(world.said.closed, [(session, CloseReason::PeerClosed)]);
    assert_eq!(world.nodes[0].closed.map(|c| c.1), Some(CloseReason::Requested));
    assert_eq!(world.server.session_count(), 0);
    let refused = world.server.send(world.now, session, DATA, b"late");
    assert_eq!(refused, Err(SendRefused::NotEstablished));
}

#[test]
fn goodbye_of_the_server_after_a_last_word() {
    let mut world = World::joined(1, |_| {});
    let session = world.said.established[0].session;
    world.server_sends(session, ContentType::KeyParameters, b"err");
    world.server.close(world.now, session);
    world.run_for(secs(1));
    assert_eq!(world.nodes[0].received, [(ContentType::KeyParameters, b"err".to_vec())]);
    assert_eq!(world.nodes[0].closed.map(|c| c.1), Some(CloseReason::PeerClosed));
    assert_eq!(world.said.closed, [(session, CloseReason::Requested)]);
}

/// RFC 5246 section 7.4.1.1; RFC 7925 section 17: no renegotiation follows. The owner hears of it.
#[test]
fn a_hello_request_in_the_clear_is_told_and_changes_nothing() {
    let mut world = World::joined(3, |_| {});
    world.server.request_hello(&peer(1));
    world.run_for(secs(1));
    let (_, sent) = world.said.sent.last().expect("it left").clone();
    assert_eq!(sent, [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12][..], &[0; 12]].concat());
    assert_eq!(world.nodes[0].drops, [RecordDrop::HelloRequested]);
    world.expect_working();
    // Before there is a session it means nothing.
    let mut world = World::joining(4, |_| {});
    world.server.request_hello(&peer(1));
    world.run_for(secs(1));
    world.expect_joined();
    assert!(!world.nodes[0].drops.contains(&RecordDrop::HelloRequested));
}

/// Wrong key and unknown identity look the same from outside: same datagrams, same lengths.
#[test]
fn unknown_identity_is_a_wrong_key() {
    let run = |identity: &[u8], key: u8| {
        let mut world = World::new(5);
        let psk = Psk::new(&[key; 16]).expect("16 octets");
        let credential = Credential::Psk { identity, psk };
        let node = world.add(peer(1), ClientConfig { credential, ..config(identity) });
        world.start(node);
        world.run_for(secs(40));
        assert!(world.said.established.is_empty() && world.nodes[0].established.is_empty());
        let (at, reason) = world.nodes[0].closed.expect("ended");
        assert_eq!(reason, DECRYPT_ERROR);
        let (_, claimed, reason) = world.said.failed.last().expect("failed").clone();
        assert_eq!((claimed.as_deref(), reason), (Some(identity), CloseReason::KeyMismatch));
        let lens: Vec<_> = world.said.sent.iter().map(|(at, o)| (*at, o.len())).collect();
        (at, lens)
    };
    assert_eq!(run(b"d1", 9), run(b"x1", 9));
}

#[test]
fn a_wrong_key_is_told_within_seconds() {
    let mut world = World::joining(1, |config| {
        let psk = Psk::new(&[9; 16]).expect("16");
        config.credential = Credential::Psk { identity: b"d1", psk };
    });
    let start = world.now;
    world.run_for(secs(30));
    let (at, reason) = world.nodes[0].closed.expect("ended");
    assert_eq!(reason, DECRYPT_ERROR);
    assert!(at - start < secs(8), "{:?}", at - start);
    assert_eq!(world.server.half_open_count(), 0);
}

/// A forged alert after each of our datagrams: the join goes on.
#[test]
fn forged_alerts_do_not_end_a_join() {
    for seed in 0..40 {
        let mut world = World::joining(seed, |_| {});
        let mut forged = 0;
        world.tap = Some(Box::new(move |towards, octets| {
            forged += 1;
            let alert = plain_alert([40, 51, 0, 70][forged % 4]);
            let genuine = (millis(20), octets.to_vec());
            (towards == Towards::Client).then(|| vec![(millis(5), alert), genuine])
        }));
        world.faults.loss = 0.2;
        for _ in 0..100 {
            world.inject(Towards::Server, &peer(1), &plain_alert(40));
            world.run_for(millis(100));
        }
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.expect_working();
    }
}

/// Plaintext alerts, payloads and handshake messages do nothing to a session.
#[test]
fn epoch_0_touches_no_session() {
    let mut world = World::joined(1, |_| {});
    let data = [23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 1];
    let hello = world.said.sent[1].1.clone();
    for forged in [&plain_alert(0)[..], &plain_alert(40), &data, &hello] {
        world.inject(Towards::Client, &peer(1), forged);
        world.inject(Towards::Server, &peer(1), forged);
    }
    assert!(world.nodes[0].received.is_empty() && world.said.received.is_empty());
    let drops = [RecordDrop::UnauthenticAlert, RecordDrop::UnauthenticAlert];
    assert_eq!(world.nodes[0].drops[..2], drops);
    assert_eq!(world.nodes[0].drops[2], RecordDrop::WrongEpoch);
    world.expect_working();
}

/// A forged Finished does not end a join: the genuine one is believed after any number of them.
#[test]
fn forged_finished_records() {
    let mut world = World::joining(1, |_| {});
    world.tap = Some(Box::new(|towards, octets| {
        let finished = towards == Towards::Server && octets[13] == 16;
        finished.then(|| {
            let mut forged = octets.to_vec();
            *forged.last_mut().expect("not empty") ^= 1;
            let mut all: Vec<_> = (1..6).map(|i| (millis(i), forged.clone())).collect();
            all.push((millis(20), octets.to_vec()));
            all
        })
    }));
    world.run_for(secs(2));
    world.expect_joined();
    assert!(world.said.failed.is_empty());
    world.expect_working();
}

/// A hello that leads nowhere is refused with the alert that its reason has, once the cookie
/// proved that the peer is there.
#[test]
fn hellos_that_lead_nowhere() {
    let check = |edit: fn(&mut Vec<u8>), description: u8, reason: CloseReason| {
        let mut world = World::joining(1, |_| {});
        world.tap = Some(Box::new(move |towards, octets| {
            (towards == Towards::Server).then(|| {
                let mut edited = octets.to_vec();
                edit(&mut edited);
                vec![(millis(1), edited)]
            })
        }));
        world.run_for(secs(20));
        assert_eq!(world.said.started, 0);
        assert_eq!(world.said.failed[0].2, reason);
        let alert = &world.said.sent.iter().find(|(_, o)| o[0] == 21).expect("alert").1;
        assert_eq!(alert[13..], [2, description]);
        let told = CloseReason::PeerAlert(AlertDescription(description));
        assert_eq!(world.nodes[0].closed.map(|c| c.1), Some(told));
    };
    let at_suite =
        |octets: &Vec<u8>| octets.windows(2).position(|w| w == [0xc0, 0xa8]).expect("suite");
    let _ = at_suite;
    check(|o| o[26] = 0xff, 70, CloseReason::NoCommonVersion);
    check(
        |o| {
            let at = o.windows(2).position(|w| w == [0xc0, 0xa8]).expect("suite");
            o[at + 1] = 0xa9;
        },
        40,
        CloseReason::NoCommonSuite,
    );
    // The extended master secret's type changed into an unknown one.
    check(
        |o| {
            let at = o.windows(4).position(|w| w == [0, 23, 0, 0]).expect("extension");
            o[at + 1] = 99;
        },
        40,
        CloseReason::ExtendedMasterSecretMissing,
    );
}

/// Without a group request, a peer without the extended master secret is fine.
#[test]
fn without_extended_master_secret() {
    let mut world = World::joining(1, |config| {
        config.extended_master_secret = false;
        config.group_request = None;
        config.connection_id = false;
    });
    world.run_for(secs(1));
    world.expect_joined();
    let session = world.said.established[0].session;
    let refused = world.server.send(world.now, session, ContentType::KeyData, b"");
    assert_eq!(refused, Err(SendRefused::NotNegotiated));
    let mut out = [0; 64];
    let refused = world.nodes[0].client.send(ContentType::KeyParameters, b"", &mut out);
    assert_eq!(refused, Err(SendRefused::NotNegotiated));
    world.client_sends(0, DATA, b"hello");
    world.run_for(secs(1));
    assert_eq!(world.said.received.len(), 1);
}

#[test]
fn what_does_not_fit_is_refused_and_uses_up_nothing() {
    let mut world = World::joined(1, |_| {});
    let session = world.said.established[0].session;
    let long = [0; 1024];
    assert_eq!(world.server.send(world.now, session, DATA, &long), Err(SendRefused::TooLong));
    let both = [(DATA, &long[..400]), (ContentType::KeyData, &long[..600])];
    let refused = world.server.send_together(world.now, session, &both);
    assert_eq!(refused, Err(SendRefused::TooLong));
    let mut out = [0; 1280];
    let refused = world.nodes[0].client.send(DATA, &long, &mut out);
    assert_eq!(refused, Err(SendRefused::TooLong));
    let both = [(ContentType::KeyData, &b"mkd"[..]), (ContentType::KeyParameters, b"cfg")];
    world.server.send_together(world.now, session, &both).expect("fits");
    world.run_for(secs(1));
    let got =
        [(ContentType::KeyData, b"mkd".to_vec()), (ContentType::KeyParameters, b"cfg".to_vec())];
    assert_eq!(world.nodes[0].received, got);
}

/// A hello that was changed on its way. With the extended master secret both ends get different
/// keys; without it the same keys and a Finished that does not verify. Neither makes a session.
#[test]
fn a_changed_hello_never_makes_a_session() {
    for extended in [true, false] {
        let mut world = World::joining(1, |config| {
            config.extended_master_secret = extended;
            config.group_request = None;
        });
        world.tap = Some(Box::new(|towards, octets| {
            let at = octets.windows(5).position(|w| w == [0xff, 1, 0, 1, 0])?;
            let mut changed = octets.to_vec();
            changed[at] = 0x7f;
            (towards == Towards::Server).then(|| vec![(millis(20), changed)])
        }));
        world.run_for(secs(61));
        assert!(world.said.established.is_empty() && world.nodes[0].established.is_empty());
        let failed = &world.said.failed;
        assert!(!failed.is_empty() && failed.iter().any(|f| f.2 == CloseReason::KeyMismatch));
        assert_eq!(world.nodes[0].closed.map(|c| c.1), Some(DECRYPT_ERROR), "{extended}");
    }
}

/// ChangeCipherSpec without a handshake (CVE-2017-7243), and at every moment of one.
#[test]
fn change_cipher_spec_out_of_turn() {
    let change = [20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1];
    let mut world = World::new(1);
    world.inject(Towards::Server, &peer(1), &change);
    assert_eq!(world.said.drops, [RecordDrop::Unexpected]);
    let node = world.add(peer(1), config(b"d1"));
    world.inject(Towards::Client, &peer(1), &change);
    world.start(node);
    for _ in 0..40 {
        world.inject(Towards::Server, &peer(1), &change);
        world.inject(Towards::Client, &peer(1), &change);
        world.run_for(millis(5));
    }
    world.expect_joined();
    world.expect_working();
}

/// One forged alert, then an outage: silence does not confirm an alert.
#[test]
fn one_forged_alert_and_an_outage() {
    for after in [5, 25, 45, 65, 85] {
        let mut world = World::joining(1, |_| {});
        world.run_for(millis(after));
        world.inject(Towards::Client, &peer(1), &plain_alert(40));
        world.tap = Some(Box::new(|_, _| Some(Vec::new())));
        world.run_for(secs(5));
        world.tap = None;
        world.run_for(secs(5));
        world.expect_joined();
        world.expect_working();
    }
}
