//! Checkers: they watch a run from outside the code that runs, and say when something happened that must
//! never happen.
//!
//! They hold their own books: what was sent on the air and by whom, what the store committed, what the
//! manager decided. A node's word is taken only for what it did with a frame.
//!
//! **Invariant:** a checker changes nothing in the world.

mod backbone;
mod revocation;

pub use revocation::Revocation;

use crate::medium::{FrameId, StationId};
use lowgate_access::joiner::JoinerEvent;
use lowgate_crypto::Sha256;
use lowgate_ieee802154::{AddressedFrame, Content, Format, Frame, KeyId};
use lowgate_mac::Psdu;
use lowgate_manager::{Batch, Change, ManagerEvent};
use lowgate_node::Event;
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, LinkAddr, LinkDst, ShortAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Frames are forgotten this long after they began: no reception lasts so long.
const FRAME_MEMORY: Duration = Duration::from_secs(1);
/// Findings kept; one is too many already.
const FINDINGS_MAX: usize = 100;
/// Who hears the key in force uses it after this time: what is left of a hop's queue, or the time in which
/// a node notices that a change passed it by, and a join.
const KEY_CURRENT_WITHIN: Duration = Duration::from_secs(120);
/// When the whole mesh is told to switch, the border router was told long ago whom it must not route to.
const ROUTED_AFTER_MAX: Duration = Duration::from_secs(2);

/// Something that must never happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When.
    pub at: Instant,
    /// What.
    pub fault: Fault,
}

/// What must never happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Two different frames under one key, one source and one counter: the nonce is used up.
    FrameCounterReused {
        /// Whose.
        src: Eui64,
        /// Under which key.
        key: u8,
        /// Which counter.
        counter: u32,
    },
    /// Two different DTLS records under one key and one number.
    RecordNumberReused {
        /// Between the manager and whom.
        peer: String,
        /// Which epoch.
        epoch: u16,
        /// Which number.
        number: u64,
    },
    /// A node opened a frame that no honest node sealed, or not the one that it names.
    ForgedFrameOpened {
        /// Who opened it.
        station: StationId,
        /// Who is said to have sealed it.
        src: Eui64,
    },
    /// A node opened the same frame twice.
    ReplayOpened {
        /// Who opened it.
        station: StationId,
        /// Who sealed it.
        src: Eui64,
    },
    /// A device took keys that the store knows nothing of.
    MemberNotAdmitted {
        /// Who.
        station: StationId,
    },
    /// A secured frame was addressed to somebody who never was a member.
    StrangerAddressed {
        /// Who sent it.
        station: StationId,
        /// To whom.
        dst: Eui64,
    },
    /// A packet on the backbone for nobody who is there.
    StrayPacket {
        /// To whom.
        dst: Ipv6Addr,
    },
    /// A revoked device opened what others sent after its revocation took effect.
    RevokedOpened {
        /// Who.
        station: StationId,
    },
    /// Somebody opened what a revoked device sent after its revocation took effect.
    RevokedAccepted {
        /// Who opened it.
        station: StationId,
        /// Who sent it.
        src: Eui64,
    },
    /// A revoked device opened a group record that was sealed after its revocation.
    RevokedOpenedGroup {
        /// Who.
        station: StationId,
    },
    /// A member opened a group record that a revoked device sealed.
    RevokedGroupAccepted {
        /// Who.
        station: StationId,
    },
    /// A revoked device was let in again.
    RevokedReadmitted {
        /// Who.
        eui64: Eui64,
    },
    /// The border router still has a way to a revoked device.
    RevokedRouted {
        /// Who.
        eui64: Eui64,
    },
    /// A member has not the key in force although nothing stands in its way.
    KeyNotCurrent {
        /// Who.
        station: StationId,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.at, self.fault)
    }
}

/// Where the manager is whose decisions the checkers hold nodes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decisions {
    /// In this world: it tells what it decides, its store tells what it committed.
    Told,
    /// Outside: who is admitted and who is revoked cannot be known, and is not checked.
    Elsewhere,
}

