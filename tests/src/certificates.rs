//! Certificates of both ends, in chains of three, and their files for programs that read them so: a root, two issuers
//! below it, a server, a device. They are signed here, in real time; OpenSSL writes the files.
//!
//! # Panics
//! All of it without `openssl`, or without room for files.

use crate::dtls_peers::{client, device, receive, server, visit};
use crate::loopback::{
    ClientEnd, DEVICE_SCALAR, ECDHE_ECDSA_WITH_AES_128_CCM_8, SERVER_SCALAR, ServerEnd,
    client_config, device_key, last_alert, server_key, socket, unix_time,
};
use crate::pem::{KeyFiles, openssl};
use crate::program::Program;
use lowgate_crypto::{PrivateKey, Secret, Sha256};
use lowgate_dtls::{
    CertificateRefused, ClientConfig, CloseReason, Credential, ServerCertificates, ServerConfig,
    ServerIdentity, TrustAnchor,
};
use lowgate_testkit::x509::{CLIENT_AUTH, Draft, Extension, SERVER_AUTH, name, tlv};
use lowgate_units::Eui64;
use std::fs;
use std::net::SocketAddr;

/// What the server is called.
pub const HOST: &str = "manager.example";
/// What the device is called.
pub const DEVICE: Eui64 = Eui64([0, 0x12, 0x4b, 0, 0, 0, 0, 1]);

/// Private keys of the authorities.
const ROOT: u8 = 0x10;
const ONE: u8 = 0x11;
const TWO: u8 = 0x12;
/// Of another root, whom nobody trusts.
const STRANGER: u8 = 0x13;

/// What may be wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// The end entity's time is over.
    Expired,
    /// It is about somebody else.
    OtherName,
    /// Its root is nobody's anchor.
    Untrusted,
}

/// Certificates in DER, the end entity's first.
pub type Chain = Vec<Box<[u8]>>;

fn key(octet: u8) -> PrivateKey {
    PrivateKey::new(&Secret::new([octet; 32])).expect("in range")
}

fn signed(draft: &Draft, signer: u8) -> Box<[u8]> {
    draft.signed(|octets| key(signer).sign(&Sha256::of(octets)).octets().into()).into()
}

fn authority(issuer: &str, subject: &str, (own, signer): (u8, u8)) -> Box<[u8]> {
    let draft = Draft::new(issuer, subject, &key(own).public().spki());
    signed(&draft.with(Extension::authority(None)).with(Extension::key_usage(0x04)), signer)
}

fn root(flaw: Flaw) -> (&'static str, u8) {
    if flaw == Flaw::Untrusted { ("stranger", STRANGER) } else { ("root", ROOT) }
}

/// The end entity and its two issuers.
fn chain(mut leaf: Draft, flaw: Flaw) -> Chain {
    if flaw == Flaw::Expired {
        leaf.not_after = tlv(23, b"251231235959Z");
    }
    let (root_name, root_key) = root(flaw);
    let one = authority(root_name, "one", (ONE, root_key));
    vec![signed(&leaf, TWO), authority("one", "two", (TWO, ONE)), one]
}

/// What the server shows.
#[must_use]
pub fn server_chain(flaw: Flaw) -> Chain {
    let host = if flaw == Flaw::OtherName { "other.example" } else { HOST };
    let leaf = Draft::new("two", "server", &server_key().public().spki())
        .with(Extension::key_usage(0x80))
        .with(Extension::purpose(SERVER_AUTH))
        .with(Extension::names(&[(2, host)]));
    chain(leaf, flaw)
}

/// What the device shows.
#[must_use]
pub fn device_chain(flaw: Flaw) -> Chain {
    let mut leaf = Draft::new("two", "", &device_key().public().spki());
    let other = Eui64([0xff; 8]);
    leaf.subject = name(&if flaw == Flaw::OtherName { other } else { DEVICE }.to_string());
    chain(leaf.with(Extension::key_usage(0x80)).with(Extension::purpose(CLIENT_AUTH)), flaw)
}

/// Of the root that all trust.
#[must_use]
pub fn root_certificate() -> Box<[u8]> {
    authority("root", "root", (ROOT, ROOT))
}

