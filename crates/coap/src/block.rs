//! The option Block2 (RFC 7959 section 2): a response in parts, each asked for by itself.
//!
//! ```text
//! num (4, 12 or 20 bits) | more (1) | size exponent (3): 2^(exponent + 4) octets
//! ```
//! **Invariant:** pure functions of octets. An endpoint keeps nothing between two blocks: who answers makes each
//! of the whole, who asks puts them together.

use crate::codec::uint_octets;
use alloc::vec::Vec;

/// The highest number of a block (RFC 7959 section 2.2: 20 bits).
pub const BLOCK_NUMBER_MAX: u32 = (1 << 20) - 1;
/// The largest size exponent; 7 is reserved.
const EXPONENT_MAX: u8 = 6;

/// Which part of a response is asked for, or is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    number: u32,
    /// Others follow; says nothing in a request.
    pub more: bool,
    exponent: u8,
}

impl Block {
    /// The block of that number, where each has `2^(exponent + 4)` octets; `None` past the bounds of the option.
    pub const fn new(number: u32, exponent: u8) -> Option<Self> {
        if number > BLOCK_NUMBER_MAX || exponent > EXPONENT_MAX {
            return None;
        }
        Some(Self { number, more: false, exponent })
    }

    /// Which one, counted from 0.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Octets of each block but the last.
    pub const fn octets(self) -> usize {
        16 << self.exponent
    }

    /// Where it begins in the whole.
    pub const fn offset(self) -> usize {
        self.number as usize * self.octets()
    }

    /// The same block of a whole of `len` octets, and how many octets are in it; `None` if it begins past the end
    /// (RFC 7959 section 2.3 leaves the answer to the server; ours is 4.00). An empty whole has one empty block.
    pub fn of(self, len: usize) -> Option<(Self, usize)> {
        let left = len.checked_sub(self.offset()).filter(|left| *left > 0 || self.number == 0)?;
        let more = left > self.octets();
        Some((Self { more, ..self }, left.min(self.octets())))
    }

    /// From the option's value. RFC 7959 section 2.2: of up to three octets, and exponent 7 is a bad request.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        if octets.len() > 3 {
            return None;
        }
        let value = octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet));
        let more = value & 8 != 0;
        Self::new(value >> 4, (value & 7) as u8).map(|block| Self { more, ..block })
    }

    /// The option's value: a uint without leading zeros.
    pub(crate) fn emit(self) -> Vec<u8> {
        let value = self.number << 4 | u32::from(self.more) << 3 | u32::from(self.exponent);
        uint_octets(value)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_whole_in_blocks() {
        let block = |number| Block::new(number, 3).expect("in range");
        assert_eq!((block(2).octets(), block(2).offset()), (128, 256));
        let parts =
            |len| (0..9).map_while(move |n| block(n).of(len)).map(|(it, octets)| (it.more, octets));
        assert_eq!(parts(300).collect::<Vec<_>>(), [(true, 128), (true, 128), (false, 44)]);
        assert_eq!(parts(256).collect::<Vec<_>>(), [(true, 128), (false, 128)]);
        assert_eq!(parts(0).collect::<Vec<_>>(), [(false, 0)]);
        assert_eq!(Block::new(0, 7), None);
        assert_eq!(Block::new(BLOCK_NUMBER_MAX + 1, 0), None);
        assert_eq!(Block::parse(&[1, 2, 3, 4]), None);
        assert_eq!(Block::parse(&[7]), None);
        assert_eq!(Block::parse(&[]), Block::new(0, 0));
    }

    /// RFC 7959 section 3.1: 2:0/1/128 and 2:3/0/64.
    #[test]
    fn values_of_the_figures() {
        let first = Block { more: true, ..Block::new(0, 3).expect("in range") };
        assert_eq!(first.emit(), [0x0b]);
        assert_eq!(Block::new(3, 2).expect("in range").emit(), [0x32]);
    }

    proptest! {
        #[test]
        fn emit_of_parse_is_identity(octets: Vec<u8>) {
            if let Some(block) = Block::parse(&octets) {
                prop_assert_eq!(Block::parse(&block.emit()), Some(block));
                let skipped = octets.iter().take_while(|octet| **octet == 0).count();
                prop_assert_eq!(&block.emit()[..], &octets[skipped..]);
            }
        }

        #[test]
        fn blocks_are_the_whole(len in 0..5000usize, exponent in 0..7u8) {
            let mut at = 0;
            for number in 0..=BLOCK_NUMBER_MAX {
                let block = Block::new(number, exponent).expect("in range");
                let (block, octets) = block.of(len).expect("not past the end");
                prop_assert_eq!(block.offset(), at);
                at += octets;
                if !block.more {
                    break;
                }
            }
            prop_assert_eq!(at, len);
        }
    }
}
