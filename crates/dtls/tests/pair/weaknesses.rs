//! Purpose: ways in which other implementations failed, each named by its identifier, where no other test shows
//! that ours does not. `src/weaknesses.md` lists them all.

use crate::ends::{Guest, Hall, IDENTITY, KEY, at};
use crate::puppet::{
    APPLICATION_DATA, CHANGE_CIPHER_SPEC, CONNECTION_ID, HANDSHAKE, HEARTBEAT, HEARTBEAT_EXTENSION,
    Plays, Puppet, Verify, extension, fragment, message, record,
};
use crate::world::*;
use lowgate_crypto::{Ccm, Key128, SoftCcm};
use lowgate_dtls::{ClientConfig, CloseReason, Credential, Psk, ServerConfig};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A puppet client whose cookie is accepted; `more` extensions in its hello.
fn greeted(hall: &mut Hall, more: &[u8]) -> Puppet {
    let mut puppet = Puppet::new(Plays::Client, IDENTITY, KEY);
    puppet.extensions.extend_from_slice(more);
    for _ in 0..2 {
        let hello = puppet.client_hello();
        let octets = puppet.say(&hello);
        hall.hear(&at(1), &octets).iter().for_each(|answer| puppet.hear(answer));
    }
    puppet
}

/// The rest of its handshake; what the server says to that.
fn finish(hall: &mut Hall, puppet: &mut Puppet) -> Vec<Vec<u8>> {
    let exchange = puppet.client_key_exchange();
    let mut octets = puppet.say(&exchange);
    octets.extend(puppet.plain(CHANGE_CIPHER_SPEC, &[1]));
    let finished = puppet.finished(Verify::Right);
    octets.extend(puppet.seal(HANDSHAKE, &finished));
    hall.hear(&at(1), &octets)
}

/// Messages of a handshake under another epoch than their own: ClientKeyExchange sealed, Finished in clear, both
/// halves of a message in two epochs. What came in the wrong epoch counts for nothing.
#[test]
fn cve_2021_42141_mixed_epochs() {
    let mut hall = Hall::new(|_| {});
    let mut puppet = greeted(&mut hall, &[]);
    let exchange = puppet.client_key_exchange();
    let change = puppet.plain(CHANGE_CIPHER_SPEC, &[1]);
    let mut sealed_exchange = puppet.clone();
    let sealed_exchange = sealed_exchange.seal(HANDSHAKE, &exchange);
    let finished = puppet.clone().finished(Verify::Right);
    let in_clear = puppet.say(&finished);
    let as_epoch_1 = record(HANDSHAKE, 1, 9, &exchange);
    for octets in [&change, &sealed_exchange, &as_epoch_1, &in_clear] {
        assert_eq!(hall.hear(&at(1), octets), Vec::<Vec<u8>>::new());
    }
    let half = fragment(16, puppet.exchange_seq(), 4, 0, &exchange[12..14]);
    let other_half = fragment(16, puppet.exchange_seq(), 4, 2, &exchange[14..]);
    let octets = puppet.say(&half);
    hall.hear(&at(1), &octets);
    let octets = puppet.clone().seal(HANDSHAKE, &other_half);
    hall.hear(&at(1), &octets);
    let octets = puppet.clone().seal(HANDSHAKE, &finished);
    hall.hear(&at(1), &octets);
    assert!(hall.established.is_empty(), "there was no whole ClientKeyExchange in epoch 0");
    finish(&mut hall, &mut puppet);
    assert_eq!(hall.established.len(), 1);
}

/// A record of a large epoch during the handshake, which made the receiver drop all that followed.
#[test]
fn cve_2021_42142_early_large_epoch() {
    let mut hall = Hall::new(|_| {});
    let mut puppet = greeted(&mut hall, &[]);
    let mut guest = Guest::new(1, |_| {});
    for epoch in [2, 3, 0x7fff, 0xffff] {
        for kind in 20..26 {
            let octets = record(kind, epoch, (1 << 48) - 1, &[1; 40]);
            hall.hear(&at(1), &octets);
            guest.hear(&octets);
        }
    }
    finish(&mut hall, &mut puppet);
    assert_eq!((hall.established.len(), hall.alerts()), (1, 0));
    guest.settle(&mut hall, &at(2));
    assert_eq!(guest.established, 1);
}

