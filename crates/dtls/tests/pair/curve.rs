//! Purpose: key exchange on P-256, with pre-shared keys and with raw public keys. RFC 5489, RFC 7250,
//! RFC 8422; RFC 7925 sections 4.3, 5, 6 and 9.
//! Criteria: what loss, duplication and forgery may cost is time; what was not offered is not taken; nobody
//! gets in without his key, and nobody is told which part of his proof was wrong.

use crate::world::*;
use lowgate_crypto::Secret;
use lowgate_dtls::{
    AlertDescription, CipherSuite, ClientConfig, CloseReason, Credential, Psk, RecordDrop,
    Retransmission, SavedSession, ServerConfig, WithoutExchange,
};

const BOTH: [CipherSuite; 2] = [CipherSuite::EcdhePsk, CipherSuite::EcdheEcdsa];
const SERVER: u8 = 0x5e;
/// Record and handshake header.
pub(crate) const HEAD: usize = 13 + 12;
pub(crate) const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;

fn seed(of: u8) -> Secret<32> {
    Secret::new([of ^ 0xa5; 32])
}

fn psk(identity: &[u8]) -> Psk {
    Psk::new(&[*identity.last().expect("not empty"); 16]).expect("16 octets")
}

/// A pre-shared key with an exchange.
fn exchanging(identity: &[u8], without: WithoutExchange) -> Credential<'_> {
    let name = *identity.last().expect("not empty");
    Credential::EcdhePsk { identity, psk: psk(identity), seed: seed(name), without }
}

/// A client that gets its secret so.
pub(crate) fn by(suite: CipherSuite, identity: &[u8]) -> ClientConfig<'_> {
    let name = *identity.last().expect("not empty");
    let credential = match suite {
        CipherSuite::Psk => Credential::Psk { identity, psk: psk(identity) },
        CipherSuite::EcdhePsk => exchanging(identity, WithoutExchange::Refuse),
        CipherSuite::EcdheEcdsa => Credential::RawKey {
            own: private_key(name),
            server: private_key(SERVER).public(),
            seed: seed(name),
        },
    };
    ClientConfig { credential, ..config(identity) }
}

/// A server that takes all credentials.
pub(crate) fn all(config: &mut ServerConfig) {
    config.raw_key = Some(private_key(SERVER));
}

fn world(seed: u64, client: ClientConfig<'_>) -> World {
    let mut world = World::with(seed, all);
    world.add(peer(1), client);
    world
}

fn joining(seed: u64, client: ClientConfig<'_>) -> World {
    let mut world = world(seed, client);
    world.start(0);
    world
}

/// Where a plain handshake message of this type begins in a datagram: its record's header.
pub(crate) fn find(datagram: &[u8], kind: u8) -> Option<usize> {
    let mut at = 0;
    for (outer, epoch, _, record) in records(datagram, 4) {
        if outer == 22 && epoch == 0 && record[13] == kind {
            return Some(at);
        }
        at += record.len();
    }
    None
}

/// Changes a message on its way, every time.
pub(crate) fn tamper(towards: Towards, kind: u8, change: impl Fn(&mut [u8]) + 'static) -> Tap {
    Box::new(move |direction, octets| {
        let at = find(octets, kind).filter(|_| direction == towards)?;
        let mut changed = octets.to_vec();
        change(&mut changed[at..]);
        Some(vec![(millis(20), changed)])
    })
}

/// The alerts of epoch 0 that the server sent.
pub(crate) fn alerts(world: &World) -> Vec<u8> {
    let all = world.said.sent.iter().flat_map(|(_, octets)| records(octets, 4));
    all.filter(|(kind, epoch, ..)| (*kind, *epoch) == (21, 0)).map(|record| record.3[14]).collect()
}

#[test]
fn three_round_trips() {
    for suite in BOTH {
        let mut world = joining(1, by(suite, b"d1"));
        world.run_for(secs(1));
        assert_eq!(world.nodes[0].sent.len(), 3, "hello, hello with cookie, Finished");
        assert_eq!(world.said.sent.len(), 3);
        assert!(world.nodes[0].drops.is_empty() && world.said.drops.is_empty());
        world.expect_suite(suite);
    }
}