fn anchor() -> TrustAnchor {
    TrustAnchor::from_certificate(&root_certificate()).expect("an authority")
}

/// Our server's configuration: it shows a chain with this flaw, and trusts the root.
#[must_use]
pub fn server_config(flaw: Flaw) -> ServerConfig {
    let certificates = ServerCertificates::new(server_key(), server_chain(flaw), vec![anchor()]);
    let mut config = ServerConfig::new(&crate::loopback::CCM);
    config.certificates = Some(certificates.expect("a good chain"));
    config
}

/// Our client's: the same of a device, which looks for [`HOST`].
#[must_use]
pub fn device_config(flaw: Flaw) -> ClientConfig<'static> {
    // As good as flash: the process is a test.
    let chain = device_chain(flaw).into_iter().map(|octets| &*Box::leak(octets)).collect();
    let anchors: &'static [TrustAnchor] = Vec::leak(vec![anchor()]);
    let credential = Credential::Certificate {
        own: device_key(),
        chain: Vec::leak(chain),
        urls: None,
        anchors,
        server: ServerIdentity::Host,
        known: None,
        now: Some(unix_time()),
        seed: Secret::new([13; 32]),
    };
    ClientConfig { credential, server_name: Some(HOST), ..client_config(b"", b"of no use") }
}

/// A chain, its key and the root as files, which are gone when this is.
pub struct ChainFiles(KeyFiles);

impl ChainFiles {
    /// What a server of this flaw has.
    #[must_use]
    pub fn of_server(flaw: Flaw) -> Self {
        Self::write(&SERVER_SCALAR, &server_chain(flaw))
    }

    /// What a device has.
    #[must_use]
    pub fn of_device(flaw: Flaw) -> Self {
        Self::write(&DEVICE_SCALAR, &device_chain(flaw))
    }

    fn write(scalar: &[u8; 32], chain: &[Box<[u8]>]) -> Self {
        let files = Self(KeyFiles::of(scalar));
        let pem: Vec<String> = chain.iter().map(|octets| files.pem(octets)).collect();
        let write = |name: &str, text: &str| fs::write(files.named(name), text).expect("a file");
        write("chain.pem", &pem.concat());
        write("leaf.pem", &pem[0]);
        write("issuers.pem", &pem[1..].concat());
        write("root.pem", &files.pem(&root_certificate()));
        files
    }

    /// As text, by OpenSSL.
    fn pem(&self, octets: &[u8]) -> String {
        let [der, pem] = ["one.der", "one.pem"].map(|name| self.named(name));
        fs::write(&der, octets).expect("a file");
        openssl(&["x509", "-inform", "DER", "-in", &der, "-out", &pem]);
        fs::read_to_string(&pem).expect("it was written")
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.private()
    }

    /// End entity and issuers, in this order.
    #[must_use]
    pub fn chain(&self) -> String {
        self.named("chain.pem")
    }

    /// The end entity alone.
    #[must_use]
    pub fn leaf(&self) -> String {
        self.named("leaf.pem")
    }

    /// The issuers alone.
    #[must_use]
    pub fn issuers(&self) -> String {
        self.named("issuers.pem")
    }

    /// The root that all trust.
    #[must_use]
    pub fn root(&self) -> String {
        self.named("root.pem")
    }

    fn named(&self, name: &str) -> String {
        self.0.folder().join(name).display().to_string()
    }
}

/// What our client finds in a server's chain, and the alert that says so.
pub const OF_SERVERS: [(Flaw, CertificateRefused, u8); 3] = [
    (Flaw::Expired, CertificateRefused::Expired, 45),
    (Flaw::OtherName, CertificateRefused::WrongName, 46),
    (Flaw::Untrusted, CertificateRefused::UnknownIssuer, 48),
];
/// What our server finds in a device's.
pub const OF_DEVICES: [(Flaw, CertificateRefused, u8); 3] = [
    (Flaw::Expired, CertificateRefused::Expired, 45),
    (Flaw::OtherName, CertificateRefused::NotAdmitted, 49),
    (Flaw::Untrusted, CertificateRefused::UnknownIssuer, 48),
];

