//! The simulator's own commands.

pub mod file;
mod run;
mod serve;

pub use run::{RunOptions, run};
pub use serve::{ServeOptions, serve};
