//! Groups: their names, ports, addresses, and the keys of the epoch that counts.

use lowgate_amikey::{CsbId, Generation, GroupId, Rand, SenderId, TekId, Tgk};
use lowgate_units::{Eui64, Ipv6Addr};
use std::collections::BTreeMap;
use std::iter;

/// Groups a domain may have: each takes a UDP port that 6LoWPAN compresses to one octet.
pub const GROUPS_MAX: usize = 64;
/// SenderIDs of one epoch: 1 to this. Every SPD of the epoch lists them all, given or not, so that a
/// member's replay table, which has room for so many, knows who joins later. When all were given, the
/// group gets another epoch.
pub const SENDER_IDS_PER_EPOCH: u8 = 16;
/// Members of one group that send. The rest of an epoch's SenderIDs are for those who come again.
pub const GROUP_SENDERS_MAX: usize = 12;
/// One crypto session bundle and its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEpoch {
    /// Changes with every TGK.
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
    /// Who sends under which SenderID in this epoch.
    pub sender_ids: BTreeMap<Eui64, SenderId>,
    /// The SenderID after the last one given in this epoch; `None` when all were given.
    pub(crate) sender_id_next: Option<SenderId>,
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
