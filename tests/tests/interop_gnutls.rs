//! Purpose: our server with `gnutls-cli`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; a wrong key is told and
//! gets no session.

use lowgate_dtls::{CloseReason, RecordDrop, ServerConfig};
use lowgate_tests::loopback::{
    CCM, OneDevice, PSK_WITH_AES_128_CCM_8, ServerEnd, negotiated_suite, socket,
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
    gnutls_cli_with(server, psk, &[])
}

fn gnutls_cli_with(server: SocketAddr, psk: &str, options: &[&str]) -> Program {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    Program::start(
        "gnutls-cli",
        &[
            &[
                "--udp",
                &format!("--port={port}"),
                &format!("--priority={PRIORITY}"),
                &format!("--pskusername={IDENTITY}"),
                &format!("--pskkey={psk}"),
            ],
            options,
            &[&ip],
        ]
        .concat(),
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

/// It connects, says goodbye and comes back.
fn gnutls_cli_resumes(edit: fn(&mut ServerConfig)) {
    let mut config = ServerConfig::new(&CCM);
    edit(&mut config);
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut ours = ServerEnd::with(socket(), device, config);
    let mut theirs = gnutls_cli_with(ours.addr(), PSK_HEX, &["--resume"]);
    let first = ours.accept().expect("a session");
    assert!(!ours.server().is_resumed(first));
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    let session = ours.accept().expect("a session");
    assert!(ours.server().is_resumed(session));
    theirs.tell("from gnutls");
    assert_eq!(ours.receive(), b"from gnutls\n");
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    assert!(
        theirs.said.iter().any(|line| line == "*** This is a resumed session"),
        "{:?}",
        theirs.said
    );
    assert!(theirs.finish().success());
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn gnutls_cli_resumes_by_session_id() {
    gnutls_cli_resumes(|config| config.resumable_max = 1);
}

#[test]
fn gnutls_cli_resumes_by_ticket() {
    gnutls_cli_resumes(|config| config.tickets = true);
}

/// Heartbeats (RFC 6520), and an exporter (RFC 5705).
#[test]
fn gnutls_cli_with_extensions() {
    const LABEL: &str = "EXPORTER-lowgate";
    let mut config = ServerConfig::new(&CCM);
    (config.heartbeat, config.exporters) = (true, true);
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut ours = ServerEnd::with(socket(), device, config);
    let export = format!("--keymatexport={LABEL}");
    let options = ["--heartbeat", &export, "--keymatexportsize=32"];
    let mut theirs = gnutls_cli_with(ours.addr(), PSK_HEX, &options);
    let session = ours.accept().expect("a session");
    ours.heartbeat(session);
    // Having answered it reads from the network alone, until something comes.
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    theirs.tell("from gnutls");
    assert_eq!(ours.receive(), b"from gnutls\n");
    let mut exported = [0; 32];
    ours.server().export(session, LABEL.as_bytes(), None, &mut exported).expect("it is kept");
    let line: String = exported.iter().map(|octet| format!("{octet:02x}")).collect();
    let said = theirs.said.iter().find(|said| said.contains(&line));
    assert!(said.is_some_and(|said| said.starts_with("- Key material: ")), "{:?}", theirs.said);
    assert!(theirs.finish().success());
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
