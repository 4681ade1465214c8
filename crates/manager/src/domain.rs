//! The whole domain in memory: what the changes so far add up to.
//!
//! **Invariant:** state is a function of the changes applied, nothing else; [`Domain::snapshot`]
//! of any state rebuilds an equal one.

use crate::change::{Change, DomainConfig, LinkKey, Snapshot};
use crate::device::{Device, DeviceRecord, DeviceState, Identity, Kind};
use crate::group::{Group, GroupEpoch, GroupRecord, sender_id_after};
use lowgate_amikey::{GroupId, KeyIndex, Role, SenderId};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, ShortAddr};
use std::collections::BTreeMap;
use std::fmt;

/// The longest join window. Also bounds the harm of a clock that stepped back over a restart.
pub const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);
/// The border router's short address.
pub const BORDER_ROUTER_SHORT: ShortAddr = match ShortAddr::new(0) {
    Some(short) => short,
    None => unreachable!(),
};

/// One domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    config: DomainConfig,
    link_key: LinkKey,
    staged: Option<LinkKey>,
    devices: BTreeMap<Eui64, Device>,
    identities: BTreeMap<Identity, Eui64>,
    /// Every address but the border router's that anybody has or had.
    shorts: BTreeMap<ShortAddr, Eui64>,
    groups: BTreeMap<GroupId, Group>,
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
    /// Somebody has or had that address.
    ShortTaken(ShortAddr),
    /// The group exists already, or its port is taken.
    GroupTwice(GroupId),
    /// No such group.
    UnknownGroup(GroupId),
    /// The device is in the group already, or not in it, or sends to it still.
    Membership(GroupId, Eui64),
    /// A SenderID not above the last one given.
    SenderId(GroupId, SenderId),
    /// The index of a key in use, or no such staged key.
    KeyIndex(KeyIndex),
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
            link_key: link_key.clone(),
            staged: None,
            devices: BTreeMap::new(),
            identities: BTreeMap::new(),
            shorts: BTreeMap::new(),
            groups: BTreeMap::new(),
            window: None,
        };
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
            Change::LinkKeyStaged(key) => self.stage(key)?,
            Change::LinkKeyActivated { index } => self.activate(*index)?,
            Change::DeviceImported(record) => self.import(record)?,
            Change::GroupCreated { record, epoch } => self.create_group(record, epoch)?,
            Change::MemberAdded { group, eui64, role } => self.add(*group, *eui64, *role)?,
            Change::MemberRemoved { group, eui64 } => self.remove(*group, *eui64)?,
            Change::GroupEpochStarted { group, epoch } => self.start_epoch(*group, epoch)?,
            Change::SenderIdGiven { group, eui64, sender_id } => {
                self.give_sender_id(*group, *eui64, *sender_id)?;
            }
            Change::Admitted { eui64, short } => self.admit(*eui64, *short)?,
            Change::Revoked { eui64 } => self.revoke(*eui64)?,
            Change::WindowOpened { until } => self.window = Some(*until),
            Change::WindowClosed => self.window = None,
        }
        Ok(())
    }

    fn stage(&mut self, key: &LinkKey) -> Result<(), Inconsistent> {
        let taken = |held: &LinkKey| held.index == key.index;
        if taken(&self.link_key) || self.staged.as_ref().is_some_and(taken) {
            return Err(Inconsistent::KeyIndex(key.index));
        }
        self.staged = Some(key.clone());
        Ok(())
    }

    fn activate(&mut self, index: KeyIndex) -> Result<(), Inconsistent> {
        let staged = self.staged.take_if(|key| key.index == index);
        self.link_key = staged.ok_or(Inconsistent::KeyIndex(index))?;
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
        let group = Group {
            record: record.clone(),
            epoch: epoch.clone(),
            sender_ids: BTreeMap::new(),
            sender_id_next: Some(SenderId::MIN),
        };
        self.groups.insert(record.id, group);
        Ok(())
    }

    fn add(&mut self, id: GroupId, eui64: Eui64, role: Role) -> Result<(), Inconsistent> {
        if !self.groups.contains_key(&id) {
            return Err(Inconsistent::UnknownGroup(id));
        }
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        if device.record.groups.contains_key(&id) {
            return Err(Inconsistent::Membership(id, eui64));
        }
        device.record.groups.insert(id, role);
        Ok(())
    }

    fn remove(&mut self, id: GroupId, eui64: Eui64) -> Result<(), Inconsistent> {
        let group = self.groups.get(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        let sends = group.sender_ids.contains_key(&eui64);
        if sends || device.record.groups.remove(&id).is_none() {
            return Err(Inconsistent::Membership(id, eui64));
        }
        Ok(())
    }

    fn start_epoch(&mut self, id: GroupId, epoch: &GroupEpoch) -> Result<(), Inconsistent> {
        let group = self.groups.get_mut(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        group.epoch = epoch.clone();
        group.sender_ids.clear();
        group.sender_id_next = Some(SenderId::MIN);
        Ok(())
    }

    fn give_sender_id(
        &mut self,
        id: GroupId,
        eui64: Eui64,
        n: SenderId,
    ) -> Result<(), Inconsistent> {
        let member = self.devices.get(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        if !member.record.groups.contains_key(&id) {
            return Err(Inconsistent::UnknownGroup(id));
        }
        let group = self.groups.get_mut(&id).ok_or(Inconsistent::UnknownGroup(id))?;
        if group.sender_id_next.is_none_or(|next| n < next) {
            return Err(Inconsistent::SenderId(id, n));
        }
        group.sender_ids.insert(eui64, n);
        if !planted(Fault::SenderIdShared) {
            group.sender_id_next = sender_id_after(n);
        }
        Ok(())
    }

    fn admit(&mut self, eui64: Eui64, short: ShortAddr) -> Result<(), Inconsistent> {
        let border_router = self.border_router();
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        if device.state != DeviceState::Expected {
            return Err(Inconsistent::WrongState(eui64));
        }
        let is_router = device.record.kind == Kind::BorderRouter;
        let taken =
            if is_router { border_router.is_some() } else { self.shorts.contains_key(&short) };
        if taken || is_router != (short == BORDER_ROUTER_SHORT) {
            return Err(Inconsistent::ShortTaken(short));
        }
        device.state = DeviceState::Admitted { short };
        if !is_router {
            self.shorts.insert(short, eui64);
        }
        Ok(())
    }

    fn revoke(&mut self, eui64: Eui64) -> Result<(), Inconsistent> {
        let device = self.devices.get_mut(&eui64).ok_or(Inconsistent::UnknownDevice(eui64))?;
        device.state = match device.state {
            DeviceState::Expected => DeviceState::Revoked { short: None },
            DeviceState::Admitted { short } => DeviceState::Revoked { short: Some(short) },
            DeviceState::Revoked { .. } => return Err(Inconsistent::WrongState(eui64)),
        };
        if planted(Fault::RevokedForgotten) {
            device.state = DeviceState::Expected;
        }
        if planted(Fault::AddressShared) {
            self.shorts.retain(|_, owner| *owner != eui64);
        }
        Ok(())
    }
}

/// What the domain knows.
impl Domain {
    /// What is fixed about it.
    pub const fn config(&self) -> &DomainConfig {
        &self.config
    }

    /// The link-layer key in force.
    pub const fn link_key(&self) -> &LinkKey {
        &self.link_key
    }

    /// The link-layer key to come.
    pub const fn staged_key(&self) -> Option<&LinkKey> {
        self.staged.as_ref()
    }

    /// All devices, by EUI-64.
    pub const fn devices(&self) -> &BTreeMap<Eui64, Device> {
        &self.devices
    }

    /// All groups.
    pub const fn groups(&self) -> &BTreeMap<GroupId, Group> {
        &self.groups
    }

    /// Who presents that identity.
    pub fn identified(&self, identity: &Identity) -> Option<&Device> {
        self.identities.get(identity).and_then(|eui64| self.devices.get(eui64))
    }

    /// The members, the border router among them.
    pub fn members(&self) -> impl Iterator<Item = (&Device, ShortAddr)> {
        self.devices.values().filter_map(|device| Some((device, device.admitted()?)))
    }

    /// The border router, once it is a member.
    pub fn border_router(&self) -> Option<Eui64> {
        self.members().find(|(_, short)| *short == BORDER_ROUTER_SHORT).map(|(d, _)| d.record.eui64)
    }

    /// Until when expected devices may join; `None` if they may not.
    pub fn window(&self, now: Instant) -> Option<Instant> {
        self.window.filter(|until| *until > now && until.since(now) <= WINDOW_MAX)
    }

    /// The lowest address above all that were ever given; `None` when none is left.
    pub(crate) fn short_next(&self) -> Option<ShortAddr> {
        let last = self.shorts.last_key_value().map_or(0, |(short, _)| short.raw());
        ShortAddr::new(last.saturating_add(1))
    }

    /// The index of the next link-layer key: all the others take their turn before one repeats.
    pub(crate) fn key_index_next(&self) -> KeyIndex {
        let next = self.staged.as_ref().unwrap_or(&self.link_key).index.next();
        // Keys staged one after the other without a switch must not come round to the one in force.
        if next == self.link_key.index { next.next() } else { next }
    }

    /// Changes that rebuild this state.
    pub fn snapshot(&self, revision: u64) -> Snapshot {
        let created =
            Change::DomainCreated { config: self.config, link_key: self.link_key.clone() };
        let mut changes = vec![created];
        changes.extend(self.staged.clone().map(Change::LinkKeyStaged));
        changes.extend(self.groups.values().map(|group| Change::GroupCreated {
            record: group.record.clone(),
            epoch: group.epoch.clone(),
        }));
        for device in self.devices.values() {
            changes.push(Change::DeviceImported(device.record.clone()));
        }
        // The expelled first: a border router's successor has its address.
        for device in self.devices.values() {
            let eui64 = device.record.eui64;
            if let DeviceState::Revoked { short } = device.state {
                changes.extend(short.map(|short| Change::Admitted { eui64, short }));
                changes.push(Change::Revoked { eui64 });
            }
        }
        for (device, short) in self.members() {
            changes.push(Change::Admitted { eui64: device.record.eui64, short });
        }
        for group in self.groups.values() {
            let mut given: Vec<_> = group.sender_ids.iter().map(|(e, n)| (*n, *e)).collect();
            given.sort_unstable();
            changes.extend(given.into_iter().map(|(sender_id, eui64)| Change::SenderIdGiven {
                group: group.record.id,
                eui64,
                sender_id,
            }));
        }
        changes.extend(self.window.map(|until| Change::WindowOpened { until }));
        Snapshot { revision, changes }
    }
}
