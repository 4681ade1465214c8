//! Record headers: RFC 6347 section 4.1, and RFC 9146 section 4 when a connection ID is in them.
//!
//! **Invariant:** pure functions of octets; no state, no keys.

use crate::ContentType;
use crate::noise::RecordDrop;

/// DTLS 1.2 on the wire.
pub(crate) const VERSION_1_2: u16 = 0xfefd;
/// DTLS 1.0 on the wire: the packet format of HelloVerifyRequest, and of first records.
pub(crate) const VERSION_1_0: u16 = 0xfeff;
/// Header without connection ID.
pub(crate) const HEADER_OCTETS: usize = 13;
/// Octets of the explicit nonce (RFC 6655 section 3).
pub(crate) const EXPLICIT_NONCE_OCTETS: usize = 8;
/// Octets of the tag.
pub(crate) const TAG_OCTETS: usize = 8;
/// RFC 6347 section 4.1: record numbers have 48 bits.
pub(crate) const SEQ_MAX: u64 = (1 << 48) - 1;
/// The outer type of a record with connection ID.
pub(crate) const TLS12_CID: u8 = 25;

/// What a record is, inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordType {
    ChangeCipherSpec,
    Alert,
    Handshake,
    Heartbeat,
    ReturnRoutability,
    Payload(ContentType),
}

impl RecordType {
    pub(crate) const fn parse(octet: u8) -> Option<Self> {
        Some(match octet {
            20 => Self::ChangeCipherSpec,
            21 => Self::Alert,
            22 => Self::Handshake,
            23 => Self::Payload(ContentType::ApplicationData),
            24 => Self::Heartbeat,
            27 => Self::ReturnRoutability,
            30 => Self::Payload(ContentType::KeyData),
            31 => Self::Payload(ContentType::KeyParameters),
            _ => return None,
        })
    }

    pub(crate) const fn octet(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Heartbeat => 24,
            Self::ReturnRoutability => 27,
            Self::Payload(ContentType::ApplicationData) => 23,
            Self::Payload(ContentType::KeyData) => 30,
            Self::Payload(ContentType::KeyParameters) => 31,
        }
    }
}

/// One record as it lies in a datagram.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The outer type: of the record itself, or [`TLS12_CID`].
    pub(crate) outer: u8,
    /// 0xfefd, in epoch 0 also 0xfeff.
    pub(crate) version: u16,
    pub(crate) epoch: u16,
    pub(crate) seq: u64,
    /// Empty unless `outer` is [`TLS12_CID`].
    pub(crate) cid: &'a [u8],
    pub(crate) body: &'a mut [u8],
}

impl<'a> Record<'a> {
    /// Splits the first record off `datagram`. `cid_len` is what we gave out; 0 when we gave none.
    /// After an error the rest of the datagram cannot be delimited.
    pub(crate) fn split(
        datagram: &'a mut [u8],
        cid_len: usize,
    ) -> Result<(Self, &'a mut [u8]), RecordDrop> {
        let malformed = RecordDrop::Malformed;
        let (header, rest) = datagram.split_at_mut_checked(HEADER_OCTETS - 2).ok_or(malformed)?;
        let outer = header[0];
        let version = u16::from_be_bytes([header[1], header[2]]);
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        let seq = be_u48(&header[5..11]);
        let cid_len = if outer == TLS12_CID { cid_len } else { 0 };
        if outer == TLS12_CID && cid_len == 0 {
            return Err(RecordDrop::UnknownType);
        }
        let (cid, rest) = rest.split_at_mut_checked(cid_len).ok_or(malformed)?;
        let (len, rest) = rest.split_at_mut_checked(2).ok_or(malformed)?;
        let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
        let (body, rest) = rest.split_at_mut_checked(len).ok_or(malformed)?;
        // RFC 6347 section 4.1: the version of a first ClientHello's record is not checked further.
        if version != VERSION_1_2 && !(version == VERSION_1_0 && epoch == 0) {
            return Err(RecordDrop::UnknownVersion);
        }
        Ok((Self { outer, version, epoch, seq, cid, body }, rest))
    }

    /// The type of a record of epoch 0.
    pub(crate) fn plain_type(&self) -> Option<RecordType> {
        RecordType::parse(self.outer)
    }
}

