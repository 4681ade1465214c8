//! What a Raspberry Pi runs, and the commands that talk to it.

mod add;
mod answers;
mod chance;
pub mod claim;
pub mod commands;
pub mod config;
pub mod control;
mod core;
mod edge;
mod fresh;
mod greeting;
pub mod keys;
mod ledger;
mod line;
mod mesh;
mod origin;
mod run;
mod service;
mod storage;
mod table;
