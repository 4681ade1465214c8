//! A flight of handshake messages, kept whole so that it can be sent again: RFC 6347 section 4.2.4.
//!
//! **Invariant:** every transmission takes new record numbers; the messages stay what they were.

use crate::fragment_len::{FragmentLen, PLAINTEXT_OCTETS_MAX};
use crate::handshake::{HEADER_OCTETS, MessageType, VERIFY_DATA_OCTETS, emit_header};
use crate::hello::Sink;
use crate::protect::WriteKeys;
use crate::record::{self, RecordType, SEQ_MAX, VERSION_1_2};
use core::ops::DerefMut;
use lowgate_crypto::{Ccm, Sha256};

/// Octets of a ChangeCipherSpec record.
const CHANGE_CIPHER_SPEC_OCTETS: usize = record::HEADER_OCTETS + 1;
/// The only message of epoch 1.
pub(crate) const FINISHED_OCTETS: usize = HEADER_OCTETS + VERIFY_DATA_OCTETS;

/// Messages in the order they are sent, in a buffer that has room for them.
pub(crate) struct Flight<B> {
    /// Each message with the header it has as a single fragment.
    messages: B,
    /// Messages from here on are of epoch 1; ChangeCipherSpec goes before them.
    protected_from: Option<usize>,
    records: Records,
    /// What both ends agreed that a record may hold (RFC 6066 section 4).
    record_octets_max: usize,
    cursor: Option<Cursor>,
}

/// Where the octets of a flight are.
pub(crate) trait Buffer: Sink + Default + DerefMut<Target = [u8]> {}

impl<B: Sink + Default + DerefMut<Target = [u8]>> Buffer for B {}

/// How messages of epoch 0 go into records.
#[derive(Clone, Copy, Default)]
enum Records {
    /// Each into one of its own: some peers read no more than the first message of a record.
    #[default]
    Own,
    /// As many whole ones as fit into one (RFC 6347 section 4.2.3): a server's.
    #[cfg(feature = "server")]
    Shared,
}

/// Messages share a record up to here: the least that RFC 6066 section 4 lets a peer ask for.
const SHARED_RECORD_OCTETS_MAX: usize = 1 << 9;

/// What of the flight is sent next.
#[derive(Clone, Copy)]
struct Cursor {
    /// Start of a message.
    at: usize,
    /// Octets of its body that have left.
    offset: usize,
    changed_cipher: bool,
}

/// What writing a record needs. `keys` are there when the flight has messages of epoch 1.
pub(crate) struct RecordWriter<'a> {
    pub(crate) ccm: &'a dyn Ccm,
    pub(crate) plain_seq: &'a mut u64,
    pub(crate) keys: Option<(&'a mut WriteKeys, &'a [u8])>,
}

impl<const N: usize> Sink for heapless::Vec<u8, N> {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets).expect("flights are dimensioned by their longest messages");
    }
}

/// A server's flight is as long as its own messages are.
#[cfg(feature = "server")]
impl Sink for alloc::vec::Vec<u8> {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }
}

impl<B: Default> Default for Flight<B> {
    fn default() -> Self {
        Self {
            messages: B::default(),
            protected_from: None,
            records: Records::Own,
            record_octets_max: usize::from(PLAINTEXT_OCTETS_MAX),
            cursor: None,
        }
    }
}

impl<B: Buffer> Flight<B> {
    /// Forgets the flight before.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends a message and adds it to the transcript.
    pub(crate) fn message(
        &mut self,
        kind: MessageType,
        seq: u16,
        transcript: &mut Sha256,
        body: impl FnOnce(&mut B),
    ) {
        let at = self.messages.len();
        self.messages.put(&[0; HEADER_OCTETS]);
        body(&mut self.messages);
        let len = self.messages.len() - at - HEADER_OCTETS;
        let header = emit_header(kind, seq, len, (0, len));
        self.messages[at..at + HEADER_OCTETS].copy_from_slice(&header);
        transcript.update(&self.messages[at..]);
    }

    /// ChangeCipherSpec: what is appended from now on is sent in epoch 1.
    pub(crate) fn change_cipher(&mut self) {
        self.protected_from = Some(self.messages.len());
    }

    /// Messages of epoch 0 share records from now on.
    #[cfg(feature = "server")]
    pub(crate) const fn share_records(&mut self) {
        self.records = Records::Shared;
    }

    /// No record holds more than was agreed.
    pub(crate) fn limit_records(&mut self, agreed: Option<FragmentLen>) {
        self.record_octets_max = usize::from(FragmentLen::plaintext_octets_max(agreed));
    }

    /// Sends the flight, from its beginning.
    pub(crate) fn start(&mut self) {
        self.cursor = Some(Cursor { at: 0, offset: 0, changed_cipher: false });
    }

