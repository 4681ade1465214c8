//! What only the inside can arrange: a server that has the keys and lies, numbers that run out.

extern crate std;

use super::*;
use crate::handshake::{MessageType, emit_header};
use crate::record::{Record, SEQ_MAX};
use crate::schedule::Randoms;
use crate::{
    Peer, Psk, PskDirectory, Retransmission, Server, ServerConfig, ServerInput, ServerOutput,
    SessionId,
};
use lowgate_crypto::SoftCcm;
#[cfg(feature = "ecc")]
use lowgate_crypto::{PrivateKey, Secret};
use lowgate_units::{Ipv6Addr, SeededEntropy};
use std::vec::Vec;

struct Anyone;

impl PskDirectory for Anyone {
    fn psk(&self, _: &[u8]) -> Option<Psk> {
        Psk::new(b"key")
    }

    fn group_answer(&self, _: &[u8]) -> Option<GroupAnswer> {
        GroupAnswer::from_slice(&[1, 1]).ok()
    }
}

const NOW: Instant = Instant::from_secs(1);

struct Pair {
    client: Client,
    server: Server,
    entropy: SeededEntropy,
    peer: Peer,
    established: Option<SessionId>,
    drops: Vec<RecordDrop>,
}

impl Pair {
    fn new() -> Self {
        Self::asking(None)
    }

    fn asking(group_request: Option<&[u8]>) -> Self {
        Self::with(group_request, None)
    }

    fn with(group_request: Option<&[u8]>, resume: Option<SavedSession>) -> Self {
        let config = ClientConfig {
            group_request,
            datagram_len_max: 512,
            retransmission: Retransmission::Rfc6347,
            resume,
            ..ClientConfig::new(b"d", Psk::new(b"key").expect("3 octets"))
        };
        let mut client =
            Client::new(&SoftCcm, config, [7; 32], Prng::new(1)).expect("good configuration");
        client.handle(NOW, ClientInput::Start);
        let mut entropy = SeededEntropy::new(1);
        let config = ServerConfig { resumable_max: 1, ..ServerConfig::new(&SoftCcm) };
        let server = Server::new(config, Prng::new(2), &mut entropy);
        let relay_header = heapless::Vec::new();
        let peer = Peer { addr: Ipv6Addr::LOCALHOST, port: 1, relay_header };
        Self { client, server, entropy, peer, established: None, drops: Vec::new() }
    }

    /// The client's next datagrams go to the server; its answers are returned.
    fn up(&mut self) -> Vec<Vec<u8>> {
        let mut buf = [0; 1280];
        while let ClientOutput::Transmit { len } = self.client.poll(NOW, &mut buf) {
            let input = ServerInput::Datagram { peer: &self.peer, octets: &mut buf[..len] };
            self.server.handle(NOW, input, &Anyone, &mut self.entropy);
        }
        self.answers()
    }

    fn answers(&mut self) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        loop {
            match self.server.poll(NOW) {
                ServerOutput::Transmit { octets, .. } => answers.push(octets),
                ServerOutput::Established { session, .. } => self.established = Some(session),
                ServerOutput::Event { drop, .. } => self.drops.push(drop),
                ServerOutput::Wait { .. } => return answers,
                _ => {}
            }
        }
    }

    fn down(&mut self, datagrams: Vec<Vec<u8>>) {
        for mut octets in datagrams {
            self.client.handle(NOW, ClientInput::Datagram(&mut octets));
        }
    }

    /// Until the server's Finished is on its way to the client.
    fn last_flight(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..2 {
            let answers = self.up();
            self.down(answers);
        }
        self.up()
    }
}

/// A Finished that is not verified lets anyone in who can tamper with hellos.
#[test]
fn the_servers_finished_is_verified() {
    for at in 0..VERIFY_DATA_OCTETS {
        let mut pair = Pair::new();
        let last = pair.last_flight();
        let State::AwaitFinished { server_verify, .. } = &mut pair.client.state else {
            panic!("Finished is out");
        };
        server_verify[at] ^= 0x80;
        pair.down(last);
        assert!(!pair.client.is_established());
        let mut buf = [0; 1280];
        let alert = pair.client.poll(NOW, &mut buf);
        assert!(matches!(alert, ClientOutput::Transmit { .. }), "{alert:?}");
        let closed = ClientOutput::Closed { reason: CloseReason::KeyMismatch };
        assert_eq!(pair.client.poll(NOW, &mut buf), closed);
    }
}

