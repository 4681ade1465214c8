//! What goes into and comes out of the keyed half of the MAC.

use crate::seam::{RadioCommand, RadioEvent, TxStatus};
use lowgate_crypto::{Ccm, Key128};
use lowgate_ieee802154::{FrameCounter, KeyIndex, ParseDrop, SecurityLevel};
use lowgate_units::{
    Channel, Duration, Eui64, Instant, LinkAddr, LinkDst, Lqi, PanId, Rssi, ShortAddr,
};

/// Most octets any data frame carries: unsecured, short addresses, one PAN id.
pub const PAYLOAD_OCTETS_MAX: usize = 116;
/// Most octets we send secured to a short address or to everyone.
pub const PAYLOAD_SECURED_SHORT_OCTETS_MAX: usize = 96;
/// Most octets we send secured to an extended address.
pub const PAYLOAD_SECURED_EXTENDED_OCTETS_MAX: usize = 90;
/// Most octets we send unsecured to an extended address.
pub const PAYLOAD_UNSECURED_EXTENDED_OCTETS_MAX: usize = 104;
/// Most octets behind the fields of our beacons.
pub const BEACON_PAYLOAD_OCTETS_MAX: usize = 108;
/// Keys held at once: one active, one staged, one about to be retired, one to spare.
pub const KEYS_MAX: usize = 4;
/// Frames waiting for the radio: two full IPv6 datagrams in fragments.
pub const QUEUE_FRAMES_MAX: usize = 32;
/// Neighbours whose counters are remembered: twice the 64 that a dense building shows.
pub const NEIGHBOURS_MAX: usize = 128;
/// Frame counters reserved with one write to storage.
pub const COUNTER_BLOCK: u32 = 1024;
/// The next block is asked for when fewer are left: a slow flash holds up no frame.
pub const COUNTER_LOW_WATER: u32 = 256;
/// A radio that did not say how a transmission ended is not waited for any longer. Eight attempts
/// at the longest backoffs take 0.5 s.
pub const RADIO_SILENCE_MAX: Duration = Duration::from_secs(2);

/// A payload as it was received.
pub type Payload = heapless::Vec<u8, PAYLOAD_OCTETS_MAX>;

/// What a [`Mac`](crate::Mac) is born with.
#[derive(Clone, Copy)]
pub struct MacConfig {
    /// Our extended address, the source of every frame.
    pub eui64: Eui64,
    /// The cipher.
    pub ccm: &'static dyn Ccm,
    /// How we seal, and the only level we open.
    pub level: LinkSecurity,
}

impl MacConfig {
    /// With the network's level, 6.
    pub const fn new(eui64: Eui64, ccm: &'static dyn Ccm) -> Self {
        Self { eui64, ccm, level: LinkSecurity::EncMic64 }
    }
}

/// The levels a network may run: those with encryption and integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSecurity {
    /// Level 5.
    EncMic32,
    /// Level 6.
    EncMic64,
}

impl LinkSecurity {
    /// The level on the wire.
    pub const fn level(self) -> SecurityLevel {
        match self {
            Self::EncMic32 => SecurityLevel::EncMic32,
            Self::EncMic64 => SecurityLevel::EncMic64,
        }
    }
}

/// Whether a frame leaves sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In clear: only on the way into the network.
    Unsecured,
    /// Under the active key.
    Secured,
}

/// Into the keyed half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacInput<'a> {
    /// From the radio.
    Radio(RadioEvent),
    /// Send a data frame. Ends in exactly one [`MacOutput::SendDone`].
    Send {
        /// The caller's; comes back.
        token: u32,
        /// To whom. Unicast asks for an acknowledgement.
        dst: LinkDst,
        /// Sealed or not.
        security: Security,
        /// At most what the addresses and security leave room for.
        payload: &'a [u8],
    },
    /// Ask every router in range for a beacon.
    SendBeaconRequest,
    /// Send a beacon: unsecured, to everyone.
    SendBeacon {
        /// At most [`BEACON_PAYLOAD_OCTETS_MAX`].
        payload: &'a [u8],
    },
    /// Where we are. A change of channel or PAN drops what waits in the queue.
    SetNetwork {
        /// The channel.
        channel: Channel,
        /// `None` while scanning.
        pan_id: Option<PanId>,
        /// Our short address in it.
        short: Option<ShortAddr>,
    },
    /// A key to open frames with. Sends nothing before it is activated. Another key of the same
    /// index is wiped; the same key again only raises the floor.
    InstallKey {
        /// Its number on the wire.
        index: KeyIndex,
        /// The key.
        key: Key128,
        /// Every counter below may have been used by us: after a restart, the `below` that storage
        /// last reported for this key.
        counter_floor: FrameCounter,
    },
    /// Seal with this key from now on; the one before still opens.
    ActivateKey {
        /// An installed key's.
        index: KeyIndex,
    },
    /// Wipe this key and the counters under it.
    RetireKey {
        /// An installed key's.
        index: KeyIndex,
    },
    /// Wipe all keys and counters, drop the queue.
    ForgetAll,
    /// Storage holds what [`MacOutput::ReserveCounter`] asked for.
    CounterReserved {
        /// The key.
        index: KeyIndex,
        /// As asked.
        below: FrameCounter,
    },
}

