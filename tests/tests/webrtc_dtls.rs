//! Purpose: our DTLS client and server against the crate `webrtc-dtls`, in both roles.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8` is negotiated with the extended master secret, data goes
//! both ways, and with a wrong key nobody gets a session.

use lowgate_dtls::{CloseReason, RecordDrop};
use lowgate_tests::loopback::{
    ClientEnd, OneDevice, PATIENCE, PSK_WITH_AES_128_CCM_8, ServerEnd, client_config,
    negotiated_suite, socket,
};
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;
use tokio::runtime::Runtime;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;

const IDENTITY: &[u8] = b"\x02\x12\x4b\x00\x00\x00\x00\x01";
const PSK: &[u8] = b"0123456789abcdef";
const WRONG_PSK: &[u8] = b"0123456789abcdeF";

fn webrtc_config(psk: &'static [u8]) -> Config {
    Config {
        psk: Some(Arc::new(move |_identity| Ok(psk.to_vec()))),
        psk_identity_hint: Some(IDENTITY.to_vec()),
        cipher_suites: vec![CipherSuiteId::Tls_Psk_With_Aes_128_Ccm_8],
        extended_master_secret: ExtendedMasterSecretType::Require,
        ..Config::default()
    }
}

/// Their end of a pair of sockets, connected to `ours`.
async fn webrtc(
    theirs: UdpSocket,
    ours: std::net::SocketAddr,
    psk: &'static [u8],
    role: Role,
) -> Result<DTLSConn, webrtc_dtls::Error> {
    theirs.connect(ours).expect("the loopback interface");
    theirs.set_nonblocking(true).expect("a socket can do that");
    let theirs = tokio::net::UdpSocket::from_std(theirs).expect("within the runtime");
    DTLSConn::new(Arc::new(theirs), webrtc_config(psk), role == Role::Client, None).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// Sends a line and expects it back, the other way round.
async fn say(conn: &DTLSConn, line: &[u8], answer: &[u8]) {
    conn.write(line, Some(PATIENCE)).await.expect("there is a session");
    let mut octets = [0; 2048];
    let len = conn.read(&mut octets, Some(PATIENCE)).await.expect("there is an answer");
    assert_eq!(octets[..len], *answer);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread and its timers")
}

#[test]
fn our_server_and_their_client() {
    let device = OneDevice { identity: IDENTITY.to_vec(), psk: PSK.to_vec() };
    let mut ours = ServerEnd::new(socket(), device);
    let addr = ours.addr();
    let theirs = thread::spawn(move || {
        runtime().block_on(async {
            let conn = webrtc(socket(), addr, PSK, Role::Client).await.expect("a session");
            say(&conn, b"from webrtc", b"from lowgate").await;
            conn.close().await.expect("said goodbye");
        });
    });
    let session = ours.accept().expect("a session");
    assert_eq!(ours.receive(), b"from webrtc");
    ours.send(session, b"from lowgate");
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    theirs.join().expect("their side too");
    assert_eq!(negotiated_suite(&ours.sent), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn our_client_and_their_server() {
    let (our_socket, their_socket) = (socket(), socket());
    let our_addr = our_socket.local_addr().expect("bound");
    let their_addr = their_socket.local_addr().expect("bound");
    let theirs = thread::spawn(move || {
        runtime().block_on(async {
            let conn = webrtc(their_socket, our_addr, PSK, Role::Server).await.expect("a session");
            let mut octets = [0; 2048];
            let len = conn.read(&mut octets, Some(PATIENCE)).await.expect("there is a line");
            assert_eq!(octets[..len], *b"from lowgate");
            conn.write(b"from webrtc", Some(PATIENCE)).await.expect("there is a session");
            // Nothing more but our goodbye.
            assert!(conn.read(&mut octets, Some(PATIENCE)).await.is_err());
        });
    });
    let mut ours = ClientEnd::connect(our_socket, their_addr, client_config(IDENTITY, PSK))
        .expect("a session");
    ours.send(b"from lowgate");
    assert_eq!(ours.receive(), b"from webrtc");
    assert_eq!(negotiated_suite(&ours.heard), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
    theirs.join().expect("their side too");
}

#[test]
fn their_client_with_a_wrong_key_gets_no_session() {
    let device = OneDevice { identity: IDENTITY.to_vec(), psk: PSK.to_vec() };
    let mut ours = ServerEnd::new(socket(), device);
    let addr = ours.addr();
    let theirs = thread::spawn(move || {
        runtime().block_on(async {
            let outcome =
                tokio::time::timeout(PATIENCE, webrtc(socket(), addr, WRONG_PSK, Role::Client));
            assert!(!matches!(outcome.await, Ok(Ok(_))), "a session under a wrong key");
        });
    });
    // Takes its time: the forger of one Finished must not end a handshake.
    assert_eq!(ours.accept(), Err(CloseReason::KeyMismatch));
    theirs.join().expect("their side too");
}
