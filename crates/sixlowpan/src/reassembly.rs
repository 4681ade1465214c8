//! Puts datagrams together from frames in any order, RFC 4944 section 5.3.
//!
//! **Invariant:** a datagram is made of secured frames only or of unsecured frames only; the two
//! have pools of their own, so that strangers cannot take room from the network.
//! **Bounds:** `SECURED` + `UNSECURED` slots of [`crate::DATAGRAM_OCTETS_MAX`] octets each.

use core::time::Duration;

use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Eui64, Instant, LinkAddr};

use crate::dispatch::Dispatch;
use crate::frag::{DatagramTag, FragDrop, FragHeader};
use crate::iphc::{self, DecompressDrop};
use crate::pool::{Key, Placed, Pool};
use crate::{Contexts, LinkPair, Security};

/// How long fragments wait for the rest of their datagram.
// RFC 4944 section 5.3: MUST be at most 60 seconds. A datagram of 16 fragments takes under a
// second on a busy channel; a lost fragment must not hold a slot for long.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(10);

/// After this long without a new fragment, a datagram gives up its slot to another that needs one.
pub const REASSEMBLY_STALE_AFTER: Duration = Duration::from_secs(2);

/// A frame's payload and how it came.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Addresses of the frame.
    pub link: LinkPair,
    /// Whether the frame was protected.
    pub security: Security,
    /// The payload of the frame.
    pub octets: &'a [u8],
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole IPv6 datagram is in the first `len` octets of the output.
    Datagram {
        /// Its octets.
        len: usize,
    },
    /// A fragment is kept; others are missing.
    Waiting,
}

/// Why a frame gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiveDrop {
    /// No dispatch we take part in.
    UnknownDispatch,
    /// The headers cannot be decompressed.
    Headers(DecompressDrop),
    /// The fragmentation header is at fault.
    Fragment(FragDrop),
    /// A fragment without octets.
    EmptyFragment,
    /// A fragment that reaches over the end of its datagram.
    BeyondDatagram,
    /// A fragment, not the last, whose octets are no multiple of 8.
    Unaligned,
    /// A fragment that contradicts one kept earlier: the earlier ones are gone, this one is kept.
    Overlap,
    /// Every slot of the pool is in use.
    NoSlot,
    /// A fragment of a datagram that was complete a moment ago.
    AlreadyComplete,
    /// The output is shorter than the datagram.
    OutputTooSmall,
}

/// What [`Reassembler::poll`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReassemblyOutput {
    /// This many datagrams were given up, incomplete, since the last report.
    Abandoned {
        /// How many; saturates.
        datagrams: u16,
    },
    /// Nothing more until then.
    Wait {
        /// [`Instant::FAR_FUTURE`] when nothing waits.
        until: Instant,
    },
}

/// Takes every 6LoWPAN frame payload and gives whole datagrams.
#[derive(Debug)]
pub struct Reassembler<const SECURED: usize = 4, const UNSECURED: usize = 2> {
    secured: Pool<SECURED>,
    unsecured: Pool<UNSECURED>,
    abandoned: u16,
}

impl<const SECURED: usize, const UNSECURED: usize> Default for Reassembler<SECURED, UNSECURED> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SECURED: usize, const UNSECURED: usize> Reassembler<SECURED, UNSECURED> {
    /// With empty pools.
    pub const fn new() -> Self {
        Self { secured: Pool::new(), unsecured: Pool::new(), abandoned: 0 }
    }

    /// Takes one frame. `out` should have [`crate::DATAGRAM_OCTETS_MAX`] octets; it holds the datagram
    /// when one is complete and is scratch otherwise.
    pub fn handle(
        &mut self,
        now: Instant,
        frame: Incoming<'_>,
        contexts: &Contexts,
        out: &mut [u8],
    ) -> Result<Received, ReceiveDrop> {
        match Dispatch::of(frame.octets).ok_or(ReceiveDrop::UnknownDispatch)? {
            Dispatch::Ipv6 | Dispatch::Iphc => {
                let whole = iphc::decompress(frame.octets, frame.link, contexts, None, out)
                    .map_err(ReceiveDrop::Headers)?;
                Ok(Received::Datagram { len: whole.len })
            }
            Dispatch::FirstFragment | Dispatch::NextFragment => {
                self.fragment(now, frame, contexts, out)
            }
        }
    }

