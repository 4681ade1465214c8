//! Messages as octets (RFC 7252 section 3), over `coap-lite`.
//!
//! **Invariant:** pure functions of octets. The structure is checked before `coap-lite` sees a
//! message: its parser takes a payload marker without a payload, an empty message with content and
//! any version, and its work should be bounded before it begins.

use alloc::string::String;
use alloc::vec::Vec;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

use crate::ids::Token;
use crate::{Block, Code, ContentFormat, Method, Observe, Path, Request, Response};

// RFC 7252 section 4.6: the good upper bound when nothing is known of the path.
/// Octets of a message at most.
pub const MESSAGE_OCTETS_MAX: usize = 1152;
/// Options of a received message at most.
pub const OPTIONS_MAX: usize = 32;

const VERSION: u8 = 1;
const TOKEN_OCTETS_MAX: usize = 8;
const PAYLOAD_MARKER: u8 = 0xff;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

/// A well-formed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) mid: u16,
    pub(crate) token: Token,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    Request(Result<Request, RequestFault>),
    /// `None` when it carries a critical option that is not understood.
    Response(Option<Response>),
    /// A code of a class that nobody defined for datagrams.
    Reserved,
}

/// Why a well-formed request is answered here and not by the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFault {
    Method,
    Option,
    Proxy,
}

impl RequestFault {
    pub(crate) const fn code(self) -> Code {
        match self {
            // RFC 7252 section 5.8: an unrecognized method MUST generate 4.05.
            Self::Method => Code::METHOD_NOT_ALLOWED,
            // RFC 7252 section 5.4.1.
            Self::Option => Code::BAD_OPTION,
            // RFC 7252 section 5.10.2: who is no proxy MUST return 5.05.
            Self::Proxy => Code::PROXYING_NOT_SUPPORTED,
        }
    }
}

/// A message format error (RFC 7252 section 3), or a message too large to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatDrop {
    /// Shorter than a header.
    Truncated,
    /// Longer than [`MESSAGE_OCTETS_MAX`].
    TooLong,
    /// Not version 1.
    Version,
    /// A token of more than eight octets, or longer than the message.
    Token,
    /// An empty message that is not.
    EmptyWithContent,
    /// An option runs past the end or uses a reserved number.
    Option,
    /// More than [`OPTIONS_MAX`] options.
    OptionsTooMany,
    /// A payload marker with no payload behind it.
    PayloadMissing,
}

/// A message that cannot be read; kind and id where there is a header to answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) header: Option<(Kind, u16)>,
    pub(crate) why: FormatDrop,
}

impl Message {
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let header = header(octets).map_err(|why| Malformed { header: None, why })?;
        let malformed = |why| Malformed { header: Some(header), why };
        check_structure(octets).map_err(malformed)?;
        let packet = Packet::from_bytes(octets).map_err(|_| malformed(FormatDrop::Option))?;
        let (kind, mid) = header;
        let token = Token::new(packet.get_token()).ok_or(malformed(FormatDrop::Token))?;
        let code = u8::from(packet.header.code);
        let content = match (code >> 5, code & 0x1f) {
            (0, 0) => Content::Empty,
            (0, _) => Content::Request(request(code, packet)),
            _ => Code::new(code)
                .map_or(Content::Reserved, |code| Content::Response(response(code, packet))),
        };
        Ok(Self { kind, mid, token, content })
    }
}

/// Kind and id of a message whose header can be answered to.
fn header(octets: &[u8]) -> Result<(Kind, u16), FormatDrop> {
    let &[first, _, high, low, ..] = octets else {
        return Err(FormatDrop::Truncated);
    };
    // RFC 7252 section 3: other versions MUST be silently ignored.
    if first >> 6 != VERSION {
        return Err(FormatDrop::Version);
    }
    let kind = match first >> 4 & 0b11 {
        0 => Kind::Confirmable,
        1 => Kind::NonConfirmable,
        2 => Kind::Acknowledgement,
        _ => Kind::Reset,
    };
    Ok((kind, u16::from_be_bytes([high, low])))
}

