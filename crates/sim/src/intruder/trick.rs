//! What somebody without keys can make of a frame that he heard.
//!
//! **Invariant:** nothing but the octets of the frame and what every attacker knows goes in.

use lowgate_access::{JOIN_PORT, JOINER_PORT};
use lowgate_ieee802154::{
    AddressedFrame, Addressing, AuxSecurityHeader, Content, Format, Frame, FrameCounter, Pan,
    Version,
};
use lowgate_mac::Psdu;
use lowgate_router::{Datagram, packet};
use lowgate_sixlowpan::{Contexts, LinkPair, iphc};
use lowgate_units::{Duration, Eui64, Iid, Ipv6Addr, LinkAddr, LinkDst, Prng};

/// A forged counter is ahead of the recorded one by up to so much more than the network sends meanwhile.
const COUNTER_AHEAD: u32 = 100_000;
/// RFC 8200 section 8.1.
const ICMPV6: u8 = 58;
/// RFC 4443 section 4.1.
const ECHO_REQUEST: u8 = 128;

/// What an eavesdropper does with a frame that it recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Sends it again as it was.
    Repeat,
    /// Raises the counter of a secured frame, flips a bit of what is sealed, and sends it.
    Forge,
    /// Sends the sealer of a secured frame an echo request of its own, unsecured.
    Inject,
    /// Fills a fifth of the air with unsecured frames for this relay, each in another name: noise, beacon
    /// requests, and datagrams to its join port, noise and ClientHellos.
    Flood(Eui64),
}

/// How long a flooding attacker is silent after a frame, in times of that frame: a fifth of the air is its.
const FLOOD_SILENCE: u32 = 4;
/// Between two tries of somebody who wants to be seen, and of somebody who floods.
const PAUSE: Duration = Duration::from_millis(40);
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// Of noise.
const NOISE_OCTETS: usize = 60;

impl Trick {
    /// The frame to send; `None` if this one is of no use.
    pub(super) fn play(self, own: Eui64, heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
        match self {
            Self::Repeat => Some(heard.clone()),
            Self::Forge => forge(heard, prng),
            Self::Inject => inject(own, heard, prng),
            Self::Flood(relay) => flood(relay, heard, prng),
        }
    }

    /// Between two tries, at least.
    pub(super) const fn pause(self) -> Duration {
        match self {
            Self::Repeat | Self::Forge | Self::Inject => PAUSE,
            Self::Flood(_) => FLOOD_PAUSE,
        }
    }

    /// How long it is silent after a frame that was so long on the air.
    pub(super) fn silence(self, on_air: Duration) -> Option<Duration> {
        match self {
            Self::Repeat | Self::Forge | Self::Inject => None,
            Self::Flood(_) => Some(on_air * FLOOD_SILENCE),
        }
    }
}

fn forge(heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(mut frame)) = Frame::parse(heard) else { return None };
    let Format::Secured(aux) = frame.format else { return None };
    let ahead = 1 + prng.below(u64::from(COUNTER_AHEAD)) as u32;
    let counter = FrameCounter(aux.counter.0.saturating_add(ahead));
    frame.format = Format::Secured(AuxSecurityHeader { counter, ..aux });
    frame.sequence = prng.next_u64() as u8;
    let mut sealed = Psdu::from_slice(frame.payload).ok()?;
    let bit = prng.below(8 * sealed.len() as u64) as usize;
    *sealed.get_mut(bit / 8)? ^= 1 << (bit % 8);
    frame.payload = &sealed;
    emit(&Frame::Addressed(frame))
}

