#![no_std]
//! Key management after the join: MIKEY's derivation (RFC 3830) and the compact messages that carry
//! group keys, link keys and configuration inside a DTLS session.
//!
//! **Invariant:** pure functions of octets; no state, no time, no allocation. Nothing here is sent
//! in clear: every message is the plaintext of a DTLS record, whose tag is the "MIC" of the seed's
//! figure. Nothing that holds a key prints it.
//!
//! | octets | type |
//! |---|---|
//! | payload of TLS extension 0xFF40 | [`GroupRequest`], answered by [`GroupAnswer`] |
//! | plaintext of a record of content type 30 or 31 | [`Messages`], each a [`Message`] |
//! | body of the configuration message | [`Cfg`] |
//! | keys of a group | [`derive()`] gives [`GroupKeys`] |
//! | multicast to those whom the manager does not evict | [`tree`] |
//! | a device's share of a polynomial | [`pairwise`] makes the PSK of two devices of it |
//! | payload of TLS extension 0xFF41, and what the manager tells of shares | [`pairs`] |

mod cfg;
mod derive;
mod message;
mod names;
pub mod pairs;
pub mod pairwise;
mod prf;
mod request;
mod spd;
pub mod tree;
mod wire;

pub use cfg::{
    Activation, CFG_OCTETS_MAX, Cfg, CfgDrop, KEYS_MAX, KeyUsage, LinkKey, SixTischUsage,
};
pub use derive::{GroupKeys, Tek, derive};
pub use message::{
    BadMessage, Carrier, KeyError, Message, MessageDrop, Messages, Mkd, Req, emit_all,
};
pub use names::{
    CsbId, Generation, GroupId, KeyIndex, MsgId, Rand, Role, SenderId, SenderSet, TekId, Tgk,
};
pub use prf::{Constant, label, prf};
pub use request::{
    GROUPS_MAX, GroupAnswer, GroupRequest, Membership, NODE_ID_OCTETS_MAX, RequestDrop,
    RequestFlags, Wish,
};
pub use spd::{NAMED_SENDERS_MAX, OldEpoch, SeqFloor, Spd, SpdParameters, TlvDrop};
pub use wire::NoRoom;