/// A frame that is on the air, or was a moment ago.
#[derive(Clone, Copy, Debug)]
struct Aired {
    at: Instant,
    station: StationId,
    hash: u64,
    key: Option<u8>,
}

/// All checkers and their books.
pub struct Checkers {
    honest: usize,
    decisions: Decisions,
    stations: BTreeMap<Eui64, StationId>,
    eui64s: Vec<Option<Eui64>>,
    recent: BTreeMap<FrameId, Aired>,
    /// Octets that honest stations sent.
    sealed: BTreeSet<(u64, StationId)>,
    counters: BTreeMap<(Eui64, u8, u32), u64>,
    opened: BTreeSet<(StationId, u64)>,
    admitted: BTreeSet<Eui64>,
    ever_admitted: BTreeSet<Eui64>,
    /// Addresses, each one device's for good.
    owners: BTreeMap<ShortAddr, Eui64>,
    /// The link key in force, since the first switch.
    key: Option<u8>,
    /// When each station first heard it.
    heard_key: BTreeMap<StationId, Instant>,
    records: backbone::Records,
    revocation: Option<Revocation>,
    findings: Vec<Finding>,
}

impl Checkers {
    /// Over a world in which the first `honest` stations are no intruders.
    pub fn new(honest: usize, decisions: Decisions) -> Self {
        Self {
            honest,
            decisions,
            stations: BTreeMap::new(),
            eui64s: vec![None; honest],
            recent: BTreeMap::new(),
            sealed: BTreeSet::new(),
            counters: BTreeMap::new(),
            opened: BTreeSet::new(),
            admitted: BTreeSet::new(),
            ever_admitted: BTreeSet::new(),
            owners: BTreeMap::new(),
            key: None,
            heard_key: BTreeMap::new(),
            records: backbone::Records::default(),
            revocation: None,
            findings: Vec::new(),
        }
    }

    /// Tells who a station is.
    pub fn know(&mut self, station: StationId, eui64: Eui64) {
        if station.index() < self.honest {
            self.stations.insert(eui64, station);
            self.eui64s[station.index()] = Some(eui64);
        }
    }

    /// A station lost its power: what it heard is forgotten.
    pub fn powered_off(&mut self, station: StationId) {
        self.heard_key.remove(&station);
    }

    /// How many stations are honest.
    pub const fn honest(&self) -> usize {
        self.honest
    }

    /// What was found so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What is known of the last revocation.
    pub const fn revocation(&self) -> Option<&Revocation> {
        self.revocation.as_ref()
    }

    fn is_honest(&self, station: StationId) -> bool {
        station.index() < self.honest
    }

