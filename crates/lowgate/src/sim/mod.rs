//! The simulator's own commands.

mod serve;

pub use serve::{ServeOptions, serve};
