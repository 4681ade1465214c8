#![no_std]
//! One device, whole: radio seam in, radio seam out, and between them all layers of the protocol.
//!
//! [`Node`] is fed with [`Input`] and drained to [`Output::Wait`]. It runs unchanged on a chip, under a
//! border router and in the simulator.
//!
//! **Invariant:** no clock, no radio and no storage of its own; what a frame depends on is stored
//! before the frame leaves; unsecured frames reach the relay and the joiner and nothing else.
//! Plain CoAP is answered when it came over the secured mesh: who may send it there, the border router's
//! filter decides.

extern crate alloc;

mod api;
mod app;
mod command;
mod doubt;
mod fed;
pub mod flash;
mod floors;
mod groups;
mod keys;
mod node;
mod outside;
mod pair_event;
#[cfg(feature = "pairs")]
mod pairs;
#[cfg(not(feature = "pairs"))]
#[path = "pairs_off.rs"]
mod pairs;
mod traffic;
mod trees;

pub use api::{Event, GROUPS_MAX, Input, Kind, NodeConfig, Output, ROUTER_GROUPS_MAX};
pub use app::{IDENTIFY_PATH, IDENTIFY_SECONDS_MAX, LIGHT_PATH, SENSOR_PATH};
pub use command::CommandRefused;
pub use groups::{GROUP_RECORD_OCTETS_MAX, GroupFault, SENDERS_MAX, SEQUENCE_BLOCK};
pub use lowgate_amikey::GroupId;
pub use node::Node;
pub use pair_event::{PAIR_CALLER_PORT, PAIR_PORT, PairEvent, PairRefused};
