//! Puts datagrams together from frames in any order, RFC 4944 section 5.3.
//!
//! **Invariant:** a datagram is made of secured frames only or of unsecured frames only; the two
//! have pools of their own, so that strangers cannot take room from the network.
//! **Bounds:** `SECURED` + `UNSECURED` slots of 1280 octets each.

use core::time::Duration;

use heapless::Vec;
use lowgate_units::Instant;

use crate::dispatch::Dispatch;
use crate::frag::{DatagramSize, DatagramTag, FragDrop, FragHeader};
use crate::iphc::{self, DecompressDrop};
use crate::{Contexts, DATAGRAM_OCTETS_MAX, LinkPair, Security};

/// How long fragments wait for the rest of their datagram.
// RFC 4944 section 5.3: MUST be at most 60 seconds. A datagram of 16 fragments takes under a
// second on a busy channel; a lost fragment must not hold a slot for long.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(10);

/// After this long without a new fragment, a datagram gives up its slot to another that needs one.
pub const REASSEMBLY_STALE_AFTER: Duration = Duration::from_secs(2);

/// How long a finished datagram is remembered, so that a repeated fragment opens no new slot.
const FINISHED_FOR: Duration = Duration::from_secs(1);

/// Finished datagrams remembered per pool.
const FINISHED_MAX: usize = 4;

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

    /// Takes one frame. `out` should have [`DATAGRAM_OCTETS_MAX`] octets; it holds the datagram
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

    fn fragment(
        &mut self,
        now: Instant,
        frame: Incoming<'_>,
        contexts: &Contexts,
        out: &mut [u8],
    ) -> Result<Received, ReceiveDrop> {
        let (header, octets) = FragHeader::parse(frame.octets).map_err(ReceiveDrop::Fragment)?;
        let key = Key { link: frame.link, size: header.size(), tag: header.tag() };
        if out.len() < key.size.octets() {
            return Err(ReceiveDrop::OutputTooSmall);
        }
        if octets.is_empty() {
            return Err(ReceiveDrop::EmptyFragment);
        }
        let abandoned = &mut self.abandoned;
        let mut place = |offset, octets: &[u8]| match frame.security {
            Security::Secured => self.secured.place(now, key, offset, octets, abandoned),
            Security::Unsecured => self.unsecured.place(now, key, offset, octets, abandoned),
        };
        let complete = match header {
            FragHeader::First { size, .. } => {
                let first = iphc::decompress(octets, frame.link, contexts, Some(size), out)
                    .map_err(ReceiveDrop::Headers)?;
                place(0, out.get(..first.len).unwrap_or_default())?
            }
            FragHeader::Next { offset, .. } => place(offset.octets(), octets)?,
        };
        let Some(slot) = complete else { return Ok(Received::Waiting) };
        let len = key.size.octets();
        if let (Some(to), Some(from)) = (out.get_mut(..len), slot.octets.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(Received::Datagram { len })
    }

    /// Reports what was given up, then ends in `Wait`.
    pub fn poll(&mut self, now: Instant) -> ReassemblyOutput {
        self.secured.expire(now, &mut self.abandoned);
        self.unsecured.expire(now, &mut self.abandoned);
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
        *self = Self::new();
    }
}

/// What all fragments of a datagram have in common, besides their security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    link: LinkPair,
    size: DatagramSize,
    tag: DatagramTag,
}

/// Octets in a unit of the received map.
const UNIT: usize = 8;
/// Units of the largest datagram.
const UNITS_MAX: usize = DATAGRAM_OCTETS_MAX / UNIT;

/// A datagram on its way to completeness.
#[derive(Debug)]
struct Slot {
    key: Key,
    /// When the datagram is given up.
    deadline: Instant,
    /// When the latest new fragment came.
    touched: Instant,
    /// Units that are there.
    received: UnitMap,
    /// Units at which a fragment began: with `received`, the bounds of every fragment.
    begun: UnitMap,
    octets: [u8; DATAGRAM_OCTETS_MAX],
}

/// How a fragment relates to those that are there.
enum Relation {
    New,
    Duplicate,
    Contradiction,
}

impl Slot {
    fn new(now: Instant, key: Key) -> Self {
        Self {
            key,
            deadline: now + REASSEMBLY_TIMEOUT,
            touched: now,
            received: UnitMap::EMPTY,
            begun: UnitMap::EMPTY,
            octets: [0; DATAGRAM_OCTETS_MAX],
        }
    }

    // RFC 4944 section 5.3: a fragment that overlaps another and differs in size or offset makes
    // the accumulated ones be discarded. Ours also when the octets differ: two datagrams are mixed.
    fn relation(&self, offset: usize, octets: &[u8]) -> Relation {
        let (first, end) = (offset / UNIT, (offset + octets.len()).div_ceil(UNIT));
        let there = (first..end).filter(|unit| self.received.contains(*unit)).count();
        if there == 0 {
            return Relation::New;
        }
        let same_begin = self.begun.contains(first);
        let same_end = (first + 1..end).all(|unit| !self.begun.contains(unit))
            && (!self.received.contains(end) || self.begun.contains(end));
        let same_octets = self.octets.get(offset..offset + octets.len()) == Some(octets);
        if there == end - first && same_begin && same_end && same_octets {
            Relation::Duplicate
        } else {
            Relation::Contradiction
        }
    }

