//! HDLC-lite: flags, octet stuffing and a check sequence. RFC 1662 section 4.
//!
//! **Invariant:** what was damaged is never handed up; after any octets at all, the decoder is in
//! step again at the next flag.

use crate::fcs::{FCS_OCTETS, HDLC_GOOD, HDLC_START, hdlc_fcs, step};
use heapless::Vec;

/// Between frames.
pub const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const ESCAPE_MASK: u8 = 0x20;
/// Software flow control takes these two, and some co-processors a third one.
const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
const VENDOR: u8 = 0xf8;

/// Octets on the line of a frame with so many octets: everything stuffed, and two flags.
pub const fn encoded_octets_max(content_octets_max: usize) -> usize {
    2 * (content_octets_max + FCS_OCTETS) + 2
}

/// The octets for the line. They begin with a flag too: it ends what noise began. `None` without
/// room; [`encoded_octets_max`] is always enough.
pub fn encode<const N: usize>(content: &[u8]) -> Option<Vec<u8, N>> {
    let mut line = Vec::new();
    line.push(FLAG).ok()?;
    for &octet in content.iter().chain(&hdlc_fcs(content)) {
        if matches!(octet, FLAG | ESCAPE | XON | XOFF | VENDOR) {
            line.push(ESCAPE).ok()?;
            line.push(octet ^ ESCAPE_MASK).ok()?;
        } else {
            line.push(octet).ok()?;
        }
    }
    line.push(FLAG).ok()?;
    Some(line)
}

/// Why a frame on the line was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HdlcDrop {
    /// The check sequence is wrong, or too few octets for one.
    BadFcs,
    /// More octets than the decoder holds.
    TooLong,
    /// The sender gave it up.
    Aborted,
}

/// Octets of the line in, frames out. `N` counts the FCS.
#[derive(Debug)]
pub struct Decoder<const N: usize> {
    content: Vec<u8, N>,
    stage: Stage,
    dropped: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for a flag: we do not know where a frame begins.
    OutOfStep,
    /// Collects.
    InFrame,
    /// The next octet is a stuffed one.
    Escaped,
    /// A frame was handed up; the next octet begins another.
    Done,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// Out of step.
    pub const fn new() -> Self {
        Self { content: Vec::new(), stage: Stage::OutOfStep, dropped: 0 }
    }

    /// Frames dropped so far.
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// One octet of the line. A frame comes back without its FCS.
    pub fn push(&mut self, octet: u8) -> Option<Result<&[u8], HdlcDrop>> {
        if self.stage == Stage::Done {
            self.restart(Stage::InFrame);
        }
        match (self.stage, octet) {
            (Stage::OutOfStep, FLAG) => {
                self.restart(Stage::InFrame);
                None
            }
            (Stage::OutOfStep, _) => None,
            (Stage::InFrame, FLAG) => self.end(),
            (Stage::InFrame, ESCAPE) => {
                self.stage = Stage::Escaped;
                None
            }
            (Stage::InFrame, octet) => self.collect(octet),
            // RFC 1662 section 4.3: an escape right before a flag aborts the frame.
            (Stage::Escaped, FLAG) => self.drop(HdlcDrop::Aborted, Stage::InFrame),
            (Stage::Escaped, octet) => {
                self.stage = Stage::InFrame;
                self.collect(octet ^ ESCAPE_MASK)
            }
            (Stage::Done, _) => None, // left above
        }
    }

    fn restart(&mut self, stage: Stage) {
        self.content.clear();
        self.stage = stage;
    }

    fn collect(&mut self, octet: u8) -> Option<Result<&[u8], HdlcDrop>> {
        match self.content.push(octet) {
            Ok(()) => None,
            Err(_) => self.drop(HdlcDrop::TooLong, Stage::OutOfStep),
        }
    }

    fn drop(&mut self, reason: HdlcDrop, next: Stage) -> Option<Result<&[u8], HdlcDrop>> {
        self.restart(next);
        self.dropped = self.dropped.saturating_add(1);
        Some(Err(reason))
    }

