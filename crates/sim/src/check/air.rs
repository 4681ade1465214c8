//! What honest stations say to each other, read with the keys that the store committed: hop limits, and the
//! sequence numbers of MPL seeds.
//!
//! Packets in one frame are read, fragments are not.
//!
//! **Bounds:** [`PASSING_EACH`] packets on their way for each station, at least [`PASSING_MIN`], and of each MPL
//! seed its last [`SEQUENCES_MAX`] packets: as many as serial arithmetic over eight bits tells apart.

use super::frames::Secured;
use super::{Fault, LinkKeyName, hash};
use crate::medium::StationId;
use lowgate_crypto::{Ccm, Key128, SoftCcm};
use lowgate_ieee802154::{AddressedFrame, FrameCounter, SecurityLevel, nonce};
use lowgate_mac::{LinkSecurity, Psdu};
use lowgate_sixlowpan::{
    ContextId, ContextUse, Contexts, DATAGRAM_OCTETS_MAX, Dispatch, LinkPair, Prefix, iphc,
};
use lowgate_units::{Iid, Ipv6Addr, LinkAddr, PanId, ShortAddr};
use std::collections::{BTreeMap, VecDeque};

/// Octets of a MIC of level 6.
const MIC_OCTETS: usize = 8;
/// Packets on their way that are remembered for each station: one that is forgotten and then comes back to its
/// origin would be taken for one that begins there.
const PASSING_EACH: usize = 8;
/// Packets on their way that are remembered of the fewest stations.
const PASSING_MIN: usize = 1024;
/// RFC 1982 with eight bits: what is half a circle away is neither before nor after.
const SEQUENCES_MAX: usize = 127;

/// RFC 8200 section 3 and 4.
const HEADER_OCTETS: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;
/// RFC 7731 section 6.1.
const MPL_OPTION: u8 = 0x6d;

/// The reader and its books.
pub(super) struct Air {
    keys: BTreeMap<LinkKeyName, Key128>,
    /// Of each PAN, with what compression leaves out.
    prefixes: BTreeMap<PanId, ([u8; 8], Contexts)>,
    /// With which hop limit their origin sent packets, by what does not change on the way.
    passing: BTreeMap<u64, u8>,
    passing_order: VecDeque<u64>,
    passing_max: usize,
    seeds: BTreeMap<StationId, VecDeque<(u8, u64)>>,
}

impl Air {
    /// Over so many stations.
    pub(super) fn new(stations: usize) -> Self {
        Self {
            keys: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            passing: BTreeMap::new(),
            passing_order: VecDeque::new(),
            passing_max: (PASSING_EACH * stations).max(PASSING_MIN),
            seeds: BTreeMap::new(),
        }
    }

    /// A PAN's prefix, which compression leaves out.
    pub(super) fn know_prefix(&mut self, pan: PanId, prefix: [u8; 8]) {
        let whole = Prefix::new(Iid([0; 8]).under(prefix), 64).expect("64 bits of 128");
        let mut contexts = Contexts::new();
        contexts.set(ContextId::DEFAULT, whole, ContextUse::Both);
        self.prefixes.insert(pan, (prefix, contexts));
    }

    /// A link-layer key.
    pub(super) fn know_key(&mut self, name: LinkKeyName, key: Key128) {
        self.keys.insert(name, key);
    }