#[test]
fn record_numbers_run_out_with_a_goodbye() {
    let mut pair = Pair::new();
    let last = pair.last_flight();
    pair.down(last);
    let State::Established(session) = &mut pair.client.state else { panic!("established") };
    session.write.set_next_seq(SEQ_MAX - 1);
    let mut buf = [0; 1280];
    assert!(pair.client.send(ContentType::ApplicationData, b"last", &mut buf).is_ok());
    let refused = pair.client.send(ContentType::ApplicationData, b"none", &mut buf);
    assert_eq!(refused, Err(SendRefused::SequenceExhausted));
    pair.client.handle(NOW, ClientInput::Close);
    assert_eq!(pair.client.poll(NOW, &mut buf), ClientOutput::Established { group_answer: None });
    let goodbye = pair.client.poll(NOW, &mut buf);
    assert!(matches!(goodbye, ClientOutput::Transmit { .. }), "{goodbye:?}");
}

#[test]
fn a_full_inbox_drops_by_name() {
    let mut pair = Pair::new();
    let last = pair.last_flight();
    pair.down(last);
    let session = pair.established.expect("established");
    for _ in 0..4 {
        let sent = pair.server.send(NOW, session, ContentType::ApplicationData, &[1; 400]);
        assert_eq!(sent, Ok(()));
    }
    let datagrams = pair.answers();
    pair.down(datagrams);
    let mut buf = [0; 1280];
    assert_eq!(pair.client.poll(NOW, &mut buf), ClientOutput::Established { group_answer: None });
    let payload = ClientOutput::Received { content_type: ContentType::ApplicationData, len: 400 };
    for _ in 0..3 {
        assert_eq!(pair.client.poll(NOW, &mut buf), payload);
    }
    assert_eq!(pair.client.poll(NOW, &mut buf), ClientOutput::Event(RecordDrop::QueueFull));
}

/// A peer that sends key messages although 0xFF40 was not agreed on.
#[test]
fn key_messages_need_the_extension_on_the_receiving_side_too() {
    let mut pair = Pair::new();
    let last = pair.last_flight();
    pair.down(last);
    let State::Established(session) = &mut pair.client.state else { panic!("established") };
    session.hello.group_answer = Some(GroupAnswer::new());
    let mut buf = [0; 512];
    let len = pair.client.send(ContentType::KeyData, b"", &mut buf).expect("session");
    let input = ServerInput::Datagram { peer: &pair.peer, octets: &mut buf[..len] };
    pair.server.handle(NOW, input, &Anyone, &mut pair.entropy);
    pair.answers();
    assert_eq!(pair.drops, [RecordDrop::NotNegotiated]);

    let mut pair = Pair::asking(Some(&[1]));
    let last = pair.last_flight();
    pair.down(last);
    let State::Established(session) = &mut pair.client.state else { panic!("established") };
    assert!(session.hello.group_answer.take().is_some());
    let session = pair.established.expect("established");
    assert_eq!(pair.server.send(NOW, session, ContentType::KeyParameters, b""), Ok(()));
    let datagrams = pair.answers();
    pair.down(datagrams);
    let mut buf = [0; 1280];
    assert_eq!(pair.client.poll(NOW, &mut buf), ClientOutput::Established { group_answer: None });
    let dropped = ClientOutput::Event(RecordDrop::NotNegotiated);
    assert_eq!(pair.client.poll(NOW, &mut buf), dropped);
}

impl Pair {
    /// With a session, all news of it drained.
    fn joined() -> Self {
        let mut pair = Self::new();
        let last = pair.last_flight();
        pair.down(last);
        while !matches!(pair.client.poll(NOW, &mut [0; 1280]), ClientOutput::Wait { .. }) {}
        pair
    }

