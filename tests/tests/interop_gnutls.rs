//! Purpose: our server with `gnutls-cli`, our client with `gnutls-serv`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; a wrong key is told and
//! gets no session; a session goes on by its id and by a ticket in both roles. The same with raw public keys, and with
//! chains of three certificates, under `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` in both roles; a chain that is over, of another
//! name or of another root gets no session.

use lowgate_dtls::{ClientConfig, CloseReason, RecordDrop, ServerConfig};
use lowgate_tests::certificates::{
    ChainFiles, Flaw, HOST, device_config, refuse_clients, refuse_servers, refused_by_clients,
    refused_by_servers, server_config,
};
use lowgate_tests::loopback::{
    CCM, ClientEnd, DEVICE_SCALAR, ECDHE_ECDSA_WITH_AES_128_CCM_8, OneDevice,
    PSK_WITH_AES_128_CCM_8, SERVER_SCALAR, ServerEnd, client_config, negotiated_suite,
    raw_key_config, server_key, socket,
};
use lowgate_tests::pem::KeyFiles;
use lowgate_tests::program::Program;
use std::fs;
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

const RAW_KEYS: &str = "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:\
    +AES-128-CCM-8:-CTYPE-ALL:+CTYPE-RAWPK:-GROUP-ALL:+GROUP-SECP256R1";

fn raw_key_cli(server: SocketAddr, keys: &KeyFiles) -> Program {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    Program::start(
        "gnutls-cli",
        &[
            "--udp",
            "--insecure",
            &format!("--port={port}"),
            &format!("--priority={RAW_KEYS}"),
            &format!("--rawpkkeyfile={}", keys.private()),
            &format!("--rawpkfile={}", keys.public()),
            &ip,
        ],
    )
}

fn raw_key_server() -> ServerEnd {
    let mut config = ServerConfig::new(&CCM);
    config.raw_key = Some(server_key());
    ServerEnd::with(socket(), OneDevice { identity: IDENTITY.into(), psk: PSK.into() }, config)
}

