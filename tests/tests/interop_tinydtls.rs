//! Purpose: our server and client with those of tinydtls.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8` with pre-shared keys and `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` with raw public
//! keys, data both ways, an orderly end; a wrong key gets no session.

use lowgate_dtls::ServerConfig;
use lowgate_tests::dtls_peers::{
    config, receive, receive_raw_key, refuse, refuse_raw_key, server, visit, visit_raw_key,
};
use lowgate_tests::loopback::{CCM, PSK_WITH_AES_128_CCM_8};

const PEER: &str = "tinydtls";
/// How it says that an alert came.
const ALERT: &str = "a fatal alert";

#[test]
fn our_server_and_their_client() {
    receive(PEER, &["psk"], ServerConfig::new(&CCM), PSK_WITH_AES_128_CCM_8);
}

#[test]
fn their_client_has_another_key() {
    refuse(PEER, &["psk"], ALERT);
}

#[test]
fn our_client_and_their_server() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    assert!(visit(addr, config(), PSK_WITH_AES_128_CCM_8).is_none(), "it resumes nothing");
}

#[test]
fn our_server_and_their_client_with_raw_keys() {
    receive_raw_key(PEER);
}

#[test]
fn their_client_has_an_unknown_raw_key() {
    refuse_raw_key(PEER, ALERT);
}

#[test]
fn our_client_and_their_server_with_raw_keys() {
    visit_raw_key(PEER);
}
