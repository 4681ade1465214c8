//! A pre-shared key (RFC 4279), and what its owner is called.

use crate::IDENTITY_OCTETS_MAX;
use lowgate_crypto::Secret;

/// What the owner of a key is called.
pub type Identity = heapless::Vec<u8, IDENTITY_OCTETS_MAX>;

/// Longest key: RFC 4279 section 5.3 wants 64 octets supported.
pub(crate) const PSK_OCTETS_MAX: usize = 64;

/// A pre-shared key of 1 to 64 octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psk {
    octets: Secret<PSK_OCTETS_MAX>,
    len: u8,
}

impl Psk {
    /// `None` unless `octets` has 1 to 64.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let mut padded = zeroize::Zeroizing::new([0; PSK_OCTETS_MAX]);
        padded.get_mut(..octets.len())?.copy_from_slice(octets);
        let len = u8::try_from(octets.len()).ok().filter(|len| *len > 0)?;
        Some(Self { octets: Secret::new(*padded), len })
    }

    /// The key itself.
    pub fn expose(&self) -> &[u8] {
        &self.octets.expose()[..usize::from(self.len)]
    }
}

impl From<&lowgate_crypto::Key128> for Psk {
    fn from(key: &lowgate_crypto::Key128) -> Self {
        Self::new(key.expose()).expect("16 octets are a PSK")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_1_to_64() {
        assert_eq!(Psk::new(&[]), None);
        assert_eq!(Psk::new(&[7; 65]), None);
        assert_eq!(Psk::new(&[7; 64]).expect("64 octets").expose(), [7; 64]);
        assert_eq!(Psk::new(&[7]).expect("1 octet").expose(), [7]);
    }
}
