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
mod input;
mod journal;
pub mod keys;
mod ledger;
mod line;
mod mesh;
mod origin;
mod outputs;
mod record;
pub mod replay;
mod run;
mod service;
mod storage;
mod table;
