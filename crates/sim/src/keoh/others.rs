//! The same job by others' means, computed from the examples of their own documents: RFC 9031 (CoJP) appendix A,
//! and EDHOC (RFC 9528) by the second trace of RFC 9529 (section 3: static Diffie-Hellman keys by reference).
//!
//! CoAP's octets are written here option by option; EDHOC's messages are as long as the trace says; what is
//! below UDP is the project's own 6LoWPAN over the same unsecured frames.
//!
//! **Invariant:** nothing here is measured, and no figure is a literal but the lengths of the examples' objects.

use super::wire::Octets;
use crate::medium::FCS_OCTETS;
use lowgate_ieee802154::PSDU_OCTETS_MAX;
use lowgate_mac::payload_room;
use lowgate_router::{Datagram, packet};
use lowgate_sixlowpan::{
    Contexts, DATAGRAM_OCTETS_MAX, DatagramTag, FragHeader, Fragmenter, LinkPair, iphc,
};
use lowgate_units::{Eui64, Iid, LinkAddr, LinkDst};

/// RFC 9031 appendix A: "with a size of 5 bytes", and 26.
const JOIN_REQUEST: [u8; 5] = [0xa1, 0x05, 0x42, 0xca, 0xfe];
const CONFIGURATION_OCTETS: usize = 26;
/// AES-CCM-16-64-128, which both documents use.
const TAG_OCTETS: usize = 8;
/// RFC 9529 section 3: message_1 of the suite that both know, message_2, message_3, message_4.
const EDHOC_OCTETS: [usize; 4] = [39, 45, 19, 9];
/// CoAP's port (RFC 7252 section 12.6).
const COAP_PORT: u16 = 5683;

const URI_HOST: u16 = 3;
const OSCORE: u16 = 9;
const URI_PATH: u16 = 11;
const PROXY_SCHEME: u16 = 39;
const PAYLOAD_MARKER: usize = 1;

/// What another protocol takes for the job, without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Whose it is, and what of our job it leaves out.
    pub name: &'static str,
    /// Where its figures come from.
    pub source: &'static str,
    /// UDP datagrams.
    pub messages: usize,
    /// Round trips.
    pub round_trips: usize,
    /// By layer.
    pub octets: Octets,
}

/// CoJP alone; EDHOC alone; EDHOC and then CoJP under the keys that it made.
pub fn all() -> [Other; 3] {
    let cojp = [cojp_request(), cojp_response()];
    let edhoc = edhoc();
    let both = [&edhoc[..], &cojp[..]].concat();
    [
        other(
            "CoJP: pre-shared key, link-layer key and short address; no group's keys",
            "RFC 9031 appendix A and section 8.1",
            &cojp,
        ),
        other(
            "EDHOC: authenticated keys with forward secrecy; no configuration, no group's keys",
            "RFC 9529 section 3 with message_4, over CoAP as in RFC 9528 appendix A.2",
            &edhoc,
        ),
        other(
            "EDHOC, then CoJP under its keys; no group's keys",
            "both of the above, one after the other",
            &both,
        ),
    ]
}

fn other(name: &'static str, source: &'static str, payloads: &[usize]) -> Other {
    let octets = payloads.iter().map(|len| on_air(*len)).fold(Octets::default(), |a, b| a + b);
    Other {
        name,
        source,
        messages: payloads.len(),
        round_trips: payloads.len().div_ceil(2),
        octets,
    }
}

/// RFC 9031 section 8.1.1: POST to the proxy with the identifier of the pledge. No token, as in figure 3.
fn cojp_request() -> usize {
    // RFC 8613 section 6.1: flags, partial IV of one octet, length and EUI-64 of the kid context.
    let oscore = 1 + 1 + 1 + 8;
    let options =
        options(&[(URI_HOST, "6tisch.arpa".len()), (OSCORE, oscore), (PROXY_SCHEME, "coap".len())]);
    let inner = 1 + self::options(&[(URI_PATH, 1)]) + PAYLOAD_MARKER + JOIN_REQUEST.len();
    HEADER + options + PAYLOAD_MARKER + inner + TAG_OCTETS
}

/// RFC 9031 section 8.1.2: 2.04 with an empty OSCORE option.
fn cojp_response() -> usize {
    let inner = 1 + PAYLOAD_MARKER + CONFIGURATION_OCTETS;
    HEADER + options(&[(OSCORE, 0)]) + PAYLOAD_MARKER + inner + TAG_OCTETS
}

/// RFC 9528 appendix A.2: two POSTs to /.well-known/edhoc, the first begins with `true`, the second with C_R.
fn edhoc() -> [usize; 4] {
    let path = options(&[(URI_PATH, ".well-known".len()), (URI_PATH, "edhoc".len())]);
    let [message_1, message_2, message_3, message_4] = EDHOC_OCTETS;
    let post = |message: usize| HEADER + path + PAYLOAD_MARKER + 1 + message;
    let changed = |message: usize| HEADER + PAYLOAD_MARKER + message;
    [post(message_1), changed(message_2), post(message_3), changed(message_4)]
}

/// RFC 7252 section 3, without a token.
const HEADER: usize = 4;

/// Octets of options in the order of their numbers, by number and length (RFC 7252 section 3.1).
fn options(options: &[(u16, usize)]) -> usize {
    let extended = |value: usize| match value {
        0..=12 => 0,
        13..=268 => 1,
        _ => 2,
    };
    let numbers = options.iter().map(|(number, _)| *number);
    let before = std::iter::once(0).chain(numbers);
    let len = |((number, len), before): (&(u16, usize), u16)| {
        1 + extended(usize::from(number - before)) + extended(*len) + len
    };
    options.iter().zip(before).map(len).sum()
}

/// A UDP payload of so many octets between two neighbours, in the frames that our stack makes of it.
fn on_air(payload: usize) -> Octets {
    let ends = [1, 2].map(|last| Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, last]));
    let [src, dst] = ends.map(|eui64| Iid::from(eui64).link_local());
    let (src_port, dst_port) = (COAP_PORT, COAP_PORT);
    let packet = packet(&Datagram { src, dst, src_port, dst_port, payload: &vec![0; payload] });
    let link = LinkPair {
        src: LinkAddr::Extended(ends[0]),
        dst: LinkDst::Unicast(LinkAddr::Extended(ends[1])),
    };
    let room = payload_room(None, link.dst);
    let mut compressed = [0; DATAGRAM_OCTETS_MAX];
    let datagram = iphc::compress_within(
        &packet,
        link,
        &Contexts::default(),
        Fragmenter::headers_max(room),
        &mut compressed,
    )
    .expect("two neighbours' datagram");
    let mut fragments =
        Fragmenter::new(datagram, DatagramTag(0), room).expect("an 802.15.4 frame's room");
    let mut frame = [0; PSDU_OCTETS_MAX];
    let mut octets = Octets::default();
    while let Some(len) = fragments.emit_next(&compressed[..datagram.len()], &mut frame) {
        octets.mac += PSDU_OCTETS_MAX - room + FCS_OCTETS;
        octets.lowpan += FragHeader::parse(&frame[..len]).map_or(0, |(_, rest)| len - rest.len());
    }
    // RFC 6282 section 4.3.3: dispatch, both ports in full, checksum.
    octets.udp = 1 + 4 + 2;
    octets.lowpan += datagram.headers() - octets.udp;
    octets.app = payload;
    octets
}