    fn session(&mut self) -> &mut Session {
        let State::Established(session) = &mut self.client.state else { panic!("established") };
        session
    }

    /// A record that the server might have sent.
    fn of_server(&mut self, kind: RecordType, plaintext: &[u8]) -> Vec<u8> {
        let session = self.session();
        let randoms = Randoms { client: &[7; 32], server: &session.hello.server_random };
        let (_, keys) = session.master.schedule().keys(randoms);
        let mut write = WriteKeys::new(keys, 64);
        write.set_next_seq(9);
        let mut out = [0; 128];
        let len = write.seal(&SoftCcm, kind, &[], plaintext, &mut out).expect("room");
        out[..len].to_vec()
    }

    /// A record of the client, given to the server. What that says to it.
    fn of_client(&mut self, kind: RecordType, plaintext: &[u8]) -> Vec<Vec<u8>> {
        let session = self.session();
        let mut out = [0; 128];
        let cid = session.hello.cid.clone();
        let len = session.write.seal(&SoftCcm, kind, &cid, plaintext, &mut out).expect("room");
        let input = ServerInput::Datagram { peer: &self.peer, octets: &mut out[..len] };
        self.server.handle(NOW, input, &Anyone, &mut self.entropy);
        self.answers()
    }
}

/// RFC 5246 section 7.2.2: a session that failed is forgotten by both ends. RFC 7925 section 6: also by
/// alerts of other profiles (handshake_failure, protocol_version, insufficient_security, user_canceled).
#[test]
fn a_failed_session_is_not_resumed() {
    for description in [40, 70, 71, 90] {
        let mut pair = Pair::joined();
        let saved = pair.client.saved_session().expect("it can be resumed").clone();
        let alert = pair.of_server(RecordType::Alert, &[2, description]);
        pair.down(Vec::from([alert]));
        let reason = CloseReason::PeerAlert(AlertDescription(description));
        let closed = pair.client.poll(NOW, &mut [0; 1280]);
        assert_eq!(closed, ClientOutput::Closed { reason });
        assert!(pair.client.saved_session().is_none());

        let mut pair = Pair::joined();
        pair.of_client(RecordType::Alert, &[2, description]);
        assert_eq!(pair.server.session_count(), 0);
        let mut again = Pair::with(None, Some(saved));
        core::mem::swap(&mut pair.server, &mut again.server);
        core::mem::swap(&mut pair.entropy, &mut again.entropy);
        let last = again.last_flight();
        again.down(last);
        assert!(again.client.is_established() && !again.client.is_resumed());
    }
}

/// RFC 7925 section 17: both ends MUST answer with no_renegotiation, and the session goes on.
#[test]
fn renegotiation_is_refused() {
    const WARNING: [u8; 2] = [1, AlertDescription::NO_RENEGOTIATION.0];
    let mut pair = Pair::joined();
    let hello_request = emit_header(MessageType::HelloRequest, 0, 0, (0, 0));
    let record = pair.of_server(RecordType::Handshake, &hello_request);
    pair.down(Vec::from([record]));
    let mut buf = [0; 1280];
    let ClientOutput::Transmit { len } = pair.client.poll(NOW, &mut buf) else {
        panic!("it is told");
    };
    let dropped = ClientOutput::Event(RecordDrop::Renegotiation);
    assert_eq!(pair.client.poll(NOW, &mut [0; 1280]), dropped);
    let session = pair.session();
    let cid_len = session.hello.cid.len();
    let randoms = Randoms { client: &[7; 32], server: &session.hello.server_random };
    let (keys, _) = session.master.schedule().keys(randoms);
    let (record, _) = Record::split(&mut buf[..len], cid_len).expect("a record");
    let opened = ReadKeys::new(keys, 64).open(&SoftCcm, record).expect("authentic");
    assert_eq!((opened.kind, opened.plaintext), (RecordType::Alert, &WARNING[..]));

    let mut hello = emit_header(MessageType::ClientHello, 0, 1, (0, 1)).to_vec();
    hello.push(0);
    let answers = pair.of_client(RecordType::Handshake, &hello);
    assert_eq!(pair.drops, [RecordDrop::Renegotiation]);
    let mut answer = answers.into_iter().next().expect("it is told");
    let (record, _) = Record::split(&mut answer, 0).expect("a record");
    let opened = pair.session().read.open(&SoftCcm, record).expect("authentic");
    assert_eq!((opened.kind, opened.plaintext), (RecordType::Alert, &WARNING[..]));
    assert!(pair.client.is_established() && pair.server.session_count() == 1);
}

