#![no_main]
//! The target `certificates` of `crates/dtls/tests/pair/forged.rs`.

libfuzzer_sys::fuzz_target!(|octets: &[u8]| lowgate_fuzz::run("certificates", octets));
