//! Purpose: our server with `openssl s_client`, our client with `openssl s_server`.
//! Topology: two UDP sockets of the loopback interface, ports chosen by the system.
//! Criteria: `TLS_PSK_WITH_AES_128_CCM_8`, data both ways, an orderly end; to our server a wrong key
//! is told and gets no session. (Their server drops what it cannot open and says nothing, for ever.) The same with chains
//! of three certificates under `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`; one that is over, of another name or of another root
//! gets no session.

use lowgate_dtls::{ClientConfig, CloseReason, FragmentLen, RecordDrop, ServerConfig};
use lowgate_tests::certificates::{
    ChainFiles, Flaw, HOST, device_config, refuse_clients, refuse_servers, refused_by_clients,
    refused_by_servers, server_config,
};
use lowgate_tests::dtls_peers::{LONG, talk_short};
use lowgate_tests::loopback::{
    CCM, ClientEnd, ECDHE_ECDSA_WITH_AES_128_CCM_8, OneDevice, PSK_WITH_AES_128_CCM_8, ServerEnd,
    client_config, negotiated_suite, socket,
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

/// A session, its end, and another that goes on from it.
fn s_client_resumes(edit: fn(&mut ServerConfig), says: &str) {
    let mut config = ServerConfig::new(&CCM);
    edit(&mut config);
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut ours = ServerEnd::with(socket(), device, config);
    let server = ours.addr().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("session").display().to_string();
    for (option, is_resumed, told) in
        [("-sess_out", false, "New, TLSv1.2"), ("-sess_in", true, "Reused, TLSv1.2")]
    {
        let to = ["s_client", "-dtls1_2", "-connect", &server, "-cipher", CIPHER];
        let with = ["-psk_identity", IDENTITY, "-psk", PSK_HEX, option, &file];
        let mut theirs = Program::start("openssl", &[&to[..], &with].concat());
        let session = ours.accept().expect("a session");
        assert_eq!(ours.server().is_resumed(session), is_resumed);
        theirs.tell("from openssl");
        assert_eq!(ours.receive(), b"from openssl\n");
        ours.send(session, b"from lowgate\n");
        theirs.expect("from lowgate");
        assert!(theirs.said.iter().any(|line| line.starts_with(told)), "{:?}", theirs.said);
        assert!(theirs.said.iter().any(|line| line.contains(says)), "{:?}", theirs.said);
        assert!(theirs.finish().success());
        assert_eq!(ours.closed(), CloseReason::PeerClosed);
        assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    }
}

#[test]
fn s_client_resumes_by_session_id() {
    s_client_resumes(|config| config.resumable_max = 1, "Session-ID: ");
}

#[test]
fn s_client_resumes_by_ticket() {
    s_client_resumes(|config| config.tickets = true, "TLS session ticket lifetime hint: 86400");
}

/// Our client comes back to their server.
fn resume_at_s_server(options: &[&str], session_ticket: bool) {
    let (mut theirs, addr) = s_server(options);
    let mut resume = None;
    for is_resumed in [false, true] {
        let config = client_config(IDENTITY.as_bytes(), PSK);
        let config = ClientConfig { resume, session_ticket, ..config };
        let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
        assert_eq!(ours.client().is_resumed(), is_resumed);
        ours.send(b"from lowgate\n");
        theirs.expect("from lowgate");
        theirs.tell("from openssl");
        assert_eq!(ours.receive(), b"from openssl\n");
        assert_eq!(ours.drops, [] as [RecordDrop; 0]);
        resume = ours.client().saved_session().cloned();
        let saved = resume.as_ref().expect("it can be resumed");
        assert_eq!(saved.lifetime().is_some(), session_ticket, "a session id has no lifetime");
        ours.close();
        theirs.expect("DONE");
    }
    assert!(theirs.said.iter().any(|line| line == "Reused session-id"), "{:?}", theirs.said);
}

#[test]
fn our_client_resumes_by_session_id() {
    resume_at_s_server(&["-no_ticket"], false);
}

#[test]
fn our_client_resumes_by_ticket() {
    resume_at_s_server(&["-no_cache"], true);
}

const LABEL: &str = "EXPORTER-lowgate";

/// The lines with exported keying material that the other program says.
fn keying_material(theirs: &Program) -> Option<&str> {
    theirs.said.iter().find_map(|line| line.trim().strip_prefix("Keying material: "))
}

fn hex_of(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// Records of 512 octets, a server name and an exporter.
#[test]
fn s_client_with_extensions() {
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut config = ServerConfig::new(&CCM);
    (config.exporters, config.server_name) = (true, Some("manager.example".into()));
    let mut ours = ServerEnd::with(socket(), device, config);
    let server = ours.addr().to_string();
    let to = ["s_client", "-dtls1_2", "-connect", &server, "-cipher", CIPHER];
    let with = ["-psk_identity", IDENTITY, "-psk", PSK_HEX, "-servername", "Manager.example"];
    let more = ["-maxfraglen", "512", "-keymatexport", LABEL, "-keymatexportlen", "32"];
    let mut theirs = Program::start("openssl", &[&to[..], &with, &more].concat());
    let session = ours.accept().expect("a session");
    talk_short(&mut ours, session, &mut theirs);
    let mut exported = [0; 32];
    ours.server().export(session, LABEL.as_bytes(), None, &mut exported).expect("it is kept");
    assert_eq!(keying_material(&theirs), Some(&*hex_of(&exported)));
    assert!(theirs.finish().success());
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn s_server_with_extensions() {
    let (mut theirs, addr) = s_server(&["-keymatexport", LABEL, "-keymatexportlen", "32"]);
    let mut config = client_config(IDENTITY.as_bytes(), PSK);
    config.fragment_len = Some(FragmentLen::Octets512);
    config.server_name = Some("manager.example");
    let mut ours = ClientEnd::connect(socket(), addr, config).expect("a session");
    let long = String::from_utf8(LONG.to_vec()).expect("letters");
    ours.send(&[&LONG[..], b"\n"].concat());
    theirs.expect(&long);
    theirs.tell(&long);
    assert_eq!(ours.receive(), [&LONG[..], b"\n"].concat());
    let mut exported = [0; 32];
    ours.client().export(LABEL.as_bytes(), None, &mut exported).expect("a session");
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
    theirs.expect("DONE");
    assert_eq!(keying_material(&theirs), Some(&*hex_of(&exported)));
}

#[test]
fn s_client_looks_for_another_server() {
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut config = ServerConfig::new(&CCM);
    config.server_name = Some("manager.example".into());
    let mut ours = ServerEnd::with(socket(), device, config);
    let server = ours.addr().to_string();
    let to = ["s_client", "-dtls1_2", "-connect", &server, "-cipher", CIPHER];
    let with = ["-psk_identity", IDENTITY, "-psk", PSK_HEX, "-servername", "other.example"];
    let mut theirs = Program::start("openssl", &[&to[..], &with].concat());
    assert_eq!(ours.accept(), Err(CloseReason::UnrecognizedName));
    theirs.expect("unrecognized name");
    assert!(!theirs.finish().success());
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

/// RFC 4279 section 5.2: a hint of which no profile says what it means is ignored.
#[test]
fn our_client_and_s_server_with_a_hint() {
    talk_to_s_server(&["-psk_hint", "another-device"]);
}

#[test]
fn our_client_and_s_server_with_a_cookie() {
    talk_to_s_server(&["-listen"]);
}

/// RFC 7925 section 4.4.
const CERTIFICATES: &str = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0";

/// What both of its programs are told of certificates. They send them in pieces.
fn certified(files: &ChainFiles) -> Vec<String> {
    [
        ["-cert", &files.leaf()],
        ["-cert_chain", &files.issuers()],
        ["-key", &files.key()],
        ["-CAfile", &files.root()],
        ["-cipher", CERTIFICATES],
        ["-mtu", "600"],
    ]
    .concat()
    .into_iter()
    .map(String::from)
    .chain(["-dtls1_2".into(), "-verify_return_error".into()])
    .collect()
}

fn certified_client(to: SocketAddr, files: &ChainFiles) -> Program {
    let (to, certified) = (to.to_string(), certified(files));
    let options = ["s_client", "-connect", &to, "-verify", "4", "-verify_hostname", HOST];
    let certified = certified.iter().map(String::as_str);
    Program::start("openssl", &options.into_iter().chain(certified).collect::<Vec<_>>())
}

fn certified_server(files: &ChainFiles) -> (Program, SocketAddr) {
    let certified = certified(files);
    let options = ["s_server", "-accept", "127.0.0.1:0", "-Verify", "4"];
    let options = options.into_iter().chain(certified.iter().map(String::as_str));
    let mut server = Program::start("openssl", &options.collect::<Vec<_>>());
    let line = server.expect("ACCEPT ");
    let addr = line.trim_start_matches("ACCEPT ").parse();
    (server, addr.expect("an address and a port"))
}

#[test]
fn s_client_with_certificates() {
    let device = OneDevice { identity: IDENTITY.into(), psk: PSK.into() };
    let mut ours = ServerEnd::with(socket(), device, server_config(Flaw::None));
    let files = ChainFiles::of_device(Flaw::None);
    let mut theirs = certified_client(ours.addr(), &files);
    let session = ours.accept().expect("a session");
    theirs.tell("from openssl");
    assert_eq!(ours.receive(), b"from openssl\n");
    ours.send(session, b"from lowgate\n");
    theirs.expect("from lowgate");
    assert!(theirs.said.iter().any(|line| line == "Verified peername: manager.example"));
    assert!(theirs.finish().success());
    assert_eq!(ours.closed(), CloseReason::PeerClosed);
    assert_eq!(negotiated_suite(&ours.sent), Some(ECDHE_ECDSA_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
}

#[test]
fn our_client_and_s_server_with_certificates() {
    let files = ChainFiles::of_server(Flaw::None);
    let (mut theirs, addr) = certified_server(&files);
    let mut ours =
        ClientEnd::connect(socket(), addr, device_config(Flaw::None)).expect("a session");
    ours.send(b"from lowgate\n");
    theirs.expect("from lowgate");
    theirs.tell("from openssl");
    assert_eq!(ours.receive(), b"from openssl\n");
    assert_eq!(negotiated_suite(&ours.heard), Some(ECDHE_ECDSA_WITH_AES_128_CCM_8));
    assert_eq!(ours.drops, [] as [RecordDrop; 0]);
    ours.close();
}

#[test]
fn s_client_has_bad_certificates() {
    refuse_clients(|alert| format!("SSL alert number {alert}"), certified_client);
}

#[test]
fn s_server_has_bad_certificates() {
    refuse_servers(certified_server);
}

#[test]
fn s_client_refuses_our_certificates() {
    let says = |flaw| match flaw {
        Flaw::Expired => "certificate has expired",
        Flaw::OtherName => "hostname mismatch",
        Flaw::Untrusted | Flaw::None => "unable to get local issuer certificate",
    };
    refused_by_clients(says, certified_client);
}

#[test]
fn s_server_refuses_our_certificates() {
    refused_by_servers([45, 48], certified_server);
}