/// Our client at servers whose chain has a flaw: none gets a session, each the alert for it. `start` gives the server
/// that has these files.
pub fn refuse_servers(mut start: impl FnMut(&ChainFiles) -> (Program, SocketAddr)) {
    for (flaw, refused, alert) in OF_SERVERS {
        let files = ChainFiles::of_server(flaw);
        let (_theirs, addr) = start(&files);
        let (ours, ended) = ClientEnd::try_connect(socket(), addr, device_config(Flaw::None));
        assert_eq!(ended, Some(CloseReason::Certificate(refused)));
        assert_eq!(last_alert(&ours.sent), Some(alert));
    }
}

/// Clients whose chain has a flaw at our server: none gets a session, each the alert for it, and says in this way that
/// it came. `start` gives the client with these files.
pub fn refuse_clients(
    says: impl Fn(u8) -> String,
    mut start: impl FnMut(SocketAddr, &ChainFiles) -> Program,
) {
    for (flaw, refused, alert) in OF_DEVICES {
        let files = ChainFiles::of_device(flaw);
        let mut ours = ServerEnd::with(socket(), device(), server_config(Flaw::None));
        let mut theirs = start(ours.addr(), &files);
        assert_eq!(ours.accept(), Err(CloseReason::Certificate(refused)));
        assert_eq!(last_alert(&ours.sent), Some(alert));
        theirs.finish();
        let says = says(alert);
        assert!(theirs.said.iter().any(|line| line.contains(&says)), "{says}: {:?}", theirs.said);
    }
}

/// Their server and our client whose chain has a flaw that they see: no session, and these alerts for a time that is
/// over and for a root that is not theirs.
pub fn refused_by_servers(
    alerts: [u8; 2],
    mut start: impl FnMut(&ChainFiles) -> (Program, SocketAddr),
) {
    for (flaw, alert) in [Flaw::Expired, Flaw::Untrusted].into_iter().zip(alerts) {
        let files = ChainFiles::of_server(Flaw::None);
        let (_theirs, addr) = start(&files);
        let said = ClientEnd::first_alert(socket(), addr, device_config(flaw));
        assert_eq!(said, alert, "{flaw:?}");
    }
}

/// Their client and our server whose chain has a flaw: no session, and it says why. `start` gives the client.
pub fn refused_by_clients(
    says: impl Fn(Flaw) -> &'static str,
    mut start: impl FnMut(SocketAddr, &ChainFiles) -> Program,
) {
    for (flaw, ..) in OF_SERVERS {
        let files = ChainFiles::of_device(Flaw::None);
        let mut ours = ServerEnd::with(socket(), device(), server_config(flaw));
        let mut theirs = start(ours.addr(), &files);
        // It ends by itself; our server hears it, and knows of no session.
        ours.serve_nobody(|| theirs.has_ended());
        assert!(!theirs.finish().success());
        let says = says(flaw);
        assert!(theirs.said.iter().any(|line| line.contains(says)), "{says}: {:?}", theirs.said);
    }
}

/// Of a peer of [`crate::dtls_peers`], by its name: our server and its client, our client and its server, with a chain of
/// three on both ends.
pub fn both_roles(peer: &str) {
    let files = ChainFiles::of_device(Flaw::None);
    let arguments = client_arguments(&files);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    receive(peer, &arguments, server_config(Flaw::None), ECDHE_ECDSA_WITH_AES_128_CCM_8);
    let files = ChainFiles::of_server(Flaw::None);
    let (_theirs, addr) = serving(peer, &files);
    visit(addr, device_config(Flaw::None), ECDHE_ECDSA_WITH_AES_128_CCM_8);
}

/// The server of a peer.
#[must_use]
pub fn serving(peer: &str, files: &ChainFiles) -> (Program, SocketAddr) {
    server(peer, &["cert", &files.root(), &files.chain(), &files.key()])
}

/// The client of a peer.
#[must_use]
pub fn visiting(peer: &str, to: SocketAddr, files: &ChainFiles) -> Program {
    let arguments = client_arguments(files);
    client(peer, to, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn client_arguments(files: &ChainFiles) -> [String; 5] {
    ["cert".into(), files.root(), files.chain(), files.key(), HOST.into()]
}
