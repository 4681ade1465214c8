//! IPv6 header compression, RFC 6282: whole header chains, both ways.
//!
//! **Invariant:** compression never loses a bit: whatever decompression would not restore exactly
//! is carried as it is. UDP checksums are never elided and never accepted elided.

use crate::dispatch::Dispatch;
use crate::frag::DatagramSize;
use crate::wire::{Full, Reader, Truncated, Writer};
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
    let _ = (link, contexts, headers_max);
    let size = DatagramSize::new(packet.len()).ok_or(CompressRefused::TooLong)?;
    let mut writer = Writer::new(out);
    let full = |_| CompressRefused::OutputTooSmall;
    writer.put(&[Dispatch::IPV6]).map_err(full)?;
    writer.put(packet).map_err(full)?;
    Ok(Compressed { len: writer.len(), headers: 1, covers: 0, size })
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
    let _ = (link, contexts, DATAGRAM_OCTETS_MAX);
    let mut reader = Reader::new(octets);
    if reader.octet()? != Dispatch::IPV6 {
        return Err(DecompressDrop::UnknownDispatch);
    }
    let mut writer = Writer::new(out);
    writer.put(reader.rest())?;
    let size = datagram_size.or(DatagramSize::new(writer.len())).ok_or(DecompressDrop::TooLong)?;
    Ok(Decompressed { len: writer.len(), size })
}