fn inject(own: Eui64, heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(mut frame)) = Frame::parse(heard) else { return None };
    let (Format::Secured(_), Some(LinkAddr::Extended(victim))) = (frame.format, frame.src()) else {
        return None;
    };
    let (Pan::Id(pan), _) = frame.dst()? else { return None };
    let (src, dst) = (LinkAddr::Extended(own), LinkDst::Unicast(LinkAddr::Extended(victim)));
    let packet = echo_request(Iid::from(own).link_local(), Iid::from(victim).link_local());
    let mut payload = [0; 104];
    let link = LinkPair { src, dst };
    let len = iphc::compress(&packet, link, &Contexts::default(), &mut payload).ok()?.len();
    frame.format = Format::Unsecured(Version::V2003);
    frame.content = Content::Data { addressing: Addressing::within(pan, dst, src) };
    frame.sequence = prng.next_u64() as u8;
    frame.payload = payload.get(..len)?;
    emit(&Frame::Addressed(frame))
}

fn flood(relay: Eui64, heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(heard)) = Frame::parse(heard) else { return None };
    let (Format::Secured(_), (Pan::Id(pan), _)) = (heard.format, heard.dst()?) else { return None };
    // Who it says it is, a locally administered address.
    let mut name = prng.next_u64().to_be_bytes();
    name[0] = 0x02;
    let (src, dst) = (Eui64(name), LinkDst::Unicast(LinkAddr::Extended(relay)));
    let noise: Vec<u8> = (0..NOISE_OCTETS).map(|_| prng.next_u64() as u8).collect();
    let sequence = prng.next_u64() as u8;
    let content = match prng.below(4) {
        0 => return emit(&Frame::Addressed(AddressedFrame::beacon_request(sequence))),
        1 => noise,
        2 => to_join_port(src, relay, &noise)?,
        _ => to_join_port(src, relay, &client_hello(prng))?,
    };
    let addressing = Addressing::within(pan, dst, LinkAddr::Extended(src));
    emit(&Frame::Addressed(AddressedFrame {
        format: Format::Unsecured(Version::V2003),
        pending: false,
        ack_request: true,
        sequence,
        content: Content::Data { addressing },
        payload: &content,
    }))
}

fn to_join_port(src: Eui64, relay: Eui64, payload: &[u8]) -> Option<Vec<u8>> {
    const HOP_LIMIT_AT: usize = 7;
    let link =
        LinkPair { src: LinkAddr::Extended(src), dst: LinkDst::Unicast(LinkAddr::Extended(relay)) };
    let [src, dst] = [src, relay].map(|eui64| Iid::from(eui64).link_local());
    let (src_port, dst_port) = (JOINER_PORT, JOIN_PORT);
    let mut packet = packet(&Datagram { src, dst, src_port, dst_port, payload });
    packet[HOP_LIMIT_AT] = 255;
    let mut octets = [0; 104];
    let len = iphc::compress(&packet, link, &Contexts::default(), &mut octets).ok()?.len();
    Some(octets[..len].to_vec())
}

/// Without a cookie (RFC 6347 section 4.2.2): PSK, no compression, no extensions.
fn client_hello(prng: &mut Prng) -> Vec<u8> {
    let random = std::iter::repeat_with(|| prng.next_u64() as u8).take(32).collect::<Vec<_>>();
    let suites = [0, 0, 0, 2, 0xc0, 0xa8, 1, 0];
    let body = [&[0xfe, 0xfd], &random[..], &suites].concat();
    let len = body.len() as u8;
    let record = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 + len];
    let message = [1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len];
    [&record[..], &message, &body].concat()
}

fn emit(frame: &Frame<'_>) -> Option<Psdu> {
    let mut psdu = Psdu::new();
    psdu.resize_default(frame.len()).ok()?;
    frame.emit(&mut psdu);
    Some(psdu)
}

/// An echo request between neighbours, without data.
fn echo_request(src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
    let mut message = [ECHO_REQUEST, 0, 0, 0, 0xba, 0xd0, 0, 1];
    let addresses = [src.octets(), dst.octets()].concat();
    let pseudo = [0, 0, 0, message.len() as u8, 0, 0, 0, ICMPV6];
    let summed = [&addresses[..], &pseudo, &message].concat();
    let words = summed.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    // RFC 1071: carries come round; there are too few words for a second one.
    let sum: u32 = words.sum();
    let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let header = [0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255];
    [&header[..], &addresses, &message].concat()
}
