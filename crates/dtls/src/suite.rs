//! The cipher suites. All seal with AES-128-CCM and a tag of 8 octets, and derive with SHA-256; they differ
//! in how the ends get a secret, and how they know each other.
//!
//! **Invariant:** without the cargo feature `ecc` there is one, and nothing to choose.

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CipherSuite {
    /// `TLS_PSK_WITH_AES_128_CCM_8` (RFC 6655).
    Psk,
    /// `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256` (RFC 8442): who learns the key later reads nothing of before.
    #[cfg(feature = "ecc")]
    EcdhePsk,
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` (RFC 7251).
    #[cfg(feature = "ecc")]
    EcdheEcdsa,
}

impl CipherSuite {
    pub(crate) const fn octets(self) -> [u8; 2] {
        match self {
            Self::Psk => [0xc0, 0xa8],
            #[cfg(feature = "ecc")]
            Self::EcdhePsk => [0xd0, 0x03],
            #[cfg(feature = "ecc")]
            Self::EcdheEcdsa => [0xc0, 0xae],
        }
    }

    #[cfg(feature = "server")]
    pub(crate) const fn parse(octets: [u8; 2]) -> Option<Self> {
        match octets {
            [0xc0, 0xa8] => Some(Self::Psk),
            #[cfg(feature = "ecc")]
            [0xd0, 0x03] => Some(Self::EcdhePsk),
            #[cfg(feature = "ecc")]
            [0xc0, 0xae] => Some(Self::EcdheEcdsa),
            _ => None,
        }
    }
}

/// What a client offers, what it likes best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suites(pub(crate) &'static [CipherSuite]);

impl Default for Suites {
    fn default() -> Self {
        Self(&[CipherSuite::Psk])
    }
}

impl Suites {
    /// The one of them that has these octets.
    pub(crate) fn find(self, octets: &[u8]) -> Option<CipherSuite> {
        self.0.iter().copied().find(|suite| suite.octets() == *octets)
    }
}

#[cfg(feature = "ecc")]
impl Suites {
    /// Whether one of them needs the curve.
    pub(crate) fn use_curve(self) -> bool {
        self.0.iter().any(|suite| *suite != CipherSuite::Psk)
    }

    pub(crate) fn contain(self, suite: CipherSuite) -> bool {
        self.0.contains(&suite)
    }
}
