//! The world of the simulator: virtual time, a radio medium, buildings, captures.
//!
//! **Invariant:** one seed decides everything. No clock is read, no thread started, no hash map with a
//! random state iterated: the same seed and the same build give the same octets.

pub mod building;
pub mod capture;
pub mod check;
pub mod crowd;
pub mod eviction;
mod intruder;
pub mod keoh;
pub mod keybook;
pub mod medium;
pub mod queue;
pub mod reading;
pub mod scenario;
pub mod survey;
pub mod world;

#[cfg(test)]
mod testbed;
