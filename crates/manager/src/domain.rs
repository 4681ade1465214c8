//! The whole domain in memory: what the changes so far add up to.
//!
//! **Invariant:** state is a function of the changes applied, nothing else; [`Domain::snapshot`]
//! of any state rebuilds an equal one.

use crate::change::{Change, DomainConfig, LinkKey, Snapshot};
use crate::device::{Device, DeviceRecord, DeviceState, Identity, Kind};
use crate::group::{Group, GroupEpoch, GroupRecord, Place};
use crate::pairs::Pairs;
use crate::pan::{BORDER_ROUTER_SHORT, Pan, PanConfig};
use lowgate_amikey::pairwise::SetName;
use lowgate_amikey::{GroupId, KeyIndex, Role, SenderId};
use lowgate_dtls::Peer;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, PanId, ShortAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest join window. Also bounds the harm of a clock that stepped back over a restart.
pub const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

/// One domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    config: DomainConfig,
    pans: BTreeMap<PanId, Pan>,
    by_prefix: BTreeMap<[u8; 8], PanId>,
    devices: BTreeMap<Eui64, Device>,
    identities: BTreeMap<Identity, Eui64>,
    /// Border routers that are not revoked.
    border_routers: BTreeSet<Eui64>,
    groups: BTreeMap<GroupId, Group>,
    pairs: Option<Pairs>,
    window: Option<Instant>,
}

/// A change that cannot follow the ones before it: the store's content is damaged, or a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconsistent {
    /// The first change does not create the domain, or there is none.
    NoDomain,
    /// A later change creates one again.
    SecondDomain,
    /// The EUI-64 or the identity is in the inventory already.
    DeviceTwice(Eui64),
    /// No such device.
    UnknownDevice(Eui64),
    /// The device is not in the state this change starts from.
    WrongState(Eui64),
    /// A PAN has that number or that prefix.
    PanTwice(PanId),
    /// No such PAN.
    UnknownPan(PanId),
    /// Somebody else has or had that address there.
    ShortTaken(PanId, ShortAddr),
    /// The group exists already, or its port is taken.
    GroupTwice(GroupId),
    /// No such group.
    UnknownGroup(GroupId),
    /// The device is in the group already, or not in it, or sends to it still.
    Membership(GroupId, Eui64),
    /// A SenderID not above the last one given in its PAN.
    SenderId(GroupId, SenderId),
    /// The index of a key in use, or no such staged key.
    KeyIndex(KeyIndex),
    /// A polynomial that does not follow the one before, or somebody lost whom nobody knows.
    Pairs(SetName),
}

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the domain's records do not fit together: {self:?}")
    }
}

impl std::error::Error for Inconsistent {}

impl Domain {
    /// The state that `changes` add up to.
    ///
    /// # Errors
    /// The first change that cannot follow those before it.
    pub fn restore(changes: &[Change]) -> Result<Self, Inconsistent> {
        let Some((Change::DomainCreated { config, link_key }, rest)) = changes.split_first() else {
            return Err(Inconsistent::NoDomain);
        };
        let mut domain = Self {
            config: *config,
            pans: BTreeMap::new(),
            by_prefix: BTreeMap::new(),
            devices: BTreeMap::new(),
            identities: BTreeMap::new(),
            border_routers: BTreeSet::new(),
            groups: BTreeMap::new(),
            pairs: None,
            window: None,
        };
        domain.create_pan(config.founding_pan(), link_key)?;
        rest.iter().try_for_each(|change| domain.apply(change))?;
        Ok(domain)
    }

    /// Follows one change.
    ///
    /// # Errors
    /// Why it cannot follow; the state is then as before.
    pub fn apply(&mut self, change: &Change) -> Result<(), Inconsistent> {
        match change {
            Change::DomainCreated { .. } => return Err(Inconsistent::SecondDomain),
            Change::PanCreated { config, link_key } => self.create_pan(*config, link_key)?,
            Change::LinkKeyStaged { pan, key } => self.stage(*pan, key)?,
            Change::LinkKeyActivated { pan, index } => self.activate(*pan, *index)?,
            Change::DeviceImported(record) => self.import(record)?,
            Change::GroupCreated { record, epoch } => self.create_group(record, epoch)?,
            Change::MemberAdded { group, eui64, role } => self.add(*group, *eui64, *role)?,
            Change::MemberRemoved { group, eui64 } => self.remove(*group, *eui64)?,
            Change::GroupEpochStarted { group, epoch } => self.start_epoch(*group, epoch)?,
            Change::SenderIdGiven { group, pan, eui64, sender_id } => {
                self.give_sender_id(*group, (*pan, *eui64), *sender_id)?;
            }
            Change::Admitted { eui64, pan, short } => self.admit(*eui64, *pan, *short)?,
            Change::Moved { eui64, pan, short } => self.relocate(*eui64, *pan, *short)?,
            Change::Revoked { eui64 } => self.revoke(*eui64)?,
            Change::PairsStarted { polynomial, lost_before } => {
                self.start_pairs(polynomial, lost_before)?;
            }
            Change::PairLost { eui64 } => self.lose_pair(*eui64)?,
            Change::WindowOpened { until } => self.window = Some(*until),
            Change::WindowClosed => self.window = None,
        }
        Ok(())
    }

