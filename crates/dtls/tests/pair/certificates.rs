//! Purpose: certificates on both ends, in chains of three. RFC 7925 section 4.4, RFC 5280.
//! Criteria: what loss, duplication and forgery may cost is time; whoever is not certified gets in nowhere, and is
//! told why by the alert that is for it; nothing of it shows to who has other credentials.

use crate::chains::*;
use crate::curve::{CERTIFICATE, CERTIFICATE_VERIFY, HEAD, alerts, find, tamper};
use crate::world::*;
use lowgate_crypto::Secret;
use lowgate_dtls::{
    CertificateRefused, CipherSuite, Client, ClientConfig, CloseReason, ConfigRefused, Credential,
    FragmentLen, KnownChain, RecordDrop, Retransmission, ServerCertificates, ServerConfig,
    ServerIdentity, TrustAnchor, UnixTime,
};
use lowgate_testkit::x509::{Draft, Extension, SERVER_AUTH, name};
use lowgate_units::Prng;

const SUITE: CipherSuite = CipherSuite::EcdheEcdsa;

fn takes_certificates(config: &mut ServerConfig) {
    config.certificates = Some(good_certificates());
}

/// A device that is known as `d` and its number.
pub(crate) fn good_client(name: u8, anchors: &[TrustAnchor]) -> ClientConfig<'_> {
    showing(config(b"d1"), &device_leaf(name), (name, TRUSTED), anchors)
}

