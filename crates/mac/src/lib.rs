#![no_std]
//! The MAC of an 802.15.4 device, cut in two at the radio seam.
//!
//! Below it [`LinkMachine`]: channel access, retries, acknowledgements, address filter. Above it
//! [`Mac`]: keys, counters, sealing and opening, the queue. Only the machine below retries.
//!
//! **Invariant:** no frame counter is used twice under one key, also across a restart; no frame is
//! handed up as secured that was not opened; nothing moves a receive counter but an authentic frame.

mod duplicates;
mod filter;
mod keys;
mod link;
mod machine;
mod neighbours;
mod queue;
mod seal;
mod seam;
mod source_match;
mod upper;

pub use duplicates::{DUPLICATE_MEMORY, DUPLICATE_SENDERS_MAX};
pub use link::{
    LinkMachine, MAC_ACK_WAIT_DURATION, MAC_MAX_BE, MAC_MAX_CSMA_BACKOFFS, MAC_MAX_FRAME_RETRIES,
    MAC_MIN_BE, MAC_MIN_LIFS_PERIOD, MAC_MIN_SIFS_PERIOD, RETRY_EXPONENT_MAX,
    SIFS_FRAME_OCTETS_MAX, TURNAROUND_TIME, UNIT_BACKOFF_PERIOD,
};
pub use lowgate_ieee802154::{
    Ack, FrameCounter, KeyIndex, PSDU_OCTETS_MAX, ParseDrop, SecurityLevel,
};
pub use machine::{Mac, payload_room};
pub use seam::{
    Access, LinkInput, LinkOutput, PhyCommand, PhyEvent, Psdu, RadioCommand, RadioConfig,
    RadioEvent, TxStatus, TxToken,
};
pub use source_match::{
    SOURCE_MATCH_EXTENDED_MAX, SOURCE_MATCH_SHORT_MAX, SourceMatch, SourceMatchRefused,
};
pub use upper::{
    BEACON_PAYLOAD_OCTETS_MAX, COUNTER_BLOCK, COUNTER_LOW_WATER, FrameDrop, KEYS_MAX, LinkSecurity,
    MacConfig, MacEvent, MacInput, MacOutput, NEIGHBOURS_MAX, PAYLOAD_OCTETS_MAX,
    PAYLOAD_SECURED_EXTENDED_OCTETS_MAX, PAYLOAD_SECURED_SHORT_OCTETS_MAX,
    PAYLOAD_UNSECURED_EXTENDED_OCTETS_MAX, Payload, QUEUE_FRAMES_MAX, RADIO_SILENCE_MAX, Security,
    SendDrop, SendStatus,
};