/// Writes a header; returns its length. `None` when `out` is too short.
pub(crate) fn emit_header(
    (outer, version): (u8, u16),
    (epoch, seq): (u16, u64),
    cid: &[u8],
    body_len: usize,
    out: &mut [u8],
) -> Option<usize> {
    let len = HEADER_OCTETS + cid.len();
    let out = out.get_mut(..len)?;
    out[0] = outer;
    out[1..3].copy_from_slice(&version.to_be_bytes());
    out[3..5].copy_from_slice(&epoch.to_be_bytes());
    out[5..11].copy_from_slice(&seq.to_be_bytes()[2..]);
    out[11..11 + cid.len()].copy_from_slice(cid);
    let body_len = u16::try_from(body_len).ok()?;
    out[len - 2..].copy_from_slice(&body_len.to_be_bytes());
    Some(len)
}

/// A big-endian number of up to 8 octets.
pub(crate) fn be_u48(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn check(text: &str, cid_len: usize, expected: Result<(u8, u16, u64, usize), RecordDrop>) {
        let octets = hex(text);
        let mut scratch = octets.clone();
        let split = Record::split(&mut scratch, cid_len);
        let seen = split.as_ref().map(|(r, _)| (r.outer, r.epoch, r.seq, r.body.len()));
        assert_eq!(seen.map_err(|drop| *drop), expected, "{text}");
        if let Ok((record, rest)) = split {
            let mut out = std::vec![0xaa; octets.len()];
            let head = (record.outer, record.version);
            let number = (record.epoch, record.seq);
            let len = emit_header(head, number, record.cid, record.body.len(), &mut out);
            let len = len.expect("fits");
            out[len..len + record.body.len()].copy_from_slice(record.body);
            assert_eq!(out[..octets.len() - rest.len()], octets[..octets.len() - rest.len()]);
        }
        for end in 0..octets.len() {
            let _ = Record::split(&mut octets[..end].to_vec(), cid_len);
        }
    }

    #[test]
    fn headers() {
        check("16 fefd 0000 000000000005 0002 0100", 0, Ok((22, 0, 5, 2)));
        check("16 feff 0000 000000000000 0000", 4, Ok((22, 0, 0, 0)));
        check("19 fefd 0001 0000000000ff 01020304 0001 aa", 4, Ok((25, 1, 255, 1)));
        check("17 fefd 0001 ffffffffffff 0001 aa", 4, Ok((23, 1, SEQ_MAX, 1)));
    }

    #[test]
    fn faults() {
        check("", 0, Err(RecordDrop::Malformed));
        check("16 fefd 0000 000000000005 0003 0100", 0, Err(RecordDrop::Malformed));
        // A DTLS 1.0 record is only known before keys exist.
        check("17 feff 0001 000000000005 0001 00", 0, Err(RecordDrop::UnknownVersion));
        check("16 0303 0000 000000000005 0001 00", 0, Err(RecordDrop::UnknownVersion));
        // Who gave out no connection ID cannot tell where the length is.
        check("19 fefd 0001 000000000005 0001 00", 0, Err(RecordDrop::UnknownType));
        // Mbed TLS before 3.3 read past the end here.
        check("19 fefd 0001 000000000005 0001", 4, Err(RecordDrop::Malformed));
    }

    proptest! {
        #[test]
        fn any_octets(mut octets in prop::collection::vec(any::<u8>(), 0..80), cid_len in 0usize..6) {
            let before = octets.len();
            if let Ok((record, rest)) = Record::split(&mut octets, cid_len) {
                prop_assert_eq!(record.body.len() + record.cid.len() + 13 + rest.len(), before);
            }
        }

        #[test]
        fn types_are_their_numbers(octet in any::<u8>()) {
            prop_assert!(RecordType::parse(octet).is_none_or(|known| known.octet() == octet));
        }

        #[test]
        fn numbers_come_back(epoch in any::<u16>(), seq in 0..=SEQ_MAX, body in 0usize..64) {
            let mut out = [0xaa; 17 + 64];
            let head = (TLS12_CID, VERSION_1_2);
            let len = emit_header(head, (epoch, seq), &[1, 2, 3, 4], body, &mut out).expect("fits");
            prop_assert_eq!(len, 17);
            let mut octets: Vec<u8> = out[..len + body].to_vec();
            let (record, _) = Record::split(&mut octets, 4).expect("own record");
            prop_assert_eq!((record.epoch, record.seq, record.body.len()), (epoch, seq, body));
        }
    }
}