    /// A station sends a frame that it sealed. `owner` tells whose an address is.
    pub(super) fn sealed(
        &mut self,
        station: StationId,
        secured: Secured,
        (frame, psdu): (&AddressedFrame<'_>, &Psdu),
        owner: impl FnOnce(ShortAddr) -> Option<StationId>,
    ) -> Option<Fault> {
        let (prefix, contexts) = self.prefixes.get(&secured.1.0)?;
        let payload = self.open(secured, frame, psdu)?;
        let mut octets = [0; DATAGRAM_OCTETS_MAX];
        let (src, dst) = (frame.src()?, frame.dst()?.1);
        let whole = Dispatch::of(&payload)
            .filter(|dispatch| matches!(dispatch, Dispatch::Ipv6 | Dispatch::Iphc))
            .and_then(|_| {
                let link = LinkPair { src, dst };
                iphc::decompress(&payload, link, contexts, None, &mut octets).ok()
            })?;
        let packet = Packet::parse(octets.get(..whole.len)?)?;
        let short = match Iid::of(packet.src).link_addr()? {
            LinkAddr::Short(short) if packet.src.octets()[..8] == *prefix => short,
            LinkAddr::Short(_) | LinkAddr::Extended(_) => return None,
        };
        let origin = owner(short)?;
        if origin == station { self.sent(station, &packet) } else { self.passed(station, &packet) }
    }

    fn open(
        &self,
        (src, key, counter): Secured,
        frame: &AddressedFrame<'_>,
        psdu: &Psdu,
    ) -> Option<Vec<u8>> {
        let key = self.keys.get(&key)?;
        let level: SecurityLevel = LinkSecurity::EncMic64.level();
        let nonce = nonce(src, FrameCounter(counter), level);
        let len = frame.payload.len().checked_sub(MIC_OCTETS)?;
        let (sealed, mic) = frame.payload.split_at(len);
        let mut payload = sealed.to_vec();
        let head = psdu.get(..frame.head_len())?;
        SoftCcm.open(key, &nonce, head, &mut payload, mic).ok()?;
        Some(payload)
    }

    /// A packet leaves its origin.
    fn sent(&mut self, station: StationId, packet: &Packet<'_>) -> Option<Fault> {
        let id = packet.id();
        if let Some(sequence) = packet.mpl_sequence {
            let used = self.seeds.entry(station).or_default();
            if let Some((_, before)) = used.iter().find(|(known, _)| *known == sequence) {
                // A seed that lost its memory may hear its own packet, and pass it on like any other.
                return (*before != id).then_some(Fault::MplSequenceReused { station, sequence });
            }
            if used.len() >= SEQUENCES_MAX {
                used.pop_front();
            }
            used.push_back((sequence, id));
        }
        let given = self.passing.entry(id).or_insert_with(|| {
            self.passing_order.push_back(id);
            packet.hop_limit
        });
        // One that came back to it has less.
        *given = packet.hop_limit.max(*given);
        if self.passing.len() > self.passing_max {
            self.passing_order.pop_front().and_then(|oldest| self.passing.remove(&oldest));
        }
        None
    }

    /// A packet leaves somebody else.
    fn passed(&self, station: StationId, packet: &Packet<'_>) -> Option<Fault> {
        let given = self.passing.get(&packet.id())?;
        (packet.hop_limit >= *given).then_some(Fault::HopNotCounted { station })
    }
}

/// What of an IPv6 packet is looked at.
struct Packet<'p> {
    src: Ipv6Addr,
    hop_limit: u8,
    mpl_sequence: Option<u8>,
    /// What follows the extension headers, and what it is.
    upper: (u8, &'p [u8]),
}

impl<'p> Packet<'p> {
    fn parse(octets: &'p [u8]) -> Option<Self> {
        let src: [u8; 16] = octets.get(8..24)?.try_into().ok()?;
        let hop_limit = *octets.get(7)?;
        let (mut kind, mut rest) = (*octets.get(6)?, octets.get(HEADER_OCTETS..)?);
        let mut mpl_sequence = None;
        while let HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS = kind {
            let (header, after) = rest.split_at_checked(8 * (usize::from(*rest.get(1)?) + 1))?;
            if kind == HOP_BY_HOP {
                mpl_sequence = sequence(header);
            }
            (kind, rest) = (*header.first()?, after);
        }
        Some(Self { src: src.into(), hop_limit, mpl_sequence, upper: (kind, rest) })
    }

    /// Of what is the same on the whole way: source routes and RPL options are not.
    fn id(&self) -> u64 {
        hash(&[&self.src.octets(), &[self.upper.0], self.upper.1])
    }
}

/// The sequence number of an MPL option whose seed is the packet's source.
fn sequence(hop_by_hop: &[u8]) -> Option<u8> {
    let mut options = hop_by_hop.get(2..)?;
    loop {
        let (kind, rest) = options.split_first()?;
        if *kind == 0 {
            options = rest;
            continue;
        }
        let (len, rest) = rest.split_first()?;
        let (data, rest) = rest.split_at_checked(usize::from(*len))?;
        if *kind == MPL_OPTION {
            let [flags, sequence] = *data else { return None };
            return (flags >> 6 == 0).then_some(sequence);
        }
        options = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Intruders' octets come here too. What is read of a packet lies within it.
        #[test]
        fn any_octets_are_read_or_are_no_packet(
            mut octets in proptest::collection::vec(any::<u8>(), 0..120),
            kind in prop_oneof![Just(HOP_BY_HOP), Just(ROUTING), Just(DESTINATION_OPTIONS), any::<u8>()],
        ) {
            if let Some(next_header) = octets.get_mut(6) {
                *next_header = kind;
            }
            if let Some(packet) = Packet::parse(&octets) {
                prop_assert!(octets.ends_with(packet.upper.1));
                prop_assert!(packet.upper.1.len() + HEADER_OCTETS <= octets.len());
                packet.id();
            }
        }
    }
}
