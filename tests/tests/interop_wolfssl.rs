//! Purpose: our server and client with those of wolfSSL.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; a session goes on by its id and by a ticket;
//! records are as long as was agreed, and have a connection ID where one was; a wrong key gets no session. The same with
//! raw public keys, and with chains of three certificates, under `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`; a chain that is
//! over, of another name or of another root gets no session.

use lowgate_dtls::{ClientConfig, CloseReason, RecordDrop, ServerConfig};
use lowgate_tests::certificates::{
    Flaw, both_roles, refuse_clients, refuse_servers, refused_by_clients, refused_by_servers,
    serving, visiting,
};
use lowgate_tests::dtls_peers::{
    client, come_back, config, device, receive, receive_raw_key, receive_short, refuse,
    refuse_raw_key, resume, server, talk, visit, visit_raw_key, visit_short, with,
};
use lowgate_tests::loopback::{CCM, ClientEnd, PSK_WITH_AES_128_CCM_8, ServerEnd, socket};

const PEER: &str = "wolfssl";
/// How it says that an alert came: FATAL_ERROR.
const ALERT: &str = "no session: -313";
const SUITE: u16 = PSK_WITH_AES_128_CCM_8;
/// RFC 9146 section 4: tls12_cid, the type of a record with a connection ID.
const TLS12_CID: u8 = 25;
/// The connection ID of their ends.
const THEIR_ID: &[u8] = b"wolf";

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
    resume(PEER, &["ticket"], with(|config| config.tickets = true));
}

#[test]
fn our_client_resumes_by_session_id() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    come_back(addr, false, SUITE);
}

#[test]
fn our_client_resumes_by_ticket() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    come_back(addr, true, SUITE);
}

#[test]
fn their_client_wants_short_records() {
    let mut theirs = receive_short(PEER, &["512"]);
    assert!(theirs.finish().success());
}

#[test]
fn our_client_wants_short_records() {
    let (_theirs, addr) = server(PEER, &["psk"]);
    visit_short(addr);
}

/// The connection ID of the last of `datagrams`: behind record type, version, epoch and sequence number.
fn last_id(datagrams: &[Vec<u8>]) -> Option<&[u8]> {
    datagrams.last().filter(|octets| octets[0] == TLS12_CID)?.get(11..15)
}

/// Each end writes the other's.
#[test]
fn our_server_and_their_client_with_connection_ids() {
    let mut ours = ServerEnd::with(socket(), device(), ServerConfig::new(&CCM));
    let mut theirs = client(PEER, ours.addr(), &["cid"]);
    let session = ours.accept().expect("a session");
    talk(&mut ours, session, &mut theirs);
    assert!(last_id(&ours.heard).is_some(), "{:?}", ours.heard.last());
    assert_eq!(last_id(&ours.sent), Some(THEIR_ID));
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

/// We write theirs, and want none ourselves.
#[test]
fn our_client_and_their_server_with_a_connection_id() {
    let (_theirs, addr) = server(PEER, &["cid"]);
    let config = ClientConfig { connection_id: true, ..config() };
    let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
    ours.send(b"from lowgate\n");
    assert_eq!(last_id(&ours.sent), Some(THEIR_ID));
    assert_eq!(ours.receive(), b"from lowgate\n");
    assert_eq!(last_id(&ours.heard), None);
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
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

/// RFC 7925 section 4.4.
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

/// ASN_AFTER_DATE_E, DOMAIN_NAME_MISMATCH, ASN_NO_SIGNER_E.
#[test]
fn our_server_has_bad_certificates() {
    let says = |flaw| match flaw {
        Flaw::Expired => "no session: -151",
        Flaw::OtherName => "no session: -322",
        Flaw::Untrusted | Flaw::None => "no session: -188",
    };
    refused_by_clients(says, |to, files| visiting(PEER, to, files));
}

#[test]
fn our_client_has_bad_certificates() {
    refused_by_servers([45, 48], |files| serving(PEER, files));
}
