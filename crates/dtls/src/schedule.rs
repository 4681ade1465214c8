//! Secrets of a session: RFC 4279 section 2, RFC 5489 section 2, RFC 5246 sections 6.3 and 8.1, RFC 7627
//! section 4.

use crate::Psk;
use crate::handshake::VERIFY_DATA_OCTETS;
use crate::protect::Keys;
use crate::psk::PSK_OCTETS_MAX;
use lowgate_crypto::{Digest, Key128, Secret, Tls12Prf, tls12_prf};
use zeroize::Zeroizing;

/// Two lengths of 2, the key, and as many zeros.
const PREMASTER_OCTETS_MAX: usize = 2 * (2 + PSK_OCTETS_MAX);
/// RFC 6655 section 3: two keys of 16, two salts of 4, no MAC keys.
const KEY_BLOCK_OCTETS: usize = 40;

/// Where the premaster secret comes from.
pub(crate) enum Premaster<'a> {
    Psk(&'a Psk),
    /// The secret of a key exchange, then the key (RFC 5489 section 2).
    #[cfg(feature = "ecc")]
    EcdhePsk(&'a Secret<32>, &'a Psk),
    /// The secret of a key exchange alone (RFC 8422 section 5.10).
    #[cfg(feature = "ecc")]
    Ecdhe(&'a Secret<32>),
}

impl Premaster<'_> {
    /// Writes it and returns its length.
    fn emit(&self, out: &mut [u8; PREMASTER_OCTETS_MAX]) -> usize {
        let zeros = [0; PSK_OCTETS_MAX];
        let (other, psk) = match self {
            // RFC 4279 section 2: N, N zero octets, N, the PSK.
            Self::Psk(psk) => (&zeros[..psk.expose().len()], psk.expose()),
            #[cfg(feature = "ecc")]
            Self::EcdhePsk(shared, psk) => (&shared.expose()[..], psk.expose()),
            #[cfg(feature = "ecc")]
            Self::Ecdhe(shared) => {
                out[..32].copy_from_slice(shared.expose());
                return 32;
            }
        };
        let mut at = 0;
        for part in [other, psk] {
            out[at..at + 2].copy_from_slice(&(part.len() as u16).to_be_bytes());
            out[at + 2..][..part.len()].copy_from_slice(part);
            at += 2 + part.len();
        }
        at
    }
}

/// Both randoms of a handshake.
#[derive(Clone, Copy)]
pub(crate) struct Randoms<'a> {
    pub(crate) client: &'a [u8; 32],
    pub(crate) server: &'a [u8; 32],
}

/// The master secret.
#[derive(Clone)]
pub(crate) struct Master(pub(crate) Secret<48>);

impl Master {
    /// `session_hash` is there when both ends agreed on RFC 7627.
    pub(crate) fn derive(
        premaster: &Premaster<'_>,
        randoms: Randoms<'_>,
        session_hash: Option<&Digest>,
    ) -> Self {
        let mut octets = Zeroizing::new([0; PREMASTER_OCTETS_MAX]);
        let len = premaster.emit(&mut octets);
        let premaster = &octets[..len];
        let mut master = Zeroizing::new([0; 48]);
        match session_hash {
            Some(hash) => {
                tls12_prf(premaster, b"extended master secret", &[hash], &mut *master);
            }
            None => {
                let seed = [&randoms.client[..], &randoms.server[..]];
                tls12_prf(premaster, b"master secret", &seed, &mut *master);
            }
        }
        Self(Secret::new(*master))
    }

    /// For who derives several things from it.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule(Tls12Prf::new(self.0.expose()))
    }

    /// What the server's Finished holds.
    pub(crate) fn server_finished(&self, transcript: &Digest) -> [u8; VERIFY_DATA_OCTETS] {
        self.schedule().server_finished(transcript)
    }
}

/// What a master secret is good for.
pub(crate) struct Schedule(Tls12Prf);

impl Schedule {
    /// The client's and the server's write keys.
    pub(crate) fn keys(&self, randoms: Randoms<'_>) -> (Keys, Keys) {
        let mut block = Zeroizing::new([0; KEY_BLOCK_OCTETS]);
        let seed = [&randoms.server[..], &randoms.client[..]];
        self.0.expand(b"key expansion", &seed, &mut *block);
        let keys = |key: usize, salt: usize| Keys {
            key: Key128::from_slice(&block[key..key + 16]).expect("16 octets"),
            salt: [block[salt], block[salt + 1], block[salt + 2], block[salt + 3]],
        };
        (keys(0, 32), keys(16, 36))
    }

    /// What the client's Finished holds.
    pub(crate) fn client_finished(&self, transcript: &Digest) -> [u8; VERIFY_DATA_OCTETS] {
        self.verify_data(b"client finished", transcript)
    }

    /// What the server's Finished holds.
    pub(crate) fn server_finished(&self, transcript: &Digest) -> [u8; VERIFY_DATA_OCTETS] {
        self.verify_data(b"server finished", transcript)
    }

    fn verify_data(&self, label: &[u8], transcript: &Digest) -> [u8; VERIFY_DATA_OCTETS] {
        let mut out = [0; VERIFY_DATA_OCTETS];
        self.0.expand(label, &[transcript], &mut out);
        out
    }
}
