//! Purpose: our server and client with those of Erlang/OTP, which alone has `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: that suite in both roles, data both ways, an orderly end; a wrong key gets no session. The same by
//! `TLS_PSK_WITH_AES_128_CCM_8`, and with chains of three certificates under `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`.

use lowgate_crypto::Secret;
use lowgate_dtls::{ClientConfig, CloseReason, Credential, Psk, ServerConfig, WithoutExchange};
use lowgate_tests::certificates::both_roles;
use lowgate_tests::dtls_peers::{IDENTITY, PSK, config, receive, refuse, server, visit};
use lowgate_tests::loopback::{
    CCM, ClientEnd, ECDHE_PSK_WITH_AES_128_CCM_8_SHA256, PSK_WITH_AES_128_CCM_8, socket,
};

const PEER: &str = "erlang";

/// A client that exchanges keys or has no session.
fn exchanging(psk: &[u8]) -> ClientConfig<'static> {
    let credential = Credential::EcdhePsk {
        identity: IDENTITY.as_bytes(),
        psk: Psk::new(psk).expect("16 octets"),
        seed: Secret::new([0x33; 32]),
        without: WithoutExchange::Refuse,
    };
    ClientConfig { credential, ..config() }
}

#[test]
fn their_client_exchanges_keys() {
    receive(PEER, &["ecdhe"], ServerConfig::new(&CCM), ECDHE_PSK_WITH_AES_128_CCM_8_SHA256);
}

#[test]
fn our_client_exchanges_keys() {
    let (_theirs, addr) = server(PEER, &["ecdhe"]);
    visit(addr, exchanging(PSK), ECDHE_PSK_WITH_AES_128_CCM_8_SHA256);
}

#[test]
fn their_client_exchanges_keys_with_another_secret() {
    refuse(PEER, &["ecdhe"], "no session: ");
}

#[test]
fn our_client_exchanges_keys_with_another_secret() {
    let (mut theirs, addr) = server(PEER, &["ecdhe"]);
    let refused = ClientEnd::connect(socket(), addr, exchanging(b"0123456789abcdeF"));
    assert!(matches!(refused, Err(CloseReason::PeerAlert(_))), "{:?}", refused.err());
    theirs.expect("no session: ");
}

#[test]
fn their_client_with_its_key_alone() {
    receive(PEER, &["psk"], ServerConfig::new(&CCM), PSK_WITH_AES_128_CCM_8);
}

#[test]
fn our_client_with_its_key_alone() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    visit(addr, config(), PSK_WITH_AES_128_CCM_8);
}

#[test]
fn certificates() {
    both_roles(PEER);
}
