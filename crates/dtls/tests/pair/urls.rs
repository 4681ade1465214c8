//! Purpose: a device says where its certificates are, and shows none. RFC 6066 section 5, RFC 7925 section 4.4.5.
//! Criteria: only a server that agreed hears of URLs, and it can tell whose they are; ours refuses to fetch, and then the
//! device shows its chain, if it has one. No implementation at hand fetches, so the server is one of our own, written
//! from RFC 5246, 6066 and 8422 with nothing of Lowgate but its primitives.

use crate::certificates::{good_client, world};
use crate::chains::*;
use crate::curve::{CERTIFICATE, CERTIFICATE_VERIFY};
use crate::ends::{Guest, Hall, at};
use crate::puppet::{HANDSHAKE, extension, extensions, message, record, server_extensions};
use crate::world::*;
use lowgate_crypto::{Ccm, EphemeralKey, Key128, PublicKey, Secret, Sha256, SoftCcm, tls12_prf};
use lowgate_dtls::{
    CertificateUrl, CertificateUrls, CipherSuite, Client, ClientConfig, CloseReason, ConfigRefused,
    Credential,
};
use lowgate_units::Prng;

const CLIENT_CERTIFICATE_URL: u16 = 2;
const EXTENDED_MASTER_SECRET: u16 = 23;
const CERTIFICATE_URL: u8 = 21;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// SHA-1 of "abc", FIPS 180-1 appendix A.
const ABC: [u8; 20] = [
    0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c,
    0x9c, 0xd0, 0xd8, 0x9d,
];
const LEAF: CertificateUrl = CertificateUrl { url: "http://pki.example/d1.cer", sha1: ABC };
const ISSUER: CertificateUrl = CertificateUrl { url: "https://pki.example/two", sha1: [2; 20] };
const EACH: CertificateUrls = CertificateUrls::Each(&[LEAF, ISSUER]);

fn with(config: &mut ClientConfig<'_>, at: CertificateUrls, in_flash: bool) {
    if let Credential::Certificate { urls, chain, .. } = &mut config.credential {
        *urls = Some(at);
        if !in_flash {
            *chain = &[];
        }
    }
}

