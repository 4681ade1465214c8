//! Nordic's nRF52840, below our programs: the radio, the time, why it starts.
//!
//! Nobody has run it: it was written without a chip at hand. What can be decided without one is decided
//! in `lowgate-mac` and tested there.
//!
//! **Invariant:** the interrupts decide nothing but whether a frame is acknowledged; whatever ends the
//! program, the next boot says why.
#![no_std]

mod buffer;
pub mod clock;
pub mod hardware;
pub mod radio;
mod reset;

pub use reset::{Boot, enter_bootloader};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;

/// There is something to do: the radio has something to say, or the time has come. Drivers of serial lines
/// and buttons use it, too.
pub static WAKE: Signal<CriticalSectionRawMutex, ()> = Signal::new();
