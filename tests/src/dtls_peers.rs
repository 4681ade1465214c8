//! The programs of `tests/peers/dtls`: servers and clients of ours over the DTLS of others, which `cargo xtask interop`
//! builds. Each server sends back what it hears; each client sends its lines and writes what it hears.
//!
//! # Panics
//! All of it when a program is not there, or one of both ends does not do what it should.

use crate::loopback::{
    CCM, ClientEnd, DEVICE_SCALAR, ECDHE_ECDSA_WITH_AES_128_CCM_8, OneDevice, SERVER_SCALAR,
    ServerEnd, client_config, device_key, negotiated_suite, raw_key_config, server_key, socket,
};
use crate::program::Program;
use lowgate_crypto::{PrivateKey, PublicKey, Secret};
use lowgate_dtls::{
    ClientConfig, CloseReason, FragmentLen, RecordDrop, SavedSession, SendRefused, ServerConfig,
    SessionId,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Who their clients say they are.
pub const IDENTITY: &str = "device-1";
/// The one key that they have.
pub const PSK: &[u8] = b"0123456789abcdef";

/// Arguments of who has raw public keys: its own scalar, then x and y of its own public key and of the other end's.
fn raw_keys(scalar: &[u8; 32], other: &PublicKey) -> [String; 6] {
    let own = PrivateKey::new(&Secret::new(*scalar)).expect("in range").public();
    // RFC 5480 section 2.2: 4, x, y.
    let [own, other] = [own.point(), other.point()];
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let numbers = [scalar, &own[1..33], &own[33..], &other[1..33], &other[33..]].map(hex);
    let [scalar, x, y, other_x, other_y] = numbers;
    ["raw".into(), scalar, x, y, other_x, other_y]
}

/// A server's configuration, all but `edit` as usual.
#[must_use]
pub fn with(edit: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
    let mut config = ServerConfig::new(&CCM);
    edit(&mut config);
    config
}

fn raw_key_server() -> ServerConfig {
    with(|config| config.raw_key = Some(server_key()))
}

/// Their client comes to our server, both with raw public keys.
pub fn receive_raw_key(name: &str) {
    let keys = raw_keys(&DEVICE_SCALAR, &server_key().public());
    let keys = keys.each_ref().map(String::as_str);
    receive(name, &keys, raw_key_server(), ECDHE_ECDSA_WITH_AES_128_CCM_8);
}

/// Our client comes to their server, both with raw public keys.
pub fn visit_raw_key(name: &str) {
    let keys = raw_keys(&SERVER_SCALAR, &device_key().public());
    let (_theirs, addr) = server(name, &keys.each_ref().map(String::as_str));
    visit(addr, raw_key_config(), ECDHE_ECDSA_WITH_AES_128_CCM_8);
}

/// Their client, of a raw public key that our server knows nobody by, is refused and says so.
pub fn refuse_raw_key(name: &str, says: &str) {
    let keys = raw_keys(&SERVER_SCALAR, &server_key().public());
    let ours = ServerEnd::with(socket(), device(), raw_key_server());
    refused(ours, name, &keys.each_ref().map(String::as_str), says);
}

/// Their client comes to a server of ours that knows another key of it, is refused and says so.
pub fn refuse(name: &str, arguments: &[&str], says: &str) {
    let other = OneDevice { psk: b"0123456789abcdeF".into(), ..device() };
    let ours = ServerEnd::with(socket(), other, ServerConfig::new(&CCM));
    refused(ours, name, arguments, says);
}

fn refused(mut ours: ServerEnd, name: &str, arguments: &[&str], says: &str) {
    let mut theirs = client(name, ours.addr(), arguments);
    assert_eq!(ours.accept(), Err(CloseReason::KeyMismatch));
    assert!(!theirs.finish().success());
    assert!(theirs.said.iter().any(|line| line.contains(says)), "{:?}", theirs.said);
    assert!(!theirs.said.iter().any(|line| line == "new session"), "{:?}", theirs.said);
}

const LINE: &[u8] = b"from lowgate\n";

/// The device that their clients are.
#[must_use]
pub fn device() -> OneDevice {
    OneDevice { identity: IDENTITY.into(), psk: PSK.into() }
}

/// A client's configuration with their key.
#[must_use]
pub fn config() -> ClientConfig<'static> {
    client_config(IDENTITY.as_bytes(), PSK)
}

/// Their server, and where it listens.
#[must_use]
pub fn server(name: &str, arguments: &[&str]) -> (Program, SocketAddr) {
    let mut theirs = start(name, arguments);
    let port = theirs.expect("").parse().expect("a port");
    (theirs, (Ipv4Addr::LOCALHOST, port).into())
}

/// Their client on its way to `to`; the arguments behind the port.
#[must_use]
pub fn client(name: &str, to: SocketAddr, arguments: &[&str]) -> Program {
    start(name, &[&["client", &to.port().to_string()], arguments].concat())
}

