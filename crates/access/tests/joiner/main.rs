//! Pair tests: the joiner against the DTLS server of a domain manager, in virtual time, with relays
//! between them that do as they are told.

mod faults;
mod keys;
mod lifetime;
mod strangers;
mod way_in;
mod world;
