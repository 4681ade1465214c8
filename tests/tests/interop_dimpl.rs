//! Purpose: our server and client with those of the crate `dimpl`, over each of its two ciphers.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; a wrong key gets no session.

use lowgate_dtls::ServerConfig;
use lowgate_tests::dtls_peers::{config, receive, refuse, server, visit};
use lowgate_tests::loopback::{CCM, PSK_WITH_AES_128_CCM_8};

const PEER: &str = "dimpl";
/// How it says that an alert came.
const ALERT: &str = "FatalAlert";
const CIPHERS: [&str; 2] = ["aws-lc", "rustcrypto"];

#[test]
fn our_server_and_their_client() {
    for cipher in CIPHERS {
        receive(PEER, &[cipher], ServerConfig::new(&CCM), PSK_WITH_AES_128_CCM_8);
    }
}

#[test]
fn their_client_has_another_key() {
    refuse(PEER, &["aws-lc"], ALERT);
}

#[test]
fn our_client_and_their_server() {
    for cipher in CIPHERS {
        let (_theirs, addr) = server(PEER, &["psk", cipher]);
        assert!(visit(addr, config(), PSK_WITH_AES_128_CCM_8).is_none(), "it resumes nothing");
    }
}
