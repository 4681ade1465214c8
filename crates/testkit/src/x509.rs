//! X.509 certificates octet by octet, so that a test can have anything in them wrong. They are written here and
//! read elsewhere: nothing of the product's reading is used.

use std::vec::Vec;

/// ecdsa-with-SHA256 (RFC 5758 section 3.2).
pub const ECDSA_WITH_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// Object identifiers of extensions and purposes (RFC 5280), without tag and length.
pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
/// See [`SUBJECT_ALT_NAME`].
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
/// See [`SUBJECT_ALT_NAME`].
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
/// See [`SUBJECT_ALT_NAME`].
pub const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// See [`SUBJECT_ALT_NAME`].
pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
/// See [`SUBJECT_ALT_NAME`].
pub const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// See [`SUBJECT_ALT_NAME`].
pub const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// An element: tag, length in its shortest form, content.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut out = match len {
        0..=0x7f => [tag, len as u8].to_vec(),
        0x80..=0xff => [tag, 0x81, len as u8].to_vec(),
        _ => [tag, 0x82, (len >> 8) as u8, len as u8].to_vec(),
    };
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of these.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A Name that has one common name.
pub fn name(common: &str) -> Vec<u8> {
    let pair = sequence(&[&tlv(6, COMMON_NAME), &tlv(12, common.as_bytes())]);
    sequence(&[&tlv(0x31, &pair)])
}

/// One extension.
#[derive(Clone)]
pub struct Extension {
    /// Its object identifier.
    pub id: Vec<u8>,
    /// Whether it is critical.
    pub critical: bool,
    /// Its content, in DER.
    pub content: Vec<u8>,
}

impl Extension {
    /// With any content.
    pub fn new(id: &[u8], critical: bool, content: &[u8]) -> Self {
        Self { id: id.into(), critical, content: content.into() }
    }

    /// The basic constraints of an authority.
    pub fn authority(path_len: Option<u8>) -> Self {
        let path_len = path_len.map_or(Vec::new(), |len| tlv(2, &[len]));
        Self::new(BASIC_CONSTRAINTS, true, &sequence(&[&tlv(1, &[0xff]), &path_len]))
    }

    /// Usages of the key: the first octet of the bit string, and how many of its bits mean nothing.
    pub fn key_usage(bits: u8) -> Self {
        let unused = bits.trailing_zeros() as u8 % 8;
        Self::new(KEY_USAGE, true, &tlv(3, &[unused, bits]))
    }

    /// One purpose of the key.
    pub fn purpose(id: &[u8]) -> Self {
        Self::new(EXT_KEY_USAGE, false, &sequence(&[&tlv(6, id)]))
    }

    /// Alternative names: the number of each one's kind, and its content.
    pub fn names(names: &[(u8, &str)]) -> Self {
        let names = names.iter().map(|(kind, name)| tlv(0x80 | kind, name.as_bytes()));
        Self::new(SUBJECT_ALT_NAME, false, &tlv(0x30, &names.collect::<Vec<_>>().concat()))
    }

    fn der(&self) -> Vec<u8> {
        let critical = if self.critical { tlv(1, &[0xff]) } else { Vec::new() };
        sequence(&[&tlv(6, &self.id), &critical, &tlv(4, &self.content)])
    }
}

/// A certificate before it is signed; each part with tag and length.
#[derive(Clone)]
pub struct Draft {
    /// Version 3 as an INTEGER in `[0]`.
    pub version: Vec<u8>,
    /// An INTEGER.
    pub serial: Vec<u8>,
    /// The signature algorithm that is signed,
    pub inner_algorithm: Vec<u8>,
    /// and the one that is not.
    pub outer_algorithm: Vec<u8>,
    /// A Name.
    pub issuer: Vec<u8>,
    /// From when.
    pub not_before: Vec<u8>,
    /// Until when.
    pub not_after: Vec<u8>,
    /// A Name.
    pub subject: Vec<u8>,
    /// A SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// What stands between the key and the extensions.
    pub before_extensions: Vec<u8>,
    /// None: the field is left out.
    pub extensions: Vec<Extension>,
}

impl Draft {
    /// Good from 2020 to 2049, without extensions.
    pub fn new(issuer: &str, subject: &str, spki: &[u8]) -> Self {
        Self {
            version: tlv(0xa0, &tlv(2, &[2])),
            serial: tlv(2, &[1]),
            inner_algorithm: ECDSA_WITH_SHA256.into(),
            outer_algorithm: ECDSA_WITH_SHA256.into(),
            issuer: name(issuer),
            not_before: tlv(23, b"200101000000Z"),
            not_after: tlv(23, b"491231235959Z"),
            subject: name(subject),
            spki: spki.into(),
            before_extensions: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// With one more extension.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The certificate; `sign` makes an ECDSA-Sig-Value of what is signed.
    pub fn signed(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let extensions: Vec<_> = self.extensions.iter().flat_map(Extension::der).collect();
        let extensions = match extensions.is_empty() {
            true => Vec::new(),
            false => tlv(0xa3, &tlv(0x30, &extensions)),
        };
        let signed = sequence(&[
            &self.version,
            &self.serial,
            &self.inner_algorithm,
            &self.issuer,
            &sequence(&[&self.not_before, &self.not_after]),
            &self.subject,
            &self.spki,
            &self.before_extensions,
            &extensions,
        ]);
        let signature = tlv(3, &[&[0][..], &sign(&signed)].concat());
        sequence(&[&signed, &self.outer_algorithm, &signature])
    }
}