/// Pion CVE-2022-29222: a client that shows no key, or shows one and proves nothing, is nobody. This one counts
/// and hashes its messages as it sends them, so that its Finished is right for them.
#[cfg(feature = "ecc")]
#[test]
fn a_client_that_shows_nothing() {
    let mut pair = Pair::new();
    let key = |octet| PrivateKey::new(&Secret::new([octet; 32])).expect("in range");
    let credential =
        Credential::RawKey { own: key(1), server: key(2).public(), seed: Secret::new([3; 32]) };
    let psk = Psk::new(b"of no use").expect("9 octets");
    let config = ClientConfig { credential, ..ClientConfig::new(b"", psk) };
    pair.client = Client::new(&SoftCcm, config, [8; 32], Prng::new(1)).expect("good");
    pair.client.handle(NOW, ClientInput::Start);
    let config = ServerConfig { raw_key: Some(key(2)), ..ServerConfig::new(&SoftCcm) };
    pair.server = Server::new(config, Prng::new(2), &mut pair.entropy);
    let verified = pair.up();
    pair.down(verified);
    let flight = pair.up();
    // The last record is ServerHelloDone.
    let (mut before, mut done) = (flight.concat(), Vec::new());
    done.extend(before.drain(before.len() - 25..));
    pair.down(std::vec![before]);
    let State::AwaitDone { heard: Heard::EcdheEcdsa(proof), .. } = &mut pair.client.state else {
        panic!("the server's flight came");
    };
    assert!(core::mem::replace(&mut proof.requested, false), "it asks for a key");
    pair.down(std::vec![done]);
    assert!(matches!(pair.client.state, State::AwaitFinished { .. }));
    let answers = pair.up();
    pair.down(answers);
    assert!(pair.established.is_none() && !pair.client.is_established());
    assert!(pair.drops.contains(&RecordDrop::Unexpected), "{:?}", pair.drops);
}

/// All of it on a node with 64 KB of RAM.
#[test]
fn a_client_is_small() {
    // A chain is kept twice: the server's in pieces, and ours to be sent again.
    let kilobytes = match () {
        () if cfg!(feature = "x509") => 11,
        () if cfg!(feature = "ecc") => 6,
        () => 5,
    };
    assert!(size_of::<Client>() < kilobytes * 1024, "{}", size_of::<Client>());
}

#[test]
fn configurations_beyond_a_bound() {
    let check = |edit: fn(&mut ClientConfig<'_>), expected| {
        let mut config = ClientConfig {
            group_request: Some(&[1; 192]),
            datagram_len_max: DATAGRAM_LEN_MIN,
            ..ClientConfig::new(&[1; 128], Psk::new(b"key").expect("3 octets"))
        };
        assert!(Client::new(&SoftCcm, config.clone(), [7; 32], Prng::new(1)).is_ok());
        edit(&mut config);
        let refused = Client::new(&SoftCcm, config, [7; 32], Prng::new(1)).map(|_| ());
        assert_eq!(refused, Err(expected));
    };
    let long = |config: &mut ClientConfig<'_>| {
        let psk = Psk::new(b"key").expect("3 octets");
        config.credential = Credential::Psk { identity: &[1; 129], psk };
    };
    check(long, ConfigRefused::IdentityTooLong);
    check(|config| config.group_request = Some(&[1; 193]), ConfigRefused::GroupRequestTooLong);
    check(|config| config.datagram_len_max -= 1, ConfigRefused::DatagramTooShort);
    let unbound = ConfigRefused::GroupRequestNeedsExtendedMasterSecret;
    check(|config| config.extended_master_secret = false, unbound);
}
