//! Secrets of a PSK session: RFC 4279 section 2, RFC 5246 sections 6.3 and 8.1, RFC 7627 section 4.

use crate::Psk;
use crate::handshake::VERIFY_DATA_OCTETS;
use crate::protect::Keys;
use lowgate_crypto::{Digest, Key128, Secret, tls12_prf};
use zeroize::Zeroizing;

/// Two lengths of 2, the key, and as many zeros.
const PREMASTER_OCTETS_MAX: usize = 2 * (2 + 64);
/// RFC 6655 section 3: two keys of 16, two salts of 4, no MAC keys.
const KEY_BLOCK_OCTETS: usize = 40;

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
    pub(crate) fn derive(psk: &Psk, randoms: Randoms<'_>, session_hash: Option<&Digest>) -> Self {
        let psk = psk.expose();
        let (n, len) = (psk.len(), (psk.len() as u16).to_be_bytes());
        let mut premaster = Zeroizing::new([0; PREMASTER_OCTETS_MAX]);
        // RFC 4279 section 2: N, N zero octets, N, the PSK.
        premaster[..2].copy_from_slice(&len);
        premaster[2 + n..4 + n].copy_from_slice(&len);
        premaster[4 + n..4 + 2 * n].copy_from_slice(psk);
        let premaster = &premaster[..4 + 2 * n];
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

    /// The client's and the server's write keys.
    pub(crate) fn keys(&self, randoms: Randoms<'_>) -> (Keys, Keys) {
        let mut block = Zeroizing::new([0; KEY_BLOCK_OCTETS]);
        let seed = [&randoms.server[..], &randoms.client[..]];
        tls12_prf(self.0.expose(), b"key expansion", &seed, &mut *block);
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
        tls12_prf(self.0.expose(), label, &[transcript], &mut out);
        out
    }
}
