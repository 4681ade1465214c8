//! Decisions: from the domain as it is and what is asked, to the changes that follow, or a refusal.
//!
//! **Invariant:** pure but for entropy. Nothing here changes the domain; a refusal leaves no trace.

use crate::change::{Change, DomainConfig, LinkKey};
use crate::device::{
    Device, DeviceRecord, DeviceState, GROUPS_PER_DEVICE_MAX, Kind, LABEL_OCTETS_MAX,
};
use crate::domain::{Domain, WINDOW_MAX};
use crate::group::{GROUP_SENDERS_MAX, GROUPS_MAX, GroupEpoch, GroupRecord, ports};
use crate::membership::Turn;
use crate::pan::{BORDER_ROUTER_SHORT, ChannelSet, PAN_MEMBERS_MAX, PANS_MAX, Pan, PanConfig};
use lowgate_amikey::{CsbId, Generation, GroupId, KeyIndex, Rand, Role, TekId, Tgk};
use lowgate_crypto::Key128;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Channel, Entropy, Eui64, Iid, Instant, Ipv6Addr, PanId};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// Devices a domain may have, the expelled among them.
pub const DEVICES_MAX: usize = 16_384;

/// What people choose of a new domain; the rest is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDomain {
    /// The channel of its first PAN.
    pub channel: Channel,
    /// Where its other PANs may be besides.
    pub further_channels: ChannelSet,
    /// The first PAN's prefix; `None` draws one (RFC 4193).
    pub mesh_prefix: Option<[u8; 8]>,
    /// Where devices reach the manager.
    pub manager_addr: Ipv6Addr,
}

impl NewDomain {
    /// All PANs on one channel, under a prefix that is drawn.
    pub const fn new(channel: Channel, manager_addr: Ipv6Addr) -> Self {
        Self { channel, further_channels: ChannelSet::NONE, mesh_prefix: None, manager_addr }
    }
}

/// What is wrong with one line of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFault {
    /// The EUI-64 is in the inventory, or in an earlier line.
    EuiTaken,
    /// Another device has this identity.
    IdentityTaken,
    /// Name or room is longer than [`LABEL_OCTETS_MAX`] octets.
    LabelTooLong,
    /// No such group.
    UnknownGroup(GroupId),
    /// More than [`GROUPS_PER_DEVICE_MAX`] groups.
    TooManyGroups,
    /// The group has [`GROUP_SENDERS_MAX`] senders.
    GroupSendersFull(GroupId),
    /// The domain has [`PANS_MAX`] border routers that are not revoked.
    BorderRoutersFull,
    /// The domain has [`DEVICES_MAX`] devices.
    InventoryFull,
    /// A border router is in its devices' groups by itself.
    BorderRouterGroups,
}

/// A fault and the line it is in, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportRefused {
    /// Index into the list that was offered.
    pub line: usize,
    /// What is wrong there.
    pub fault: ImportFault,
}

/// Why a group is not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRefused {
    /// The number is taken.
    IdTaken,
    /// The name is longer than [`LABEL_OCTETS_MAX`] octets.
    LabelTooLong,
    /// The domain has [`GROUPS_MAX`] groups.
    Full,
}

/// Why the join window is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRefused {
    /// Its end has passed.
    InThePast,
    /// Longer than [`WINDOW_MAX`].
    TooLong,
}

/// Why a device is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeRefused {
    /// Not in the inventory.
    UnknownDevice,
    /// Revoked before.
    AlreadyRevoked,
}

/// Why somebody who proved to hold a key of the inventory is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotAuthorized {
    /// The device is revoked.
    Revoked,
    /// The device is expected, and the join window is closed.
    WindowClosed,
    /// Its ClientHello asked for nothing that a domain manager gives.
    NoRequest,
    /// The request names another node than the one that proved itself.
    NodeIdMismatch,
    /// All short addresses of the PAN were given.
    AddressesExhausted,
    /// The PAN has [`PAN_MEMBERS_MAX`] members.
    PanFull,
    /// The device is expected, and comes from no mesh of the domain.
    OutsideMesh,
    /// All PAN identifiers or all subnets are taken.
    PansExhausted,
}

