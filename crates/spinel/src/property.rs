//! Names of properties and capabilities. Open sets: a peer may name others.

use core::fmt;

/// A property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Property(pub u32);

/// Each with its type.
impl Property {
    /// `i`, see [`Status`](crate::Status).
    pub const LAST_STATUS: Self = Self(0);
    /// `ii`: major, minor.
    pub const PROTOCOL_VERSION: Self = Self(1);
    /// `U`: the firmware, for people.
    pub const NCP_VERSION: Self = Self(2);
    /// `i`
    pub const INTERFACE_TYPE: Self = Self(3);
    /// `A(i)`, see [`Capability`].
    pub const CAPS: Self = Self(5);
    /// `C`
    pub const INTERFACE_COUNT: Self = Self(6);
    /// `E`: where the co-processor was born.
    pub const HWADDR: Self = Self(8);
    /// `b`
    pub const PHY_ENABLED: Self = Self(0x20);
    /// `C`
    pub const PHY_CHAN: Self = Self(0x21);
    /// `A(C)`
    pub const PHY_CHAN_SUPPORTED: Self = Self(0x22);
    /// `c`, dBm
    pub const PHY_CCA_THRESHOLD: Self = Self(0x24);
    /// `c`, dBm
    pub const PHY_TX_POWER: Self = Self(0x25);
    /// `c`, dBm
    pub const PHY_RSSI: Self = Self(0x26);
    /// `c`, dBm
    pub const PHY_RX_SENSITIVITY: Self = Self(0x27);
    /// `A(C)`
    pub const PHY_CHAN_PREFERRED: Self = Self(0x29);
    /// `C`: 0 idle, [`Property::SCAN_ENERGY`] while a channel's energy is looked at.
    pub const MAC_SCAN_STATE: Self = Self(0x30);
    /// `A(C)`: the channels of the next scan. OpenThread's co-processors take one at a time.
    pub const MAC_SCAN_MASK: Self = Self(0x31);
    /// `S`: milliseconds on each.
    pub const MAC_SCAN_PERIOD: Self = Self(0x32);
    /// `E`: our extended address.
    pub const MAC_15_4_LADDR: Self = Self(0x34);
    /// `S`: our short address, 0xfffe without one.
    pub const MAC_15_4_SADDR: Self = Self(0x35);
    /// `S`: 0xffff without one.
    pub const MAC_15_4_PANID: Self = Self(0x36);
    /// `b`: received frames are reported.
    pub const MAC_RAW_STREAM_ENABLED: Self = Self(0x37);
    /// `C`: 0, or [`Property::PROMISCUOUS`].
    pub const MAC_PROMISCUOUS_MODE: Self = Self(0x38);
    /// `Cc`: a channel, and the most energy that was found there in dBm.
    pub const MAC_ENERGY_SCAN_RESULT: Self = Self(0x39);
    /// `U`: what the firmware's author wanted to see.
    pub const STREAM_DEBUG: Self = Self(0x70);
    /// Frames both ways, see [`RawReceived`](crate::RawReceived) and [`RawTransmit`](crate::RawTransmit).
    pub const STREAM_RAW: Self = Self(0x71);
    /// `i`
    pub const RCP_API_VERSION: Self = Self(0xb0);
    /// `i`: the oldest host the co-processor works with.
    pub const RCP_MIN_HOST_API_VERSION: Self = Self(0xb1);
    /// `X`: the co-processor's clock in microseconds.
    pub const RCP_TIMESTAMP: Self = Self(0x802);
    /// `i`, see [`RadioCaps`].
    pub const RADIO_CAPS: Self = Self(0x120b);
    /// `b`
    pub const MAC_SRC_MATCH_ENABLED: Self = Self(0x1303);
    /// `A(S)`
    pub const MAC_SRC_MATCH_SHORT_ADDRESSES: Self = Self(0x1304);
    /// `A(E)`
    pub const MAC_SRC_MATCH_EXTENDED_ADDRESSES: Self = Self(0x1305);

    /// Value of [`Property::MAC_SCAN_STATE`]: nothing of the kind.
    pub const SCAN_IDLE: u8 = 0;
    /// Value of [`Property::MAC_SCAN_STATE`]: look for energy.
    pub const SCAN_ENERGY: u8 = 2;
    /// Value of [`Property::MAC_PROMISCUOUS_MODE`]: every frame, whoever it is for.
    pub const PROMISCUOUS: u8 = 2;
}

/// For people, to be read after "its"; a number for what nobody has to know.
impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::PROTOCOL_VERSION => "protocol version",
            Self::NCP_VERSION => "firmware version",
            Self::CAPS => "capabilities",
            Self::HWADDR => "hardware address",
            Self::PHY_ENABLED => "power",
            Self::PHY_CHAN => "channel",
            Self::MAC_15_4_LADDR => "extended address",
            Self::MAC_15_4_SADDR => "short address",
            Self::MAC_15_4_PANID => "PAN identifier",
            Self::MAC_RAW_STREAM_ENABLED => "stream of frames",
            Self::STREAM_RAW => "transmission",
            Self::RCP_API_VERSION => "interface level",
            Self::RCP_MIN_HOST_API_VERSION => "host's interface level",
            Self::RADIO_CAPS => "radio's capabilities",
            Self(other) => return write!(f, "property {other:#x}"),
        };
        f.write_str(name)
    }
}

/// What a co-processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(pub u32);

impl Capability {
    /// The radio alone, no stack.
    pub const CONFIG_RADIO: Self = Self(34);
    /// It has [`Property::RCP_API_VERSION`].
    pub const RCP_API_VERSION: Self = Self(64);
    /// It has [`Property::RCP_MIN_HOST_API_VERSION`].
    pub const RCP_MIN_HOST_API_VERSION: Self = Self(65);
    /// It obeys [`Command::RESET_BOOTLOADER`](crate::Command::RESET_BOOTLOADER).
    pub const RCP_RESET_TO_BOOTLOADER: Self = Self(66);
    /// Raw frames both ways.
    pub const MAC_RAW: Self = Self(513);
}

/// What the radio does by itself: bits of [`Property::RADIO_CAPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadioCaps(pub u32);

impl RadioCaps {
    /// Waits for acknowledgements.
    pub const ACK_TIMEOUT: Self = Self(1 << 0);
    /// Measures the energy on a channel.
    pub const ENERGY_SCAN: Self = Self(1 << 1);
    /// Sends again.
    pub const TRANSMIT_RETRIES: Self = Self(1 << 2);
    /// Looks before it sends.
    pub const CSMA_BACKOFF: Self = Self(1 << 3);
    /// Sends at a given time.
    pub const TRANSMIT_TIMING: Self = Self(1 << 6);
    /// All of the above.
    pub const ALL: Self = Self(Self::NEEDED.0 | Self::ENERGY_SCAN.0 | Self::TRANSMIT_TIMING.0);
    /// What a host needs whose MAC stands above the radio seam.
    pub const NEEDED: Self =
        Self(Self::ACK_TIMEOUT.0 | Self::TRANSMIT_RETRIES.0 | Self::CSMA_BACKOFF.0);

    /// All of `others` are among them.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}
