//! Who is in which group: changes of the inventory while the domain runs, and the SenderIDs that follow.
//!
//! The inventory decides, whatever a device asks for. A border router sends to the groups of its PAN's
//! members, so that commands of the manager and of the building's network reach them; nobody configures
//! that.
//!
//! **Invariant:** pure but for entropy. Who leaves a group held its keys, so that everybody who stays gets
//! others in the same decision.

use crate::change::Change;
use crate::decide::key;
use crate::device::{Device, GROUPS_PER_DEVICE_MAX};
use crate::domain::Domain;
use crate::group::{GROUP_SENDERS_MAX, Group, GroupEpoch, sender_ids};
use lowgate_amikey::{GroupId, Rand, Role, Tgk};
use lowgate_units::{Entropy, Eui64, PanId};
use std::collections::BTreeMap;

/// Who goes and who comes when an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn<'a> {
    gone: Option<Eui64>,
    coming: Option<(PanId, &'a [Eui64])>,
}

impl<'a> Turn<'a> {
    /// Everybody stays.
    pub(crate) const NOBODY: Self = Self { gone: None, coming: None };

    /// One is in the group no longer.
    pub(crate) const fn gone(eui64: Eui64) -> Self {
        Self { gone: Some(eui64), coming: None }
    }

    /// These send in that PAN from now on.
    const fn coming(pan: PanId, senders: &'a [Eui64]) -> Self {
        Self { gone: None, coming: Some((pan, senders)) }
    }

