//! One join, message by message, as the air shows it: the unsecured datagrams between a joiner and its
//! relay, put together from their frames, with the octets of each layer.
//!
//! **Invariant:** read from captured frames alone.

use crate::report::{Message, Octets};
use lowgate_ieee802154::{AddressedFrame, Content, Format, Frame};
use lowgate_sixlowpan::iphc;
use lowgate_sixlowpan::{
    Contexts, DATAGRAM_OCTETS_MAX, Incoming, LinkPair, Reassembler, Received, Security,
};
use lowgate_units::{Eui64, Instant, LinkAddr, LinkDst};

const IPV6_OCTETS: usize = 40;
const UDP_OCTETS: usize = 8;
const RECORD_OCTETS: usize = 13;
const HANDSHAKE_OCTETS: usize = 12;
/// Explicit nonce and tag of a protected record.
const PROTECTION_OCTETS: usize = 16;
/// Octets of UDP ports and checksum as this project compresses them at best and at worst: the codec
/// knows, so what it leaves is measured.
const FCS_OCTETS: usize = 2;
/// Header and envelope that the relay adds on every further hop.
const RELAY_OCTETS: u32 = 20 + 4;

/// Collects the messages of one join.
pub struct JoinTrace {
    joiner: Option<Eui64>,
    messages: Vec<Message>,
    reassembler: Reassembler,
    pending: Pending,
}

#[derive(Default)]
struct Pending {
    frames: u32,
    at: Option<Instant>,
    octets: u32,
    last: Option<(LinkAddr, u8)>,
}