/// A message that says it is longer than what came with it, of which the hash took what lay behind.
#[test]
fn cve_2021_42147_hash_over_read() {
    let mut hall = Hall::new(|_| {});
    let mut puppet = greeted(&mut hall, &[]);
    let exchange = puppet.clone().client_key_exchange();
    for lie in [1, 2, 0x80, 0xff] {
        for at_octet in [3, 11] {
            let mut long = exchange.clone();
            long[at_octet] = long[at_octet].wrapping_add(lie);
            let octets = puppet.say(&long);
            hall.hear(&at(1), &octets);
        }
        let mut cut = exchange.clone();
        cut.truncate(13);
        let octets = puppet.say(&cut);
        hall.hear(&at(1), &octets);
    }
    finish(&mut hall, &mut puppet);
    assert_eq!(hall.established.len(), 1);
}

/// A ClientHello in the name of a live peer, without a cookie and (from somebody on the path) with one, ended the
/// session of that peer. It goes on until another handshake is finished.
#[test]
fn mbedtls_2_22_forged_hello_drops_no_live_peer() {
    let mut hall = Hall::new(|_| {});
    let mut victim = greeted(&mut hall, &[]);
    finish(&mut hall, &mut victim);
    let mut forger = Puppet::new(Plays::Client, IDENTITY, b"another key");
    forger.client_random = [0xee; 32];
    for _ in 0..3 {
        let hello = forger.client_hello();
        let octets = forger.say(&hello);
        hall.hear(&at(1), &octets).iter().for_each(|answer| forger.hear(answer));
    }
    finish(&mut hall, &mut forger);
    let octets = victim.seal(APPLICATION_DATA, b"still here");
    hall.hear(&at(1), &octets);
    assert_eq!((hall.received.len(), hall.closed.len(), hall.established.len()), (1, 0, 1));
}

/// Connection IDs of every length, and such as do not have the length that they say.
#[test]
fn mbedtls_3_3_connection_id_length() {
    for len in 0..=255u8 {
        let cid = vec![0xcd; usize::from(len)];
        let data = [&[len][..], &cid].concat();
        let mut hall = Hall::new(|_| {});
        let mut puppet = greeted(&mut hall, &extension(CONNECTION_ID, &data));
        let last = finish(&mut hall, &mut puppet);
        assert_eq!(hall.established.len(), 1, "{len}");
        let finished = &last.last().expect("the last flight")[14..];
        assert!(puppet.open(finished, usize::from(len)).is_some(), "{len}: Finished");
        let mut lie = data.clone();
        lie[0] ^= 1;
        let mut hall = Hall::new(|_| {});
        greeted(&mut hall, &extension(CONNECTION_ID, &lie));
        assert_eq!(hall.server.half_open_count(), 0, "{len}");
    }
}

/// The server forgot to check the cookie of a hello that resumes a session; nor may it answer one without a
/// cookie by more than what came.
#[test]
fn cve_2022_34293_cookie_check_skipped() {
    for tickets in [false, true] {
        let mut world = resumable_world(tickets);
        world.start(0);
        world.run_for(secs(1));
        let hellos = [world.nodes[0].sent[0].1.clone(), world.nodes[0].sent[1].1.clone()];
        let mut spoilt = hellos[1].clone();
        // Headers 25, version and random 34, session id 33, the cookie's length.
        assert_eq!((spoilt[59], spoilt[92]), (32, 16));
        spoilt[93] ^= 1;
        let sessions = world.said.established.len();
        for (hello, from) in [(&hellos[0], 1), (&spoilt, 1), (&hellos[1], 2)] {
            let before = world.said.sent.len();
            world.inject(Towards::Server, &peer(from), hello);
            let answers = &world.said.sent[before..];
            assert_eq!((answers.len(), answers[0].1[13]), (1, 3), "HelloVerifyRequest alone");
        }
        assert_eq!((world.server.half_open_count(), world.said.established.len()), (0, sessions));
    }
}

/// A resumption without a cookie answers a spoofed address with a whole flight, again and again.
#[test]
fn cve_2022_2576_resumption_amplification() {
    for tickets in [false, true] {
        let mut world = resumable_world(tickets);
        world.tap = Some(Box::new(|towards, _| (towards == Towards::Client).then(Vec::new)));
        world.said.sent.clear();
        world.start(0);
        world.run_for(secs(100));
        let octets = |sent: &[(_, Vec<u8>)]| sent.iter().map(|(_, o)| o.len()).sum::<usize>();
        assert!(world.said.sent.iter().all(|(_, octets)| octets[13] == 3));
        assert!(octets(&world.said.sent) < octets(&world.nodes[0].sent));
        assert_eq!(world.server.half_open_count(), 0);
    }
}