    /// Whether the group will have members in that PAN, border routers apart.
    fn leaves_members(self, group: &Group, pan: PanId) -> bool {
        let present = group.present.get(&pan).into_iter().flatten();
        let stay = present.into_iter().any(|eui64| self.gone != Some(*eui64));
        stay || self.coming.is_some_and(|(coming, _)| coming == pan)
    }
}

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
    /// Border routers are in the groups of their PANs' members.
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
        if role.sends() && group.senders >= GROUP_SENDERS_MAX {
            return Err(MemberRefused::SendersFull);
        }
        let mut changes = vec![Change::MemberAdded { group: id, eui64, role }];
        if let Some(pan) = device.pan() {
            changes.extend(self.joins(group, pan, (eui64, role), entropy));
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
        if device.pan().is_some() {
            changes.extend(self.next_epoch(group, Turn::gone(eui64), entropy));
        }
        changes.push(Change::MemberRemoved { group: id, eui64 });
        Ok(changes)
    }

    /// A group and a device whose membership people may change.
    fn parties(&self, id: GroupId, eui64: Eui64) -> Result<(&Group, &Device), MemberRefused> {
        let group = self.groups().get(&id).ok_or(MemberRefused::UnknownGroup)?;
        let device = self.devices().get(&eui64).ok_or(MemberRefused::UnknownDevice)?;
        if device.is_revoked() {
            return Err(MemberRefused::Revoked);
        }
        if device.is_border_router() {
            return Err(MemberRefused::BorderRouter);
        }
        Ok((group, device))
    }

    /// A device is in its groups in a PAN, which it comes into or was in before.
    pub(crate) fn device_groups(
        &self,
        device: &Device,
        pan: PanId,
        granted: &BTreeMap<GroupId, Role>,
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, role) in granted {
            let (group, eui64) = (&self.groups()[id], device.record.eui64);
            changes.extend(self.joins(group, pan, (eui64, *role), entropy));
        }
        changes
    }

    /// A border router comes, for the first time or again: it sends to the groups it is in, and to those
    /// of its PAN's members.
    pub(crate) fn router_groups(
        &self,
        device: &Device,
        pan: PanId,
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        let (mut changes, eui64) = (Vec::new(), device.record.eui64);
        for (id, group) in self.groups() {
            let is_in = device.record.groups.contains_key(id);
            if !is_in && !group.present.contains_key(&pan) {
                continue;
            }
            let (group_id, role) = (*id, Role::Sender);
            let added = Change::MemberAdded { group: group_id, eui64, role };
            changes.extend((!is_in).then_some(added));
            changes.extend(self.sender_ids_for(group, pan, &[eui64], entropy));
        }
        changes
    }

    /// A member of a group is in a PAN: so is the PAN's border router, and it gets a SenderID if it sends.
    fn joins(
        &self,
        group: &Group,
        pan: PanId,
        (eui64, role): (Eui64, Role),
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        let (id, mut changes, mut senders) = (group.record.id, Vec::new(), Vec::new());
        let router = self.pans().get(&pan).and_then(|pan| pan.border_router);
        if let Some(router) = router.filter(|router| !group.members.contains_key(router)) {
            changes.push(Change::MemberAdded { group: id, eui64: router, role: Role::Sender });
            senders.push(router);
        }
        if role.sends() {
            senders.push(eui64);
        }
        changes.extend(self.sender_ids_for(group, pan, &senders, entropy));
        changes
    }

    /// SenderIDs for members that have none in that PAN or may have lost their counters: the next ones, or
    /// when all were given another epoch.
    fn sender_ids_for(
        &self,
        group: &Group,
        pan: PanId,
        senders: &[Eui64],
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        let left = group.sender_ids_left(pan);
        let given: Vec<_> = senders.iter().zip(left).collect();
        if given.len() < senders.len() {
            return self.next_epoch(group, Turn::coming(pan, senders), entropy);
        }
        let group = group.record.id;
        let given = given.into_iter().map(|(eui64, sender_id)| Change::SenderIdGiven {
            group,
            pan,
            eui64: *eui64,
            sender_id,
        });
        given.collect()
    }

    /// New TGK, CSB and RAND, the next TEK_ID, and SenderIDs from 1 on in each PAN. Border routers of PANs
    /// in which nobody is left in the group leave it.
    pub(crate) fn next_epoch(
        &self,
        group: &Group,
        turn: Turn<'_>,
        entropy: &mut dyn Entropy,
    ) -> Vec<Change> {
        let epoch = GroupEpoch {
            csb_id: self.csb_id(entropy),
            generation: group.epoch.generation.next(),
            tek_id: group.epoch.tek_id.next(),
            tgk: Tgk(key(entropy)),
            rand: Rand(key(entropy)),
        };
        self.epoch_started(group, epoch, turn)
    }

    /// The next epoch under the TGK that the group has.
    pub(crate) fn next_rand(&self, group: &Group, entropy: &mut dyn Entropy) -> Vec<Change> {
        let (tek_id, rand) = (group.epoch.tek_id.next(), Rand(key(entropy)));
        self.epoch_started(group, GroupEpoch { tek_id, rand, ..group.epoch.clone() }, Turn::NOBODY)
    }

    fn epoch_started(&self, group: &Group, epoch: GroupEpoch, turn: Turn<'_>) -> Vec<Change> {
        let id = group.record.id;
        let mut changes = vec![Change::GroupEpochStarted { group: id, epoch }];
        let mut senders: BTreeMap<PanId, Vec<Eui64>> = BTreeMap::new();
        let mut idle = Vec::new();
        for (pan, eui64) in group.sender_ids.keys() {
            let device = &self.devices()[eui64];
            let comes = turn.coming.is_some_and(|(_, coming)| coming.contains(eui64));
            if comes || turn.gone == Some(*eui64) || device.pan() != Some(*pan) {
                continue;
            }
            if device.is_border_router() && !turn.leaves_members(group, *pan) {
                idle.push(*eui64);
            } else {
                senders.entry(*pan).or_default().push(*eui64);
            }
        }
        if let Some((pan, coming)) = turn.coming {
            senders.entry(pan).or_default().extend(coming);
        }
        for (pan, them) in senders {
            changes.extend(them.into_iter().zip(sender_ids()).map(|(eui64, sender_id)| {
                Change::SenderIdGiven { group: id, pan, eui64, sender_id }
            }));
        }
        changes.extend(idle.into_iter().map(|eui64| Change::MemberRemoved { group: id, eui64 }));
        changes
    }
}
