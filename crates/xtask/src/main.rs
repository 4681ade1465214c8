//! The project's automation: `cargo xtask test` and its relatives. Each step prints the command it
//! runs, so that any of them can be repeated by hand; the first that fails ends the run.

mod deb;
mod dtls_peers;
mod firmware;
mod fuzz;
mod notices;
mod peers;
mod run;

use run::{Step, cargo};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <task>

  test       format, lints, all tests, documentation: no root, no network, nothing installed
  embedded   the device's crates build for a Cortex-M4 (adds the target with rustup)
  firmware   the firmware, in emulated machines and in a network namespace of its own (as root; installs the
             emulator with apt-get, and adds the target with rustup)
  interop    tests against programs and libraries that others wrote (as root, installs them with apt-get)
  e2e        the daemon on a real kernel, in network namespaces of its own (as root)
  soak WHAT [N]
             the same for longer (as root): `faults` of the serial line, 1000 of them; `kills` of the
             daemon while devices join, 200 of them
  soak firmware [N]
             N faults (default 1000) of the serial line to the co-processor in the emulator
  soak dtls [N]
             N DTLS handshakes and resumptions (default 10000) whose path spoils a flight
  soak dtls-orders [N]
             every order of up to N messages (default 4) towards both ends of DTLS
  fuzz [TARGET] [--seconds N]
             looks for octets that DTLS cannot stand: one target or all of them, N seconds each
             (default 20; installs cargo-fuzz and a nightly compiler if missing)
  swarm [N]  N buildings of which chance decides all, disasters too (default 50): no checker finds
             anything, and everybody is back in the end
  scale [N]  campuses of up to N devices (default 1000, at most 10000) switched on at once: what they
             cost, and whether everybody is in in time
  bench forward --json FILE
             what a datagram costs the border router, against the kernel and OpenSSL (as root)
  bench keys --json FILE
             what keys cost to derive, evaluate, verify and replace, and how large shares are
  bench sim --json FILE
             the simulator's speed, against ns-3 (installs it as root)
  bench dtls --json FILE
             what a DTLS server costs, against OpenSSL, Mbed TLS, tinydtls, dimpl and webrtc-dtls (as root it
             installs what is missing; who cannot be had is left out)
  size --json FILE
             flash and RAM of a device's join path, part by part, with AES in software and by a chip's engine,
             and of the co-processor on a chip
  deb        the Debian package, with arm64 behind it for that (installs what is missing)
  package    both packages, tried in a fresh Debian under its systemd (as root)
  ot-rcp PROGRAM
             our host against OpenThread's co-processor, built for simulation; writes the transcript
             that `test` replays (as root, in a network namespace of its own)
  ot-host PROGRAM
             OpenThread's posix host (its ot-cli) on our co-processor in the emulator; writes the transcript
             that `test` replays (as root, in a network namespace of its own)
  deny       licences, bans and sources of the dependencies (installs cargo-deny if missing)";

