//! Groups: their names, ports, addresses, members, and the keys of the epoch that counts.
//!
//! A group spans PANs. Its key is one; in each PAN it has an address and a crypto session bundle, and so
//! a traffic key, of its own: records never leave a PAN, and each PAN has all SenderIDs.

use crate::pan::PanConfig;
use lowgate_amikey::{CsbId, Generation, GroupId, Rand, Role, SenderId, TekId, Tgk};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Eui64, Ipv6Addr, PanId};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

/// Groups a domain may have: each takes a UDP port that 6LoWPAN compresses to one octet.
pub const GROUPS_MAX: usize = 64;
/// SenderIDs of one epoch in one PAN: 1 to this. Every SPD of the epoch lists them all, given or not, so that a
/// member's replay table, which has room for so many, knows who joins later. When all were given, the
/// group gets another epoch.
pub const SENDER_IDS_PER_EPOCH: u8 = 16;
/// Members of one group that send, the border routers apart. The rest of an epoch's SenderIDs are for
/// those who come again.
pub const GROUP_SENDERS_MAX: usize = 12;

/// The keys of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEpoch {
    /// Changes with every TGK; the bundle of the founding PAN, see [`csb_id_in`].
    pub csb_id: CsbId,
    /// Counts the TGKs of this group.
    pub generation: Generation,
    /// The DTLS epoch of the group's records; goes on across generations.
    pub tek_id: TekId,
    /// The TEK generation key.
    pub tgk: Tgk,
    /// RAND; confidential in this profile.
    pub rand: Rand,
}

/// What is fixed about a group for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Its name on the wire.
    pub id: GroupId,
    /// What people call it.
    pub name: String,
    /// Its own UDP port: group records share a port with nothing else.
    pub port: u16,
}

/// A group of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What is fixed.
    pub record: GroupRecord,
    /// The keys in force.
    pub epoch: GroupEpoch,
    /// The SenderIDs that were given in this epoch, each device's last in each PAN. Who is in another PAN
    /// now does not send under the one it had.
    pub sender_ids: BTreeMap<(PanId, Eui64), SenderId>,
    /// Who is in it by the inventory and not revoked, border routers among them.
    pub(crate) members: BTreeMap<Eui64, Role>,
    /// Of these, who is in the mesh, by PAN, border routers apart; no PAN without one.
    pub(crate) present: BTreeMap<PanId, BTreeSet<Eui64>>,
    /// Of the members, how many send, border routers apart.
    pub(crate) senders: usize,
    /// Of the members, how many are border routers.
    pub(crate) routers: usize,
}

impl Group {
    /// A group without members.
    pub(crate) const fn new(record: GroupRecord, epoch: GroupEpoch) -> Self {
        Self {
            record,
            epoch,
            sender_ids: BTreeMap::new(),
            members: BTreeMap::new(),
            present: BTreeMap::new(),
            senders: 0,
            routers: 0,
        }
    }

    /// The PANs with members, border routers apart.
    pub fn pans(&self) -> impl Iterator<Item = PanId> {
        self.present.keys().copied()
    }

    /// How many members of the domain are in it, border routers among them: only while they are members of
    /// the domain border routers are in groups.
    pub(crate) fn in_mesh(&self) -> usize {
        self.present.values().map(BTreeSet::len).sum::<usize>() + self.routers
    }

    /// Who was given which SenderID in a PAN in this epoch.
    pub(crate) fn sender_ids_in(&self, pan: PanId) -> impl Iterator<Item = (Eui64, SenderId)> {
        let (first, last) = ((pan, Eui64([0; 8])), (pan, Eui64([0xff; 8])));
        self.sender_ids.range(first..=last).map(|((_, eui64), id)| (*eui64, *id))
    }

    /// The SenderIDs not yet given in a PAN in this epoch.
    pub(crate) fn sender_ids_left(&self, pan: PanId) -> impl Iterator<Item = SenderId> + use<> {
        let last = self.sender_ids_in(pan).map(|(_, id)| id).max();
        let above = move |id: &SenderId| last.is_none_or(|last| *id > last);
        sender_ids().filter(move |id| planted(Fault::SenderIdShared) || above(id))
    }

    /// A device of the domain is in the group.
    pub(crate) fn enter(&mut self, eui64: Eui64, role: Role, place: Place) {
        self.members.insert(eui64, role);
        match place {
            Place::BorderRouter => return self.routers += 1,
            Place::Away => {}
            Place::In(pan) => _ = self.present.entry(pan).or_default().insert(eui64),
        }
        self.senders += usize::from(role.sends());
    }

