//! A device on any chip: the `node` core with what every maker's program needs besides. Settings page, records
//! in a flash that may lose power at any octet, factory reset, LED, button.
//!
//! A program gives [`Device`] a radio, a flash and a source of entropy, feeds it with [`Input`] and does what
//! [`Output`] says until it waits. `PORTING.md` has the list.
//!
//! **Invariant:** a node is told that a record is stored when it is beyond a loss of power. Without settings, or
//! with a flash that lost what it held, nothing is sent.
#![no_std]

extern crate alloc;

mod button;
mod crc;
mod device;
mod led;
mod note;
#[cfg(test)]
mod ram;
mod settings;
mod store;

pub use button::LONG_PRESS;
pub use device::{Device, Input, Maker, Output, SETTINGS_PAGES};
pub use led::Sign;
pub use lowgate_node::Kind;
pub use note::Note;
pub use settings::{
    PSK_OCTETS_MAX, PSK_OCTETS_MIN, SETTINGS_OCTETS_MAX, Settings, SettingsFault, SettingsOctets,
};
pub use store::{Name, PAGES_MIN, RECORDS_MAX, Store, StoreFault};
