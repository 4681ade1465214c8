//! Checkers: they watch a run from outside the code that runs, and say when something happened that must
//! never happen.
//!
//! They hold their own books: what was sent on the air and by whom, what the store committed, what the
//! manager decided. A node's word is taken only for what it did with a frame.
//!
//! **Invariant:** a checker changes nothing in the world.
//! **Bounds:** the books grow with stations, devices and groups, not with time; each part says what it
//! remembers.

mod air;
mod backbone;
mod domain;
mod fault;
mod frames;
mod groups;
mod insiders;
mod numbers;
mod pairs;
mod revocation;

pub use fault::{Fault, Finding};
pub use groups::OpenedRecord;
pub use revocation::Revocation;

use crate::medium::{FrameId, StationId};
use frames::Secured;
use lowgate_access::joiner::JoinerEvent;
use lowgate_amikey::{GroupId, Message, Messages};
use lowgate_ieee802154::{AddressedFrame, Content, Format, Frame, KeyId, Pan};
use lowgate_mac::{FrameDrop, MacEvent, Psdu};
use lowgate_manager::{Batch, Change, ManagerEvent};
use lowgate_net::{NetDrop, NetEvent};
use lowgate_node::Event;
use lowgate_node::flash::{Record, RecordKey, RecordOctets};
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, LinkAddr, LinkDst, PanId, ShortAddr};
use numbers::Use;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};

/// Frames are forgotten this long after they began: no reception lasts so long.
const FRAME_MEMORY: Duration = Duration::from_secs(1);
/// Findings kept; one is too many already.
const FINDINGS_MAX: usize = 100;
/// Who hears the key in force uses it after this time: what is left of a hop's queue, or the time in which
/// a node notices that a change passed it by, and a join.
const KEY_CURRENT_WITHIN: Duration = Duration::from_secs(120);
/// One frame from afar is not to hear the network: so many are.
const KEY_HEARD_MIN: u32 = 3;
/// When the whole mesh is told to switch, the border router was told long ago whom it must not route to.
const ROUTED_AFTER_MAX: Duration = Duration::from_secs(2);
/// So long after a revocation took effect the revoked device's group keys are tried on the members.
const FORGED_AFTER: Duration = Duration::from_secs(5);

/// What a station's flash holds.
pub type Flash = BTreeMap<RecordKey, RecordOctets>;

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
    secured: Option<Secured>,
    /// Who says to have sent it without security.
    unsecured: Option<Eui64>,
    broadcast: bool,
}

impl Aired {
    fn key(&self) -> Option<LinkKeyName> {
        self.secured.map(|(_, key, _)| key)
    }
}

