//! How long the long tests take: what a recipe says, or little.

/// LOWGATE_ROUNDS, as `cargo xtask soak` says, or `few`.
#[expect(
    clippy::disallowed_methods,
    reason = "a recipe says how long; the crate sees nothing of it"
)]
pub(crate) fn rounds(few: u64) -> u64 {
    let said = std::env::var("LOWGATE_ROUNDS").ok();
    said.map_or(few, |said| said.parse().expect("LOWGATE_ROUNDS is a number"))
}

/// LOWGATE_SEED: that run alone.
#[expect(clippy::disallowed_methods, reason = "a person says which; the crate sees nothing of it")]
pub(crate) fn only_seed() -> Option<u64> {
    let said = std::env::var("LOWGATE_SEED").ok();
    said.map(|said| said.parse().expect("LOWGATE_SEED is a number"))
}