/// All kinds of credentials at one port; each client gets what it offers.
#[test]
fn one_server_takes_all_credentials() {
    let mut world = World::with(1, all);
    for (port, suite) in [CipherSuite::Psk, BOTH[0], BOTH[1]].into_iter().enumerate() {
        let node = world.add(peer(port as u16 + 1), by(suite, [b"d1", b"d2", b"d3"][port]));
        world.start(node);
    }
    world.run_for(secs(1));
    let who: Vec<_> = world.said.established.iter().map(|entry| &entry.identity[..]).collect();
    assert_eq!(who, [b"d1", b"d2", b"d3"]);
    for (entry, node) in world.said.established.iter().zip(&world.nodes) {
        assert_eq!(world.server.suite(entry.session), node.client.suite());
    }
}

#[test]
fn without_extended_master_secret() {
    for suite in BOTH {
        let config =
            ClientConfig { extended_master_secret: false, group_request: None, ..by(suite, b"d1") };
        let mut world = joining(1, config);
        world.run_for(secs(1));
        world.expect_joined();
        assert_eq!(world.nodes[0].client.suite(), Some(suite));
        assert_eq!(world.nodes[0].key_log, world.said.key_log);
    }
}

#[test]
fn any_one_datagram_lost() {
    for suite in BOTH {
        for policy in [Retransmission::Rfc6347, ADAPTIVE] {
            for lost in 0..6 {
                let mut world =
                    world(lost, ClientConfig { retransmission: policy, ..by(suite, b"d1") });
                let mut count = 0;
                world.tap = Some(Box::new(move |_, _| {
                    count += 1;
                    (count == lost + 1).then(Vec::new)
                }));
                world.start(0);
                world.run_for(secs(12));
                world.expect_suite(suite);
            }
        }
    }
}

#[test]
fn lost_doubled_and_late() {
    for suite in BOTH {
        for seed in 0..40 {
            let mut world = world(seed, by(suite, b"d1"));
            world.faults = Faults { loss: 0.3, duplicate: 0.2, delay: (millis(1), millis(200)) };
            world.start(0);
            world.run_for(secs(60));
            assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
            world.run_for(secs(1));
            world.expect_suite(suite);
        }
    }
}

/// Flights in pieces, which come in any order.
#[test]
fn every_datagram_length_on_both_ends() {
    for suite in BOTH {
        for max in (96..400).step_by(43) {
            for delay in [(millis(20), millis(20)), (millis(1), millis(60))] {
                let mut world = World::with(max as u64, |config| {
                    all(config);
                    config.datagram_len_max = max;
                });
                let config = ClientConfig { datagram_len_max: max, ..by(suite, b"d1") };
                world.add(peer(1), config);
                world.faults = Faults { delay, ..Faults::default() };
                world.start(0);
                world.run_for(secs(10));
                assert!(world.nodes[0].sent.iter().all(|(_, octets)| octets.len() <= max));
                world.expect_suite(suite);
            }
        }
    }
}

/// The server computes nothing on the curve, and sends nothing that took it, before the cookie came back.
#[test]
fn nothing_but_a_cookie_before_the_cookie() {
    for suite in BOTH {
        let mut world = world(1, by(suite, b"d1"));
        world.tap = Some(Box::new(|towards, _| (towards == Towards::Client).then(Vec::new)));
        world.start(0);
        world.run_for(secs(5));
        assert_eq!((world.server.half_open_count(), world.said.started), (0, 0));
        let up: Vec<_> = world.nodes[0].sent.iter().map(|(_, octets)| octets.len()).collect();
        for (_, octets) in &world.said.sent {
            assert!(octets[13] == 3 && octets.len() < up[0]);
        }
    }
}

