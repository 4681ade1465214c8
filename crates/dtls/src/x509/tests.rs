//! Chains of three below an anchor, with one thing wrong in each.

extern crate std;
use super::*;
use crate::x509::CertificateRefused as R;
use lowgate_crypto::{PrivateKey, Secret};
use lowgate_testkit::x509::*;
use proptest::prelude::*;
use std::vec::Vec;

/// 2026-01-01.
const NOW: UnixTime = UnixTime(1_767_225_600);
const HOST: &[u8] = b"manager.example";
const DEVICE: Eui64 = Eui64([0, 0x12, 0x4b, 0, 0, 0, 0, 1]);
/// keyCertSign, and digitalSignature.
const ISSUES: u8 = 0x04;
const SIGNS: u8 = 0x80;
const ROOT: usize = 0;
const LEAF: usize = 3;
const NAMES: [&str; 4] = ["root", "one", "two", "leaf"];

fn key(of: usize) -> PrivateKey {
    PrivateKey::new(&Secret::new([of as u8 + 1; 32])).expect("in range")
}

/// Root, two issuers, and the end entity, not signed yet.
struct Family {
    drafts: [Draft; 4],
    /// Who signs each.
    signers: [usize; 4],
    /// Signatures that are spoilt.
    spoilt: Option<usize>,
}

impl Family {
    fn new(leaf: impl FnOnce(Draft) -> Draft) -> Self {
        let draft = |at: usize| {
            let issuer = NAMES[at.saturating_sub(1)];
            Draft::new(issuer, NAMES[at], &key(at).public().spki())
        };
        let authority = |at: usize| {
            let path_len = Some(2 - at as u8);
            draft(at).with(Extension::authority(path_len)).with(Extension::key_usage(ISSUES))
        };
        let leaf = leaf(draft(LEAF).with(Extension::key_usage(SIGNS)));
        Self {
            drafts: [authority(0), authority(1), authority(2), leaf],
            signers: [0, 0, 1, 2],
            spoilt: None,
        }
    }

    fn server() -> Self {
        Self::new(|leaf| {
            leaf.with(Extension::purpose(SERVER_AUTH))
                .with(Extension::names(&[(2, "manager.example")]))
        })
    }

    fn client(common: &str) -> Self {
        Self::new(|mut leaf| {
            leaf.subject = name(common);
            leaf.with(Extension::purpose(CLIENT_AUTH))
        })
    }

    fn edit(mut self, at: usize, edit: impl FnOnce(&mut Draft)) -> Self {
        edit(&mut self.drafts[at]);
        self
    }

    fn signed(&self, at: usize) -> Vec<u8> {
        self.drafts[at].signed(|signed| {
            let mut digest = Sha256::of(signed);
            if self.spoilt == Some(at) {
                digest[0] ^= 1;
            }
            key(self.signers[at]).sign(&digest).octets().into()
        })
    }

    fn anchor(&self) -> TrustAnchor {
        TrustAnchor::from_certificate(&self.signed(ROOT)).expect("an authority")
    }

    /// The Certificate message of these.
    fn message(&self, members: &[usize]) -> Vec<u8> {
        message(&members.iter().map(|at| self.signed(*at)).collect::<Vec<_>>())
    }

