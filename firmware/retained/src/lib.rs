//! How a program's life ends, and how the next one learns of it: the panic handler, the fault handler, the
//! guard below the stack, and a few words of RAM that outlive a reset.
//!
//! It is for every Cortex-M whose RAM begins at 0x2000 0000 and whose `memory.x` puts the stack there.
#![no_std]

mod guard;
mod record;

pub use record::{Cause, LAST_WORDS_OCTETS_MAX, Restart, restart};

use cortex_m::peripheral::MPU;

/// First of all: what goes wrong from here on is of this life.
pub fn begin(unit: &MPU) -> Restart {
    let restart = record::begin();
    guard::begin(unit);
    restart
}