/// Out of the keyed half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacOutput {
    /// For the radio.
    Radio(RadioCommand),
    /// A data frame for us, not a replay and not a duplicate.
    Received {
        /// Always extended.
        src: LinkAddr,
        /// Us or everyone.
        dst: LinkDst,
        /// The key that opened it, maybe one not yet active; `None` came in clear.
        secured: Option<KeyIndex>,
        /// What it carries.
        payload: Payload,
        /// How strong it was.
        rssi: Rssi,
        /// How clean it was.
        lqi: Lqi,
    },
    /// Somebody unknown looks for a network. The owner limits the rate of its answers.
    BeaconRequested {
        /// Usually absent.
        src: Option<LinkAddr>,
    },
    /// A beacon, in clear: a hint, not a fact.
    BeaconHeard {
        /// Its sender.
        src: Eui64,
        /// Its PAN.
        pan_id: PanId,
        /// What it carries behind the beacon's own fields.
        payload: Payload,
        /// How strong it was.
        rssi: Rssi,
        /// How clean it was.
        lqi: Lqi,
    },
    /// The end of one [`MacInput::Send`].
    SendDone {
        /// The caller's.
        token: u32,
        /// How it ended.
        status: SendStatus,
        /// Times the frame was on the air.
        attempts: u8,
    },
    /// Store `below` for this key, then say [`MacInput::CounterReserved`]. No frame uses a counter
    /// that was not stored this way.
    ReserveCounter {
        /// The key.
        index: KeyIndex,
        /// The first counter *not* reserved: the floor to give after a restart.
        below: FrameCounter,
    },
    /// For statistics and for the owner's decisions.
    Event(MacEvent),
    /// Nothing more until then, or until the next input.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// How a [`MacInput::Send`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// The radio tried.
    Radio(TxStatus),
    /// It never reached the radio.
    Dropped(SendDrop),
}

impl SendStatus {
    /// The neighbour acknowledged, or nobody was asked to.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Radio(TxStatus::Acked | TxStatus::Sent))
    }
}

/// Why a frame never reached the radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendDrop {
    /// [`QUEUE_FRAMES_MAX`] frames wait already.
    QueueFull,
    /// No key is active.
    NoActiveKey,
    /// The active key has no counter left; only a new key helps.
    CountersExhausted,
    /// More payload than the frame has room for.
    PayloadTooLong,
    /// No PAN is set.
    NoNetwork,
    /// The channel or the PAN changed meanwhile.
    NetworkChanged,
    /// All keys were wiped meanwhile.
    Forgotten,
    /// The radio did not say within [`RADIO_SILENCE_MAX`] how the transmission ended.
    RadioSilent,
}

/// What the owner may want to know or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacEvent {
    /// Noise.
    FrameDropped(FrameDrop),
    /// A frame under a key we do not have: a rekey that we missed, or a forgery.
    UnknownKey {
        /// Its number.
        index: KeyIndex,
        /// Who claims to have sent it.
        src: Eui64,
    },
    /// [`KEYS_MAX`] keys are installed, or the key to activate is not.
    KeyRefused {
        /// Its number.
        index: KeyIndex,
    },
    /// The owner did not poll in time; ends of transmissions may be among the lost.
    OutputsLost {
        /// How many.
        count: u16,
    },
    /// A beacon or a beacon request that never reached the radio.
    BeaconDropped(SendDrop),
}

/// Why a received frame went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameDrop {
    /// Not a frame we read.
    Malformed(ParseDrop),
    /// For another device or PAN.
    NotForUs,
    /// Our own extended address as its source.
    OwnAddress,
    /// A frame whose source is not extended: no nonce, no neighbour.
    SourceNotExtended,
    /// Another security level than the network's.
    Level(SecurityLevel),
    /// Another key identifier mode than 1.
    KeyIdMode,
    /// Counter 0xffffffff.
    CounterExhausted,
    /// A counter at or below the last authentic one.
    Replayed,
    /// The tag is wrong, or missing.
    BadMic,
    /// [`NEIGHBOURS_MAX`] neighbours are known under live keys.
    NeighbourTableFull,
    /// An unsecured frame that came twice.
    Duplicate,
    /// A command other than an unsecured Beacon Request.
    Command,
    /// A secured beacon, or one that names no PAN.
    Beacon,
    /// An acknowledgement that the radio should have kept.
    Ack,
}
