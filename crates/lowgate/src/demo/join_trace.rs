//! One join, message by message, as the air shows it: beacons, then the datagrams between a joiner and
//! its relay, put together from their frames, with the octets of each layer.
//!
//! **Invariant:** read from captured frames alone; every octet of a frame counts in one layer.

mod flight;

use crate::report::{Message, Octets};
use flight::Flight;
use lowgate_access::joiner::SCAN;
use lowgate_access::jpy::Envelope;
use lowgate_access::relay::HEADER_OCTETS;
use lowgate_ieee802154::{AddressedFrame, CommandId, Content, Format, Frame};
use lowgate_sim::capture::{AirFrame, LINKTYPE_TAP, Recording};
use lowgate_sixlowpan::{
    Contexts, DATAGRAM_OCTETS_MAX, DatagramSize, DatagramTag, FragDrop, FragHeader, LinkPair, iphc,
};
use lowgate_units::{Eui64, Instant, LinkAddr, LinkDst};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const JOINER: usize = 0;
const RELAY: usize = 1;
const MANAGER: usize = 2;

const FCS_OCTETS: u32 = 2;
const IPV6_OCTETS: usize = 40;
const UDP_OCTETS: usize = 8;
const UDP_NUMBER: u8 = 17;
/// Between two frames that a joiner sent, so many numbers at most belong to frames that never left,
/// because the channel was busy.
const UNSENT_MAX: u8 = 2;

/// The join of a device that got power at `from`, was attached at `until`, and is then `hops` from the
/// border router. Parties of the messages: 0 is the joiner, 1 its relay, 2 the domain manager.
///
/// Octets are those of the first hop, except [`Octets::relay`].
pub(super) fn trace(
    recording: &Recording,
    joiner: Eui64,
    from: Instant,
    until: Instant,
    hops: u8,
) -> Vec<Message> {
    let aired = aired(recording, from, until);
    let joiner = LinkAddr::Extended(joiner);
    let datagrams = datagrams(&aired, joiner);
    let relays = datagrams.iter().map(|datagram| datagram.relay).collect();
    let mut messages = scans(&aired, joiner, &relays);
    messages.extend(told(&datagrams, hops));
    messages.sort_by_key(|message| message.at_us);
    messages
}

/// A frame that is no acknowledgement.
struct Aired<'a> {
    at: Instant,
    frame: AddressedFrame<'a>,
}

impl Aired<'_> {
    /// Octets of header and FCS.
    fn mac_octets(&self) -> u32 {
        self.frame.head_len() as u32 + FCS_OCTETS
    }

    fn is_beacon(&self) -> bool {
        matches!(self.frame.content, Content::Beacon { .. })
    }

    fn is_beacon_request(&self) -> bool {
        matches!(self.frame.content, Content::Command { id: CommandId::BEACON_REQUEST, .. })
    }
}

fn aired(recording: &Recording, from: Instant, until: Instant) -> Vec<Aired<'_>> {
    let packets = recording.packets.iter();
    let mut aired: Vec<_> = packets
        .filter(|packet| packet.link_type == LINKTYPE_TAP && (from..=until).contains(&packet.at))
        .filter_map(|packet| match Frame::parse(AirFrame::parse(&packet.octets).ok()?.psdu) {
            Ok(Frame::Addressed(frame)) => Some(Aired { at: packet.at, frame }),
            Ok(Frame::Ack(_)) | Err(_) => None,
        })
        .collect();
    aired.sort_by_key(|aired| aired.at);
    aired
}

