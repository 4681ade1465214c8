//! Cuts a compressed datagram into frames, RFC 4944 section 5.3 and RFC 6282 section 2.
//! **Invariant:** all compressed headers are in the first fragment; every fragment but the last
//! carries a multiple of 8 octets of the uncompressed datagram.

use crate::frag::{DatagramOffset, DatagramSize, DatagramTag, FragHeader};
use crate::iphc::Compressed;

/// Yields the frame payloads of one datagram in order. Owns no octets: the caller keeps the
/// compressed datagram and hands it to every [`Fragmenter::emit_next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragmenter {
    datagram: Compressed,
    tag: DatagramTag,
    payload_max: usize,
    /// Octets of the compressed datagram already yielded.
    done: usize,
}

/// Why a datagram cannot be cut for these frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FragmentRefused {
    /// The compressed headers do not fit within the first fragment: compress fewer of them, with
    /// `compress_within(.., Fragmenter::headers_max(payload_max), ..)`.
    HeadersTooLong,
    /// The frames are under [`Fragmenter::PAYLOAD_OCTETS_MIN`].
    PayloadTooSmall,
}

impl Fragmenter {
    /// Smallest frame payload that datagrams are cut for: room for a whole IPv6 header in the first
    /// fragment. Every 802.15.4 frame has more.
    pub const PAYLOAD_OCTETS_MIN: usize = FragHeader::FIRST_OCTETS + 1 + 40;

    /// Octets of compressed headers a first fragment of `payload_max` octets has room for.
    pub const fn headers_max(payload_max: usize) -> usize {
        payload_max.saturating_sub(FragHeader::FIRST_OCTETS)
    }

    /// For frames that carry up to `payload_max` octets. `tag` is used up only when
    /// [`Fragmenter::is_fragmented`].
    pub fn new(
        datagram: Compressed,
        tag: DatagramTag,
        payload_max: usize,
    ) -> Result<Self, FragmentRefused> {
        let fragmenter = Self { datagram, tag, payload_max, done: 0 };
        if fragmenter.is_fragmented() {
            if payload_max < Self::PAYLOAD_OCTETS_MIN {
                return Err(FragmentRefused::PayloadTooSmall);
            }
            // RFC 6282 section 2: any header that cannot fit within the first fragment MUST NOT be
            // compressed. So what is compressed must fit.
            if datagram.headers() > Self::headers_max(payload_max) {
                return Err(FragmentRefused::HeadersTooLong);
            }
        }
        Ok(fragmenter)
    }

    /// Whether the datagram needs more than one frame.
    // RFC 4944 section 5.3: a datagram that fits within a single frame is unfragmented and should
    // not contain a fragmentation header.
    pub fn is_fragmented(&self) -> bool {
        self.datagram.len() > self.payload_max
    }

    /// Whether every frame has been yielded.
    pub fn is_done(&self) -> bool {
        self.done >= self.datagram.len()
    }

    /// Writes the next frame's payload to the front of `out` and gives its length. `datagram` is
    /// the whole output of the compression. `None` when done, when `datagram` is not that long,
    /// or when `out` is too small (then the same frame comes again).
    pub fn emit_next(&mut self, datagram: &[u8], out: &mut [u8]) -> Option<usize> {
        if self.is_done() {
            return None;
        }
        let (header, take) = self.plan()?;
        let end = self.done.checked_add(take)?;
        let octets = datagram.get(self.done..end)?;
        let header_len = match header {
            Some(header) => header.emit(out)?,
            None => 0,
        };
        out.get_mut(header_len..header_len + take)?.copy_from_slice(octets);
        self.done = end;
        Some(header_len + take)
    }

    /// The header of the next frame and how many compressed octets follow it.
    fn plan(&self) -> Option<(Option<FragHeader>, usize)> {
        let len = self.datagram.len();
        if !self.is_fragmented() {
            return Some((None, len));
        }
        let (size, tag) = (self.datagram.size(), self.tag);
        if self.done == 0 {
            let headers = self.datagram.headers();
            let room = Self::headers_max(self.payload_max).checked_sub(headers)?;
            // Headers are multiples of 8 octets before compression, so the rest must be one too.
            let take = headers + room / 8 * 8;
            return Some((Some(FragHeader::First { size, tag }), take));
        }
        let offset = DatagramOffset::of_octets(self.datagram.uncompressed_at(self.done)?)?;
        let room = self.payload_max.checked_sub(FragHeader::NEXT_OCTETS)? / 8 * 8;
        Some((Some(FragHeader::Next { size, tag, offset }), room.min(len - self.done)))
    }

    /// Size of the uncompressed datagram.
    pub fn size(&self) -> DatagramSize {
        self.datagram.size()
    }
}
