//! A public capture: `dtls12-aes128ccm8.pcap` of Wireshark's sample captures, GnuTLS on both ends,
//! PSK `ca19e028a8a372ad2d325f950fcaceed`, identity `test`, no extended master secret.
//!
//! Whatever we compute alike on both ends of our own and yet wrong, fails here.

extern crate std;

use crate::fragment_len::PLAINTEXT_OCTETS_MAX;
use crate::handshake::{Fragment, MessageType, hash_message};
use crate::hello::{ClientHelloHead, Offered, ServerHello, parse_hello_verify};
use crate::protect::ReadKeys;
use crate::record::{Record, RecordType};
use crate::schedule::{Master, Premaster, Randoms};
use crate::{ContentType, Psk};
use lowgate_crypto::{Sha256, SoftCcm};
use lowgate_testkit::hex;
use std::vec::Vec;

const FIRST_HELLO: &str = "16feff0000000000000000004601\
    00003a000000000000003afefd588e5f9dc778cef22405f42f9bea25928bd0312ce14d642d034d24f4fab672fc\
    00000002c0a80100000e000500050100000000ff01000100";
const VERIFY_REQUEST: &str =
    "16feff0000000000000000001f030000130000000000000013feff10113a3f65af4602091fc0afee6e919ba2";
const SECOND_HELLO: &str = "16feff0000000000000001005601\
    00004a000100000000004afefd588e5f9dc778cef22405f42f9bea25928bd0312ce14d642d034d24f4fab672fc\
    0010113a3f65af4602091fc0afee6e919ba20002c0a80100000e000500050100000000ff01000100";
const SERVER_HELLO: &str = "16fefd0000000000000001005902\
    00004d000100000000004dfefd588e5f36a2c95dca786113f723f3701be3cc12c043ea812558987da545ed726a\
    20a17a78670883e4f524a2701f2f87c0aad7f1f425099822d0bd7416b5261397ddc0a8000005ff01000100";
const HELLO_DONE: &str = "16fefd0000000000000002000c0e0000000002000000000000";
const KEY_EXCHANGE: &str = "16fefd00000000000000020012100000060002000000000006000474657374";

/// Records of epoch 1: from the client, and what they hold.
const PROTECTED: [(bool, &str, &str); 7] = [
    (
        true,
        "16fefd00010000000000000028\
         00010000000000006540080120371f2ea6aa2bc268161620c792f47021205e56a0b64f34ee4b27b0",
        "1400000c000300000000000ce33dc86a381c5da0777be1a9",
    ),
    (
        false,
        "16fefd00010000000000000028\
         00010000000000004dd9e249e86b60a5811b9f002123eb0ec23b260587d25b07fae6691f2a99e28d",
        "1400000c000300000000000c5e1630f3e41175e3fecf7c31",
    ),
    (
        true,
        "17fefd000100000000000100300001000000000001\
         c2315fbaace18d75d6220ca5fb6d978216d736c454f287b518743b2b32013f33ce62ab214c2a0b9c",
        "44544c53312e322074657374207573696e6720476e75544c5320332e352e380a",
    ),
    (
        false,
        "17fefd000100000000000100300001000000000001\
         58a0cc7089deec5cf07022bc72793f009b4102f7446012f5b0d9220549a5f774dba3806ab5365240",
        "44544c53312e322074657374207573696e6720476e75544c5320332e352e380a",
    ),
    (
        true,
        "17fefd0001000000000002001e0001000000000002972368b30991df4705ee7a5790a3622c086c9567e1f4",
        "576f726b7320666f72206d65210a",
    ),
    (
        false,
        "17fefd0001000000000002001e0001000000000002543a7a370a6575e32293e7ff4d449626b25ee4cda4d4",
        "576f726b7320666f72206d65210a",
    ),
    (true, "15fefd000100000000000300120001000000000003d2aa4f0a3362fee37b72", "0100"),
];

/// Message number and body of a record that holds one whole handshake message.
fn message(text: &str, kind: MessageType) -> (u16, Vec<u8>) {
    let mut octets = hex(text);
    let (record, rest) = Record::split(&mut octets, 0).expect("record");
    assert!(rest.is_empty());
    let (fragment, _) = Fragment::split(record.body).expect("fragment");
    assert!(fragment.is_whole() && fragment.kind == kind);
    (fragment.seq, fragment.octets.to_vec())
}