/// Those that the peer of `bench sim` is made of.
const NS3_LIBRARIES: [&str; 8] =
    ["lr-wpan", "sixlowpan", "internet", "spectrum", "propagation", "mobility", "network", "core"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test(),
        ["embedded"] => embedded(),
        ["firmware"] => firmware::test(&release_binary()),
        ["interop"] => interop(),
        ["e2e"] => e2e(),
        ["soak", "faults"] => soak("e2e_faults", "1000"),
        ["soak", "faults", rounds] => soak("e2e_faults", rounds),
        ["soak", "kills"] => soak("e2e_kills", "200"),
        ["soak", "kills", rounds] => soak("e2e_kills", rounds),
        ["soak", "firmware"] => firmware::soak(&release_binary(), "1000"),
        ["soak", "firmware", rounds] => firmware::soak(&release_binary(), rounds),
        ["soak", "dtls"] => soak_dtls("matrix", "10000"),
        ["soak", "dtls", runs] => soak_dtls("matrix", runs),
        ["soak", "dtls-orders"] => soak_dtls("orders", "4"),
        ["soak", "dtls-orders", longest] => soak_dtls("orders", longest),
        ["fuzz"] => fuzz::run(None, "20"),
        ["fuzz", "--seconds", seconds] => fuzz::run(None, seconds),
        ["fuzz", target] => fuzz::run(Some(target), "20"),
        ["fuzz", target, "--seconds", seconds] => fuzz::run(Some(target), seconds),
        ["swarm"] => swarm("50"),
        ["swarm", runs] => swarm(runs),
        ["scale"] => scale("1000"),
        ["scale", devices] => scale(devices),
        ["bench", "forward", "--json", file] => bench_forward(file),
        ["bench", "keys", "--json", file] => bench_keys(file),
        ["bench", "sim", "--json", file] => bench_sim(file),
        ["bench", "dtls", "--json", file] => bench_dtls(file),
        ["size", "--json", file] => firmware::size(file),
        ["deb"] | ["deb", "amd64"] => deb(deb::Arch::Amd64),
        ["deb", "arm64"] => deb(deb::Arch::Arm64),
        ["package"] => deb::trial(),
        ["ot-rcp", program] => ot_rcp(program),
        ["ot-host", program] => firmware::ot_host(program),
        ["deny"] => deny(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"]).run()?;
    // All features: no two of ours exclude each other, and the interop tests are linted here too.
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
        .run()?;
    cargo(&["test", "--workspace"]).run()?;
    // Apart: the mistakes it plants must be in no other test's program.
    let planted = ["test", "-p", "lowgate-tests", "--features", "planted"];
    let tests = ["--test", "planted", "--test", "threats", "--test", "caught"];
    cargo(&[&planted[..], &tests].concat()).run()?;
    cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").run()
}

/// Which crates must build without `std` is written in the crates themselves; that the right ones
/// say so is a test (`tests/tests/layering.rs`).
fn embedded() -> Result<(), String> {
    firmware::provide_target(firmware::DEVICE_TARGET)?;
    let packages = no_std_packages()?;
    if packages.is_empty() {
        return Err("no crate says #![no_std]: this would check nothing".into());
    }
    // Without the features that need an allocator: a device joins without one. One by one, lest a crate be
    // built with what another one asks of it.
    let arguments =
        ["check", "--lib", "--no-default-features", "--target", firmware::DEVICE_TARGET, "-p"];
    packages
        .iter()
        .try_for_each(|package| cargo(&[&arguments[..], &[package.as_str()]].concat()).run())
}

fn no_std_packages() -> Result<Vec<String>, String> {
    let crates = run::root().join("crates");
    let mut packages = Vec::new();
    for entry in crates.read_dir().map_err(|e| format!("{}: {e}", crates.display()))? {
        let folder = entry.map_err(|e| format!("{}: {e}", crates.display()))?.path();
        let Ok(text) = std::fs::read_to_string(folder.join("src/lib.rs")) else {
            continue; // a binary
        };
        if let (true, Some(name)) =
            (text.lines().any(|line| line == "#![no_std]"), folder.file_name())
        {
            packages.push(format!("lowgate-{}", name.to_string_lossy()));
        }
    }
    packages.sort();
    Ok(packages)
}

fn interop() -> Result<(), String> {
    peers::provide(peers::TESTS)?;
    let programs = dtls_peers::for_tests()?;
    cargo(&["build", "--release"]).run()?;
    let tests = ["--test", "interop_*", "--test", "webrtc_dtls"];
    cargo(&[&["test", "-p", "lowgate-tests", "--features", "interop"], &tests[..]].concat())
        .env("LOWGATE_BIN", release_binary())
        .env("LOWGATE_DTLS_PEERS", programs)
        .run()
}

/// One test after the other: each has a mesh that lives in real time, and would starve the next.
fn e2e() -> Result<(), String> {
    peers::provide(peers::TESTS)?;
    // Without a network nothing can be fetched.
    cargo(&["fetch", "--locked"]).run()?;
    let tun = ["-n", "cargo", "test", "-p", "lowgate-linux", "--features", "e2e", "--lib", "tun"];
    Step::new("unshare", &tun).run()?;
    on_a_kernel("e2e_*", None)
}

/// In virtual time: no root, nothing installed. A failure prints LOWGATE_SEED=N, or the order itself.
fn soak_dtls(test: &str, rounds: &str) -> Result<(), String> {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("{rounds:?}: how many? Write a number"));
    }
    // In release: on the curve a handshake costs milliseconds.
    let what = ["test", "--release", "-p", "lowgate-dtls", "--all-features", "--test", "pair"];
    cargo(&[&what[..], &[test, "--", "--nocapture"]].concat()).env("LOWGATE_ROUNDS", rounds).run()
}

/// What a long run found prints its seed: LOWGATE_SEED=N runs it again.
fn soak(test: &str, rounds: &str) -> Result<(), String> {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("{rounds:?}: how many times? Write a number"));
    }
    peers::provide(peers::TESTS)?;
    on_a_kernel(test, Some(rounds))
}

