//! Chains of compressed headers, RFC 6282 section 4: from the first IPv6 header on, without a gap.

use heapless::Vec;

use super::base::{IPV6_OCTETS, Ipv6Header, Next, NotWhole, Outer};
use super::extension::{self, Extension, ExtensionId};
use super::udp::{self, UDP_OCTETS};
use super::{DecompressDrop, Decompressed};
use crate::frag::DatagramSize;
use crate::wire::{Reader, Writer};
use crate::{Contexts, LinkPair};

/// Most headers of a chain that are compressed, and most lengths restored.
const HEADERS_MAX: usize = 16;
/// IPv6 next header number of IPv6 itself.
const IPV6_NUMBER: u8 = 41;
/// LOWPAN_NHC of an IPv6 header; the NH bit is unused.
const IPV6_NHC: u8 = 0xee;

/// The headers of a packet that can be compressed, outermost first; never empty.
pub(super) struct Chain<'a> {
    headers: Vec<Header<'a>, HEADERS_MAX>,
}

enum Header<'a> {
    Ipv6(Ipv6Header),
    Extension(Extension<'a>),
    Udp(&'a [u8; UDP_OCTETS]),
}

impl<'a> Header<'a> {
    fn recognise(number: u8, rest: &'a [u8]) -> Option<Self> {
        if number == IPV6_NUMBER {
            return Ipv6Header::parse_begin(rest, rest.len()).ok().map(Self::Ipv6);
        }
        let udp = udp::recognise(number, rest).map(Self::Udp);
        udp.or_else(|| Extension::recognise(number, rest).map(Self::Extension))
    }

    /// Octets before compression.
    fn len(&self) -> usize {
        match self {
            Self::Ipv6(_) => IPV6_OCTETS,
            Self::Extension(extension) => extension.len(),
            Self::Udp(_) => UDP_OCTETS,
        }
    }

    /// The number of the header behind; nothing behind UDP is a header.
    fn next(&self) -> Option<u8> {
        match self {
            Self::Ipv6(header) => Some(header.next),
            Self::Extension(extension) => Some(extension.next()),
            Self::Udp(_) => None,
        }
    }
}

impl<'a> Chain<'a> {
    pub(super) fn of(packet: &'a [u8]) -> Result<Self, NotWhole> {
        let mut headers = Vec::new();
        let mut at = 0;
        let mut found = Some(Header::Ipv6(Ipv6Header::parse_begin(packet, packet.len())?));
        while let Some(header) = found {
            at += header.len();
            let next = header.next();
            if headers.push(header).is_err() {
                break;
            }
            let rest = packet.get(at..).unwrap_or_default();
            found = next.and_then(|number| Header::recognise(number, rest));
        }
        Ok(Self { headers })
    }

    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    /// Writes the first `count` headers. Octets written and octets they stand for; `None` when
    /// they do not fit.
    pub(super) fn emit(
        &self,
        count: usize,
        link: LinkPair,
        contexts: &Contexts,
        out: &mut [u8],
    ) -> Option<(usize, usize)> {
        let mut writer = Writer::new(out);
        let mut outer = Outer::link(link);
        let headers = self.headers.get(..count)?;
        for (index, header) in headers.iter().enumerate() {
            let number = header.next().unwrap_or_default();
            let next = if index + 1 < count { Next::Compressed } else { Next::Inline(number) };
            match header {
                Header::Ipv6(ipv6) => {
                    if index > 0 {
                        writer.put(&[IPV6_NHC]).ok()?;
                    }
                    ipv6.emit_iphc(next, outer, contexts, &mut writer).ok()?;
                    outer = ipv6.as_outer();
                }
                Header::Extension(extension) => extension.emit(next, &mut writer).ok()?,
                Header::Udp(udp) => udp::emit(udp, &mut writer).ok()?,
            }
        }
        Some((writer.len(), headers.iter().map(Header::len).sum()))
    }
}

/// Restores a chain header by header; lengths last, when the size of the datagram is known.
pub(super) struct Expansion<'i, 'o> {
    reader: Reader<'i>,
    writer: Writer<'o>,
    contexts: &'i Contexts,
    outer: Outer,
    /// Where the latest header keeps the number of the next.
    next_at: usize,
    lengths: Vec<LengthField, HEADERS_MAX>,
    /// Behind an IPv6 fragment header lengths cannot be computed.
    is_piece: bool,
}

/// A length to be restored: where it stands, and from where to the end of the datagram it counts.
struct LengthField {
    at: usize,
    from: usize,
}

impl<'i, 'o> Expansion<'i, 'o> {
    pub(super) fn new(
        octets: &'i [u8],
        link: LinkPair,
        contexts: &'i Contexts,
        writer: Writer<'o>,
    ) -> Self {
        Self {
            reader: Reader::new(octets),
            writer,
            contexts,
            outer: Outer::link(link),
            next_at: 0,
            lengths: Vec::new(),
            is_piece: false,
        }
    }

    pub(super) fn run(
        mut self,
        datagram_size: Option<DatagramSize>,
    ) -> Result<Decompressed, DecompressDrop> {
        let mut next = self.ipv6()?;
        while next == Next::Compressed {
            next = self.next_header()?;
        }
        self.writer.put(self.reader.rest())?;
        let len = self.writer.len();
        let size = datagram_size.or(DatagramSize::new(len)).ok_or(DecompressDrop::TooLong)?;
        if len > size.octets() {
            return Err(DecompressDrop::LengthMismatch);
        }
        for field in &self.lengths {
            // RFC 6282 sections 3.2 and 4.3.3: lengths are inferred from the lower layers.
            let length = size.octets().checked_sub(field.from);
            let length = length.and_then(|length| u16::try_from(length).ok());
            let length = length.ok_or(DecompressDrop::LengthMismatch)?;
            self.writer.patch(field.at, &length.to_be_bytes())?;
        }
        Ok(Decompressed { len, size })
    }

    fn ipv6(&mut self) -> Result<Next, DecompressDrop> {
        let at = self.writer.len();
        let (header, next) = Ipv6Header::parse_iphc(&mut self.reader, self.outer, self.contexts)?;
        header.emit(&mut self.writer)?;
        self.restore_length(at + 4, at + IPV6_OCTETS)?;
        self.next_at = at + 6;
        self.outer = header.as_outer();
        Ok(next)
    }

    /// Restores the header that the LOWPAN_NHC octet announces.
    fn next_header(&mut self) -> Result<Next, DecompressDrop> {
        let nhc = self.reader.octet()?;
        let at = self.writer.len();
        match nhc {
            0xe0..=0xed => {
                let id = ExtensionId::of_eid(nhc >> 1 & 0x7);
                let id = id.ok_or(DecompressDrop::UnknownNextHeader)?;
                self.announce(id.number())?;
                let expanded = extension::expand(id, nhc, &mut self.reader, &mut self.writer)?;
                self.next_at = at;
                self.is_piece |= expanded.is_piece;
                Ok(expanded.next)
            }
            // RFC 6282 section 4.2: the NH bit is unused; LOWPAN_IPHC MUST follow.
            0xee..=0xef => {
                self.announce(IPV6_NUMBER)?;
                self.ipv6()
            }
            0xf0..=0xf7 => {
                self.announce(udp::NUMBER)?;
                udp::expand(nhc, &mut self.reader, &mut self.writer)?;
                self.restore_length(at + 4, at)?;
                Ok(Next::Inline(udp::NUMBER)) // Nothing behind UDP is a header.
            }
            0x00..=0xdf | 0xf8..=0xff => Err(DecompressDrop::UnknownNextHeader),
        }
    }

    fn announce(&mut self, number: u8) -> Result<(), DecompressDrop> {
        Ok(self.writer.patch(self.next_at, &[number])?)
    }

    fn restore_length(&mut self, at: usize, from: usize) -> Result<(), DecompressDrop> {
        if self.is_piece {
            return Err(DecompressDrop::LengthUnknown);
        }
        let field = LengthField { at, from };
        self.lengths.push(field).map_err(|_| DecompressDrop::TooManyHeaders)
    }
}
