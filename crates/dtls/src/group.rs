//! Multicast records of a group: DTLS records without a handshake, under keys that every member has.
//!
//! The 48-bit record number is split into the sender's id (8 bits) and its own counter (40 bits), so
//! that members who share a key never share a nonce. Layout and nonce: the project's wire page, group
//! record, nonce mode 1 (`salt || epoch || SenderID || counter`).
//!
//! **Invariants:** a sender seals only under counters that its owner reserved in storage; a
//! receiver moves a window only after the tag was right, and only for senders it was told of.
//! Group keys prove membership, not who among the members sent: source authentication is above.

use crate::record::{EXPLICIT_NONCE_OCTETS, HEADER_OCTETS, Record, TAG_OCTETS, VERSION_1_2};
use crate::record::{be_u48, emit_header};
use crate::replay::ReplayWindow;
use core::fmt;
use lowgate_crypto::{Ccm, Key128};
use lowgate_units::planted::{Fault, planted};

/// The only content type of a group record.
const APPLICATION_DATA: u8 = 23;
/// Counters have 40 bits.
pub const GROUP_SEQ_MAX: u64 = (1 << 40) - 1;
/// What a group record costs.
pub const GROUP_OVERHEAD_OCTETS: usize = HEADER_OCTETS + EXPLICIT_NONCE_OCTETS + TAG_OCTETS;

/// Names a sender in one epoch of one group; given by the domain manager, never reused in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderId(pub u8);

/// The keys of one direction and epoch of a group.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupKeys {
    /// The traffic encryption key.
    pub key: Key128,
    /// The implicit part of the nonce.
    pub salt: [u8; 4],
    /// TEK_ID, which is the records' epoch.
    pub epoch: u16,
}

impl fmt::Debug for GroupKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupKeys").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl GroupKeys {
    /// The nonce of a record, whose last eight octets are its explicit nonce and its number.
    fn nonce(&self, sender: SenderId, seq: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..6].copy_from_slice(&self.epoch.to_be_bytes());
        nonce[6..].copy_from_slice(&number(sender, seq).to_be_bytes()[2..]);
        nonce
    }
}

/// The 48 bits of the record header.
fn number(sender: SenderId, seq: u64) -> u64 {
    u64::from(sender.0) << 40 | seq
}

/// RFC 5246 section 6.2.3.3: number, type, version and the plaintext's length.
fn aad(nonce: &[u8; 12], plaintext_len: usize) -> [u8; 13] {
    let mut aad = [0; 13];
    aad[..8].copy_from_slice(&nonce[4..]);
    aad[8] = APPLICATION_DATA;
    aad[9..11].copy_from_slice(&VERSION_1_2.to_be_bytes());
    aad[11..].copy_from_slice(&(plaintext_len as u16).to_be_bytes());
    aad
}

/// Why a group record was not sealed. No counter was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSealRefused {
    /// The next counter is not reserved yet: reserve in storage, then call [`GroupSender::reserve`].
    NotReserved,
    /// 2^40 records: the group needs a new epoch.
    Exhausted,
    /// The record does not fit the buffer.
    TooLong,
}

/// Seals the records of one member in one epoch.
#[derive(Debug)]
pub struct GroupSender {
    keys: GroupKeys,
    sender: SenderId,
    next_seq: u64,
    reserved_below: u64,
}

impl GroupSender {
    /// Starts at counter `first`: 0 in a new epoch, after a restart what storage says is unused.
    /// Nothing is reserved yet.
    pub const fn new(keys: GroupKeys, sender: SenderId, first: u64) -> Self {
        Self { keys, sender, next_seq: first, reserved_below: first }
    }

    /// Counters below `below` are stored as used and may be used now.
    pub fn reserve(&mut self, below: u64) {
        self.reserved_below = self.reserved_below.max(below.min(GROUP_SEQ_MAX + 1));
    }