/// A client that is about to resume its session.
fn resumable_world(tickets: bool) -> World {
    let edit = |config: &mut ServerConfig| {
        (config.tickets, config.resumable_max) = (tickets, usize::from(!tickets));
    };
    let mut world = World::with(1, edit);
    let config = ClientConfig { session_ticket: tickets, ..config(b"d1") };
    world.add(peer(1), config.clone());
    world.start(0);
    world.run_for(secs(1));
    world.expect_joined();
    let resume = world.nodes[0].client.saved_session().cloned();
    assert!(resume.is_some());
    world.nodes.clear();
    world.add(peer(1), ClientConfig { resume, ..config });
    world
}

/// A Finished that comes again, replayed and under new record numbers: one session, and one answer to each that is
/// authentic and new.
#[test]
fn wolfssl_9197_repeated_finished() {
    let mut hall = Hall::new(|_| {});
    let mut puppet = greeted(&mut hall, &[]);
    finish(&mut hall, &mut puppet);
    let finished = puppet.finished(Verify::Right);
    for _ in 0..10 {
        let octets = puppet.seal(HANDSHAKE, &finished);
        assert_eq!(hall.hear(&at(1), &octets).len(), 1);
        assert!(hall.hear(&at(1), &octets).is_empty(), "a replay");
    }
    let octets = puppet.seal(APPLICATION_DATA, b"x");
    hall.hear(&at(1), &octets);
    assert_eq!((hall.established.len(), hall.closed.len(), hall.received.len()), (1, 0, 1));
}

fn pair_credential(identity: &[u8]) -> Credential<'_> {
    config(identity).credential
}

/// Handshakes that fail used up what bounds handshakes under way, until nobody could begin one.
#[test]
fn cve_2022_39368_throttle_leak() {
    let mut world = World::with(1, |config| config.half_open_max = 4);
    for port in 0..60 {
        let key = Psk::new(&[9; 16]).expect("16 octets");
        let mut config = config(b"d1");
        match port % 3 {
            0 => config.credential = Credential::Psk { identity: b"d1", psk: key },
            1 => config.credential = pair_credential(b"x1"),
            _ => config.fragment_len = None,
        }
        let node = world.add(peer(100 + port), config);
        world.start(node);
        world.run_for(millis(45));
        if port % 3 == 2 {
            // It falls silent in the middle.
            world.nodes.pop();
        }
    }
    world.run_for(secs(200));
    assert_eq!(world.server.half_open_count(), 0);
    let node = world.add(peer(1), config(b"d1"));
    world.start(node);
    world.run_for(secs(1));
    assert_eq!(world.nodes[node].established.len(), 1);
}

/// A handshake that failed left the server in a state in which the next one of the same peer failed too.
#[test]
fn cve_2020_27222_stuck_state() {
    for spoil in 0..4 {
        let mut hall = Hall::new(|_| {});
        let mut puppet = greeted(&mut hall, &[]);
        match spoil {
            0 => {
                let exchange = puppet.client_key_exchange();
                let mut octets = puppet.say(&exchange);
                octets.extend(puppet.plain(CHANGE_CIPHER_SPEC, &[1]));
                let finished = puppet.finished(Verify::Wrong);
                octets.extend(puppet.seal(HANDSHAKE, &finished));
                hall.hear(&at(1), &octets);
                assert_eq!(hall.failed, [CloseReason::KeyMismatch]);
            }
            1 => {
                let octets = puppet.say(&message(16, puppet.exchange_seq(), &[0xff; 4]));
                hall.hear(&at(1), &octets);
            }
            2 => {
                puppet.extensions = vec![1, 2, 3];
                let hello = puppet.client_hello();
                let octets = puppet.say(&hello);
                hall.hear(&at(1), &octets);
            }
            _ => {} // it only fell silent
        }
        let mut guest = Guest::new(9, |_| {});
        guest.settle(&mut hall, &at(1));
        assert_eq!((guest.established, hall.established.len()), (1, 1), "{spoil}");
    }
}

/// Fragments that announce up to 2^24 octets had them allocated; so had many of messages to come (CVE-2016-2179).
/// Ours have a place dimensioned before, and the genuine message still finds it.
#[test]
fn cve_2014_3506_fragment_memory() {
    let mut hall = Hall::new(|_| {});
    let mut puppet = greeted(&mut hall, &[]);
    let mut guest = Guest::new(1, |_| {});
    for seq in 0..40 {
        for len in [40, 129, 2049, 0xffff, 0xff_ffff] {
            for kind in [1, 2, 12, 14, 16, 20] {
                let octets = puppet.say(&fragment(kind, seq, len, 3, &[7; 20]));
                hall.hear(&at(1), &octets);
                guest.hear(&octets);
            }
        }
    }
    assert_eq!(hall.server.half_open_count(), 1);
    finish(&mut hall, &mut puppet);
    assert_eq!(hall.established.len(), 1);
    guest.settle(&mut hall, &at(2));
    assert_eq!(guest.established, 1);
}

