//! Purpose: two devices say who they are by extension 0xFF41 and have a key that no third has.
//! Criteria: a session only where both name the key that both have; handshake_failure for another secret, for a
//! server that is somebody else and for a client that says it is the server; who does not speak the extension is
//! served by its key alone.

use crate::ends::{Guest, Hall, at};
use lowgate_dtls::{
    AlertDescription, ClientConfig, CloseReason, Credential, Pair, PairAnswer, PairwiseId, Psk,
    PskDirectory, ServerConfig,
};

const KEY: [u8; 16] = [9; 16];
/// Version 1, scheme 1, set 1, generation 1, and who.
const SWITCH: [u8; 14] = *b"\x01\x01\x00\x01\x01\x08switch-1";
const LIGHT: [u8; 14] = *b"\x01\x01\x00\x01\x01\x08light--1";
const OTHER_LIGHT: [u8; 14] = *b"\x01\x01\x00\x01\x01\x08light--2";
const LATER_LIGHT: [u8; 14] = *b"\x01\x01\x00\x01\x02\x08light--1";

fn id(octets: &[u8]) -> PairwiseId {
    PairwiseId::from_slice(octets).expect("14 octets")
}

/// A light that has a key with the switch.
struct Light {
    own: [u8; 14],
}

impl PskDirectory for Light {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        (identity == b"switch-1").then(|| Psk::new(&KEY)).flatten()
    }

    fn pair_answer(&self, client: &[u8]) -> PairAnswer {
        if client == SWITCH { PairAnswer::Own(id(&self.own)) } else { PairAnswer::Refused }
    }
}

fn hall(own: [u8; 14]) -> Hall {
    let mut hall = Hall::new(|config| {
        let ccm = config.ccm;
        *config = ServerConfig { connection_id: false, ..ServerConfig::constrained(ccm) };
    });
    hall.directory = Box::new(Light { own });
    hall
}

fn switch(config: &mut ClientConfig<'_>, own: &[u8], peer: &[u8]) {
    let psk = Psk::new(&KEY).expect("16 octets");
    config.credential = Credential::Psk { identity: b"switch-1", psk };
    config.pair = Some(Pair { own: id(own), peer: id(peer) });
}

fn meet(hall: &mut Hall, own: &[u8], peer: &[u8]) -> Guest {
    let mut guest = Guest::new(1, |config| switch(config, own, peer));
    guest.settle(hall, &at(1));
    guest
}

#[test]
fn two_that_have_a_key() {
    let mut hall = hall(LIGHT);
    let guest = meet(&mut hall, &SWITCH, &LIGHT);
    assert_eq!((guest.established, guest.closed, hall.established.len()), (1, None, 1));
    let shown = |octets: &[u8], who: &[u8; 14]| octets.windows(14).any(|part| part == who);
    assert!(guest.sent.iter().any(|octets| shown(octets, &SWITCH)));
}

/// A server that names another device or another secret is not the one that was looked for.
#[test]
fn a_server_that_is_somebody_else() {
    for own in [OTHER_LIGHT, LATER_LIGHT] {
        let mut hall = hall(own);
        let guest = meet(&mut hall, &SWITCH, &LIGHT);
        assert_eq!((guest.established, guest.closed), (0, Some(CloseReason::NoCommonPair)));
        let alert = guest.sent.last().expect("an alert");
        assert_eq!(alert[0], 21);
        assert_eq!(alert[alert.len() - 1], AlertDescription::HANDSHAKE_FAILURE.0);
        assert_eq!(hall.established.len(), 0);
    }
}

/// A client whose secret is another's, or that says it is the server: nothing of it is kept.
#[test]
fn a_client_without_a_key() {
    let later = *b"\x01\x01\x00\x01\x02\x08switch-1";
    for own in [&later[..], &LIGHT, b""] {
        let mut hall = hall(LIGHT);
        let guest = meet(&mut hall, own, &LIGHT);
        let refused = CloseReason::PeerAlert(AlertDescription::HANDSHAKE_FAILURE);
        assert_eq!((guest.established, guest.closed), (0, Some(refused)));
        assert!(hall.failed.iter().all(|reason| *reason == CloseReason::NoCommonPair));
        assert_eq!((hall.server.half_open_count(), hall.established.len()), (0, 0));
    }
}

/// Stock stacks do not speak the extension; the key binds both names all the same.
#[test]
fn who_does_not_speak_it() {
    let mut stock = hall(LIGHT);
    let mut guest = Guest::new(1, |config| {
        switch(config, &SWITCH, &LIGHT);
        config.pair = None;
    });
    guest.settle(&mut stock, &at(1));
    assert_eq!((guest.established, stock.established.len()), (1, 1));

    struct Stock;
    impl PskDirectory for Stock {
        fn psk(&self, identity: &[u8]) -> Option<Psk> {
            Light { own: LIGHT }.psk(identity)
        }
    }
    let mut hall = hall(LIGHT);
    hall.directory = Box::new(Stock);
    let guest = meet(&mut hall, &SWITCH, &LIGHT);
    assert_eq!((guest.established, guest.closed), (1, None));
}

/// Whoever changes what either says of itself on its way spoils the handshake and nothing more.
#[test]
fn what_is_said_is_bound_to_the_keys() {
    let mut hall = hall(LIGHT);
    hall.directory = Box::new(Light { own: OTHER_LIGHT });
    let mut guest = Guest::new(1, |config| switch(config, &SWITCH, &LIGHT));
    let peer = at(1);
    let first = guest.sent[0].clone();
    let verify = hall.hear(&peer, &first);
    let second = guest.hear(&verify[0]);
    for answer in hall.hear(&peer, &second[0]) {
        let mut forged = answer.clone();
        if let Some(place) = answer.windows(14).position(|part| part == OTHER_LIGHT) {
            forged[place..place + 14].copy_from_slice(&LIGHT);
        }
        for finished in guest.hear(&forged) {
            hall.hear(&peer, &finished);
        }
    }
    assert_eq!((guest.established, hall.established.len()), (0, 0));
}
