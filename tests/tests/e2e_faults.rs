//! Purpose: a co-processor that resets, hangs, is garbled or unplugged is no more than a short pause.
//! Topology: that of `e2e_linux.rs`; the building pings a device all the time.
//! Criteria: after each fault, of any kind and in any order, the co-processor is ready again in under
//! 2 s; no device joins anew, none has another address, all answer in the end, and no frame counter was
//! used twice under a key. 20 faults; `cargo xtask soak faults` makes a thousand of them.

use lowgate_tests::program::Program;
use lowgate_tests::site::{DEVICES, Site, addr, expect_no_findings};
use lowgate_tests::soak::{between, chance, rounds};
use lowgate_units::Prng;
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

const FAULTS: usize = 20;
const KINDS: [&str; 5] = ["reset", "hang", "lose", "flip", "unplug"];
/// From the end of a fault to a co-processor that takes and delivers frames.
const RECOVERY_MAX: Duration = Duration::from_secs(2);

/// A command for `lowgate sim serve --faults`.
fn command(prng: &mut Prng, kind: &str) -> String {
    match kind {
        "reset" => kind.into(),
        "lose" | "flip" => format!("{kind} {}", 1 + prng.below(300)),
        _ => format!("{kind} {}", between(prng, 50, 3000).as_secs_f64()),
    }
}

/// That costs a frame at most; the co-processor goes on as it is.
const END_UNTOLD: &str = "no word of how a transmission ended";

/// Since when the co-processor is ready, by what the daemon said; `None` while it is not.
fn ready_since(daemon: &mut Program) -> Option<Instant> {
    daemon.listen();
    let mut ready = None;
    for (line, at) in daemon.said.iter().zip(&daemon.said_at) {
        if line == "co-processor: ready" {
            ready = Some(*at);
        } else if line.starts_with("co-processor: ") && !line.contains(END_UNTOLD) {
            ready = None;
        }
    }
    ready
}

/// How often each device got its keys from the manager.
fn joins(mesh: &mut Program) -> BTreeMap<String, usize> {
    mesh.listen();
    let mut joins = BTreeMap::new();
    for line in mesh.said.iter().filter(|line| line.ends_with("took its keys")) {
        let device = line.split_whitespace().nth(2).expect("time, s, device");
        *joins.entry(device.to_owned()).or_default() += 1;
    }
    joins
}

/// Has the fault happen; how long the daemon took from its end on.
fn outlived(mesh: &mut Program, daemon: &mut Program, command: &str, kind: &str) -> Duration {
    mesh.tell(command);
    mesh.expect(&format!("fault over: {kind}"));
    let over = *mesh.said_at.last().expect("just said");
    // What octets that went lost did shows when their answer does not come.
    sleep((over + RECOVERY_MAX).saturating_duration_since(Instant::now()));
    let from = daemon.said.len();
    let ready = ready_since(daemon);
    let log = || daemon.said[from.min(daemon.said.len())..].join("\n");
    let ready = ready.unwrap_or_else(|| panic!("after {command:?} it is not ready:\n{}", log()));
    let took = ready.saturating_duration_since(over);
    assert!(took < RECOVERY_MAX, "after {command:?} it took {took:?}:\n{}", log());
    took
}

#[test]
fn the_daemon_outlives_every_fault_of_its_line() {
    let mut prng = chance();
    let site = Site::new("fault");
    let (mut mesh, mut daemon) = (site.serve(), site.run());
    site.commission();
    let before = site.all_in();
    site.route_to_mesh();
    let joined = joins(&mut mesh);
    assert_eq!(joined.len(), DEVICES, "{joined:?}");
    let mut took: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..rounds(FAULTS) {
        let device = &before[prng.below(DEVICES as u64) as usize];
        let ping = ["netns", "exec", &site.building, "ping", "-6", "-n", "-q", "-s", "500"];
        let _traffic = Program::start("ip", &[&ping[..], &[addr(device)]].concat());
        let kind = KINDS[prng.below(KINDS.len() as u64) as usize];
        let command = command(&mut prng, kind);
        let recovery = outlived(&mut mesh, &mut daemon, &command, kind);
        println!("{round:5}  {command:<16} {recovery:?}");
        took.entry(kind).or_default().push(recovery);
    }
    for (kind, mut took) in took {
        took.sort_unstable();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        println!("{kind:<8} {:5} times, median {median:?}, longest {worst:?}", took.len());
    }
    let after = site.all_in();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before["eui64"], addr(before)), (&after["eui64"], addr(after)));
        assert!(site.pinged(addr(after), 3, 56) >= 2, "{after}");
    }
    assert_eq!(joins(&mut mesh), joined, "somebody joined anew");
    expect_no_findings(&mut mesh);
}
