#![no_std]
//! The IPv6 stack of the mesh: adaptation, neighbour discovery, RPL, MPL, forwarding and ICMPv6 as
//! one sans-IO machine, [`Stack`], put together from small machines and tables.
//!
//! **Invariant:** a frame that came without link-layer security causes nothing but
//! [`NetOutput::Udp`] with `secured: false`, or an event. Neighbours, routes, contexts and groups
//! change by secured frames alone.

#[cfg(feature = "root")]
extern crate alloc;

mod api;
mod event;
mod stack;
mod wire;

pub use api::{
    Attach, AttachRoot, Frame, HOP_LIMIT_LINK_LOCAL, NetInput, NetOutput, OutFrame,
    PACKET_OCTETS_MAX, Packet, SendDone, SendRefused, StackConfig, UDP_PAYLOAD_OCTETS_MAX,
    UdpReceived, UdpSend,
};
pub use event::{NetDrop, NetEvent, RegistrationStatus};
pub use stack::Stack;
