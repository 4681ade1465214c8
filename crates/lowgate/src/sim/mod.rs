//! The simulator's own commands.

mod report;
mod serve;

pub use report::{Report, report};
pub use serve::{ServeOptions, serve};
