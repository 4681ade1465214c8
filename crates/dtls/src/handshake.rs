//! Handshake headers and fragments, RFC 6347 section 4.2.2.
//!
//! **Invariant:** a parsed [`Fragment`] lies inside its message; a fragment that carries nothing of
//! a message that has something does not parse.

use crate::noise::RecordDrop;
use lowgate_crypto::Sha256;

/// Octets of a handshake header.
pub(crate) const HEADER_OCTETS: usize = 12;
/// Octets of a verify_data (RFC 5246 section 7.4.9).
pub(crate) const VERIFY_DATA_OCTETS: usize = 12;

/// A ClientHello numbered higher is not answered, so that the rest of its handshake cannot wrap.
pub(crate) const MESSAGE_SEQ_MAX: u16 = 0xfff0;

/// The messages of our handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageType {
    HelloRequest = 0,
    ClientHello = 1,
    ServerHello = 2,
    HelloVerifyRequest = 3,
    NewSessionTicket = 4,
    #[cfg(feature = "ecc")]
    Certificate = 11,
    ServerKeyExchange = 12,
    #[cfg(feature = "ecc")]
    CertificateRequest = 13,
    ServerHelloDone = 14,
    #[cfg(feature = "ecc")]
    CertificateVerify = 15,
    ClientKeyExchange = 16,
    Finished = 20,
    /// RFC 6066 section 5. We send it alone: it does not parse.
    #[cfg(feature = "x509")]
    CertificateUrl = 21,
}

impl MessageType {
    const fn parse(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::HelloRequest,
            1 => Self::ClientHello,
            2 => Self::ServerHello,
            3 => Self::HelloVerifyRequest,
            4 => Self::NewSessionTicket,
            #[cfg(feature = "ecc")]
            11 => Self::Certificate,
            12 => Self::ServerKeyExchange,
            #[cfg(feature = "ecc")]
            13 => Self::CertificateRequest,
            14 => Self::ServerHelloDone,
            #[cfg(feature = "ecc")]
            15 => Self::CertificateVerify,
            16 => Self::ClientKeyExchange,
            20 => Self::Finished,
            _ => return None,
        })
    }
}

/// Some consecutive octets of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) kind: MessageType,
    pub(crate) seq: u16,
    /// Length of the whole message.
    pub(crate) message_len: usize,
    pub(crate) offset: usize,
    pub(crate) octets: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Splits the first fragment off a record's payload, which may hold several.
    pub(crate) fn split(payload: &'a [u8]) -> Result<(Self, &'a [u8]), RecordDrop> {
        let (header, rest) =
            payload.split_at_checked(HEADER_OCTETS).ok_or(RecordDrop::Malformed)?;
        let message_len = be_u24(&header[1..4]);
        let offset = be_u24(&header[6..9]);
        let len = be_u24(&header[9..12]);
        let (octets, rest) = rest.split_at_checked(len).ok_or(RecordDrop::Malformed)?;
        // Both lengths have 24 bits: the sum cannot overflow.
        if offset + len > message_len || (len == 0 && message_len > 0) {
            return Err(RecordDrop::BadFragment);
        }
        let kind = MessageType::parse(header[0]).ok_or(RecordDrop::Unexpected)?;
        let seq = u16::from_be_bytes([header[4], header[5]]);
        Ok((Self { kind, seq, message_len, offset, octets }, rest))
    }

    /// Whether this is the message, all of it.
    pub(crate) const fn is_whole(&self) -> bool {
        self.octets.len() == self.message_len
    }
}

/// The header of a fragment.
pub(crate) fn emit_header(
    kind: MessageType,
    seq: u16,
    message_len: usize,
    (offset, len): (usize, usize),
) -> [u8; HEADER_OCTETS] {
    let mut header = [0; HEADER_OCTETS];
    header[0] = kind as u8;
    header[1..4].copy_from_slice(&u24(message_len));
    header[4..6].copy_from_slice(&seq.to_be_bytes());
    header[6..9].copy_from_slice(&u24(offset));
    header[9..12].copy_from_slice(&u24(len));
    header
}

/// Adds a received message to the transcript.
pub(crate) fn hash_message(transcript: &mut Sha256, kind: MessageType, seq: u16, body: &[u8]) {
    // RFC 6347 section 4.2.6: as if the message had been sent as a single fragment.
    transcript.update(&emit_header(kind, seq, body.len(), (0, body.len())));
    transcript.update(body);
}

fn be_u24(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn u24(number: usize) -> [u8; 3] {
    [(number >> 16) as u8, (number >> 8) as u8, number as u8]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<(MessageType, u16, usize, usize, usize), RecordDrop>) {
        let octets = hex(text);
        let split = Fragment::split(&octets);
        let seen = split.map(|(f, _)| (f.kind, f.seq, f.message_len, f.offset, f.octets.len()));
        assert_eq!(seen, expected, "{text}");
        if let Ok((f, rest)) = split {
            let header = emit_header(f.kind, f.seq, f.message_len, (f.offset, f.octets.len()));
            assert_eq!([&header, f.octets, rest].concat(), octets);
        }
    }

    #[test]
    fn fragments() {
        check("0e 000000 0002 000000 000000", Ok((MessageType::ServerHelloDone, 2, 0, 0, 0)));
        check(
            "10 000006 0002 000004 000002 7374",
            Ok((MessageType::ClientKeyExchange, 2, 6, 4, 2)),
        );
    }

    #[test]
    fn lengths_that_contradict() {
        check("10 000006 0002 000005 000002 7374", Err(RecordDrop::BadFragment));
        check("10 000006 0002 ffffff ffffff 7374", Err(RecordDrop::Malformed));
        // Pion looped over fragments of length zero (CVE-2022-29190).
        check("10 000006 0002 000000 000000", Err(RecordDrop::BadFragment));
        check("16 000000 0002 000000 000000", Err(RecordDrop::Unexpected));
        #[cfg(not(feature = "ecc"))]
        check("0b 000000 0002 000000 000000", Err(RecordDrop::Unexpected));
        check("10 000006 0002 000005 0000", Err(RecordDrop::Malformed));
    }

    proptest! {
        #[test]
        fn any_payload(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut rest = &octets[..];
            while let Ok((_, tail)) = Fragment::split(rest) {
                prop_assert!(tail.len() < rest.len(), "each fragment takes something away");
                rest = tail;
            }
        }
    }
}
