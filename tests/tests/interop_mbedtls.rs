//! Purpose: our server and client with those of Mbed TLS.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; a session goes on by its id and by a ticket;
//! records are as long as was agreed; a wrong key gets no session. The same with chains of three certificates under
//! `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`; one that is over, of another name or of another root gets no session.

use lowgate_dtls::ServerConfig;
use lowgate_tests::certificates::{
    both_roles, refuse_clients, refuse_servers, refused_by_clients, refused_by_servers, serving,
    visiting,
};
use lowgate_tests::dtls_peers::{
    come_back, config, receive, receive_short, refuse, resume, server, visit, visit_short, with,
};
use lowgate_tests::loopback::{CCM, PSK_WITH_AES_128_CCM_8};

const PEER: &str = "mbedtls";
/// How it says that an alert came: MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE.
const ALERT: &str = "no session: -0x7780";
const SUITE: u16 = PSK_WITH_AES_128_CCM_8;

#[test]
fn our_server_and_their_client() {
    receive(PEER, &[], ServerConfig::new(&CCM), SUITE);
}

#[test]
fn their_client_has_another_key() {
    refuse(PEER, &[], ALERT);
}

#[test]
fn our_client_and_their_server() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    visit(addr, config(), SUITE);
}

#[test]
fn their_client_resumes_by_session_id() {
    resume(PEER, &[], with(|config| config.resumable_max = 1));
}

#[test]
fn their_client_resumes_by_ticket() {
    resume(PEER, &[], with(|config| config.tickets = true));
}

#[test]
fn our_client_resumes_by_session_id() {
    let (_theirs, addr) = server(PEER, &["resume"]);
    come_back(addr, false, SUITE);
}

#[test]
fn our_client_resumes_by_ticket() {
    let (_theirs, addr) = server(PEER, &["resume"]);
    come_back(addr, true, SUITE);
}

#[test]
fn their_client_wants_short_records() {
    let mut theirs = receive_short(PEER, &["512"]);
    theirs.tell(&"x".repeat(512));
    theirs.expect("cannot be sent");
    assert!(theirs.finish().success());
}

#[test]
fn our_client_wants_short_records() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    visit_short(addr);
}

/// RFC 7925 section 4.4, with chains in pieces.
#[test]
fn certificates_in_both_roles() {
    both_roles(PEER);
}

#[test]
fn their_client_has_bad_certificates() {
    refuse_clients(|_| ALERT.into(), |to, files| visiting(PEER, to, files));
}

#[test]
fn their_server_has_bad_certificates() {
    refuse_servers(|files| serving(PEER, files));
}

/// MBEDTLS_ERR_X509_CERT_VERIFY_FAILED.
#[test]
fn our_server_has_bad_certificates() {
    refused_by_clients(|_| "no session: -0x2700", |to, files| visiting(PEER, to, files));
}

#[test]
fn our_client_has_bad_certificates() {
    refused_by_servers([45, 48], |files| serving(PEER, files));
}
