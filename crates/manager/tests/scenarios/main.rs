//! The manager among devices with real DTLS clients, in virtual time.

mod crash;
mod join;
mod rekey;
mod requests;
mod revoke;
mod world;
