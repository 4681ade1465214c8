//! Purpose: our server and client with those of Erlang/OTP, which alone has `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: that suite in both roles, data both ways, an orderly end; a client with another key gets no
//! session. The same by
//! `TLS_PSK_WITH_AES_128_CCM_8`.

use lowgate_crypto::Secret;
use lowgate_dtls::{ClientConfig, Credential, Psk, ServerConfig, WithoutExchange};
use lowgate_tests::dtls_peers::{IDENTITY, PSK, config, receive, refuse, server, visit};
use lowgate_tests::loopback::{CCM, ECDHE_PSK_WITH_AES_128_CCM_8_SHA256, PSK_WITH_AES_128_CCM_8};

const PEER: &str = "erlang";

/// OTP 25 does not have it yet (RFC 7627).
fn without_extended_master_secret() -> ClientConfig<'static> {
    ClientConfig { extended_master_secret: false, ..config() }
}

/// A client that exchanges keys or has no session.
fn exchanging() -> ClientConfig<'static> {
    let credential = Credential::EcdhePsk {
        identity: IDENTITY.as_bytes(),
        psk: Psk::new(PSK).expect("16 octets"),
        seed: Secret::new([0x33; 32]),
        without: WithoutExchange::Refuse,
    };
    ClientConfig { credential, ..without_extended_master_secret() }
}

#[test]
fn their_client_exchanges_keys() {
    receive(PEER, &["ecdhe"], ServerConfig::new(&CCM), ECDHE_PSK_WITH_AES_128_CCM_8_SHA256);
}

#[test]
fn our_client_exchanges_keys() {
    let (_theirs, addr) = server(PEER, &["ecdhe"]);
    visit(addr, exchanging(), ECDHE_PSK_WITH_AES_128_CCM_8_SHA256);
}

#[test]
fn their_client_exchanges_keys_with_another_secret() {
    refuse(PEER, &["ecdhe"], "no session: ");
}

#[test]
fn their_client_with_its_key_alone() {
    receive(PEER, &["psk"], ServerConfig::new(&CCM), PSK_WITH_AES_128_CCM_8);
}

#[test]
fn our_client_with_its_key_alone() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    visit(addr, without_extended_master_secret(), PSK_WITH_AES_128_CCM_8);
}