/// All checkers and their books.
pub struct Checkers {
    honest: usize,
    decisions: Decisions,
    stations: BTreeMap<Eui64, StationId>,
    eui64s: Vec<Option<Eui64>>,
    /// In the order of their numbers.
    recent: VecDeque<(FrameId, Aired)>,
    frames: frames::Frames,
    air: air::Air,
    groups: groups::Groups,
    domain: domain::Domain,
    /// Whether an intruder was on the air, and whether an outsider sent something into the mesh.
    intruded: bool,
    outsiders_spoke: bool,
    insiders: insiders::Insiders,
    /// The link key in force of each PAN, since its first switch.
    keys: BTreeMap<PanId, u8>,
    /// How often each station heard it since it sent under it itself, and since when often enough.
    heard_key: BTreeMap<StationId, (u32, Instant)>,
    /// When devices of the domain were expelled: as many entries as it has devices.
    expelled: BTreeMap<Eui64, Instant>,
    records: backbone::Records,
    pairs: pairs::Pairs,
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
            recent: VecDeque::new(),
            frames: frames::Frames::new(honest),
            air: air::Air::new(honest),
            groups: groups::Groups::default(),
            domain: domain::Domain::default(),
            intruded: false,
            outsiders_spoke: false,
            insiders: insiders::Insiders::default(),
            keys: BTreeMap::new(),
            heard_key: BTreeMap::new(),
            expelled: BTreeMap::new(),
            records: backbone::Records::new(honest),
            pairs: pairs::Pairs::default(),
            revocation: None,
            findings: Vec::new(),
        }
    }

    /// Tells who a station is.
    pub fn know(&mut self, station: StationId, eui64: Eui64) {
        if station.index() < self.honest {
            self.stations.insert(eui64, station);
            self.eui64s[station.index()] = Some(eui64);
            self.domain.know(station, eui64);
        }
    }

    /// A station lost its power: what it heard is forgotten, and what its flash does not hold.
    pub fn powered_off(&mut self, station: StationId, flash: &Flash) {
        if let Some(revocation) = &mut self.revocation
            && revocation
                .key
                .is_some_and(|(_, key)| active_key(flash).is_some_and(|held| held != key))
        {
            revocation.fell_back(station);
        }
        self.heard_key.remove(&station);
        self.frames.powered_off(station);
        self.groups.forgot(station);
    }

    /// An outsider sent something into the mesh: not everything in it is a member's.
    pub(crate) const fn outsiders_spoke(&mut self) {
        self.outsiders_spoke = true;
    }

    /// An intruder holds a link key of a captured device from now on.
    pub(crate) fn captured(&mut self, insider: StationId, of: StationId, key: LinkKeyName) {
        self.insiders.hold(insider, of, key);
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

    /// Whether the domain has admitted the station and not expelled it since.
    pub(crate) fn is_member(&self, station: StationId) -> bool {
        let eui64 = self.eui64s.get(station.index()).copied().flatten();
        eui64.is_some_and(|eui64| self.domain.admitted.contains(&eui64))
    }

    fn is_honest(&self, station: StationId) -> bool {
        station.index() < self.honest
    }

    pub(crate) fn find(&mut self, at: Instant, fault: Fault) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { at, fault });
        }
    }

    fn find_all(&mut self, at: Instant, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.find(at, fault));
    }

    /// A frame begins; `flash` is its sender's.
    pub fn aired(
        &mut self,
        now: Instant,
        frame: FrameId,
        station: StationId,
        psdu: &Psdu,
        flash: &Flash,
    ) {
        let hash = hash(&[psdu]);
        let parsed = match Frame::parse(psdu) {
            Ok(Frame::Addressed(parsed)) => Some(parsed),
            Ok(Frame::Ack(_)) | Err(_) => None,
        };
        let secured = parsed.as_ref().and_then(secured);
        let unsecured = parsed.as_ref().and_then(unsecured_src);
        let dst = parsed.as_ref().and_then(AddressedFrame::dst);
        let broadcast = dst.is_some_and(|(_, dst)| dst == LinkDst::Broadcast);
        let aired = Aired { at: now, station, hash, secured, unsecured, broadcast };
        self.recent.push_back((frame, aired));
        while self.recent.front().is_some_and(|(_, oldest)| now - oldest.at >= FRAME_MEMORY) {
            self.recent.pop_front();
        }
        self.intruded |= !self.is_honest(station);
        self.insiders.aired(station, secured);
        let Some(parsed) = parsed.filter(|_| self.is_honest(station)) else { return };
        if let Some(secured) = secured {
            self.sealed(now, station, secured, (&parsed, psdu, hash), flash);
        } else if self.decisions == Decisions::Told
            && let (Some(_), Some(dst)) = (unsecured, extended_dst(&parsed))
        {
            let fault = self.frames.addressed_unsecured(station, dst);
            let shown = self.domain.shows_secret(parsed.payload);
            self.find_all(now, fault.into_iter().chain(shown));
        }
    }

    /// An honest station sends a frame that it sealed.
    fn sealed(
        &mut self,
        now: Instant,
        station: StationId,
        secured: Secured,
        (frame, psdu, hash): (&AddressedFrame<'_>, &Psdu, u64),
        flash: &Flash,
    ) {
        let (src, key, counter) = secured;
        let index = key.1;
        if (self.decisions, station.index()) == (Decisions::Elsewhere, 0) {
            // A co-processor's host has an address of its own choice.
            self.stations.insert(src, station);
        }
        self.key_used(now, station, key);
        match self.frames.sealed(secured, hash) {
            Use::First => {}
            Use::Again => return,
            Use::Otherwise | Use::Older => {
                self.find(now, Fault::FrameCounterReused { src, key: index, counter });
            }
        }
        if self.decisions == Decisions::Elsewhere {
            return;
        }
        if reserved_below(flash, index).is_some_and(|below| counter >= below) {
            self.find(now, Fault::CounterNotReserved { station, key: index, counter });
        }
        if let Some(dst) = extended_dst(frame)
            && !self.domain.ever_admitted.contains(&dst)
            && !self.insiders.named(dst)
        {
            self.find(now, Fault::StrangerAddressed { station, dst });
        }
        let owner = |short| {
            let owner = self.domain.owners.get(&(key.0, short));
            owner.and_then(|it| self.stations.get(it)).copied()
        };
        let fault = self.air.sealed(station, secured, (frame, psdu), owner);
        self.find_all(now, fault);
    }

    /// A member that hears the key in force and goes on with another has missed the switch.
    fn key_used(&mut self, now: Instant, station: StationId, (pan, key): LinkKeyName) {
        let admitted = self.is_member(station);
        // The mesh follows its border router, which may have switched though the manager does not know yet.
        if admitted
            && self.domain.is_router(station)
            && self.keys.get(&pan).is_some_and(|before| *before != key)
        {
            self.keys.insert(pan, key);
            self.heard_key.retain(|other, _| self.domain.pan_of_station(*other) != Some(pan));
        }
        if self.keys.get(&pan) == Some(&key) {
            self.heard_key.remove(&station);
        } else if let Some((heard, since)) = self.heard_key.get(&station)
            && admitted
            && *heard >= KEY_HEARD_MIN
            && now - *since > KEY_CURRENT_WITHIN
        {
            self.heard_key.remove(&station);
            self.find(now, Fault::KeyNotCurrent { station });
        }
    }

    /// A radio heard a frame, whether its node can open it or not.
    pub fn heard(&mut self, now: Instant, station: StationId, frame: Option<FrameId>) {
        let aired = self.frame(frame);
        if let Some(src) = aired.and_then(|aired| aired.unsecured) {
            self.frames.heard_unsecured(station, src, self.stations.contains_key(&src));
        }
        // Who hears another PAN's key learns nothing of its own.
        let in_force = |(pan, key): &LinkKeyName| {
            self.keys.get(pan) == Some(key) && self.domain.pan_of_station(station) == Some(*pan)
        };
        // Of what is for others its radio does not tell it.
        if let Some(aired) =
            aired.filter(|it| it.broadcast && it.key().as_ref().is_some_and(in_force))
            && self.is_member(aired.station)
        {
            let (heard, since) = self.heard_key.entry(station).or_insert((0, now));
            *heard += 1;
            if *heard <= KEY_HEARD_MIN {
                *since = now;
            }
        }
        if let (Some(revocation), Some(aired), Some(frame)) = (&mut self.revocation, aired, frame) {
            revocation.heard(now, station, frame, aired.key());
        }
    }

    /// A node says something; `frame` is what it just heard, `flash` what it would wake up with.
    pub fn node(
        &mut self,
        now: Instant,
        id: StationId,
        frame: Option<FrameId>,
        event: &Event,
        flash: &Flash,
    ) {
        match event {
            Event::FrameOpened { src, .. } => self.frame_opened(now, id, frame, *src),
            Event::Join(JoinerEvent::Member) => self.member(now, id, flash),
            Event::Mac(MacEvent::FrameDropped(FrameDrop::Replayed)) => {
                let genuine = self.honest_frame(frame).and_then(|aired| aired.secured);
                let fault = genuine.and_then(|secured| self.frames.refused(id, secured));
                self.find_all(now, fault);
            }
            Event::Net(NetEvent::Dropped(drop)) => self.dropped(now, id, frame, *drop),
            Event::GroupKeyed { group, epoch } if !holds_epoch(flash, *group, *epoch) => {
                self.find(now, Fault::KeysNotStored { station: id });
            }
            Event::GroupSent { group, record } => {
                let pan = self.domain.pan_of_station(id);
                let fault = self.groups.sealed((id, pan), *group, record);
                self.find_all(now, fault);
            }
            Event::GroupOpened { group, epoch, sender, sequence } => {
                let pan = self.domain.pan_of_station(id);
                let fault = self.groups.opened(id, (pan, *group, *epoch, sender.0), *sequence);
                self.find_all(now, fault);
            }
            Event::LinkKeySwitched(key) => {
                if let Some(revocation) = &mut self.revocation
                    && let Some(pan) = self.domain.pan_of_station(id)
                {
                    revocation.switched(now, id, (pan, key.raw()));
                }
            }
            Event::Pair(event) => self.pair(now, id, event, flash),
            Event::GroupLeft(_) => self.groups.forgot(id),
            Event::Stranded => {
                self.groups.forgot(id);
                if let Some(revocation) = &mut self.revocation {
                    revocation.gave_up(now, id);
                }
            }
            _ => {}
        }
    }

    /// A device took its keys.
    fn member(&mut self, now: Instant, id: StationId, flash: &Flash) {
        let eui64 = self.eui64s.get(id.index()).copied().flatten();
        // Who was expelled a moment ago may have been sent its keys before.
        let admitted = eui64.is_some_and(|eui64| {
            let expelled = self.expelled.get(&eui64);
            self.domain.admitted.contains(&eui64)
                || expelled.is_some_and(|at| now - *at <= lowgate_access::joiner::KEYS_MAX)
        });
        if self.decisions == Decisions::Told && !admitted {
            self.find(now, Fault::MemberNotAdmitted { station: id });
        }
        if let (Some(revocation), Some(pan)) =
            (&mut self.revocation, self.domain.pan_of_station(id))
        {
            revocation.joined(id, pan);
        }
        if self.is_honest(id) && !flash.contains_key(&RecordKey::Network) {
            self.find(now, Fault::KeysNotStored { station: id });
        }
    }

    fn frame(&self, frame: Option<FrameId>) -> Option<Aired> {
        let at = self.recent.binary_search_by_key(&frame?, |(known, _)| *known).ok()?;
        Some(self.recent[at].1)
    }

    /// The frame, if it is of an honest station.
    fn honest_frame(&self, frame: Option<FrameId>) -> Option<Aired> {
        let aired = self.frame(frame);
        aired.filter(|aired| self.is_honest(aired.station))
    }

    /// What honest stations say can be read, unless somebody else had a hand in it. Messages that a node
    /// cannot use because it lacks something itself, after a restart, are no such thing.
    fn dropped(&mut self, now: Instant, id: StationId, frame: Option<FrameId>, drop: NetDrop) {
        let malformed =
            matches!(drop, NetDrop::MalformedIpv6 | NetDrop::MalformedUdp | NetDrop::Unsecured);
        let aired = self.honest_frame(frame).filter(|_| malformed && !self.outsiders_spoke);
        if aired.is_some_and(|aired| aired.secured.is_some() || !self.intruded)
            && self.decisions == Decisions::Told
        {
            self.find(now, Fault::HonestMalformed { station: id, drop });
        }
    }

    /// The border router registered a device; `named` says whether the manager named it.
    pub fn registered(&mut self, now: Instant, eui64: Eui64, named: bool) {
        if !named || !self.domain.ever_admitted.contains(&eui64) {
            self.find(now, Fault::StrangerRegistered { eui64 });
        }
    }

    fn frame_opened(&mut self, now: Instant, id: StationId, frame: Option<FrameId>, src: Eui64) {
        let aired = self.frame(frame);
        let Some((aired, frame)) = aired.zip(frame) else {
            return self.find(now, Fault::ForgedFrameOpened { station: id, src });
        };
        // Whoever holds the key in force can seal with it, in whatever name: what he holds is a device's.
        let captured = self.insiders.sealed_by(aired.station, aired.secured);
        let fault = match captured {
            Some(_) => self.frames.opened_insiders(id, src, aired.secured),
            None => self.frames.opened(id, src, aired.secured, aired.hash),
        };
        self.find_all(now, fault);
        let sender = captured.unwrap_or(aired.station);
        // Those who were expelled, one after the other, may talk to each other under the keys they had.
        if !self.is_member(id) && !self.is_member(sender) {
            return;
        }
        let Some(revocation) = &mut self.revocation else { return };
        let src = if captured == Some(revocation.station) { revocation.eui64 } else { src };
        if let Some(fault) = revocation.opened(now, id, frame, src, sender) {
            self.find(now, fault);
        }
    }

    /// The store has a batch.
    pub fn committed(&mut self, now: Instant, batch: &Batch) {
        if self.decisions == Decisions::Elsewhere {
            return;
        }
        for change in &batch.changes {
            match change {
                Change::DomainCreated { config, link_key } => {
                    let pan = config.founding_pan();
                    self.air.know_prefix(pan.pan_id, pan.mesh_prefix);
                    self.air.know_key((pan.pan_id, link_key.index.raw()), link_key.key.clone());
                }
                Change::PanCreated { config, link_key } => {
                    self.air.know_prefix(config.pan_id, config.mesh_prefix);
                    self.air.know_key((config.pan_id, link_key.index.raw()), link_key.key.clone());
                }
                Change::LinkKeyStaged { pan, key } => {
                    self.air.know_key((*pan, key.index.raw()), key.key.clone());
                }
                _ => {}
            }
            let fault = self.domain.committed(change);
            self.find_all(now, fault);
        }
    }

    /// The manager says something.
    pub fn manager(&mut self, now: Instant, event: &ManagerEvent) {
        if self.decisions == Decisions::Elsewhere {
            return; // nobody hears the manager that says so
        }
        match event {
            ManagerEvent::Revoked { eui64 } => {
                self.expelled.insert(*eui64, now);
                let pan = self.domain.pan_of(*eui64);
                let others = self.domain.admitted.iter().filter(|member| *member != eui64);
                let others = others.filter(|member| self.domain.pan_of(**member) == pan);
                let members: BTreeSet<StationId> =
                    others.filter_map(|member| self.stations.get(member).copied()).collect();
                if let Some((station, pan)) = self.stations.get(eui64).zip(pan) {
                    let revocation = Revocation::new(now, (*station, pan), *eui64, members);
                    self.revocation = Some(revocation);
                }
            }
            ManagerEvent::SessionMoved { peer, .. } => {
                self.records.moved(now, peer.addr, peer.port);
            }
            ManagerEvent::KeySwitched { pan, index } => {
                self.keys.insert(*pan, index.raw());
                let of_pan =
                    |station: &StationId| self.domain.pan_of_station(*station) == Some(*pan);
                self.heard_key.retain(|station, _| !of_pan(station));
                if let Some(revocation) = &mut self.revocation {
                    revocation.commanded(now, (*pan, index.raw()));
                }
            }
            ManagerEvent::Admitted { eui64, .. }
            | ManagerEvent::Returned { eui64, .. }
            | ManagerEvent::Moved { eui64, .. } => {
                let revoked = self.revocation.as_ref().map(|revocation| revocation.eui64);
                if revoked == Some(*eui64) {
                    self.find(now, Fault::RevokedReadmitted { eui64: *eui64 });
                }
                if let (Some(revocation), Some(station)) =
                    (&mut self.revocation, self.stations.get(eui64))
                    && let Some(pan) = self.domain.pan_of_station(*station)
                {
                    revocation.let_in(*station, pan);
                }
            }
            _ => {}
        }
    }

    /// To whom the border router knows a way, looked at now and then.
    pub fn routed(
        &mut self,
        now: Instant,
        router: StationId,
        devices: impl Iterator<Item = ShortAddr>,
    ) {
        let Some(pan) = self.domain.pan_of_station(router) else { return };
        let Some(revocation) = &mut self.revocation else { return };
        let eui64 = revocation.eui64;
        let over = |at: Instant| now >= at + ROUTED_AFTER_MAX;
        let mut owners = devices.filter_map(|device| self.domain.owners.get(&(pan, device)));
        if revocation.commanded_at.is_some_and(over)
            && !revocation.routed
            && owners.any(|owner| *owner == eui64)
        {
            revocation.routed = true;
            self.find(now, Fault::RevokedRouted { eui64 });
        }
    }

    /// A packet is on the backbone, from or to the manager; `is_router` knows the border routers.
    pub fn backbone(
        &mut self,
        now: Instant,
        packet: &[u8],
        manager: Ipv6Addr,
        is_router: impl Fn(Ipv6Addr) -> bool,
    ) {
        if let Some(dst) = backbone::stray(packet, manager, is_router) {
            self.find(now, Fault::StrayPacket { dst });
        }
        if !self.outsiders_spoke && backbone::malformed(packet) {
            self.find(now, Fault::DatagramMalformed);
        }
        let faults = self.records.packet(now, packet, manager, self.intruded);
        self.find_all(now, faults.into_iter().chain(self.domain.shows_secret(packet)));
    }

    /// Whether it is time to try the group keys of a revoked device on the members, once.
    pub(crate) fn take_forging_due(&mut self, now: Instant) -> bool {
        let due = |it: &&mut Revocation| {
            !it.forged && it.effective_at.is_some_and(|at| now >= at + FORGED_AFTER)
        };
        let revocation = self.revocation.as_mut().filter(due);
        revocation.map(|it| it.forged = true).is_some()
    }

    /// A group record that a member opened a moment ago, to see whether it opens it again.
    pub(crate) fn take_opened_record(&mut self) -> Option<OpenedRecord> {
        self.groups.take_to_repeat()
    }

    /// A member opened a record again.
    pub(crate) fn repeated(&mut self, now: Instant, opened: &OpenedRecord) {
        let (station, group) = (opened.station, opened.group);
        self.find(now, Fault::GroupReplayOpened { station, group });
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

/// A link-layer key: whose, and its index.
pub(crate) type LinkKeyName = (PanId, u8);

/// Source, key and counter of a secured frame of ours.
pub(crate) fn secured(frame: &AddressedFrame<'_>) -> Option<Secured> {
    let Format::Secured(header) = frame.format else { return None };
    let (Some(LinkAddr::Extended(src)), KeyId::Index(index)) = (frame.src(), header.key_id) else {
        return None;
    };
    let (Pan::Id(pan), _) = frame.dst()? else { return None };
    Some((src, (pan, index.raw()), header.counter.0))
}

/// The source of an unsecured frame of data, or of a beacon.
fn unsecured_src(frame: &AddressedFrame<'_>) -> Option<Eui64> {
    match (frame.content, &frame.format, frame.src()?) {
        (
            Content::Data { .. } | Content::Beacon { .. },
            Format::Unsecured(_),
            LinkAddr::Extended(src),
        ) => Some(src),
        _ => None,
    }
}

/// The extended address a data frame is for.
fn extended_dst(frame: &AddressedFrame<'_>) -> Option<Eui64> {
    match (frame.content, frame.dst()?.1) {
        (Content::Data { .. }, LinkDst::Unicast(LinkAddr::Extended(dst))) => Some(dst),
        _ => None,
    }
}

/// The link key with which a station would wake up.
fn active_key(flash: &Flash) -> Option<u8> {
    match Record::parse(RecordKey::Network, flash.get(&RecordKey::Network)?)? {
        Record::Network { active, .. } => Some(active.raw()),
        _ => None,
    }
}

/// What a flash holds of the counters of a link key: the first that is not reserved.
fn reserved_below(flash: &Flash, key: u8) -> Option<u32> {
    let key = RecordKey::FrameCounter(lowgate_amikey::KeyIndex::new(key)?);
    match Record::parse(key, flash.get(&key)?)? {
        Record::FrameCounter { below, .. } => Some(below),
        _ => None,
    }
}

/// Whether a flash holds the keys of a group's epoch.
fn holds_epoch(flash: &Flash, group: GroupId, epoch: u16) -> bool {
    let key = RecordKey::Group(group);
    let record = flash.get(&key).and_then(|octets| Record::parse(key, octets));
    let Some(Record::Group { messages, .. }) = record else { return false };
    Messages::new(&messages).flatten().any(|message| match message {
        Message::Spd(spd) => spd.tek_id.raw() == epoch,
        _ => false,
    })
}

/// Tells octets apart; it need not withstand anybody.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

#[cfg(test)]
mod tests;