/// One of their programs, by its path from the folder of all.
///
/// # Panics
/// Without `LOWGATE_DTLS_PEERS`, which says where that is.
#[must_use]
pub fn start(name: &str, arguments: &[&str]) -> Program {
    let folder = std::env::var_os("LOWGATE_DTLS_PEERS").expect("`cargo xtask interop` says where");
    let program = Path::new(&folder).join(name).display().to_string();
    Program::start(&program, arguments)
}

/// Our client at their server: a line there and back, and goodbye. Gives what it can go on from.
pub fn visit(addr: SocketAddr, config: ClientConfig<'_>, suite: u16) -> Option<SavedSession> {
    let is_resumed = config.resume.is_some();
    let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
    assert_eq!(ours.client().is_resumed(), is_resumed);
    assert_eq!(negotiated_suite(&ours.heard), Some(suite));
    ours.send(LINE);
    assert_eq!(ours.receive(), LINE);
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    let saved = ours.client().saved_session().cloned();
    ours.close();
    saved
}

/// Their client comes to our server: a line each way, and goodbye.
pub fn receive(name: &str, arguments: &[&str], config: ServerConfig, suite: u16) {
    let mut ours = ServerEnd::with(socket(), device(), config);
    let mut theirs = client(name, ours.addr(), arguments);
    let session = ours.accept().expect("a session");
    theirs.expect("new session");
    talk(&mut ours, session, &mut theirs);
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(negotiated_suite(&ours.sent), Some(suite));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

/// Their client comes to our server, says goodbye at the line "again", and goes on from its session.
pub fn resume(name: &str, arguments: &[&str], config: ServerConfig) {
    let mut ours = ServerEnd::with(socket(), device(), config);
    let mut theirs = client(name, ours.addr(), arguments);
    let first = ours.accept().expect("a session");
    theirs.expect("new session");
    talk(&mut ours, first, &mut theirs);
    theirs.tell("again");
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    let session = ours.accept().expect("a session");
    assert!(ours.server().is_resumed(session));
    theirs.expect("resumed session");
    talk(&mut ours, session, &mut theirs);
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

/// Our client comes back to their server, by a ticket or by its session id.
pub fn come_back(addr: SocketAddr, session_ticket: bool, suite: u16) {
    let saved = visit(addr, ClientConfig { session_ticket, ..config() }, suite);
    let lifetime = saved.as_ref().expect("it can be resumed").lifetime();
    assert_eq!(lifetime.is_some(), session_ticket, "a session id has no lifetime");
    // That it is resumed is looked at there.
    visit(addr, ClientConfig { resume: saved, session_ticket, ..config() }, suite);
}

/// What fits a record of 512 octets with the end of the line. (OpenSSL's programs do not cut longer lines: its DTLS
/// fails inside.)
pub const LONG: [u8; 511] = [b'x'; 511];

/// RFC 6066 section 4: max_fragment_length of 2^9, asked for or answered.
fn names_512(datagrams: &[Vec<u8>]) -> bool {
    datagrams.iter().any(|octets| octets.windows(5).any(|at| at == [0, 1, 0, 1, 1]))
}

/// Their client asks our server for records of 512 octets: whole ones go both ways, and no octet more from us.
/// Gives it with the session, not yet ended.
#[must_use]
pub fn receive_short(name: &str, arguments: &[&str]) -> Program {
    let mut ours = ServerEnd::with(socket(), device(), ServerConfig::new(&CCM));
    let mut theirs = client(name, ours.addr(), arguments);
    let session = ours.accept().expect("a session");
    theirs.expect("new session");
    assert!(names_512(&ours.heard), "it did not ask");
    assert!(names_512(&ours.sent), "it was not agreed on");
    talk_short(&mut ours, session, &mut theirs);
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    theirs
}

/// Whole records of 512 octets each way, and no octet more from us.
pub fn talk_short(ours: &mut ServerEnd, session: SessionId, theirs: &mut Program) {
    let long = String::from_utf8(LONG.to_vec()).expect("letters");
    theirs.tell(&long);
    assert_eq!(ours.receive(), [&LONG[..], b"\n"].concat());
    assert_eq!(ours.try_send(session, &[b'x'; 513]), Err(SendRefused::TooLong));
    ours.send(session, &[&LONG[..], b"\n"].concat());
    theirs.expect(&long);
}

/// Our client asks their server for records of 512 octets: whole ones go both ways, and no octet more from us.
pub fn visit_short(addr: SocketAddr) {
    let config = ClientConfig { fragment_len: Some(FragmentLen::Octets512), ..config() };
    let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
    assert!(names_512(&ours.heard), "it was not agreed on");
    assert_eq!(ours.try_send(&[b'x'; 513]), Err(SendRefused::TooLong));
    ours.send(&[b'x'; 512]);
    assert_eq!(ours.receive(), [b'x'; 512]);
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
}

/// A line each way.
pub fn talk(ours: &mut ServerEnd, session: SessionId, theirs: &mut Program) {
    theirs.tell("from the peer");
    assert_eq!(ours.receive(), b"from the peer\n");
    ours.send(session, LINE);
    theirs.expect("from lowgate");
}
