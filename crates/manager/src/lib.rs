//! The domain manager: admission, inventory, life cycle of keys, groups; without IO.
//!
//! **Invariant:** what a message depends on is stored before the message leaves. No clock, no
//! thread, no randomness of its own; keys leave only inside a device's own session.

mod change;
mod decide;
mod device;
mod domain;
mod group;
mod store;

pub use change::{Batch, Change, DomainConfig, LinkKey, Snapshot};
pub use decide::{
    DEVICES_MAX, GroupRefused, ImportFault, ImportRefused, NewDomain, NotAuthorized, RevokeRefused,
    WindowRefused, found,
};
pub use device::{
    Device, DevicePsk, DeviceRecord, DeviceState, GROUPS_PER_DEVICE_MAX, IDENTITY_OCTETS_MAX,
    Identity, Kind, LABEL_OCTETS_MAX, PSK_OCTETS_MAX, PSK_OCTETS_MIN,
};
pub use domain::{BORDER_ROUTER_SHORT, Domain, Inconsistent, WINDOW_MAX};
pub use group::{GROUP_SENDERS_MAX, GROUPS_MAX, Group, GroupEpoch, GroupRecord, group_address};
pub use lowgate_amikey::{CsbId, Generation, GroupId, KeyIndex, Rand, Role, SenderId, TekId, Tgk};
pub use store::{MemoryStore, Store, StoreError};
