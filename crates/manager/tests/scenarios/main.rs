//! The manager among devices with real DTLS clients, in virtual time.

mod crash;
mod groups;
mod join;
mod large;
mod pans;
mod rekey;
mod requests;
mod revoke;
mod stock;
mod world;