    fn write(&mut self, now: Instant, offset: usize, octets: &[u8]) {
        let end = offset + octets.len();
        let Some(to) = self.octets.get_mut(offset..end) else { return };
        to.copy_from_slice(octets);
        self.begun.insert(offset / UNIT);
        for unit in offset / UNIT..end.div_ceil(UNIT) {
            self.received.insert(unit);
        }
        self.touched = now;
    }

    fn is_complete(&self) -> bool {
        (0..self.key.size.octets().div_ceil(UNIT)).all(|unit| self.received.contains(unit))
    }
}

/// A set of units of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnitMap([u32; UNITS_MAX / 32]);

impl UnitMap {
    const EMPTY: Self = Self([0; UNITS_MAX / 32]);

    fn contains(&self, unit: usize) -> bool {
        self.0.get(unit / 32).is_some_and(|word| word >> (unit % 32) & 1 == 1)
    }

    fn insert(&mut self, unit: usize) {
        if let Some(word) = self.0.get_mut(unit / 32) {
            *word |= 1 << (unit % 32);
        }
    }
}

/// The slots for one kind of security.
#[derive(Debug)]
struct Pool<const SLOTS: usize> {
    slots: Vec<Slot, SLOTS>,
    /// Datagrams completed a moment ago, and until when to remember them.
    finished: Vec<(Key, Instant), FINISHED_MAX>,
}

impl<const SLOTS: usize> Pool<SLOTS> {
    const fn new() -> Self {
        Self { slots: Vec::new(), finished: Vec::new() }
    }

    /// Puts a fragment to the others of its datagram; the datagram when that completes it.
    fn place(
        &mut self,
        now: Instant,
        key: Key,
        offset: usize,
        octets: &[u8],
        abandoned: &mut u16,
    ) -> Result<Option<Slot>, ReceiveDrop> {
        let end = offset + octets.len();
        if end > key.size.octets() {
            return Err(ReceiveDrop::BeyondDatagram);
        }
        // RFC 4944 section 5.3: all link fragments except the last MUST be multiples of 8 octets.
        if end != key.size.octets() && !end.is_multiple_of(UNIT) {
            return Err(ReceiveDrop::Unaligned);
        }
        self.expire(now, abandoned);
        if self.finished.iter().any(|(finished, _)| *finished == key) {
            return Err(ReceiveDrop::AlreadyComplete);
        }
        let index = match self.slots.iter().position(|slot| slot.key == key) {
            Some(index) => index,
            None => self.admit(now, key, abandoned)?,
        };
        let slot = self.slots.get_mut(index).ok_or(ReceiveDrop::NoSlot)?;
        let mut outcome = Ok(None);
        match slot.relation(offset, octets) {
            Relation::New => {}
            Relation::Duplicate => return Ok(None),
            Relation::Contradiction => {
                // RFC 4944 section 5.3: a fresh reassembly may be commenced with the most recently
                // received fragment. A sender that restarted and reuses the tag gets through.
                *slot = Slot::new(now, key);
                outcome = Err(ReceiveDrop::Overlap);
            }
        }
        slot.write(now, offset, octets);
        if !slot.is_complete() {
            return outcome;
        }
        let slot = self.slots.swap_remove(index);
        self.remember(now, key);
        Ok(Some(slot))
    }

    /// Opens a slot, if need be instead of the one that has been silent longest.
    fn admit(&mut self, now: Instant, key: Key, abandoned: &mut u16) -> Result<usize, ReceiveDrop> {
        if self.slots.is_full() {
            let silent = |slot: &Slot| now.since(slot.touched) >= REASSEMBLY_STALE_AFTER;
            let (index, _) = (self.slots.iter().enumerate())
                .filter(|(_, slot)| silent(slot))
                .min_by_key(|(_, slot)| slot.touched)
                .ok_or(ReceiveDrop::NoSlot)?;
            self.slots.swap_remove(index);
            *abandoned = abandoned.saturating_add(1);
        }
        self.slots.push(Slot::new(now, key)).map_err(|_| ReceiveDrop::NoSlot)?;
        Ok(self.slots.len() - 1)
    }

    fn remember(&mut self, now: Instant, key: Key) {
        if self.finished.is_full() {
            self.finished.remove(0);
        }
        let _ = self.finished.push((key, now + FINISHED_FOR)); // There is room for one now.
    }

    fn expire(&mut self, now: Instant, abandoned: &mut u16) {
        let before = self.slots.len();
        self.slots.retain(|slot| slot.deadline > now);
        let gone = u16::try_from(before - self.slots.len()).unwrap_or(u16::MAX);
        *abandoned = abandoned.saturating_add(gone);
        self.finished.retain(|(_, until)| *until > now);
    }

    fn deadline(&self) -> Instant {
        self.slots.iter().map(|slot| slot.deadline).min().unwrap_or(Instant::FAR_FUTURE)
    }
}