/// Two handshakes of the same client: other shares on both sides. RFC 7925 section 9.
#[test]
fn shares_are_used_once() {
    for suite in BOTH {
        let mut shares = std::collections::BTreeSet::new();
        for run in 0..3 {
            let mut world = joining(run, by(suite, b"d1"));
            world.run_for(secs(1));
            let (up, down) = (&world.nodes[0].sent[2].1, &world.said.sent[1].1);
            let at = find(up, CLIENT_KEY_EXCHANGE).expect("sent");
            let len = usize::from(u16::from_be_bytes([up[at + 11], up[at + 12]]));
            assert!(shares.insert(up[at + 13 + len - 65..][..65].to_vec()));
            let at = find(down, SERVER_KEY_EXCHANGE).expect("sent") + HEAD;
            let at = at + if suite == CipherSuite::EcdhePsk { 6 } else { 4 };
            assert_eq!(down[at], 4, "uncompressed");
            assert!(shares.insert(down[at..][..65].to_vec()));
        }
    }
}

/// A server that exchanges no keys: the client decides whether the key alone will do.
#[test]
fn a_server_without_key_exchange() {
    for (without, joins) in [(WithoutExchange::Refuse, false), (WithoutExchange::Accept, true)] {
        let mut world = World::with(1, |config| config.forward_secrecy = false);
        let credential = exchanging(b"d1", without);
        world.add(peer(1), ClientConfig { credential, ..config(b"d1") });
        world.start(0);
        world.run_for(secs(30));
        if joins {
            world.expect_suite(CipherSuite::Psk);
        } else {
            let (_, reason) = world.nodes[0].closed.expect("it gave up");
            assert_eq!(reason, CloseReason::PeerAlert(AlertDescription::HANDSHAKE_FAILURE));
            assert!(world.said.established.is_empty());
        }
    }
    // And where it exchanges them they are, though either would do.
    let credential = exchanging(b"d1", WithoutExchange::Accept);
    let mut world = joining(1, ClientConfig { credential, ..config(b"d1") });
    world.run_for(secs(1));
    world.expect_suite(CipherSuite::EcdhePsk);
}

/// Who takes the better suite out of a hello gets no session under the other.
#[test]
fn a_downgrade_is_noticed() {
    let credential = exchanging(b"d1", WithoutExchange::Accept);
    let mut world = world(1, ClientConfig { credential, ..config(b"d1") });
    world.tap = Some(Box::new(|towards, octets| {
        let at = octets.windows(2).position(|suite| suite == [0xd0, 0x03])?;
        (towards == Towards::Server && octets[13] == 1).then(|| {
            let mut changed = octets.to_vec();
            changed[at] = 0xcc;
            vec![(millis(1), changed)]
        })
    }));
    world.start(0);
    world.run_for(secs(70));
    assert!(world.nodes[0].established.is_empty() && world.said.established.is_empty());
}

/// Mbed TLS took a suite that it had not offered; with more than one of them, so must we not.
#[test]
fn a_suite_that_was_not_offered() {
    for suite in BOTH {
        for other in [[0xc0, 0xa8], [0xd0, 0x03], [0xc0, 0xae], [0xc0, 0xac]] {
            if other == (if suite == CipherSuite::EcdhePsk { [0xd0, 0x03] } else { [0xc0, 0xae] }) {
                continue;
            }
            let mut world = world(1, by(suite, b"d1"));
            world.tap = Some(tamper(Towards::Client, 2, move |message| {
                let at = HEAD + 2 + 32 + 1 + usize::from(message[HEAD + 34]);
                message[at..at + 2].copy_from_slice(&other);
            }));
            world.start(0);
            world.run_for(secs(20));
            assert!(world.nodes[0].established.is_empty());
            let refused = RecordDrop::HelloRefused(CloseReason::IllegalHello);
            assert!(world.nodes[0].drops.contains(&refused));
        }
    }
}

