//! The simulator's speed against ns-3: one scenario, written for both, in one run. `cargo xtask bench sim`
//! builds both and runs them.
//!
//! **Invariant:** figures are of runs that delivered; each run is a process of its own and counts its own
//! processor time, from the making of the nodes to the end.

mod air;
mod mesh;
mod report;
mod run;
mod scenario;

use crate::counter::run as run_to_end;
use report::{Report, Row};
use run::{Outcome, Run};
use rustix::time::{ClockId, clock_gettime};
use scenario::{BLOCK, END};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Nodes, and rounds of which the shortest counts.
const SIZES: [(usize, u32); 4] = [(25, 5), (100, 5), (400, 3), (1000, 1)];
/// Of the datagrams that were due: what delivers less is no comparison.
const DELIVERED_MIN: f64 = 0.99;
const SEED: u64 = 1;

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// Our whole node.
    All,
    /// Our medium and MAC, with static routes above.
    Mac,
}

impl Layers {
    fn named(name: &str) -> Option<Self> {
        [Self::All, Self::Mac].into_iter().find(|layers| layers.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mac => "mac",
        }
    }

    fn play(self, nodes: usize) -> Outcome {
        match self {
            Self::All => Run::new(nodes, SEED, mesh::Station::new).finish(),
            Self::Mac => Run::new(nodes, SEED, |id, _| air::Forwarder::new(id)).finish(),
        }
    }
}

/// What a run's process tells: one line of JSON, ns-3's program the same.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Told {
    processor_seconds: f64,
    /// The peak of its memory, less what it had before there was a node.
    octets: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// All sizes, one after the other; `ns3` is the peer's program.
pub(crate) fn compare(ns3: &str, file: &Path) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|fault| fault.to_string())?.display().to_string();
    let mut report = Report { sim: Vec::new() };
    let mut smallest = None;
    for (nodes, rounds) in SIZES {
        let each = nodes.to_string();
        let ns3 = shortest(rounds, &[ns3, &each])?;
        let ours = shortest(rounds, &[&own, "blocks", Layers::All.name(), &each])?;
        let mac = shortest(rounds, &[&own, "blocks", Layers::Mac.name(), &each])?;
        let row = Row::new(nodes, ours, ns3, mac, *smallest.get_or_insert((nodes, ours, ns3)));
        eprintln!("{nodes} nodes: {:.0} times ns-3", row.ratio);
        report.sim.push(row);
    }
    print!("{report}");
    let json = serde_json::to_string_pretty(&report).map_err(|fault| fault.to_string())?;
    fs::write(file, json + "\n").map_err(|fault| format!("{}: {fault}", file.display()))
}

/// The shortest of several rounds: what somebody else's work took is in none of it.
fn shortest(rounds: u32, command: &[&str]) -> Result<Told, String> {
    let told = (0..rounds).map(|_| once(command)).collect::<Result<Vec<Told>, String>>()?;
    let by_time = |a: &Told, b: &Told| a.processor_seconds.total_cmp(&b.processor_seconds);
    told.into_iter().min_by(by_time).ok_or_else(|| "no round".into())
}

fn once(command: &[&str]) -> Result<Told, String> {
    let output = run_to_end(Command::new(command[0]).args(&command[1..]))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Told = serde_json::from_str(&text)
        .map_err(|fault| format!("{command:?} tells {text}: {fault}"))?;
    let Outcome { due, delivered, .. } = told.outcome;
    if (delivered as f64) < DELIVERED_MIN * due as f64 {
        return Err(format!("{command:?} delivered {delivered} of {due}: no comparison"));
    }
    Ok(told)
}

/// One run of ours, for [`once`].
pub(crate) fn blocks(layers: &str, nodes: &str) -> Result<(), String> {
    let layers = Layers::named(layers).ok_or_else(|| format!("{layers}: no layers"))?;
    let nodes: usize = nodes.parse().map_err(|_| format!("{nodes}: no number"))?;
    if nodes == 0 || !nodes.is_multiple_of(BLOCK) {
        return Err(format!("{nodes}: no multiple of {BLOCK}"));
    }
    let before = peak_octets()?;
    let outcome = layers.play(nodes);
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let processor_seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    let octets = peak_octets()? - before;
    let told = Told { processor_seconds, octets, outcome };
    println!("{}", serde_json::to_string(&told).map_err(|fault| fault.to_string())?);
    Ok(())
}

/// Of this process's memory.
fn peak_octets() -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|fault| fault.to_string())?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    let kib: Option<u64> = peak.and_then(|kib| kib.trim().parse().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| "the kernel tells no peak of memory".into())
}

/// Virtual seconds of all nodes together that a processor second plays.
fn speed(nodes: usize, told: &Told) -> f64 {
    nodes as f64 * END.as_micros() as f64 / 1e6 / told.processor_seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_deliver_over_the_shortest_way() {
        for layers in [Layers::All, Layers::Mac] {
            let outcome = layers.play(2 * BLOCK);
            assert_eq!(outcome.due, 2 * 24 * 53);
            assert_eq!(outcome.delivered, outcome.due, "{layers:?}");
            assert!((4.16..4.18).contains(&outcome.hops), "{layers:?}: {}", outcome.hops);
            assert_eq!(outcome, layers.play(2 * BLOCK));
            assert_eq!(Layers::named(layers.name()), Some(layers));
        }
    }

    #[test]
    fn who_delivers_little_is_no_comparison() {
        let told = |delivered| {
            format!(
                "{{\"processor_seconds\":1.5,\"octets\":9,\"due\":1000,\"delivered\":{delivered},\"hops\":4.2}}"
            )
        };
        assert_eq!(once(&["echo", &told(990)]).map(|told| told.octets), Ok(9));
        assert!(once(&["echo", &told(989)]).is_err_and(|why| why.contains("989 of 1000")));
        assert!(once(&["echo", "nothing"]).is_err());
        assert!(once(&["false"]).is_err());
    }
}