    /// The counter of the next record.
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// How many counters are reserved and unused.
    pub const fn reserved(&self) -> u64 {
        self.reserved_below - self.next_seq
    }

    /// The epoch of these keys.
    pub const fn epoch(&self) -> u16 {
        self.keys.epoch
    }

    /// Whose records these are.
    pub const fn sender(&self) -> SenderId {
        self.sender
    }

    /// Writes one record into `out` and returns its length.
    ///
    /// # Errors
    /// See [`GroupSealRefused`].
    pub fn seal(
        &mut self,
        ccm: &dyn Ccm,
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, GroupSealRefused> {
        let total = GROUP_OVERHEAD_OCTETS + plaintext.len();
        if total > usize::from(u16::MAX) {
            return Err(GroupSealRefused::TooLong);
        }
        let out = out.get_mut(..total).ok_or(GroupSealRefused::TooLong)?;
        if self.next_seq > GROUP_SEQ_MAX {
            return Err(GroupSealRefused::Exhausted);
        }
        if self.next_seq >= self.reserved_below {
            return Err(GroupSealRefused::NotReserved);
        }
        let seq = self.next_seq;
        let numbers = (self.keys.epoch, number(self.sender, seq));
        let head = (APPLICATION_DATA, VERSION_1_2);
        let at = emit_header(head, numbers, &[], total - HEADER_OCTETS, out)
            .ok_or(GroupSealRefused::TooLong)?;
        self.next_seq += 1;
        let nonce = self.keys.nonce(self.sender, seq);
        let (explicit, sealed) = out[at..].split_at_mut(EXPLICIT_NONCE_OCTETS);
        let (payload, tag) = sealed.split_at_mut(plaintext.len());
        explicit.copy_from_slice(&nonce[4..]);
        payload.copy_from_slice(plaintext);
        ccm.seal(&self.keys.key, &nonce, &aad(&nonce, plaintext.len()), payload, tag);
        Ok(total)
    }
}

/// What is known of a sender's counter when it is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderFloor {
    /// Counters below this one are old.
    Known(u64),
    /// We joined late: the first authentic record sets the window and is marked as
    /// [`Freshness::FirstHeard`].
    Unknown,
}

/// Whether a record can be a replay of something sent before we listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is not.
    Verified,
    /// It may be: nothing was known of this sender. Only safe methods should act on it.
    FirstHeard,
}

/// Why a group record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupDrop {
    /// Not one application-data record that fills the datagram.
    Malformed,
    /// Another epoch than these keys have.
    WrongEpoch,
    /// A sender that was not admitted.
    UnknownSender,
    /// Seen before, or too old to tell.
    Replayed,
    /// The tag does not fit.
    BadTag,
}

/// An authentic group record.
#[derive(Debug, PartialEq, Eq)]
pub struct GroupOpened<'a> {
    /// Who says to have sent it; any member could have.
    pub sender: SenderId,
    /// Its counter.
    pub seq: u64,
    /// Whether it can be an old one.
    pub freshness: Freshness,
    /// What it says.
    pub plaintext: &'a [u8],
}

/// The table of senders is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderTableFull;

/// Opens the records of a group in one epoch, from at most `SENDERS` members.
#[derive(Debug)]
pub struct GroupReceiver<const SENDERS: usize> {
    keys: GroupKeys,
    senders: heapless::Vec<Sender, SENDERS>,
}

#[derive(Debug)]
struct Sender {
    id: SenderId,
    window: Option<ReplayWindow>,
}

impl<const SENDERS: usize> GroupReceiver<SENDERS> {
    /// Nobody is admitted yet.
    pub const fn new(keys: GroupKeys) -> Self {
        Self { keys, senders: heapless::Vec::new() }
    }

    /// The epoch of these keys.
    pub const fn epoch(&self) -> u16 {
        self.keys.epoch
    }

