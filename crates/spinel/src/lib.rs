//! HDLC-lite and Spinel, as a radio co-processor and its host speak it.
//!
//! The numbers and the layout of the raw stream are those of OpenThread's co-processors, RCP API 11.
//!
//! **Invariant:** pure functions of octets, bounded; what a peer appends to a value is passed over,
//! what it leaves away at the end of one has a default.
#![no_std]

mod fcs;
mod frame;
mod hdlc;
mod pack;
mod property;
mod status;
mod stream;

pub use fcs::{FCS_OCTETS, psdu_fcs};
pub use frame::{Command, Frame, FrameDrop, Header, TID_MAX, Tid, write_frame, write_property};
pub use hdlc::{Decoder, FLAG, HdlcDrop, encode, encoded_octets_max};
pub use pack::{FRAME_OCTETS_MAX, PackDrop, Reader, Writer};
pub use property::{Capability, Property, RadioCaps};
pub use status::Status;
pub use stream::{NOISE_UNKNOWN, RawReceived, RawTransmit, ReceivedFlags, TransmitDone};

/// Major and minor number of the protocol.
pub const PROTOCOL_VERSION: (u32, u32) = (4, 3);
/// The level of the co-processor's interface that we speak, as its host and as a co-processor.
pub const RCP_API_VERSION: u32 = 11;
/// The oldest co-processor that a host of that level works with, and the oldest host.
pub const RCP_API_VERSION_MIN: u32 = 4;