fn guest(edit: impl FnOnce(&mut ClientConfig<'_>)) -> Guest {
    let anchors = Vec::leak(vec![trusted()]);
    Guest::new(1, |config| {
        // Messages in one piece each.
        let base = good_client(1, anchors);
        *config = ClientConfig { connection_id: false, datagram_len_max: 2000, ..base };
        edit(config);
    })
}

/// A server that fetches: what the client said in its last flight, message by message.
struct Fetcher {
    messages: Vec<(u8, Vec<u8>)>,
    transcript: Vec<u8>,
    randoms: [[u8; 32]; 2],
    share: EphemeralKey,
}

impl Fetcher {
    /// Its first flight, in answer to a hello that has no need of a cookie. `agrees` to URLs.
    fn answer(hello: &[u8], agrees: bool) -> (Self, Vec<Vec<u8>>) {
        let hello = &hello[13..];
        let client_random = hello[14..46].try_into().expect("32 octets");
        let random = [0x5e; 32];
        let share = EphemeralKey::derive(&Secret::new([9; 32]), [b"fetcher", b"share"]);
        let mut block = extension(0xff01, &[0]);
        block.extend(extension(EXTENDED_MASTER_SECRET, &[]));
        if agrees {
            block.extend(extension(CLIENT_CERTIFICATE_URL, &[]));
        }
        let len = (block.len() as u16).to_be_bytes();
        let server_hello = [&[0xfe, 0xfd][..], &random, &[0, 0xc0, 0xae, 0], &len, &block].concat();
        let params = [&[3, 0, 23, 65][..], &share.public().point()].concat();
        let signed = Sha256::of(&[&client_random, &random, &params[..]].concat());
        let messages = [
            (2, server_hello),
            (CERTIFICATE, list24(&chain(&server_leaf(), TRUSTED))),
            (12, [&params[..], &signature(private_key(SERVER).sign(&signed).octets())].concat()),
            (13, vec![1, 64, 0, 2, 4, 3, 0, 0]),
            (14, Vec::new()),
        ];
        let mut fetcher = Self {
            messages: Vec::new(),
            transcript: hello.to_vec(),
            randoms: [client_random, random],
            share,
        };
        let said = messages.iter().zip(0..).map(|((kind, body), seq)| {
            let message = message(*kind, seq, body);
            fetcher.transcript.extend_from_slice(&message);
            record(HANDSHAKE, 0, u64::from(seq), &message)
        });
        let said = said.collect();
        (fetcher, said)
    }

    /// Hears the client's last flight in whole messages, and ends the handshake if it is a good one by `client`.
    fn finish(mut self, flight: &[Vec<u8>], client: &PublicKey) -> (Self, Vec<Vec<u8>>) {
        let mut finished = None;
        let mut before_verify = Vec::new();
        for (kind, epoch, _, record) in flight.iter().flat_map(|octets| records(octets, 0)) {
            if kind != HANDSHAKE {
                continue;
            }
            if epoch == 1 {
                finished = Some(record);
                continue;
            }
            let (kind, body) = (record[13], record[25..].to_vec());
            if kind == CERTIFICATE_VERIFY {
                before_verify = Sha256::of(&self.transcript).to_vec();
                let digest = before_verify[..].try_into().expect("32 octets");
                assert_eq!(body[..2], [4, 3]);
                assert!(client.verifies(&digest, &body[4..]), "it has the key");
            }
            self.transcript.extend_from_slice(&record[13..]);
            self.messages.push((kind, body));
        }
        assert!(!before_verify.is_empty(), "it proved that it has its key");
        let exchange = self.messages.iter().find(|(kind, _)| *kind == CLIENT_KEY_EXCHANGE);
        let theirs = PublicKey::from_point(&exchange.expect("a share").1[1..]).expect("a point");
        let verify_at = self.transcript.len() - message_len(&self.messages, CERTIFICATE_VERIFY);
        let session_hash = Sha256::of(&self.transcript[..verify_at]);
        let premaster = std::mem::replace(
            &mut self.share,
            EphemeralKey::derive(&Secret::new([8; 32]), [b"", b""]),
        )
        .agree(&theirs);
        let (mut master, mut block) = ([0; 48], [0; 40]);
        tls12_prf(premaster.expose(), b"extended master secret", &[&session_hash], &mut master);
        let [client_random, server_random] = self.randoms;
        tls12_prf(&master, b"key expansion", &[&server_random, &client_random], &mut block);

        let record = finished.expect("a Finished");
        let plain = open(&block, &record);
        let mut expected = [0; 12];
        let hash = Sha256::of(&self.transcript);
        tls12_prf(&master, b"client finished", &[&hash], &mut expected);
        assert_eq!(plain[12..], expected, "over the URLs too");
        self.transcript.extend_from_slice(&plain);
        let mut verify = [0; 12];
        let hash = Sha256::of(&self.transcript);
        tls12_prf(&master, b"server finished", &[&hash], &mut verify);
        let change = crate::puppet::record(crate::puppet::CHANGE_CIPHER_SPEC, 0, 9, &[1]);
        let sealed = seal(&block, &message(20, 5, &verify));
        (self, vec![change, sealed])
    }
}

fn message_len(messages: &[(u8, Vec<u8>)], kind: u8) -> usize {
    let (_, body) = messages.iter().find(|(of, _)| *of == kind).expect("it was said");
    12 + body.len()
}

fn list24(chain: &[Box<[u8]>]) -> Vec<u8> {
    let vec24 = |octets: &[u8]| [&(octets.len() as u32).to_be_bytes()[1..], octets].concat();
    vec24(&chain.iter().flat_map(|certificate| vec24(certificate)).collect::<Vec<_>>())
}

fn signature(octets: &[u8]) -> Vec<u8> {
    [&[4, 3][..], &(octets.len() as u16).to_be_bytes(), octets].concat()
}

fn key_and_salt(block: &[u8; 40], client: bool) -> (Key128, [u8; 4]) {
    let (key, salt) = if client { (0, 32) } else { (16, 36) };
    let key = Key128::from_slice(&block[key..key + 16]).expect("16 octets");
    (key, block[salt..salt + 4].try_into().expect("4 octets"))
}

/// A record of epoch 1 by the client.
fn open(block: &[u8; 40], record: &[u8]) -> Vec<u8> {
    let (key, salt) = key_and_salt(block, true);
    let (head, body) = record.split_at(13);
    let (nonce, sealed) = body.split_at(8);
    let (inner, tag) = sealed.split_at(sealed.len() - 8);
    let len = (inner.len() as u16).to_be_bytes();
    let aad = [&head[3..11], &[HANDSHAKE, 0xfe, 0xfd], &len].concat();
    let mut inner = inner.to_vec();
    SoftCcm.open(&key, &[&salt[..], nonce].concat(), &aad, &mut inner, tag).expect("our keys");
    inner
}

/// The first record of epoch 1 by the server.
fn seal(block: &[u8; 40], message: &[u8]) -> Vec<u8> {
    let (key, salt) = key_and_salt(block, false);
    let number = (1u64 << 48).to_be_bytes();
    let len = (message.len() as u16).to_be_bytes();
    let aad = [&number[..], &[HANDSHAKE, 0xfe, 0xfd], &len].concat();
    let (mut sealed, mut tag) = (message.to_vec(), [0; 8]);
    SoftCcm.seal(&key, &[&salt[..], &number].concat(), &aad, &mut sealed, &mut tag);
    record(HANDSHAKE, 1, 0, &[&number[..], &sealed, &tag].concat())
}

/// The handshake with a server that fetches: what the client showed.
fn fetched(agrees: bool, in_flash: bool, urls: CertificateUrls) -> (Guest, Option<(u8, Vec<u8>)>) {
    let mut guest = guest(|config| with(config, urls, in_flash));
    let (fetcher, answer) = Fetcher::answer(&guest.sent[0], agrees);
    let flight: Vec<_> = answer.iter().flat_map(|octets| guest.hear(octets)).collect();
    if flight.is_empty() || flight[0][0] == crate::puppet::ALERT {
        return (guest, None);
    }
    let (fetcher, last) = fetcher.finish(&flight, &private_key(1).public());
    last.iter().for_each(|octets| drop(guest.hear(octets)));
    let shown = fetcher.messages.into_iter().next();
    (guest, shown)
}

#[test]
fn urls_in_place_of_certificates() {
    for in_flash in [false, true] {
        let (guest, shown) = fetched(true, in_flash, EACH);
        assert_eq!((guest.established, guest.closed), (1, None));
        let entry = |entry: &CertificateUrl| {
            let len = (entry.url.len() as u16).to_be_bytes();
            [&len[..], entry.url.as_bytes(), &[1], &entry.sha1].concat()
        };
        let list = [entry(&LEAF), entry(&ISSUER)].concat();
        let body = [&[0][..], &(list.len() as u16).to_be_bytes(), &list].concat();
        assert_eq!(shown, Some((CERTIFICATE_URL, body)));
    }
    let (guest, shown) = fetched(true, false, CertificateUrls::PkiPath(LEAF));
    assert_eq!(guest.established, 1);
    let (_, body) = shown.expect("it was shown");
    assert_eq!((body[0], body.len()), (1, 3 + 2 + LEAF.url.len() + 21));
}

/// RFC 6066 section 5: URLs need both hellos.
#[test]
fn who_did_not_agree_hears_of_no_url() {
    let (guest, shown) = fetched(false, true, EACH);
    assert_eq!((guest.established, guest.closed), (1, None));
    let expected = list24(&chain(&device_leaf(1), TRUSTED));
    assert_eq!(shown, Some((CERTIFICATE, expected)));
    // Who has nothing to show cannot go on.
    let (mut guest, shown) = fetched(false, false, EACH);
    assert!(guest.established == 0 && shown.is_none());
    while guest.closed.is_none() {
        let before = guest.sent.len();
        guest.now = guest.drain();
        guest.drain();
        for said in guest.sent.split_off(before) {
            if said[0] != HANDSHAKE {
                assert_eq!(said[13..], [2, 40], "handshake_failure");
                continue;
            }
            let (_, answer) = Fetcher::answer(&said, false);
            assert!(answer.iter().all(|octets| guest.hear(octets).is_empty()), "nothing to say");
        }
    }
    assert_eq!(guest.closed, Some(CloseReason::NoCommonSuite));
}

/// Our server does not agree: the client shows its chain, and nobody fetches.
#[test]
fn our_server_refuses_to_fetch() {
    let mut world = world(1, |config| with(config, EACH, true));
    world.start(0);
    world.run_for(secs(1));
    world.expect_suite(CipherSuite::EcdheEcdsa);
    let offered = world.nodes[0].sent[0].1.clone();
    let at = 13 + 12 + 34 + 2 + 2 + 2 + 2;
    let block = extensions(&offered[at + 2..]).expect("whole extensions");
    assert!(block.contains(&(CLIENT_CERTIFICATE_URL, &[][..])));
    let all = world.said.sent.iter().flat_map(|(_, octets)| records(octets, 4));
    let mut hellos = all.filter(|it| (it.0, it.1, it.3[13]) == (22, 0, 2));
    let hello = hellos.next_back().expect("a hello").3;
    let answered = server_extensions(&hello[25..]);
    assert!(answered.iter().all(|(kind, _)| *kind != CLIENT_CERTIFICATE_URL));
}

/// A CertificateURL that nobody agreed to says nothing to our server, wherever in the handshake it comes.
#[test]
fn a_url_that_was_not_agreed_on_is_dropped() {
    let mut hall = Hall::new(|config| config.certificates = Some(good_certificates()));
    let mut guest = guest(|_| {});
    let verify = hall.hear(&at(1), &guest.sent[0]);
    verify.iter().for_each(|octets| drop(guest.hear(octets)));
    hall.hear(&at(1), &guest.sent[1]);
    let (len, url) = ((LEAF.url.len() as u16).to_be_bytes(), LEAF.url.as_bytes());
    let list = [&len[..], url, &[1], &ABC].concat();
    let body = [&[0][..], &(list.len() as u16).to_be_bytes(), &list].concat();
    for seq in 0..4 {
        let octets =
            record(HANDSHAKE, 0, 90 + u64::from(seq), &message(CERTIFICATE_URL, seq, &body));
        assert!(hall.hear(&at(1), &octets).is_empty(), "no answer to {seq}");
    }
    guest.settle(&mut hall, &at(1));
    assert_eq!((guest.established, hall.alerts()), (1, 0));
}

#[test]
fn urls_that_lead_nowhere() {
    let anchors = [trusted()];
    let check = |urls, expected| {
        let mut config = good_client(1, &anchors);
        with(&mut config, urls, true);
        let made = Client::new(&SoftCcm, config, [0; 32], Prng::new(1));
        assert_eq!(made.err(), expected, "{urls:?}");
    };
    let long: &'static str = Box::leak(format!("http://{}", "a".repeat(249)).into_boxed_str());
    let longer: &'static str = Box::leak(format!("{long}a").into_boxed_str());
    for good in ["http://a", "https://[2001:db8::1]:8080/a?b#c", long] {
        check(CertificateUrls::PkiPath(CertificateUrl { url: good, sha1: ABC }), None);
    }
    let refused = Some(ConfigRefused::BadCertificateUrl);
    for bad in ["", "http://", "http:///a", "ftp://a/b", "//a/b", "a", "http://a b", longer] {
        check(CertificateUrls::PkiPath(CertificateUrl { url: bad, sha1: ABC }), refused);
    }
    check(CertificateUrls::Each(&[]), refused);
    check(CertificateUrls::Each(&[LEAF; 4]), None);
    check(CertificateUrls::Each(&[LEAF; 5]), refused);
}