/// The joiner's beacon requests, each with the beacon of the relay that it came to use.
fn scans(aired: &[Aired<'_>], joiner: LinkAddr, relays: &BTreeSet<LinkAddr>) -> Vec<Message> {
    let mut messages = Vec::new();
    for request in requests(aired, joiner) {
        let asked = &aired[request];
        messages.push(lone_frame(asked, (JOINER, RELAY), "beacon request", "to everyone"));
        let answers = || {
            let later = aired[request..].iter().take_while(|a| a.at.since(asked.at) <= SCAN);
            later.filter(|answer| answer.is_beacon() && answer.frame.src() != Some(joiner))
        };
        let is_relay = |src: LinkAddr| relays.contains(&src);
        let Some(beacon) = answers().find(|a| a.frame.src().is_some_and(is_relay)) else {
            continue;
        };
        let sources: BTreeSet<_> = answers().filter_map(|answer| answer.frame.src()).collect();
        let note = match sources.len() - 1 {
            0 => String::new(),
            // Which of them the joiner heard, no frame tells.
            1 => "another router's beacon was on the air as well".into(),
            others => format!("beacons of {others} other routers were on the air as well"),
        };
        messages.push(lone_frame(beacon, (RELAY, JOINER), "beacon", &note));
    }
    messages
}

/// Where the joiner's beacon requests are, the latest first. A request names no sender; but a sender
/// numbers it as it numbers the rest of its frames.
fn requests(aired: &[Aired<'_>], joiner: LinkAddr) -> Vec<usize> {
    let mut found = Vec::new();
    let mut later = None;
    for (index, Aired { frame, .. }) in aired.iter().enumerate().rev() {
        let own = if aired[index].is_beacon_request() {
            let before = |later: u8| later.wrapping_sub(frame.sequence);
            later.is_some_and(|later| (1..=1 + UNSENT_MAX).contains(&before(later)))
        } else {
            frame.src() == Some(joiner) && !aired[index].is_beacon()
        };
        if own {
            later = Some(frame.sequence);
            if aired[index].is_beacon_request() {
                found.push(index);
            }
        }
    }
    found
}

fn lone_frame(aired: &Aired<'_>, (from, to): (usize, usize), name: &str, note: &str) -> Message {
    Message {
        at_us: aired.at.as_micros(),
        from,
        to,
        name: name.into(),
        note: note.into(),
        frames: 1,
        hops: 1,
        octets: Octets {
            ieee802154: aired.mac_octets(),
            payload: aired.frame.payload.len() as u32,
            ..Octets::default()
        },
    }
}

/// An IPv6 datagram as far as its frames brought it.
struct Datagram {
    at: Instant,
    relay: LinkAddr,
    /// From the joiner to the relay.
    upward: bool,
    key: Option<(DatagramSize, DatagramTag)>,
    packet: Vec<u8>,
    /// Octets that no frame brought.
    missing: usize,
    /// One for each frame, copies too.
    frames: Vec<Share>,
    copies: u32,
}

/// Where the octets of one frame go.
#[derive(Clone)]
struct Share {
    mac: u32,
    sixlowpan: u32,
    udp: u32,
    /// The octets of the packet that it carries as they are.
    carried: Range<usize>,
}

/// All datagrams that travelled without security between the joiner and anyone.
fn datagrams(aired: &[Aired<'_>], joiner: LinkAddr) -> Vec<Datagram> {
    let mut datagrams: Vec<Datagram> = Vec::new();
    // Of every sender its last frame, and the datagram that it belonged to.
    let mut last: BTreeMap<LinkAddr, (AddressedFrame<'_>, Option<usize>)> = BTreeMap::new();
    for aired in aired.iter().filter(|aired| !aired.is_beacon()) {
        let Some(src) = aired.frame.src() else { continue };
        // A copy has the same number; that the rest is the same too, makes it one.
        let original = last.get(&src).filter(|(frame, _)| *frame == aired.frame);
        let index = match original {
            Some((_, index)) => {
                index.inspect(|index| datagrams[*index].copy());
                *index
            }
            None => first_sent(aired, joiner, &mut datagrams),
        };
        last.insert(src, (aired.frame, index));
    }
    datagrams
}

/// Adds a frame that is no copy to its datagram; which one that is.
fn first_sent(aired: &Aired<'_>, joiner: LinkAddr, datagrams: &mut Vec<Datagram>) -> Option<usize> {
    let (Content::Data { .. }, Format::Unsecured(_)) = (aired.frame.content, aired.frame.format)
    else {
        return None;
    };
    let (src, dst) = (aired.frame.src()?, aired.frame.dst()?.1);
    let (upward, relay) = match dst {
        LinkDst::Unicast(dst) if src == joiner => (true, dst),
        LinkDst::Unicast(dst) if dst == joiner => (false, src),
        LinkDst::Unicast(_) | LinkDst::Broadcast => return None,
    };
    let piece = Piece::of(aired.frame.payload, LinkPair { src, dst })?;
    let waiting = |datagram: &Datagram| {
        let way = (datagram.relay, datagram.upward);
        way == (relay, upward) && datagram.key == piece.key && datagram.missing > 0
    };
    let index = match datagrams.iter().rposition(waiting).filter(|_| piece.key.is_some()) {
        Some(index) => index,
        None => {
            datagrams.push(Datagram {
                at: aired.at,
                relay,
                upward,
                key: piece.key,
                packet: vec![0; piece.size],
                missing: piece.size,
                frames: Vec::new(),
                copies: 0,
            });
            datagrams.len() - 1
        }
    };
    datagrams[index].add(aired, &piece);
    Some(index)
}

impl Datagram {
    fn add(&mut self, aired: &Aired<'_>, piece: &Piece) {
        let end = piece.at + piece.octets.len();
        self.packet[piece.at..end].copy_from_slice(&piece.octets);
        self.missing = self.missing.saturating_sub(piece.octets.len());
        self.frames.push(Share {
            mac: aired.mac_octets(),
            sixlowpan: piece.sixlowpan,
            udp: piece.udp,
            carried: end - piece.carried..end,
        });
    }

    /// Counts the frame that was added last once more.
    fn copy(&mut self) {
        self.frames.extend_from_within(self.frames.len() - 1..);
        self.copies += 1;
    }

    /// The UDP payload, where it begins, or what else is behind the IPv6 header.
    fn content(&self) -> (usize, &[u8]) {
        let at = header_octets(&self.packet);
        (at, self.packet.get(at..).unwrap_or_default())
    }

    fn octets(&self, flight: &Flight, hops: u8) -> Octets {
        let (begin, content) = self.content();
        let mut octets = Octets::default();
        for share in &self.frames {
            octets.ieee802154 += share.mac;
            octets.sixlowpan += share.sixlowpan;
            octets.udp += share.udp;
            for at in share.carried.clone() {
                let framing = at.checked_sub(begin).and_then(|at| flight.framing.get(at));
                match framing {
                    Some(true) => octets.dtls += 1,
                    Some(false) | None => octets.payload += 1,
                }
            }
        }
        // Next to the border router there is no further hop: the envelope goes over the backbone.
        octets.relay = if hops > 1 { envelope_octets(content) } else { 0 };
        octets
    }
}

/// Octets that the relay puts around a datagram.
fn envelope_octets(content: &[u8]) -> u32 {
    let mut out = [0; DATAGRAM_OCTETS_MAX + HEADER_OCTETS];
    let envelope = Envelope { header: &[0; HEADER_OCTETS], content };
    envelope.emit(&mut out).map_or(0, |len| (len - content.len()) as u32)
}

/// Octets of the headers in front of a packet, before compression.
fn header_octets(packet: &[u8]) -> usize {
    match packet.get(6) {
        Some(&UDP_NUMBER) => packet.len().min(IPV6_OCTETS + UDP_OCTETS),
        Some(_) | None => packet.len().min(IPV6_OCTETS),
    }
}

/// What one frame brings of a datagram.
struct Piece {
    /// Which datagram; none of a frame that is one by itself.
    key: Option<(DatagramSize, DatagramTag)>,
    /// Octets of the datagram before compression.
    size: usize,
    /// Where `octets` belong; they end within `size`.
    at: usize,
    /// Before compression.
    octets: Vec<u8>,
    /// How many of `octets`, the last ones, the frame has as they are.
    carried: usize,
    /// What the frame has in front of them.
    sixlowpan: u32,
    udp: u32,
}

impl Piece {
    fn of(payload: &[u8], link: LinkPair) -> Option<Self> {
        match FragHeader::parse(payload) {
            Ok((header @ FragHeader::First { .. }, rest)) => Self::begin(rest, link, Some(header)),
            Ok((FragHeader::Next { size, tag, offset }, rest))
                if offset.octets() + rest.len() <= size.octets() =>
            {
                Some(Self {
                    key: Some((size, tag)),
                    size: size.octets(),
                    at: offset.octets(),
                    octets: rest.to_vec(),
                    carried: rest.len(),
                    sixlowpan: FragHeader::NEXT_OCTETS as u32,
                    udp: 0,
                })
            }
            Err(FragDrop::NotFragment) => Self::begin(payload, link, None),
            Ok((FragHeader::Next { .. }, _)) | Err(_) => None, // Nobody takes such a frame.
        }
    }

    /// Of a frame that has the headers.
    fn begin(compressed: &[u8], link: LinkPair, fragment: Option<FragHeader>) -> Option<Self> {
        let mut packet = [0; DATAGRAM_OCTETS_MAX];
        let size = fragment.map(|header| header.size());
        // Without security there are no contexts: they come with membership.
        let contexts = Contexts::new();
        let begin = iphc::decompress(compressed, link, &contexts, size, &mut packet).ok()?;
        let packet = &packet[..begin.len];
        let carried = begin.len - header_octets(packet);
        let headers = compressed.get(..compressed.len().checked_sub(carried)?)?;
        let udp = packet.get(IPV6_OCTETS..begin.len - carried).unwrap_or_default();
        let udp = udp_octets(headers, udp);
        Some(Self {
            key: fragment.map(|header| (header.size(), header.tag())),
            size: begin.size.octets(),
            at: 0,
            octets: packet.to_vec(),
            carried,
            sixlowpan: (fragment.map_or(0, |header| header.len()) + headers.len() - udp) as u32,
            udp: udp as u32,
        })
    }
}

/// How many octets at the end of the compressed headers are the UDP header that was `before`.
fn udp_octets(headers: &[u8], before: &[u8]) -> usize {
    if before.is_empty() || headers.ends_with(before) {
        return before.len();
    }
    // RFC 6282 section 4.3: 11110CPP, then ports as PP says, then two octets of checksum.
    let encodings = [(0xf3, 4), (0xf2, 6), (0xf1, 6), (0xf0, 7)];
    let at = |len| headers.len().checked_sub(len).and_then(|at| headers.get(at));
    let fits = |(nhc, len): &(u8, usize)| at(*len) == Some(nhc);
    encodings.into_iter().find(fits).map_or(0, |(_, len)| len)
}

/// A message, and what tells whether a later one is the same again.
struct Told {
    upward: bool,
    is_new: bool,
    flight: Flight,
    message: Message,
}

/// The datagrams as messages.
fn told(datagrams: &[Datagram], hops: u8) -> Vec<Message> {
    let mut told: Vec<Told> = Vec::new();
    for datagram in datagrams {
        let has_keys = told.iter().any(|earlier| earlier.flight.brings_keys);
        let flight = Flight::of(datagram.content().1, datagram.upward, has_keys);
        let again = sent_before(&told, datagram.upward, &flight);
        let message = message(datagram, &flight, again, hops);
        told.push(Told { upward: datagram.upward, is_new: again.is_none(), flight, message });
    }
    told.into_iter().map(|told| told.message).collect()
}

/// When the same was sent before, the last time.
fn sent_before(told: &[Told], upward: bool, flight: &Flight) -> Option<u64> {
    // Another handshake has other messages, even where they look alike.
    let opens = |told: &Told| told.is_new && told.flight.opens_handshake();
    let begin = told.iter().rposition(opens).unwrap_or(0);
    let told = told.get(begin..)?;
    let same = |told: &Told| told.upward == upward && told.flight.looks_like(flight);
    let at = told.iter().rposition(same)?;
    // Protected records look alike; one that nobody answered with anything new is the same again.
    let is_answered = told[at..].iter().any(|told| told.upward != upward && told.is_new);
    let is_same = flight.shows_its_content() || !is_answered;
    is_same.then_some(told[at].message.at_us)
}

fn message(datagram: &Datagram, flight: &Flight, again: Option<u64>, hops: u8) -> Message {
    let at_us = datagram.at.as_micros();
    let mut notes = Vec::new();
    if let Some(before) = again {
        notes.push(format!("sent again after {:.2} s", (at_us - before) as f64 / 1e6));
    }
    match datagram.copies {
        0 => {}
        1 => notes.push("one frame repeated by the link layer".into()),
        copies => notes.push(format!("{copies} frames repeated by the link layer")),
    }
    if datagram.missing > 0 {
        notes.push("not all of its fragments were sent".into());
    }
    let (from, to) = if datagram.upward { (JOINER, MANAGER) } else { (MANAGER, JOINER) };
    Message {
        at_us,
        from,
        to,
        name: flight.name(),
        note: notes.join("; "),
        frames: datagram.frames.len() as u32,
        hops: u32::from(hops),
        octets: datagram.octets(flight, hops),
    }
}

#[cfg(test)]
mod tests;
