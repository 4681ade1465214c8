#![no_std]
//! The IPv6 stack of the mesh: adaptation, neighbour discovery, RPL, MPL, forwarding and ICMPv6 as
//! one sans-IO machine, [`Stack`], put together from small machines and tables.
//!
//! **Invariant:** a frame that came without link-layer security causes nothing but
//! [`NetOutput::Udp`] with `secured: false`, or an event. Neighbours, routes, contexts and groups
//! change by secured frames alone.

#[cfg(feature = "root")]
extern crate alloc;

mod adaptation;
mod api;
mod dodag;
mod errand;
mod event;
mod limiter;
mod lollipop;
mod mpl;
mod neighbours;
mod node;
mod outbox;
mod registrations;
#[cfg_attr(not(feature = "root"), path = "root_absent.rs")]
mod root;
mod route;
mod stack;
mod trickle;
mod way_down;
mod wire;

pub use adaptation::QUEUE_PACKETS_MAX;
pub use api::{
    Attach, AttachRoot, Frame, HOP_LIMIT_LINK_LOCAL, NetInput, NetOutput, OutFrame,
    PACKET_OCTETS_MAX, Packet, ROUTING_OCTETS_MAX, SendDone, SendRefused, StackConfig,
    UDP_PAYLOAD_OCTETS_MAX, UdpReceived, UdpSend,
};
pub use event::{NetDrop, NetEvent, RegistrationStatus};
pub use lollipop::next as next_dodag_version;
pub use mpl::{MPL_MESSAGES_MAX, MPL_PACKET_OCTETS_MAX, MPL_SEEDS_MAX};
pub use neighbours::NEIGHBOURS_MAX;
pub use registrations::REGISTRATIONS_MAX;
#[cfg(feature = "root")]
pub use root::DEVICES_MAX;
pub use stack::{GROUPS_MAX, NeighbourView, RouteView, Stack};