pub(crate) fn key(entropy: &mut dyn Entropy) -> Key128 {
    let mut octets = Zeroizing::new([0; 16]);
    entropy.fill(&mut octets[..]);
    Key128::new(*octets)
}

fn octets<const N: usize>(entropy: &mut dyn Entropy) -> [u8; N] {
    let mut octets = [0; N];
    entropy.fill(&mut octets);
    octets
}

/// The first change of a new domain. Nothing in it has a default: what nobody chose is drawn.
pub fn found(new: NewDomain, entropy: &mut dyn Entropy) -> Change {
    let pan_id = pan_id(entropy);
    // RFC 4193 section 3.2: fd, a random global ID of 40 bits, a subnet of 16.
    let [g0, g1, g2, g3, g4] = octets(entropy);
    let NewDomain { channel, further_channels, mesh_prefix, manager_addr } = new;
    let mesh_prefix = mesh_prefix.unwrap_or([0xfd, g0, g1, g2, g3, g4, 0, 1]);
    let config = DomainConfig { pan_id, channel, mesh_prefix, further_channels, manager_addr };
    Change::DomainCreated { config, link_key: first_link_key(entropy) }
}

fn pan_id(entropy: &mut dyn Entropy) -> PanId {
    PanId::new(u16::from_be_bytes(octets(entropy)) & 0x7fff).expect("below 0xffff")
}

fn first_link_key(entropy: &mut dyn Entropy) -> LinkKey {
    LinkKey { index: KeyIndex::FIRST, key: key(entropy) }
}

impl Domain {
    /// Lines for the inventory: all of them, or every fault of every line.
    ///
    /// # Errors
    /// All faults found, in the order of the lines.
    pub fn decide_import(
        &self,
        records: &[DeviceRecord],
    ) -> Result<Vec<Change>, Vec<ImportRefused>> {
        let mut refused = Vec::new();
        let mut seen = Seen::default();
        for (line, record) in records.iter().enumerate() {
            let faults = seen.add(self, record);
            refused.extend(faults.into_iter().map(|fault| ImportRefused { line, fault }));
        }
        if refused.is_empty() {
            Ok(records.iter().cloned().map(Change::DeviceImported).collect())
        } else {
            Err(refused)
        }
    }

    /// A new group with keys and a port of its own.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_group(
        &self,
        id: GroupId,
        name: &str,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, GroupRefused> {
        if self.groups().contains_key(&id) {
            return Err(GroupRefused::IdTaken);
        }
        if name.len() > LABEL_OCTETS_MAX {
            return Err(GroupRefused::LabelTooLong);
        }
        if self.groups().len() >= GROUPS_MAX {
            return Err(GroupRefused::Full);
        }
        let taken: BTreeSet<u16> = self.groups().values().map(|group| group.record.port).collect();
        let port = ports().find(|port| !taken.contains(port)).ok_or(GroupRefused::Full)?;
        let epoch = GroupEpoch {
            csb_id: self.csb_id(entropy),
            generation: Generation(1),
            tek_id: TekId::FIRST,
            tgk: Tgk(key(entropy)),
            rand: Rand(key(entropy)),
        };
        let record = GroupRecord { id, name: name.into(), port };
        Ok(vec![Change::GroupCreated { record, epoch }])
    }

