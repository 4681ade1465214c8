//! The co-processor's radio: the MAC's seam, and beyond it what only a host asks for.
//!
//! Our own host never does. A radio's end that knows the seam alone serves it, and says so with
//! [`RadioReach::Seam`].

use lowgate_mac::{Access, Psdu, RadioEvent, SourceMatch, TxStatus, TxToken};
use lowgate_units::{Channel, Duration, Instant, Lqi, Rssi};

/// What the radio's end does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioReach {
    /// `RadioCommand` and `RadioEvent`. Nobody scans, nothing waits for its time; levels and source
    /// match are kept and change nothing.
    Seam,
    /// [`Demand`] and [`Report`], too.
    Beyond,
}

/// To the radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Holds until the next one.
    Levels(Levels),
    /// Who is told that more is waiting. Holds until the next one; to begin with everyone is.
    SourceMatch(SourceMatch),
    /// A transmission with a way of its own to the channel. One at a time, with
    /// `RadioCommand::Transmit`.
    Transmit {
        /// Comes back in the report.
        token: TxToken,
        /// Every attempt sends these same octets.
        psdu: Psdu,
        /// When by the co-processor's clock, and how.
        access: Access,
    },
    /// Measures and hears nothing meanwhile; then it is back on its channel. Never with a transmission;
    /// a configuration that comes meanwhile waits.
    Scan(Scan),
}

/// Of the transceiver. One that has no such level takes the next lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// dBm
    pub tx_power_dbm: i8,
    /// With more energy than this a channel is busy, dBm.
    pub cca_threshold_dbm: i8,
}

impl Levels {
    /// Before anybody said otherwise.
    pub const DEFAULT: Self = Self { tx_power_dbm: 0, cca_threshold_dbm: -75 };
}

/// A look for energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where.
    pub channel: Channel,
    /// How long, to the millisecond.
    pub duration: Duration,
}

/// From the radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// As `RadioEvent::Received`.
    Received(Reception),
    /// As `RadioEvent::Transmitted`.
    Transmitted {
        /// The command's or the demand's.
        token: TxToken,
        /// How it ended.
        status: TxStatus,
        /// The acknowledgement as it was heard, if the radio kept it.
        ack: Option<Reception>,
    },
    /// The end of a [`Demand::Scan`]: the most energy that was found.
    Scanned(Rssi),
}

/// A frame, and what the radio remarks on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reception {
    /// The frame.
    pub psdu: Psdu,
    /// How strong it was.
    pub rssi: Rssi,
    /// How clean it was.
    pub lqi: Lqi,
    /// When its last octet was in, by the co-processor's clock.
    pub at: Instant,
    /// It was acknowledged, with the word that more is waiting.
    pub said_pending: bool,
}

impl Report {
    /// Of an end that knows the seam alone.
    pub(crate) fn of(now: Instant, event: RadioEvent) -> Self {
        match event {
            RadioEvent::Received { psdu, rssi, lqi } => {
                Self::Received(Reception { psdu, rssi, lqi, at: now, said_pending: false })
            }
            RadioEvent::Transmitted { token, status, attempts: _ } => {
                Self::Transmitted { token, status, ack: None }
            }
        }
    }
}
