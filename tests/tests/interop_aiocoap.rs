//! Purpose: our server with aiocoap's client, our client with its server, each with our CoAP endpoint above DTLS and
//! theirs above DTLSSocket.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, and who asks is told what the other end answered.

use lowgate_dtls::RecordDrop;
use lowgate_tests::dtls_peers::{IDENTITY, PSK, config, device, start};
use lowgate_tests::light::{answer, get};
use lowgate_tests::loopback::{
    ClientEnd, PSK_WITH_AES_128_CCM_8, ServerEnd, negotiated_suite, socket,
};
use lowgate_tests::workspace_root;
use serde_json::json;
use std::fs;

#[test]
fn our_server_and_aiocoap_client() {
    let mut ours = ServerEnd::new(socket(), device());
    let uri = format!("coaps://{}/light", ours.addr());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials.json");
    let psk = str::from_utf8(PSK).expect("letters");
    let who = json!({ "psk": { "ascii": psk }, "client-identity": { "ascii": IDENTITY } });
    fs::write(&file, json!({ &uri: { "dtls": who } }).to_string()).expect("a file");
    let file = file.display().to_string();
    let mut theirs = start("../aiocoap/bin/aiocoap-client", &["--credentials", &file, &uri]);
    let session = ours.accept().expect("a session");
    let request = ours.receive();
    ours.send(session, &answer(&request));
    assert!(theirs.finish().success(), "{:?}", theirs.said);
    assert!(theirs.said.iter().any(|line| line == "on"), "{:?}", theirs.said);
    assert_eq!(negotiated_suite(&ours.sent), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn our_client_and_aiocoaps_server() {
    // It says nowhere at which port it is, so a free one is looked for.
    let addr = socket().local_addr().expect("it is bound");
    let script = workspace_root().join("tests/peers/dtls/light.py").display().to_string();
    let mut theirs = start("../aiocoap/bin/python", &[&script, &addr.port().to_string()]);
    theirs.expect("ready");
    let mut ours = ClientEnd::connect(socket(), addr, config()).expect("a session");
    let payload = get("/light", |request| {
        ours.send(request);
        ours.receive()
    });
    assert_eq!(payload, b"on");
    assert_eq!(negotiated_suite(&ours.heard), Some(PSK_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
}
