#![no_std]
//! The quantities every other crate speaks in: time, identifiers, radio figures, chance; and lists that
//! have a bound.
//!
//! **Invariant:** nothing here reads a clock or draws from the system; nothing but a [`List`] allocates,
//! and that only with the cargo feature `alloc`.

#[cfg(feature = "alloc")]
extern crate alloc;

mod address;
mod chance;
mod list;
pub mod planted;
mod radio;
mod time;

pub use address::{Eui64, Iid, LinkAddr, LinkDst, PanId, ParseEui64Error, ShortAddr};
pub use chance::{Entropy, Prng, SeededEntropy};
pub use core::net::Ipv6Addr;
pub use core::time::Duration;
pub use list::{Full, List};
pub use radio::{Channel, Lqi, Rssi};
pub use time::Instant;
