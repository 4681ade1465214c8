//! What a decision leaves behind: typed records, in batches numbered by the domain's revision.
//!
//! **Invariant:** the changes of all batches in order rebuild the domain; so do those of a
//! snapshot. A message that depends on a change leaves only after its batch is stored.

use crate::device::DeviceRecord;
use crate::group::{GroupEpoch, GroupRecord};
use crate::pan::{ChannelSet, PanConfig};
use lowgate_amikey::pairwise::Polynomial;
use lowgate_amikey::{GroupId, KeyIndex, Role, SenderId};
use lowgate_crypto::Key128;
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, PanId, ShortAddr};

/// What is fixed about a domain at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// The PAN it begins with, its first border router's.
    pub pan_id: PanId,
    /// That PAN's channel.
    pub channel: Channel,
    /// That PAN's prefix, a /64. The other PANs have further subnets of the same /48.
    pub mesh_prefix: [u8; 8],
    /// Where the other PANs may be besides.
    pub further_channels: ChannelSet,
    /// Where devices reach the domain manager.
    pub manager_addr: Ipv6Addr,
}

impl DomainConfig {
    /// The PAN that the domain begins with.
    pub const fn founding_pan(&self) -> PanConfig {
        let Self { pan_id, channel, mesh_prefix, .. } = *self;
        PanConfig { pan_id, channel, mesh_prefix }
    }
}

/// A key of a PAN's link layer. The index changes with every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKey {
    /// The key index on the air.
    pub index: KeyIndex,
    /// The key.
    pub key: Key128,
}

/// One decision's effect on the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The domain exists. Always the first change, and only that.
    DomainCreated {
        /// What is fixed.
        config: DomainConfig,
        /// The link-layer key of its first PAN.
        link_key: LinkKey,
    },
    /// The domain has one more PAN.
    PanCreated {
        /// What is fixed.
        config: PanConfig,
        /// The link-layer key in force.
        link_key: LinkKey,
    },
    /// A link-layer key to come is known; an earlier one that never came into force is void.
    LinkKeyStaged {
        /// Whose.
        pan: PanId,
        /// The key.
        key: LinkKey,
    },
    /// The staged key is in force; the one before it is void.
    LinkKeyActivated {
        /// Whose.
        pan: PanId,
        /// The staged key's index.
        index: KeyIndex,
    },
    /// A line of the inventory.
    DeviceImported(DeviceRecord),
    /// A group exists, with its first epoch.
    GroupCreated {
        /// What is fixed.
        record: GroupRecord,
        /// Its first keys.
        epoch: GroupEpoch,
    },
    /// A device is in the group from now on.
    MemberAdded {
        /// Which group.
        group: GroupId,
        /// Which device.
        eui64: Eui64,
        /// As what.
        role: Role,
    },
    /// A device is in the group no longer. Its SenderID was void before.
    MemberRemoved {
        /// Which group.
        group: GroupId,
        /// Which device.
        eui64: Eui64,
    },
    /// The group has new keys; all SenderIDs are void.
    GroupEpochStarted {
        /// Which group.
        group: GroupId,
        /// Its keys from now on.
        epoch: GroupEpoch,
    },
    /// A member sends under this SenderID; one it had before is void but stays used.
    SenderIdGiven {
        /// Which group.
        group: GroupId,
        /// In which PAN.
        pan: PanId,
        /// Which member.
        eui64: Eui64,
        /// Higher than any given before in this epoch and PAN.
        sender_id: SenderId,
    },
    /// A device became a member.
    Admitted {
        /// Which device.
        eui64: Eui64,
        /// Of which PAN.
        pan: PanId,
        /// Its address there; never anybody's before.
        short: ShortAddr,
    },
    /// A member is in another PAN from now on; its address in the one before stays its own.
    Moved {
        /// Which device.
        eui64: Eui64,
        /// Into which PAN.
        pan: PanId,
        /// Its address there; never anybody else's before.
        short: ShortAddr,
    },
    /// A device is expelled, or will never be let in.
    Revoked {
        /// Which device.
        eui64: Eui64,
    },
    /// The domain has a polynomial for the keys of pairs, its first or the next.
    PairsStarted {
        /// What shares are made of.
        polynomial: Polynomial,
        /// Who was lost under the one before.
        lost_before: Vec<Eui64>,
    },
    /// A device is expelled that may have a share of the polynomial in force.
    PairLost {
        /// Which device.
        eui64: Eui64,
    },
    /// Expected devices may join.
    WindowOpened {
        /// Until then, by the owner's clock.
        until: Instant,
    },
    /// Expected devices may not join.
    WindowClosed,
}

/// Changes that are stored together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The domain's revision once these are stored: one more than before.
    pub revision: u64,
    /// At least one.
    pub changes: Vec<Change>,
}

/// What a store gives back: enough to go on from `revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision of the last batch stored; 0 when there was none.
    pub revision: u64,
    /// Changes that rebuild the domain; empty when there is none.
    pub changes: Vec<Change>,
}
