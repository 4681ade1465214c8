//! What a join costs on the air, measured from outside: messages and octets on its first hop.

use crate::medium::StationId;
use lowgate_access::joiner::JoinerEvent;
use lowgate_ieee802154::{AddressedFrame, Content, Format, Frame};
use lowgate_mac::Psdu;
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_units::{Duration, Eui64, Instant, LinkAddr, LinkDst};
use std::collections::BTreeMap;

/// Dispatch of a fragment that is not the first (RFC 4944 section 5.3), in the upper five bits.
const NEXT_FRAGMENT: u8 = 0b11100;
/// Octets of the frame check sequence.
const FCS_OCTETS: u64 = 2;

/// One device's way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// It got power.
    pub started: Option<Instant>,
    /// The relay of the handshake that succeeded, or of the last one.
    pub relay: Option<Eui64>,
    /// Handshakes begun.
    pub attempts: u32,
    /// The configuration was stored and acknowledged.
    pub member: Option<Instant>,
    /// Its address works both ways.
    pub attached: Option<Instant>,
    /// Hops to the border router as the first confirmation counted them.
    pub hops: Option<u8>,
    /// Datagrams between it and its relays, copies not counted.
    pub messages: u32,
    /// Octets of all frames between it and its relays, from the frame control field to the FCS, copies
    /// counted, acknowledgements not.
    pub octets: u64,
}

impl Join {
    /// From power to a working address.
    pub fn took(&self) -> Option<Duration> {
        Some(self.attached? - self.started?)
    }
}

/// All joins of a run.
pub struct Survey {
    joins: Vec<Join>,
    by_eui64: BTreeMap<Eui64, usize>,
    last_sequence: BTreeMap<StationId, u8>,
    frames: u64,
}

impl Survey {
    /// Of a world with so many honest stations.
    pub fn new(honest: usize) -> Self {
        let joins = vec![Join::default(); honest];
        let (by_eui64, last_sequence) = (BTreeMap::new(), BTreeMap::new());
        Self { joins, by_eui64, last_sequence, frames: 0 }
    }

    /// Tells who a station is.
    pub fn know(&mut self, station: StationId, eui64: Eui64) {
        if station.index() < self.joins.len() {
            self.by_eui64.insert(eui64, station.index());
        }
    }

    /// By station.
    pub fn joins(&self) -> &[Join] {
        &self.joins
    }

    /// Frames sent by anybody, copies and acknowledgements included.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// A station got power.
    pub fn started(&mut self, now: Instant, station: StationId) {
        if let Some(join) = self.joins.get_mut(station.index()) {
            join.started.get_or_insert(now);
        }
    }

    /// A frame begins.
    pub fn aired(&mut self, station: StationId, psdu: &Psdu) {
        self.frames += 1;
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return };
        let copy = self.last_sequence.insert(station, frame.sequence) == Some(frame.sequence);
        let Some(join) = self.joiner_of(&frame).map(|index| &mut self.joins[index]) else { return };
        join.octets += psdu.len() as u64 + FCS_OCTETS;
        let first = frame.payload.first().is_some_and(|octet| octet >> 3 != NEXT_FRAGMENT);
        join.messages += u32::from(first && !copy);
    }

    /// Whose join an unsecured data frame belongs to.
    fn joiner_of(&self, frame: &AddressedFrame<'_>) -> Option<usize> {
        let (Content::Data { .. }, Format::Unsecured(_)) = (frame.content, frame.format) else {
            return None;
        };
        let src = frame.src();
        let dst = match frame.dst()?.1 {
            LinkDst::Unicast(dst) => Some(dst),
            LinkDst::Broadcast => None,
        };
        [src, dst].into_iter().flatten().find_map(|addr| {
            let LinkAddr::Extended(eui64) = addr else { return None };
            let index = *self.by_eui64.get(&eui64)?;
            self.joins[index].attached.is_none().then_some(index)
        })
    }

    /// A node says something.
    pub fn node(&mut self, now: Instant, station: StationId, event: &Event) {
        let Some(join) = self.joins.get_mut(station.index()) else { return };
        match event {
            Event::Join(JoinerEvent::Handshake(path)) => {
                join.attempts += 1;
                if let lowgate_access::joiner::Path::Relay(relay) = path {
                    join.relay = Some(*relay);
                }
            }
            Event::Join(JoinerEvent::Member) => _ = join.member.get_or_insert(now),
            Event::Net(NetEvent::Attached { hops, .. }) => {
                join.attached.get_or_insert(now);
                join.hops.get_or_insert(*hops);
            }
            _ => {}
        }
    }
}
