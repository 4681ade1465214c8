//! What came and waits: fragments of the handshake, then payloads of the session. Never both, so they
//! share their memory.

#[cfg(feature = "x509")]
use crate::CHAIN_OCTETS_MAX;
use crate::RecordDrop;
use crate::handshake::Fragment;
use crate::hello::TICKET_OCTETS_MAX;
use crate::reassembly::{Message, Reassembler};
use crate::record::RecordType;
use zeroize::Zeroize;

/// Payloads that one datagram can bring.
const INBOX_OCTETS_MAX: usize = 1280;
/// Type and length before each.
const HEADER_OCTETS: usize = 3;
/// ServerHello, key exchange and done may arrive in any order; with keys to show there are two more.
const REASSEMBLY_SLOTS: usize = if cfg!(feature = "ecc") { 5 } else { 3 };
/// A ServerHello with a session id of 32 and a connection ID of 255 octets has 365; a ticket comes with its lifetime
/// and its length.
const REASSEMBLY_OCTETS_MAX: usize = 384;
const _: () = assert!(4 + 2 + TICKET_OCTETS_MAX <= REASSEMBLY_OCTETS_MAX);

#[cfg_attr(
    feature = "ecc",
    expect(
        clippy::large_enum_variant,
        reason = "there is one, without an allocator to put its larger variant elsewhere"
    )
)]
pub(super) enum Inbound {
    Fragments(Fragments),
    Payloads(Inbox),
}

/// Messages that are not whole.
#[derive(Default)]
pub(super) struct Fragments {
    short: Reassembler<REASSEMBLY_SLOTS, REASSEMBLY_OCTETS_MAX>,
    /// One that is longer than those: a Certificate, or a request with the names of many authorities.
    #[cfg(feature = "x509")]
    long: Reassembler<1, CHAIN_OCTETS_MAX>,
    /// The message_seq of that.
    #[cfg(feature = "x509")]
    long_seq: Option<u16>,
}

#[cfg(feature = "x509")]
impl Fragments {
    /// The one with the lowest number is kept, for its turn comes first.
    fn insert_long(
        &mut self,
        next: u16,
        epoch: u16,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        let ahead = fragment.seq.checked_sub(next).ok_or(RecordDrop::Repeated)?;
        let waits = self.long_seq.is_some_and(|seq| (next..fragment.seq).contains(&seq));
        if waits || usize::from(ahead) >= REASSEMBLY_SLOTS {
            return Err(RecordDrop::BadFragment);
        }
        self.long_seq = Some(fragment.seq);
        self.long.insert(fragment.seq, epoch, fragment)
    }
}

impl Inbound {
    /// A handshake begins.
    pub(super) fn fragments() -> Self {
        Self::Fragments(Fragments::default())
    }

    /// The same as [`Self::take_message`], of one that is longer.
    #[cfg(feature = "x509")]
    pub(super) fn take_long(&mut self, next: u16) -> Option<Message<CHAIN_OCTETS_MAX>> {
        match self {
            Self::Fragments(fragments) => fragments.long.take(next),
            Self::Payloads(_) => None,
        }
    }

    /// A session begins.
    pub(super) fn payloads() -> Self {
        Self::Payloads(Inbox::default())
    }

    /// Keeps a fragment of a message from `next` on.
    pub(super) fn insert(
        &mut self,
        next: u16,
        epoch: u16,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        match self {
            #[cfg(feature = "x509")]
            Self::Fragments(fragments) if fragment.message_len > REASSEMBLY_OCTETS_MAX => {
                fragments.insert_long(next, epoch, fragment)
            }
            Self::Fragments(fragments) => fragments.short.insert(next, epoch, fragment),
            Self::Payloads(_) => Err(RecordDrop::Repeated),
        }
    }

    /// Takes message `next` out, if all of it is there.
    pub(super) fn take_message(&mut self, next: u16) -> Option<Message<REASSEMBLY_OCTETS_MAX>> {
        match self {
            Self::Fragments(fragments) => fragments.short.take(next),
            Self::Payloads(_) => None,
        }
    }

    /// Keeps a payload for the owner, or that of a heartbeat to answer.
    pub(super) fn receive(&mut self, kind: RecordType, payload: &[u8]) -> Result<(), RecordDrop> {
        match self {
            Self::Payloads(inbox) => inbox.receive(kind, payload),
            Self::Fragments(_) => Err(RecordDrop::WrongEpoch),
        }
    }

    /// What came first.
    pub(super) fn front(&self) -> Option<(RecordType, &[u8])> {
        match self {
            Self::Payloads(inbox) => inbox.front(),
            Self::Fragments(_) => None,
        }
    }

    /// Forgets what came first.
    pub(super) fn pop(&mut self) {
        if let Self::Payloads(inbox) = self {
            inbox.pop();
        }
    }
}

/// Payloads: type, length, octets of each.
#[derive(Default)]
pub(super) struct Inbox {
    octets: heapless::Vec<u8, INBOX_OCTETS_MAX>,
    at: usize,
}

impl Inbox {
    fn receive(&mut self, kind: RecordType, payload: &[u8]) -> Result<(), RecordDrop> {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        if self.octets.capacity() - self.octets.len() < HEADER_OCTETS + payload.len() {
            return Err(RecordDrop::QueueFull);
        }
        for part in [&[kind.octet(), high, low], payload] {
            let _ = self.octets.extend_from_slice(part); // room was checked
        }
        Ok(())
    }

    fn front(&self) -> Option<(RecordType, &[u8])> {
        let (header, rest) = self.octets[self.at..].split_first_chunk::<HEADER_OCTETS>()?;
        let len = usize::from(u16::from_be_bytes([header[1], header[2]]));
        Some((RecordType::parse(header[0])?, rest.get(..len)?))
    }

    fn pop(&mut self) {
        let Some((_, payload)) = self.front() else { return };
        self.at += HEADER_OCTETS + payload.len();
        if self.at == self.octets.len() {
            // Payloads bring keys; none shall stay here.
            self.octets.as_mut_slice().zeroize();
            self.octets.clear();
            self.at = 0;
        }
    }
}