/// RFC 7925 section 4.3.
#[test]
fn gnutls_cli_with_a_raw_key() {
    let (mut ours, keys) = (raw_key_server(), KeyFiles::of(&DEVICE_SCALAR));
    let mut theirs = raw_key_cli(ours.addr(), &keys);
    let session = ours.accept().expect("a session");
    theirs.tell("from gnutls");
    assert_eq!(ours.receive(), b"from gnutls\n");
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    assert!(theirs.said.iter().any(|line| line.contains("-(ECDSA-SHA256)-(AES-128-CCM-8)")));
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(negotiated_suite(&ours.sent), Some(ECDHE_ECDSA_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn gnutls_cli_with_an_unknown_raw_key() {
    let (mut ours, keys) = (raw_key_server(), KeyFiles::of(&[0x77; 32]));
    let mut theirs = raw_key_cli(ours.addr(), &keys);
    assert_eq!(ours.accept(), Err(CloseReason::KeyMismatch));
    theirs.expect("Decrypt error");
    assert!(!theirs.finish().success());
}

/// Their server, and where it listens.
fn gnutls_serv(priority: &str, options: &[&str]) -> (Program, SocketAddr) {
    // It says at which port only when it is told, so a free one is looked for.
    let addr = socket().local_addr().expect("it is bound");
    let (port, priority) = (format!("--port={}", addr.port()), format!("--priority={priority}"));
    let at = ["--udp", "--echo", &port, &priority];
    let mut theirs = Program::start("gnutls-serv", &[&at[..], options].concat());
    theirs.expect("UDP");
    (theirs, addr)
}

/// Twice: the second time it is resumed if the server does that.
fn visit_gnutls_serv(options: &[&str], session_ticket: bool, resumes: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let passwords = folder.path().join("passwords");
    fs::write(&passwords, format!("{IDENTITY}:{PSK_HEX}\n")).expect("a file");
    let passwords = format!("--pskpasswd={}", passwords.display());
    let (_theirs, addr) = gnutls_serv(PRIORITY, &[&[&*passwords], options].concat());
    let mut resume = None;
    for is_second in [false, true] {
        let config = client_config(IDENTITY.as_bytes(), PSK);
        let config = ClientConfig { resume, session_ticket, ..config };
        let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
        assert_eq!(ours.client().is_resumed(), resumes && is_second);
        ours.send(b"from lowgate\n");
        assert_eq!(ours.receive(), b"from lowgate\n");
        assert_eq!(negotiated_suite(&ours.heard), Some(PSK_WITH_AES_128_CCM_8));
        assert_eq!(ours.drops, [] as [RecordDrop; 0]);
        resume = ours.client().saved_session().cloned();
        if resumes {
            let saved = resume.as_ref().expect("it can be resumed");
            assert_eq!(saved.lifetime().is_some(), session_ticket, "an id has no lifetime");
        }
        ours.close();
    }
}

#[test]
fn our_client_and_gnutls_serv() {
    visit_gnutls_serv(&["--nodb", "--noticket"], false, false);
}

#[test]
fn our_client_resumes_by_session_id() {
    visit_gnutls_serv(&["--noticket"], false, true);
}

/// Its tickets have 338 octets.
#[test]
fn our_client_resumes_by_ticket() {
    visit_gnutls_serv(&["--nodb"], true, true);
}

#[test]
fn our_client_and_gnutls_serv_with_raw_keys() {
    let keys = KeyFiles::of(&SERVER_SCALAR);
    let (private, public) =
        (format!("--rawpkkeyfile={}", keys.private()), format!("--rawpkfile={}", keys.public()));
    let (_theirs, addr) = gnutls_serv(RAW_KEYS, &["--require-client-cert", &private, &public]);
    let mut ours = ClientEnd::connect(socket(), addr, raw_key_config()).expect("a session");
    ours.send(b"from lowgate\n");
    assert_eq!(ours.receive(), b"from lowgate\n");
    assert_eq!(negotiated_suite(&ours.heard), Some(ECDHE_ECDSA_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
}

const CERTIFICATES: &str = "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:\
    +AES-128-CCM-8:-GROUP-ALL:+GROUP-SECP256R1";

/// What both of its programs are told of certificates. They send them in pieces.
fn certified(files: &ChainFiles) -> [String; 4] {
    [
        format!("--x509cafile={}", files.root()),
        format!("--x509certfile={}", files.chain()),
        format!("--x509keyfile={}", files.key()),
        "--mtu=600".into(),
    ]
}

fn certified_client(to: SocketAddr, files: &ChainFiles) -> Program {
    let (ip, port, certified) =
        (to.ip().to_string(), format!("--port={}", to.port()), certified(files));
    let (priority, host) =
        (format!("--priority={CERTIFICATES}"), format!("--verify-hostname={HOST}"));
    let options = ["--udp", &port, &priority, &host].into_iter();
    let options = options.chain(certified.iter().map(String::as_str)).chain([&*ip]);
    Program::start("gnutls-cli", &options.collect::<Vec<_>>())
}

fn certified_server(files: &ChainFiles) -> (Program, SocketAddr) {
    let certified = certified(files);
    let options = ["--require-client-cert", "--verify-client-cert"].into_iter();
    let options = options.chain(certified.iter().map(String::as_str));
    gnutls_serv(CERTIFICATES, &options.collect::<Vec<_>>())
}

/// RFC 7925 section 4.4.
#[test]
fn gnutls_cli_with_certificates() {
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut ours = ServerEnd::with(socket(), device, server_config(Flaw::None));
    let files = ChainFiles::of_device(Flaw::None);
    let mut theirs = certified_client(ours.addr(), &files);
    let session = ours.accept().expect("a session");
    theirs.tell("from gnutls");
    assert_eq!(ours.receive(), b"from gnutls\n");
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    assert!(theirs.said.iter().any(|line| line.contains("The certificate is trusted")));
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(negotiated_suite(&ours.sent), Some(ECDHE_ECDSA_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn our_client_and_gnutls_serv_with_certificates() {
    let files = ChainFiles::of_server(Flaw::None);
    let (_theirs, addr) = certified_server(&files);
    let mut ours =
        ClientEnd::connect(socket(), addr, device_config(Flaw::None)).expect("a session");
    ours.send(b"from lowgate\n");
    assert_eq!(ours.receive(), b"from lowgate\n");
    assert_eq!(negotiated_suite(&ours.heard), Some(ECDHE_ECDSA_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
}

#[test]
fn gnutls_cli_has_bad_certificates() {
    refuse_clients(|alert| format!("Received alert [{alert}]"), certified_client);
}

#[test]
fn gnutls_serv_has_bad_certificates() {
    refuse_servers(certified_server);
}

#[test]
fn gnutls_cli_refuses_our_certificates() {
    let says = |flaw| match flaw {
        Flaw::Expired => "expired",
        Flaw::OtherName => "does not match",
        Flaw::Untrusted | Flaw::None => "issuer is unknown",
    };
    refused_by_clients(says, certified_client);
}

/// It says access_denied to whatever it does not take.
#[test]
fn gnutls_serv_refuses_our_certificates() {
    refused_by_servers([49, 49], certified_server);
}
