//! From frames on the air to datagrams, and to octets by layer.

use crate::medium::{FCS_OCTETS, StationId};
use lowgate_ieee802154::{AddressedFrame, Content, Format, Frame};
use lowgate_mac::Psdu;
use lowgate_sixlowpan::{Contexts, DATAGRAM_OCTETS_MAX, DatagramTag, FragHeader, LinkPair, iphc};
use lowgate_units::Instant;
use std::ops::Add;

/// Octets of headers before a UDP payload, uncompressed.
const IPV6_OCTETS: usize = 40;
const UDP_OCTETS: usize = 8;

/// Octets on the air, by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Octets {
    /// IEEE 802.15.4: headers and frame check sequences. No acknowledgements.
    pub mac: usize,
    /// RFC 4944 and 6282: fragment headers, IPv6 as compressed.
    pub lowpan: usize,
    /// UDP's header as compressed.
    pub udp: usize,
    /// UDP payload: DTLS with all that is in it.
    pub app: usize,
}

impl Octets {
    /// All layers.
    pub const fn total(&self) -> usize {
        self.mac + self.lowpan + self.udp + self.app
    }
}

impl Add for Octets {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            mac: self.mac + other.mac,
            lowpan: self.lowpan + other.lowpan,
            udp: self.udp + other.udp,
            app: self.app + other.app,
        }
    }
}

/// One UDP datagram of network access, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// When its first frame began.
    pub at: Instant,
    /// Who sent it.
    pub from: StationId,
    /// All its frames.
    pub octets: Octets,
    /// How many they are.
    pub frames: usize,
    tag: Option<DatagramTag>,
}

/// What was on the air so far.
#[derive(Default)]
pub(super) struct Wire {
    datagrams: Vec<Datagram>,
    /// Sender and sequence number of the latest data frame.
    latest: Option<(StationId, u8)>,
    repeated: u32,
}

impl Wire {
    /// A frame began. Whatever is not part of an unsecured datagram is not counted.
    pub(super) fn aired(&mut self, at: Instant, from: StationId, psdu: &Psdu) {
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return };
        let (Content::Data { .. }, Format::Unsecured(_)) = (frame.content, frame.format) else {
            return;
        };
        let name = Some((from, frame.sequence));
        self.repeated += u32::from(self.latest == name);
        self.latest = name;
        let mac = psdu.len() - frame.payload.len() + FCS_OCTETS;
        let (fragment, rest) = match FragHeader::parse(frame.payload) {
            Ok((header, rest)) => (Some(header), rest),
            Err(_) => (None, frame.payload),
        };
        let fragmentation = frame.payload.len() - rest.len();
        if let Some(FragHeader::Next { tag, .. }) = fragment {
            let mut sent = self.datagrams.iter_mut().rev();
            let first = sent.find(|datagram| (datagram.from, datagram.tag) == (from, Some(tag)));
            let datagram = first.expect("a fragment follows its first");
            let more = Octets { mac, lowpan: fragmentation, udp: 0, app: rest.len() };
            (datagram.octets, datagram.frames) = (datagram.octets + more, datagram.frames + 1);
            return;
        }
        let (size, tag) = match fragment {
            Some(FragHeader::First { size, tag }) => (Some(size), Some(tag)),
            _ => (None, None),
        };
        let Some((ipv6, udp, app)) = layers(&frame, rest, size) else { return };
        let octets = Octets { mac, lowpan: fragmentation + ipv6, udp, app };
        self.datagrams.push(Datagram { at, from, octets, frames: 1, tag });
    }

    /// The datagrams in their order, and how many frames were copies.
    pub(super) fn finish(self) -> (Vec<Datagram>, u32) {
        (self.datagrams, self.repeated)
    }
}

/// Octets of IPv6's header, UDP's and the payload in the frame that begins a datagram; `None`: no UDP.
fn layers(
    frame: &AddressedFrame<'_>,
    compressed: &[u8],
    size: Option<lowgate_sixlowpan::DatagramSize>,
) -> Option<(usize, usize, usize)> {
    let link = LinkPair { src: frame.src()?, dst: frame.dst()?.1 };
    let mut octets = [0; DATAGRAM_OCTETS_MAX];
    let contexts = Contexts::default();
    let whole = iphc::decompress(compressed, link, &contexts, size, &mut octets).ok()?;
    let app = whole.len.checked_sub(IPV6_OCTETS + UDP_OCTETS)?;
    let headers = compressed.len() - app;
    // RFC 6282 section 4.3.3: ports in 4, 3 or 1 octets, and a checksum that we never elide.
    let inline = [(0b00, 7), (0b01, 6), (0b10, 6), (0b11, 4)];
    let udp = inline.into_iter().find_map(|(ports, len)| {
        let at = headers.checked_sub(len)?;
        (compressed[at] == 0b1111_0000 | ports).then_some(len)
    })?;
    Some((headers - udp, udp, app))
}