    fn create_pan(&mut self, config: PanConfig, link_key: &LinkKey) -> Result<(), Inconsistent> {
        let PanConfig { pan_id, mesh_prefix, .. } = config;
        if self.pans.contains_key(&pan_id) || self.by_prefix.contains_key(&mesh_prefix) {
            return Err(Inconsistent::PanTwice(pan_id));
        }
        self.pans.insert(pan_id, Pan::new(config, link_key.clone()));
        self.by_prefix.insert(mesh_prefix, pan_id);
        Ok(())
    }

    fn pan_mut(&mut self, pan: PanId) -> Result<&mut Pan, Inconsistent> {
        self.pans.get_mut(&pan).ok_or(Inconsistent::UnknownPan(pan))
    }

    fn stage(&mut self, pan: PanId, key: &LinkKey) -> Result<(), Inconsistent> {
        let pan = self.pan_mut(pan)?;
        let taken = |held: &LinkKey| held.index == key.index;
        if taken(&pan.link_key) || pan.staged_key.as_ref().is_some_and(taken) {
            return Err(Inconsistent::KeyIndex(key.index));
        }
        pan.staged_key = Some(key.clone());
        Ok(())
    }

    fn activate(&mut self, pan: PanId, index: KeyIndex) -> Result<(), Inconsistent> {
        let pan = self.pan_mut(pan)?;
        let staged = pan.staged_key.take_if(|key| key.index == index);
        pan.link_key = staged.ok_or(Inconsistent::KeyIndex(index))?;
        Ok(())
    }

    fn import(&mut self, record: &DeviceRecord) -> Result<(), Inconsistent> {
        let eui64 = record.eui64;
        if self.devices.contains_key(&eui64) || self.identities.contains_key(&record.identity) {
            return Err(Inconsistent::DeviceTwice(eui64));
        }
        if let Some(group) = record.groups.keys().find(|group| !self.groups.contains_key(group)) {
            return Err(Inconsistent::UnknownGroup(*group));
        }
        self.identities.insert(record.identity.clone(), eui64);
        let device = Device { record: record.clone(), state: DeviceState::Expected };
        if device.is_border_router() {
            self.border_routers.insert(eui64);
        }
        for (id, role) in &record.groups {
            if let Some(group) = self.groups.get_mut(id) {
                group.enter(eui64, *role, device.place());
            }
        }
        self.devices.insert(eui64, device);
        Ok(())
    }

    fn create_group(
        &mut self,
        record: &GroupRecord,
        epoch: &GroupEpoch,
    ) -> Result<(), Inconsistent> {
        let port_taken = self.groups.values().any(|group| group.record.port == record.port);
        if port_taken || self.groups.contains_key(&record.id) {
            return Err(Inconsistent::GroupTwice(record.id));
        }
        self.groups.insert(record.id, Group::new(record.clone(), epoch.clone()));
        Ok(())
    }