    /// A device of the domain is not in the group any longer.
    pub(crate) fn leave(&mut self, eui64: Eui64, place: Place) {
        let sent = self.members.remove(&eui64).is_some_and(Role::sends);
        match place {
            Place::BorderRouter => return self.routers -= 1,
            Place::Away => {}
            Place::In(pan) => {
                let present = self.present.get_mut(&pan);
                if present.is_some_and(|them| them.remove(&eui64) && them.is_empty()) {
                    self.present.remove(&pan);
                }
            }
        }
        self.senders -= usize::from(sent);
    }
}

/// Where a member of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere that counts: border routers follow the others.
    BorderRouter,
    /// Not in the mesh yet.
    Away,
    /// In a PAN.
    In(PanId),
}

/// The crypto session bundle of a group in a PAN. It is the group's own in the founding PAN; the subnets of
/// the others tell theirs apart. No bundle has the number 0.
pub fn csb_id_in(epoch: &GroupEpoch, pan: &PanConfig, founding: &PanConfig) -> CsbId {
    let subnet = |pan: &PanConfig| u16::from_be_bytes([pan.mesh_prefix[6], pan.mesh_prefix[7]]);
    let apart = u32::from(subnet(pan).wrapping_sub(subnet(founding)));
    let (sum, beyond) = epoch.csb_id.0.overflowing_add(apart);
    CsbId(sum + u32::from(beyond))
}

/// The group's address in a network of that prefix.
///
/// RFC 3306 section 4: ff3s:00ll, here site-local and 64 bits, the prefix, 32 bits of group.
/// RFC 3307 section 4.3: a group ID that an allocation server gives has its high bit set.
pub fn group_address(group: GroupId, prefix: [u8; 8]) -> Ipv6Addr {
    let mut octets = [0xff, 0x35, 0x00, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0];
    octets[4..12].copy_from_slice(&prefix);
    octets[14..].copy_from_slice(&group.0.to_be_bytes());
    Ipv6Addr::from(octets)
}

/// The SenderID after `last` in the same epoch, if there is one.
pub(crate) fn sender_id_after(last: SenderId) -> Option<SenderId> {
    last.next().filter(|next| next.raw() <= SENDER_IDS_PER_EPOCH)
}

/// All SenderIDs of an epoch.
pub(crate) fn sender_ids() -> impl Iterator<Item = SenderId> {
    iter::successors(Some(SenderId::MIN), |last| sender_id_after(*last))
}

/// The ports for groups, best first: those RFC 6282 section 4.3.3 compresses to 4 bits, less the
/// ones network access uses (61628 to 61631), then those it compresses to 8.
pub(crate) fn ports() -> impl Iterator<Item = u16> {
    (61616..=61627).chain(61440..=61615)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_carries_prefix_and_group() {
        let address = group_address(GroupId(0x0102), [0xfd, 0, 0, 1, 0, 2, 0, 3]);
        assert_eq!(address.to_string(), "ff35:40:fd00:1:2:3:8000:102");
    }

    #[test]
    fn every_pan_has_a_bundle_of_its_own() {
        let pan = |subnet: u16| {
            let [high, low] = subnet.to_be_bytes();
            let pan_id = PanId::new(subnet).expect("not broadcast");
            let channel = lowgate_units::Channel::new(15).expect("in the band");
            PanConfig { pan_id, channel, mesh_prefix: [0xfd, 0, 0, 1, 0, 2, high, low] }
        };
        let key = || lowgate_crypto::Key128::new([1; 16]);
        let epoch = |csb_id| GroupEpoch {
            csb_id: CsbId(csb_id),
            generation: Generation(1),
            tek_id: TekId::FIRST,
            tgk: Tgk(key()),
            rand: Rand(key()),
        };
        for base in [1, 0x8000_0000, u32::MAX - 2, u32::MAX] {
            let subnets = [5, 6, 7, 8, 0xfffe, 4];
            let ids = subnets.map(|subnet| csb_id_in(&epoch(base), &pan(subnet), &pan(5)));
            assert_eq!(ids[0], CsbId(base));
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
            assert!(!ids.contains(&CsbId::NONE), "{ids:?}");
        }
    }

    #[test]
    fn an_epoch_has_room_for_all_senders_and_some_who_come_again() {
        assert_eq!(sender_ids().count(), usize::from(SENDER_IDS_PER_EPOCH));
        assert!(sender_ids().count() > GROUP_SENDERS_MAX);
    }

    #[test]
    fn there_is_a_port_for_every_group() {
        assert!(ports().count() >= GROUPS_MAX);
        assert_eq!(ports().next(), Some(0xf0b0));
    }
}
