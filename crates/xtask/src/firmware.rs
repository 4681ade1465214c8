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

/// What the parts of a device's join path cost, of a whole device, and of the programs for chips, from the linked
/// files: a table, and a file of JSON.
pub(crate) fn size(file: &str) -> Result<(), String> {
    provide_target(DEVICE_TARGET)?;
    let target = ["--release", "--locked", "--target", DEVICE_TARGET, "-p", "lowgate-footprint"];
    inside(&[&["build"], &target[..]].concat()).run()?;
    let file = std::path::absolute(file).map_err(|fault| format!("{file}: {fault}"))?;
    let file = file.display().to_string();
    build_for_chip()?;
    provide_target(EMULATED_TARGET)?;
    let device =
        ["--release", "--locked", "--target", EMULATED_TARGET, "-p", "lowgate-device-qemu"];
    inside(&[&["build"], &device[..]].concat()).run()?;
    let program = |target: &str, name: &str| format!("target/{target}/release/{name}");
    let programs = [
        program(DEVICE_TARGET, "footprint-soft"),
        program(DEVICE_TARGET, "footprint-engine"),
        program(EMULATED_TARGET, "device-qemu"),
        program(DEVICE_TARGET, "rcp-dongle"),
        program(DEVICE_TARGET, "rcp-kit"),
        program(DEVICE_TARGET, "device-dongle"),
        program(DEVICE_TARGET, "device-kit"),
    ];
    let measure = ["run", "--locked", "-p", "lowgate-size", "--", &file];
    let programs = programs.iter().map(String::as_str);
    inside(&measure.into_iter().chain(programs).collect::<Vec<_>>()).run()
}

/// The programs for a chip that is not emulated, each by itself: with what it alone asks of the crates.
fn build_for_chip() -> Result<(), String> {
    provide_target(DEVICE_TARGET)?;
    ["lowgate-rcp-nrf52840", "lowgate-device-nrf52840"].iter().try_for_each(|package| {
        let chip = ["--release", "--locked", "--target", DEVICE_TARGET, "-p", package];
        let parts = ["-p", "lowgate-nrf52840", "--", "-D", "warnings"];
        inside(&[&["clippy"], &chip[..], &parts].concat()).run()?;
        inside(&[&["build"], &chip[..]].concat()).run()
    })
}

fn build() -> Result<Programs, String> {
    provide_target(EMULATED_TARGET)?;
    inside(&["fmt", "--all", "--check"]).run()?;
    let target = ["--release", "--locked", "--target", EMULATED_TARGET, "-p", "lowgate-rcp-qemu"];
    let counts = ["-p", "lowgate-counts-qemu"];
    // By itself: what a device asks of the crates, an allocator first, is not for the others.
    let devices = ["--release", "--locked", "--target", EMULATED_TARGET];
    let devices = [&devices[..], &["-p", "lowgate-device-qemu", "-p", "lowgate-template"]].concat();
    let planted = ["--features", "lowgate-rcp-qemu/planted"];
    let lints = ["--", "-D", "warnings"];
    let machine = ["-p", "lowgate-lm3s6965", "-p", "lowgate-retained", "-p", "lowgate-footprint"];
    inside(&[&["clippy"], &target[..], &counts, &planted, &machine, &lints].concat()).run()?;
    inside(&[&["clippy"], &devices[..], &lints].concat()).run()?;
    let here = ["-p", "lowgate-firmware-tests", "-p", "lowgate-size", "-p", "lowgate-device"];
    let all = ["clippy", "--locked", "--all-targets", "--all-features"];
    inside(&[&all[..], &here, &lints].concat()).run()?;
    inside(&["test", "--locked", "-p", "lowgate-device"]).run()?;
    inside(&[&["build"], &target[..], &counts].concat()).run()?;
    inside(&[&["build"], &devices[..]].concat()).run()?;
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
