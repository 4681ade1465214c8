//! The envelope between relay and domain manager: a CBOR array `[header, content]`
//! (draft-ietf-anima-constrained-join-proxy, stateless mode).
//!
//! **Invariant:** the header is opaque to everyone but the relay that made it.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

/// What the header may take: the draft's 32 octets.
pub const HEADER_OCTETS_MAX: usize = 32;
/// Octets an envelope adds to its header and content: array head and two string heads.
pub const ENVELOPE_OCTETS_MAX: usize = 1 + 2 + 3;

/// An envelope taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The relay's header, 1 to [`HEADER_OCTETS_MAX`] octets.
    pub header: &'a [u8],
    /// One DTLS datagram.
    pub content: &'a [u8],
}

/// Why octets are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvelopeDrop {
    /// Not a CBOR array of at least two byte strings of definite length, or cut short.
    Malformed,
    /// The header is empty or longer than [`HEADER_OCTETS_MAX`].
    HeaderLength,
    /// There is no content.
    EmptyContent,
}

/// Takes an envelope apart; further elements of the array are skipped, as the draft demands.
///
/// # Errors
/// The first fault found.
pub fn parse(octets: &[u8]) -> Result<Envelope<'_>, EnvelopeDrop> {
    let mut decoder = Decoder::new(octets);
    let elements = decoder.array().ok().flatten().ok_or(EnvelopeDrop::Malformed)?;
    if elements < 2 {
        return Err(EnvelopeDrop::Malformed);
    }
    let header = byte_string(&mut decoder)?;
    let content = byte_string(&mut decoder)?;
    for _ in 2..elements {
        decoder.skip().map_err(|_| EnvelopeDrop::Malformed)?;
    }
    if header.is_empty() || header.len() > HEADER_OCTETS_MAX {
        return Err(EnvelopeDrop::HeaderLength);
    }
    if content.is_empty() {
        return Err(EnvelopeDrop::EmptyContent);
    }
    Ok(Envelope { header, content })
}

fn byte_string<'a>(decoder: &mut Decoder<'a>) -> Result<&'a [u8], EnvelopeDrop> {
    match decoder.datatype() {
        Ok(Type::Bytes) => decoder.bytes().map_err(|_| EnvelopeDrop::Malformed),
        Ok(_) | Err(_) => Err(EnvelopeDrop::Malformed),
    }
}

impl Envelope<'_> {
    /// Writes the envelope to the front of `out`; its length, or `None` if `out` is too small.
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let room = out.len();
        let mut encoder = Encoder::new(minicbor::encode::write::Cursor::new(out));
        encoder.array(2).ok()?.bytes(self.header).ok()?.bytes(self.content).ok()?;
        let len = encoder.into_writer().position();
        (len <= room).then_some(len)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn check(text: &str, expected: Result<(&str, &str), EnvelopeDrop>) {
        let octets = hex(text);
        let parsed = parse(&octets);
        match expected {
            Ok((header, content)) => {
                let envelope = parsed.expect("an envelope");
                assert_eq!(
                    (envelope.header, envelope.content),
                    (&hex(header)[..], &hex(content)[..])
                );
            }
            Err(drop) => assert_eq!(parsed, Err(drop)),
        }
        for cut in 0..octets.len() {
            assert!(parse(&octets[..cut]).is_err(), "prefix of {cut} octets");
        }
    }

    #[test]
    fn two_byte_strings() {
        check("82 41aa 42bbcc", Ok(("aa", "bbcc")));
        check("83 41aa 42bbcc 00", Ok(("aa", "bbcc")));
        check("82 41aa 5801bb", Ok(("aa", "bb")));
    }

    #[test]
    fn anything_else_is_dropped() {
        check("81 41aa", Err(EnvelopeDrop::Malformed));
        check("82 61aa 41bb", Err(EnvelopeDrop::Malformed));
        check("82 40 41bb", Err(EnvelopeDrop::HeaderLength));
        check("82 41aa 40", Err(EnvelopeDrop::EmptyContent));
        check("9f 41aa 41bb ff", Err(EnvelopeDrop::Malformed));
        check("82 5f41aaff 41bb", Err(EnvelopeDrop::Malformed));
        check("", Err(EnvelopeDrop::Malformed));
    }

    #[test]
    fn join_proxy_draft_example() {
        // The HelloVerifyRequest of the draft's appendix.
        let text = "8250d01914bcc376a88ffecc50ca6017b0c1583c16fefd0000000000000000002f0300002300000000\
            00000023fefd2000000000277c7678d82fde80c1f4400beb7fd390c40b49f6f2b460e21d2766c1";
        let octets = hex(text);
        let envelope = parse(&octets).expect("the draft's own octets");
        assert_eq!(envelope.header, hex("d01914bcc376a88ffecc50ca6017b0c1"));
        assert_eq!(envelope.content.len(), 60);
        let mut out = [0xff; 100];
        let len = envelope.emit(&mut out).expect("room");
        assert_eq!(out[..len], octets);
        assert_eq!(envelope.emit(&mut out[..octets.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets: Vec<u8>) {
            let _ = parse(&octets);
        }

        #[test]
        fn parse_of_emit_is_identity(
            header in prop::collection::vec(any::<u8>(), 1..=HEADER_OCTETS_MAX),
            content in prop::collection::vec(any::<u8>(), 1..500),
        ) {
            let mut out = [0xff; 600];
            let envelope = Envelope { header: &header, content: &content };
            let len = envelope.emit(&mut out).expect("room");
            prop_assert!(len <= header.len() + content.len() + ENVELOPE_OCTETS_MAX);
            prop_assert_eq!(parse(&out[..len]), Ok(envelope));
        }
    }
}
