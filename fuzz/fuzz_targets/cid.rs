#![no_main]
//! The target `cid` of `crates/dtls/tests/pair/hostile.rs`.

libfuzzer_sys::fuzz_target!(|octets: &[u8]| lowgate_fuzz::run("cid", octets));
