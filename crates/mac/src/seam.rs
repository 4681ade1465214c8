//! The radio seam: what the keyed half of the MAC asks of a radio, and what it hears.
//!
//! The simulator, a co-processor and a radio driver stand below it, each around one
//! [`LinkMachine`](crate::LinkMachine). Nothing below the seam holds a key.

use lowgate_ieee802154::PSDU_OCTETS_MAX;
use lowgate_units::{Channel, Eui64, Instant, Lqi, PanId, Rssi, ShortAddr};

/// One frame, MAC header first, without its FCS.
pub type Psdu = heapless::Vec<u8, PSDU_OCTETS_MAX>;

/// Names one transmission between its command and its event. The owner above the seam chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxToken(pub u32);

/// Where to listen and which frames are for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadioConfig {
    /// The channel.
    pub channel: Channel,
    /// `None` while scanning: beacons of every PAN are taken, and of the rest what is for any PAN.
    pub pan_id: Option<PanId>,
    /// Our short address, once the domain manager gave one.
    pub short: Option<ShortAddr>,
    /// Our extended address.
    pub eui64: Eui64,
    /// Everything on the channel is taken, acknowledgements and what is no frame too, and nothing is
    /// acknowledged: for captures.
    pub promiscuous: bool,
}

/// To the radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RadioCommand {
    /// Holds until the next one. A transmission in progress ends first.
    Configure(RadioConfig),
    /// CSMA-CA, transmission, and as many retries as it takes. One at a time: the next one follows
    /// [`RadioEvent::Transmitted`].
    Transmit {
        /// Comes back in the event.
        token: TxToken,
        /// Every attempt sends these same octets.
        psdu: Psdu,
    },
}

/// From the radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RadioEvent {
    /// A frame for us, already acknowledged when it asked for that. Never an acknowledgement, unless
    /// all is taken.
    Received {
        /// The frame.
        psdu: Psdu,
        /// How strong it was.
        rssi: Rssi,
        /// How clean it was.
        lqi: Lqi,
    },
    /// The end of one [`RadioCommand::Transmit`].
    Transmitted {
        /// The command's.
        token: TxToken,
        /// How it ended.
        status: TxStatus,
        /// Times the frame was on the air, 0 to 1 + `MAC_MAX_FRAME_RETRIES`.
        attempts: u8,
    },
}

/// How a transmission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxStatus {
    /// On the air; no acknowledgement was asked for.
    Sent,
    /// Acknowledged.
    Acked,
    /// No attempt was acknowledged. The frame may have arrived nevertheless.
    NoAck,
    /// The channel was busy at every look, or another transmission was still in progress.
    ChannelBusy,
}

/// To the bare transceiver, which listens whenever it does not transmit. One at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhyCommand {
    /// Change to this channel. Has no answer.
    Tune {
        /// Where to listen and send from now on.
        channel: Channel,
    },
    /// Look at the channel for 8 symbols; ends in [`PhyEvent::CcaDone`].
    Cca,
    /// Send, the first symbol now and the FCS at the end; ends in [`PhyEvent::TransmitDone`]. The
    /// time to turn the transceiver around has passed already.
    Transmit {
        /// The frame.
        psdu: Psdu,
    },
}

/// From the bare transceiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhyEvent {
    /// The end of [`PhyCommand::Cca`].
    CcaDone {
        /// Nobody was heard.
        idle: bool,
    },
    /// The last octet is out.
    TransmitDone,
    /// The last octet of a frame arrived and its FCS was right. Any frame, also for others.
    Received {
        /// The frame.
        psdu: Psdu,
        /// How strong it was.
        rssi: Rssi,
        /// How clean it was.
        lqi: Lqi,
    },
}

/// How one frame gets to the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Busy looks at the channel before an attempt is given up, less one; `None` sends without a look.
    pub csma_backoffs_max: Option<u8>,
    /// Attempts after the first.
    pub frame_retries_max: u8,
    /// Without a look its first symbol is on the air then, with one that begins then.
    pub not_before: Option<Instant>,
}

impl Access {
    /// That of every [`RadioCommand::Transmit`].
    pub const SEAM: Self = Self {
        csma_backoffs_max: Some(crate::MAC_MAX_CSMA_BACKOFFS),
        frame_retries_max: crate::MAC_MAX_FRAME_RETRIES,
        not_before: None,
    };
}

/// Into a [`LinkMachine`](crate::LinkMachine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkInput {
    /// From above the seam.
    Command(RadioCommand),
    /// [`RadioCommand::Transmit`] for a co-processor's host that wants another way to the channel.
    Transmit {
        /// Comes back in the event.
        token: TxToken,
        /// The frame.
        psdu: Psdu,
        /// Its way.
        access: Access,
    },
    /// From the transceiver.
    Phy(PhyEvent),
}

/// Out of a [`LinkMachine`](crate::LinkMachine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkOutput {
    /// For the transceiver, at once.
    Phy(PhyCommand),
    /// To above the seam.
    Event(RadioEvent),
    /// Nothing more until then, or until the next input.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}
