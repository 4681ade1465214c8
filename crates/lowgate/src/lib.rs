//! What the binary is made of: the files people give it and the page it gives back.

pub mod claim;
pub mod cli;
pub mod daemon;
pub mod decode;
pub mod demo;
pub mod inventory;
pub mod rcp;
pub mod report;
pub mod sim;
pub mod sniff;