    /// Sends no more of it.
    pub(crate) fn stop(&mut self) {
        self.cursor = None;
    }

    /// Whether a datagram waits to be written.
    pub(crate) const fn is_pending(&self) -> bool {
        self.cursor.is_some()
    }

    /// Writes the next datagram, as many records as fit in `out`, and returns its length; 0 when
    /// nothing waits.
    pub(crate) fn datagram(&mut self, mut writer: RecordWriter<'_>, out: &mut [u8]) -> usize {
        let mut len = 0;
        while let Some(cursor) = self.cursor {
            match self.record(cursor, &mut writer, &mut out[len..], len == 0) {
                Step::Wrote { octets, next } => {
                    len += octets;
                    self.cursor = next;
                }
                Step::Full => break,
                Step::Exhausted => self.cursor = None,
            }
        }
        if len == 0 {
            // Nothing fits, not even alone: asking again would not help.
            self.cursor = None;
        }
        len
    }

    fn record(
        &self,
        cursor: Cursor,
        writer: &mut RecordWriter<'_>,
        out: &mut [u8],
        first: bool,
    ) -> Step {
        let protected = self.protected_from.is_some_and(|from| cursor.at >= from);
        if protected && !cursor.changed_cipher {
            let next = Some(Cursor { changed_cipher: true, ..cursor });
            return match writer.plain(RecordType::ChangeCipherSpec, &[1], &[], out) {
                Ok(octets) => Step::Wrote { octets, next },
                Err(step) => step,
            };
        }
        let Some((header, rest)) = self.messages[cursor.at..].split_first_chunk::<HEADER_OCTETS>()
        else {
            return Step::Exhausted;
        };
        let message_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let left = &rest[cursor.offset..message_len];
        let left_in_datagram = out.len().saturating_sub(writer.overhead(protected) + HEADER_OCTETS);
        let agreed = self.record_octets_max.saturating_sub(HEADER_OCTETS);
        let room = left_in_datagram.min(agreed);
        // A message is cut only when even a datagram of its own, or the longest record, is too short for it.
        if room < left.len() && (!first || room == 0) && room < agreed {
            return Step::Full;
        }
        if let Some(end) = self.shares_until(cursor, protected, out.len()) {
            let written =
                writer.plain(RecordType::Handshake, &self.messages[cursor.at..end], &[], out);
            return match written {
                Ok(octets) => Step::Wrote { octets, next: self.after(end, cursor) },
                Err(step) => step,
            };
        }
        let piece = &left[..left.len().min(room)];
        let mut header = *header;
        header[6..9].copy_from_slice(&(cursor.offset as u32).to_be_bytes()[1..]);
        header[9..12].copy_from_slice(&(piece.len() as u32).to_be_bytes()[1..]);
        let written = match protected {
            true => writer.protected(&header, piece, out),
            false => writer.plain(RecordType::Handshake, &header, piece, out),
        };
        let octets = match written {
            Ok(octets) => octets,
            Err(step) => return step,
        };
        let offset = cursor.offset + piece.len();
        let end = cursor.at + HEADER_OCTETS + message_len;
        let next = match offset < message_len {
            true => Some(Cursor { offset, ..cursor }),
            false => self.after(end, cursor),
        };
        Step::Wrote { octets, next }
    }

    /// What is sent behind the message that ends at `end`.
    fn after(&self, end: usize, cursor: Cursor) -> Option<Cursor> {
        let more = end < self.messages.len() || self.protected_from == Some(end);
        more.then_some(Cursor { at: end, offset: 0, ..cursor })
    }

    /// Where the last of the whole messages ends that share a record with the one at the cursor; `None`: it
    /// has a record of its own.
    fn shares_until(&self, cursor: Cursor, protected: bool, out_len: usize) -> Option<usize> {
        if protected || cursor.offset > 0 || matches!(self.records, Records::Own) {
            return None;
        }
        let room = out_len
            .saturating_sub(record::HEADER_OCTETS)
            .min(SHARED_RECORD_OCTETS_MAX)
            .min(self.record_octets_max);
        let limit = self.protected_from.unwrap_or(self.messages.len()).min(cursor.at + room);
        let mut ends = (cursor.at, cursor.at);
        while let Some(header) = self.messages.get(ends.1..ends.1 + HEADER_OCTETS) {
            let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let end = ends.1 + HEADER_OCTETS + len;
            if end > limit {
                break;
            }
            ends = (ends.1, end);
        }
        (ends.0 > cursor.at).then_some(ends.1)
    }
}

enum Step {
    Wrote {
        octets: usize,
        next: Option<Cursor>,
    },
    /// The rest goes into another datagram.
    Full,
    /// Nothing can be written any more.
    Exhausted,
}

