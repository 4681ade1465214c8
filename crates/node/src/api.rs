//! What goes into a [`Node`](crate::Node) and what comes out of it.

use crate::flash::{Record, RecordKey};
use crate::groups::GroupFault;
use crate::pair_event::PairEvent;
use alloc::vec::Vec;
use heapless::Vec as FixedVec;
use lowgate_access::joiner::Datagram;
use lowgate_access::joiner::JoinerEvent;
use lowgate_access::relay::RelayDrop;
use lowgate_amikey::tree::TreeFault;
use lowgate_amikey::{GroupId, KeyIndex, Membership};
use lowgate_coap::{ExchangeId, Request, Response};
use lowgate_crypto::Ccm;
use lowgate_dtls::group::{GroupDrop, SenderId};
use lowgate_dtls::{IDENTITY_OCTETS_MAX, Psk, Retransmission};
use lowgate_mac::{MacEvent, RadioCommand, RadioEvent};
use lowgate_net::{NetEvent, Packet, SendRefused};
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, ShortAddr};

/// What a device does besides relaying and routing, which all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has a lamp: resource `/light`, `GET` and `PUT 0|1`.
    Light,
    /// Has a rocker: a press commands its groups.
    Switch,
    /// Measures: resource `/sensor`, `GET`.
    Sensor,
    /// Has a second interface: root of the mesh, managed by resources that its owner answers.
    BorderRouter,
}

/// Who a node is: what its maker wrote into it.
#[derive(Clone)]
pub struct NodeConfig {
    /// The maker's address.
    pub eui64: Eui64,
    /// What it calls itself in the handshake: the inventory knows it by that. By default the octets of its
    /// EUI-64.
    pub identity: FixedVec<u8, IDENTITY_OCTETS_MAX>,
    /// Known to the domain manager too, and to nobody else.
    pub psk: Psk,
    /// What it does.
    pub kind: Kind,
    /// Groups it asks for.
    pub groups: FixedVec<Membership, GROUPS_MAX>,
    /// Channels to scan, in turn; at least one.
    pub channels: FixedVec<Channel, 16>,
    /// The cipher.
    pub ccm: &'static dyn Ccm,
    /// When it repeats what it says to the manager before it is a member.
    pub retransmission: Retransmission,
    /// Follow key trees, in a build that can (feature `trees`): the manager then tells by one message to many what
    /// changes for all of them.
    pub key_trees: bool,
    /// Have keys with other devices, in a build that can (feature `pairs`).
    pub pairs: bool,
    /// Report the secrets of DTLS sessions.
    pub key_log: bool,
}

/// Groups a device can be in.
pub const GROUPS_MAX: usize = 4;
/// Groups a border router can be in: as many as a domain has, since it sends to all of them.
pub const ROUTER_GROUPS_MAX: usize = 64;

/// What a node is told.
#[derive(Debug)]
pub enum Input {
    /// It has power. Always the first.
    Start,
    /// From the radio.
    Radio(RadioEvent),
    /// Storage holds what [`Output::Store`] of this ticket asked for.
    Stored {
        /// As given.
        ticket: u32,
    },
    /// Somebody pressed the rocker: command every group in which this node sends.
    Press {
        /// Light on, or off.
        on: bool,
    },
    /// Ask another device for something (CoAP), in a DTLS session with it alone.
    Ask {
        /// Whom: nobody else is taken for it.
        peer: Eui64,
        /// Where it is.
        addr: Ipv6Addr,
        /// What.
        request: Request,
    },
    /// A sensor has measured, in tenths of its unit.
    Measured {
        /// So many.
        tenths: i16,
    },
    /// Ask an address for an echo.
    Ping {
        /// Whom.
        dst: Ipv6Addr,
        /// Comes back in the event.
        sequence: u16,
    },
    /// Border router: a datagram of the domain manager to this node's own session.
    FromManager(Datagram),
    /// Border router: an IPv6 packet from the backbone for the mesh.
    FromBackbone(Packet),
    /// Border router: the domain manager admitted a device.
    Admitted {
        /// The device.
        eui64: Eui64,
        /// Its short address.
        short: ShortAddr,
    },
    /// Border router: the domain manager expelled a device.
    Expelled {
        /// The device.
        eui64: Eui64,
    },
    /// Border router: the answer to [`Output::Managed`].
    Managed {
        /// The exchange.
        exchange: ExchangeId,
        /// The answer.
        response: Response,
    },
}

/// What a node wants.
#[derive(Debug)]
pub enum Output {
    /// For the radio.
    Radio(RadioCommand),
    /// Write a record, then say [`Input::Stored`].
    Store {
        /// Comes back.
        ticket: u32,
        /// The record.
        record: Record,
    },
    /// Delete a record, after the writes that were asked for before. Nothing waits for it.
    Erase(RecordKey),
    /// Border router: a datagram of this node's session with the domain manager.
    ToManager(Datagram),
    /// Border router: an IPv6 packet from the mesh for the backbone.
    ToBackbone(Packet),
    /// Border router: the domain manager asks something of it; answer with [`Input::Managed`].
    Managed {
        /// The exchange.
        exchange: ExchangeId,
        /// What it asks.
        request: Request,
    },
    /// Something happened.
    Event(Event),
    /// Nothing more until then.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// What happened to a node, for its owner, for people and for the simulator's checkers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// On the way into the network.
    Join(JoinerEvent),
    /// In the mesh.
    Net(NetEvent),
    /// On the link.
    Mac(MacEvent),
    /// A frame was opened by the link-layer key of this index.
    FrameOpened {
        /// Who sealed it.
        src: Eui64,
        /// The key.
        key: KeyIndex,
    },
    /// As a relay: something was dropped.
    RelayDropped(RelayDrop),
    /// Frames are sealed with this key now, and the keys before it are gone.
    LinkKeySwitched(KeyIndex),
    /// A group's keys are in force.
    GroupKeyed {
        /// The group.
        group: GroupId,
        /// The epoch.
        epoch: u16,
    },
    /// The domain manager took this node out of a group.
    GroupLeft(GroupId),
    /// A command was sealed for a group and sent.
    GroupSent {
        /// The group.
        group: GroupId,
        /// The record as it went to the group's port.
        record: Vec<u8>,
    },
    /// A command could not be sent.
    GroupSendRefused(GroupId),
    /// A group's messages were acknowledged and cannot be used.
    GroupRefused {
        /// The group.
        group: GroupId,
        /// What is wrong with them.
        fault: GroupFault,
    },
    /// A group's record was opened.
    GroupOpened {
        /// The group.
        group: GroupId,
        /// Its epoch.
        epoch: u16,
        /// Its sender.
        sender: SenderId,
        /// Its number, the sender's own.
        sequence: u64,
    },
    /// A group's record was dropped.
    GroupDropped(GroupId, GroupDrop),
    /// A key tree's message was dropped.
    TreeDropped(TreeFault),
    /// Between this device and another.
    Pair(PairEvent),
    /// The lamp was set.
    Light {
        /// On, or off.
        on: bool,
    },
    /// Somebody wants to see which device this is.
    Identify {
        /// For so long.
        seconds: u16,
    },
    /// A datagram came for a port that nobody listens on, or not in the way it must.
    DatagramUnwanted {
        /// The port.
        port: u16,
    },
    /// A datagram could not be sent.
    SendRefused(SendRefused),
    /// No echo could be asked for.
    PingRefused,
    /// A change of link key passed this node by; it joins again.
    Stranded,
}