    pub(crate) fn find(&mut self, at: Instant, fault: Fault) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { at, fault });
        }
    }

    /// A frame begins.
    pub fn aired(&mut self, now: Instant, frame: FrameId, station: StationId, psdu: &Psdu) {
        let hash = hash(psdu);
        let parsed = match Frame::parse(psdu) {
            Ok(Frame::Addressed(parsed)) => Some(parsed),
            Ok(Frame::Ack(_)) | Err(_) => None,
        };
        let secured = parsed.as_ref().and_then(secured);
        let key = secured.map(|(_, key, _)| key);
        self.recent.insert(frame, Aired { at: now, station, hash, key });
        while let Some(oldest) = self.recent.first_entry() {
            if now - oldest.get().at < FRAME_MEMORY {
                break;
            }
            oldest.remove();
        }
        if !self.is_honest(station) {
            return;
        }
        if let (Decisions::Elsewhere, 0, Some((src, ..))) =
            (self.decisions, station.index(), secured)
        {
            // A co-processor's host has an address of its own choice.
            self.stations.insert(src, station);
        }
        self.sealed.insert((hash, station));
        if let Some((src, key, counter)) = secured {
            self.key_used(now, station, key);
            let before = self.counters.insert((src, key, counter), hash);
            if before.is_some_and(|before| before != hash) {
                self.find(now, Fault::FrameCounterReused { src, key, counter });
            }
        }
        if let (Some(dst), Some(_)) = (parsed.as_ref().and_then(extended_dst), secured)
            && self.decisions == Decisions::Told
            && !self.ever_admitted.contains(&dst)
        {
            self.find(now, Fault::StrangerAddressed { station, dst });
        }
    }

    /// A member that hears the key in force and goes on with another has missed the switch.
    fn key_used(&mut self, now: Instant, station: StationId, key: u8) {
        let eui64 = self.eui64s.get(station.index()).copied().flatten();
        let admitted = eui64.is_some_and(|eui64| self.admitted.contains(&eui64));
        if self.key == Some(key) {
            self.heard_key.remove(&station);
        } else if let Some(since) = self.heard_key.get(&station)
            && admitted
            && now - *since > KEY_CURRENT_WITHIN
        {
            self.heard_key.remove(&station);
            self.find(now, Fault::KeyNotCurrent { station });
        }
    }

    /// A radio heard a frame, whether its node can open it or not.
    pub fn heard(&mut self, now: Instant, station: StationId, frame: Option<FrameId>) {
        let aired = frame.and_then(|frame| self.recent.get(&frame).copied());
        if let Some(aired) = aired.filter(|aired| aired.key.is_some() && aired.key == self.key)
            && self.is_honest(aired.station)
        {
            self.heard_key.entry(station).or_insert(now);
        }
        if let (Some(revocation), Some(aired), Some(frame)) = (&mut self.revocation, aired, frame) {
            revocation.heard(now, station, frame, aired.key);
        }
    }

    /// A node says something.
    pub fn node(&mut self, now: Instant, id: StationId, frame: Option<FrameId>, event: &Event) {
        match event {
            Event::FrameOpened { src, .. } => self.frame_opened(now, id, frame, *src),
            Event::Join(JoinerEvent::Member) if self.decisions == Decisions::Told => {
                let eui64 = self.eui64s.get(id.index()).copied().flatten();
                if eui64.is_none_or(|eui64| !self.admitted.contains(&eui64)) {
                    self.find(now, Fault::MemberNotAdmitted { station: id });
                }
            }
            Event::LinkKeySwitched(key) => {
                if let Some(revocation) = &mut self.revocation {
                    revocation.switched(now, id, key.raw());
                }
            }
            Event::Stranded => {
                if let Some(revocation) = &mut self.revocation {
                    revocation.gave_up(id);
                }
            }
            _ => {}
        }
    }

    fn frame_opened(&mut self, now: Instant, id: StationId, frame: Option<FrameId>, src: Eui64) {
        let aired = frame.and_then(|frame| self.recent.get(&frame).copied());
        let Some((aired, frame)) = aired.zip(frame) else {
            return self.find(now, Fault::ForgedFrameOpened { station: id, src });
        };
        let sealer = self.stations.get(&src).copied();
        if sealer.is_none_or(|sealer| !self.sealed.contains(&(aired.hash, sealer))) {
            self.find(now, Fault::ForgedFrameOpened { station: id, src });
        } else if !self.opened.insert((id, aired.hash)) {
            self.find(now, Fault::ReplayOpened { station: id, src });
        }
        let Some(revocation) = &mut self.revocation else { return };
        if let Some(fault) = revocation.opened(now, id, frame, src, aired.station) {
            self.find(now, fault);
        }
    }

    /// The store has a batch.
    pub fn committed(&mut self, batch: &Batch) {
        if self.decisions == Decisions::Elsewhere {
            return;
        }
        for change in &batch.changes {
            match change {
                Change::Admitted { eui64, short, .. } | Change::Moved { eui64, short, .. } => {
                    self.owners.insert(*short, *eui64);
                    self.admitted.insert(*eui64);
                    self.ever_admitted.insert(*eui64);
                }
                Change::Revoked { eui64 } => _ = self.admitted.remove(eui64),
                _ => {}
            }
        }
    }

    /// The manager says something.
    pub fn manager(&mut self, now: Instant, event: &ManagerEvent) {
        if self.decisions == Decisions::Elsewhere {
            return; // nobody hears the manager that says so
        }
        match event {
            ManagerEvent::Revoked { eui64 } => {
                let members: BTreeSet<StationId> = self
                    .admitted
                    .iter()
                    .filter(|member| *member != eui64)
                    .filter_map(|member| self.stations.get(member).copied())
                    .collect();
                if let Some(station) = self.stations.get(eui64) {
                    self.revocation = Some(Revocation::new(now, *station, *eui64, members));
                }
            }
            ManagerEvent::SessionMoved { peer, .. } => self.records.moved(peer.addr, peer.port),
            ManagerEvent::KeySwitched { index, .. } => {
                self.key = Some(index.raw());
                self.heard_key.clear();
                if let Some(revocation) = &mut self.revocation {
                    revocation.commanded(now, index.raw());
                }
            }
            ManagerEvent::Admitted { eui64, .. }
            | ManagerEvent::Returned { eui64, .. }
            | ManagerEvent::Moved { eui64, .. } => {
                let revoked = self.revocation.as_ref().map(|revocation| revocation.eui64);
                if revoked == Some(*eui64) {
                    self.find(now, Fault::RevokedReadmitted { eui64: *eui64 });
                }
            }
            _ => {}
        }
    }

    /// To whom the border router knows a way, looked at now and then.
    pub fn routed(&mut self, now: Instant, devices: impl Iterator<Item = ShortAddr>) {
        let Some(revocation) = &mut self.revocation else { return };
        let eui64 = revocation.eui64;
        let over = |at: Instant| now >= at + ROUTED_AFTER_MAX;
        let mut owners = devices.filter_map(|device| self.owners.get(&device));
        if revocation.commanded_at.is_some_and(over)
            && !revocation.routed
            && owners.any(|owner| *owner == eui64)
        {
            revocation.routed = true;
            self.find(now, Fault::RevokedRouted { eui64 });
        }
    }

    /// A packet is on the backbone between `ends`.
    pub fn backbone(&mut self, now: Instant, packet: &[u8], ends: [Ipv6Addr; 2]) {
        if let Some(dst) = backbone::stray(packet, ends) {
            self.find(now, Fault::StrayPacket { dst });
        }
        for fault in self.records.packet(packet, ends[0]) {
            self.find(now, fault);
        }
    }

    /// What became of a group record that somebody sealed after the revocation: the revoked device's
    /// radio heard it, and its keys opened it or did not.
    pub fn group_heard(&mut self, now: Instant, opened: bool) {
        let Some(revocation) = &mut self.revocation else { return };
        revocation.group_records_heard_after += 1;
        if opened {
            revocation.group_records_opened_after += 1;
            let station = revocation.station;
            self.find(now, Fault::RevokedOpenedGroup { station });
        }
    }

    /// A record that the revoked device sealed with its group keys was given to a member.
    pub fn group_forged(&mut self, now: Instant, station: StationId, opened: bool) {
        let Some(revocation) = &mut self.revocation else { return };
        revocation.group_records_forged += 1;
        if opened {
            revocation.group_records_accepted_after += 1;
            self.find(now, Fault::RevokedGroupAccepted { station });
        }
    }
}

/// Source, key index and counter of a secured frame of ours.
pub(crate) fn secured(frame: &AddressedFrame<'_>) -> Option<(Eui64, u8, u32)> {
    let Format::Secured(header) = frame.format else { return None };
    let (Some(LinkAddr::Extended(src)), KeyId::Index(index)) = (frame.src(), header.key_id) else {
        return None;
    };
    Some((src, index.raw(), header.counter.0))
}

/// The extended address a data frame is for.
fn extended_dst(frame: &AddressedFrame<'_>) -> Option<Eui64> {
    match (frame.content, frame.dst()?.1) {
        (Content::Data { .. }, LinkDst::Unicast(LinkAddr::Extended(dst))) => Some(dst),
        _ => None,
    }
}

fn hash(octets: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = Sha256::of(octets);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests;
