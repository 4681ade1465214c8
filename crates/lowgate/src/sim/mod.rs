//! The simulator's own commands.

pub mod file;
mod report;
mod run;
mod serve;
mod swarm;

pub use report::{Report, report};
pub use run::{RunOptions, run};
pub use serve::{ServeOptions, serve};
pub use swarm::{MinimizeOptions, SwarmOptions, minimize, swarm};
