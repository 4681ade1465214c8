//! Who is in which group: changes of the inventory while the domain runs.
//!
//! The inventory decides, whatever a device asks for. The border router sends to every group, so that
//! commands of the manager and of the building's network reach them; nobody configures that.
//!
//! **Invariant:** pure but for entropy. Who leaves a group held its keys, so that everybody who stays gets
//! others in the same decision.

use crate::change::Change;
use crate::device::{Device, DeviceState, GROUPS_PER_DEVICE_MAX, Kind};
use crate::domain::Domain;
use crate::group::{GROUP_SENDERS_MAX, Group};
use lowgate_amikey::{GroupId, Role};
use lowgate_units::{Entropy, Eui64};
use std::collections::BTreeMap;

/// Why a device is not put into a group, or not taken out of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRefused {
    /// Not in the inventory.
    UnknownDevice,
    /// No such group.
    UnknownGroup,
    /// The device is revoked.
    Revoked,
    /// The device is in the group.
    AlreadyIn,
    /// The device is not in the group.
    NotIn,
    /// The border router is in every group.
    BorderRouter,
    /// The group has [`GROUP_SENDERS_MAX`] senders.
    SendersFull,
    /// The device is in [`GROUPS_PER_DEVICE_MAX`] groups.
    TooManyGroups,
}

impl Domain {
    /// The groups that a device gets, and as what: those of the inventory. Who asks for less than it may
    /// have gets that; asking for more changes nothing.
    pub fn granted(
        &self,
        device: &Device,
        asked: &BTreeMap<GroupId, Role>,
    ) -> BTreeMap<GroupId, Role> {
        if device.record.kind == Kind::BorderRouter {
            return self.groups().keys().map(|id| (*id, Role::Sender)).collect();
        }
        let role = |id: &GroupId, given: Role| {
            let less = asked.get(id).copied().filter(|asked| given.covers(*asked));
            less.unwrap_or(given)
        };
        device.record.groups.iter().map(|(id, given)| (*id, role(id, *given))).collect()
    }

    /// A device in one more group. Who is admitted and sends there gets a SenderID; all members were told
    /// of all SenderIDs of their epoch, so that they hear it at once.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_member_added(
        &self,
        id: GroupId,
        eui64: Eui64,
        role: Role,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, MemberRefused> {
        let (group, device) = self.parties(id, eui64)?;
        if device.record.groups.contains_key(&id) {
            return Err(MemberRefused::AlreadyIn);
        }
        if device.record.groups.len() >= GROUPS_PER_DEVICE_MAX {
            return Err(MemberRefused::TooManyGroups);
        }
        if role.sends() && self.senders(id) >= GROUP_SENDERS_MAX {
            return Err(MemberRefused::SendersFull);
        }
        let mut changes = vec![Change::MemberAdded { group: id, eui64, role }];
        if role.sends() && device.admitted().is_some() {
            changes.extend(self.sender_id_for(group, eui64, entropy));
        }
        Ok(changes)
    }

    /// A device in one group less. If it held the group's keys, those who stay get others.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_member_removed(
        &self,
        id: GroupId,
        eui64: Eui64,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, MemberRefused> {
        let (group, device) = self.parties(id, eui64)?;
        if !device.record.groups.contains_key(&id) {
            return Err(MemberRefused::NotIn);
        }
        let mut changes = Vec::new();
        if device.admitted().is_some() {
            let senders = group.sender_ids.keys().copied().filter(|other| *other != eui64);
            changes.extend(self.next_epoch(group, senders, entropy));
        }
        changes.push(Change::MemberRemoved { group: id, eui64 });
        Ok(changes)
    }

    /// A group and a device whose membership people may change.
    fn parties(&self, id: GroupId, eui64: Eui64) -> Result<(&Group, &Device), MemberRefused> {
        let group = self.groups().get(&id).ok_or(MemberRefused::UnknownGroup)?;
        let device = self.devices().get(&eui64).ok_or(MemberRefused::UnknownDevice)?;
        if matches!(device.state, DeviceState::Revoked { .. }) {
            return Err(MemberRefused::Revoked);
        }
        if device.record.kind == Kind::BorderRouter {
            return Err(MemberRefused::BorderRouter);
        }
        Ok((group, device))
    }

    /// Devices that send to a group or will; the border router has a place of its own.
    fn senders(&self, id: GroupId) -> usize {
        let sends = |device: &&Device| {
            let role = device.record.groups.get(&id);
            let revoked = matches!(device.state, DeviceState::Revoked { .. });
            let router = device.record.kind == Kind::BorderRouter;
            role.is_some_and(|role| role.sends()) && !revoked && !router
        };
        self.devices().values().filter(sends).count()
    }

    /// The groups that a border router is not in yet.
    pub(crate) fn groups_due(&self, device: &Device) -> Vec<Change> {
        if device.record.kind != Kind::BorderRouter {
            return Vec::new();
        }
        let eui64 = device.record.eui64;
        let due = self.groups().keys().filter(|id| !device.record.groups.contains_key(id));
        due.map(|id| Change::MemberAdded { group: *id, eui64, role: Role::Sender }).collect()
    }

    /// A SenderID for a member that has none or may have lost its counters: the next one, or when all were
    /// given another epoch.
    pub(crate) fn sender_id_for(
        &self,
        group: &Group,
        eui64: Eui64,
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        match group.sender_id_next {
            Some(sender_id) => {
                vec![Change::SenderIdGiven { group: group.record.id, eui64, sender_id }]
            }
            None => {
                let others = group.sender_ids.keys().copied().filter(|other| *other != eui64);
                self.next_epoch(group, others.chain([eui64]), entropy)
            }
        }
    }
}
