//! The third serial line: who stands there has the flash that the machine lacks, and entropy.
//!
//! The device asks, the host's end answers, one message each, in HDLC-lite frames as on the other lines. Numbers are
//! little endian.
//!
//! ```text
//! asked      00 token:4         begin             answered   80 token:4
//!            01 at:4 len:1      read                         81 octets
//!            02 at:4 octets     write                        82
//!            03 at:4            erase a page                 83
//!            04 len:1           entropy                      84 octets
//!                                                            ff  refused
//! ```
//!
//! A page has 4096 octets, as an nRF52840's, and there are eight. A write may be cut off at any octet, and so may
//! an erasure: that is a loss of power, after which the machine is gone and nothing is answered.
//!
//! A program that starts anew begins with a token of its own, and passes over whatever the one before was still owed.
//!
//! **Invariant:** what was answered has happened. Without an answer nothing goes on, and the watchdog ends it.

use core::cell::RefCell;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use heapless::Vec;
use lowgate_lm3s6965::AskedUart;
use lowgate_spinel::{Decoder, FCS_OCTETS, encode, encoded_octets_max};
use lowgate_units::Entropy;

/// Octets of a page.
pub const PAGE_OCTETS: usize = 4096;
/// Pages of the flash.
pub const PAGES: usize = 8;

const BEGIN: u8 = 0x00;
const READ: u8 = 0x01;
const WRITE: u8 = 0x02;
const ERASE: u8 = 0x03;
const ENTROPY: u8 = 0x04;
const ANSWER: u8 = 0x80;
/// Octets asked for, or written, at a time.
const PIECE_OCTETS_MAX: usize = 240;
const MESSAGE_OCTETS_MAX: usize = 1 + 4 + PIECE_OCTETS_MAX;

type Message = Vec<u8, MESSAGE_OCTETS_MAX>;

/// The far end of the line.
#[derive(Clone, Copy, Debug)]
pub struct Storage<'a>(pub &'a RefCell<AskedUart>);

/// The far end does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl NorFlashError for Refused {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Storage<'_> {
    /// Waits until the far end knows of this start. No two starts should give the same token.
    pub fn begin(self, token: u32) {
        let token = token.to_le_bytes();
        self.send(BEGIN, [&token, &[]]);
        while self.next().as_deref()
            != Some(&[BEGIN | ANSWER, token[0], token[1], token[2], token[3]])
        {}
    }

    fn send(self, kind: u8, parts: [&[u8]; 2]) {
        let message: Message =
            [&[kind], parts[0], parts[1]].into_iter().flatten().copied().collect();
        let line: Option<Vec<u8, { encoded_octets_max(MESSAGE_OCTETS_MAX) }>> = encode(&message);
        self.0.borrow_mut().write_all(&line.expect("every message of ours is within its bound"));
    }

    /// The next message; `None` if it is damaged.
    fn next(self) -> Option<Message> {
        let mut decoder = Decoder::<{ MESSAGE_OCTETS_MAX + FCS_OCTETS }>::new();
        loop {
            let octet = self.0.borrow_mut().read();
            if let Some(message) = octet.and_then(|octet| decoder.push(octet)) {
                return message.ok().and_then(|message| Message::from_slice(message).ok());
            }
        }
    }

    fn ask(self, kind: u8, parts: [&[u8]; 2]) -> Result<Message, Refused> {
        self.send(kind, parts);
        let message = self.next().ok_or(Refused)?;
        match message.split_first() {
            Some((said, octets)) if *said == kind | ANSWER => {
                Message::from_slice(octets).map_err(|_| Refused)
            }
            Some(_) | None => Err(Refused),
        }
    }
}

impl ErrorType for Storage<'_> {
    type Error = Refused;
}

impl ReadNorFlash for Storage<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Refused> {
        let mut at = offset;
        for piece in bytes.chunks_mut(PIECE_OCTETS_MAX) {
            let answer = self.ask(READ, [&at.to_le_bytes(), &[piece.len() as u8]])?;
            if answer.len() != piece.len() {
                return Err(Refused);
            }
            piece.copy_from_slice(&answer);
            at += piece.len() as u32;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        PAGES * PAGE_OCTETS
    }
}

impl NorFlash for Storage<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_OCTETS;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Refused> {
        for page in (from..to).step_by(PAGE_OCTETS) {
            self.ask(ERASE, [&page.to_le_bytes(), &[]])?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Refused> {
        let mut at = offset;
        for piece in bytes.chunks(PIECE_OCTETS_MAX) {
            self.ask(WRITE, [&at.to_le_bytes(), piece])?;
            at += piece.len() as u32;
        }
        Ok(())
    }
}

impl Entropy for Storage<'_> {
    /// # Panics
    /// When there is none: no secret can be made.
    fn fill(&mut self, octets: &mut [u8]) {
        for piece in octets.chunks_mut(PIECE_OCTETS_MAX) {
            let answer = self.ask(ENTROPY, [&[piece.len() as u8], &[]]);
            let answer = answer.ok().filter(|answer| answer.len() == piece.len());
            piece.copy_from_slice(&answer.expect("the far end has entropy"));
        }
    }
}
