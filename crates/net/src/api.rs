//! What goes into a [`Stack`](crate::Stack) and what comes out of it.

use crate::event::NetEvent;
use heapless::Vec;
use lowgate_units::{Eui64, Instant, Ipv6Addr, LinkAddr, LinkDst, List, Lqi, Rssi, ShortAddr};

/// The largest IPv6 packet the mesh carries: the minimum link MTU (RFC 4944 section 4).
pub const PACKET_OCTETS_MAX: usize = 1280;
/// What routing may put around such a packet: the RPL option of 8 octets on the way up; on the way down a
/// tunnel's header and a source route of up to 40 hops (RFC 9008 section 8.2).
pub const ROUTING_OCTETS_MAX: usize = 128;
/// The largest UDP payload: a packet without its IPv6 and UDP headers. Routing headers, which the
/// stack adds where a packet needs them, take their octets from this.
pub const UDP_PAYLOAD_OCTETS_MAX: usize = PACKET_OCTETS_MAX - 40 - 8;
/// A link-local packet carries and must show this hop limit, so that no router can have passed it.
pub const HOP_LIMIT_LINK_LOCAL: u8 = 255;

/// One IPv6 packet, with what routing put around it.
pub type Packet = List<u8, { PACKET_OCTETS_MAX + ROUTING_OCTETS_MAX }>;

/// What a stack is built with.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig {
    /// The maker's address: link-local address, registration, frame source.
    pub eui64: Eui64,
    /// The only UDP port that unsecured frames may speak from or to.
    pub join_port: u16,
    /// The first MPL sequence number that was never used: one past the `through` stored last, 0 for
    /// a new device.
    pub mpl_sequence: u8,
}

/// A frame as the link layer hands it up, opened.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The sender.
    pub src: LinkAddr,
    /// Whom it was for.
    pub dst: LinkDst,
    /// The link layer verified it.
    pub secured: bool,
    /// 6LoWPAN octets.
    pub payload: &'a [u8],
    /// Signal strength.
    pub rssi: Rssi,
    /// Link quality.
    pub lqi: Lqi,
}

/// What became of an [`OutFrame`].
#[derive(Clone, Copy, Debug)]
pub struct SendDone {
    /// The token of the frame.
    pub token: u32,
    /// The neighbour acknowledged it, or it was a broadcast that left.
    pub acked: bool,
    /// Transmissions made; 0 if the channel never became free.
    pub attempts: u8,
}

/// The link layer has its key: look for a parent, register, announce a route.
#[derive(Clone, Copy, Debug)]
pub struct Attach {
    /// The address the domain manager gave.
    pub short: ShortAddr,
    /// A neighbour known to be a router, for example the relay that carried the join.
    pub hint: Option<Eui64>,
}

/// Become the root of the mesh (cargo feature `root`).
#[derive(Clone, Copy, Debug)]
pub struct AttachRoot {
    /// The root's own short address.
    pub short: ShortAddr,
    /// The mesh prefix, a /64.
    pub prefix: [u8; 8],
    /// The DODAG's version. A root that lost its tables gives the next one (RFC 6550 section 7.2),
    /// so that everybody registers and announces anew.
    pub version: u8,
}

