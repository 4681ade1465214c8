#![no_main]
//! The target `handshake_client` of `crates/dtls/tests/pair/hostile.rs`.

libfuzzer_sys::fuzz_target!(|octets: &[u8]| lowgate_fuzz::run("handshake_client", octets));
