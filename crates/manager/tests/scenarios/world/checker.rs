//! What must hold whatever happens: looked at from outside, over all lives of the manager.

use lowgate_amikey::Spd;
use lowgate_manager::{
    Batch, Change, CsbId, DeviceRecord, DeviceState, Domain, GroupEpoch, GroupId, Kind, LinkKey,
    PanConfig, Request, SenderId, TekId, csb_id_in,
};
use lowgate_units::{Eui64, PanId, ShortAddr};
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Checker {
    /// Who was given a short address, by the store.
    shorts: BTreeMap<(PanId, ShortAddr), Eui64>,
    /// Link-layer keys by index, by the store.
    link_keys: BTreeMap<(PanId, u8), [u8; 16]>,
    /// PANs, the founding one first, by the store.
    pans: Vec<PanConfig>,
    /// Epochs of groups, by the store.
    epochs: BTreeMap<(GroupId, TekId), GroupEpoch>,
    /// Who was given a SenderID in an epoch, by the store.
    sender_ids: BTreeMap<(CsbId, TekId, SenderId), Eui64>,
    /// In which handshake a device heard of a SenderID.
    heard: BTreeMap<(CsbId, TekId, SenderId), (Eui64, u64)>,
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
                Change::Admitted { eui64, pan, short } | Change::Moved { eui64, pan, short } => {
                    let earlier = self.shorts.insert((*pan, *short), *eui64);
                    let free = earlier.is_none_or(|earlier| earlier == *eui64) || short.raw() == 0;
                    assert!(free, "{short:?} was {earlier:?}'s");
                }
                Change::DomainCreated { config, link_key } => {
                    self.pan(config.founding_pan(), link_key);
                }
                Change::PanCreated { config, link_key } => self.pan(*config, link_key),
                Change::LinkKeyStaged { pan, key } => self.link_key(*pan, key),
                Change::GroupCreated { record, epoch } => self.epoch(record.id, epoch),
                Change::GroupEpochStarted { group, epoch } => self.epoch(*group, epoch),
                Change::SenderIdGiven { group, pan, eui64, sender_id } => {
                    let epoch = &self.epochs[&(*group, self.current[group])];
                    let id = (self.bundle(epoch, *pan), epoch.tek_id, *sender_id);
                    let earlier = self.sender_ids.insert(id, *eui64);
                    assert!(earlier.is_none(), "{sender_id:?} was {earlier:?}'s");
                }
                Change::MemberAdded { .. } | Change::MemberRemoved { .. } => {
                    self.moves.push(change.clone());
                }
                _ => {}
            }
        }
    }

    fn pan(&mut self, config: PanConfig, link_key: &LinkKey) {
        let other = |known: &PanConfig| {
            known.pan_id != config.pan_id && known.mesh_prefix != config.mesh_prefix
        };
        assert!(self.pans.iter().all(other), "{config:?} is a PAN of its own");
        self.pans.push(config);
        self.link_key(config.pan_id, link_key);
    }

    fn link_key(&mut self, pan: PanId, key: &LinkKey) {
        let index = key.index.raw();
        assert!(self.link_keys.values().all(|known| known != key.key.expose()), "keys differ");
        let earlier = self.link_keys.insert((pan, index), *key.key.expose());
        assert!(earlier.is_none(), "key index {index} of {pan:?} is used again");
    }

    fn bundle(&self, epoch: &GroupEpoch, pan: PanId) -> CsbId {
        let config = self.pans.iter().find(|config| config.pan_id == pan).expect("it exists");
        csb_id_in(epoch, config, &self.pans[0])
    }

    fn epoch(&mut self, group: GroupId, epoch: &GroupEpoch) {
        let earlier = self.epochs.insert((group, epoch.tek_id), epoch.clone());
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
    pub(crate) fn heard_short(&self, eui64: Eui64, kind: Kind, pan: PanId, short: ShortAddr) {
        let owner = self.shorts.get(&(pan, short));
        assert_eq!(owner, Some(&eui64), "{short:?} is stored for its bearer");
        assert_eq!(short.raw() == 0, kind == Kind::BorderRouter);
    }

    /// A device was told a link-layer key.
    pub(crate) fn heard_key(&self, pan: PanId, index: u8, key: &[u8; 16]) {
        let stored = self.link_keys.get(&(pan, index));
        assert_eq!(stored, Some(key), "key {index} is stored before it is sent");
    }

    /// A device was told its SenderID, or none, in a handshake.
    pub(crate) fn heard_epoch(&mut self, device: (Eui64, u64), group: GroupId, spd: &Spd) {
        let epoch = self.epochs.get(&(group, spd.tek_id)).expect("stored before it is sent");
        let bundles = self.pans.iter().map(|pan| csb_id_in(epoch, pan, &self.pans[0]));
        assert!(bundles.into_iter().any(|csb_id| csb_id == spd.csb_id), "a bundle of the epoch");
        if let Some(sender_id) = spd.sender_id {
            let id = (spd.csb_id, spd.tek_id, sender_id);
            assert_eq!(self.sender_ids.get(&id), Some(&device.0));
            let earlier = self.heard.insert(id, device);
            let same = earlier.is_none_or(|earlier| earlier == device);
            assert!(same, "{sender_id:?} of {} outlived its handshake: {earlier:?}", device.0);
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
