//! Sealing and opening of records with AES-128-CCM-8: RFC 6655 section 3, RFC 9146 section 5.3.
//!
//! **Invariant:** the explicit nonce is the record number, so it repeats only if the caller repeats
//! a number. Whoever holds a [`WriteKeys`] counts in it; it cannot be cloned.

use crate::ContentType;
use crate::noise::RecordDrop;
use crate::record::{
    EXPLICIT_NONCE_OCTETS, HEADER_OCTETS, Record, RecordType, SEQ_MAX, TAG_OCTETS, TLS12_CID,
    VERSION_1_2, emit_header,
};
use crate::replay::ReplayWindow;
use lowgate_crypto::{Ccm, Key128};
use lowgate_units::planted::{Fault, planted};

/// The epoch that the keys belong to: there is one handshake in a session, so one change of cipher.
pub(crate) const EPOCH: u16 = 1;

/// Longest connection ID (RFC 9146 section 3: one octet of length).
pub(crate) const CID_OCTETS_MAX: usize = 255;

/// A key and the implicit part of its nonces.
pub(crate) struct Keys {
    pub(crate) key: Key128,
    pub(crate) salt: [u8; 4],
}

impl Keys {
    fn nonce(&self, explicit: [u8; 8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(&explicit);
        nonce
    }
}

/// What the tag covers beside the payload.
struct Aad {
    octets: [u8; 8 + 3 + 2 + 8 + CID_OCTETS_MAX + 2],
    len: usize,
}

impl Aad {
    fn new(outer: u8, number: u64, cid: &[u8], plaintext_len: usize) -> Self {
        let mut aad = Self { octets: [0; _], len: 0 };
        let version = VERSION_1_2.to_be_bytes();
        if outer == TLS12_CID {
            // RFC 9146 section 5.3.
            aad.push(&[0xff; 8]);
            aad.push(&[TLS12_CID, cid.len() as u8, TLS12_CID]);
            aad.push(&version);
            aad.push(&number.to_be_bytes());
            aad.push(cid);
        } else {
            // RFC 5246 section 6.2.3.3 with the numbers of RFC 6347 section 4.1.2.1.
            aad.push(&number.to_be_bytes());
            aad.push(&[outer]);
            aad.push(&version);
        }
        aad.push(&(plaintext_len as u16).to_be_bytes());
        aad
    }

    fn push(&mut self, octets: &[u8]) {
        self.octets[self.len..self.len + octets.len()].copy_from_slice(octets);
        self.len += octets.len();
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// `epoch || sequence_number` as one number.
fn number(epoch: u16, seq: u64) -> u64 {
    u64::from(epoch) << 48 | seq
}

/// The sending half of a session.
pub(crate) struct WriteKeys {
    keys: Keys,
    next_seq: u64,
    plaintext_octets_max: u16,
}

/// A record was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealRefused {
    TooLong,
    Exhausted,
}

impl WriteKeys {
    /// Records have at most `plaintext_octets_max` octets inside.
    pub(crate) const fn new(keys: Keys, plaintext_octets_max: u16) -> Self {
        Self { keys, next_seq: 0, plaintext_octets_max }
    }

    /// Whether a record may be as long.
    pub(crate) const fn allows(&self, plaintext_len: usize) -> bool {
        plaintext_len <= self.plaintext_octets_max as usize
    }

    /// Whether only the last number is left, which is kept for close_notify.
    pub(crate) const fn is_nearly_exhausted(&self) -> bool {
        self.next_seq >= SEQ_MAX
    }

    /// Whether `count` more records can be sealed.
    #[cfg(feature = "server")]
    pub(crate) const fn has_left(&self, count: u64) -> bool {
        self.next_seq + count <= SEQ_MAX + 1
    }

    /// Octets that sealing adds.
    pub(crate) const fn overhead(cid_len: usize) -> usize {
        let inner_type = if cid_len > 0 { 1 } else { 0 };
        HEADER_OCTETS + EXPLICIT_NONCE_OCTETS + TAG_OCTETS + cid_len + inner_type
    }

