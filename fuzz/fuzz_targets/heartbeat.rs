#![no_main]
//! The target `heartbeat` of `crates/dtls/tests/pair/hostile.rs`.

libfuzzer_sys::fuzz_target!(|octets: &[u8]| lowgate_fuzz::run("heartbeat", octets));
