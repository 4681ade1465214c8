//! What somebody without keys can make of a frame that he heard.
//!
//! **Invariant:** nothing but the octets of the frame and what every attacker knows goes in.

use super::lie::Lie;
use super::packets::{NEAR, compressed, emit, icmpv6, udp, unsecured};
use lowgate_access::{JOIN_PORT, JOINER_PORT, beacon::Beacon};
use lowgate_ieee802154::{
    AddressedFrame, AuxSecurityHeader, BeaconFields, Content, Format, Frame, FrameCounter,
    PSDU_OCTETS_MAX, Pan, Version,
};
use lowgate_mac::Psdu;
use lowgate_units::{Duration, Eui64, Iid, LinkAddr, LinkDst, PanId, Prng};

/// A forged counter is ahead of the recorded one by up to so much more than the network sends meanwhile.
const COUNTER_AHEAD: u32 = 100_000;
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
    /// Sends beacons of routers that do not exist, each idle, open, and next to the border router.
    Beacon,
    /// Sends noise without listening before, for so many hundredths of the time, from 1 to 99.
    Jam(u8),
    /// Sends every frame that it hears at the other end of a tunnel, where this intruder hangs, and what is
    /// heard there here.
    Tunnel(Eui64),
    /// The same, but what comes out of the tunnel without security is not what went in.
    Tamper(Eui64),
    /// Says in clear what is not so.
    Tell(Lie),
}

/// How long a flooding attacker is silent after a frame, in times of that frame: a fifth of the air is its.
const FLOOD_SILENCE: u32 = 4;
/// Between two tries of somebody who wants to be seen, and of somebody who floods or is in the middle.
const PAUSE: Duration = Duration::from_millis(40);
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// Of noise.
const NOISE_OCTETS: usize = 60;

impl Trick {
    /// The frame to send; `None` if this one is of no use.
    pub(super) fn play(self, own: Eui64, heard: Option<&Psdu>, prng: &mut Prng) -> Option<Psdu> {
        match self {
            Self::Repeat => heard.cloned(),
            Self::Forge => forge(heard?, prng),
            Self::Inject => inject(own, heard?, prng),
            Self::Flood(relay) => flood(relay, heard?, prng),
            Self::Beacon => beacon(heard?, prng),
            Self::Jam(_) => Some((0..PSDU_OCTETS_MAX).map(|_| prng.next_u64() as u8).collect()),
            // These are not made of one frame.
            Self::Tunnel(_) | Self::Tamper(_) | Self::Tell(_) => None,
        }
    }

    /// Between two tries, at least.
    pub(super) const fn pause(self) -> Duration {
        match self {
            Self::Repeat | Self::Forge | Self::Inject | Self::Beacon | Self::Tell(_) => PAUSE,
            Self::Flood(_) | Self::Jam(_) | Self::Tunnel(_) | Self::Tamper(_) => FLOOD_PAUSE,
        }
    }

    /// How long it is silent after a frame that was so long on the air.
    pub(super) fn silence(self, on_air: Duration) -> Option<Duration> {
        match self {
            Self::Flood(_) => Some(on_air * FLOOD_SILENCE),
            Self::Jam(hundredths) => {
                let hundredths = u32::from(hundredths.clamp(1, 99));
                Some(on_air * (100 - hundredths) / hundredths)
            }
            Self::Repeat
            | Self::Forge
            | Self::Inject
            | Self::Beacon
            | Self::Tunnel(_)
            | Self::Tamper(_)
            | Self::Tell(_) => None,
        }
    }

    /// Whether it listens before it talks: a frame that collides proves nothing, unless that is the purpose.
    pub(super) const fn listens(self) -> bool {
        !matches!(self, Self::Jam(_))
    }

    /// Whether it hears first for a while what there is to be made of.
    pub(super) const fn learns(self) -> bool {
        !matches!(self, Self::Jam(_) | Self::Tunnel(_) | Self::Tamper(_))
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

/// Of a secured frame, its PAN.
fn pan_of(frame: &AddressedFrame<'_>) -> Option<PanId> {
    match (&frame.format, frame.dst()?) {
        (Format::Secured(_), (Pan::Id(pan), _)) => Some(pan),
        _ => None,
    }
}

fn inject(own: Eui64, heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(heard)) = Frame::parse(heard) else { return None };
    let (pan, Some(LinkAddr::Extended(victim))) = (pan_of(&heard)?, heard.src()) else {
        return None;
    };
    let [src, dst] = [own, victim].map(|eui64| Iid::from(eui64).link_local());
    let packet = icmpv6(src, dst, NEAR, [ECHO_REQUEST, 0], &[0xba, 0xd0, 0, 1]);
    let dst = LinkDst::Unicast(LinkAddr::Extended(victim));
    let payload = compressed(own, dst, &packet, None)?;
    let frame = unsecured(pan, own, dst, prng.next_u64() as u8, &payload);
    // Whether it asks for an acknowledgement it leaves as it was.
    let ack_request = heard.ack_request;
    emit(&Frame::Addressed(AddressedFrame { ack_request, pending: heard.pending, ..frame }))
}

fn flood(relay: Eui64, heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(heard)) = Frame::parse(heard) else { return None };
    let pan = pan_of(&heard)?;
    let src = nobody(prng);
    let noise: Vec<u8> = (0..NOISE_OCTETS).map(|_| prng.next_u64() as u8).collect();
    let sequence = prng.next_u64() as u8;
    let content = match prng.below(4) {
        0 => return emit(&Frame::Addressed(AddressedFrame::beacon_request(sequence))),
        1 => noise,
        2 => to_join_port(src, relay, &noise)?,
        _ => to_join_port(src, relay, &client_hello(prng))?,
    };
    let dst = LinkDst::Unicast(LinkAddr::Extended(relay));
    emit(&Frame::Addressed(unsecured(pan, src, dst, sequence, &content)))
}

/// Who it says it is, a locally administered address.
fn nobody(prng: &mut Prng) -> Eui64 {
    let mut name = prng.next_u64().to_be_bytes();
    name[0] = 0x02;
    Eui64(name)
}

fn to_join_port(src: Eui64, relay: Eui64, payload: &[u8]) -> Option<Vec<u8>> {
    let dst = LinkDst::Unicast(LinkAddr::Extended(relay));
    let [from, to] = [src, relay].map(|eui64| Iid::from(eui64).link_local());
    compressed(src, dst, &udp((from, JOINER_PORT), (to, JOIN_PORT), NEAR, payload), None)
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

/// In the PAN of a frame that it heard.
fn beacon(heard: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(heard)) = Frame::parse(heard) else { return None };
    let pan = Pan::Id(pan_of(&heard)?);
    let src = LinkAddr::Extended(nobody(prng));
    let told = Beacon { join_open: true, domain_hint: [0; 4], dag_rank: 1, load: 0 };
    emit(&Frame::Addressed(AddressedFrame {
        format: Format::Unsecured(Version::V2003),
        pending: false,
        ack_request: false,
        sequence: prng.next_u64() as u8,
        content: Content::Beacon { pan, src, fields: BeaconFields::NONBEACON },
        payload: &told.emit(),
    }))
}
