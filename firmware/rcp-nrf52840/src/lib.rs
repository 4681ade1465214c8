//! The radio co-processor on Nordic's nRF52840.
//!
//! Nobody has run it: it was written without a chip at hand. What can be decided without one is decided
//! in `lowgate-mac` and `lowgate-rcp`, and tested there.
#![no_std]

mod program;

pub use program::{FROM_HOST, PIPE_OCTETS, Program, TO_HOST, wrote_to_host};

/// A serial line passes so many octets at a time. One less than a USB packet: a transfer then never ends
/// with a full one.
pub const CHUNK_OCTETS: usize = 63;
