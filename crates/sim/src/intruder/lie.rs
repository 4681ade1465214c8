//! What an attacker says that is not so: messages of its own making, which somebody without keys says in
//! clear, and somebody who holds the keys of a captured device under these keys.
//!
//! **Invariant:** the octets above the link layer are the same either way, so that what keeps the one out and
//! lets the other in is the key alone. Names, addresses and the routing's state are no secrets: the liar
//! knows them.

use super::captured::Captured;
use super::packets::{FAR, NEAR, compressed, emit, icmpv6, udp, unsecured};
use lowgate_access::{JOIN_PORT, JOINER_PORT, MANAGER_PORT};
use lowgate_ieee802154::{AddressedFrame, Format, Frame};
use lowgate_mac::Psdu;
use lowgate_manager::BORDER_ROUTER_SHORT;
use lowgate_net::next_dodag_version;
use lowgate_units::{Eui64, Iid, Ipv6Addr, LinkAddr, LinkDst, PanId, Prng, ShortAddr};
use std::collections::BTreeMap;

/// What is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// To everybody: the border router is as near from here as from itself (a DIO, RFC 6550 section 6.3).
    Rank,
    /// The same, each time in the name of another device that does not exist.
    Crowd,
    /// The same under a version of the DODAG that the border router never began.
    Version,
    /// To the border router, in the name of this device: its way leads over the liar (a DAO, section 6.4).
    Route(Eui64),
    /// To the border router: the address of this device is the liar's (an NS with EARO, RFC 8505).
    Address(Eui64),
    /// To this device: it has no address any more (an NA with EARO).
    Removal(Eui64),
    /// To this device: first fragments of datagrams that never go on, each in another name.
    Fragments(Eui64),
    /// To this device, in the manager's or its relay's name: a HelloRequest, a fatal alert, keys; all in clear.
    Records(Eui64),
    /// To this device: a command of CoAP.
    Command(Eui64),
    /// In the name of this device, to everybody: a frame whose counter is far ahead of all it sent.
    Counter(Eui64),
}

impl Lie {
    /// The device that it is about.
    pub const fn about(self) -> Option<Eui64> {
        match self {
            Self::Rank | Self::Crowd | Self::Version => None,
            Self::Route(device)
            | Self::Address(device)
            | Self::Removal(device)
            | Self::Fragments(device)
            | Self::Records(device)
            | Self::Command(device)
            | Self::Counter(device) => Some(device),
        }
    }
}

/// What every attacker may know: no secret is in it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) pan: PanId,
    pub(crate) prefix: [u8; 8],
    pub(crate) manager: Ipv6Addr,
    pub(crate) border_router: Eui64,
    /// Of the DODAG.
    pub(crate) version: u8,
    pub(crate) members: BTreeMap<Eui64, ShortAddr>,
}

impl Known {
    fn root(&self) -> Ipv6Addr {
        Iid::from(BORDER_ROUTER_SHORT).under(self.prefix)
    }

    fn addr(&self, device: Eui64) -> Option<Ipv6Addr> {
        self.members.get(&device).map(|short| Iid::from(*short).under(self.prefix))
    }
}

/// ff02::1a, RFC 6550 section 6.
const ALL_RPL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1a);
/// Type and code.
const DIS: [u8; 2] = [155, 0];
const DIO: [u8; 2] = [155, 1];
const DAO: [u8; 2] = [155, 2];
/// RFC 4861 sections 4.3 and 4.4.
const NS: [u8; 2] = [135, 0];
const NA: [u8; 2] = [136, 0];
/// ROOT_RANK: the MinHopRankIncrease of the mesh.
const ROOT_RANK: u16 = 128;
/// RFC 8505 section 4.1, "Removed".
const REMOVED: u8 = 4;
/// Far ahead of what any honest sender counts to in a run.
const COUNTER_AHEAD: u32 = 1 << 24;
const COAP_PORT: u16 = 5683;
/// `/light`, on: what follows the message id.
const SWITCH_ON: [u8; 8] = *b"\xb5light\xff1";
/// RFC 4944 section 5.3: the first fragment of a datagram of 1280 octets.
const FIRST_OF_1280: u16 = 0xc000 | 1280;
const FRAGMENT_OCTETS: usize = 80;

/// Somebody who says it.
#[derive(Debug)]
pub(crate) struct Liar {
    lie: Lie,
    own: Eui64,
    known: Known,
    captured: Option<Captured>,
    /// To whom the device that the lie is about spoke last without security.
    relay: Option<Eui64>,
}

