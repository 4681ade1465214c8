#![no_main]
//! The target `handshake_server` of `crates/dtls/tests/pair/hostile.rs`.

libfuzzer_sys::fuzz_target!(|octets: &[u8]| lowgate_fuzz::run("handshake_server", octets));
