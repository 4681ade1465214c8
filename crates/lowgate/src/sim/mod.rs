//! The simulator's own commands.

pub mod file;
mod report;
mod run;
mod serve;

pub use report::{Report, report};
pub use run::{RunOptions, run};
pub use serve::{ServeOptions, serve};
