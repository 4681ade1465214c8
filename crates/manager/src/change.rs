//! What a decision leaves behind: typed records, in batches numbered by the domain's revision.
//!
//! **Invariant:** the changes of all batches in order rebuild the domain; so do those of a
//! snapshot. A message that depends on a change leaves only after its batch is stored.

use crate::device::DeviceRecord;
use crate::group::{GroupEpoch, GroupRecord};
use lowgate_amikey::{GroupId, KeyIndex, Role, SenderId};
use lowgate_crypto::Key128;
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, PanId, ShortAddr};

/// What is fixed about a domain at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// Its PAN.
    pub pan_id: PanId,
    /// Its channel.
    pub channel: Channel,
    /// The mesh's prefix, a /64.
    pub mesh_prefix: [u8; 8],
    /// Where devices reach the domain manager.
    pub manager_addr: Ipv6Addr,
}

/// A key of the link layer. The index changes with every key.
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
        /// The link-layer key in force.
        link_key: LinkKey,
    },
    /// A link-layer key to come is known; an earlier one that never came into force is void.
    LinkKeyStaged(LinkKey),
    /// The staged key is in force; the one before it is void.
    LinkKeyActivated {
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
        /// Which member.
        eui64: Eui64,
        /// Higher than any given before in this epoch.
        sender_id: SenderId,
    },
    /// A device became a member.
    Admitted {
        /// Which device.
        eui64: Eui64,
        /// Its address, for good; never anybody's before.
        short: ShortAddr,
    },
    /// A device is expelled, or will never be let in.
    Revoked {
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
