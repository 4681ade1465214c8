#![no_std]
//! Network access: how a device that knows only its pre-shared key gets in, and who helps it.
//!
//! [`joiner`] is the device's side and [`candidates`] its choice of a helper; [`relay`] is the neighbour that
//! passes datagrams on, [`jpy`] the envelope between relay and domain manager, [`beacon`] what a relay
//! says of itself, [`rate`] the bound on what strangers may cause; [`admitted`] is what the manager tells
//! the border router of the outcome, [`group_command`] what it has it send to groups, [`TREE_PATH`] to all.
//!
//! **Invariant:** the relay needs no state of a joiner to answer it, and nothing here allocates.

pub mod admitted;
pub mod beacon;
pub mod candidates;
pub mod group_command;
pub mod joiner;
pub mod jpy;
pub mod rate;
pub mod relay;

use lowgate_units::Ipv6Addr;

/// Where the domain manager takes the relays' envelopes (UDP, compressible by RFC 6282).
pub const MANAGER_RELAY_PORT: u16 = 61629;
/// Where the domain manager speaks CoAPS with whom it admitted (RFC 7252 section 12.7).
pub const MANAGER_PORT: u16 = 5684;
/// Where a relay takes a joiner's datagrams, on its link-local address only.
pub const JOIN_PORT: u16 = 61630;
/// The joiner's own port, from the same compressible range.
pub const JOINER_PORT: u16 = 61628;
/// Where members take the messages of key trees, sent to all nodes of the mesh.
pub const TREE_PORT: u16 = 61631;
/// All nodes of the mesh: realm-local scope, RFC 7346 and RFC 4291 section 2.7.1.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff03, 0, 0, 0, 0, 0, 0, 1);
/// Where a border router takes a key tree's message (`POST`) which it is to send to all members: 2.04 says that it
/// left, 5.03 that it cannot leave now.
pub const TREE_PATH: &str = "tree";
/// The largest datagram a relay passes, either way.
pub const JOIN_DATAGRAM_OCTETS_MAX: usize = 384;