/// What a stack is told.
#[derive(Clone, Copy, Debug)]
pub enum NetInput<'a> {
    /// A frame arrived.
    Frame(Frame<'a>),
    /// A frame of ours left, or did not.
    SendDone(SendDone),
    /// Join the mesh as a router, from a clean slate.
    Attach(Attach),
    /// Be the root of the mesh. Ignored without the cargo feature `root`.
    AttachRoot(AttachRoot),
    /// Forget everything learnt; send nothing secured any more. Unsecured datagrams already taken
    /// still leave, groups stay joined.
    Detach,
    /// The link layer sends under a new key: let the neighbours hear a broadcast soon.
    Announce,
    /// Have the root confirm our route anew: its answer comes by way of the parent.
    AskRoot,
    /// Root: an IPv6 packet from the backbone, whole.
    FromBackbone(&'a [u8]),
    /// Root: the same, of the domain manager, whose packets wait for nobody else's.
    FromManager(&'a [u8]),
    /// Root: the domain manager admitted a device; it may register this address. A root that
    /// attaches anew forgets: tell it everybody again.
    Admitted {
        /// The device.
        eui64: Eui64,
        /// Its short address.
        short: ShortAddr,
    },
    /// Root: the domain manager revoked a device; its registration and route are forgotten.
    Expelled {
        /// The device.
        eui64: Eui64,
    },
    /// Storage holds the reservation that [`NetOutput::StoreMplSequence`] asked for.
    MplSequenceStored {
        /// As asked.
        through: u8,
    },
    /// Storage holds the version that [`NetOutput::StoreDodagVersion`] asked for: it begins.
    DodagVersionStored {
        /// As asked.
        version: u8,
    },
    /// Deliver datagrams to this group and UDP port.
    JoinGroup {
        /// A multicast address.
        addr: Ipv6Addr,
        /// UDP port.
        port: u16,
    },
    /// The opposite.
    LeaveGroup {
        /// As joined.
        addr: Ipv6Addr,
        /// As joined.
        port: u16,
    },
}

/// A frame for the link layer to send. Answer each with one [`SendDone`].
#[derive(Clone, Debug)]
pub struct OutFrame {
    /// Names the frame in [`SendDone`].
    pub token: u32,
    /// Whom it is for.
    pub dst: LinkDst,
    /// Seal it; else it goes in the clear (join port only).
    pub secured: bool,
    /// 6LoWPAN octets.
    pub payload: Vec<u8, 104>,
}

/// A UDP datagram for this device.
#[derive(Clone, Debug)]
pub struct UdpReceived {
    /// IPv6 source.
    pub src: Ipv6Addr,
    /// IPv6 destination: one of ours, or a joined group.
    pub dst: Ipv6Addr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// All its frames were verified by the link layer.
    pub secured: bool,
    /// As received.
    pub hop_limit: u8,
    /// The neighbour that sent the last frame; ourselves if the datagram came out of a tunnel or
    /// from the backbone.
    pub link_src: LinkAddr,
    /// UDP payload.
    pub payload: List<u8, UDP_PAYLOAD_OCTETS_MAX>,
}

/// What a stack wants done.
#[derive(Clone, Debug)]
pub enum NetOutput {
    /// Send a frame.
    Frame(OutFrame),
    /// Deliver a datagram.
    Udp(UdpReceived),
    /// Root: send an IPv6 packet to the backbone.
    ToBackbone(Packet),
    /// Store that MPL sequence numbers up to `through` may be in use, then say
    /// [`NetInput::MplSequenceStored`].
    StoreMplSequence {
        /// The last number reserved.
        through: u8,
    },
    /// Root: another DODAG version shall begin, as soon as storage holds it: a root that restarts must not
    /// begin it again.
    StoreDodagVersion {
        /// Which.
        version: u8,
    },
    /// Something happened.
    Event(NetEvent),
    /// Nothing more until then. Always the last.
    Wait {
        /// When to poll again, [`Instant::FAR_FUTURE`] for never.
        until: Instant,
    },
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct UdpSend<'a> {
    /// Destination. Link-local: sent from our link-local address. Anything else: from our global one.
    pub dst: Ipv6Addr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Seal it. Unsecured goes to link-local addresses from or to the join port only.
    pub secured: bool,
    /// UDP payload.
    pub payload: &'a [u8],
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendRefused {
    /// No parent, or no address yet: only link-local datagrams can leave.
    Detached,
    /// The root knows no route to this node.
    NoRoute,
    /// The payload and its headers exceed [`PACKET_OCTETS_MAX`], or for a group what the
    /// multicast buffers hold.
    TooLarge,
    /// The transmit queue is full; try again after some [`SendDone`].
    QueueFull,
    /// Unsecured, but not link-local or not of the join port.
    Unsecured,
    /// The unspecified address, or a link-local one that names no neighbour.
    BadDestination,
}
