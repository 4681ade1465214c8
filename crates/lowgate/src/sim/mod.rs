//! The simulator's own commands.

mod serve;
mod swarm;

pub use serve::{ServeOptions, serve};
pub use swarm::{MinimizeOptions, SwarmOptions, minimize, swarm};
