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
    // RFC 4944 section 5.3: this field needs to encode a maximum length of 1280 octets, and can
    // encode more.
    let size = DatagramSize::new(usize::from(raw)).ok_or(FragDrop::SizeOutOfRange)?;
    Ok((size, tag))
}

/// The size of an uncompressed datagram in octets, 1 to [`DATAGRAM_OCTETS_MAX`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use FragDrop::{NotFragment, OffsetBeyondDatagram, OffsetZero, SizeOutOfRange};
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;

    fn first(size: usize, tag: u16) -> FragHeader {
        FragHeader::First { size: DatagramSize::new(size).unwrap(), tag: DatagramTag(tag) }
    }

    fn next(size: usize, tag: u16, offset: usize) -> FragHeader {
        FragHeader::Next {
            size: DatagramSize::new(size).unwrap(),
            tag: DatagramTag(tag),
            offset: DatagramOffset::of_octets(offset).unwrap(),
        }
    }

    fn check(text: &str, expected: FragHeader) {
        let octets = hex(text);
        let (header, rest) = FragHeader::parse(&octets).unwrap();
        assert_eq!(header, expected, "{text}");
        assert_eq!(rest.len(), octets.len() - header.len());
        let mut out = [0xa5; FragHeader::NEXT_OCTETS];
        let len = header.emit(&mut out).unwrap();
        assert_eq!(to_hex(&out[..len]), to_hex(&octets[..header.len()]));
        for short in 0..len {
            assert_eq!(header.emit(&mut out[..short]), None);
            let truncated = FragHeader::parse(&octets[..short]);
            assert!(matches!(truncated, Err(FragDrop::Truncated | NotFragment)));
        }
    }

    fn check_drop(text: &str, drop: FragDrop) {
        assert_eq!(FragHeader::parse(&hex(text)), Err(drop), "{text}");
    }

    #[test]
    fn first_fragment() {
        check("c1 33 00 3f", first(307, 63));
        check("c5 00 ff ff 41", first(1280, 0xffff));
        check("c0 01 00 00", first(1, 0));
    }

    #[test]
    fn next_fragment() {
        check("e1 33 00 3f 0c", next(307, 63, 96));
        check("e5 00 12 34 9f 01 02", next(1280, 0x1234, 1272));
    }

    #[test]
    fn sizes_out_of_range() {
        check_drop("c0 00 00 3f", SizeOutOfRange);
        check_drop("c5 81 00 3f", SizeOutOfRange);
        check_drop("e7 ff 00 3f 01", SizeOutOfRange);
    }

    #[test]
    fn offsets_out_of_range() {
        check_drop("e0 08 00 3f 00", OffsetZero);
        check_drop("e0 08 00 3f 01", OffsetBeyondDatagram);
        check("e0 09 00 3f 01", next(9, 63, 8));
        check_drop("e5 00 00 3f a0", OffsetBeyondDatagram);
    }

    #[test]
    fn other_dispatches() {
        for text in ["41", "7a 33 3b", "c8 00 00 00", "e8 00 00 00", "", "80"] {
            check_drop(text, NotFragment);
        }
    }

    #[test]
    fn tags_wrap() {
        // RFC 4944 section 5.3: SHALL wrap from 65535 back to zero.
        assert_eq!(DatagramTag(0xffff).next(), DatagramTag(0));
    }

    proptest! {
        #[test]
        fn emit_of_parse_is_identity(mut octets in proptest::collection::vec(any::<u8>(), 0..12),
                                     like in 0u8..3) {
            if let Some(octet) = octets.first_mut() {
                *octet = [*octet, 0xc0 | *octet & 7, 0xe0 | *octet & 7][usize::from(like)];
            }
            if let Ok((header, rest)) = FragHeader::parse(&octets) {
                let mut out = [0xa5; FragHeader::NEXT_OCTETS];
                let len = header.emit(&mut out).unwrap();
                prop_assert_eq!(&out[..len], &octets[..len]);
                prop_assert_eq!(rest, &octets[len..]);
            }
        }
    }
}
