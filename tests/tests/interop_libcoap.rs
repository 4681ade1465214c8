//! Purpose: our server, with our CoAP endpoint above it, answers libcoap's `coap-client`, which
//! comes in two builds: over OpenSSL and over GnuTLS.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8` or nothing, and the client prints what we answered.

use lowgate_coap::{Addressed, Code, Config, Endpoint, Input, Method, Output, Response};
use lowgate_tests::loopback::{
    OneDevice, PSK_WITH_AES_128_CCM_8, ServerEnd, negotiated_suite, socket,
};
use lowgate_tests::program::Program;
use lowgate_units::{Instant, Prng};

const IDENTITY: &str = "device-1";
const PSK: &str = "0123456789abcdef";

/// Answers the one request in `octets`: GET /light is on.
fn answer(octets: &[u8]) -> Vec<u8> {
    let now = Instant::ZERO;
    let mut endpoint = Endpoint::new(Config::default(), Prng::new(31));
    endpoint.handle(now, Input::Datagram { peer: 0_u8, addressed: Addressed::ToUs, octets });
    loop {
        match endpoint.poll(now) {
            Output::Requested { exchange, request, .. } => {
                assert_eq!(request.method, Method::Get);
                assert!(request.path.is("/light"), "{:?}", request.path);
                let response = Response { payload: b"on".to_vec(), ..Response::new(Code::CONTENT) };
                endpoint.respond(now, exchange, &response).expect("it was just asked");
            }
            Output::Transmit { octets, .. } => return octets,
            other => panic!("{other:?} instead of a request"),
        }
    }
}

fn check(program: &str) {
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
    check("coap-client-openssl");
}

#[test]
fn coap_client_over_gnutls() {
    check("coap-client-gnutls");
}