/// RFC 8422 sections 4 and 5.1, RFC 7925 section 5: what a hello must say before the curve is used. Each
/// extension in turn is hidden, or says something else.
#[test]
fn hellos_that_leave_no_curve() {
    let groups: (&[u8], &[u8]) = (&[0, 10, 0, 4, 0, 2, 0, 23], &[0, 10, 0, 4, 0, 2, 0, 29]);
    let formats: (&[u8], &[u8]) = (&[0, 11, 0, 2, 1, 0], &[0, 11, 0, 2, 1, 1]);
    let no_algorithms: (&[u8], &[u8]) = (&[0, 13, 0, 4, 0, 2, 4, 3], &[9, 13, 0, 4, 0, 2, 4, 3]);
    let sha1: (&[u8], &[u8]) = (&[0, 13, 0, 4, 0, 2, 4, 3], &[0, 13, 0, 4, 0, 2, 2, 3]);
    let no_client_type: (&[u8], &[u8]) = (&[0, 19, 0, 2, 1, 2], &[9, 19, 0, 2, 1, 2]);
    let x509: (&[u8], &[u8]) = (&[0, 20, 0, 2, 1, 2], &[0, 20, 0, 2, 1, 0]);
    let (suites, failure) = (BOTH, CloseReason::NoCommonSuite);
    let cases = [
        (&suites[..], groups, failure),
        (&suites[..], formats, CloseReason::IllegalHello),
        (&suites[1..], no_algorithms, failure),
        (&suites[1..], sha1, failure),
        (&suites[1..], no_client_type, failure),
        (&suites[1..], x509, failure),
    ];
    for (suites, (said, instead), reason) in cases {
        for suite in suites {
            let mut world = world(1, by(*suite, b"d1"));
            world.tap = Some(Box::new(move |towards, octets| {
                let at = octets.windows(said.len()).position(|part| part == said)?;
                (towards == Towards::Server).then(|| {
                    let mut changed = octets.to_vec();
                    changed[at..at + said.len()].copy_from_slice(instead);
                    vec![(millis(1), changed)]
                })
            }));
            world.start(0);
            world.run_for(millis(100));
            let refused = RecordDrop::HelloRefused(reason);
            assert!(world.said.drops.contains(&refused), "{said:?}: {:?}", world.said.drops);
            assert_eq!(world.server.half_open_count(), 0);
        }
    }
}

/// A share that is none is dropped, whoever sent it; the genuine one comes.
#[test]
fn forged_shares_that_are_no_points() {
    for suite in BOTH {
        for (towards, kind) in
            [(Towards::Server, CLIENT_KEY_EXCHANGE), (Towards::Client, SERVER_KEY_EXCHANGE)]
        {
            let mut world = world(1, by(suite, b"d1"));
            let mut count = 0;
            world.tap = Some(Box::new(move |direction, octets| {
                let at = find(octets, kind).filter(|_| direction == towards)?;
                count += 1;
                (count <= 2).then(|| {
                    let mut forged = octets.to_vec();
                    let len = usize::from(u16::from_be_bytes([forged[at + 11], forged[at + 12]]));
                    let (_, share) = forged[at..at + 13 + len].split_at_mut(HEAD);
                    // The point begins with 65 and 4.
                    let point = share.windows(2).position(|it| it == [65, 4]).expect("a point");
                    share[point + 40] ^= 1;
                    vec![(millis(1), forged), (millis(5), octets.to_vec())]
                })
            }));
            world.start(0);
            world.run_for(secs(20));
            let drops =
                if towards == Towards::Server { &world.said.drops } else { &world.nodes[0].drops };
            assert!(drops.contains(&RecordDrop::BadMessage), "{drops:?}");
            world.expect_suite(suite);
        }
    }
}

/// One agreement a handshake: a forged share that is a point spoils this one, and the client's next attempt
/// heals it. A repeated ClientKeyExchange is known as such.
#[test]
fn a_forged_share_costs_time_alone() {
    for suite in BOTH {
        let mut world = world(1, by(suite, b"d1"));
        let mut count = 0;
        world.tap = Some(Box::new(move |towards, octets| {
            let at = find(octets, CLIENT_KEY_EXCHANGE).filter(|_| towards == Towards::Server)?;
            count += 1;
            (count == 1).then(|| {
                let mut forged = octets.to_vec();
                let len = usize::from(u16::from_be_bytes([forged[at + 11], forged[at + 12]]));
                let point = private_key(9).public().point();
                forged[at + 13 + len - 65..at + 13 + len].copy_from_slice(&point);
                vec![
                    (millis(1), forged),
                    (millis(5), octets.to_vec()),
                    (millis(9), octets.to_vec()),
                ]
            })
        }));
        world.start(0);
        world.run_for(secs(55));
        world.expect_suite(suite);
        let spent = match suite {
            CipherSuite::EcdhePsk => RecordDrop::Unexpected,
            CipherSuite::EcdheEcdsa | CipherSuite::Psk => RecordDrop::Repeated,
        };
        assert!(world.said.drops.contains(&spent), "{:?}", world.said.drops);
    }
    let mut world = world(1, by(CipherSuite::EcdhePsk, b"d1"));
    world.tap = Some(Box::new(move |towards, octets| {
        let up = towards == Towards::Server && find(octets, CLIENT_KEY_EXCHANGE).is_some();
        // The exchange alone, then all of it.
        up.then(|| vec![(millis(1), records(octets, 4).remove(0).3), (millis(5), octets.to_vec())])
    }));
    world.start(0);
    world.run_for(millis(200));
    assert_eq!(world.said.drops, [RecordDrop::Repeated]);
    world.expect_suite(CipherSuite::EcdhePsk);
}

