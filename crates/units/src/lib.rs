#![no_std]
//! The quantities every other crate speaks in: time, identifiers, radio figures, chance.
//!
//! **Invariant:** nothing here reads a clock, draws from the system or allocates.

mod address;
mod chance;
pub mod planted;
mod radio;
mod time;

pub use address::{Eui64, Iid, LinkAddr, LinkDst, PanId, ParseEui64Error, ShortAddr};
pub use chance::{Entropy, Prng, SeededEntropy};
pub use core::net::Ipv6Addr;
pub use core::time::Duration;
pub use radio::{Channel, Lqi, Rssi};
pub use time::Instant;
