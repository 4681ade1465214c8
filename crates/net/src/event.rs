//! What a stack reports: milestones, and noise by name.

use lowgate_units::{Eui64, Ipv6Addr, ShortAddr};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// The preferred parent changed; `None` when there is none any more.
    ParentChanged {
        /// Its link address.
        parent: Option<Eui64>,
        /// Our own rank now, `u16::MAX` when there is no parent.
        rank: u16,
    },
    /// The root holds our registration.
    Registered {
        /// Our global address.
        addr: Ipv6Addr,
    },
    /// Our registration was refused. The stack tries again, later and by another parent.
    RegistrationRefused {
        /// Why.
        status: RegistrationStatus,
    },
    /// Registered, and the root confirmed our route: the global address works both ways.
    Attached {
        /// Our global address.
        addr: Ipv6Addr,
        /// Hops to the root, as the confirmation counted them.
        hops: u8,
    },
    /// The way to the root was lost; the stack looks for another.
    Detached,
    /// An answer to [`Stack::ping`](crate::Stack::ping).
    EchoReply {
        /// Who answered.
        from: Ipv6Addr,
        /// As asked.
        identifier: u16,
        /// As asked.
        sequence: u16,
        /// Of the answer.
        hop_limit: u8,
        /// Octets of data.
        len: u16,
    },
    /// Somebody reports that a packet of ours did not arrive.
    Unreachable {
        /// Where our packet was going.
        dst: Ipv6Addr,
        /// ICMPv6 type.
        kind: u8,
        /// ICMPv6 code.
        code: u8,
    },
    /// Root: a device registered its address.
    DeviceRegistered {
        /// The device.
        eui64: Eui64,
        /// Its address.
        short: ShortAddr,
    },
    /// Root: a device that nobody admitted asked for registration.
    RegistrationDenied {
        /// The device.
        eui64: Eui64,
        /// What it answered.
        status: RegistrationStatus,
    },
    /// Root: a device's way up is known or changed.
    RouteChanged {
        /// The device.
        device: ShortAddr,
        /// Its parent.
        parent: ShortAddr,
    },
    /// Root: a device's way is not known any more, or takes nothing.
    RouteLost {
        /// The device.
        device: ShortAddr,
    },
    /// Noise.
    Dropped(NetDrop),
}

/// Status of a registration, RFC 8505 section 4.1 (registry "Address Registration Option Status").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationStatus {
    /// 0.
    Success,
    /// 1: another device holds the address.
    DuplicateAddress,
    /// 2: the router's table is full; another router may take us.
    NeighborCacheFull,
    /// 3: an older registration than the one that is held.
    Moved,
    /// 4: the registration was withdrawn.
    Removed,
    /// 9: the root's registry is full.
    RegistrySaturated,
    /// 10: the root does not know the device as admitted.
    ValidationFailed,
    /// Any other refusal.
    Other(u8),
}

impl RegistrationStatus {
    /// From the octet on the wire.
    pub const fn from_raw(raw: u8) -> Self {
        match raw {
            0 => Self::Success,
            1 => Self::DuplicateAddress,
            2 => Self::NeighborCacheFull,
            3 => Self::Moved,
            4 => Self::Removed,
            9 => Self::RegistrySaturated,
            10 => Self::ValidationFailed,
            other => Self::Other(other),
        }
    }

    /// The octet on the wire.
    pub const fn raw(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::DuplicateAddress => 1,
            Self::NeighborCacheFull => 2,
            Self::Moved => 3,
            Self::Removed => 4,
            Self::RegistrySaturated => 9,
            Self::ValidationFailed => 10,
            Self::Other(raw) => raw,
        }
    }
}

/// Why a frame, a packet or a message went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetDrop {
    /// The 6LoWPAN headers or fragments do not make sense.
    Adaptation,
    /// The reassembly pool is full or timed out.
    Reassembly,
    /// Unsecured and not a link-local UDP datagram of the join port, hop limit 255.
    Unsecured,
    /// Secured, but this stack is detached.
    Detached,
    /// Not a well-formed IPv6 packet.
    MalformedIpv6,
    /// A UDP datagram with a bad length or checksum (zero included, RFC 8200 section 8.1).
    MalformedUdp,
    /// An ICMPv6 message with a bad length, checksum or type.
    MalformedIcmpv6,
    /// A neighbour discovery message that RFC 4861, 6775 or 8505 says to discard.
    MalformedNd,
    /// A RPL message that cannot be read, or of a mode or instance we do not speak.
    MalformedRpl,
    /// An MPL option or control message that cannot be read.
    MalformedMpl,
    /// A routing header that is wrong or names us twice (RFC 6554 section 4.2).
    MalformedSourceRoute,
    /// An unknown option that demands discarding, or an unknown header.
    UnknownHeader,
    /// A destination or source that has no business here.
    Address,
    /// The hop limit ran out.
    HopLimit,
    /// No parent to forward to, or the root knows no route.
    NoRoute,
    /// A forwarding loop, shown by the RPL option (RFC 6550 section 11.2.2.2).
    Loop,
    /// Larger than what the mesh carries.
    TooLarge,
    /// The transmit queue is full.
    QueueFull,
    /// The link layer gave up on it.
    LinkFailed,
    /// The owner did not drain outputs.
    OutputFull,
    /// No room for another multicast seed or message.
    MplFull,
    /// A table (neighbours, registrations, routes) is full.
    TableFull,
    /// A route announced by an address that is not registered.
    NotRegistered,
}