    fn add(&mut self, id: GroupId, eui64: Eui64, role: Role) -> Result<(), Inconsistent> {
        let group = self.groups.get_mut(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        if device.record.groups.contains_key(&id) || device.is_revoked() {
            return Err(Inconsistent::Membership(id, eui64));
        }
        device.record.groups.insert(id, role);
        group.enter(eui64, role, device.place());
        Ok(())
    }

    fn remove(&mut self, id: GroupId, eui64: Eui64) -> Result<(), Inconsistent> {
        let group = self.groups.get_mut(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        let sends = group.sender_ids.keys().any(|(_, sender)| *sender == eui64);
        if sends || device.is_revoked() || device.record.groups.remove(&id).is_none() {
            return Err(Inconsistent::Membership(id, eui64));
        }
        group.leave(eui64, device.place());
        Ok(())
    }

    fn start_epoch(&mut self, id: GroupId, epoch: &GroupEpoch) -> Result<(), Inconsistent> {
        let group = self.groups.get_mut(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        group.epoch = epoch.clone();
        group.sender_ids.clear();
        Ok(())
    }

    fn give_sender_id(
        &mut self,
        id: GroupId,
        (pan, eui64): (PanId, Eui64),
        n: SenderId,
    ) -> Result<(), Inconsistent> {
        if !self.pans.contains_key(&pan) {
            return Err(Inconsistent::UnknownPan(pan));
        }
        let member = self.devices.get(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        if !member.record.groups.contains_key(&id) {
            return Err(Inconsistent::Membership(id, eui64));
        }
        let group = self.groups.get_mut(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        if group.sender_ids_left(pan).all(|left| left != n) {
            return Err(Inconsistent::SenderId(id, n));
        }
        group.sender_ids.insert((pan, eui64), n);
        Ok(())
    }

    fn admit(&mut self, eui64: Eui64, pan: PanId, short: ShortAddr) -> Result<(), Inconsistent> {
        let device = self.devices.get(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        if device.state != DeviceState::Expected {
            return Err(Inconsistent::WrongState(eui64));
        }
        self.place(eui64, pan, short)
    }

    fn relocate(&mut self, eui64: Eui64, pan: PanId, short: ShortAddr) -> Result<(), Inconsistent> {
        let device = self.devices.get(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        let Some(before) = device.pan().filter(|before| *before != pan) else {
            return Err(Inconsistent::WrongState(eui64));
        };
        if device.is_border_router() {
            return Err(Inconsistent::WrongState(eui64));
        }
        self.place(eui64, pan, short)?;
        self.pan_mut(before)?.members.remove(&eui64);
        Ok(())
    }

    /// The device is in that PAN under that address.
    fn place(&mut self, eui64: Eui64, id: PanId, short: ShortAddr) -> Result<(), Inconsistent> {
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        let pan = self.pans.get_mut(&id).ok_or(Inconsistent::UnknownPan(id))?;
        let is_router = device.is_border_router();
        let taken = if is_router {
            pan.border_router.is_some()
        } else {
            let (had, owner) = (pan.addresses.get(&eui64), pan.shorts.get(&short));
            had.is_some_and(|had| *had != short) || owner.is_some_and(|owner| *owner != eui64)
        };
        if taken || is_router != (short == BORDER_ROUTER_SHORT) {
            return Err(Inconsistent::ShortTaken(id, short));
        }
        if is_router {
            pan.border_router = Some(eui64);
        } else {
            pan.shorts.insert(short, eui64);
            pan.addresses.insert(eui64, short);
        }
        pan.members.insert(eui64, short);
        let before = device.place();
        device.state = DeviceState::Admitted { pan: id, short };
        for (group, role) in &device.record.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.leave(eui64, before);
                group.enter(eui64, *role, device.place());
            }
        }
        Ok(())
    }

    fn revoke(&mut self, eui64: Eui64) -> Result<(), Inconsistent> {
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        let last = match device.state {
            DeviceState::Expected => None,
            DeviceState::Admitted { pan, short } => Some((pan, short)),
            DeviceState::Revoked { .. } => return Err(Inconsistent::WrongState(eui64)),
        };
        for group in device.record.groups.keys() {
            if let Some(group) = self.groups.get_mut(group) {
                group.leave(eui64, device.place());
            }
        }
        device.state = DeviceState::Revoked { last };
        if planted(Fault::RevokedForgotten) {
            device.state = DeviceState::Expected;
        }
        self.border_routers.remove(&eui64);
        if let Some(pan) = last.and_then(|(pan, _)| self.pans.get_mut(&pan)) {
            pan.members.remove(&eui64);
            pan.border_router = pan.border_router.filter(|router| *router != eui64);
            if planted(Fault::AddressShared) {
                pan.shorts.retain(|_, owner| *owner != eui64);
            }
        }
        Ok(())
    }
}

impl Device {
    /// Where it is as a member of groups.
    fn place(&self) -> Place {
        match (self.record.kind, self.pan()) {
            (Kind::BorderRouter, _) => Place::BorderRouter,
            (_, Some(pan)) => Place::In(pan),
            (_, None) => Place::Away,
        }
    }
}

/// What the domain knows.
impl Domain {
    /// What is fixed about it.
    pub const fn config(&self) -> &DomainConfig {
        &self.config
    }

    /// All PANs, by number.
    pub const fn pans(&self) -> &BTreeMap<PanId, Pan> {
        &self.pans
    }

    /// The PAN that the domain began with.
    pub fn founding_pan(&self) -> &Pan {
        &self.pans[&self.config.pan_id]
    }

    /// The PAN whose mesh has that address.
    pub fn pan_of(&self, addr: Ipv6Addr) -> Option<PanId> {
        let prefix = addr.octets().first_chunk().copied()?;
        self.by_prefix.get(&prefix).copied()
    }

    /// Whether a joiner is heard by a border router itself.
    pub(crate) fn is_next_to_border_router(&self, peer: &Peer) -> bool {
        let pan = self.pan_of(peer.addr).map(|pan| &self.pans[&pan].config);
        let is_relayed = !peer.relay_header.is_empty();
        is_relayed && pan.is_some_and(|pan| pan.addr(BORDER_ROUTER_SHORT) == peer.addr)
    }

    /// Border routers that are not revoked.
    pub const fn border_routers(&self) -> &BTreeSet<Eui64> {
        &self.border_routers
    }

    /// All devices, by EUI-64.
    pub const fn devices(&self) -> &BTreeMap<Eui64, Device> {
        &self.devices
    }

    /// All groups.
    pub const fn groups(&self) -> &BTreeMap<GroupId, Group> {
        &self.groups
    }

    /// The polynomial for the keys of pairs, once a device asked for its share.
    pub const fn pairs(&self) -> Option<&Pairs> {
        self.pairs.as_ref()
    }

    pub(crate) const fn pairs_mut(&mut self) -> &mut Option<Pairs> {
        &mut self.pairs
    }

    /// Who presents that identity.
    pub fn identified(&self, identity: &Identity) -> Option<&Device> {
        self.identities.get(identity).and_then(|eui64| self.devices.get(eui64))
    }

    /// Until when expected devices may join; `None` if they may not.
    pub fn window(&self, now: Instant) -> Option<Instant> {
        self.window.filter(|until| *until > now && until.since(now) <= WINDOW_MAX)
    }

    /// Changes that rebuild this state.
    pub fn snapshot(&self, revision: u64) -> Snapshot {
        let link_key = self.founding_pan().link_key.clone();
        let mut changes = vec![Change::DomainCreated { config: self.config, link_key }];
        for (id, pan) in &self.pans {
            let (config, link_key) = (pan.config, pan.link_key.clone());
            let further = *id != self.config.pan_id;
            changes.extend(further.then_some(Change::PanCreated { config, link_key }));
            let staged = pan.staged_key.clone();
            changes.extend(staged.map(|key| Change::LinkKeyStaged { pan: *id, key }));
        }
        changes.extend(self.groups.values().map(|group| Change::GroupCreated {
            record: group.record.clone(),
            epoch: group.epoch.clone(),
        }));
        for device in self.devices.values() {
            changes.push(Change::DeviceImported(device.record.clone()));
        }
        // The expelled first: a border router's successor has its address.
        let (expelled, others): (Vec<_>, Vec<_>) =
            self.devices.values().partition(|device| device.is_revoked());
        for device in expelled.into_iter().chain(others) {
            changes.extend(self.way(device));
        }
        for (id, group) in &self.groups {
            let mut given: Vec<_> = group.sender_ids.iter().collect();
            given.sort_unstable_by_key(|((pan, _), sender_id)| (*pan, **sender_id));
            changes.extend(given.into_iter().map(|((pan, eui64), sender_id)| {
                let (pan, eui64, sender_id) = (*pan, *eui64, *sender_id);
                Change::SenderIdGiven { group: *id, pan, eui64, sender_id }
            }));
        }
        changes.extend(self.pairs_snapshot());
        changes.extend(self.window.map(|until| Change::WindowOpened { until }));
        Snapshot { revision, changes }
    }

    /// The way of a device to where it stands: the addresses it had elsewhere, then the last.
    fn way(&self, device: &Device) -> Vec<Change> {
        let eui64 = device.record.eui64;
        let (last, revoked) = match device.state {
            DeviceState::Expected => (None, false),
            DeviceState::Admitted { pan, short } => (Some((pan, short)), false),
            DeviceState::Revoked { last } => (last, true),
        };
        let had = self.pans.iter().filter_map(|(id, pan)| Some((*id, *pan.addresses.get(&eui64)?)));
        let had = had.filter(|place| last.is_some_and(|last| last.0 != place.0));
        let mut changes = Vec::new();
        for (pan, short) in had.chain(last) {
            changes.push(match changes.is_empty() {
                true => Change::Admitted { eui64, pan, short },
                false => Change::Moved { eui64, pan, short },
            });
        }
        changes.extend(revoked.then_some(Change::Revoked { eui64 }));
        changes
    }
}
