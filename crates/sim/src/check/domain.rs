//! What the store committed: who is a member, whose an address and a SenderID is, which keys are secret.
//!
//! **Bounds:** the devices of the domain; the keys of the groups' present epochs and the last
//! [`LINK_KEYS_MAX`] link-layer keys.

use super::Fault;
use crate::medium::StationId;
use lowgate_amikey::GroupId;
use lowgate_manager::{BORDER_ROUTER_SHORT, Change};
use lowgate_units::{Eui64, PanId, ShortAddr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Link-layer keys that must not be seen in clear.
const LINK_KEYS_MAX: usize = 4;
const KEY_OCTETS: usize = 16;

type Secret = [u8; KEY_OCTETS];

/// The book.
pub(super) struct Domain {
    pub(super) admitted: BTreeSet<Eui64>,
    pub(super) ever_admitted: BTreeSet<Eui64>,
    /// Addresses, each one device's for good.
    pub(super) owners: BTreeMap<(PanId, ShortAddr), Eui64>,
    pans: BTreeMap<Eui64, PanId>,
    eui64s: BTreeMap<StationId, Eui64>,
    sender_ids: BTreeSet<(GroupId, PanId, u8)>,
    link_keys: VecDeque<Secret>,
    group_keys: BTreeMap<GroupId, [Secret; 2]>,
    secrets: BTreeSet<Secret>,
    /// Octets that a secret begins with.
    begins: [bool; 256],
}

impl Default for Domain {
    fn default() -> Self {
        Self {
            admitted: BTreeSet::new(),
            ever_admitted: BTreeSet::new(),
            owners: BTreeMap::new(),
            pans: BTreeMap::new(),
            eui64s: BTreeMap::new(),
            sender_ids: BTreeSet::new(),
            link_keys: VecDeque::new(),
            group_keys: BTreeMap::new(),
            secrets: BTreeSet::new(),
            begins: [false; 256],
        }
    }
}

impl Domain {
    pub(super) fn know(&mut self, station: StationId, eui64: Eui64) {
        self.eui64s.insert(station, eui64);
    }

    /// The PAN that a device is or was in.
    pub(super) fn pan_of(&self, eui64: Eui64) -> Option<PanId> {
        self.pans.get(&eui64).copied()
    }

    /// Whether a station is a border router of the domain.
    pub(super) fn is_router(&self, station: StationId) -> bool {
        let owner =
            self.pan_of_station(station).map(|pan| self.owners.get(&(pan, BORDER_ROUTER_SHORT)));
        owner.flatten().is_some_and(|owner| self.eui64s.get(&station) == Some(owner))
    }

    /// The same of a station.
    pub(super) fn pan_of_station(&self, station: StationId) -> Option<PanId> {
        self.eui64s.get(&station).and_then(|eui64| self.pan_of(*eui64))
    }

    pub(super) fn committed(&mut self, change: &Change) -> Option<Fault> {
        match change {
            Change::Admitted { eui64, pan, short } | Change::Moved { eui64, pan, short } => {
                self.admitted.insert(*eui64);
                self.ever_admitted.insert(*eui64);
                self.pans.insert(*eui64, *pan);
                let before = self.owners.insert((*pan, *short), *eui64);
                let shared = before.is_some_and(|before| before != *eui64);
                // A border router's successor has its address.
                return (shared && *short != BORDER_ROUTER_SHORT)
                    .then_some(Fault::AddressShared { short: *short });
            }
            Change::Revoked { eui64 } => _ = self.admitted.remove(eui64),
            Change::SenderIdGiven { group, pan, sender_id, .. } => {
                let (group, sender_id) = (*group, sender_id.raw());
                let given = !self.sender_ids.insert((group, *pan, sender_id));
                return given.then_some(Fault::SenderIdShared { group, sender_id });
            }
            Change::GroupCreated { record, epoch } => {
                self.group_keyed(record.id, [*epoch.tgk.0.expose(), *epoch.rand.0.expose()]);
            }
            Change::GroupEpochStarted { group, epoch } => {
                self.sender_ids.retain(|(of, _, _)| of != group);
                self.group_keyed(*group, [*epoch.tgk.0.expose(), *epoch.rand.0.expose()]);
            }
            Change::DomainCreated { link_key, .. }
            | Change::PanCreated { link_key, .. }
            | Change::LinkKeyStaged { key: link_key, .. } => {
                if self.link_keys.len() >= LINK_KEYS_MAX {
                    self.link_keys.pop_front();
                }
                self.link_keys.push_back(*link_key.key.expose());
                self.list_secrets();
            }
            Change::LinkKeyActivated { .. }
            | Change::DeviceImported(_)
            | Change::MemberAdded { .. }
            | Change::MemberRemoved { .. }
            | Change::PairsStarted { .. }
            | Change::PairLost { .. }
            | Change::WindowOpened { .. }
            | Change::WindowClosed => {}
        }
        None
    }

    fn group_keyed(&mut self, group: GroupId, keys: [Secret; 2]) {
        self.group_keys.insert(group, keys);
        self.list_secrets();
    }

    fn list_secrets(&mut self) {
        let groups = self.group_keys.values().flatten();
        self.secrets = self.link_keys.iter().chain(groups).copied().collect();
        self.begins = [false; 256];
        for secret in &self.secrets {
            self.begins[usize::from(secret[0])] = true;
        }
    }

    /// Whether a key can be read in what somebody sent.
    pub(super) fn shows_secret(&self, octets: &[u8]) -> Option<Fault> {
        let shows = octets.windows(KEY_OCTETS).any(|window| {
            self.begins[usize::from(window[0])]
                && Secret::try_from(window).is_ok_and(|window| self.secrets.contains(&window))
        });
        shows.then_some(Fault::SecretInClear)
    }
}