    /// The join window open until then.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_window(&self, now: Instant, until: Instant) -> Result<Change, WindowRefused> {
        if until <= now {
            return Err(WindowRefused::InThePast);
        }
        if until.since(now) > WINDOW_MAX {
            return Err(WindowRefused::TooLong);
        }
        Ok(Change::WindowOpened { until })
    }

    /// Lets an authenticated device in, for the first time or again: a border router into a PAN that has
    /// none, or one of its own; others into the PAN that they come `from`, or into the one they are in. It
    /// gets an address there if it has none, and a SenderID in each group it is granted as a sender. A
    /// device that comes again may have lost its counters, so that it never gets the SenderID it had.
    ///
    /// # Errors
    /// Why it stays out.
    pub fn decide_admission(
        &self,
        now: Instant,
        device: &Device,
        from: Option<PanId>,
        granted: &BTreeMap<GroupId, Role>,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, NotAuthorized> {
        let is_router = device.is_border_router();
        match device.state {
            DeviceState::Revoked { .. } => return Err(NotAuthorized::Revoked),
            DeviceState::Expected if !is_router && self.window(now).is_none() => {
                return Err(NotAuthorized::WindowClosed);
            }
            DeviceState::Expected | DeviceState::Admitted { .. } => {}
        }
        let mut changes = Vec::new();
        let pan = match (is_router, device.pan()) {
            (true, Some(own)) => own,
            (true, None) => self.pan_for_router(&mut changes, entropy)?,
            (false, own) => from.or(own).ok_or(NotAuthorized::OutsideMesh)?,
        };
        changes.extend(self.move_in(device, pan)?);
        if is_router {
            changes.extend(self.router_groups(device, pan, entropy));
        } else {
            changes.extend(self.device_groups(device, pan, granted, entropy));
        }
        Ok(changes)
    }

    /// The PAN for a border router that has none: one without a border router, else a new one.
    fn pan_for_router(
        &self,
        changes: &mut Vec<Change>,
        entropy: &mut dyn Entropy,
    ) -> Result<PanId, NotAuthorized> {
        let vacant = |pan: &&Pan| pan.border_router.is_none();
        let first = [self.founding_pan()].into_iter().chain(self.pans().values()).find(vacant);
        if let Some(pan) = first {
            return Ok(pan.config.pan_id);
        }
        let config = self.next_pan(entropy).ok_or(NotAuthorized::PansExhausted)?;
        changes.push(Change::PanCreated { config, link_key: first_link_key(entropy) });
        Ok(config.pan_id)
    }

    /// One more PAN: a number that no other has, the channel that the fewest have, the next subnet.
    fn next_pan(&self, entropy: &mut dyn Entropy) -> Option<PanConfig> {
        if self.pans().len() >= PANS_MAX {
            return None;
        }
        let mut drawn = pan_id(entropy);
        while self.pans().contains_key(&drawn) {
            drawn = pan_id(entropy);
        }
        let config = self.config();
        let used = |channel: &Channel| {
            self.pans().values().filter(|pan| pan.config.channel == *channel).count()
        };
        let channels = config.further_channels.with(config.channel);
        let channel = channels.iter().min_by_key(used)?;
        let [site @ .., high, low] = config.mesh_prefix;
        let founded = u16::from_be_bytes([high, low]);
        let [a, b, c, d, e, f] = site;
        let subnets = (1..=u16::MAX).map(|apart| founded.wrapping_add(apart).to_be_bytes());
        let mut prefixes = subnets.map(|[high, low]| [a, b, c, d, e, f, high, low]);
        let free = |prefix: &[u8; 8]| {
            self.pan_of(Iid::from(BORDER_ROUTER_SHORT).under(*prefix)).is_none()
                && config.manager_addr.octets()[..8] != prefix[..]
        };
        Some(PanConfig { pan_id: drawn, channel, mesh_prefix: prefixes.find(free)? })
    }

    /// A device comes into a PAN, unless it is in it.
    fn move_in(&self, device: &Device, id: PanId) -> Result<Option<Change>, NotAuthorized> {
        let eui64 = device.record.eui64;
        if device.pan() == Some(id) {
            return Ok(None);
        }
        let pan = self.pans().get(&id);
        let short = match (device.is_border_router(), pan) {
            (true, _) => BORDER_ROUTER_SHORT,
            (false, None) => return Err(NotAuthorized::OutsideMesh),
            (false, Some(pan)) if pan.members.len() >= PAN_MEMBERS_MAX => {
                return Err(NotAuthorized::PanFull);
            }
            (false, Some(pan)) => pan.short_for(eui64).ok_or(NotAuthorized::AddressesExhausted)?,
        };
        Ok(Some(match device.pan() {
            None => Change::Admitted { eui64, pan: id, short },
            Some(_) => Change::Moved { eui64, pan: id, short },
        }))
    }

    /// Expels a device: it loses its membership, and every key it held is replaced. It held the link-layer
    /// keys of all the PANs that it was in.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_revocation(
        &self,
        eui64: Eui64,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, RevokeRefused> {
        let device = self.devices().get(&eui64).ok_or(RevokeRefused::UnknownDevice)?;
        let mut changes = vec![Change::Revoked { eui64 }];
        match device.state {
            DeviceState::Revoked { .. } => return Err(RevokeRefused::AlreadyRevoked),
            // It never held a key.
            DeviceState::Expected => return Ok(changes),
            DeviceState::Admitted { .. } => {}
        }
        for (id, pan) in self.pans() {
            let is_router = pan.border_router == Some(eui64);
            if !is_router && !pan.addresses.contains_key(&eui64) {
                continue;
            }
            let index = pan.key_index_next();
            let key = LinkKey { index, key: key(entropy) };
            changes.push(Change::LinkKeyStaged { pan: *id, key });
            if is_router {
                // Nobody is left to switch the mesh, and the successor takes this address over,
                // which it may do only under another key.
                changes.push(Change::LinkKeyActivated { pan: *id, index });
            }
        }
        changes.extend(self.pair_lost(device, entropy));
        if planted(Fault::GroupKeysKept) {
            return Ok(changes);
        }
        for group in device.record.groups.keys().map(|id| &self.groups()[id]) {
            changes.extend(self.next_epoch(group, Turn::gone(eui64), entropy));
        }
        Ok(changes)
    }

    /// A CSB_ID that no group has now.
    pub(crate) fn csb_id(&self, entropy: &mut dyn Entropy) -> CsbId {
        let mut csb_id = CsbId(u32::from_be_bytes(octets(entropy)));
        let taken = |csb_id| self.groups().values().any(|group| group.epoch.csb_id == csb_id);
        while csb_id == CsbId::NONE || taken(csb_id) {
            csb_id = CsbId(csb_id.0.wrapping_add(1));
        }
        csb_id
    }
}