impl RecordWriter<'_> {
    fn overhead(&self, protected: bool) -> usize {
        match &self.keys {
            Some((_, cid)) if protected => WriteKeys::overhead(cid.len()),
            _ => record::HEADER_OCTETS,
        }
    }

    fn plain(
        &mut self,
        kind: RecordType,
        head: &[u8],
        tail: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Step> {
        let len = head.len() + tail.len();
        if out.len() < record::HEADER_OCTETS + len {
            return Err(Step::Full);
        }
        if *self.plain_seq > SEQ_MAX {
            return Err(Step::Exhausted);
        }
        let outer = (kind.octet(), VERSION_1_2);
        let at =
            record::emit_header(outer, (0, *self.plain_seq), &[], len, out).ok_or(Step::Full)?;
        *self.plain_seq += 1;
        out[at..at + head.len()].copy_from_slice(head);
        out[at + head.len()..at + len].copy_from_slice(tail);
        Ok(at + len)
    }

    fn protected(
        &mut self,
        header: &[u8; HEADER_OCTETS],
        piece: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Step> {
        let (keys, cid) = self.keys.as_mut().ok_or(Step::Exhausted)?;
        let mut plaintext = heapless::Vec::<u8, FINISHED_OCTETS>::new();
        plaintext.put(header);
        plaintext.put(piece);
        keys.seal(self.ccm, RecordType::Handshake, cid, &plaintext, out)
            .map_err(|_| Step::Exhausted)
    }
}

/// Writes a datagram that holds one alert of epoch 0 and returns its length.
pub(crate) fn plain_alert(alert: [u8; 2], seq: u64, out: &mut [u8]) -> usize {
    let outer = (RecordType::Alert.octet(), VERSION_1_2);
    let Some(at) = record::emit_header(outer, (0, seq), &[], alert.len(), out) else { return 0 };
    match out.get_mut(at..at + alert.len()) {
        Some(body) => {
            body.copy_from_slice(&alert);
            at + alert.len()
        }
        None => 0,
    }
}

/// Whether a datagram is a HelloRequest in the clear and nothing else: [`crate::Server::request_hello`] says it.
/// Anybody can.
pub fn is_hello_request(datagram: &[u8]) -> bool {
    datagram == hello_request()
}

/// A HelloRequest (RFC 5246 section 7.4.1.1) in a datagram of its own. It belongs to no handshake: all its
/// numbers are zero.
pub(crate) fn hello_request() -> [u8; record::HEADER_OCTETS + HEADER_OCTETS] {
    let mut octets = [0; record::HEADER_OCTETS + HEADER_OCTETS];
    let body = emit_header(MessageType::HelloRequest, 0, 0, (0, 0));
    let outer = (RecordType::Handshake.octet(), VERSION_1_2);
    let at = record::emit_header(outer, (0, 0), &[], body.len(), &mut octets);
    octets[at.expect("its own length")..].copy_from_slice(&body);
    octets
}

const _: () = assert!(
    crate::DATAGRAM_LEN_MIN >= CHANGE_CIPHER_SPEC_OCTETS + WriteKeys::overhead(4) + FINISHED_OCTETS
);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::handshake::Fragment;
    use crate::record::Record;
    use lowgate_crypto::SoftCcm;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn any_datagram_length_carries_the_flight(
            lens in prop::collection::vec(0usize..120, 1..4),
            max in 96usize..300,
        ) {
            let mut flight = Flight::<heapless::Vec<u8, 512>>::default();
            let mut transcript = Sha256::new();
            for (seq, len) in lens.iter().enumerate() {
                let body = std::vec![seq as u8; *len];
                flight.message(MessageType::ServerHello, seq as u16, &mut transcript, |out| {
                    out.put(&body);
                });
            }
            flight.start();
            let (mut got, mut seq) = (std::vec![Vec::new(); lens.len()], 7);
            while flight.is_pending() {
                let mut out = [0xaa; 300];
                let writer = RecordWriter { ccm: &SoftCcm, plain_seq: &mut seq, keys: None };
                let len = flight.datagram(writer, &mut out[..max]);
                prop_assert!(len > 0 && len <= max);
                let mut rest = &mut out[..len];
                while !rest.is_empty() {
                    let (record, tail) = Record::split(rest, 0).expect("own record");
                    let (fragment, end) = Fragment::split(record.body).expect("own fragment");
                    prop_assert!(end.is_empty());
                    let message = &mut got[usize::from(fragment.seq)];
                    prop_assert_eq!(message.len(), fragment.offset);
                    message.extend_from_slice(fragment.octets);
                    rest = tail;
                }
            }
            for (message, len) in got.iter().zip(&lens) {
                prop_assert_eq!(message.len(), *len);
            }
        }
    }
}
