//! IPv6 extension headers by LOWPAN_NHC, RFC 6282 section 4.2.

use super::DecompressDrop;
use super::base::Next;
use crate::wire::{Full, Reader, Writer};

/// 1110 EID NH.
const NHC: u8 = 0xe0;
/// Most octets after the length field.
const BODY_OCTETS_MAX: usize = 255;
/// Longest trailing padding that may be elided.
const PADDING_OCTETS_MAX: usize = 7;
const PAD1: u8 = 0;
const PADN: u8 = 1;

/// Extension headers that RFC 6282 gives an identifier. IPv6 (EID 7) is a header of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtensionId {
    HopByHop,
    Routing,
    Fragment,
    Destination,
    Mobility,
}

impl ExtensionId {
    /// By the three EID bits; `None` for the reserved ones and for 7.
    pub(super) fn of_eid(eid: u8) -> Option<Self> {
        match eid {
            0 => Some(Self::HopByHop),
            1 => Some(Self::Routing),
            2 => Some(Self::Fragment),
            3 => Some(Self::Destination),
            4 => Some(Self::Mobility),
            5.. => None,
        }
    }

    fn eid(self) -> u8 {
        match self {
            Self::HopByHop => 0,
            Self::Routing => 1,
            Self::Fragment => 2,
            Self::Destination => 3,
            Self::Mobility => 4,
        }
    }

    /// By the IPv6 next header number.
    fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::HopByHop),
            43 => Some(Self::Routing),
            44 => Some(Self::Fragment),
            60 => Some(Self::Destination),
            135 => Some(Self::Mobility),
            1..=42 | 45..=59 | 61..=134 | 136.. => None,
        }
    }

    /// The IPv6 next header number.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::HopByHop => 0,
            Self::Routing => 43,
            Self::Fragment => 44,
            Self::Destination => 60,
            Self::Mobility => 135,
        }
    }

    fn has_options(self) -> bool {
        match self {
            Self::HopByHop | Self::Destination => true,
            Self::Routing | Self::Fragment | Self::Mobility => false,
        }
    }
}

/// An extension header of a packet that can be compressed.
#[derive(Clone, Copy)]
pub(super) struct Extension<'a> {
    id: ExtensionId,
    /// The whole header.
    octets: &'a [u8],
    /// Its octets without the trailing padding that decompression restores.
    kept: usize,
}

impl<'a> Extension<'a> {
    /// The extension header at the front of `rest`, if it is whole and can be compressed.
    pub(super) fn recognise(number: u8, rest: &'a [u8]) -> Option<Self> {
        let id = ExtensionId::of_number(number)?;
        // What follows an IPv6 fragment header is part of a datagram whose lengths we do not know,
        // and its reserved octet stands where the others have a length: it goes as it is.
        if id == ExtensionId::Fragment {
            return None;
        }
        let units = usize::from(*rest.get(1)?) + 1;
        let octets = rest.get(..units * 8)?;
        let kept = if id.has_options() { without_padding(octets) } else { octets.len() };
        // RFC 6282 section 4.2: MUST NOT be used for headers with more than 255 octets following
        // the length field after compression.
        (kept.checked_sub(2)? <= BODY_OCTETS_MAX).then_some(Self { id, octets, kept })
    }

    /// Octets of the header before compression.
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    /// The number of the header behind this one.
    pub(super) fn next(&self) -> u8 {
        self.octets.first().copied().unwrap_or_default()
    }

    pub(super) fn emit(&self, next: Next, writer: &mut Writer<'_>) -> Result<(), Full> {
        let nhc = NHC | self.id.eid() << 1;
        match next {
            Next::Compressed => writer.put(&[nhc | 1])?,
            Next::Inline(number) => writer.put(&[nhc, number])?,
        }
        let body = self.octets.get(2..self.kept).unwrap_or_default();
        // The length counts the octets that follow it.
        writer.put(&[u8::try_from(body.len()).map_err(|_| Full)?])?;
        writer.put(body)
    }
}

/// The length of an options header without its trailing padding, where that is sure to come back.
// RFC 6282 section 4.2: a single trailing Pad1 or PadN of 7 octets or less MAY be elided when the
// containing header is a multiple of 8 octets.
fn without_padding(header: &[u8]) -> usize {
    let whole = header.len();
    let (mut at, mut last, mut last_is_padding) = (2, 2, false);
    let mut single = false;
    while at < whole {
        let len = match header.get(at..) {
            Some([PAD1, ..]) => 1,
            Some([_, len, ..]) => 2 + usize::from(*len),
            Some(_) | None => return whole,
        };
        let Some(option) = header.get(at..at + len) else { return whole };
        let is_padding = matches!(option, [PAD1] | [PADN, ..]);
        single = is_padding && !last_is_padding;
        (last, last_is_padding) = (at, is_padding);
        at += len;
    }
    let restored = padding(whole - last);
    let same = restored.is_some_and(|restored| header.get(last..) == Some(restored));
    if single && same { last } else { whole }
}

/// The padding option of so many octets; `None` over [`PADDING_OCTETS_MAX`].
fn padding(octets: usize) -> Option<&'static [u8]> {
    const PADDING: [&[u8]; PADDING_OCTETS_MAX + 1] = [
        &[],
        &[PAD1],
        &[PADN, 0],
        &[PADN, 1, 0],
        &[PADN, 2, 0, 0],
        &[PADN, 3, 0, 0, 0],
        &[PADN, 4, 0, 0, 0, 0],
        &[PADN, 5, 0, 0, 0, 0, 0],
    ];
    PADDING.get(octets).copied()
}

/// What an expanded extension header says of the headers behind it.
pub(super) struct Expanded {
    pub(super) next: Next,
    /// The octets behind are a piece of a datagram, so lengths in them cannot be computed.
    pub(super) is_piece: bool,
}

/// Restores an extension header; its next header octet stays zero while that is compressed.
pub(super) fn expand(
    id: ExtensionId,
    nhc: u8,
    reader: &mut Reader<'_>,
    writer: &mut Writer<'_>,
) -> Result<Expanded, DecompressDrop> {
    let next = if nhc & 1 == 0 { Next::Inline(reader.octet()?) } else { Next::Compressed };
    let number = match next {
        Next::Inline(number) => number,
        Next::Compressed => 0,
    };
    let second = reader.octet()?;
    if id == ExtensionId::Fragment {
        // RFC 8200 section 4.5: always 8 octets; the second octet is reserved, not a length, so it
        // is carried unmodified. An atomic fragment (offset 0, no more) is a whole datagram.
        let [high, low, identification @ ..] = reader.array::<6>()?;
        writer.put(&[number, second, high, low])?;
        writer.put(&identification)?;
        let is_piece = high != 0 || low & 0xf9 != 0;
        return Ok(Expanded { next, is_piece });
    }
    let body = reader.take(usize::from(second))?;
    let whole = (2 + body.len()).next_multiple_of(8);
    // RFC 6282 section 4.2: MUST ensure that the containing header is padded out to a multiple of
    // 8 octets, using a Pad1 or PadN option if necessary.
    let padding = padding(whole - 2 - body.len()).unwrap_or_default();
    if !padding.is_empty() && !id.has_options() {
        return Err(DecompressDrop::ExtensionUnaligned);
    }
    let units = u8::try_from(whole / 8 - 1).map_err(|_| DecompressDrop::TooLong)?;
    writer.put(&[number, units])?;
    writer.put(body)?;
    writer.put(padding)?;
    Ok(Expanded { next, is_piece: false })
}