/// What the lines of an import so far add to the inventory.
#[derive(Default)]
struct Seen<'a> {
    euis: BTreeSet<Eui64>,
    identities: BTreeSet<&'a [u8]>,
    senders: BTreeMap<GroupId, usize>,
    border_routers: usize,
}

impl<'a> Seen<'a> {
    fn count(&mut self, record: &'a DeviceRecord) {
        self.euis.insert(record.eui64);
        self.identities.insert(record.identity.octets());
        if record.kind == Kind::BorderRouter {
            self.border_routers += 1;
            return; // its place among the senders is nobody else's
        }
        for id in record.groups.iter().filter(|(_, role)| role.sends()).map(|(id, _)| id) {
            *self.senders.entry(*id).or_default() += 1;
        }
    }

    fn add(&mut self, domain: &Domain, record: &'a DeviceRecord) -> Vec<ImportFault> {
        let mut faults = Vec::new();
        let mut fault_if = |wrong: bool, fault| faults.extend(wrong.then_some(fault));
        let eui64 = &record.eui64;
        let eui_taken = self.euis.contains(eui64) || domain.devices().contains_key(eui64);
        let identity_taken = self.identities.contains(record.identity.octets())
            || domain.identified(&record.identity).is_some();
        fault_if(eui_taken, ImportFault::EuiTaken);
        fault_if(identity_taken, ImportFault::IdentityTaken);
        fault_if(
            record.name.len().max(record.room.len()) > LABEL_OCTETS_MAX,
            ImportFault::LabelTooLong,
        );
        fault_if(record.groups.len() > GROUPS_PER_DEVICE_MAX, ImportFault::TooManyGroups);
        for (id, role) in &record.groups {
            let group = domain.groups().get(id);
            let senders = self.senders.get(id).copied().unwrap_or(0);
            let senders = senders + group.map_or(0, |group| group.senders);
            let full = role.sends() && senders >= GROUP_SENDERS_MAX;
            fault_if(group.is_none(), ImportFault::UnknownGroup(*id));
            fault_if(full, ImportFault::GroupSendersFull(*id));
        }
        let is_router = record.kind == Kind::BorderRouter;
        let routers = self.border_routers + domain.border_routers().len();
        fault_if(is_router && routers >= PANS_MAX, ImportFault::BorderRoutersFull);
        fault_if(is_router && !record.groups.is_empty(), ImportFault::BorderRouterGroups);
        let devices = self.euis.len() + domain.devices().len();
        fault_if(devices >= DEVICES_MAX, ImportFault::InventoryFull);
        self.count(record);
        faults
    }
}