pub(crate) fn world(seed: u64, edit: impl FnOnce(&mut ClientConfig<'_>)) -> World {
    world_with(seed, takes_certificates, edit)
}

fn world_with(
    seed: u64,
    server: impl FnOnce(&mut ServerConfig),
    edit: impl FnOnce(&mut ClientConfig<'_>),
) -> World {
    let mut world = World::with(seed, server);
    let anchors = [trusted()];
    let mut config = good_client(1, &anchors);
    edit(&mut config);
    world.add(peer(1), config);
    world
}

#[test]
fn chains_of_three_on_both_ends() {
    let mut world = world(1, |_| {});
    world.start(0);
    world.run_for(secs(1));
    assert!(world.nodes[0].drops.is_empty() && world.said.drops.is_empty());
    assert_eq!(world.said.failed, []);
    world.expect_suite(SUITE);
}

/// RFC 7925 section 4: all kinds of credentials at one port.
#[test]
fn one_server_takes_all_credentials() {
    let mut world = World::with(1, |config| {
        takes_certificates(config);
        config.raw_key = Some(private_key(SERVER));
    });
    let raw = Credential::RawKey {
        own: private_key(b'2'),
        server: private_key(SERVER).public(),
        seed: Secret::new([1; 32]),
    };
    let anchors = [trusted()];
    let configs = [
        config(b"d1"),
        ClientConfig { credential: raw, ..config(b"d2") },
        good_client(3, &anchors),
        ClientConfig { server_name: Some(HOST), ..config(b"d4") },
    ];
    for (port, config) in configs.into_iter().enumerate() {
        let node = world.add(peer(port as u16 + 1), config);
        world.start(node);
    }
    world.run_for(secs(1));
    let mut who: Vec<_> = world.said.established.iter().map(|entry| &entry.identity[..]).collect();
    who.sort();
    assert_eq!(who, [b"d1", b"d2", b"d3", b"d4"]);
}

#[test]
fn any_one_datagram_lost() {
    for policy in [Retransmission::Rfc6347, ADAPTIVE] {
        for lost in 0..10 {
            let mut world = world(lost, |config| config.retransmission = policy);
            let mut count = 0;
            world.tap = Some(Box::new(move |_, _| {
                count += 1;
                (count == lost + 1).then(Vec::new)
            }));
            world.start(0);
            world.run_for(secs(12));
            world.expect_suite(SUITE);
        }
    }
}

#[test]
fn lost_doubled_and_late() {
    for seed in 0..30 {
        let mut world = world(seed, |_| {});
        world.faults = Faults { loss: 0.2, duplicate: 0.2, delay: (millis(1), millis(200)) };
        world.start(0);
        world.run_for(secs(90));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.run_for(secs(1));
        world.expect_suite(SUITE);
    }
}

/// Chains in many pieces, which come in any order.
#[test]
fn every_datagram_length_on_both_ends() {
    for max in (96..700).step_by(67) {
        for delay in [(millis(20), millis(20)), (millis(1), millis(60))] {
            let mut world = world_with(
                max as u64,
                |config| {
                    takes_certificates(config);
                    config.datagram_len_max = max;
                },
                |config| config.datagram_len_max = max,
            );
            world.faults = Faults { delay, ..Faults::default() };
            world.start(0);
            world.run_for(secs(20));
            assert!(world.nodes[0].sent.iter().all(|(_, octets)| octets.len() <= max));
            world.expect_suite(SUITE);
        }
    }
}

/// RFC 6066 section 4: records of the handshake are as short as all others.
#[test]
fn no_record_is_longer_than_agreed() {
    for agreed in [FragmentLen::Octets512, FragmentLen::Octets1024] {
        let mut world = world_with(
            1,
            |config| {
                takes_certificates(config);
                config.datagram_len_max = 1200;
            },
            |config| (config.fragment_len, config.datagram_len_max) = (Some(agreed), 1200),
        );
        world.start(0);
        world.run_for(secs(1));
        world.expect_suite(SUITE);
        let sent = world.said.sent.iter().chain(&world.nodes[0].sent);
        let lens: Vec<_> = sent
            .flat_map(|(_, octets)| records(octets, 4))
            .filter(|(kind, epoch, ..)| (*kind, *epoch) == (22, 0))
            .map(|record| record.3.len() - 13)
            .collect();
        assert!(lens.iter().all(|len| *len <= agreed.octets()));
        if agreed == FragmentLen::Octets512 {
            assert!(lens.contains(&512), "full, and no longer");
            // Two short records share a datagram.
            let mut longest = world.said.sent.iter().map(|(_, octets)| octets.len());
            assert!(longest.any(|len| len > 2 * 512));
        }
    }
}

/// A server that the client does not take: how the client ends, and which alert it sends.
fn check_server(
    certificates: ServerCertificates,
    edit: impl FnOnce(&mut ClientConfig<'_>),
    refused: CertificateRefused,
    alert: u8,
) {
    let mut world = world_with(1, |config| config.certificates = Some(certificates), edit);
    world.start(0);
    world.run_for(secs(100));
    assert!(world.nodes[0].established.is_empty() && world.said.established.is_empty());
    let (_, reason) = world.nodes[0].closed.expect("it gave up");
    assert_eq!(reason, CloseReason::Certificate(refused));
    let (_, last) = world.nodes[0].sent.last().expect("it said so");
    assert_eq!((last[0], &last[13..]), (21, &[2, alert][..]));
}

#[test]
fn servers_that_are_not_taken() {
    use CertificateRefused as R;
    let with = |leaf: Draft| certificates(&leaf, TRUSTED);
    check_server(with(over(server_leaf())), |_| {}, R::Expired, 45);
    check_server(certificates(&server_leaf(), STRANGER), |_| {}, R::BadSignature, 42);
    let other = |config: &mut ClientConfig<'_>| config.server_name = Some("other.example");
    check_server(with(server_leaf()), other, R::WrongName, 46);
    // A device that takes itself for a server: its key is good, its certificate is not for that.
    let mut device = device_leaf(1);
    device.spki = server_leaf().spki;
    check_server(with(device), |_| {}, R::WrongPurpose, 43);
    let nobody = |config: &mut ClientConfig<'_>| {
        if let Credential::Certificate { anchors, .. } = &mut config.credential {
            *anchors = &[];
        }
    };
    check_server(with(server_leaf()), nobody, R::UnknownIssuer, 48);
}

/// RFC 7925 section 4.4.1: a server without a DNS name has an EUI-64.
#[test]
fn a_server_that_is_a_device() {
    for (looked_for, good) in [(9, true), (8, false)] {
        let mut leaf = server_leaf();
        leaf.extensions.truncate(1);
        leaf.subject = name(&device(9).to_string());
        let leaf = leaf.with(Extension::purpose(SERVER_AUTH));
        let mut world = world_with(
            1,
            |config| config.certificates = Some(certificates(&leaf, TRUSTED)),
            |config| {
                config.server_name = None;
                if let Credential::Certificate { server, .. } = &mut config.credential {
                    *server = ServerIdentity::Device(device(looked_for));
                }
            },
        );
        world.start(0);
        world.run_for(secs(100));
        match good {
            true => world.expect_suite(SUITE),
            false => assert_eq!(
                world.nodes[0].closed.map(|(_, reason)| reason),
                Some(CloseReason::Certificate(CertificateRefused::WrongName))
            ),
        }
    }
}

/// A device that has no clock cannot see that a certificate is over; the server can.
#[test]
fn without_a_clock() {
    let mut world = world_with(
        1,
        |config| config.certificates = Some(certificates(&over(server_leaf()), TRUSTED)),
        |config| {
            if let Credential::Certificate { now, .. } = &mut config.credential {
                *now = None;
            }
        },
    );
    world.start(0);
    world.run_for(secs(1));
    world.expect_suite(SUITE);
}

/// A client that the server does not take: it is told why, and nothing comes of it.
fn check_client(leaf: Draft, (own, root): (u8, u8), refused: CertificateRefused, alert: u8) {
    let mut world = World::with(1, takes_certificates);
    let anchors = [trusted()];
    world.add(peer(1), showing(config(b"d1"), &leaf, (own, root), &anchors));
    world.start(0);
    world.run_for(secs(100));
    assert!(world.nodes[0].established.is_empty() && world.said.established.is_empty());
    let alerts = alerts(&world);
    assert!(!alerts.is_empty() && alerts.iter().all(|said| *said == alert), "{alerts:?}");
    // Who is told begins anew once more.
    let reasons: Vec<_> = world.said.failed.iter().map(|(.., reason)| *reason).collect();
    let (last, others) = reasons.split_last().expect("it failed");
    assert_eq!(*last, CloseReason::Certificate(refused));
    assert!(others.iter().all(|reason| *reason == CloseReason::Superseded));
    assert!(world.said.drops.contains(&RecordDrop::CertificateRefused(refused)));
}

#[test]
fn clients_that_are_not_taken() {
    use CertificateRefused as R;
    check_client(over(device_leaf(1)), (1, TRUSTED), R::Expired, 45);
    check_client(device_leaf(1), (1, STRANGER), R::BadSignature, 42);
    check_client(device_leaf(0x20), (0x20, TRUSTED), R::NotAdmitted, 49);
    let mut unnamed = device_leaf(1);
    unnamed.subject = name("a lamp");
    check_client(unnamed, (1, TRUSTED), R::WrongName, 46);
    let mut server = server_leaf();
    server.spki = device_leaf(1).spki;
    check_client(server, (1, TRUSTED), R::WrongPurpose, 43);
}

/// Who has a device's certificates, and not its key, learns nothing from the server but that.
#[test]
fn certificates_without_their_key() {
    let mut world = world(1, |_| {});
    world.tap = Some(tamper(Towards::Server, CERTIFICATE_VERIFY, |message| {
        let last = HEAD + 4 + usize::from(message[HEAD + 3]) - 1;
        message[last] ^= 1;
    }));
    world.start(0);
    world.run_for(secs(60));
    assert!(world.nodes[0].established.is_empty() && world.said.established.is_empty());
    assert!(!alerts(&world).is_empty() && alerts(&world).iter().all(|alert| *alert == 51));
}

/// Somebody else's certificates in place of the genuine ones: a refusal, and then the genuine ones.
#[test]
fn forged_certificates_cost_time_alone() {
    for towards in [Towards::Server, Towards::Client] {
        let mut world = world(1, |_| {});
        let mut count = 0;
        world.tap = Some(Box::new(move |direction, octets| {
            let at = find(octets, CERTIFICATE).filter(|_| direction == towards)?;
            count += 1;
            (count == 1).then(|| {
                let mut forged = octets.to_vec();
                forged[at + HEAD + 100] ^= 1;
                vec![(millis(1), forged), (millis(5), octets.to_vec())]
            })
        }));
        world.start(0);
        world.run_for(secs(60));
        world.expect_suite(SUITE);
    }
}

/// A client cannot make a server verify as many chains as it likes.
#[test]
fn chains_of_one_handshake_are_few() {
    let mut world = world(1, |_| {});
    world.tap = Some(Box::new(move |towards, octets| {
        let at = find(octets, CERTIFICATE).filter(|_| towards == Towards::Server)?;
        let mut forged = octets.to_vec();
        forged[at + HEAD + 100] ^= 1;
        Some((1..40).map(|delay| (millis(delay), forged.clone())).collect())
    }));
    world.start(0);
    world.run_for(millis(200));
    let refused = |drop: &&RecordDrop| matches!(drop, RecordDrop::CertificateRefused(_));
    assert_eq!(world.said.drops.iter().filter(refused).count(), 2);
    assert!(alerts(&world).len() <= 2);
}

/// A Certificate longer than any that is looked at is refused by its length; nothing is kept of it.
#[test]
fn a_chain_too_long() {
    let mut world = world(1, |config| config.datagram_len_max = 300);
    world.tap = Some(tamper(Towards::Server, CERTIFICATE, |message| {
        message[14..17].copy_from_slice(&[0xff, 0xff, 0xff]);
    }));
    world.start(0);
    world.run_for(secs(10));
    let refused = CertificateRefused::TooLong;
    assert!(world.said.drops.contains(&RecordDrop::CertificateRefused(refused)));
    assert!(world.said.established.is_empty());
}

/// Sessions of devices with certificates are resumed, for as long as the certificates are good and their names
/// known.
#[test]
fn resumption() {
    for tickets in [false, true] {
        for (change, until, resumed) in [
            (None, b"491231235959Z", true),
            (Some(Change::Unknown), b"491231235959Z", false),
            (Some(Change::MayNotResume), b"491231235959Z", false),
            // Good for a day less one second; a session may live a day.
            (None, b"260101235959Z", false),
        ] {
            let mut world = World::with(1, |config| {
                takes_certificates(config);
                (config.tickets, config.resumable_max) = (tickets, 4);
            });
            let mut leaf = device_leaf(1);
            leaf.not_after = lowgate_testkit::x509::tlv(23, until);
            let anchors = [trusted()];
            let again = || ClientConfig {
                session_ticket: tickets,
                ..showing(config(b"d1"), &leaf, (1, TRUSTED), &anchors)
            };
            world.add(peer(1), again());
            world.start(0);
            world.run_for(secs(1));
            world.expect_suite(SUITE);
            let resume = world.nodes[0].client.saved_session().cloned();
            world.change = change;
            world.nodes.clear();
            let node = world.add(peer(1), ClientConfig { resume, ..again() });
            world.start(node);
            world.run_for(secs(1));
            assert_eq!(world.nodes[0].client.is_resumed(), resumed, "{tickets} {change:?}");
            if change != Some(Change::Unknown) {
                world.expect_suite(SUITE);
            }
        }
    }
}

/// A session belongs to the server that was looked for, and to who made it.
#[test]
fn a_session_of_another_server_is_not_resumed() {
    let mut world = world_with(
        1,
        |config| {
            takes_certificates(config);
            config.resumable_max = 4;
        },
        |_| {},
    );
    world.start(0);
    world.run_for(secs(1));
    let resume = world.nodes[0].client.saved_session().cloned();
    assert!(resume.is_some());
    world.nodes.clear();
    let anchors = [trusted()];
    let other = ClientConfig { server_name: Some("other.example"), ..good_client(1, &anchors) };
    let node = world.add(peer(1), ClientConfig { resume, ..other });
    world.start(node);
    world.run_for(millis(50));
    assert_eq!(world.nodes[0].sent[0].1[13 + 12 + 34], 0, "its hello names no session");
}

/// RFC 7250 section 4.2: raw keys and certificates do not mix; there is nothing in common.
#[test]
fn other_credentials_than_the_servers() {
    let raw_alone = |config: &mut ServerConfig| config.raw_key = Some(private_key(SERVER));
    let none = |_: &mut ServerConfig| {};
    for server in [raw_alone as fn(&mut ServerConfig), none] {
        let mut world = world_with(1, server, |_| {});
        world.start(0);
        world.run_for(millis(200));
        assert!(world.said.drops.contains(&RecordDrop::HelloRefused(CloseReason::NoCommonSuite)));
        assert!(alerts(&world).iter().all(|alert| *alert == 40));
    }
}

#[test]
fn configurations() {
    let anchors = [trusted(); 5];
    let check = |edit: &dyn Fn(&mut ClientConfig<'_>), expected| {
        let mut config = good_client(1, &anchors[..1]);
        edit(&mut config);
        let made = Client::new(&lowgate_crypto::SoftCcm, config, [0; 32], Prng::new(1));
        assert_eq!(made.err(), Some(expected));
    };
    check(&|config| config.server_name = None, ConfigRefused::ServerNameMissing);
    let credential = |edit: &dyn Fn(&mut &'static [&'static [u8]], &mut u8), expected| {
        check(
            &|config| {
                let (mut list, mut own_name) = (in_flash(chain(&device_leaf(1), TRUSTED)), 1);
                edit(&mut list, &mut own_name);
                if let Credential::Certificate { chain, own, .. } = &mut config.credential {
                    (*chain, *own) = (list, private_key(own_name));
                }
            },
            expected,
        );
    };
    credential(&|chain, _| *chain = &[], ConfigRefused::ChainTooLong);
    credential(&|_, own| *own = 2, ConfigRefused::KeyOfAnother);
    credential(
        &|chain, _| *chain = &[&[0x30, 0]],
        ConfigRefused::BadCertificate(CertificateRefused::Malformed),
    );
    let many = |anchors| {
        let own = private_key(SERVER);
        ServerCertificates::new(own, chain(&server_leaf(), TRUSTED), anchors).err()
    };
    assert_eq!(many(vec![trusted(); 5]), Some(ConfigRefused::TooManyAnchors));
    assert_eq!(many(vec![trusted(); 4]), None);
    let five = [trusted(); 5];
    let made = Client::new(&lowgate_crypto::SoftCcm, good_client(1, &five), [0; 32], Prng::new(1));
    assert_eq!(made.err(), Some(ConfigRefused::TooManyAnchors));
}

/// The first handshake of a client, and what it knows of the server after it.
fn known_after(edit: impl FnOnce(&mut ServerConfig)) -> (World, KnownChain) {
    let mut world = world_with(1, edit, |_| {});
    world.start(0);
    world.run_for(secs(1));
    world.expect_suite(SUITE);
    let known = world.nodes[0].client.known_chain().expect("it was verified").clone();
    world.nodes.clear();
    world.said = ServerSaid::default();
    (world, known)
}

fn knowing(known: &KnownChain, edit: impl FnOnce(&mut ClientConfig<'_>), world: &mut World) {
    let anchors = [trusted()];
    let mut config = good_client(1, &anchors);
    if let Credential::Certificate { known: slot, .. } = &mut config.credential {
        *slot = Some(known.clone());
    }
    edit(&mut config);
    let node = world.add(peer(1), config);
    world.start(node);
    world.run_for(secs(1));
}

/// The body of the Certificate that the server showed last.
fn shown(world: &World) -> Vec<u8> {
    let all = world.said.sent.iter().flat_map(|(_, octets)| records(octets, 4));
    let mut certificates = all.filter(|it| (it.0, it.1) == (22, 0) && it.3[13] == CERTIFICATE);
    certificates.next_back().expect("it is shown").3[HEAD..].to_vec()
}

/// cached_info, RFC 7924 and RFC 7925 section 4.4.
#[test]
fn a_known_chain_is_not_shown_again() {
    let (mut world, known) = known_after(takes_certificates);
    knowing(&known, |_| {}, &mut world);
    assert_eq!(shown(&world).len(), 33, "a fingerprint");
    assert_eq!(world.nodes[0].client.known_chain(), Some(&known));
    world.expect_suite(SUITE);
}

#[test]
fn a_chain_that_has_changed_is_shown() {
    let (_, known) = known_after(takes_certificates);
    let other = |config: &mut ServerConfig| {
        let leaf = server_leaf().with(Extension::new(&[0x2b, 6, 1, 4, 1, 99], false, &[5, 0]));
        config.certificates = Some(certificates(&leaf, TRUSTED));
    };
    let mut world = World::with(2, other);
    knowing(&known, |_| {}, &mut world);
    assert!(shown(&world).len() > 500);
    assert_ne!(world.nodes[0].client.known_chain(), Some(&known));
    world.expect_suite(SUITE);
}

/// What was verified for one server, by other anchors, or until a time that is over, is of no use.
#[test]
fn a_chain_is_known_for_its_server() {
    let edits: [fn(&mut ClientConfig<'_>); 3] = [
        |config| config.server_name = Some("other.example"),
        |config| {
            if let Credential::Certificate { anchors, .. } = &mut config.credential {
                *anchors = &[];
            }
        },
        |config| {
            if let Credential::Certificate { now, .. } = &mut config.credential {
                *now = Some(UnixTime(u64::MAX));
            }
        },
    ];
    for edit in edits {
        let (mut world, known) = known_after(takes_certificates);
        knowing(&known, edit, &mut world);
        let hello = &world.nodes[0].sent[0].1;
        assert!(!hello.windows(32).any(|it| it == &shown(&world)[..32]));
        assert!(world.nodes[0].client.known_chain().is_none());
        assert!(world.nodes[0].established.is_empty(), "the server is another one now");
    }
}

/// A fingerprint that is not the one of what is known, or that nobody asked for.
#[test]
fn forged_fingerprints_cost_time_alone() {
    let (mut world, known) = known_after(takes_certificates);
    world.tap = Some(tamper(Towards::Client, CERTIFICATE, |message| {
        if message[HEAD] == 32 {
            message[HEAD + 5] ^= 1;
        }
    }));
    knowing(&known, |_| {}, &mut world);
    assert!(world.nodes[0].established.is_empty());
    let refused = CertificateRefused::Malformed;
    assert!(world.nodes[0].drops.contains(&RecordDrop::BadMessage), "{refused:?}");
    // The next attempt offers nothing of the kind.
    world.run_for(secs(60));
    world.expect_suite(SUITE);
    assert!(shown(&world).len() > 500);
}
