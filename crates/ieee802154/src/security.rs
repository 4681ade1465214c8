//! Auxiliary security header, IEEE 802.15.4-2006 clause 7.6.2.
//!
//! **Invariant:** pure functions of octets. Which levels and key identifiers are welcome is decided
//! by the owner of the keys; this file only refuses what has no meaning.

use crate::ParseDrop;
use crate::octets::{Reader, Writer};
use lowgate_units::Eui64;

/// Number of a key among those of one originator, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIndex(u8);

impl KeyIndex {
    /// `None` for 0, which names no key.
    pub const fn new(raw: u8) -> Option<Self> {
        if raw == 0 { None } else { Some(Self(raw)) }
    }

    /// The number.
    pub const fn raw(self) -> u8 {
        self.0
    }
}

/// Counter of the frames one device secured under one key. Also used as an upper bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameCounter(pub u32);

impl FrameCounter {
    /// No frame carries this one: a sender stops before it, a receiver refuses it.
    pub const EXHAUSTED: Self = Self(u32::MAX);
}

/// What the cipher does to a frame (IEEE 802.15.4-2006 table 95).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityLevel {
    /// Nothing.
    None,
    /// Integrity, tag of 4 octets.
    Mic32,
    /// Integrity, tag of 8 octets.
    Mic64,
    /// Integrity, tag of 16 octets.
    Mic128,
    /// Encryption without integrity: anyone can flip its bits, so nobody here accepts it.
    Enc,
    /// Encryption and a tag of 4 octets.
    EncMic32,
    /// Encryption and a tag of 8 octets.
    EncMic64,
    /// Encryption and a tag of 16 octets.
    EncMic128,
}

impl SecurityLevel {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Mic32,
        Self::Mic64,
        Self::Mic128,
        Self::Enc,
        Self::EncMic32,
        Self::EncMic64,
        Self::EncMic128,
    ];

    /// The number on the wire and in the nonce, 0 to 7.
    pub const fn raw(self) -> u8 {
        self as u8
    }

    /// Octets of the tag behind the payload.
    pub const fn mic_len(self) -> usize {
        match self {
            Self::None | Self::Enc => 0,
            Self::Mic32 | Self::EncMic32 => 4,
            Self::Mic64 | Self::EncMic64 => 8,
            Self::Mic128 | Self::EncMic128 => 16,
        }
    }
}

/// Which key secures a frame. The discriminants are the key identifier modes 0 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyId {
    /// Known from the addresses.
    Implicit,
    /// A key of the network's default originator.
    Index(KeyIndex),
    /// A key of an originator named by 4 octets (PAN id and short address), as they are on air.
    Source4([u8; 4], KeyIndex),
    /// A key of an originator named by 8 octets (its extended address), as they are on air.
    Source8([u8; 8], KeyIndex),
}

impl KeyId {
    const fn mode(self) -> u8 {
        match self {
            Self::Implicit => 0,
            Self::Index(_) => 1,
            Self::Source4(..) => 2,
            Self::Source8(..) => 3,
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Implicit => 0,
            Self::Index(_) => 1,
            Self::Source4(..) => 5,
            Self::Source8(..) => 9,
        }
    }
}

/// Level, key and counter of a secured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuxSecurityHeader {
    /// What the cipher did.
    pub level: SecurityLevel,
    /// With which key.
    pub key_id: KeyId,
    /// Which of the sender's frames under that key this is.
    pub counter: FrameCounter,
}

impl AuxSecurityHeader {
    /// Octets on the wire: 5 to 14.
    pub const fn len(&self) -> usize {
        5 + self.key_id.len()
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseDrop> {
        let control = reader.u8()?;
        // Bits 5 to 7 are reserved in 2006; what 2015 put there needs a 2015 frame.
        if control & 0xe0 != 0 {
            return Err(ParseDrop::SecurityControlReserved);
        }
        let level = SecurityLevel::ALL[usize::from(control & 0x07)];
        let counter = FrameCounter(reader.u32()?);
        let key_id = match control >> 3 {
            0 => KeyId::Implicit,
            1 => KeyId::Index(key_index(reader)?),
            2 => KeyId::Source4(reader.array()?, key_index(reader)?),
            _ => KeyId::Source8(reader.array()?, key_index(reader)?),
        };
        Ok(Self { level, key_id, counter })
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        writer.u8(self.level.raw() | self.key_id.mode() << 3);
        writer.u32(self.counter.0);
        match self.key_id {
            KeyId::Implicit => {}
            KeyId::Index(index) => writer.u8(index.raw()),
            KeyId::Source4(source, index) => {
                writer.all(&source);
                writer.u8(index.raw());
            }
            KeyId::Source8(source, index) => {
                writer.all(&source);
                writer.u8(index.raw());
            }
        }
    }
}

fn key_index(reader: &mut Reader<'_>) -> Result<KeyIndex, ParseDrop> {
    KeyIndex::new(reader.u8()?).ok_or(ParseDrop::KeyIndexZero)
}

/// The CCM* nonce, clause 7.6.3.2: the sender's extended address as printed, the counter with its
/// high octet first, the level.
pub fn nonce(src: Eui64, counter: FrameCounter, level: SecurityLevel) -> [u8; 13] {
    let mut nonce = [0; 13];
    nonce[..8].copy_from_slice(&src.0);
    nonce[8..12].copy_from_slice(&counter.0.to_be_bytes());
    nonce[12] = level.raw();
    nonce
}
