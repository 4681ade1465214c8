//! Decisions: from the domain as it is and what is asked, to the changes that follow, or a refusal.
//!
//! **Invariant:** pure but for entropy. Nothing here changes the domain; a refusal leaves no trace.

use crate::change::{Change, DomainConfig, LinkKey};
use crate::device::{
    Device, DeviceRecord, DeviceState, GROUPS_PER_DEVICE_MAX, Kind, LABEL_OCTETS_MAX,
};
use crate::domain::{BORDER_ROUTER_SHORT, Domain, WINDOW_MAX};
use crate::group::{
    GROUP_SENDERS_MAX, GROUPS_MAX, Group, GroupEpoch, GroupRecord, ports, sender_ids,
};
use lowgate_amikey::{CsbId, Generation, GroupId, KeyIndex, Rand, Role, SenderId, TekId, Tgk};
use lowgate_crypto::Key128;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Channel, Entropy, Eui64, Instant, Ipv6Addr, PanId};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// Devices a domain may have, the expelled among them.
pub const DEVICES_MAX: usize = 1024;

/// What people choose of a new domain; the rest is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDomain {
    /// The channel of its PAN.
    pub channel: Channel,
    /// The mesh's prefix; `None` draws one (RFC 4193).
    pub mesh_prefix: Option<[u8; 8]>,
    /// Where devices reach the manager.
    pub manager_addr: Ipv6Addr,
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
    /// The domain has a border router that is not revoked.
    SecondBorderRouter,
    /// The domain has [`DEVICES_MAX`] devices.
    InventoryFull,
    /// A border router is in every group by itself.
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
    /// All short addresses were given.
    AddressesExhausted,
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
    let pan_id = PanId::new(u16::from_be_bytes(octets(entropy)) & 0x7fff).expect("below 0xffff");
    // RFC 4193 section 3.2: fd, a random global ID of 40 bits, a subnet of 16.
    let [g0, g1, g2, g3, g4] = octets(entropy);
    let NewDomain { channel, mesh_prefix, manager_addr } = new;
    let mesh_prefix = mesh_prefix.unwrap_or([0xfd, g0, g1, g2, g3, g4, 0, 1]);
    let config = DomainConfig { pan_id, channel, mesh_prefix, manager_addr };
    Change::DomainCreated {
        config,
        link_key: LinkKey { index: KeyIndex::FIRST, key: key(entropy) },
    }
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
        let mut seen = Seen::of(self);
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

    /// A new group with keys and a port of its own, to which the border router sends.
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
        let mut changes = vec![Change::GroupCreated { record, epoch }];
        // One that joins later gets all groups then.
        if let Some(eui64) = self.border_router() {
            changes.push(Change::MemberAdded { group: id, eui64, role: Role::Sender });
            let sender_id = SenderId::MIN;
            changes.push(Change::SenderIdGiven { group: id, eui64, sender_id });
        }
        Ok(changes)
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

    /// Lets an authenticated device in, for the first time or again: an address if it has none, and
    /// a SenderID in each group it is granted as a sender. A device that comes again may have lost its
    /// counters, so that it never gets the SenderID it had.
    ///
    /// # Errors
    /// Why it stays out.
    pub fn decide_admission(
        &self,
        now: Instant,
        device: &Device,
        granted: &BTreeMap<GroupId, Role>,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, NotAuthorized> {
        let record = &device.record;
        let is_router = record.kind == Kind::BorderRouter;
        match device.state {
            DeviceState::Revoked { .. } => return Err(NotAuthorized::Revoked),
            DeviceState::Expected if !is_router && self.window(now).is_none() => {
                return Err(NotAuthorized::WindowClosed);
            }
            DeviceState::Expected | DeviceState::Admitted { .. } => {}
        }
        let mut changes = self.groups_due(device);
        if device.state == DeviceState::Expected {
            let short = if is_router { Some(BORDER_ROUTER_SHORT) } else { self.short_next() };
            let short = short.ok_or(NotAuthorized::AddressesExhausted)?;
            changes.push(Change::Admitted { eui64: record.eui64, short });
        }
        for id in granted.iter().filter(|(_, role)| role.sends()).map(|(id, _)| id) {
            changes.extend(self.sender_id_for(&self.groups()[id], record.eui64, entropy));
        }
        Ok(changes)
    }

    /// Expels a device: it loses its membership, and every key it held is replaced.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_revocation(
        &self,
        eui64: Eui64,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, RevokeRefused> {
        let device = self.devices().get(&eui64).ok_or(RevokeRefused::UnknownDevice)?;
        match device.state {
            DeviceState::Revoked { .. } => Err(RevokeRefused::AlreadyRevoked),
            // It never held a key.
            DeviceState::Expected => Ok(vec![Change::Revoked { eui64 }]),
            DeviceState::Admitted { short } => {
                let mut changes = vec![Change::Revoked { eui64 }];
                let index = self.key_index_next();
                changes.push(Change::LinkKeyStaged(LinkKey { index, key: key(entropy) }));
                if short == BORDER_ROUTER_SHORT {
                    // Nobody is left to switch the mesh, and the successor takes this address over,
                    // which it may do only under another key.
                    changes.push(Change::LinkKeyActivated { index });
                }
                if planted(Fault::GroupKeysKept) {
                    return Ok(changes);
                }
                for group in device.record.groups.keys().map(|id| &self.groups()[id]) {
                    let senders = group.sender_ids.keys().copied().filter(|other| *other != eui64);
                    changes.extend(self.next_epoch(group, senders, entropy));
                }
                Ok(changes)
            }
        }
    }

    /// New TGK, CSB and RAND, the next TEK_ID, and SenderIDs from 1 on.
    pub(crate) fn next_epoch(
        &self,
        group: &Group,
        senders: impl Iterator<Item = Eui64>,
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        let id = group.record.id;
        let epoch = GroupEpoch {
            csb_id: self.csb_id(entropy),
            generation: group.epoch.generation.next(),
            tek_id: group.epoch.tek_id.next(),
            tgk: Tgk(key(entropy)),
            rand: Rand(key(entropy)),
        };
        epoch_started(id, epoch, senders)
    }

    /// A CSB_ID that no group has now.
    fn csb_id(&self, entropy: &mut dyn Entropy) -> CsbId {
        let mut csb_id = CsbId(u32::from_be_bytes(octets(entropy)));
        let taken = |csb_id| self.groups().values().any(|group| group.epoch.csb_id == csb_id);
        while csb_id == CsbId::NONE || taken(csb_id) {
            csb_id = CsbId(csb_id.0.wrapping_add(1));
        }
        csb_id
    }
}