/// Versions of one hello: the server answers one more, whatever somebody makes of its extensions.
#[test]
fn hellos_that_cost_are_few() {
    for suite in BOTH {
        let mut world = joining(1, by(suite, b"d1"));
        // The client hears nothing of its flight.
        world.tap = Some(Box::new(|towards, octets| {
            (towards == Towards::Client && octets[13] == 2).then(Vec::new)
        }));
        world.run_for(millis(100));
        let (_, hello) = world.nodes[0].sent[1].clone();
        let before = world.said.sent.len();
        for change in 0..20u8 {
            let mut other = hello.clone();
            let at = other.windows(2).position(|kind| kind == [0xff, 0x40]).expect("a request");
            other[at + 4 + 14] ^= change;
            world.inject(Towards::Server, &peer(1), &other);
        }
        let flights = world.said.sent[before..].iter().filter(|(_, octets)| octets[13] == 2);
        assert!(flights.count() <= 2, "the other version, and the repetition of a flight");
    }
}

#[test]
fn a_wrong_key_is_told_as_an_unknown_identity_is() {
    for identity in [&b"d2"[..], b"x1"] {
        let mut config = by(CipherSuite::EcdhePsk, b"d1");
        config.credential = Credential::EcdhePsk {
            identity,
            psk: psk(b"d1"),
            seed: seed(1),
            without: WithoutExchange::Refuse,
        };
        let mut world = joining(1, config);
        world.run_for(secs(70));
        assert!(world.said.established.is_empty() && world.nodes[0].established.is_empty());
        assert!(alerts(&world).iter().all(|alert| *alert == 51) && !alerts(&world).is_empty());
        let (_, _, reason) = world.said.failed.last().expect("failed");
        assert_eq!(*reason, CloseReason::KeyMismatch);
    }
}

/// RFC 7925 section 6: no alert of certificates; decrypt_error, as for an unknown identity.
#[test]
fn an_unknown_raw_key() {
    let mut config = by(CipherSuite::EcdheEcdsa, b"d1");
    config.credential = Credential::RawKey {
        own: private_key(0x77),
        server: private_key(SERVER).public(),
        seed: seed(1),
    };
    let mut world = joining(1, config);
    world.run_for(secs(70));
    assert!(world.said.established.is_empty() && world.nodes[0].established.is_empty());
    assert!(alerts(&world).iter().all(|alert| *alert == 51) && !alerts(&world).is_empty());
    let (_, _, reason) = world.said.failed.last().expect("failed");
    assert_eq!(*reason, CloseReason::KeyMismatch);
    let (_, reason) = world.nodes[0].closed.expect("it gave up");
    assert_eq!(reason, CloseReason::PeerAlert(AlertDescription::DECRYPT_ERROR));
}

/// A server with another key than the one that the client knows it by: nothing of the client is shown.
#[test]
fn another_server() {
    let mut world = World::with(1, |config| config.raw_key = Some(private_key(0x77)));
    world.add(peer(1), by(CipherSuite::EcdheEcdsa, b"d1"));
    world.start(0);
    world.run_for(secs(70));
    let (_, reason) = world.nodes[0].closed.expect("it gave up");
    assert_eq!(reason, CloseReason::KeyMismatch);
    assert!(world.nodes[0].sent.iter().all(|(_, octets)| find(octets, CERTIFICATE).is_none()));
    let last = &world.nodes[0].sent.last().expect("the alert").1;
    assert_eq!(last[13..], [2, 51], "decrypt_error");
}

