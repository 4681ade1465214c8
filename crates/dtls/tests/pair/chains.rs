//! Certificates of both ends: a root, two issuers below it, and whoever they certify.

use lowgate_crypto::{PrivateKey, Secret, Sha256};
use lowgate_dtls::{
    ClientConfig, Credential, ServerCertificates, ServerIdentity, TrustAnchor, UnixTime,
};
use lowgate_testkit::x509::{CLIENT_AUTH, Draft, Extension, SERVER_AUTH, name, tlv};
use lowgate_units::Eui64;

/// 2026-01-01.
pub(crate) const NOW: UnixTime = UnixTime(1_767_225_600);
pub(crate) const HOST: &str = "manager.example";
/// Names of keys: that of the root that all trust,
pub(crate) const TRUSTED: u8 = 0x10;
const ONE: u8 = 0x11;
const TWO: u8 = 0x12;
pub(crate) const SERVER: u8 = 0x5e;
/// and that of one of the same name, whom nobody trusts.
pub(crate) const STRANGER: u8 = 0x66;

pub(crate) const fn device(name: u8) -> Eui64 {
    Eui64([0, 0x12, 0x4b, 0, 0, 0, 0, name])
}

fn private_key(name: u8) -> PrivateKey {
    PrivateKey::new(&Secret::new([name; 32])).expect("in range")
}

/// A certificate, signed by who is called so.
fn signed(draft: &Draft, signer: u8) -> Box<[u8]> {
    draft.signed(|octets| private_key(signer).sign(&Sha256::of(octets)).octets().into()).into()
}

fn authority(issuer: &str, subject: &str, (own, signer): (u8, u8)) -> Box<[u8]> {
    let draft = Draft::new(issuer, subject, &private_key(own).public().spki());
    let draft = draft.with(Extension::authority(None)).with(Extension::key_usage(0x04));
    signed(&draft, signer)
}

/// The end entity, with both issuers behind it: the root is called `root`, whoever it is.
pub(crate) fn chain(leaf: &Draft, root: u8) -> Vec<Box<[u8]>> {
    let one = authority("root", "one", (ONE, root));
    vec![signed(leaf, TWO), authority("one", "two", (TWO, ONE)), one]
}

pub(crate) fn anchor(root: u8) -> TrustAnchor {
    let certificate = authority("root", "root", (root, root));
    TrustAnchor::from_certificate(&certificate).expect("an authority")
}

pub(crate) fn trusted() -> TrustAnchor {
    anchor(TRUSTED)
}

/// The end entity of a server, not signed yet.
pub(crate) fn server_leaf() -> Draft {
    Draft::new("two", "server", &private_key(SERVER).public().spki())
        .with(Extension::key_usage(0x80))
        .with(Extension::purpose(SERVER_AUTH))
        .with(Extension::names(&[(2, HOST)]))
}

/// That of a device.
pub(crate) fn device_leaf(name: u8) -> Draft {
    let mut leaf = Draft::new("two", "", &private_key(name).public().spki());
    leaf.subject = self::name(&device(name).to_string());
    leaf.with(Extension::key_usage(0x80)).with(Extension::purpose(CLIENT_AUTH))
}

pub(crate) fn over(mut leaf: Draft) -> Draft {
    leaf.not_after = tlv(23, b"251231235959Z");
    leaf
}

pub(crate) fn certificates(leaf: &Draft, root: u8) -> ServerCertificates {
    let chain = chain(leaf, root);
    ServerCertificates::new(private_key(SERVER), chain, vec![trusted()]).expect("a good chain")
}

pub(crate) fn good_certificates() -> ServerCertificates {
    certificates(&server_leaf(), TRUSTED)
}

pub(crate) type Flash = &'static [&'static [u8]];

/// What is in the flash of a device.
pub(crate) fn in_flash(chain: Vec<Box<[u8]>>) -> Flash {
    Vec::leak(chain.into_iter().map(|octets| &*Box::leak(octets)).collect())
}

/// A client that shows `leaf`, of the key called `name`.
pub(crate) fn showing<'a>(
    base: ClientConfig<'a>,
    leaf: &Draft,
    (name, root): (u8, u8),
    anchors: &'a [TrustAnchor],
) -> ClientConfig<'a> {
    with_flash(base, in_flash(chain(leaf, root)), name, anchors)
}

/// The same with what is in its flash.
pub(crate) fn with_flash<'a>(
    base: ClientConfig<'a>,
    chain: Flash,
    name: u8,
    anchors: &'a [TrustAnchor],
) -> ClientConfig<'a> {
    let credential = Credential::Certificate {
        own: private_key(name),
        chain,
        urls: None,
        anchors,
        server: ServerIdentity::Host,
        known: None,
        now: Some(NOW),
        seed: Secret::new([name ^ 0xa5; 32]),
    };
    ClientConfig { credential, server_name: Some(HOST), ..base }
}
