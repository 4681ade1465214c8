//! What goes into the manager and what comes out: every type its owner sees.

use crate::change::Batch;
use crate::command::CommandRefused;
use crate::decide::{GroupRefused, ImportRefused, NotAuthorized, RevokeRefused, WindowRefused};
use crate::device::{DeviceRecord, DeviceState, Identity, Kind};
use crate::key_status::KeyStatus;
use crate::membership::MemberRefused;
use crate::pairs::PAIR_DEGREE_USUAL;
use crate::pan::PanConfig;
use crate::rekey::RekeyRefused;
use lowgate_amikey::pairwise::SetName;
use lowgate_amikey::tree::TreeName;
use lowgate_amikey::{GroupId, KeyError, KeyIndex, Role, TekId};
use lowgate_crypto::Ccm;
use lowgate_dtls::{CloseReason, KeyLog, Peer, RecordDrop, Retransmission};
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, PanId, ShortAddr};
use std::fmt;

/// What the owner chooses.
#[derive(Clone)]
pub struct ManagerConfig {
    /// The cipher.
    pub ccm: &'static dyn Ccm,
    /// When handshakes and key messages are repeated.
    pub retransmission: Retransmission,
    /// Ask for a cookie before any state is kept. Off only to reproduce old measurements.
    pub cookie: bool,
    /// How long a new link-layer key waits for devices that do not confirm it, since the last that did.
    pub rollover_deadline: Duration,
    /// Octets of join traffic per second that a relay may pass.
    pub join_rate: u32,
    /// For how long an identity behind a relay, or a relay's stranger, is barred once it failed three times. Who has
    /// the key gets in all the same; the others hear nothing more.
    pub bar_for: Option<Duration>,
    /// The degree of the polynomial for the keys of pairs, where there is none yet: so many devices together learn
    /// nothing of the keys of others, one more would learn them all.
    pub pair_degree: u16,
    /// Report [`ManagerOutput::KeyLog`].
    pub key_log: bool,
}

impl ManagerConfig {
    /// The defaults: adaptive retransmission, cookies, 60 s for laggards, no bars, no key log.
    pub const fn new(ccm: &'static dyn Ccm) -> Self {
        Self {
            ccm,
            retransmission: Retransmission::USUAL,
            cookie: true,
            rollover_deadline: Duration::from_secs(60),
            join_rate: 1024,
            bar_for: None,
            pair_degree: PAIR_DEGREE_USUAL,
            key_log: false,
        }
    }
}

impl fmt::Debug for ManagerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerConfig").finish_non_exhaustive()
    }
}

/// What happens to a manager.
#[derive(Clone, Copy, Debug)]
pub enum ManagerInput<'a> {
    /// A UDP datagram arrived at one of the manager's two ports.
    Datagram {
        /// IPv6 source.
        src: Ipv6Addr,
        /// UDP source port.
        src_port: u16,
        /// UDP destination port.
        dst_port: u16,
        /// UDP payload.
        octets: &'a [u8],
    },
    /// The store has the batch of that revision.
    Committed {
        /// The batch's revision.
        revision: u64,
    },
    /// The store did not take the batch. The manager stops for good: its memory is ahead of the
    /// store. The owner restores another one from the store.
    StoreFailed,
    /// Time has passed.
    Wake,
}