/// An epoch begins, with SenderIDs from 1 on for `senders`.
pub(crate) fn epoch_started(
    group: GroupId,
    epoch: GroupEpoch,
    senders: impl Iterator<Item = Eui64>,
) -> Vec<Change> {
    let given = senders.zip(sender_ids());
    let given = given.map(|(eui64, sender_id)| Change::SenderIdGiven { group, eui64, sender_id });
    [Change::GroupEpochStarted { group, epoch }].into_iter().chain(given).collect()
}

/// What the lines of an import so far add to the inventory.
struct Seen<'a> {
    euis: BTreeSet<Eui64>,
    identities: BTreeSet<&'a [u8]>,
    senders: BTreeMap<GroupId, usize>,
    border_router: bool,
}

impl<'a> Seen<'a> {
    fn of(domain: &'a Domain) -> Self {
        let mut seen = Self {
            euis: BTreeSet::new(),
            identities: BTreeSet::new(),
            senders: BTreeMap::new(),
            border_router: false,
        };
        for device in domain.devices().values() {
            let revoked = matches!(device.state, DeviceState::Revoked { .. });
            seen.count(&device.record, !revoked);
        }
        seen
    }

    fn count(&mut self, record: &'a DeviceRecord, counts: bool) {
        self.euis.insert(record.eui64);
        self.identities.insert(record.identity.octets());
        if counts {
            if record.kind == Kind::BorderRouter {
                self.border_router = true;
                return; // its place among the senders is nobody else's
            }
            for id in record.groups.iter().filter(|(_, role)| role.sends()).map(|(id, _)| id) {
                *self.senders.entry(*id).or_default() += 1;
            }
        }
    }

    fn add(&mut self, domain: &Domain, record: &'a DeviceRecord) -> Vec<ImportFault> {
        let mut faults = Vec::new();
        let mut fault_if = |wrong: bool, fault| faults.extend(wrong.then_some(fault));
        fault_if(self.euis.contains(&record.eui64), ImportFault::EuiTaken);
        fault_if(self.identities.contains(record.identity.octets()), ImportFault::IdentityTaken);
        fault_if(
            record.name.len().max(record.room.len()) > LABEL_OCTETS_MAX,
            ImportFault::LabelTooLong,
        );
        fault_if(record.groups.len() > GROUPS_PER_DEVICE_MAX, ImportFault::TooManyGroups);
        for (id, role) in &record.groups {
            let senders = self.senders.get(id).copied().unwrap_or(0);
            let full = role.sends() && senders >= GROUP_SENDERS_MAX;
            fault_if(!domain.groups().contains_key(id), ImportFault::UnknownGroup(*id));
            fault_if(full, ImportFault::GroupSendersFull(*id));
        }
        let is_router = record.kind == Kind::BorderRouter;
        fault_if(is_router && self.border_router, ImportFault::SecondBorderRouter);
        fault_if(is_router && !record.groups.is_empty(), ImportFault::BorderRouterGroups);
        fault_if(self.euis.len() >= DEVICES_MAX, ImportFault::InventoryFull);
        self.count(record, true);
        faults
    }
}
