//! 6LoWPAN fragmentation header, RFC 4944 section 5.3.
//! **Invariant:** pure functions of octets; no state, no time.

use core::num::NonZeroU8;

use crate::DATAGRAM_OCTETS_MAX;
use crate::dispatch::Dispatch;
use crate::wire::{Reader, Truncated, Writer};

/// The fragmentation header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragHeader {
    /// The first fragment: offset zero, begins with a dispatch of its own.
    First {
        /// Size of the uncompressed datagram.
        size: DatagramSize,
        /// Which datagram of this sender.
        tag: DatagramTag,
    },
    /// A later fragment: octets of the uncompressed datagram.
    Next {
        /// Size of the uncompressed datagram.
        size: DatagramSize,
        /// Which datagram of this sender.
        tag: DatagramTag,
        /// Where the octets belong in the uncompressed datagram; always within it.
        offset: DatagramOffset,
    },
}

impl FragHeader {
    /// Octets of the header of a first fragment.
    pub const FIRST_OCTETS: usize = 4;
    /// Octets of the header of a later fragment.
    pub const NEXT_OCTETS: usize = 5;

    /// The header at the front of `octets` and the fragment behind it.
    pub fn parse(octets: &[u8]) -> Result<(Self, &[u8]), FragDrop> {
        let mut reader = Reader::new(octets);
        let dispatch = Dispatch::of(octets).ok_or(FragDrop::NotFragment)?;
        match dispatch {
            Dispatch::FirstFragment => {
                let (size, tag) = size_and_tag(&mut reader)?;
                Ok((Self::First { size, tag }, reader.rest()))
            }
            Dispatch::NextFragment => {
                let (size, tag) = size_and_tag(&mut reader)?;
                let offset = DatagramOffset::new(reader.octet()?).ok_or(FragDrop::OffsetZero)?;
                if offset.octets() >= size.octets() {
                    return Err(FragDrop::OffsetBeyondDatagram);
                }
                Ok((Self::Next { size, tag, offset }, reader.rest()))
            }
            Dispatch::Ipv6 | Dispatch::Iphc => Err(FragDrop::NotFragment),
        }
    }

    /// Writes the header to the front of `out`; the count of octets, `None` when they do not fit.
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(out);
        let (pattern, size, tag) = match *self {
            Self::First { size, tag } => (0xc0, size, tag),
            Self::Next { size, tag, .. } => (0xe0, size, tag),
        };
        let [high, low] = size.0.to_be_bytes();
        let [tag_high, tag_low] = tag.0.to_be_bytes();
        writer.put(&[pattern | high, low, tag_high, tag_low]).ok()?;
        if let Self::Next { offset, .. } = self {
            writer.put(&[offset.0.get()]).ok()?;
        }
        Some(writer.len())
    }

    /// Octets [`Self::emit`] writes.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        match self {
            Self::First { .. } => Self::FIRST_OCTETS,
            Self::Next { .. } => Self::NEXT_OCTETS,
        }
    }

    /// Size of the uncompressed datagram.
    pub const fn size(&self) -> DatagramSize {
        match self {
            Self::First { size, .. } | Self::Next { size, .. } => *size,
        }
    }

    /// Which datagram of this sender.
    pub const fn tag(&self) -> DatagramTag {
        match self {
            Self::First { tag, .. } | Self::Next { tag, .. } => *tag,
        }
    }
}

fn size_and_tag(reader: &mut Reader<'_>) -> Result<(DatagramSize, DatagramTag), FragDrop> {
    let raw = reader.u16()? & 0x07ff;
    let tag = DatagramTag(reader.u16()?);
    // RFC 4944 section 5.3: this field needs to encode a maximum length of 1280 octets.
    let size = DatagramSize::new(usize::from(raw)).ok_or(FragDrop::SizeOutOfRange)?;
    Ok((size, tag))
}

/// The size of an uncompressed datagram in octets, 1 to 1280.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramSize(u16);

impl DatagramSize {
    /// `None` for 0 and over [`DATAGRAM_OCTETS_MAX`].
    pub fn new(octets: usize) -> Option<Self> {
        let raw = u16::try_from(octets).ok()?;
        (1..=DATAGRAM_OCTETS_MAX).contains(&octets).then_some(Self(raw))
    }

    /// The size in octets.
    pub fn octets(self) -> usize {
        usize::from(self.0)
    }
}

/// Which datagram of a sender a fragment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramTag(pub u16);

impl DatagramTag {
    /// The tag of the datagram after this one.
    // RFC 4944 section 5.3: incremented for successive datagrams, wraps from 65535 to zero.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Where a later fragment begins, in units of 8 octets; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramOffset(NonZeroU8);

impl DatagramOffset {
    /// From units of 8 octets; `None` for zero, which only a first fragment has.
    pub fn new(units: u8) -> Option<Self> {
        NonZeroU8::new(units).map(Self)
    }

    /// From octets; `None` for zero, for what is no multiple of 8 and over 2040.
    pub fn of_octets(octets: usize) -> Option<Self> {
        if !octets.is_multiple_of(8) {
            return None;
        }
        Self::new(u8::try_from(octets / 8).ok()?)
    }

    /// The offset in octets.
    pub fn octets(self) -> usize {
        usize::from(self.0.get()) * 8
    }
}

/// Why octets are no fragmentation header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FragDrop {
    /// The dispatch says something else.
    NotFragment,
    /// The header ends early.
    Truncated,
    /// A datagram of no octets or of more than the MTU.
    SizeOutOfRange,
    /// A later fragment at offset zero.
    OffsetZero,
    /// The fragment begins where the datagram has ended.
    OffsetBeyondDatagram,
}

impl From<Truncated> for FragDrop {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}
