//! The border router: a node that is the root of the mesh and has a second leg, the backbone.
//!
//! Its own session with the domain manager runs over the backbone; through it the manager says whom
//! the registry may hold. Between mesh and backbone it forwards IPv6; what comes to a group's address it
//! sends on as a command under the group's keys.
//!
//! **Invariant:** only the admitted are registered; what the manager said is confirmed after it is in
//! force; it holds no key that a device does not hold.

mod backbone;
pub mod co_processor;
mod edge;
mod filter;
mod router;

pub use backbone::{Datagram, datagram, packet};
pub use co_processor::{CoProcessor, CoProcessorEvent, CoProcessorInput, CoProcessorOutput};
pub use filter::{Filter, FilterDrop, Inward};
pub use router::{Input, MEMBERS_MAX, Output, Router, RouterConfig};