/// Walks over token and options without storing anything.
fn check_structure(octets: &[u8]) -> Result<(), FormatDrop> {
    if octets.len() > MESSAGE_OCTETS_MAX {
        return Err(FormatDrop::TooLong);
    }
    let token_len = usize::from(octets[0] & 0x0f);
    // RFC 7252 section 4.1: neither token nor anything behind it.
    if octets[1] == 0 && (token_len != 0 || octets.len() > 4) {
        return Err(FormatDrop::EmptyWithContent);
    }
    // RFC 7252 section 3: lengths 9-15 are reserved.
    if token_len > TOKEN_OCTETS_MAX {
        return Err(FormatDrop::Token);
    }
    let mut rest = octets.get(4 + token_len..).ok_or(FormatDrop::Token)?;
    let (mut number, mut options) = (0usize, 0);
    while let [first, behind @ ..] = rest {
        if *first == PAYLOAD_MARKER {
            let missing = behind.is_empty();
            return if missing { Err(FormatDrop::PayloadMissing) } else { Ok(()) };
        }
        let (delta, behind) = extended(first >> 4, behind).ok_or(FormatDrop::Option)?;
        let (len, behind) = extended(first & 0x0f, behind).ok_or(FormatDrop::Option)?;
        number += delta;
        options += 1;
        if number > usize::from(u16::MAX) {
            return Err(FormatDrop::Option);
        }
        if options > OPTIONS_MAX {
            return Err(FormatDrop::OptionsTooMany);
        }
        rest = behind.get(len..).ok_or(FormatDrop::Option)?;
    }
    Ok(())
}