/// A heartbeat that says it is longer than it is was answered by what lay behind.
#[test]
fn cve_2014_0160_heartbleed() {
    let mode = extension(HEARTBEAT_EXTENSION, &[1]);
    let mut hall = Hall::new(|config| config.heartbeat = true);
    let mut puppet = greeted(&mut hall, &mode);
    finish(&mut hall, &mut puppet);
    for len in [0u16, 1, 4, 5, 0x4000, 0xffff] {
        let [high, low] = len.to_be_bytes();
        let request = [&[1, high, low][..], b"ping", &[0xaa; 16]].concat();
        let octets = puppet.seal(HEARTBEAT, &request);
        let answers = hall.hear(&at(1), &octets);
        assert_eq!(answers.len(), usize::from(len <= 4), "{len}");
        for answer in answers {
            let (_, answer) = puppet.open(&answer, 0).expect("authentic");
            assert_eq!(answer.len(), 3 + usize::from(len) + 16);
            assert_eq!(answer[3..3 + usize::from(len)], b"ping"[..usize::from(len)]);
        }
    }
}

/// Counts what it does.
struct Counting;

static SEALED: AtomicUsize = AtomicUsize::new(0);
static OPENED: AtomicUsize = AtomicUsize::new(0);

impl Ccm for Counting {
    fn seal(&self, key: &Key128, nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) {
        SEALED.fetch_add(1, Ordering::Relaxed);
        SoftCcm.seal(key, nonce, aad, payload, tag);
    }

    fn open(
        &self,
        key: &Key128,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), lowgate_crypto::BadTag> {
        OPENED.fetch_add(1, Ordering::Relaxed);
        SoftCcm.open(key, nonce, aad, payload, tag)
    }
}

/// Whether an identity is known does not show in what the server does: the same answers, the same work of the
/// cipher. That a key is derived for the unknown too is by construction.
#[test]
fn timing_of_identities() {
    let work = |identity: &[u8], key: &[u8]| {
        let before = [SEALED.load(Ordering::Relaxed), OPENED.load(Ordering::Relaxed)];
        let mut hall = Hall::new(|config| config.ccm = &Counting);
        let mut puppet = Puppet::new(Plays::Client, identity, key);
        for _ in 0..2 {
            let hello = puppet.client_hello();
            let octets = puppet.say(&hello);
            hall.hear(&at(1), &octets).iter().for_each(|answer| puppet.hear(answer));
        }
        finish(&mut hall, &mut puppet);
        for _ in 0..3 {
            let finished = puppet.finished(Verify::Right);
            let octets = puppet.seal(HANDSHAKE, &finished);
            hall.hear(&at(1), &octets);
        }
        assert!(hall.established.is_empty());
        let lens: Vec<_> = hall.sent.iter().map(|(_, octets)| octets.len()).collect();
        let after = [SEALED.load(Ordering::Relaxed), OPENED.load(Ordering::Relaxed)];
        (lens, after[0] - before[0], after[1] - before[1])
    };
    let [unknown, wrong_key] = [work(b"d2", KEY), work(IDENTITY, b"some other key..")];
    assert_eq!(unknown, wrong_key);
    assert!(unknown.2 >= 4, "the server tried to open it each time");
}

/// What a stranger can guess at is compared by `subtle`, everywhere. By reading: a measurement would be
/// right on some machines and on some days.
#[test]
fn comparisons_of_secrets_are_constant_time() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a source");
    for (path, comparison) in [
        ("dtls/src/server/cookie.rs", "cookie(secret, peer, hello).ct_eq(hello.cookie)"),
        ("dtls/src/server/key_exchange.rs", "expected.client_verify.ct_eq(body)"),
        ("dtls/src/client/machine.rs", "server_verify.ct_eq(body)"),
        ("dtls/src/heartbeat.rs", "self.payload.ct_eq(payload)"),
        ("dtls/src/server/resumption.rs", "check.ct_eq(&resumable.key_check)"),
        ("crypto/src/aead.rs", "full[..tag.len()].ct_eq(tag)"),
    ] {
        assert!(read(path).contains(comparison), "{path}: {comparison}");
    }
    for path in ["dtls/src/server/key_exchange.rs", "dtls/src/client/machine.rs"] {
        let text = read(path);
        let plain = text.lines().filter(|line| line.contains("verify") && line.contains(" == "));
        assert_eq!(plain.count(), 0, "{path} compares a verify_data in variable time");
    }
}