    /// Records of `id` are opened from now on. An admitted sender keeps its window.
    ///
    /// # Errors
    /// [`SenderTableFull`].
    pub fn admit(&mut self, id: SenderId, floor: SenderFloor) -> Result<(), SenderTableFull> {
        if self.senders.iter().any(|sender| sender.id == id) {
            return Ok(());
        }
        let window = match floor {
            SenderFloor::Known(next) => Some(ReplayWindow::starting_at(next)),
            SenderFloor::Unknown => None,
        };
        self.senders.push(Sender { id, window }).map_err(|_| SenderTableFull)
    }

    /// Opens a datagram in place.
    ///
    /// # Errors
    /// See [`GroupDrop`].
    pub fn open<'a>(
        &mut self,
        ccm: &dyn Ccm,
        datagram: &'a mut [u8],
    ) -> Result<GroupOpened<'a>, GroupDrop> {
        let malformed = GroupDrop::Malformed;
        let (record, rest) = Record::split(datagram, 0).map_err(|_| malformed)?;
        if record.outer != APPLICATION_DATA || record.version != VERSION_1_2 || !rest.is_empty() {
            return Err(malformed);
        }
        if record.epoch != self.keys.epoch {
            return Err(GroupDrop::WrongEpoch);
        }
        let (id, seq) = (SenderId((record.seq >> 40) as u8), record.seq & GROUP_SEQ_MAX);
        let known = self.senders.iter_mut().find(|sender| sender.id == id);
        let window = &mut known.ok_or(GroupDrop::UnknownSender)?.window;
        if window.is_some_and(|window| !window.is_fresh(seq))
            && !planted(Fault::GroupReplayAccepted)
        {
            return Err(GroupDrop::Replayed);
        }
        let nonce = self.keys.nonce(id, seq);
        let sealed = record.body.len().checked_sub(EXPLICIT_NONCE_OCTETS + TAG_OCTETS);
        let len = sealed.ok_or(malformed)?;
        let (explicit, sealed) = record.body.split_at_mut(EXPLICIT_NONCE_OCTETS);
        if be_u48(explicit) != be_u48(&nonce[4..]) {
            return Err(malformed);
        }
        let (payload, tag) = sealed.split_at_mut(len);
        ccm.open(&self.keys.key, &nonce, &aad(&nonce, len), payload, tag)
            .map_err(|_| GroupDrop::BadTag)?;
        let freshness = match window {
            Some(window) => {
                window.accept(seq);
                Freshness::Verified
            }
            None => {
                // Whatever came before the first record heard counts as seen.
                *window = Some(ReplayWindow::starting_at(seq + 1));
                Freshness::FirstHeard
            }
        };
        Ok(GroupOpened { sender: id, seq, freshness, plaintext: payload })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_crypto::SoftCcm;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    fn keys() -> GroupKeys {
        // Worked example of the wire page: TGK 00..0f, CSB 5a17c0de, RAND 10..1f.
        let key = Key128::from_slice(&hex("6bcb43b74a2380b1ac0e6fd8c65235c7")).expect("16 octets");
        GroupKeys { key, salt: [0x53, 0xa3, 0x84, 0xd2], epoch: 1 }
    }

    const PLAIN: &str = "50020001b56c6967687473ff31";
    const RECORD: &str = "17fefd0001050000000000001d0001050000000000\
                          763cab17b1172a8cc26868c1f6b19ee98c7f9cee24";

    fn receiver(floor: SenderFloor) -> GroupReceiver<2> {
        let mut receiver = GroupReceiver::new(keys());
        receiver.admit(SenderId(5), floor).expect("room");
        receiver
    }

    #[test]
    fn worked_example_of_the_wire_page() {
        let mut sender = GroupSender::new(keys(), SenderId(5), 0);
        sender.reserve(1024);
        let mut out = [0xaa; 64];
        let len = sender.seal(&SoftCcm, &hex(PLAIN), &mut out).expect("fits");
        assert_eq!(out[..len], hex(RECORD));
        let mut receiver = receiver(SenderFloor::Known(0));
        let opened = receiver.open(&SoftCcm, &mut out[..len]).expect("own record");
        assert_eq!(opened.plaintext, hex(PLAIN));
        assert_eq!((opened.sender, opened.seq), (SenderId(5), 0));
        assert_eq!(opened.freshness, Freshness::Verified);
        assert_eq!(receiver.open(&SoftCcm, &mut hex(RECORD)), Err(GroupDrop::Replayed));
    }

    #[test]
    fn nothing_is_sealed_under_a_counter_that_is_not_reserved() {
        let mut sender = GroupSender::new(keys(), SenderId(5), 7);
        let mut out = [0; 64];
        assert_eq!(sender.seal(&SoftCcm, b"", &mut out), Err(GroupSealRefused::NotReserved));
        sender.reserve(8);
        assert_eq!((sender.reserved(), sender.seal(&SoftCcm, b"", &mut out)), (1, Ok(29)));
        assert_eq!(sender.seal(&SoftCcm, b"", &mut out), Err(GroupSealRefused::NotReserved));
        let mut last = GroupSender::new(keys(), SenderId(5), GROUP_SEQ_MAX);
        last.reserve(u64::MAX);
        assert_eq!(last.seal(&SoftCcm, b"", &mut out), Ok(29));
        assert_eq!(last.seal(&SoftCcm, b"", &mut out), Err(GroupSealRefused::Exhausted));
        assert_eq!(last.seal(&SoftCcm, &[0; 64], &mut out), Err(GroupSealRefused::TooLong));
    }

    #[test]
    fn strangers_and_other_epochs_move_nothing() {
        let mut receiver = receiver(SenderFloor::Known(0));
        let mut check = |edit: fn(&mut [u8]), expected| {
            let mut octets = hex(RECORD);
            edit(&mut octets);
            assert_eq!(receiver.open(&SoftCcm, &mut octets), Err(expected));
        };
        check(|o| o[4] = 2, GroupDrop::WrongEpoch);
        check(|o| o[5] = 6, GroupDrop::UnknownSender);
        check(|o| o[0] = 21, GroupDrop::Malformed);
        // A forged number far ahead must not close the window behind it.
        check(|o| [o[6], o[16]] = [9, 9], GroupDrop::BadTag);
        check(|o| o[6] = 9, GroupDrop::Malformed);
        assert!(receiver.open(&SoftCcm, &mut hex(RECORD)).is_ok());
    }

    #[test]
    fn a_late_joiner_says_so_once() {
        let mut sender = GroupSender::new(keys(), SenderId(5), 100);
        sender.reserve(200);
        let mut receiver = receiver(SenderFloor::Unknown);
        let mut open = |octets: &[u8]| {
            receiver.open(&SoftCcm, &mut octets.to_vec()).map(|opened| opened.freshness)
        };
        let mut sealed = [[0; 30]; 3];
        for out in &mut sealed {
            sender.seal(&SoftCcm, b"1", out).expect("fits");
        }
        assert_eq!(open(&sealed[1]), Ok(Freshness::FirstHeard));
        assert_eq!(open(&sealed[0]), Err(GroupDrop::Replayed));
        assert_eq!(open(&sealed[2]), Ok(Freshness::Verified));
    }

    proptest! {
        #[test]
        fn any_datagram(mut octets in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(receiver(SenderFloor::Unknown).open(&SoftCcm, &mut octets).is_err());
        }

        #[test]
        fn any_flipped_bit(at in 0usize..42, bit in 0u8..8) {
            let mut receiver = receiver(SenderFloor::Known(0));
            let mut octets = hex(RECORD);
            octets[at] ^= 1 << bit;
            prop_assert!(receiver.open(&SoftCcm, &mut octets).is_err());
            prop_assert!(receiver.open(&SoftCcm, &mut hex(RECORD)).is_ok());
        }
    }
}
