#![no_std]
//! MAC frames of IEEE 802.15.4, versions 2003 and 2006, without their FCS. The 2015 version is
//! refused by name.
//!
//! **Invariant:** pure functions of octets; no state, no time, no keys.
#![expect(clippy::len_without_is_empty, reason = "the length on the wire is never 0")]

mod addressing;
mod beacon;
mod frame;
mod octets;
mod security;

pub use addressing::{Addressing, Pan, SrcPan};
pub use beacon::{BeaconFields, Gts, GtsDescriptor, PendingAddresses, Superframe};
pub use frame::{Ack, AddressedFrame, CommandId, Content, Format, Frame, PSDU_OCTETS_MAX, Version};
pub use security::{AuxSecurityHeader, FrameCounter, KeyId, KeyIndex, SecurityLevel, nonce};

/// Why octets are not a frame we read. Each names the field at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseDrop {
    /// The octets end inside a field.
    Truncated,
    /// More octets than a frame without FCS has.
    TooLong,
    /// A frame type that 2006 does not define.
    FrameType,
    /// A frame of the 2015 version.
    Version2015,
    /// The frame version nobody defined.
    VersionReserved,
    /// A reserved bit of the frame control field is set.
    FrameControlReserved,
    /// Addressing mode 1.
    AddressingMode,
    /// A frame type without the addresses it needs, or with one it must not have.
    AddressesForType,
    /// PAN id compression although an address is missing.
    CompressionWithoutAddresses,
    /// 0xfffe as destination, or 0xfffe or 0xffff as source.
    ShortAddrReserved,
    /// Security of 2003, which had no auxiliary header.
    Security2003,
    /// A reserved bit of the security control field is set.
    SecurityControlReserved,
    /// Key index 0.
    KeyIndexZero,
    /// An acknowledgement that is secured, wants one itself, or carries octets.
    AckMalformed,
    /// A beacon's superframe, GTS or pending fields set a reserved bit, or list too many addresses.
    BeaconReserved,
}
