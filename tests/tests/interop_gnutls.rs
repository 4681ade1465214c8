//! Purpose: our server with `gnutls-cli`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; a wrong key is told and
//! gets no session.

use lowgate_dtls::{CloseReason, RecordDrop};
use lowgate_tests::loopback::{
    OneDevice, PSK_WITH_AES_128_CCM_8, ServerEnd, negotiated_suite, socket,
};
use lowgate_tests::program::Program;
use std::net::SocketAddr;

const IDENTITY: &str = "device-1";
const PSK: &[u8] = b"0123456789abcdef";
const PSK_HEX: &str = "30313233343536373839616263646566";
const WRONG_PSK_HEX: &str = "30313233343536373839616263646546";
const PRIORITY: &str = "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:+AES-128-CCM-8";

fn our_server() -> ServerEnd {
    ServerEnd::new(socket(), OneDevice { identity: IDENTITY.into(), psk: PSK.into() })
}

fn gnutls_cli(server: SocketAddr, psk: &str) -> Program {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    Program::start(
        "gnutls-cli",
        &[
            "--udp",
            &format!("--port={port}"),
            &format!("--priority={PRIORITY}"),
            &format!("--pskusername={IDENTITY}"),
            &format!("--pskkey={psk}"),
            &ip,
        ],
    )
}

#[test]
fn our_server_and_gnutls_cli() {
    let mut ours = our_server();
    let mut theirs = gnutls_cli(ours.addr(), PSK_HEX);
    let session = ours.accept().expect("a session");
    theirs.tell("from gnutls");
    assert_eq!(ours.receive(), b"from gnutls\n");
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    assert!(theirs.said.iter().any(|line| line.contains("-(PSK)-(AES-128-CCM-8)")));
    assert!(theirs.said.iter().any(|line| line.contains("extended master secret")));
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(negotiated_suite(&ours.sent), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn gnutls_cli_with_a_wrong_key() {
    let mut ours = our_server();
    let mut theirs = gnutls_cli(ours.addr(), WRONG_PSK_HEX);
    assert_eq!(ours.accept(), Err(CloseReason::KeyMismatch));
    theirs.expect("Decrypt error");
    assert!(!theirs.finish().success());
}