/// A frame in the making.
struct Said {
    /// In whose name.
    src: Eui64,
    dst: LinkDst,
    payload: Vec<u8>,
}

impl Liar {
    /// Who says it, in his own name or in that of the device whose keys he holds.
    pub(crate) fn new(own: Eui64, lie: Lie, known: Known, captured: Option<Captured>) -> Self {
        let own = captured.as_ref().map_or(own, |captured| captured.eui64);
        Self { lie, own, known, captured, relay: None }
    }

    /// Whether he answers for whom this frame is for.
    pub(super) fn is(&self, device: Eui64) -> bool {
        self.captured.is_some() && self.own == device
    }

    /// He hears a frame.
    pub(super) fn hear(&mut self, frame: &AddressedFrame<'_>) {
        let (Format::Unsecured(_), Some(LinkAddr::Extended(src))) = (&frame.format, frame.src())
        else {
            return;
        };
        if let Some((_, LinkDst::Unicast(LinkAddr::Extended(relay)))) = frame.dst()
            && self.lie.about() == Some(src)
        {
            self.relay = Some(relay);
        }
    }

    /// The next frame.
    pub(super) fn say(&mut self, prng: &mut Prng) -> Option<Psdu> {
        let said = match self.lie {
            Lie::Rank => self.dio(self.own, self.known.version, prng),
            Lie::Crowd => self.dio(nobody(prng), self.known.version, prng),
            Lie::Version => {
                self.known.version = next_dodag_version(self.known.version);
                self.dio(self.own, self.known.version, prng)
            }
            Lie::Route(device) => self.dao(device, prng),
            Lie::Address(device) => self.registration(device, prng),
            Lie::Removal(device) => self.removal(device, prng),
            Lie::Fragments(device) => {
                let tag = prng.next_u64() as u16;
                let header = [FIRST_OF_1280.to_be_bytes(), tag.to_be_bytes()].concat();
                let payload = [header, vec![0x41; FRAGMENT_OCTETS]].concat();
                Some(Said { src: nobody(prng), dst: to(device), payload })
            }
            Lie::Records(device) => self.record(device, prng),
            Lie::Command(device) => {
                // Each from another port, lest they be taken for copies of one request.
                let port = prng.next_u64() as u16 | 0x8000;
                let src = (self.known.addr(self.own).unwrap_or(self.known.root()), port);
                let dst = (self.known.addr(device)?, COAP_PORT);
                // Non-confirmable PUT, each a message of its own.
                let message_id = (prng.next_u64() as u16).to_be_bytes();
                let command = [&[0x50, 3][..], &message_id, &SWITCH_ON].concat();
                self.packet(self.own, to(device), &udp(src, dst, FAR, &command))
            }
            Lie::Counter(device) => {
                let from = Iid::from(device).link_local();
                let packet = icmpv6(from, ALL_RPL_NODES, NEAR, DIS, &[0, 0]);
                self.packet(device, LinkDst::Broadcast, &packet)
            }
        };
        self.frame(&said?, prng)
    }

    fn frame(&mut self, said: &Said, prng: &mut Prng) -> Option<Psdu> {
        let sequence = prng.next_u64() as u8;
        let frame = unsecured(self.known.pan, said.src, said.dst, sequence, &said.payload);
        let ahead = if matches!(self.lie, Lie::Counter(_)) { COUNTER_AHEAD } else { 0 };
        match &mut self.captured {
            Some(captured) => captured.seal(said.src, ahead, frame),
            None => emit(&Frame::Addressed(frame)),
        }
    }

    fn packet(&self, src: Eui64, dst: LinkDst, packet: &[u8]) -> Option<Said> {
        let payload = compressed(src, dst, packet, Some(self.known.prefix))?;
        Some(Said { src, dst, payload })
    }

    fn dio(&self, name: Eui64, version: u8, prng: &mut Prng) -> Option<Said> {
        let short = self.known.members.get(&name).copied();
        let short = short.or_else(|| ShortAddr::new(1 + prng.below(0x7fff) as u16))?;
        let sender = Iid::from(short).under(self.known.prefix).octets();
        // Instance 0; grounded, non-storing.
        let base = [&[0, version][..], &ROOT_RANK.to_be_bytes(), &[0x88, 240, 0, 0]].concat();
        // Section 6.7.6, as the mesh's root has it: an increase of 128 a hop, 8 of them, MRHOF.
        let configuration = [4, 14, 0x10, 9, 9, 5, 4, 0, 0, 128, 0, 1, 0, 30, 0, 60];
        let prefix = [&[8, 30, 64, 0x20][..], &[0xff; 8], &[0; 4], &sender].concat();
        let root = self.known.root().octets();
        let body = [&base[..], &root, &configuration, &prefix].concat();
        let packet = icmpv6(Iid::from(name).link_local(), ALL_RPL_NODES, NEAR, DIO, &body);
        self.packet(name, LinkDst::Broadcast, &packet)
    }