struct Handshake {
    client_random: [u8; 32],
    server_random: [u8; 32],
    transcript: Sha256,
}

impl Handshake {
    fn read() -> Self {
        let (_, first) = message(FIRST_HELLO, MessageType::ClientHello);
        let first = ClientHelloHead::parse(&first).expect("hello");
        let (_, verify) = message(VERIFY_REQUEST, MessageType::HelloVerifyRequest);
        let (hello_seq, second_body) = message(SECOND_HELLO, MessageType::ClientHello);
        let second = ClientHelloHead::parse(&second_body).expect("hello");
        assert_eq!(parse_hello_verify(&verify), Ok(second.cookie));
        assert_eq!(first.parameters, second.parameters);
        let offer = second.offer().expect("our suite");
        assert!(offer.renegotiation_info && !offer.extended_master_secret);
        let offered = Offered::default();
        let (answer_seq, answer_body) = message(SERVER_HELLO, MessageType::ServerHello);
        let answer = ServerHello::parse(&answer_body, offered).expect("our suite");
        let mut transcript = Sha256::new();
        hash_message(&mut transcript, MessageType::ClientHello, hello_seq, &second_body);
        hash_message(&mut transcript, MessageType::ServerHello, answer_seq, &answer_body);
        for (text, kind) in [
            (HELLO_DONE, MessageType::ServerHelloDone),
            (KEY_EXCHANGE, MessageType::ClientKeyExchange),
        ] {
            let (seq, body) = message(text, kind);
            hash_message(&mut transcript, kind, seq, &body);
        }
        Self { client_random: *second.random, server_random: *answer.random, transcript }
    }
}

#[test]
fn protected_records_open_and_both_finished_verify() {
    let mut handshake = Handshake::read();
    let randoms = Randoms { client: &handshake.client_random, server: &handshake.server_random };
    let psk = Psk::new(&hex("ca19e028a8a372ad2d325f950fcaceed")).expect("16 octets");
    let master = Master::derive(&Premaster::Psk(&psk), randoms, None);
    let expected = hex("7057f3d706cf0680a40e4f2e0747ce78ce98da2622eb9a9543f7f15463744157
        256a796db50bbe65cdbdc292a09335b4");
    assert_eq!(master.0.expose()[..], expected);
    let (client, server) = master.schedule().keys(randoms);
    assert_eq!(client.key.expose()[..], hex("0ec0da229b86ffdbf017f079b13a5e85"));
    assert_eq!(server.key.expose()[..], hex("7e1475a1fa146fecbb1d5a776b02c067"));
    assert_eq!((&client.salt[..], &server.salt[..]), (&hex("4e4dee2f")[..], &hex("a4e3e5bf")[..]));
    let hash = handshake.transcript.digest();
    let client_verify = master.schedule().client_finished(&hash);
    hash_message(&mut handshake.transcript, MessageType::Finished, 3, &client_verify);
    let server_verify = master.server_finished(&handshake.transcript.digest());
    let (mut from_client, mut from_server) =
        (ReadKeys::new(client, PLAINTEXT_OCTETS_MAX), ReadKeys::new(server, PLAINTEXT_OCTETS_MAX));
    for (i, (is_client, sealed, plain)) in PROTECTED.iter().enumerate() {
        let mut octets = hex(sealed);
        let (record, _) = Record::split(&mut octets, 4).expect("record");
        let keys = if *is_client { &mut from_client } else { &mut from_server };
        let opened = keys.open(&SoftCcm, record).expect("genuine");
        assert_eq!(opened.plaintext, hex(plain));
        match (i, opened.kind) {
            (0 | 1, RecordType::Handshake) => {
                let (finished, _) = Fragment::split(opened.plaintext).expect("fragment");
                let expected = if *is_client { client_verify } else { server_verify };
                assert_eq!(finished.octets, expected);
            }
            (2..=5, RecordType::Payload(ContentType::ApplicationData)) | (6, RecordType::Alert) => {
            }
            (_, kind) => panic!("record {i} is {kind:?}"),
        }
    }
}