/// What a manager wishes or tells. Drain until `Wait`.
#[derive(Debug, PartialEq, Eq)]
pub enum ManagerOutput {
    /// Send a UDP datagram.
    Datagram {
        /// IPv6 destination.
        dst: Ipv6Addr,
        /// UDP destination port.
        dst_port: u16,
        /// UDP source port.
        src_port: u16,
        /// UDP payload.
        octets: Vec<u8>,
    },
    /// Store this, then say [`ManagerInput::Committed`]. One batch is out at a time.
    Commit(Batch),
    /// The answer to a request.
    Reply {
        /// The request's number.
        id: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Something worth knowing.
    Event(ManagerEvent),
    /// A session's secrets, asked for by `key_log`.
    KeyLog(KeyLog),
    /// Nothing more before `until`, unless fed.
    Wait {
        /// [`Instant::FAR_FUTURE`]: no timer runs.
        until: Instant,
    },
}

/// The owner's number for a request; the reply carries it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What an operator or installer wants. Each gets one [`Reply`]; a change only once it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Lines for the inventory, all or none.
    Import(Vec<DeviceRecord>),
    /// A new group.
    CreateGroup {
        /// Its number, never anybody else's.
        id: GroupId,
        /// What people call it.
        name: String,
    },
    /// Put a device into a group.
    AddMember {
        /// Which group.
        group: GroupId,
        /// Which device.
        eui64: Eui64,
        /// As what.
        role: Role,
    },
    /// Take a device out of a group, and replace the group's keys if it held them.
    RemoveMember {
        /// Which group.
        group: GroupId,
        /// Which device.
        eui64: Eui64,
    },
    /// Send a command to a group: CoAP PUT of a value, non-confirmable, which nobody answers.
    CommandGroup {
        /// Which group.
        group: GroupId,
        /// Path without leading slash.
        path: String,
        /// At most [`crate::VALUE_OCTETS_MAX`] octets.
        value: Vec<u8>,
    },
    /// All groups and who is in them.
    ListGroups,
    /// Let expected devices in until then.
    OpenWindow {
        /// By the owner's clock, at most [`crate::WINDOW_MAX`] away.
        until: Instant,
    },
    /// Let expected devices in no more.
    CloseWindow,
    /// Expel a device and replace every key it held.
    Revoke {
        /// Whom.
        eui64: Eui64,
    },
    /// Another link-layer key in every PAN.
    RekeyNetwork,
    /// Another epoch of a group.
    RekeyGroup {
        /// Which.
        id: GroupId,
    },
    /// Another polynomial for the keys of pairs.
    RekeyPairs,
    /// Where every key stands.
    KeyStatus,
    /// CoAP GET of a resource of a device, in its session.
    ReadResource {
        /// Whose.
        eui64: Eui64,
        /// Path without leading slash.
        path: String,
    },
    /// The inventory and where everybody stands.
    ListDevices,
    /// The domain in a few numbers.
    Status,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done and stored.
    Done,
    /// A command to a group left in some of the PANs where it has members.
    SentInPart {
        /// Border routers that sent it.
        sent: usize,
        /// PANs with members.
        of: usize,
        /// Why the first of the others did not.
        why: CommandRefused,
    },
    /// What the device answered.
    Resource {
        /// CoAP code, class in the upper 3 bits.
        code: u8,
        /// What came with it.
        payload: Vec<u8>,
        /// From the request's first transmission to the answer.
        round_trip: Duration,
    },
    /// All groups, by number.
    Groups(Vec<GroupView>),
    /// Everybody, by EUI-64.
    Devices(Vec<DeviceView>),
    /// The domain in a few numbers.
    Status(Status),
    /// Where every key stands.
    Keys(KeyStatus),
    /// It is not done, and nothing changed.
    Refused(Refusal),
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Every fault of the import.
    Import(Vec<ImportRefused>),
    /// The group.
    Group(GroupRefused),
    /// The change of membership.
    Member(MemberRefused),
    /// The command.
    Command(CommandRefused),
    /// The window.
    Window(WindowRefused),
    /// The revocation.
    Revoke(RevokeRefused),
    /// The rekey.
    Rekey(RekeyRefused),
    /// The device is no member, or has no session now.
    NoSession,
    /// No path of a resource, or longer than [`crate::PATH_OCTETS_MAX`].
    Path,
    /// The device did not answer.
    NoAnswer,
    /// [`crate::READS_MAX`] reads and commands are under way.
    Busy,
    /// The store failed: this manager does nothing more.
    StoreFailed,
}

/// What people see of a device. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// Who.
    pub eui64: Eui64,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// Where it hangs.
    pub room: String,
    /// Where it stands.
    pub state: DeviceState,
    /// Its address in its mesh, while it is a member.
    pub addr: Option<Ipv6Addr>,
    /// Where its session is heard, while it has one.
    pub peer: Option<Peer>,
    /// Whether it confirmed the keys of its session.
    pub keys_confirmed: bool,
    /// Handshakes in its name that failed since this manager started.
    pub handshakes_failed: u32,
}

/// What people see of a group. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its number.
    pub id: GroupId,
    /// What people call it.
    pub name: String,
    /// Its multicast address in the founding PAN.
    pub addr: Ipv6Addr,
    /// Its multicast address in each PAN where it has members.
    pub addrs: Vec<(PanId, Ipv6Addr)>,
    /// How many keys it has had.
    pub epoch: TekId,
    /// Who is in it and not revoked.
    pub members: Vec<(Eui64, Role)>,
}

/// The domain in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The last revision stored.
    pub revision: u64,
    /// Devices in the inventory that have not joined.
    pub expected: usize,
    /// Members, the border routers among them.
    pub admitted: usize,
    /// Expelled devices.
    pub revoked: usize,
    /// Groups.
    pub groups: usize,
    /// Established sessions.
    pub sessions: usize,
    /// When the join window closes; `None` if it is closed.
    pub window_until: Option<Instant>,
    /// All PANs, by number.
    pub pans: Vec<PanStatus>,
    /// Failed handshakes in names that are not in the inventory.
    pub strangers: u32,
}

/// A PAN in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanStatus {
    /// What is fixed about it.
    pub config: PanConfig,
    /// Its border router, while that is a member.
    pub border_router: Option<Eui64>,
    /// Members, the border router among them.
    pub members: usize,
    /// Index of the link-layer key in force.
    pub key_index: u8,
    /// Index of the one to come, while it is being spread.
    pub staged_key_index: Option<u8>,
    /// The last revision of which the border router confirmed the admitted set.
    pub router_revision: Option<u64>,
}

