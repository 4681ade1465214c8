//! Purpose: our server and client with those of tinydtls.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8` with pre-shared keys and `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` with raw public
//! keys, data both ways, an orderly end; a wrong key gets no session.

use lowgate_crypto::PrivateKey;
use lowgate_dtls::{CloseReason, ServerConfig};
use lowgate_tests::dtls_peers::{client, config, device, receive, refuse, server, visit};
use lowgate_tests::loopback::{
    CCM, DEVICE_SCALAR, ECDHE_ECDSA_WITH_AES_128_CCM_8, PSK_WITH_AES_128_CCM_8, SERVER_SCALAR,
    ServerEnd, device_key, raw_key_config, server_key, socket,
};

const PEER: &str = "tinydtls";

/// What it is told of keys: its own scalar, x and y of its public key, and of the other end's.
fn keys(scalar: &[u8; 32], own: &PrivateKey, other: &PrivateKey) -> Vec<String> {
    // RFC 5480 section 2.2: 4, x, y.
    let [own, other] = [own, other].map(|key| key.public().point());
    [&scalar[..], &own[1..33], &own[33..], &other[1..33], &other[33..]]
        .map(|octets| octets.iter().map(|octet| format!("{octet:02x}")).collect())
        .to_vec()
}

fn with_keys(keys: &[String]) -> Vec<&str> {
    ["raw"].into_iter().chain(keys.iter().map(String::as_str)).collect()
}

fn raw_key_server() -> ServerConfig {
    let mut config = ServerConfig::new(&CCM);
    config.raw_key = Some(server_key());
    config
}

#[test]
fn our_server_and_their_client() {
    receive(PEER, &["psk"], ServerConfig::new(&CCM), PSK_WITH_AES_128_CCM_8);
}

#[test]
fn their_client_has_another_key() {
    let mut theirs = refuse(PEER, &["psk"]);
    theirs.expect("a fatal alert");
    assert!(!theirs.finish().success());
}

#[test]
fn our_client_and_their_server() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    assert!(visit(addr, config(), PSK_WITH_AES_128_CCM_8).is_none(), "it resumes nothing");
}

#[test]
fn our_server_and_their_client_with_raw_keys() {
    let keys = keys(&DEVICE_SCALAR, &device_key(), &server_key());
    receive(PEER, &with_keys(&keys), raw_key_server(), ECDHE_ECDSA_WITH_AES_128_CCM_8);
}

/// Its own key is the server's: nobody knows a device by that.
#[test]
fn their_client_has_an_unknown_raw_key() {
    let keys = keys(&SERVER_SCALAR, &server_key(), &server_key());
    let mut ours = ServerEnd::with(socket(), device(), raw_key_server());
    let mut theirs = client(PEER, ours.addr(), &with_keys(&keys));
    assert_eq!(ours.accept(), Err(CloseReason::KeyMismatch));
    theirs.expect("a fatal alert");
    assert!(!theirs.finish().success());
}

#[test]
fn our_client_and_their_server_with_raw_keys() {
    let keys = keys(&SERVER_SCALAR, &server_key(), &device_key());
    let (_theirs, addr) = server(PEER, &with_keys(&keys));
    visit(addr, raw_key_config(), ECDHE_ECDSA_WITH_AES_128_CCM_8);
}