    fn dao(&self, device: Eui64, prng: &mut Prng) -> Option<Said> {
        let (target, root) = (self.known.addr(device)?, self.known.root());
        let over = self.known.addr(self.own).unwrap_or_else(|| {
            // No address of its own: that of anybody else.
            let other = self.known.members.keys().find(|other| **other != device);
            other.and_then(|other| self.known.addr(*other)).unwrap_or(root)
        });
        // Section 7.2: half of all path sequences are newer than the one in force, whatever it is.
        let sequence = 128 | prng.next_u64() as u8;
        let transit = [6, 20, 0, 0, sequence, 30];
        let (target_option, parent) = ([5, 18, 0, 128], over.octets());
        let base = [0, 0, 0, sequence];
        let body = [&base[..], &target_option, &target.octets(), &transit, &parent].concat();
        let packet = icmpv6(target, root, FAR, DAO, &body);
        self.packet(self.own, to(self.known.border_router), &packet)
    }

    fn registration(&self, device: Eui64, prng: &mut Prng) -> Option<Said> {
        let target = self.known.addr(device)?.octets();
        let tid = prng.next_u64() as u8;
        let source = [&[1, 2][..], &self.own.0, &[0; 6]].concat();
        let earo = [&[33, 2, 0, 0, 1, tid, 0, 60][..], &self.own.0].concat();
        let body = [&[0; 4][..], &target, &source, &earo].concat();
        let router = self.known.border_router;
        let [src, dst] = [self.own, router].map(|it| Iid::from(it).link_local());
        self.packet(self.own, to(router), &icmpv6(src, dst, NEAR, NS, &body))
    }

    fn removal(&self, device: Eui64, prng: &mut Prng) -> Option<Said> {
        let target = self.known.addr(device)?.octets();
        let tid = prng.next_u64() as u8;
        let earo = [&[33, 2, REMOVED, 0, 1, tid, 0, 0][..], &device.0].concat();
        let body = [&[0xc0, 0, 0, 0][..], &target, &earo].concat();
        let [src, dst] = [self.own, device].map(|it| Iid::from(it).link_local());
        self.packet(self.own, to(device), &icmpv6(src, dst, NEAR, NA, &body))
    }

    fn record(&self, device: Eui64, prng: &mut Prng) -> Option<Said> {
        let record: &[u8] = match prng.below(3) {
            // RFC 5246 section 7.4.1.1; RFC 5246 section 7.2, internal_error; content type 30, MKD.
            0 => {
                &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            }
            1 => &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 80],
            _ => &[30, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 4, 0xa1, 1, 0, 1],
        };
        if let (true, Some(addr)) = (self.captured.is_some(), self.known.addr(device)) {
            let src = (self.known.manager, MANAGER_PORT);
            return self.packet(self.own, to(device), &udp(src, (addr, JOINER_PORT), FAR, record));
        }
        // A joiner heeds its relay; of a member any name is as good.
        let member = self.known.members.contains_key(&device).then_some(self.known.border_router);
        let relay = self.relay.or(member)?;
        let [src, dst] = [relay, device].map(|it| Iid::from(it).link_local());
        let packet = udp((src, JOIN_PORT), (dst, JOINER_PORT), NEAR, record);
        let payload = compressed(relay, to(device), &packet, None)?;
        Some(Said { src: relay, dst: to(device), payload })
    }
}

fn to(device: Eui64) -> LinkDst {
    LinkDst::Unicast(LinkAddr::Extended(device))
}

/// A locally administered address of nobody.
fn nobody(prng: &mut Prng) -> Eui64 {
    let mut name = prng.next_u64().to_be_bytes();
    name[0] = 0x02;
    Eui64(name)
}

/// Whether a frame asks for an acknowledgement of this device.
pub(super) fn asks_ack(frame: &AddressedFrame<'_>) -> Option<Eui64> {
    match frame.dst() {
        Some((_, LinkDst::Unicast(LinkAddr::Extended(dst)))) if frame.ack_request => Some(dst),
        _ => None,
    }
}
