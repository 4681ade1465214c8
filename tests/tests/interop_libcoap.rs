//! Purpose: our server with libcoap's `coap-client`, our client with its `coap-server`, each with our CoAP endpoint above
//! DTLS. Libcoap comes in two builds: over OpenSSL and over GnuTLS.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8` or nothing, and who asks is told what the other end answered.

use lowgate_dtls::RecordDrop;
use lowgate_tests::light::{answer, get};
use lowgate_tests::loopback::{
    ClientEnd, OneDevice, PSK_WITH_AES_128_CCM_8, ServerEnd, client_config, negotiated_suite,
    socket,
};
use lowgate_tests::program::Program;

const IDENTITY: &str = "device-1";
const PSK: &str = "0123456789abcdef";

fn check_client(program: &str) {
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut ours = ServerEnd::new(socket(), device);
    let uri = format!("coaps://{}/light", ours.addr());
    let mut theirs =
        Program::start(program, &["-m", "get", "-u", IDENTITY, "-k", PSK, "-B", "20", &uri]);
    let session = ours.accept().expect("a session");
    let request = ours.receive();
    ours.send(session, &answer(&request));
    assert!(theirs.finish().success(), "{:?}", theirs.said);
    assert_eq!(theirs.said, ["on"]);
    assert_eq!(negotiated_suite(&ours.sent), Some(PSK_WITH_AES_128_CCM_8));
}

#[test]
fn coap_client_over_openssl() {
    check_client("coap-client-openssl");
}

#[test]
fn coap_client_over_gnutls() {
    check_client("coap-client-gnutls");
}

fn check_server(program: &str) {
    // It does not say at which port it is, so a free one is looked for; the one before it is that of coap.
    let addr = socket().local_addr().expect("it is bound");
    let port = (addr.port() - 1).to_string();
    let _theirs = Program::start(program, &["-A", "127.0.0.1", "-p", &port, "-k", PSK]);
    let config = client_config(IDENTITY.as_bytes(), PSK.as_bytes());
    let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
    let payload = get("/", |request| {
        ours.send(request);
        ours.receive()
    });
    assert!(payload.starts_with(b"This is a test server made with libcoap"), "{payload:?}");
    assert_eq!(negotiated_suite(&ours.heard), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
}

#[test]
fn coap_server_over_openssl() {
    check_server("coap-server-openssl");
}

#[test]
fn coap_server_over_gnutls() {
    check_server("coap-server-gnutls");
}
