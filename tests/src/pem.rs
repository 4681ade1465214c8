//! Keys as files, for programs that read them so. OpenSSL writes them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// RFC 5915: an ECPrivateKey of P-256 before and behind its 32 octets.
const HEAD: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
const TAIL: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A key pair in two files, which are gone when this is.
pub struct KeyFiles(tempfile::TempDir);

impl KeyFiles {
    /// The pair of this scalar.
    ///
    /// # Panics
    /// Without `openssl`.
    pub fn of(scalar: &[u8; 32]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let der = folder.path().join("key.der");
        fs::write(&der, [&HEAD[..], scalar, &TAIL].concat()).expect("a file");
        let files = Self(folder);
        let der = der.display().to_string();
        openssl(&["ec", "-inform", "DER", "-in", &der, "-out", &files.private()]);
        openssl(&["ec", "-inform", "DER", "-in", &der, "-pubout", "-out", &files.public()]);
        files
    }

    /// The private key's.
    pub fn private(&self) -> String {
        self.named("private.pem")
    }

    /// The public key's.
    pub fn public(&self) -> String {
        self.named("public.pem")
    }

    fn named(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// The folder of both.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }
}

/// Runs `openssl` to its end.
///
/// # Panics
/// When it fails.
pub fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