fn on_a_kernel(test: &str, rounds: Option<&str>) -> Result<(), String> {
    cargo(&["build", "--release"]).run()?;
    let test = ["test", "-p", "lowgate-tests", "--features", "e2e", "--test", test, "--"];
    let shown = if rounds.is_some() { &["--nocapture"][..] } else { &[] };
    let step = cargo(&[&test[..], &["--test-threads=1"], shown].concat())
        .env("LOWGATE_BIN", release_binary());
    rounds.into_iter().fold(step, |step, rounds| step.env("LOWGATE_ROUNDS", rounds)).run()
}

/// What fails prints its seed and the command that runs it again.
fn swarm(runs: &str) -> Result<(), String> {
    cargo(&["build", "--release", "-p", "lowgate"]).run()?;
    Step::new(&release_binary(), &["sim", "swarm", "--runs", runs]).run()
}

fn scale(devices: &str) -> Result<(), String> {
    cargo(&["build", "--release", "-p", "lowgate"]).run()?;
    let report = ["sim", "report", "scale", "--devices-max", devices];
    Step::new(&release_binary(), &report).run()
}

fn bench_forward(file: &str) -> Result<(), String> {
    peers::provide(peers::BENCH)?;
    bench("forward", &[], file)
}

fn bench_keys(file: &str) -> Result<(), String> {
    peers::provide(peers::BENCH_KEYS)?;
    bench("keys", &[], file)
}

/// Its program is built from our source where ns-3 is installed.
fn bench_sim(file: &str) -> Result<(), String> {
    peers::provide(peers::BENCH_SIM)?;
    let source = run::root().join("tests/peers/ns3/blocks.cc").display().to_string();
    let program = run::root().join("target/ns3-blocks").display().to_string();
    let libraries = NS3_LIBRARIES.map(|library| format!("-lns3-{library}"));
    let libraries = libraries.iter().map(String::as_str);
    let arguments = ["-O2", "-DNDEBUG", "-o", &program, &source];
    Step::new("g++", &arguments.into_iter().chain(libraries).collect::<Vec<_>>()).run()?;
    bench("sim", &["--ns3", &program], file)
}

/// The programs over others' libraries are built from our sources, where what they are made of can be had.
fn bench_dtls(file: &str) -> Result<(), String> {
    let programs = dtls_peers::for_bench()?;
    bench("dtls", &["--peers", &programs], file)
}

fn bench(what: &str, arguments: &[&str], file: &str) -> Result<(), String> {
    cargo(&["build", "--release", "-p", "lowgate-bench"]).run()?;
    let bench = run::root().join("target/release/lowgate-bench").display().to_string();
    let file = std::path::absolute(file).map_err(|fault| format!("{file}: {fault}"))?;
    let file = file.display().to_string();
    Step::new(&bench, &[&[what], arguments, &["--json", &file]].concat()).run()
}

/// The program is not part of the project, nor is what builds it.
fn ot_rcp(program: &str) -> Result<(), String> {
    peers::provide(peers::TESTS)?;
    let program = std::fs::canonicalize(program).map_err(|e| format!("{program}: {e}"))?;
    cargo(&["build", "--release"]).run()?;
    cargo(&["fetch", "--locked"]).run()?;
    let transcript = run::root().join("tests/data/ot-rcp.transcript");
    let test = "ip link set lo up && exec cargo test -p lowgate-tests --features ot-rcp --test live_ot_rcp";
    Step::new("unshare", &["-n", "sh", "-c", test])
        .env("LOWGATE_BIN", release_binary())
        .env("LOWGATE_OT_RCP", program.display().to_string())
        .env("LOWGATE_TRANSCRIPT", transcript.display().to_string())
        .run()
}

fn release_binary() -> String {
    run::root().join("target/release/lowgate").display().to_string()
}

fn deb(arch: deb::Arch) -> Result<(), String> {
    println!("xtask: {}", deb::build(arch)?.display());
    Ok(())
}

/// Without the advisories: their database is a git repository, and the machines that run this
/// reach the package registry and nothing else.
fn deny() -> Result<(), String> {
    if cargo(&["deny", "--version"]).output().is_err() {
        cargo(&["install", "cargo-deny@0.20.2", "--locked"]).run()?;
    }
    println!("xtask: advisories are not checked, their database is not in the package registry");
    cargo(&["deny", "check", "bans", "licenses", "sources"]).run()
}
