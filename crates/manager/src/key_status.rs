//! Where every key of the domain stands: for people, and for programs that watch.
//!
//! **Invariant:** keys are named by index, epoch and generation; no value of a key is in here.

use crate::group::Group;
use crate::interface::ManagerEvent;
use crate::manager::Manager;
use crate::mesh::Mesh;
use crate::pairs::Pairs;
use crate::rollover::Rollover;
use crate::session::{Delivery, Purpose};
use lowgate_amikey::GroupId;
use lowgate_amikey::pairwise::{SetName, lost_max};
use lowgate_units::{Eui64, PanId};

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyStatus {
    /// Every PAN, by its number.
    pub pans: Vec<PanKeyStatus>,
    /// Every group, by its number.
    pub groups: Vec<GroupKeyStatus>,
    /// The keys of pairs, once a device asked for its share.
    pub pairs: Option<PairKeyStatus>,
}

/// The polynomial that devices have shares of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairKeyStatus {
    /// Which one is in force.
    pub name: SetName,
    /// So many devices together learn nothing of others' keys.
    pub degree: u16,
    /// Devices with shares of it that were expelled,
    pub lost: usize,
    /// and how many of them there may be before the next one begins.
    pub lost_max: u16,
    /// Devices that fetched their shares from this manager.
    pub holders: usize,
}

/// The keys of a PAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanKeyStatus {
    /// The PAN.
    pub pan: PanId,
    /// Index of the link-layer key in force.
    pub link_key_index: u8,
    /// Members, the border router among them.
    pub members: usize,
    /// The link-layer key to come, while it is being spread.
    pub staged: Option<StagedKeyStatus>,
}

/// How far a link-layer key to come is spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagedKeyStatus {
    /// Its index.
    pub index: u8,
    /// Members that confirmed it, or were told through the key tree with all witnesses of theirs.
    pub confirmed: usize,
    /// Members that were to be told.
    pub of: usize,
    /// Who did not confirm it; none of them keeps the border router from switching for longer than the
    /// configuration says.
    pub laggards: Vec<Eui64>,
}

/// The keys of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKeyStatus {
    /// The group.
    pub id: GroupId,
    /// What people call it.
    pub name: String,
    /// TEK_ID of the epoch in force.
    pub tek_id: u16,
    /// Counts the TGKs of the group.
    pub generation: u16,
    /// Members that send under a SenderID of this epoch.
    pub senders: usize,
    /// Members of the domain that are in the group, border routers among them.
    pub members: usize,
    /// Who of them did not confirm this epoch in a session with this manager.
    pub unconfirmed: Vec<Eui64>,
}

impl Manager {
    pub(crate) fn key_status(&self) -> KeyStatus {
        let pan = |(id, mesh): (PanId, &Mesh)| {
            let pan = &self.domain.pans()[&id];
            PanKeyStatus {
                pan: id,
                link_key_index: pan.link_key.index.raw(),
                members: pan.members.len(),
                staged: mesh.rollover.as_ref().map(Rollover::status),
            }
        };
        KeyStatus {
            pans: self.meshes.iter().map(pan).collect(),
            groups: self.domain.groups().values().map(|group| self.group_status(group)).collect(),
            pairs: self.domain.pairs().map(|pairs| self.pair_status(pairs)),
        }
    }

    fn pair_status(&self, pairs: &Pairs) -> PairKeyStatus {
        let degree = pairs.polynomial.degree();
        PairKeyStatus {
            name: pairs.polynomial.name(),
            degree,
            lost: pairs.lost.len(),
            lost_max: lost_max(degree).max(1),
            holders: self.pair_holders().len(),
        }
    }

    fn group_status(&self, group: &Group) -> GroupKeyStatus {
        let id = group.record.id;
        let pan_of = |eui64: &Eui64| self.domain.devices()[eui64].pan();
        let confirmed = self.confirmed.get(&id);
        let unconfirmed = self
            .in_mesh(group)
            .filter(|eui64| confirmed.is_none_or(|confirmed| !confirmed.contains(eui64)));
        GroupKeyStatus {
            id,
            name: group.record.name.clone(),
            tek_id: group.epoch.tek_id.raw(),
            generation: group.epoch.generation.0,
            senders: group.sender_ids.keys().filter(|(pan, it)| pan_of(it) == Some(*pan)).count(),
            members: self.in_mesh(group).count(),
            unconfirmed: unconfirmed.collect(),
        }
    }

    /// Members of a group that are members of the domain.
    fn in_mesh(&self, group: &Group) -> impl Iterator<Item = Eui64> {
        let members = group.members.keys().copied();
        members.filter(|eui64| self.domain.devices()[eui64].pan().is_some())
    }

    /// A device confirmed all of a delivery: the epochs in it are among what it holds.
    pub(crate) fn epochs_confirmed(&mut self, eui64: Eui64, delivery: &Delivery) {
        for (id, tek_id) in &delivery.epochs {
            let Some(group) = self.domain.groups().get(id) else { continue };
            if group.epoch.tek_id != *tek_id || !group.members.contains_key(&eui64) {
                continue;
            }
            self.confirmed.entry(*id).or_default().insert(eui64);
            if delivery.purpose == Purpose::Update {
                let (group, of, done) = (*id, group.in_mesh(), self.confirmed[id].len());
                self.event(ManagerEvent::EpochProgress { group, done, of });
            }
        }
    }

    /// Nobody knows what a device holds that has no session, or is not in the group.
    pub(crate) fn unconfirm(&mut self, group: GroupId, eui64: Eui64) {
        if let Some(confirmed) = self.confirmed.get_mut(&group) {
            confirmed.remove(&eui64);
        }
    }
}
