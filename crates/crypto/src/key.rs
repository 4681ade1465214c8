//! Keys that wipe themselves, compare in constant time and never print.

use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 128-bit key.
pub type Key128 = Secret<16>;

/// `N` octets that nobody may see by accident.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes the octets over. The caller wipes its own copy.
    pub const fn new(octets: [u8; N]) -> Self {
        Self(octets)
    }

    /// `None` unless `octets` has exactly `N`.
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }

    /// The octets themselves: for ciphers, for the protected channel that carries the key, for
    /// sealed storage, and for a key log that the user asked for. Nowhere else.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(std::format!("{:?}", Key128::new([0x42; 16])), "(secret)");
    }

    #[test]
    fn equality_and_length() {
        assert_eq!(Key128::from_slice(&[1; 16]), Some(Key128::new([1; 16])));
        assert_ne!(Key128::new([1; 16]), Key128::new([2; 16]));
        assert_eq!(Key128::from_slice(&[1; 15]), None);
    }
}
