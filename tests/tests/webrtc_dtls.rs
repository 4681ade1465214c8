//! Purpose: our DTLS client and server against the crate `webrtc-dtls`, in both roles.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8` is negotiated with the extended master secret, data goes
//! both ways, and with a wrong key nobody gets a session. The same with chains of three certificates, under
//! `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`; a chain of another root gets no session.

use lowgate_crypto::PublicKey;
use lowgate_dtls::{CertificateRefused, ClientConfig, CloseReason, RecordDrop, ServerConfig};
use lowgate_tests::certificates::{
    Chain, Flaw, HOST, device_chain, device_config, root_certificate, server_chain, server_config,
};
use lowgate_tests::loopback::{
    ClientEnd, DEVICE_SCALAR, ECDHE_ECDSA_WITH_AES_128_CCM_8, OneDevice, PATIENCE,
    PSK_WITH_AES_128_CCM_8, SERVER_SCALAR, ServerEnd, client_config, device_key, negotiated_suite,
    server_key, socket,
};
use pem::Pem;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;
use tokio::runtime::Runtime;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate;

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
    config: Config,
    role: Role,
) -> Result<DTLSConn, webrtc_dtls::Error> {
    theirs.connect(ours).expect("the loopback interface");
    theirs.set_nonblocking(true).expect("a socket can do that");
    let theirs = tokio::net::UdpSocket::from_std(theirs).expect("within the runtime");
    DTLSConn::new(Arc::new(theirs), config, role == Role::Client, None).await
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
    let ours = ServerEnd::new(socket(), device);
    receive(ours, webrtc_config(PSK), PSK_WITH_AES_128_CCM_8);
}

fn receive(mut ours: ServerEnd, config: Config, suite: u16) {
    let addr = ours.addr();
    let theirs = thread::spawn(move || {
        runtime().block_on(async {
            let conn = webrtc(socket(), addr, config, Role::Client).await.expect("a session");
            say(&conn, b"from webrtc", b"from lowgate").await;
            conn.close().await.expect("said goodbye");
        });
    });
    let session = ours.accept().expect("a session");
    assert_eq!(ours.receive(), b"from webrtc");
    ours.send(session, b"from lowgate");
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    theirs.join().expect("their side too");
    assert_eq!(negotiated_suite(&ours.sent), Some(suite));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn our_client_and_their_server() {
    visit(client_config(IDENTITY, PSK), webrtc_config(PSK), PSK_WITH_AES_128_CCM_8);
}

fn visit(ours: ClientConfig<'_>, config: Config, suite: u16) {
    let (our_socket, their_socket) = (socket(), socket());
    let our_addr = our_socket.local_addr().expect("bound");
    let their_addr = their_socket.local_addr().expect("bound");
    let theirs = thread::spawn(move || {
        runtime().block_on(async {
            let conn =
                webrtc(their_socket, our_addr, config, Role::Server).await.expect("a session");
            let mut octets = [0; 2048];
            let len = conn.read(&mut octets, Some(PATIENCE)).await.expect("there is a line");
            assert_eq!(octets[..len], *b"from lowgate");
            conn.write(b"from webrtc", Some(PATIENCE)).await.expect("there is a session");
            // Nothing more but our goodbye.
            assert!(conn.read(&mut octets, Some(PATIENCE)).await.is_err());
        });
    });
    let mut ours = ClientEnd::connect(our_socket, their_addr, ours).expect("a session");
    ours.send(b"from lowgate");
    assert_eq!(ours.receive(), b"from webrtc");
    assert_eq!(negotiated_suite(&ours.heard), Some(suite));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
    theirs.join().expect("their side too");
}

#[test]
fn their_client_with_a_wrong_key_gets_no_session() {
    let device = OneDevice { identity: IDENTITY.to_vec(), psk: PSK.to_vec() };
    // Takes its time: the forger of one Finished must not end a handshake.
    let ours = ServerEnd::new(socket(), device);
    refuse(ours, webrtc_config(WRONG_PSK), CloseReason::KeyMismatch);
}

fn refuse(mut ours: ServerEnd, config: Config, reason: CloseReason) {
    let addr = ours.addr();
    let theirs = thread::spawn(move || {
        runtime().block_on(async {
            let outcome =
                tokio::time::timeout(PATIENCE, webrtc(socket(), addr, config, Role::Client));
            assert!(!matches!(outcome.await, Ok(Ok(_))), "a session with a wrong proof");
        });
    });
    assert_eq!(ours.accept(), Err(reason));
    theirs.join().expect("their side too");
}

/// RFC 5915 in RFC 5958, of a key on P-256.
fn pkcs8(scalar: &[u8; 32], public: &PublicKey) -> Vec<u8> {
    const BEFORE_SCALAR: [u8; 36] = [
        0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
    ];
    [&BEFORE_SCALAR[..], scalar, &[0xa1, 0x44, 3, 0x42, 0], &public.point()].concat()
}

/// They show this chain and trust the root.
fn certified(chain: Chain, scalar: &[u8; 32], public: &PublicKey) -> Config {
    // Their own label, with an underscore.
    let key = Pem::new("PRIVATE_KEY", pkcs8(scalar, public));
    let certificates = chain.into_iter().map(|octets| Pem::new("CERTIFICATE", octets.into_vec()));
    let file = pem::encode_many(&std::iter::once(key).chain(certificates).collect::<Vec<_>>());
    let mut config = Config {
        certificates: vec![Certificate::from_pem(&file).expect("a chain and its key")],
        cipher_suites: vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm_8],
        extended_master_secret: ExtendedMasterSecretType::Require,
        client_auth: ClientAuthType::RequireAndVerifyClientCert,
        server_name: HOST.into(),
        ..Config::default()
    };
    for trusted in [&mut config.roots_cas, &mut config.client_cas] {
        trusted.add(root_certificate().into_vec().into()).expect("an authority");
    }
    config
}

fn their_device(flaw: Flaw) -> Config {
    certified(device_chain(flaw), &DEVICE_SCALAR, &device_key().public())
}

fn certified_server(config: ServerConfig) -> ServerEnd {
    let device = OneDevice { identity: IDENTITY.to_vec(), psk: PSK.to_vec() };
    ServerEnd::with(socket(), device, config)
}

#[test]
fn their_client_with_certificates() {
    let ours = certified_server(server_config(Flaw::None));
    receive(ours, their_device(Flaw::None), ECDHE_ECDSA_WITH_AES_128_CCM_8);
}

#[test]
fn our_client_with_certificates() {
    let theirs = certified(server_chain(Flaw::None), &SERVER_SCALAR, &server_key().public());
    visit(device_config(Flaw::None), theirs, ECDHE_ECDSA_WITH_AES_128_CCM_8);
}

#[test]
fn their_client_with_certificates_of_another_root() {
    let ours = certified_server(server_config(Flaw::None));
    let refused = CloseReason::Certificate(CertificateRefused::UnknownIssuer);
    refuse(ours, their_device(Flaw::Untrusted), refused);
}