// RFC 7252 section 3.1: 13 and 14 announce one and two more octets, 15 is reserved.
fn extended(nibble: u8, rest: &[u8]) -> Option<(usize, &[u8])> {
    match (nibble, rest) {
        (0..=12, _) => Some((nibble.into(), rest)),
        (13, [more, rest @ ..]) => Some((13 + usize::from(*more), rest)),
        (14, [high, low, rest @ ..]) => {
            Some((269 + usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => None,
    }
}

/// The options that mean something here.
#[derive(Default)]
struct Options {
    path: Vec<String>,
    query: Vec<String>,
    content_format: Option<ContentFormat>,
    accept: Option<ContentFormat>,
    observe: Option<u32>,
    block2: Option<Block>,
}

/// RFC 7252 section 5.4: lengths and repetitions out of bounds make an option unrecognized; an
/// unrecognized option is an error when critical (odd) and skipped when elective (even).
fn options(packet: &Packet) -> Result<Options, RequestFault> {
    let mut known = Options::default();
    for (number, values) in packet.options() {
        let critical = if number & 1 == 1 { Err(RequestFault::Option) } else { Ok(()) };
        let single = || if values.len() == 1 { values.front().map(Vec::as_slice) } else { None };
        match CoapOption::from(*number) {
            CoapOption::UriPath => {
                known.path = texts(values.iter(), 0).ok_or(RequestFault::Option)?;
            }
            CoapOption::UriQuery => {
                known.query = texts(values.iter(), 0).ok_or(RequestFault::Option)?;
            }
            // One endpoint is one host and one port, whatever it is called.
            CoapOption::UriHost => {
                texts(values.iter().take(2), 1)
                    .filter(|names| names.len() == 1)
                    .ok_or(RequestFault::Option)?;
            }
            CoapOption::UriPort => _ = single().and_then(uint16).ok_or(RequestFault::Option)?,
            CoapOption::Accept => {
                let format = single().and_then(uint16).ok_or(RequestFault::Option)?;
                known.accept = Some(ContentFormat(format));
            }
            CoapOption::Block2 => {
                let block = single().and_then(Block::parse).ok_or(RequestFault::Option)?;
                known.block2 = Some(block);
            }
            // RFC 7641 section 2: elective, too; out of bounds it is as if it were not there.
            CoapOption::Observe => known.observe = single().and_then(uint24),
            // Elective: of several the first counts, a bad one does not.
            CoapOption::ContentFormat => {
                known.content_format =
                    values.front().and_then(|octets| uint16(octets)).map(ContentFormat);
            }
            CoapOption::ProxyUri | CoapOption::ProxyScheme => return Err(RequestFault::Proxy),
            _ => critical?,
        }
    }
    Ok(known)
}

/// Texts of `len_min` to 255 octets.
fn texts<'a>(values: impl Iterator<Item = &'a Vec<u8>>, len_min: usize) -> Option<Vec<String>> {
    let text = |octets: &Vec<u8>| {
        let fits = (len_min..=255).contains(&octets.len());
        String::from_utf8(octets.clone()).ok().filter(|_| fits)
    };
    values.map(text).collect()
}

// RFC 7252 section 3.2: a uint without leading zeros is preferred, with them it is still one.
fn uint16(octets: &[u8]) -> Option<u16> {
    match *octets {
        [] => Some(0),
        [low] => Some(low.into()),
        [high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

fn uint24(octets: &[u8]) -> Option<u32> {
    (octets.len() <= 3)
        .then(|| octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

/// RFC 7252 section 3.2: without leading zeros.
pub(crate) fn uint_octets(number: u32) -> Vec<u8> {
    number.to_be_bytes()[number.leading_zeros() as usize / 8..].to_vec()
}

fn request(code: u8, packet: Packet) -> Result<Request, RequestFault> {
    let method = Method::from_code(code).ok_or(RequestFault::Method)?;
    let Options { path, query, content_format, accept, observe, block2 } = options(&packet)?;
    // RFC 7252 section 5.10.1: "." and ".." MUST NOT occur.
    let path: Result<Vec<String>, _> = path.into_iter().map(Path::segment).collect();
    let path = Path::from_segments(path.map_err(|_| RequestFault::Option)?);
    // RFC 7641 section 2: of a GET alone, and all other values are ignored.
    let observe = match observe.filter(|_| method == Method::Get) {
        Some(0) => Some(Observe::Register),
        Some(1) => Some(Observe::Deregister),
        Some(_) | None => None,
    };
    let payload = packet.payload;
    Ok(Request { method, path, query, content_format, accept, observe, block2, payload })
}

fn response(code: Code, packet: Packet) -> Option<Response> {
    let Options { content_format, observe, block2, .. } = options(&packet).ok()?;
    Some(Response { code, content_format, observe, block2, payload: packet.payload })
}

/// A message without token, options and payload: ACK, Reset, or the ping.
pub(crate) fn empty(kind: Kind, mid: u16) -> Vec<u8> {
    let mut octets = alloc::vec![0; 4];
    octets[0] = VERSION << 6 | (kind as u8) << 4;
    octets[2..].copy_from_slice(&mid.to_be_bytes());
    octets
}

/// `None` when it would be longer than [`MESSAGE_OCTETS_MAX`] or have more than [`OPTIONS_MAX`]
/// options.
pub(crate) fn emit_request(kind: Kind, token: &Token, request: &Request) -> Option<Vec<u8>> {
    let mut packet = packet(kind, request.method as u8, token);
    for segment in request.path.segments() {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    for query in &request.query {
        packet.add_option(CoapOption::UriQuery, query.as_bytes().to_vec());
    }
    if let Some(format) = request.accept {
        packet.add_option(CoapOption::Accept, format_octets(format));
    }
    if let Some(observe) = request.observe {
        packet.add_option(CoapOption::Observe, uint_octets(observe as u32));
    }
    if let Some(block) = request.block2 {
        packet.add_option(CoapOption::Block2, block.emit());
    }
    let too_long = request.query.iter().any(|query| query.len() > 255);
    let options = request.path.segments().len() + request.query.len() + 4;
    if too_long || options > OPTIONS_MAX {
        return None;
    }
    finish(packet, request.content_format, &request.payload)
}

/// `None` when it would be longer than [`MESSAGE_OCTETS_MAX`].
pub(crate) fn emit_response(kind: Kind, token: &Token, response: &Response) -> Option<Vec<u8>> {
    let mut packet = packet(kind, response.code.raw(), token);
    if let Some(number) = response.observe {
        packet.add_option(CoapOption::Observe, uint_octets(number));
    }
    if let Some(block) = response.block2 {
        packet.add_option(CoapOption::Block2, block.emit());
    }
    finish(packet, response.content_format, &response.payload)
}

/// Writes the id, which is known last, into a message.
pub(crate) fn set_mid(octets: &mut [u8], mid: u16) {
    octets[2..4].copy_from_slice(&mid.to_be_bytes());
}

fn packet(kind: Kind, code: u8, token: &Token) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(match kind {
        Kind::Confirmable => MessageType::Confirmable,
        Kind::NonConfirmable => MessageType::NonConfirmable,
        Kind::Acknowledgement => MessageType::Acknowledgement,
        Kind::Reset => MessageType::Reset,
    });
    packet.header.code = MessageClass::from(code);
    packet.set_token(token.octets().to_vec());
    packet
}

fn finish(
    mut packet: Packet,
    content_format: Option<ContentFormat>,
    payload: &[u8],
) -> Option<Vec<u8>> {
    if let Some(format) = content_format {
        packet.add_option(CoapOption::ContentFormat, format_octets(format));
    }
    packet.payload = payload.to_vec();
    packet.to_bytes_with_limit(MESSAGE_OCTETS_MAX).ok()
}

fn format_octets(format: ContentFormat) -> Vec<u8> {
    let octets = format.0.to_be_bytes();
    let skipped = octets.iter().take_while(|octet| **octet == 0).count();
    octets[skipped..].to_vec()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;
    use std::borrow::ToOwned;
    use std::vec;

    fn message(text: &str) -> Message {
        Message::parse(&hex(text)).unwrap_or_else(|bad| panic!("{text}: {bad:?}"))
    }

    fn check_fault(text: &str, why: FormatDrop) {
        let bad = Message::parse(&hex(text)).map_err(|bad| bad.why);
        assert_eq!(bad, Err(why), "{text}");
    }

    fn path(text: &str) -> Path {
        Path::new(text).expect("a path")
    }

    /// Both ways, from a message without an id.
    fn check_request(text: &str, kind: Kind, mid: u16, token: &[u8], request: &Request) {
        let token = Token::new(token).expect("short");
        let content = Content::Request(Ok(request.clone()));
        assert_eq!(message(text), Message { kind, mid, token, content });
        let mut octets = emit_request(kind, &token, request).expect("fits");
        set_mid(&mut octets, mid);
        assert_eq!(to_hex(&octets), to_hex(&hex(text)));
        (0..octets.len()).for_each(|len| _ = Message::parse(&octets[..len]));
    }

    // RFC 7252 appendix A, figure 16.
    #[test]
    fn rfc7252_a_figure_16() {
        let request = Request::new(Method::Get, path("temperature"));
        check_request(
            "40 01 7d34 bb 74656d7065726174757265",
            Kind::Confirmable,
            0x7d34,
            &[],
            &request,
        );
        let response = message("60 45 7d34 ff 32322e33 2043");
        let expected = Response { payload: b"22.3 C".to_vec(), ..Response::new(Code::CONTENT) };
        assert_eq!(response.content, Content::Response(Some(expected.clone())));
        let mut octets =
            emit_response(Kind::Acknowledgement, &response.token, &expected).expect("fits");
        set_mid(&mut octets, 0x7d34);
        assert_eq!(to_hex(&octets), "60457d34ff32322e332043");
    }

    #[test]
    fn rfc7252_a_figure_17_with_a_token() {
        let request = Request::new(Method::Get, path("temperature"));
        let text = "41 01 7d35 20 bb 74656d7065726174757265";
        check_request(text, Kind::Confirmable, 0x7d35, &[0x20], &request);
    }

    #[test]
    fn every_option_of_a_request() {
        let mut request = Request::new(Method::Post, path("a/long-name-of-a-resource"))
            .with_payload(ContentFormat::CBOR, vec![0xa0]);
        request.query = vec!["x=1".to_owned()];
        request.accept = Some(ContentFormat(0x1234));
        request.block2 = Block::new(3, 3);
        check_request(
            "52 02 0001 0102
             b1 61 0d 0a 6c6f6e672d6e616d652d6f662d612d7265736f75726365
             11 3c  33 783d31  22 1234  61 33  ff a0",
            Kind::NonConfirmable,
            1,
            &[1, 2],
            &request,
        );
    }

    #[test]
    fn content_format_zero_has_no_octets() {
        let request =
            Request::new(Method::Put, path("x")).with_payload(ContentFormat::TEXT, b"1".to_vec());
        check_request("40 03 0002 b1 78 10 ff 31", Kind::Confirmable, 2, &[], &request);
    }

    #[test]
    fn empty_messages() {
        for (text, kind) in [
            ("40 00 1234", Kind::Confirmable),
            ("60 00 1234", Kind::Acknowledgement),
            ("70 00 1234", Kind::Reset),
        ] {
            assert_eq!(message(text).content, Content::Empty);
            assert_eq!(to_hex(&empty(kind, 0x1234)), to_hex(&hex(text)));
        }
    }

    #[test]
    fn rfc7252_3_format_errors() {
        check_fault("", FormatDrop::Truncated);
        check_fault("40 01 00", FormatDrop::Truncated);
        check_fault("00 01 0000", FormatDrop::Version);
        check_fault("80 01 0000", FormatDrop::Version);
        check_fault("49 01 0000 010203040506070809", FormatDrop::Token);
        check_fault("42 01 0000 01", FormatDrop::Token);
        check_fault("40 01 0000 ff", FormatDrop::PayloadMissing);
        check_fault("40 01 0000 b1", FormatDrop::Option);
        check_fault("40 01 0000 f1 61", FormatDrop::Option);
        check_fault("40 01 0000 1f 61", FormatDrop::Option);
        check_fault("40 01 0000 d0", FormatDrop::Option);
        check_fault("40 01 0000 e0 00", FormatDrop::Option);
        check_fault("40 01 0000 e0 ffff", FormatDrop::Option);
        check_fault(&std::format!("40 01 0000 {}", "00".repeat(33)), FormatDrop::OptionsTooMany);
        check_fault(&std::format!("40 01 0000 ff {}", "00".repeat(1148)), FormatDrop::TooLong);
        assert!(Message::parse(&hex(&std::format!("40 01 0000 ff {}", "00".repeat(1147)))).is_ok());
    }

    #[test]
    fn rfc7252_4_1_an_empty_message_has_nothing_behind_its_id() {
        check_fault("41 00 0000 01", FormatDrop::EmptyWithContent);
        check_fault("40 00 0000 ff 01", FormatDrop::EmptyWithContent);
    }

    #[test]
    fn reserved_classes() {
        for code in ["20", "3f", "60", "c0", "e1", "ff"] {
            assert_eq!(message(&std::format!("40 {code} 0000")).content, Content::Reserved);
        }
    }

    fn check_request_fault(text: &str, fault: RequestFault) {
        assert_eq!(message(text).content, Content::Request(Err(fault)), "{text}");
    }

    #[test]
    fn rfc7252_5_4_options_that_are_not_understood() {
        // Elective: skipped. 2054 is even; so is Observe, here with a value of five octets.
        let plain = Content::Request(Ok(Request::new(Method::Get, path("a"))));
        assert_eq!(message("40 01 0000 b1 61 e0 06ee").content, plain);
        assert_eq!(message("40 01 0000 65 0102030405 51 61").content, plain);
        // Critical: If-Match, Block1, one nobody knows.
        check_request_fault("40 01 0000 10", RequestFault::Option);
        check_request_fault("40 01 0000 d1 0e 06", RequestFault::Option);
        check_request_fault("40 01 0000 e0 06ec", RequestFault::Option);
        assert_eq!(message("60 45 0000 10").content, Content::Response(None));
    }

    #[test]
    fn rfc7252_5_4_3_lengths_and_5_4_5_repetitions() {
        // Accept of three octets, twice; Uri-Port twice; Uri-Host empty; Uri-Path that is no text.
        check_request_fault("40 01 0000 d3 04 010203", RequestFault::Option);
        check_request_fault("40 01 0000 d1 04 01 01 02", RequestFault::Option);
        check_request_fault("40 01 0000 71 01 01 02", RequestFault::Option);
        check_request_fault("40 01 0000 30", RequestFault::Option);
        check_request_fault("40 01 0000 b1 ff", RequestFault::Option);
        // RFC 7252 section 5.10.1: nor "..".
        check_request_fault("40 01 0000 b2 2e2e", RequestFault::Option);
        // Block2 of four octets, twice, and of the reserved size.
        check_request_fault("40 01 0000 d4 0a 01020304", RequestFault::Option);
        check_request_fault("40 01 0000 d1 0a 01 01 02", RequestFault::Option);
        check_request_fault("40 01 0000 d1 0a 07", RequestFault::Option);
        // Content-Format is elective.
        let plain = Content::Request(Ok(Request::new(Method::Get, Path::default())));
        assert_eq!(message("40 01 0000 c3 010203").content, plain);
        // Uri-Host and Uri-Port once: which names this endpoint has is not its business.
        assert_eq!(message("40 01 0000 31 61 41 01").content, plain);
    }

    #[test]
    fn rfc7252_5_8_methods_nobody_knows_and_5_10_2_proxies() {
        check_request_fault("40 05 0000", RequestFault::Method);
        check_request_fault("40 1f 0000", RequestFault::Method);
        check_request_fault("40 01 0000 d1 16 61", RequestFault::Proxy);
        check_request_fault("40 01 0000 d1 1a 61", RequestFault::Proxy);
    }

    #[test]
    fn what_does_not_fit_is_not_emitted() {
        let token = Token::of_number(1);
        let octets = |len| Response { payload: vec![0; len], ..Response::new(Code::CONTENT) };
        assert!(emit_response(Kind::Confirmable, &token, &octets(1146)).is_some());
        assert!(emit_response(Kind::Confirmable, &token, &octets(1147)).is_none());
        let deep = Request::new(Method::Get, path(&"a/".repeat(31)));
        assert!(emit_request(Kind::Confirmable, &token, &deep).is_none());
    }

    /// Messages that are often nearly right.
    fn nearly_coap() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(hex("b161")),
            Just(hex("13010203")),
            Just(hex("d10a06")),
            Just(hex("e00001")),
            Just(hex("ff31")),
            proptest::collection::vec(any::<u8>(), 0..8),
        ];
        let pieces = proptest::collection::vec(piece, 0..6);
        (any::<u8>(), any::<u8>(), any::<u16>(), pieces).prop_map(|(first, code, mid, pieces)| {
            let first = if first & 0x0f > 8 { first } else { VERSION << 6 | first & 0x3f };
            [&[first, code & 0xc7][..], &mid.to_be_bytes(), &pieces.concat()].concat()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::parse(&octets);
            // coap-lite alone, without the check in front of it.
            let _ = Packet::from_bytes(&octets);
        }

        #[test]
        fn the_check_in_front_is_stricter_than_coap_lite(octets in nearly_coap()) {
            let lenient = Packet::from_bytes(&octets).is_ok();
            if octets.len() >= 4 && octets[0] >> 6 == VERSION && check_structure(&octets).is_ok() {
                prop_assert!(lenient);
            }
        }

        #[test]
        fn emit_of_parse_of_emit_is_identity(octets in nearly_coap()) {
            let Ok(Message { kind, mid, token, content }) = Message::parse(&octets) else {
                return Ok(());
            };
            let emitted = match &content {
                Content::Request(Ok(request)) => emit_request(kind, &token, request),
                Content::Response(Some(response)) => emit_response(kind, &token, response),
                Content::Empty => Some(empty(kind, mid)),
                Content::Request(Err(_)) | Content::Response(None) | Content::Reserved => None,
            };
            if let Some(mut emitted) = emitted {
                set_mid(&mut emitted, mid);
                let again = Message::parse(&emitted).map_err(|bad| bad.why);
                prop_assert_eq!(again, Ok(Message { kind, mid, token, content }));
            }
        }
    }
}