    fn verify(&self, members: &[usize], who: (Purpose, Expected<'_>)) -> Result<Verified, R> {
        verify_chain(&self.message(members), &[self.anchor()], who, Some(NOW))
    }

    /// The whole chain, as a client sees a server's.
    fn as_server(&self) -> Result<Verified, R> {
        self.verify(&[3, 2, 1], SERVER)
    }

    fn as_client(&self) -> Result<Verified, R> {
        self.verify(&[3, 2, 1], CLIENT)
    }
}

const SERVER: (Purpose, Expected<'_>) = (Purpose::Server, Expected::Host(HOST));
const CLIENT: (Purpose, Expected<'_>) = (Purpose::Client, Expected::AnyDevice);

fn message(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let list: usize = chain.iter().map(|it| it.len() + 3).sum();
    let u24 = |len: usize| [(len >> 16) as u8, (len >> 8) as u8, len as u8];
    out.extend(u24(list));
    for octets in chain {
        out.extend(u24(octets.len()));
        out.extend(octets);
    }
    out
}

#[test]
fn a_chain_of_three() {
    let verified = Family::server().as_server().expect("good");
    assert_eq!((verified.key, verified.eui64), (key(LEAF).public(), None));
    // 2049-12-31 23:59:59.
    assert_eq!(verified.until, UnixTime(2_524_607_999));
    let verified = Family::client("00-12-4b-00-00-00-00-01").as_client().expect("good");
    assert_eq!((verified.key, verified.eui64), (key(LEAF).public(), Some(DEVICE)));
}

/// Some send the anchor along.
#[test]
fn with_the_anchor_and_shorter() {
    let family = Family::server();
    assert!(family.verify(&[3, 2, 1, 0], SERVER).is_ok());
    // An issuer of the middle is an anchor as good as another.
    for (anchor, chain) in [(1, &[3, 2][..]), (2, &[3]), (2, &[3, 2, 1])] {
        let anchor = TrustAnchor::from_certificate(&family.signed(anchor)).expect("an authority");
        assert!(verify_chain(&family.message(chain), &[anchor], SERVER, Some(NOW)).is_ok());
    }
    assert_eq!(family.verify(&[3], SERVER), Err(R::UnknownIssuer));
    assert_eq!(family.verify(&[3, 2], SERVER), Err(R::UnknownIssuer));
    assert_eq!(family.verify(&[3, 1], SERVER), Err(R::UnknownIssuer), "one is left out");
    assert_eq!(family.verify(&[3, 1, 2], SERVER), Err(R::UnknownIssuer), "in another order");
    let chain = family.message(&[3, 2, 1, 0]);
    assert_eq!(verify_chain(&chain, &[], SERVER, None), Err(R::UnknownIssuer), "no anchor");
}

#[test]
fn an_anchor_of_the_same_name() {
    let family = Family::server();
    let impostor = Family::server().edit(ROOT, |root| root.spki = key(9).public().spki().into());
    let chain = family.message(&[3, 2, 1]);
    let verify = |anchors: &[TrustAnchor]| verify_chain(&chain, anchors, SERVER, Some(NOW));
    assert_eq!(verify(&[impostor.anchor()]), Err(R::BadSignature));
    assert!(verify(&[impostor.anchor(), family.anchor()]).is_ok(), "a key that follows another");
}

#[test]
fn lists() {
    let leaf = Family::server().signed(LEAF);
    let check = |body: &[u8], expected| {
        assert_eq!(verify_chain(body, &[], SERVER, Some(NOW)), Err(expected));
    };
    check(&[], R::Malformed);
    check(&[0, 0, 0], R::Missing);
    check(&[0, 0, 1], R::Malformed);
    check(&[0, 0, 3, 0, 0, 0], R::Malformed);
    check(&[0, 0, 3, 0, 0, 1], R::Malformed);
    check(&[&message(std::slice::from_ref(&leaf))[..], &[0]].concat(), R::Malformed);
    check(&message(&std::vec![std::vec![0x30, 0]; 5]), R::TooLong);
    check(&message(&[std::vec![0; CHAIN_OCTETS_MAX]]), R::TooLong);
    check(&message(&std::vec![leaf; CERTIFICATES_MAX + 1]), R::TooLong);
}

#[test]
fn own_chains() {
    let family = Family::server();
    let chain = [3, 2, 1].map(|at| family.signed(at));
    let octets = || chain.iter().map(|octets| &octets[..]);
    let len = message_len(octets()).expect("short");
    let mut out = Vec::new();
    put_chain(octets(), len, &mut out);
    assert_eq!((out.len(), &out), (len, &family.message(&[3, 2, 1])));
    assert_eq!(message_len([].into_iter()), None);
    assert_eq!(message_len(octets().chain(octets())), None);
    assert_eq!(message_len([&[0; CHAIN_OCTETS_MAX][..]].into_iter()), None);
}

#[test]
fn time() {
    for at in 1..=LEAF {
        let over = Family::server().edit(at, |it| it.not_after = tlv(23, b"251231235959Z"));
        assert_eq!(over.as_server(), Err(R::Expired));
        let early = Family::server().edit(at, |it| it.not_before = tlv(23, b"260101000001Z"));
        assert_eq!(early.as_server(), Err(R::NotYetValid));
        // Without a clock nobody can tell.
        let chain = over.message(&[3, 2, 1]);
        assert!(verify_chain(&chain, &[over.anchor()], SERVER, None).is_ok());
        // The first and the last second count, in both forms.
        let last = Family::server().edit(at, |it| {
            (it.not_before, it.not_after) =
                (tlv(23, b"260101000000Z"), tlv(24, b"20260101000000Z"));
        });
        assert_eq!(last.as_server().map(|it| it.until), Ok(NOW));
        for bad in [&tlv(23, b"2601010000Z")[..], &tlv(24, b"20260101000000"), &tlv(4, b""), &[]] {
            let bad = Family::server().edit(at, |it| it.not_after = bad.into());
            assert_eq!(bad.as_server(), Err(R::Malformed));
        }
    }
}

#[test]
fn signatures() {
    for at in 1..=LEAF {
        let spoilt = Family { spoilt: Some(at), ..Family::server() };
        assert_eq!(spoilt.as_server(), Err(R::BadSignature));
        let mut other = Family::server();
        other.signers[at] = 7;
        assert_eq!(other.as_server(), Err(R::BadSignature), "somebody else's");
    }
    // Who has a certificate cannot make others: the leaf signs in place of the issuer above it.
    let mut own = Family::server();
    own.signers[LEAF] = LEAF;
    assert_eq!(own.as_server(), Err(R::BadSignature));
}

#[test]
fn algorithms() {
    let (rsa, sha1) =
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]);
    let others = [
        sequence(&[&tlv(6, rsa), &tlv(5, &[])]),
        sequence(&[&tlv(6, sha1)]),
        // Ours with parameters, which MUST be absent (RFC 5758 section 3.2).
        sequence(&[&ECDSA_WITH_SHA256[2..], &tlv(5, &[])]),
    ];
    for at in 1..=LEAF {
        for other in &others {
            let inner = Family::server().edit(at, |it| it.inner_algorithm = other.clone());
            assert_eq!(inner.as_server(), Err(R::Unsupported));
            let outer = Family::server().edit(at, |it| it.outer_algorithm = other.clone());
            assert_eq!(outer.as_server(), Err(R::Unsupported));
            let both = Family::server().edit(at, |it| {
                (it.inner_algorithm, it.outer_algorithm) = (other.clone(), other.clone());
            });
            assert_eq!(both.as_server(), Err(R::Unsupported));
        }
        let p384 = sequence(&[
            &sequence(&[
                &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
                &tlv(6, &[0x2b, 0x81, 4, 0, 0x22]),
            ]),
            &tlv(3, &[&[0, 4][..], &[7; 96]].concat()),
        ]);
        let other_curve = Family::server().edit(at, |it| it.spki = p384);
        assert_eq!(other_curve.as_server(), Err(R::Unsupported));
    }
}

#[test]
fn versions_and_serials() {
    for version in [&[][..], &tlv(0xa0, &tlv(2, &[1])), &tlv(0xa0, &tlv(2, &[3]))] {
        let other = Family::server().edit(LEAF, |it| it.version = version.into());
        assert_eq!(other.as_server(), Err(R::Unsupported));
    }
    let long = tlv(2, &[&[1][..], &[0; 19]].concat());
    assert!(Family::server().edit(LEAF, |it| it.serial = long).as_server().is_ok());
    for serial in [&[0][..], &[0x80], &[0, 0, 1], &[1; 21]] {
        let bad = Family::server().edit(LEAF, |it| it.serial = tlv(2, serial));
        assert_eq!(bad.as_server(), Err(R::Malformed), "{serial:?}");
    }
    // Unique identifiers MUST NOT be there.
    for tag in [0x81, 0x82] {
        let odd = Family::server().edit(LEAF, |it| it.before_extensions = tlv(tag, &[0, 1]));
        assert_eq!(odd.as_server(), Err(R::Malformed));
    }
}

#[test]
fn authorities() {
    for at in [ROOT, 1, 2] {
        let edits: [fn(&mut Draft); 4] = [
            |it| it.extensions.clear(),
            |it| it.extensions[0] = Extension::new(BASIC_CONSTRAINTS, true, &sequence(&[])),
            |it| it.extensions.truncate(0),
            |it| it.extensions[1] = Extension::key_usage(SIGNS),
        ];
        for edit in edits {
            let family = Family::server().edit(at, edit);
            let seen = match at {
                ROOT => TrustAnchor::from_certificate(&family.signed(ROOT)).map(|_| ()),
                _ => family.as_server().map(|_| ()),
            };
            assert_eq!(seen, Err(R::NoAuthority));
        }
        // RFC 5280 section 4.2.1.9: a path length of who is no authority.
        let odd = sequence(&[&tlv(2, &[0])]);
        let odd = Extension::new(BASIC_CONSTRAINTS, true, &odd);
        let family = Family::server().edit(at, |it| it.extensions[0] = odd);
        let seen = match at {
            ROOT => TrustAnchor::from_certificate(&family.signed(ROOT)).map(|_| ()),
            _ => family.as_server().map(|_| ()),
        };
        assert_eq!(seen, Err(R::Malformed));
    }
    // The leaf of somebody issues for somebody else.
    let issuing = Family::server()
        .edit(2, |it| it.extensions = Family::server().drafts[LEAF].extensions.clone());
    assert_eq!(issuing.as_server(), Err(R::NoAuthority));
}

#[test]
fn path_lengths() {
    let with = |at: usize, len| {
        Family::server().edit(at, |it| it.extensions[0] = Extension::authority(len))
    };
    for (at, len, good) in [
        (ROOT, None, true),
        (ROOT, Some(3), true),
        (ROOT, Some(1), false),
        (ROOT, Some(0), false),
        (1, None, true),
        (1, Some(0), false),
        (2, None, true),
        (2, Some(0), true),
    ] {
        let expected = if good { Ok(()) } else { Err(R::NoAuthority) };
        assert_eq!(with(at, len).as_server().map(|_| ()), expected, "{at} {len:?}");
    }
    // RFC 5280 section 4.2.1.9: who issued to himself does not count.
    let renewed = Family::server()
        .edit(2, |it| it.subject = name("one"))
        .edit(LEAF, |it| it.issuer = name("one"));
    let renewed = renewed.edit(1, |it| it.extensions[0] = Extension::authority(Some(0)));
    assert!(renewed.as_server().is_ok());
}

#[test]
fn purposes() {
    let leaf = |extension: Option<Extension>| {
        Family::server().edit(LEAF, |it| {
            it.extensions.remove(1);
            it.extensions.extend(extension);
        })
    };
    assert!(leaf(None).as_server().is_ok(), "it may be for anything");
    let any = Extension::purpose(&[0x55, 0x1d, 37, 0]);
    assert!(leaf(Some(any)).as_server().is_ok());
    let both = sequence(&[&tlv(6, CLIENT_AUTH), &tlv(6, SERVER_AUTH)]);
    assert!(leaf(Some(Extension::new(EXT_KEY_USAGE, true, &both))).as_server().is_ok());
    let client = Extension::purpose(CLIENT_AUTH);
    assert_eq!(leaf(Some(client)).as_server(), Err(R::WrongPurpose));
    assert_eq!(Family::server().verify(&[3, 2, 1], CLIENT), Err(R::WrongPurpose));
    // keyAgreement alone signs nothing; an authority is no end entity.
    for other in [Extension::key_usage(0x08), Extension::key_usage(ISSUES)] {
        let family = Family::server().edit(LEAF, |it| it.extensions[0] = other);
        assert_eq!(family.as_server(), Err(R::WrongPurpose));
    }
    let authority =
        Family::server().edit(LEAF, |it| it.extensions.push(Extension::authority(None)));
    assert_eq!(authority.as_server(), Err(R::WrongPurpose));
    // An issuer for clients alone.
    for at in [1, 2] {
        let with = |id| Family::server().edit(at, |it| it.extensions.push(Extension::purpose(id)));
        assert!(with(SERVER_AUTH).as_server().is_ok());
        assert_eq!(with(CLIENT_AUTH).as_server(), Err(R::WrongPurpose));
    }
}

#[test]
fn extensions() {
    let odd = |at: usize, extension: Extension| {
        Family::server().edit(at, |it| it.extensions.push(extension)).as_server().map(|_| ())
    };
    const UNKNOWN: &[u8] = &[0x2b, 6, 1, 4, 1, 99];
    for at in 1..=LEAF {
        assert_eq!(odd(at, Extension::new(UNKNOWN, false, &[5, 0])), Ok(()));
        assert_eq!(odd(at, Extension::new(UNKNOWN, true, &[5, 0])), Err(R::Unsupported));
        for critical in [false, true] {
            let names = Extension::new(NAME_CONSTRAINTS, critical, &sequence(&[]));
            assert_eq!(odd(at, names), Err(R::Unsupported));
        }
        assert_eq!(odd(at, Extension::key_usage(SIGNS)), Err(R::Malformed), "twice");
        let many = Family::server().edit(at, |it| {
            it.extensions.extend((0..17).map(|n| Extension::new(&[0x2b, n], false, &[])));
        });
        assert_eq!(many.as_server(), Err(R::TooLong));
    }
    let empty = Family::server().edit(LEAF, |it| it.extensions.clear());
    assert_eq!(empty.as_server(), Err(R::WrongName));
}

#[test]
fn hosts() {
    let named = |names: &[(u8, &str)]| {
        let names = Extension::names(names);
        Family::server().edit(LEAF, |it| it.extensions[2] = names).as_server().map(|_| ())
    };
    assert_eq!(named(&[(2, "manager.example")]), Ok(()));
    assert_eq!(named(&[(2, "Manager.EXAMPLE")]), Ok(()), "RFC 6125 section 6.4.1");
    // What is of another kind is not looked at.
    assert_eq!(named(&[(1, "a@manager.example"), (2, "manager.example")]), Ok(()));
    for bad in ["other.example", "manager.example.", "*.example", "*", "", "manager.example\0x"] {
        assert_eq!(named(&[(2, bad)]), Err(R::WrongName), "{bad}");
    }
    // RFC 7925 section 4.4.1: MUST NOT contain multiple names.
    assert_eq!(named(&[(2, "manager.example"), (2, "other.example")]), Err(R::WrongName));
    assert_eq!(named(&[(1, "manager.example")]), Err(R::WrongName), "an address of mail");
    // Nor a DNS name as a common name.
    let common = Family::server().edit(LEAF, |it| {
        it.subject = name("manager.example");
        it.extensions.remove(2);
    });
    assert_eq!(common.as_server(), Err(R::WrongName));
}

#[test]
fn devices() {
    let common = |text: &str| Family::client(text).as_client().map(|it| it.eui64);
    for good in ["00124b0000000001", "00-12-4B-00-00-00-00-01", "00:12:4b:00:00:00:00:01"] {
        assert_eq!(common(good), Ok(Some(DEVICE)));
    }
    for bad in ["", "00124b00000001", "00124b0000000001 ", "device", "00-12:4b-00-00-00-00-01"] {
        assert_eq!(common(bad), Err(R::WrongName), "{bad}");
    }
    let named = |names: &[(u8, &str)]| {
        let names = Extension::names(names);
        Family::client("ffffffffffffffff").edit(LEAF, |it| it.extensions.push(names)).as_client()
    };
    let device = "urn:dev:mac:00124b0000000001";
    assert_eq!(
        named(&[(6, device)]).map(|it| it.eui64),
        Ok(Some(DEVICE)),
        "before the common name"
    );
    assert_eq!(named(&[(6, device), (6, device)]), Err(R::WrongName));
    assert_eq!(named(&[(6, "urn:dev:mac:1")]), Err(R::WrongName));
    // Another kind of name says nothing of the device.
    let other = named(&[(2, "host.example")]).map(|it| it.eui64);
    assert_eq!(other, Ok(Some(Eui64([0xff; 8]))));
    let two = Family::client("x").edit(LEAF, |it| {
        let pair = sequence(&[&tlv(6, &[0x55, 4, 3]), &tlv(12, b"00124b0000000001")]);
        it.subject = sequence(&[&tlv(0x31, &pair), &tlv(0x31, &pair)]);
    });
    assert_eq!(two.as_client(), Err(R::WrongName));
    // A server without a DNS name: RFC 7925 section 4.4.1, last paragraph.
    let server = Family::client("00124b0000000001").edit(LEAF, |it| {
        it.extensions[1] = Extension::purpose(SERVER_AUTH);
    });
    let as_device = |device| server.verify(&[3, 2, 1], (Purpose::Server, Expected::Device(device)));
    assert!(as_device(DEVICE).is_ok());
    assert_eq!(as_device(Eui64([1; 8])), Err(R::WrongName));
    assert_eq!(server.as_server(), Err(R::WrongName));
}

/// Every alert of section 6 of RFC 7925 that is for certificates has its reason, and no other alert is used.
#[test]
fn alerts() {
    let of = |reason: R| reason.alert().0;
    assert_eq!([R::Malformed, R::TooLong, R::BadSignature].map(of), [42; 3]);
    assert_eq!([R::Unsupported, R::WrongPurpose].map(of), [43; 2]);
    assert_eq!([R::Expired, R::NotYetValid].map(of), [45; 2]);
    assert_eq!([R::UnknownIssuer, R::NoAuthority].map(of), [48; 2]);
    assert_eq!([R::WrongName, R::NotAdmitted, R::Missing].map(of), [46, 49, 40]);
}

/// Whoever changes any bit of a chain, cuts it or adds to it has no chain.
fn check_changed(changed: &[u8]) {
    let family = Family::server();
    assert!(verify_chain(changed, &[family.anchor()], SERVER, Some(NOW)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_bit_changed(at in any::<prop::sample::Index>(), bit in 0u8..8, add: u8) {
        let mut octets = Family::server().message(&[3, 2, 1]);
        let at = at.index(octets.len());
        check_changed(&octets[..at]);
        check_changed(&[&octets[..], &[add]].concat());
        octets[at] ^= 1 << bit;
        check_changed(&octets);
    }

    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        check_changed(&octets);
        check_changed(&message(&[octets]));
    }

    /// Any octets in the place of any part: each is read as far as possible.
    #[test]
    fn any_part(part in 0usize..8, at in 1usize..4, octets in prop::collection::vec(any::<u8>(), 0..60)) {
        let family = Family::server().edit(at, |it| {
            let place = match part {
                0 => &mut it.version,
                1 => &mut it.serial,
                2 => &mut it.issuer,
                3 => &mut it.not_before,
                4 => &mut it.subject,
                5 => &mut it.spki,
                6 => &mut it.extensions[0].content,
                _ => &mut it.extensions[1].content,
            };
            *place = octets.clone();
        });
        let _ = family.as_server();
        let _ = family.as_client();
        let _ = TrustAnchor::from_certificate(&family.signed(at));
    }
}

/// Somebody else's: `openssl/make.sh` made them.
#[test]
fn chains_of_openssl() {
    const ROOT: &[u8] = include_bytes!("openssl/root.der");
    const ISSUERS: [&[u8]; 2] =
        [include_bytes!("openssl/two.der"), include_bytes!("openssl/one.der")];
    let chain = |leaf: &[u8]| message(&[leaf, ISSUERS[0], ISSUERS[1]].map(Vec::from));
    let anchor = TrustAnchor::from_certificate(ROOT).expect("an authority");
    let server = chain(include_bytes!("openssl/server.der"));
    let device = chain(include_bytes!("openssl/device.der"));
    let verify = |body: &[u8], who, now| verify_chain(body, &[anchor], who, Some(UnixTime(now)));
    // In 2030, and long before.
    assert!(verify(&server, SERVER, 1_893_456_000).is_ok());
    let verified = verify(&device, CLIENT, 1_893_456_000).expect("good");
    assert_eq!(verified.eui64, Some(DEVICE));
    assert_eq!(verify(&server, SERVER, 0), Err(R::NotYetValid));
    assert_eq!(verify(&server, SERVER, u64::MAX), Err(R::Expired));
    assert_eq!(verify(&server, CLIENT, 1_893_456_000), Err(R::WrongPurpose));
    assert_eq!(verify(&device, SERVER, 1_893_456_000), Err(R::WrongPurpose));
}

/// RFC 7924 appendix A. (The certificate itself is of another curve.)
#[test]
fn fingerprint_of_rfc7924() {
    let certificate = lowgate_testkit::hex(
        "3082022c308201b2a00302010202010d300a06082a8648ce3d040302303e310b3009060355040613024e4c31 \
         11300f060355040a1308506f6c617253534c311c301a06035504031313506f6c617273736c20546573742045 \
         43204341301e170d3133303932343135353230345a170d3233303932323135353230345a3041310b30090603 \
         55040613024e4c3111300f060355040a1308506f6c617253534c311f301d06035504031316506f6c61725353 \
         4c205465737420436c69656e7420323059301306072a8648ce3d020106082a8648ce3d0301070342000457e5 \
         aeb173dfd3acbb93b881ff12aeeee653acce5553f6340ecc2ee363250bdf98e2f35c603696c0d5181470e57f \
         9fd54b4518e5b06cd55cf8968f8770a3e4c7a3819d30819a30090603551d1304023000301d0603551d0e0416 \
         04147a005f8664fce05de511103bb2e63bc4263fcfe2306e0603551d230467306580149d6d202449013f2bcb \
         78b519bc7e24c9dbfb367ca142a440303e310b3009060355040613024e4c3111300f060355040a1308506f6c \
         617253534c311c301a06035504031313506f6c617273736c2054657374204543204341820900c143e27e6243 \
         cce8300a06082a8648ce3d040302036800306502304a650d7b2083a299b9a80ffc8dee8f3dbb704c9603ac8e \
         7870ddf20ea0b216cb658e1ac93f2c617ef83cefad1cee36200231009df227a6d574b824aee16a3f31a1ca54 \
         2f08d08dee4f0c61df77787db4fdfc4249eee5b26ac2cd2677628e287c9e5745",
    );
    let body = message(&[certificate]);
    assert_eq!(body.len(), 0x236);
    let expected = "086eefb4859adfe977defac494fff6b73033b4ce1f86b8f2a9fc0c6bf98605af";
    assert_eq!(lowgate_testkit::to_hex(&fingerprint(&body)), expected);
}
