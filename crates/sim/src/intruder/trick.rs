//! What somebody without keys can make of a frame that he heard.
//!
//! **Invariant:** nothing but the octets of the frame and what every attacker knows goes in.

use lowgate_ieee802154::{
    Addressing, AuxSecurityHeader, Content, Format, Frame, FrameCounter, Pan, Version,
};
use lowgate_mac::Psdu;
use lowgate_sixlowpan::{Contexts, LinkPair, iphc};
use lowgate_units::{Eui64, Iid, Ipv6Addr, LinkAddr, LinkDst, Prng};

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
}

impl Trick {
    /// The frame to send; `None` if this one is of no use.
    pub(super) fn play(self, own: Eui64, heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
        match self {
            Self::Repeat => Some(heard.clone()),
            Self::Forge => forge(heard, prng),
            Self::Inject => inject(own, heard, prng),
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