/// What happened; for the ledger, the log and the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerEvent {
    /// Somebody proved to be heard at `peer` and began a handshake.
    HelloReceived {
        /// Where.
        peer: Peer,
    },
    /// A device proved to hold its key.
    Authenticated {
        /// Who.
        eui64: Eui64,
        /// Where.
        peer: Peer,
    },
    /// A handshake led to nothing.
    HandshakeFailed {
        /// Where.
        peer: Peer,
        /// Whom it claimed to be; nobody vouches for it.
        claimed: Option<Identity>,
        /// Why.
        reason: CloseReason,
    },
    /// A device of the inventory is not let in.
    NotAuthorized {
        /// Who.
        eui64: Eui64,
        /// Why.
        why: NotAuthorized,
    },
    /// A device asked for a group that the inventory does not give it: it is let in without.
    GroupWithheld {
        /// Who.
        eui64: Eui64,
        /// Which group.
        group: GroupId,
    },
    /// A device is a member from now on.
    Admitted {
        /// Who.
        eui64: Eui64,
        /// Its address.
        short: ShortAddr,
    },
    /// A member authenticated anew.
    Returned {
        /// Who.
        eui64: Eui64,
        /// Its address, the same as ever.
        short: ShortAddr,
    },
    /// A member authenticated anew and is in another PAN from now on.
    Moved {
        /// Who.
        eui64: Eui64,
        /// Into which PAN.
        pan: PanId,
        /// Its address there.
        short: ShortAddr,
    },
    /// A border router confirmed its admitted set.
    RouterConfirmed {
        /// Of which PAN.
        pan: PanId,
        /// Of that revision.
        revision: u64,
    },
    /// A border router did not take its admitted set; it is offered again.
    RouterFailed {
        /// Of which PAN.
        pan: PanId,
        /// Its CoAP code; `None` when it did not answer.
        code: Option<u8>,
    },
    /// Keys left for a device, for the first time.
    KeysSent {
        /// Whose.
        eui64: Eui64,
        /// Messages in the record.
        messages: usize,
        /// Octets of them.
        octets: usize,
    },
    /// A device confirmed all it was sent.
    KeysConfirmed {
        /// Who.
        eui64: Eui64,
    },
    /// A device refused a key message.
    KeysRefused {
        /// Who.
        eui64: Eui64,
        /// Why.
        error: KeyError,
    },
    /// A device's session is heard elsewhere now.
    SessionMoved {
        /// Whose.
        eui64: Eui64,
        /// Where.
        peer: Peer,
    },
    /// A session ended.
    SessionEnded {
        /// Whose.
        eui64: Eui64,
        /// Why.
        reason: CloseReason,
    },
    /// A device did not confirm in time what it was sent.
    GaveUp {
        /// Who.
        eui64: Eui64,
        /// What it lacks.
        what: Lacks,
    },
    /// A device is expelled.
    Revoked {
        /// Who.
        eui64: Eui64,
    },
    /// How far the key to come is spread.
    RekeyProgress {
        /// Of which PAN.
        pan: PanId,
        /// Members that confirmed it.
        done: usize,
        /// Members.
        of: usize,
    },
    /// What was told through a key tree has come through, or not.
    TreeTold {
        /// In which PAN.
        pan: PanId,
        /// Which tree.
        tree: TreeName,
        /// Members that it was for.
        told: usize,
        /// Of those, who is told by unicast after all.
        unreached: usize,
    },
    /// A mesh uses another link-layer key.
    KeySwitched {
        /// Of which PAN.
        pan: PanId,
        /// Its index.
        index: KeyIndex,
    },
    /// A group has another epoch; its members are told.
    EpochStarted {
        /// The group.
        group: GroupId,
        /// The epoch.
        tek_id: TekId,
    },
    /// How far the epoch in force of a group is spread.
    EpochProgress {
        /// The group.
        group: GroupId,
        /// Members that confirmed it.
        done: usize,
        /// Members.
        of: usize,
    },
    /// Another polynomial for the keys of pairs is in force; devices are told.
    PairsStarted {
        /// Which.
        name: SetName,
    },
    /// A device fetched its share to the last octet.
    ShareTold {
        /// Which device.
        eui64: Eui64,
        /// Of which polynomial.
        name: SetName,
    },
    /// Something that arrived was dropped.
    DatagramDropped(ManagerDrop),
    /// The store failed; nothing follows.
    StoreFailed,
}

/// What a device did not confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lacks {
    /// The keys and the configuration of its join.
    JoinKeys,
    /// New group keys.
    Update,
    /// The link-layer key to come: it will have to join again.
    StagedKey,
    /// A border router: the command to switch.
    Switch,
}

/// Why something that arrived was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerDrop {
    /// To a port the manager does not have.
    Port(u16),
    /// From a relay at an address that is in no mesh of the domain.
    RelayOutsideMesh(Ipv6Addr),
    /// Not a relay's envelope.
    Envelope(lowgate_access::jpy::EnvelopeDrop),
    /// The record layer dropped it.
    Record {
        /// Where it came from.
        peer: Peer,
        /// Why.
        drop: RecordDrop,
    },
    /// A key-management record of a device could not be read.
    KeyMessage(lowgate_amikey::MessageDrop),
    /// A key message that only a manager sends.
    UnexpectedKeyMessage,
    /// A message of a session that is not one, or no longer.
    NoSession,
    /// The CoAP layer dropped it.
    Coap(lowgate_coap::CoapDrop),
}
