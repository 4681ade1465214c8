//! The domain manager: admission, inventory, life cycle of keys, groups; without IO.
//!
//! **Invariant:** what a message depends on is stored before the message leaves. No clock, no
//! thread, no randomness of its own; keys leave only inside a device's own session.

mod admission;
mod change;
mod command;
pub mod conformance;
mod decide;
mod device;
mod distribution;
mod domain;
mod flooding;
mod group;
mod interface;
mod journal;
mod key_status;
mod key_tree;
mod manager;
mod membership;
mod mesh;
mod messages;
mod pairs;
mod pan;
mod reads;
mod rekey;
mod requests;
mod rollover;
mod rousing;
mod router_link;
mod session;
mod sessions;
mod stock;
mod store;
mod trees;

pub use change::{Batch, Change, DomainConfig, LinkKey, Snapshot};
pub use command::{CommandRefused, VALUE_OCTETS_MAX};
pub use decide::{
    DEVICES_MAX, GroupRefused, ImportFault, ImportRefused, NewDomain, NotAuthorized, RevokeRefused,
    WindowRefused, found,
};
pub use device::{
    Device, DevicePsk, DeviceRecord, DeviceState, GROUPS_PER_DEVICE_MAX, IDENTITY_OCTETS_MAX,
    Identity, Kind, LABEL_OCTETS_MAX, PSK_OCTETS_MAX, PSK_OCTETS_MIN,
};
pub use domain::{Domain, Inconsistent, WINDOW_MAX};
pub use group::{
    GROUP_SENDERS_MAX, GROUPS_MAX, Group, GroupEpoch, GroupRecord, SENDER_IDS_PER_EPOCH, csb_id_in,
    group_address,
};
pub use interface::{
    DeviceView, GroupView, Lacks, ManagerConfig, ManagerDrop, ManagerEvent, ManagerInput,
    ManagerOutput, PanStatus, Refusal, Reply, Request, RequestId, Status,
};
pub use key_status::{GroupKeyStatus, KeyStatus, PairKeyStatus, PanKeyStatus, StagedKeyStatus};
pub use key_tree::{KeyTree, KeyTreeFault, Plan};
pub use lowgate_amikey::pairwise::{Polynomial, SetName};
pub use lowgate_amikey::{CsbId, Generation, GroupId, KeyIndex, Rand, Role, SenderId, TekId, Tgk};
pub use lowgate_crypto::{Key128, Secret};
pub use lowgate_dtls::{CloseReason, Peer};
pub use manager::Manager;
pub use membership::MemberRefused;
pub use pairs::{PAIR_DEGREE_USUAL, Pairs};
pub use pan::{BORDER_ROUTER_SHORT, ChannelSet, PAN_MEMBERS_MAX, PANS_MAX, Pan, PanConfig};
pub use reads::{PATH_OCTETS_MAX, READS_MAX};
pub use rekey::RekeyRefused;
pub use store::{MemoryStore, Store, StoreError};