/// Somebody in between shows the server's key and signs with his own, or passes the signature on to another
/// share.
#[test]
fn a_signature_over_something_else() {
    let check = |change: fn(&mut [u8])| {
        let mut world = world(1, by(CipherSuite::EcdheEcdsa, b"d1"));
        world.tap = Some(tamper(Towards::Client, SERVER_KEY_EXCHANGE, change));
        world.start(0);
        world.run_for(secs(70));
        assert!(world.nodes[0].established.is_empty() && world.said.established.is_empty());
        assert!(world.nodes[0].sent.iter().all(|(_, octets)| find(octets, CERTIFICATE).is_none()));
        assert!(world.nodes[0].drops.contains(&RecordDrop::BadMessage));
    };
    // His share.
    check(|message| {
        message[HEAD + 4..][..65].copy_from_slice(&private_key(9).public().point());
    });
    // Another signature.
    check(|message| message[HEAD + 4 + 65 + 4 + 20] ^= 1);
    // Mbed TLS CVE-2026-25834: an algorithm that was not offered. SHA-1; RSA; SHA-384.
    check(|message| message[HEAD + 4 + 65..][..2].copy_from_slice(&[2, 3]));
    check(|message| message[HEAD + 4 + 65..][..2].copy_from_slice(&[4, 1]));
    check(|message| message[HEAD + 4 + 65..][..2].copy_from_slice(&[5, 3]));
    // Another curve.
    check(|message| message[HEAD + 2] = 24);
}

/// One forged ServerKeyExchange, or one forged Certificate, before the genuine: no more than time.
#[test]
fn a_forged_signature_costs_time_alone() {
    for (kind, at) in [(SERVER_KEY_EXCHANGE, HEAD + 100), (CERTIFICATE, HEAD + 50)] {
        let mut world = world(1, by(CipherSuite::EcdheEcdsa, b"d1"));
        let mut forged_once = false;
        world.tap = Some(Box::new(move |towards, octets| {
            let start = find(octets, kind).filter(|_| towards == Towards::Client)?;
            (!std::mem::replace(&mut forged_once, true)).then(|| {
                let mut forged = octets.to_vec();
                forged[start + at] ^= 1;
                vec![(millis(1), forged), (millis(5), octets.to_vec())]
            })
        }));
        world.start(0);
        world.run_for(secs(20));
        world.expect_suite(CipherSuite::EcdheEcdsa);
    }
}

/// Who knows a client's public key, and not its private one.
#[test]
fn the_clients_signature_is_verified() {
    let check = |kind, change: fn(&mut [u8])| {
        let mut config = by(CipherSuite::EcdheEcdsa, b"d1");
        config.credential = Credential::RawKey {
            own: private_key(0x77),
            server: private_key(SERVER).public(),
            seed: seed(1),
        };
        let mut world = world(1, config);
        world.tap = Some(tamper(Towards::Server, kind, change));
        world.start(0);
        world.run_for(secs(70));
        assert!(world.said.established.is_empty() && world.nodes[0].established.is_empty());
        assert!(alerts(&world).iter().all(|alert| *alert == 51));
    };
    check(CERTIFICATE, |message| {
        message[HEAD + 3..][..91].copy_from_slice(&private_key(b'1').public().spki());
    });
    check(CERTIFICATE_VERIFY, |message| message[HEAD + 20] ^= 1);
    check(CERTIFICATE_VERIFY, |message| message[HEAD] = 2);
}

/// Pion CVE-2022-29222: without a CertificateVerify nobody is who he shows to be.
#[test]
fn a_missing_certificate_verify() {
    for kind in [CERTIFICATE_VERIFY, CERTIFICATE] {
        let mut world = world(1, by(CipherSuite::EcdheEcdsa, b"d1"));
        world.tap = Some(Box::new(move |towards, octets| {
            let at = find(octets, kind).filter(|_| towards == Towards::Server)?;
            let len = 13 + usize::from(u16::from_be_bytes([octets[at + 11], octets[at + 12]]));
            Some(vec![(millis(1), [&octets[..at], &octets[at + len..]].concat())])
        }));
        world.start(0);
        world.run_for(secs(70));
        assert!(world.said.established.is_empty() && world.nodes[0].established.is_empty());
    }
}

