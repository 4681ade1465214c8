//! `cargo xtask fuzz`: libFuzzer over the targets of `fuzz/`, one after the other, one worker each.

use crate::run::{Step, root};
use std::fs;

const TOOL: &str = "cargo-fuzz@0.13.2";

/// Runs `only` or every target for `seconds`. What is found anew stays in `target/fuzz`; a corpus of the
/// checkout is only read.
pub(crate) fn run(only: Option<&str>, seconds: &str) -> Result<(), String> {
    if seconds.parse::<u32>().is_err() {
        return Err(format!("{seconds:?}: how many seconds? Write a number"));
    }
    let known = targets()?;
    let chosen: Vec<&String> =
        known.iter().filter(|name| only.is_none_or(|only| *name == only)).collect();
    if chosen.is_empty() {
        return Err(format!("no such target; there are {}", known.join(", ")));
    }
    if nightly(&["cargo", "fuzz", "--version"]).output().is_err() {
        Step::new("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"]).run()?;
        nightly(&["cargo", "install", TOOL, "--locked"]).run()?;
    }
    for name in chosen {
        let grown = root().join("target/fuzz/corpus").join(name);
        fs::create_dir_all(&grown).map_err(|fault| format!("{}: {fault}", grown.display()))?;
        let grown = grown.display().to_string();
        let seeds = root().join("fuzz/corpus").join(name).display().to_string();
        let time = format!("-max_total_time={seconds}");
        // There is no unsafe code for a sanitizer to watch: without one it is several times faster.
        let build = ["cargo", "fuzz", "run", "--sanitizer", "none", name];
        let how = [&grown, &seeds, "--", &time, "-max_len=1024", "-timeout=10"];
        nightly(&[&build[..], &how].concat()).run()?;
    }
    Ok(())
}

fn nightly(arguments: &[&str]) -> Step {
    Step::new("rustup", &[&["run", "nightly"], arguments].concat())
}

fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = folder.read_dir().map_err(|fault| format!("{}: {fault}", folder.display()))?;
    let names = entries.map(|entry| entry.map(|entry| entry.path()));
    let names: Vec<_> = names
        .collect::<Result<_, _>>()
        .map_err(|fault| format!("{}: {fault}", folder.display()))?;
    let mut names: Vec<String> = names
        .iter()
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}
