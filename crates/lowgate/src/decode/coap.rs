//! CoAP messages in words, RFC 7252 section 3.

use super::{Octets, printable, shown};

/// Options of one message that are looked at.
const OPTIONS_MAX: usize = 64;

const URI_PATH: u64 = 11;
const CONTENT_FORMAT: u64 = 12;
const URI_QUERY: u64 = 15;
const PAYLOAD_MARKER: u8 = 0xff;

/// A message in words.
pub(super) fn words(octets: &[u8]) -> String {
    parse(Octets(octets)).unwrap_or_else(|| format!("no CoAP: {}", shown(octets)))
}

fn parse(mut rest: Octets<'_>) -> Option<String> {
    let (first, code, mid) = (rest.u8()?, rest.u8()?, rest.u16()?);
    (first >> 6 == 1).then_some(())?;
    let kind = ["CON", "NON", "ACK", "RST"][usize::from(first >> 4 & 3)];
    let token = rest.take(usize::from(first & 15))?;
    let name = match code {
        0 => "empty".to_owned(),
        1 => "GET".to_owned(),
        2 => "POST".to_owned(),
        3 => "PUT".to_owned(),
        4 => "DELETE".to_owned(),
        other => format!("{}.{:02}", other >> 5, other & 31),
    };
    let mut words = format!("CoAP {kind} {mid} {name}");
    let (mut path, mut query, mut number) = (String::new(), String::new(), 0);
    let mut format = None;
    for _ in 0..OPTIONS_MAX {
        let Some(head) = rest.u8() else { break };
        if head == PAYLOAD_MARKER {
            break;
        }
        number += extended(head >> 4, &mut rest)?;
        let len = extended(head & 15, &mut rest)?;
        let value = rest.take(len as usize)?;
        match number {
            URI_PATH => path = format!("{path}/{}", printable(value)),
            URI_QUERY => {
                let mark = if query.is_empty() { '?' } else { '&' };
                query = format!("{query}{mark}{}", printable(value));
            }
            CONTENT_FORMAT => format = Some(Octets(value).number(value.len().min(8))?),
            _ => {}
        }
    }
    if !path.is_empty() || !query.is_empty() {
        words = format!("{words} {path}{query}");
    }
    if !token.is_empty() {
        words = format!("{words} token {}", super::hex(token));
    }
    if let Some(format) = format {
        words = format!("{words} format {format}");
    }
    if !rest.0.is_empty() {
        words = format!("{words} {}", shown(rest.0));
    }
    Some(words)
}

/// RFC 7252 section 3.1: 13 and 14 announce one and two more octets, 15 is reserved.
fn extended(nibble: u8, rest: &mut Octets<'_>) -> Option<u64> {
    match nibble {
        13 => Some(13 + rest.number(1)?),
        14 => Some(269 + rest.number(2)?),
        15 => None,
        short => Some(short.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(octets: &[u8], expected: &str) {
        assert_eq!(words(octets), expected);
        (0..octets.len()).for_each(|len| _ = words(&octets[..len]));
    }

    #[test]
    fn requests_and_answers() {
        check(b"\x50\x03\x00\x07\xb5light\xff1", "CoAP NON 7 PUT /light \"1\"");
        check(b"\x41\x01\x00\x08\xaa\xb1a\x01b\x41q\x01r", "CoAP CON 8 GET /a/b?q&r token aa");
        check(b"\x60\x45\x00\x09\xc1\x3c\xff\x81\x01", "CoAP ACK 9 2.05 format 60 8101");
        check(b"\x70\x00\x00\x09", "CoAP RST 9 empty");
        check(b"\x50\x01\x00\x07\xd1\x04\x01", "CoAP NON 7 GET");
    }

    #[test]
    fn what_is_none_is_shown() {
        check(b"hello", "no CoAP: \"hello\"");
        check(b"\x40\x01\x00\x00\xf0", "no CoAP: 40010000f0");
        check(b"\x1b[31m", "no CoAP: 1b5b33316d");
    }
}
