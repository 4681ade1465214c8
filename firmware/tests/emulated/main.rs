//! Purpose: the firmware as machine code, in an emulated machine.
//! Topology: QEMU's `lm3s6965evb` runs the co-processor; at its first serial line stands a host of ours, at
//! its second one the test, which plays the radio. `cargo xtask firmware` builds the programs and says where
//! they are.
//! `device` has another topology, and says which.
//! Criteria: with each test.

mod air;
mod device;
mod dialog;
mod emulator;
mod host;
mod line;

mod bad_input;
mod counts;
mod driver;
mod end_to_end;
mod faults;
mod mistakes;
#[cfg(feature = "ot-host")]
mod ot_host;
mod properties;
mod sizes;
mod throughput;