    /// Writes one record into `out` and returns its length. `cid` is what the peer asked for.
    pub(crate) fn seal(
        &mut self,
        ccm: &dyn Ccm,
        kind: RecordType,
        cid: &[u8],
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealRefused> {
        self.seal_parts(ccm, kind, cid, &[plaintext], out)
    }

    /// The same with a plaintext in parts.
    pub(crate) fn seal_parts(
        &mut self,
        ccm: &dyn Ccm,
        kind: RecordType,
        cid: &[u8],
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<usize, SealRefused> {
        let plaintext_len = parts.iter().map(|part| part.len()).sum();
        let total = Self::overhead(cid.len()) + plaintext_len;
        if total > out.len() || !self.allows(plaintext_len) {
            return Err(SealRefused::TooLong);
        }
        // RFC 6347 section 4.1: sequence numbers MUST NOT wrap.
        if self.next_seq > SEQ_MAX {
            return Err(SealRefused::Exhausted);
        }
        let seq = self.next_seq;
        if kind != RecordType::Payload(ContentType::ApplicationData)
            || !planted(Fault::RecordSequenceRepeats)
        {
            self.next_seq += 1;
        }
        let outer = if cid.is_empty() { kind.octet() } else { TLS12_CID };
        let body_len = total - HEADER_OCTETS - cid.len();
        let head = (outer, VERSION_1_2);
        let at = emit_header(head, (EPOCH, seq), cid, body_len, out).ok_or(SealRefused::TooLong)?;
        let (explicit, sealed) = out[at..total].split_at_mut(EXPLICIT_NONCE_OCTETS);
        let (inner, tag) = sealed.split_at_mut(sealed.len() - TAG_OCTETS);
        let mut at = 0;
        for part in parts {
            inner[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        if let Some(real_type) = inner.get_mut(plaintext_len) {
            *real_type = kind.octet();
        }
        // RFC 7925 appendix B: the explicit nonce MUST be epoch and sequence number.
        let nonce = number(EPOCH, seq).to_be_bytes();
        explicit.copy_from_slice(&nonce);
        let aad = Aad::new(outer, number(EPOCH, seq), cid, inner.len());
        let inner = if planted(Fault::CipherSkipped) { &mut inner[..0] } else { inner };
        ccm.seal(&self.keys.key, &self.keys.nonce(nonce), aad.octets(), inner, tag);
        Ok(total)
    }

    #[cfg(test)]
    pub(crate) fn set_next_seq(&mut self, seq: u64) {
        self.next_seq = seq;
    }
}

/// The receiving half of a session.
pub(crate) struct ReadKeys {
    keys: Keys,
    window: ReplayWindow,
    plaintext_octets_max: u16,
}

/// What an authentic record held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) kind: RecordType,
    pub(crate) plaintext: &'a [u8],
    /// Newer than every record before it.
    pub(crate) newest: bool,
}

impl ReadKeys {
    pub(crate) fn new(keys: Keys, plaintext_octets_max: u16) -> Self {
        Self { keys, window: ReplayWindow::default(), plaintext_octets_max }
    }

    /// Opens a record in place.
    pub(crate) fn open<'a>(
        &mut self,
        ccm: &dyn Ccm,
        record: Record<'a>,
    ) -> Result<Opened<'a>, RecordDrop> {
        if record.epoch != EPOCH {
            return Err(RecordDrop::WrongEpoch);
        }
        if !self.window.is_fresh(record.seq) {
            return Err(RecordDrop::Replayed);
        }
        let body = record.body;
        let sealed_len = body.len().checked_sub(EXPLICIT_NONCE_OCTETS + TAG_OCTETS);
        let inner_len = sealed_len.ok_or(RecordDrop::Malformed)?;
        let (explicit, sealed) = body.split_at_mut(EXPLICIT_NONCE_OCTETS);
        let (inner, tag) = sealed.split_at_mut(inner_len);
        // Peers may draw their explicit nonce as they like; it is theirs not to repeat.
        let mut nonce = [0; EXPLICIT_NONCE_OCTETS];
        nonce.copy_from_slice(explicit);
        let aad = Aad::new(record.outer, number(EPOCH, record.seq), record.cid, inner_len);
        let skipped = if planted(Fault::CipherSkipped) { inner_len } else { 0 };
        ccm.open(&self.keys.key, &self.keys.nonce(nonce), aad.octets(), &mut inner[skipped..], tag)
            .map_err(|_| RecordDrop::BadTag)?;
        // RFC 6347 section 4.1.2.6: the window MUST NOT move before the MAC was verified.
        let newest = self.window.is_newest(record.seq);
        self.window.accept(record.seq);
        let (kind, plaintext) = match record.outer {
            TLS12_CID => strip_padding(inner)?,
            outer => (outer, &*inner),
        };
        // RFC 6066 section 4: in DTLS not even an authentic record that is too long need cause an alert.
        if plaintext.len() > usize::from(self.plaintext_octets_max) {
            return Err(RecordDrop::TooLong);
        }
        let kind = RecordType::parse(kind).ok_or(RecordDrop::UnknownType)?;
        Ok(Opened { kind, plaintext, newest })
    }
}

/// RFC 9146 section 4: content, its type, and any number of zeros.
fn strip_padding(inner: &[u8]) -> Result<(u8, &[u8]), RecordDrop> {
    let at = inner.iter().rposition(|octet| *octet != 0).ok_or(RecordDrop::UnknownType)?;
    Ok((inner[at], &inner[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment_len::PLAINTEXT_OCTETS_MAX;
    use lowgate_crypto::SoftCcm;
    use proptest::prelude::*;

    fn keys() -> Keys {
        Keys { key: Key128::new([7; 16]), salt: [1, 2, 3, 4] }
    }

    const DATA: RecordType = RecordType::Payload(ContentType::ApplicationData);

    #[test]
    fn numbers_end_before_they_repeat() {
        let mut write = WriteKeys::new(keys(), PLAINTEXT_OCTETS_MAX);
        let mut out = [0; 64];
        write.set_next_seq(SEQ_MAX);
        assert!(write.is_nearly_exhausted());
        assert_eq!(write.seal(&SoftCcm, DATA, &[], b"x", &mut out), Ok(30));
        assert_eq!(write.seal(&SoftCcm, DATA, &[], b"x", &mut out), Err(SealRefused::Exhausted));
    }

    /// RFC 6066 section 4: whoever sends more than was agreed is not listened to.
    #[test]
    fn a_record_longer_than_agreed_is_noise() {
        let mut write = WriteKeys::new(keys(), 5);
        let mut read = ReadKeys::new(keys(), 4);
        for cid in [&[][..], &[7]] {
            let mut open = |plaintext: &[u8]| {
                let mut out = [0; 64];
                let len = write.seal(&SoftCcm, DATA, cid, plaintext, &mut out).expect("room");
                let (record, _) = Record::split(&mut out[..len], cid.len()).expect("own record");
                read.open(&SoftCcm, record).map(|opened| opened.plaintext.len())
            };
            assert_eq!(open(b"12345"), Err(RecordDrop::TooLong));
            assert_eq!(open(b"1234"), Ok(4));
        }
    }

    /// RFC 7925 appendix B.
    #[test]
    fn the_explicit_nonce_is_the_record_number() {
        let mut write = WriteKeys::new(keys(), PLAINTEXT_OCTETS_MAX);
        for seq in [0, 1, 0x0102_0304_0506, SEQ_MAX] {
            write.set_next_seq(seq);
            let mut out = [0; 64];
            write.seal(&SoftCcm, DATA, &[], b"x", &mut out).expect("room");
            assert_eq!(out[HEADER_OCTETS..][..2], [0, 1], "the epoch");
            assert_eq!(out[HEADER_OCTETS + 2..][..6], seq.to_be_bytes()[2..]);
            assert_eq!(out[HEADER_OCTETS..][..8], out[3..11], "as in the header");
        }
    }

    #[test]
    fn a_long_record_uses_up_no_number() {
        let mut write = WriteKeys::new(keys(), PLAINTEXT_OCTETS_MAX);
        let mut out = [0; 64];
        let long = [0; 40];
        assert_eq!(write.seal(&SoftCcm, DATA, &[], &long, &mut out), Err(SealRefused::TooLong));
        assert_eq!(write.next_seq, 0);
    }

    #[test]
    fn padding_without_a_type_is_noise() {
        assert_eq!(strip_padding(&[0, 0]), Err(RecordDrop::UnknownType));
        assert_eq!(strip_padding(&[]), Err(RecordDrop::UnknownType));
        assert_eq!(strip_padding(&[9, 0, 23, 0, 0]), Ok((23, &[9, 0][..])));
    }

    proptest! {
        #[test]
        fn open_of_seal_is_identity(
            plaintext in prop::collection::vec(any::<u8>(), 0..60),
            cid in prop::collection::vec(any::<u8>(), 0..9),
            flip in any::<prop::sample::Index>(),
        ) {
            let mut write = WriteKeys::new(keys(), PLAINTEXT_OCTETS_MAX);
            let mut read = ReadKeys::new(keys(), PLAINTEXT_OCTETS_MAX);
            let mut out = [0xaa; 128];
            let len = write.seal(&SoftCcm, DATA, &cid, &plaintext, &mut out).expect("fits");
            prop_assert_eq!(len, WriteKeys::overhead(cid.len()) + plaintext.len());
            let sealed = out;
            // One flipped bit anywhere: dropped, and the genuine record still opens afterwards.
            out[flip.index(len)] ^= 0x10;
            if let Ok((record, _)) = Record::split(&mut out[..len], cid.len()) {
                prop_assert!(read.open(&SoftCcm, record).is_err());
            }
            out = sealed;
            let (record, _) = Record::split(&mut out[..len], cid.len()).expect("own record");
            let opened = read.open(&SoftCcm, record).expect("own tag");
            prop_assert_eq!((opened.kind, opened.plaintext), (DATA, &plaintext[..]));
            out = sealed;
            let (record, _) = Record::split(&mut out[..len], cid.len()).expect("own record");
            prop_assert_eq!(read.open(&SoftCcm, record), Err(RecordDrop::Replayed));
        }

        #[test]
        fn any_body(mut octets in prop::collection::vec(any::<u8>(), 0..90)) {
            let mut read = ReadKeys::new(keys(), PLAINTEXT_OCTETS_MAX);
            if let Ok((record, _)) = Record::split(&mut octets, 4) {
                prop_assert!(read.open(&SoftCcm, record).is_err());
            }
        }
    }
}
