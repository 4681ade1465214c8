//! A radio co-processor: Spinel on one side, the radio seam on the other. It holds no key.
//!
//! It answers OpenThread's hosts too, as far as their raw link goes. Below it stands a
//! [`LinkMachine`](lowgate_mac::LinkMachine), which does channel access, retries, acknowledgements.
//!
//! **Invariant:** one transmission at a time, answered once; no frame passes in either direction
//! unless the host enabled the PHY and the raw stream; whatever the host sends, the machine answers
//! or drops.
#![no_std]

pub mod air;
mod machine;
mod radio;
mod settings;
mod wishes;

pub use machine::{
    LAST_WORDS_OCTETS_MAX, Rcp, RcpConfig, RcpInput, RcpOutput, SCAN_SLACK, SERIAL_OCTETS_MAX,
    TRANSMISSION_MAX, TRANSMIT_AHEAD_MAX,
};
pub use radio::{Demand, Levels, RadioReach, Reception, Report, Scan};
