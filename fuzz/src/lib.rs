//! The fuzz targets. They are functions of octets in the pair tests of `lowgate-dtls`, where the committed corpora
//! run every day; here libFuzzer looks for more.

#[path = "../../crates/dtls/tests/pair/chains.rs"]
#[expect(dead_code, reason = "the pair tests use the rest")]
mod chains;
#[path = "../../crates/dtls/tests/pair/ends.rs"]
#[expect(dead_code, reason = "the pair tests use the rest")]
mod ends;
#[path = "../../crates/dtls/tests/pair/forged.rs"]
mod forged;
#[path = "../../crates/dtls/tests/pair/hostile.rs"]
mod hostile;
#[path = "../../crates/dtls/tests/pair/puppet.rs"]
#[expect(dead_code, reason = "the pair tests use the rest")]
mod puppet;

/// Runs one target; it panics where something is wrong.
///
/// # Panics
/// When there is no target of that name, too.
pub fn run(name: &str, octets: &[u8]) {
    let (_, target) = hostile::TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    target(octets);
}
