//! The firmware: a workspace of its own in `firmware/`, and its programs in an emulated machine.

use crate::peers;
use crate::run::{self, Step, cargo};

/// Instruction set of the emulated machine, a Cortex-M3.
const EMULATED_TARGET: &str = "thumbv7m-none-eabi";

/// Of a device, a Cortex-M4.
pub(crate) const DEVICE_TARGET: &str = "thumbv7em-none-eabihf";

/// Both builds of the emulated programs.
struct Programs {
    /// Folder of those that are shipped.
    shipped: String,
    /// Folder of those that make mistakes on demand.
    planted: String,
}

/// Formats, lints, builds and runs it. `lowgate` is the daemon's program, built for release.
pub(crate) fn test(lowgate: &str) -> Result<(), String> {
    peers::provide(peers::EMULATOR)?;
    let programs = build()?;
    cargo(&["build", "--release", "-p", "lowgate"]).run()?;
    run(&programs, lowgate, "").run()
}

/// So many faults of the serial line.
pub(crate) fn soak(lowgate: &str, rounds: &str) -> Result<(), String> {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("{rounds:?}: how many faults? Write a number"));
    }
    peers::provide(peers::EMULATOR)?;
    run(&build()?, lowgate, "faults").env("LOWGATE_ROUNDS", rounds).run()
}

/// OpenThread's posix host on the co-processor. The host is not part of the project, nor is what builds it.
pub(crate) fn ot_host(program: &str) -> Result<(), String> {
    peers::provide(peers::EMULATOR)?;
    peers::provide(peers::OT_HOST)?;
    let program = std::fs::canonicalize(program).map_err(|e| format!("{program}: {e}"))?;
    let programs = build()?;
    inside(&["fetch", "--locked"]).run()?;
    let transcript = run::root().join("tests/data/ot-host.transcript");
    let test = "ip link set lo up && exec cargo test --locked -p lowgate-firmware-tests --features ot-host \
                ot_host -- --nocapture";
    Step::new("unshare", &["-n", "sh", "-c", test])
        .within("firmware")
        .env("LOWGATE_FIRMWARE", &programs.shipped)
        .env("LOWGATE_OT_HOST", program.display().to_string())
        .env("LOWGATE_TRANSCRIPT", transcript.display().to_string())
        .run()
}

/// The tests whose names have `some` in them.
fn run(programs: &Programs, lowgate: &str, some: &str) -> Step {
    // One after the other, for each has a machine that lives in real time; and they tell what they measured.
    let shown = ["--", "--test-threads=1", "--nocapture", some];
    inside(&[&["test", "--locked", "-p", "lowgate-firmware-tests"], &shown[..]].concat())
        .env("LOWGATE_BIN", lowgate)
        .env("LOWGATE_FIRMWARE", &programs.shipped)
        .env("LOWGATE_FIRMWARE_PLANTED", &programs.planted)
}

/// What the parts of a device's join path cost, and the programs for chips, from the linked files: a table, and
/// a file of JSON.
pub(crate) fn size(file: &str) -> Result<(), String> {
    provide_target(DEVICE_TARGET)?;
    let target = ["--release", "--locked", "--target", DEVICE_TARGET, "-p", "lowgate-footprint"];
    inside(&[&["build"], &target[..]].concat()).run()?;
    let file = std::path::absolute(file).map_err(|fault| format!("{file}: {fault}"))?;
    let file = file.display().to_string();
    build_for_chip()?;
    let programs = ["footprint-soft", "footprint-engine", "rcp-dongle", "rcp-kit"]
        .map(|program| format!("target/{DEVICE_TARGET}/release/{program}"));
    let measure = ["run", "--locked", "-p", "lowgate-size", "--", &file];
    let programs = programs.iter().map(String::as_str);
    inside(&measure.into_iter().chain(programs).collect::<Vec<_>>()).run()
}

/// The programs for chips that are not emulated. Apart from the others: with features of their own.
fn build_for_chip() -> Result<(), String> {
    provide_target(DEVICE_TARGET)?;
    let chip = ["--release", "--locked", "--target", DEVICE_TARGET, "-p", "lowgate-rcp-nrf52840"];
    inside(&[&["clippy"], &chip[..], &["--", "-D", "warnings"]].concat()).run()?;
    inside(&[&["build"], &chip[..]].concat()).run()
}

fn build() -> Result<Programs, String> {
    provide_target(EMULATED_TARGET)?;
    inside(&["fmt", "--all", "--check"]).run()?;
    let target = ["--release", "--locked", "--target", EMULATED_TARGET, "-p", "lowgate-rcp-qemu"];
    let counts = ["-p", "lowgate-counts-qemu"];
    let planted = ["--features", "lowgate-rcp-qemu/planted"];
    let lints = ["--", "-D", "warnings"];
    let machine = ["-p", "lowgate-lm3s6965", "-p", "lowgate-retained", "-p", "lowgate-footprint"];
    inside(&[&["clippy"], &target[..], &counts, &planted, &machine, &lints].concat()).run()?;
    let here = ["-p", "lowgate-firmware-tests", "-p", "lowgate-size", "--all-targets"];
    let all = ["clippy", "--locked", "--all-features"];
    inside(&[&all[..], &here, &lints].concat()).run()?;
    inside(&[&["build"], &target[..], &counts].concat()).run()?;
    let apart = ["--target-dir", "target/planted"];
    inside(&[&["build"], &target[..], &planted, &apart].concat()).run()?;
    build_for_chip()?;
    let folder = |target: &str| {
        let folder = run::root().join("firmware").join(target).join(EMULATED_TARGET);
        folder.join("release").display().to_string()
    };
    Ok(Programs { shipped: folder("target"), planted: folder("target/planted") })
}

/// A cargo of the firmware's own workspace.
fn inside(arguments: &[&str]) -> Step {
    cargo(arguments).within("firmware")
}

/// With rustup, which also knows that it is there already.
pub(crate) fn provide_target(target: &str) -> Result<(), String> {
    let installed = Step::new("rustup", &["target", "list", "--installed"]).output()?;
    if installed.lines().any(|line| line == target) {
        return Ok(());
    }
    Step::new("rustup", &["target", "add", target]).run()
}
