#![no_std]
//! The 6LoWPAN adaptation layer: header compression, fragmentation and reassembly.
//!
//! Outgoing: [`iphc::compress_within`], then a [`Fragmenter`] yields the frames. Incoming: one
//! [`Reassembler`] takes every frame payload and gives whole IPv6 datagrams back.
//!
//! **Absent:** neighbours, routes and addresses of our own (crate `net`), link-layer security
//! (crate `mac`), HC1/HC2, mesh and broadcast headers, 6LoRH, fragment forwarding, GHC.
//! **Invariant:** no allocation but that of a [`List`](lowgate_units::List), no clock, and no panic on any
//! octets.

mod context;
mod dispatch;
mod frag;
mod fragmenter;
pub mod iphc;
mod pool;
mod reassembly;
mod wire;

use lowgate_units::{LinkAddr, LinkDst};

pub use context::{CONTEXTS_MAX, ContextId, ContextUse, Contexts, Prefix};
pub use dispatch::Dispatch;
pub use frag::{DatagramOffset, DatagramSize, DatagramTag, FragDrop, FragHeader};
pub use fragmenter::{FragmentRefused, Fragmenter};
pub use reassembly::{
    Incoming, REASSEMBLY_STALE_AFTER, REASSEMBLY_TIMEOUT, Reassembler, ReassemblyOutput,
    ReceiveDrop, Received,
};

/// The largest IPv6 datagram of the mesh, in octets: the IPv6 minimum MTU (RFC 4944 section 4), and room for
/// what a mesh's routing puts around such a packet (RFC 6554 section 5 wishes for such an MTU): RFC 4944
/// section 5.3 wants a size of 1280 to be told, its field of 11 bits tells 2047.
pub const DATAGRAM_OCTETS_MAX: usize = 1280 + 128;

/// The link-layer addresses of the frame a datagram travels in; elided IIDs come from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkPair {
    /// The source address as the frame carries it.
    pub src: LinkAddr,
    /// The destination address as the frame carries it.
    pub dst: LinkDst,
}

/// Whether link-layer security protected a frame. Decides which reassembly pool it may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Anyone may have sent it.
    Unsecured,
    /// Opened under a network key.
    Secured,
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
