//! Purpose: our server with `openssl s_client`, our client with `openssl s_server`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; to our server a wrong key
//! is told and gets no session. (Their server drops what it cannot open and says nothing, for ever.)

use lowgate_dtls::{CloseReason, RecordDrop};
use lowgate_tests::loopback::{
    ClientEnd, OneDevice, PSK_WITH_AES_128_CCM_8, ServerEnd, client_config, negotiated_suite,
    socket,
};
use lowgate_tests::program::Program;
use std::net::SocketAddr;

const IDENTITY: &str = "device-1";
const PSK: &[u8] = b"0123456789abcdef";
const PSK_HEX: &str = "30313233343536373839616263646566";
const WRONG_PSK_HEX: &str = "30313233343536373839616263646546";
/// The suite's tag of 64 bits is below OpenSSL's default level of security.
const CIPHER: &str = "PSK-AES128-CCM8:@SECLEVEL=0";

fn our_server() -> ServerEnd {
    ServerEnd::new(socket(), OneDevice { identity: IDENTITY.into(), psk: PSK.into() })
}

fn s_client(server: SocketAddr, psk: &str) -> Program {
    let server = server.to_string();
    let to = ["s_client", "-dtls1_2", "-connect", &server, "-cipher", CIPHER];
    Program::start("openssl", &[&to[..], &["-psk_identity", IDENTITY, "-psk", psk]].concat())
}

/// Their server and where it listens.
fn s_server(options: &[&str]) -> (Program, SocketAddr) {
    let at = ["s_server", "-dtls1_2", "-accept", "127.0.0.1:0", "-nocert", "-cipher", CIPHER];
    let mut server = Program::start("openssl", &[&at[..], &["-psk", PSK_HEX], options].concat());
    let line = server.expect("ACCEPT ");
    let addr = line.trim_start_matches("ACCEPT ").parse();
    (server, addr.expect("an address and a port"))
}

fn talk_to_s_server(options: &[&str]) {
    let (mut theirs, addr) = s_server(options);
    let config = client_config(IDENTITY.as_bytes(), PSK);
    let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
    ours.send(b"from lowgate\n");
    theirs.expect("from lowgate");
    theirs.tell("from openssl");
    assert_eq!(ours.receive(), b"from openssl\n");
    assert_eq!(negotiated_suite(&ours.heard), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
    theirs.expect("DONE");
    assert!(theirs.said.iter().any(|line| line == "CIPHER is PSK-AES128-CCM8"));
}

#[test]
fn our_server_and_s_client() {
    let mut ours = our_server();
    let mut theirs = s_client(ours.addr(), PSK_HEX);
    let session = ours.accept().expect("a session");
    theirs.tell("from openssl");
    assert_eq!(ours.receive(), b"from openssl\n");
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    assert!(theirs.said.iter().any(|line| line.contains("Cipher is PSK-AES128-CCM8")));
    assert!(theirs.said.iter().any(|line| line.contains("Extended master secret: yes")));
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(negotiated_suite(&ours.sent), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn s_client_with_a_wrong_key() {
    let mut ours = our_server();
    let mut theirs = s_client(ours.addr(), WRONG_PSK_HEX);
    assert_eq!(ours.accept(), Err(CloseReason::KeyMismatch));
    theirs.expect("alert decrypt error");
    assert!(!theirs.finish().success());
}

#[test]
fn our_client_and_s_server() {
    talk_to_s_server(&[]);
}

#[test]
fn our_client_and_s_server_with_a_cookie() {
    talk_to_s_server(&["-listen"]);
}
