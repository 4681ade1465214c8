//! Where every key of the domain stands: for people, and for programs that watch.
//!
//! **Invariant:** keys are named by index, epoch and generation; no value of a key is in here.

use crate::group::Group;
use crate::interface::ManagerEvent;
use crate::manager::Manager;
use crate::rollover::Rollover;
use crate::session::{Delivery, Purpose};
use lowgate_amikey::GroupId;
use lowgate_dtls::SessionId;
use lowgate_units::Eui64;

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyStatus {
    /// Index of the link-layer key in force.
    pub link_key_index: u8,
    /// Members, the border router among them.
    pub members: usize,
    /// The link-layer key to come, while it is being spread.
    pub staged: Option<StagedKeyStatus>,
    /// Every group, by its number.
    pub groups: Vec<GroupKeyStatus>,
}

/// How far a link-layer key to come is spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagedKeyStatus {
    /// Its index.
    pub index: u8,
    /// Members that confirmed it.
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
    /// Members with a SenderID in this epoch.
    pub senders: usize,
    /// Members of the domain that may be in the group.
    pub members: usize,
    /// Who of them did not confirm this epoch in a session with this manager.
    pub unconfirmed: Vec<Eui64>,
}

impl Manager {
    pub(crate) fn key_status(&self) -> KeyStatus {
        KeyStatus {
            link_key_index: self.domain.link_key().index.raw(),
            members: self.domain.members().count(),
            staged: self.rollover.as_ref().map(Rollover::status),
            groups: self.domain.groups().values().map(|group| self.group_status(group)).collect(),
        }
    }

    fn group_status(&self, group: &Group) -> GroupKeyStatus {
        let id = group.record.id;
        let members = self.domain.members();
        let members = members.filter(|(device, _)| device.record.groups.contains_key(&id));
        let members: Vec<Eui64> = members.map(|(device, _)| device.record.eui64).collect();
        let confirmed = |eui64: &Eui64| {
            let session = self.by_device.get(eui64).and_then(|id| self.sessions.get(id));
            session.is_some_and(|state| state.epochs.get(&id) == Some(&group.epoch.tek_id))
        };
        GroupKeyStatus {
            id,
            name: group.record.name.clone(),
            tek_id: group.epoch.tek_id.raw(),
            generation: group.epoch.generation.0,
            senders: group.sender_ids.len(),
            members: members.len(),
            unconfirmed: members.into_iter().filter(|eui64| !confirmed(eui64)).collect(),
        }
    }

    /// A device confirmed all of a delivery: the epochs in it are among what it holds.
    pub(crate) fn epochs_confirmed(&mut self, session: SessionId, delivery: &Delivery) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        state.epochs.extend(delivery.epochs.iter().copied());
        if delivery.purpose != Purpose::Update {
            return;
        }
        for (group, _) in &delivery.epochs {
            let Some(group) = self.domain.groups().get(group) else { continue };
            let GroupKeyStatus { id, members: of, unconfirmed, .. } = self.group_status(group);
            let done = of - unconfirmed.len();
            self.event(ManagerEvent::EpochProgress { group: id, done, of });
        }
    }
}
