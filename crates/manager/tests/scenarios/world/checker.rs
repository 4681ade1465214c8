//! What must hold whatever happens: looked at from outside, over all lives of the manager.

use lowgate_manager::{
    Batch, Change, DeviceRecord, DeviceState, Domain, GroupId, Kind, Request, Role, SenderId, TekId,
};
use lowgate_units::{Eui64, ShortAddr};
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Checker {
    /// Who was given a short address, by the store.
    shorts: BTreeMap<ShortAddr, Eui64>,
    /// Link-layer keys by index, by the store.
    link_keys: BTreeMap<u8, [u8; 16]>,
    /// Epochs of groups, by the store.
    epochs: BTreeMap<(GroupId, TekId), u32>,
    /// Who was given a SenderID in an epoch, by the store.
    sender_ids: BTreeMap<(GroupId, TekId, SenderId), Eui64>,
    /// In which handshake a device heard of a SenderID.
    heard: BTreeMap<(u32, TekId, SenderId), (Eui64, u64)>,
    acknowledged: Vec<Request>,
    /// Changes of membership, by the store.
    moves: Vec<Change>,
    /// RANDs by bundle: one that comes again under a TGK makes the same keys.
    rands: BTreeMap<(u32, [u8; 16]), TekId>,
    current: BTreeMap<GroupId, TekId>,
}

impl Checker {
    pub(crate) fn committed(&mut self, batch: &Batch) {
        for change in &batch.changes {
            match change {
                Change::Admitted { eui64, short } => {
                    let earlier = self.shorts.insert(*short, *eui64);
                    let router = short.raw() == 0;
                    assert!(earlier.is_none() || router, "{short:?} was {earlier:?}'s");
                }
                Change::DomainCreated { link_key, .. } | Change::LinkKeyStaged(link_key) => {
                    let index = link_key.index.raw();
                    let earlier = self.link_keys.insert(index, *link_key.key.expose());
                    assert!(earlier.is_none(), "key index {index} is used again");
                }
                Change::GroupCreated { record, epoch } => self.epoch(record.id, epoch),
                Change::GroupEpochStarted { group, epoch } => self.epoch(*group, epoch),
                Change::SenderIdGiven { group, eui64, sender_id } => {
                    let epoch = self.current[group];
                    let earlier = self.sender_ids.insert((*group, epoch, *sender_id), *eui64);
                    assert!(earlier.is_none(), "{sender_id:?} was {earlier:?}'s");
                }
                Change::MemberAdded { .. } | Change::MemberRemoved { .. } => {
                    self.moves.push(change.clone());
                }
                _ => {}
            }
        }
    }

    fn epoch(&mut self, group: GroupId, epoch: &lowgate_manager::GroupEpoch) {
        let earlier = self.epochs.insert((group, epoch.tek_id), epoch.csb_id.0);
        assert!(earlier.is_none(), "epoch {:?} of {group:?} is used again", epoch.tek_id);
        let rand = (epoch.csb_id.0, *epoch.rand.0.expose());
        let earlier = self.rands.insert(rand, epoch.tek_id);
        assert!(earlier.is_none(), "{:?} has the keys of {earlier:?}", epoch.tek_id);
        self.current.insert(group, epoch.tek_id);
    }

    pub(crate) fn acknowledged(&mut self, request: Request) {
        let change = match request {
            Request::AddMember { group, eui64, role } => {
                Some(Change::MemberAdded { group, eui64, role })
            }
            Request::RemoveMember { group, eui64 } => Some(Change::MemberRemoved { group, eui64 }),
            _ => None,
        };
        assert!(change.is_none_or(|change| self.moves.contains(&change)), "{request:?} is stored");
        self.acknowledged.push(request);
    }

    /// Nothing that was acknowledged is lost.
    pub(crate) fn restarted(&self, domain: &Domain) {
        for request in &self.acknowledged {
            match request {
                Request::Import(records) => {
                    for record in records {
                        let mut expected = record.clone();
                        self.moves.iter().for_each(|change| moved(&mut expected, change));
                        let mut stored = domain.devices()[&record.eui64].record.clone();
                        if stored.kind == Kind::BorderRouter {
                            let all = domain.groups().keys().map(|id| (*id, Role::Sender));
                            assert!(stored.groups.is_empty() || stored.groups == all.collect());
                            stored.groups.clear();
                        }
                        assert_eq!(stored, expected);
                    }
                }
                Request::CreateGroup { id, .. } => assert!(domain.groups().contains_key(id)),
                Request::Revoke { eui64 } => {
                    let state = domain.devices()[eui64].state;
                    assert!(matches!(state, DeviceState::Revoked { .. }), "{eui64} came back");
                }
                _ => {}
            }
        }
    }

    /// A device was told its address.
    pub(crate) fn heard_short(&self, eui64: Eui64, kind: Kind, short: ShortAddr) {
        assert_eq!(self.shorts.get(&short), Some(&eui64), "{short:?} is stored for its bearer");
        assert_eq!(short.raw() == 0, kind == Kind::BorderRouter);
    }

    /// A device was told a link-layer key.
    pub(crate) fn heard_key(&self, index: u8, key: &[u8; 16]) {
        assert_eq!(
            self.link_keys.get(&index),
            Some(key),
            "key {index} is stored before it is sent"
        );
    }

    /// A device was told its SenderID, or none.
    pub(crate) fn heard_epoch(
        &mut self,
        eui64: Eui64,
        handshake: u64,
        group: GroupId,
        spd: &lowgate_amikey::Spd,
    ) {
        let csb = spd.csb_id.0;
        assert_eq!(self.epochs.get(&(group, spd.tek_id)), Some(&csb), "stored before it is sent");
        if let Some(sender_id) = spd.sender_id {
            assert_eq!(self.sender_ids.get(&(group, spd.tek_id, sender_id)), Some(&eui64));
            let id = (csb, spd.tek_id, sender_id);
            let earlier = self.heard.insert(id, (eui64, handshake));
            let same = earlier.is_none_or(|earlier| earlier == (eui64, handshake));
            assert!(same, "{sender_id:?} of {eui64} outlived its handshake: {earlier:?}");
        }
    }
}

/// The inventory's line after a change of membership.
fn moved(record: &mut DeviceRecord, change: &Change) {
    match change {
        // The border router's follow from the groups there are.
        _ if record.kind == Kind::BorderRouter => {}
        Change::MemberAdded { group, eui64, role } if *eui64 == record.eui64 => {
            record.groups.insert(*group, *role);
        }
        Change::MemberRemoved { group, eui64 } if *eui64 == record.eui64 => {
            record.groups.remove(group);
        }
        _ => {}
    }
}