    fn end(&mut self) -> Option<Result<&[u8], HdlcDrop>> {
        if self.content.is_empty() {
            return None; // one flag ends a frame, another begins the next
        }
        let crc = self.content.iter().fold(HDLC_START, |crc, &octet| step(crc, octet));
        match self.content.len().checked_sub(FCS_OCTETS) {
            Some(len) if crc == HDLC_GOOD => {
                self.stage = Stage::Done;
                self.content.get(..len).map(Ok)
            }
            Some(_) | None => self.drop(HdlcDrop::BadFcs, Stage::InFrame),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;
    use std::vec::Vec as StdVec;

    fn frames<const N: usize>(line: &[u8]) -> StdVec<Result<StdVec<u8>, HdlcDrop>> {
        let mut decoder = Decoder::<N>::new();
        line.iter()
            .filter_map(|&octet| decoder.push(octet).map(|f| f.map(<[u8]>::to_vec)))
            .collect()
    }

    #[test]
    fn the_reset_notice_of_a_real_co_processor() {
        let line: Vec<u8, 16> = encode(&hex("80060072")).unwrap();
        assert_eq!(frames::<16>(&line), [Ok(hex("80060072"))]);
    }

    #[test]
    fn what_flow_control_takes_is_stuffed() {
        let content = [FLAG, ESCAPE, XON, XOFF, VENDOR];
        let line: Vec<u8, 32> = encode(&content).unwrap();
        assert_eq!(&line[..11], hex("7e 7d5e 7d5d 7d31 7d33 7dd8"));
        assert_eq!(frames::<16>(&line), [Ok(content.to_vec())]);
    }

    #[test]
    fn a_shared_flag_is_enough_between_two_frames() {
        let one: Vec<u8, 16> = encode(&[1]).unwrap();
        let two: Vec<u8, 16> = encode(&[2]).unwrap();
        let line: StdVec<u8> = one.iter().chain(&two[1..]).copied().collect();
        assert_eq!(frames::<16>(&line), [Ok(hex("01")), Ok(hex("02"))]);
    }

    #[test]
    fn noise_before_the_first_flag_is_no_frame() {
        let frame: Vec<u8, 16> = encode(&[1, 2]).unwrap();
        let line: StdVec<u8> = [9; 100].iter().chain(&frame).copied().collect();
        assert_eq!(frames::<16>(&line), [Ok(hex("0102"))]);
    }

    #[test]
    fn an_endless_frame_is_dropped_once_and_the_next_one_is_heard() {
        let frame: Vec<u8, 16> = encode(&[1, 2]).unwrap();
        let line: StdVec<u8> = [FLAG].iter().chain(&[9; 100]).chain(&frame).copied().collect();
        assert_eq!(frames::<8>(&line), [Err(HdlcDrop::TooLong), Ok(hex("0102"))]);
    }

    #[test]
    fn an_aborted_frame_is_dropped() {
        let frame: Vec<u8, 16> = encode(&[1, 2]).unwrap();
        let line: StdVec<u8> = hex("7e 01 7d").iter().chain(&frame).copied().collect();
        assert_eq!(frames::<8>(&line), [Err(HdlcDrop::Aborted), Ok(hex("0102"))]);
    }

    proptest! {
        #[test]
        fn decode_of_encode_is_identity(content in prop::collection::vec(any::<u8>(), 1..64)) {
            let line: Vec<u8, { encoded_octets_max(64) }> = encode(&content).unwrap();
            prop_assert_eq!(frames::<66>(&line), [Ok(content)]);
        }

        #[test]
        fn any_octets_never_panic_and_never_deafen(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let frame: Vec<u8, 16> = encode(&[1, 2]).unwrap();
            let line: StdVec<u8> = noise.iter().chain(&frame).chain(&frame).copied().collect();
            prop_assert_eq!(frames::<32>(&line).pop(), Some(Ok(hex("0102"))));
        }

        #[test]
        fn a_flipped_bit_is_noticed(content in prop::collection::vec(any::<u8>(), 1..32), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut line: Vec<u8, 80> = encode(&content).unwrap();
            let at = at.index(line.len());
            line[at] ^= 1_u8 << bit;
            prop_assert!(frames::<40>(&line).into_iter().flatten().all(|frame| frame == content));
        }
    }
}