    /// How a fragmented datagram begins, if this is its first fragment: all headers that were compressed, and
    /// whatever else the fragment has. Nothing is kept. Writes to the front of `out`, which is as for
    /// [`Self::handle`], and gives the length.
    pub fn beginning(frame: Incoming<'_>, contexts: &Contexts, out: &mut [u8]) -> Option<usize> {
        match FragHeader::parse(frame.octets).ok()? {
            (FragHeader::First { size, .. }, octets) => {
                let first = iphc::decompress(octets, frame.link, contexts, Some(size), out);
                first.ok().map(|first| first.len)
            }
            (FragHeader::Next { .. }, _) => None,
        }
    }

    /// Nobody wants the datagram of this fragment: neither it nor those to come take up room.
    pub fn disregard(&mut self, now: Instant, frame: Incoming<'_>) {
        let Ok((header, _)) = FragHeader::parse(frame.octets) else { return };
        let key = Key { link: frame.link, size: header.size(), tag: header.tag() };
        match frame.security {
            Security::Secured => self.secured.finish(now, key),
            Security::Unsecured => self.unsecured.finish(now, key),
        }
    }

    fn fragment(
        &mut self,
        now: Instant,
        frame: Incoming<'_>,
        contexts: &Contexts,
        out: &mut [u8],
    ) -> Result<Received, ReceiveDrop> {
        let (header, octets) = FragHeader::parse(frame.octets).map_err(ReceiveDrop::Fragment)?;
        let mut key = Key { link: frame.link, size: header.size(), tag: header.tag() };
        if planted(Fault::FragmentsMixed) {
            (key.link.src, key.tag) = (LinkAddr::Extended(Eui64([0; 8])), DatagramTag(0));
        }
        if out.len() < key.size.octets() {
            return Err(ReceiveDrop::OutputTooSmall);
        }
        if octets.is_empty() {
            return Err(ReceiveDrop::EmptyFragment);
        }
        let placed = match header {
            FragHeader::First { size, .. } => {
                let first = iphc::decompress(octets, frame.link, contexts, Some(size), out)
                    .map_err(ReceiveDrop::Headers)?;
                let first = out.get(..first.len).unwrap_or_default();
                self.place(now, frame.security, key, 0, first)?
            }
            FragHeader::Next { offset, .. } => {
                self.place(now, frame.security, key, offset.octets(), octets)?
            }
        };
        match (placed, frame.security) {
            (Placed::Waiting, _) => return Ok(Received::Waiting),
            (Placed::Complete, Security::Secured) => self.secured.take(now, key, out),
            (Placed::Complete, Security::Unsecured) => self.unsecured.take(now, key, out),
        }
        Ok(Received::Datagram { len: key.size.octets() })
    }

    fn place(
        &mut self,
        now: Instant,
        security: Security,
        key: Key,
        offset: usize,
        octets: &[u8],
    ) -> Result<Placed, ReceiveDrop> {
        self.expire(now);
        let abandoned = &mut self.abandoned;
        match security {
            Security::Secured => self.secured.place(now, key, offset, octets, abandoned),
            Security::Unsecured => self.unsecured.place(now, key, offset, octets, abandoned),
        }
    }

    fn expire(&mut self, now: Instant) {
        self.secured.expire(now, &mut self.abandoned);
        self.unsecured.expire(now, &mut self.abandoned);
    }

    /// Reports what was given up, then ends in `Wait`.
    pub fn poll(&mut self, now: Instant) -> ReassemblyOutput {
        self.expire(now);
        match core::mem::take(&mut self.abandoned) {
            0 => ReassemblyOutput::Wait {
                until: self.secured.deadline().min(self.unsecured.deadline()),
            },
            datagrams => ReassemblyOutput::Abandoned { datagrams },
        }
    }

    /// Forgets every fragment, without a report.
    // RFC 4944 section 5.3: upon disassociation, recipients MUST discard all link fragments of
    // partially reassembled datagrams.
    pub fn clear(&mut self) {
        self.secured.clear();
        self.unsecured.clear();
        self.abandoned = 0;
    }
}