fn resumable(tickets: bool) -> impl FnOnce(&mut ServerConfig) {
    move |config| {
        all(config);
        config.resumable_max = if tickets { 0 } else { 4 };
        config.tickets = tickets;
    }
}

/// A session of this suite that can be resumed.
fn saved(suite: CipherSuite, tickets: bool) -> (World, SavedSession) {
    let mut world = World::with(1, resumable(tickets));
    world.add(peer(1), ClientConfig { session_ticket: tickets, ..by(suite, b"d1") });
    world.start(0);
    world.run_for(secs(1));
    world.expect_suite(suite);
    let saved = world.nodes[0].client.saved_session().expect("it can be resumed").clone();
    world.nodes.clear();
    (world, saved)
}

fn come_back(world: &mut World, resume: SavedSession, config: ClientConfig<'_>) -> bool {
    world.said.sent.clear();
    world.add(peer(1), ClientConfig { resume: Some(resume), session_ticket: true, ..config });
    world.start(0);
    world.run_for(secs(2));
    assert_eq!(world.nodes[0].established.len(), 1, "{:?}", world.nodes[0].drops);
    let session = world.said.established.last().expect("session").session;
    let resumed = world.nodes[0].client.is_resumed();
    assert_eq!(world.server.is_resumed(session), resumed);
    assert_eq!(world.server.suite(session), world.nodes[0].client.suite());
    resumed
}

/// A session keeps its suite, and goes on without anything on the curve.
#[test]
fn resumption_remembers_the_suite() {
    for suite in BOTH {
        for tickets in [false, true] {
            let (mut world, saved) = saved(suite, tickets);
            assert!(come_back(&mut world, saved, by(suite, b"d1")));
            let costly = |octets: &[u8]| {
                [CERTIFICATE, SERVER_KEY_EXCHANGE].iter().any(|kind| find(octets, *kind).is_some())
            };
            assert!(world.said.sent.iter().all(|(_, octets)| !costly(octets)));
            world.expect_suite(suite);
        }
    }
}

/// Nor is it gone on from under another credential, or another suite.
#[test]
fn resumption_remembers_the_credential() {
    for suite in BOTH {
        for tickets in [false, true] {
            for other in [CipherSuite::Psk, BOTH[0], BOTH[1]] {
                for identity in [b"d1", b"d2"] {
                    let (mut world, saved) = saved(suite, tickets);
                    let same = other == suite && identity == b"d1";
                    assert_eq!(come_back(&mut world, saved, by(other, identity)), same);
                    assert_eq!(world.nodes[0].client.suite(), Some(other));
                }
            }
            // The same client, who knows the server by another key now.
            let (mut world, saved) = saved(suite, tickets);
            let mut config = by(CipherSuite::EcdheEcdsa, b"d1");
            if let Credential::RawKey { server, .. } = &mut config.credential {
                *server = private_key(0x77).public();
            }
            world.add(peer(1), ClientConfig { resume: Some(saved), ..config });
            world.start(0);
            world.run_for(secs(2));
            assert!(world.nodes[0].established.is_empty());
        }
    }
}

/// Who is no longer known, or has another key.
#[test]
fn resumption_asks_the_directory_again() {
    for suite in BOTH {
        for tickets in [false, true] {
            for change in [Change::Unknown, Change::Key] {
                let (mut world, saved) = saved(suite, tickets);
                world.change = Some(change);
                let config = ClientConfig { resume: Some(saved), ..by(suite, b"d1") };
                world.add(peer(1), config);
                world.start(0);
                world.run_for(secs(20));
                assert!(world.nodes[0].established.is_empty());
                let (_, _, reason) = world.said.failed.last().expect("failed");
                assert_eq!(*reason, CloseReason::KeyMismatch);
            }
        }
    }
}
