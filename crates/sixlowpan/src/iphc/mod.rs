//! IPv6 header compression, RFC 6282: whole header chains, both ways.
//!
//! **Invariant:** compression never loses a bit: whatever decompression would not restore exactly
//! is carried as it is. UDP checksums are never elided and never accepted elided.

mod address;
mod base;
mod chain;
mod extension;
#[cfg(test)]
mod tests;
mod udp;

use self::base::{Ipv6Header, NotWhole};
use self::chain::{Chain, Expansion};
use crate::dispatch::Dispatch;
use crate::frag::DatagramSize;
use crate::wire::{Full, Truncated, Writer};
use crate::{Contexts, DATAGRAM_OCTETS_MAX, LinkPair};

/// A compressed datagram: where its headers end and what they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    len: usize,
    headers: usize,
    covers: usize,
    size: DatagramSize,
}

impl Compressed {
    /// Octets written: compressed headers, then the rest of the packet as it is.
    #[expect(clippy::len_without_is_empty, reason = "a dispatch octet is always there")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Octets of compressed headers, dispatch included, at the front of the output.
    pub fn headers(&self) -> usize {
        self.headers
    }

    /// Octets of the packet those headers stand for; a multiple of 8.
    pub fn covers(&self) -> usize {
        self.covers
    }

    /// Size of the packet before compression.
    pub fn size(&self) -> DatagramSize {
        self.size
    }

    /// Where octet `at` of the compressed datagram, behind the headers, lies in the packet.
    pub(crate) fn uncompressed_at(&self, at: usize) -> Option<usize> {
        Some(at.checked_sub(self.headers)? + self.covers)
    }
}

/// Why a packet is not compressed. Nothing useful is in the output then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompressRefused {
    /// Shorter than an IPv6 header, or of another version.
    NotIpv6,
    /// The payload length disagrees with the packet: it could not be restored.
    LengthMismatch,
    /// Over [`DATAGRAM_OCTETS_MAX`].
    TooLong,
    /// The output is too small; size of the packet + 1 always suffices.
    OutputTooSmall,
}

/// A decompressed datagram, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decompressed {
    /// Octets written. Equal to `size` unless decompressed from a first fragment.
    pub len: usize,
    /// Size of the whole datagram.
    pub size: DatagramSize,
}

/// Why compressed octets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecompressDrop {
    /// Neither IPHC nor an uncompressed IPv6 packet.
    UnknownDispatch,
    /// A header ends early.
    Truncated,
    /// The datagram does not fit the output, or is over [`DATAGRAM_OCTETS_MAX`].
    TooLong,
    /// More octets than the datagram has, or a payload length that disagrees.
    LengthMismatch,
    /// The packet behind the uncompressed dispatch is not IPv6.
    NotIpv6,
    /// An address mode that RFC 6282 reserves.
    ReservedAddressMode,
    /// A context we do not know.
    UnknownContext,
    /// A context over 64 bits cannot be part of a multicast address.
    ContextTooLong,
    /// An elided destination in a frame that was for everyone.
    NoLinkAddress,
    /// The M bit disagrees with the address.
    MulticastBitWrong,
    /// A next header encoding we do not know.
    UnknownNextHeader,
    /// A compressed extension header that is no multiple of 8 octets and takes no padding.
    ExtensionUnaligned,
    /// A length that only the other IPv6 fragments know.
    LengthUnknown,
    /// The UDP checksum is elided.
    ChecksumElided,
    /// More headers than anything sensible has.
    TooManyHeaders,
}

impl From<Truncated> for DecompressDrop {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl From<Full> for DecompressDrop {
    fn from(_: Full) -> Self {
        Self::TooLong
    }
}

impl From<NotWhole> for CompressRefused {
    fn from(fault: NotWhole) -> Self {
        match fault {
            NotWhole::NotIpv6 => Self::NotIpv6,
            NotWhole::LengthMismatch => Self::LengthMismatch,
        }
    }
}

impl From<NotWhole> for DecompressDrop {
    fn from(fault: NotWhole) -> Self {
        match fault {
            NotWhole::NotIpv6 => Self::NotIpv6,
            NotWhole::LengthMismatch => Self::LengthMismatch,
        }
    }
}

/// Compresses every header of `packet` that can be. `out` gets the compressed headers, then the
/// rest. Where the datagram may need fragments, use [`compress_within`].
pub fn compress(
    packet: &[u8],
    link: LinkPair,
    contexts: &Contexts,
    out: &mut [u8],
) -> Result<Compressed, CompressRefused> {
    compress_within(packet, link, contexts, usize::MAX, out)
}

/// Compresses as many headers of `packet` from the front as take at most `headers_max` octets;
/// with not even room for the first, the packet goes uncompressed behind dispatch 0x41.
/// `headers_max` is [`crate::Fragmenter::headers_max`] of the frames that will carry it.
pub fn compress_within(
    packet: &[u8],
    link: LinkPair,
    contexts: &Contexts,
    headers_max: usize,
    out: &mut [u8],
) -> Result<Compressed, CompressRefused> {
    let chain = Chain::of(packet)?;
    let size = DatagramSize::new(packet.len()).ok_or(CompressRefused::TooLong)?;
    let room = headers_max.min(out.len());
    // RFC 6282 section 2: any header that cannot fit within the first fragment MUST NOT be
    // compressed.
    let (headers, covers) = (1..=chain.len())
        .rev()
        .find_map(|count| chain.emit(count, link, contexts, out.get_mut(..room)?))
        .or_else(|| uncompressed(out))
        .ok_or(CompressRefused::OutputTooSmall)?;
    let rest = packet.get(covers..).unwrap_or_default();
    let mut writer = Writer::new(out.get_mut(headers..).unwrap_or_default());
    writer.put(rest).map_err(|_| CompressRefused::OutputTooSmall)?;
    Ok(Compressed { len: headers + rest.len(), headers, covers, size })
}

/// The dispatch of a packet none of whose headers is compressed.
fn uncompressed(out: &mut [u8]) -> Option<(usize, usize)> {
    *out.first_mut()? = Dispatch::IPV6;
    Some((1, 0))
}

/// Restores the datagram, or from a first fragment (`datagram_size` given) its beginning.
/// `out` should have [`DATAGRAM_OCTETS_MAX`] octets.
pub fn decompress(
    octets: &[u8],
    link: LinkPair,
    contexts: &Contexts,
    datagram_size: Option<DatagramSize>,
    out: &mut [u8],
) -> Result<Decompressed, DecompressDrop> {
    let room = out.len().min(DATAGRAM_OCTETS_MAX);
    let mut writer = Writer::new(out.get_mut(..room).unwrap_or_default());
    match Dispatch::of(octets).ok_or(DecompressDrop::UnknownDispatch)? {
        Dispatch::Ipv6 => {
            let packet = octets.get(1..).unwrap_or_default();
            let size = datagram_size.map_or(packet.len(), DatagramSize::octets);
            Ipv6Header::parse_begin(packet, size)?;
            let size = DatagramSize::new(size).ok_or(DecompressDrop::TooLong)?;
            writer.put(packet)?;
            Ok(Decompressed { len: packet.len(), size })
        }
        Dispatch::Iphc => Expansion::new(octets, link, contexts, writer).run(datagram_size),
        Dispatch::FirstFragment | Dispatch::NextFragment => Err(DecompressDrop::UnknownDispatch),
    }
}
