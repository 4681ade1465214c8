//! What the border router's work costs, what keys do and what a DTLS server does, and how fast the simulator is, against who else does
//! such work, in the same run. `cargo xtask bench` builds it, sees to the programs that it needs, and runs it.
//!
//! **Invariant:** a figure is of a real core or of a real peer; what nothing here can measure is `null`.

mod ccm;
mod counter;
mod dtls;
mod kernel;
mod keys;
mod report;
mod rig;
mod rounds;
mod sim;
mod traffic;

use ccm::Case;
use counter::{callgrind_each, run};
use kernel::{Forwarding, Wires};
use report::{Ccm, Cost, Flood, Forward, Report, Way};
use rig::Rig;
use rounds::shortest;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use traffic::{Came, Edge, Load};

const USAGE: &str = "lowgate-bench forward --json FILE, keys --json FILE, sim --ns3 PROGRAM --json FILE, or dtls --peers FOLDER [--only SERVER] --json FILE";

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    /// Datagrams in a round.
    datagrams: usize,
    frames: usize,
    kernel_datagrams: usize,
    rounds: usize,
}

const FULL: Effort = Effort { datagrams: 200, frames: 5_000, kernel_datagrams: 2_000, rounds: 20 };

const FORWARDED: [(Way, usize); 4] =
    [(Way::Inward, 64), (Way::Inward, 1232), (Way::Outward, 64), (Way::Outward, 1232)];

const FLOODS: [(&str, Load); 4] = [
    ("not allowed", Load::NotAllowed),
    ("CoAP, one source", Load::OneSource),
    ("CoAP, each from another source", Load::ManySources),
    ("in the manager's name", Load::AsManager),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["forward", "--json", file] => forward(Path::new(file)),
        ["keys", "--json", file] => own().and_then(|own| keys::measure(&own, Path::new(file))),
        ["sim", "--ns3", program, "--json", file] => sim::compare(program, Path::new(file)),
        ["dtls", "--peers", peers, "--json", file] => {
            dtls::compare(Path::new(peers), None, Path::new(file))
        }
        ["dtls", "--peers", peers, "--only", server, "--json", file] => {
            dtls::compare(Path::new(peers), Some(server), Path::new(file))
        }
        // What it runs of itself, under others' eyes.
        ["load", name, prepared, count] => load(name, prepared, count),
        ["key", name, prepared, count] => key(name, prepared, count),
        ["ccm", name, count] => frames(name, count),
        ["send", to, octets, count, rounds] => send(to, octets, count, rounds),
        ["blocks", layers, nodes] => sim::blocks(layers, nodes),
        ["dtls-serve", task] => dtls::serve(task),
        ["sink"] => kernel::sink().map_err(|fault| fault.to_string()),
        _ => Err(format!("usage: {USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn own() -> Result<String, String> {
    Ok(std::env::current_exe().map_err(|fault| fault.to_string())?.display().to_string())
}

fn forward(file: &Path) -> Result<(), String> {
    let own = own()?;
    let report = Report {
        forward: forwarded(&own, FULL)?,
        flood: floods(&own, FULL)?,
        ccm: sealed(&own, FULL)?,
    };
    print!("{report}");
    let json = serde_json::to_string_pretty(&report).map_err(|fault| fault.to_string())?;
    fs::write(file, json + "\n").map_err(|fault| format!("{}: {fault}", file.display()))
}

fn forwarded(own: &str, effort: Effort) -> Result<Vec<Forward>, String> {
    let wires = Wires::lay()?;
    FORWARDED
        .iter()
        .map(|&(way, payload_octets)| {
            let (ours, came) = measured(own, forwarding(way, payload_octets), effort)?;
            let (count, rounds) = (effort.kernel_datagrams, effort.rounds);
            let Forwarding { micros, instructions } =
                wires.forwarding(payload_octets, count, rounds)?;
            let kernel = Cost { micros, instructions };
            let frames = match way {
                Way::Inward => came.frames / effort.datagrams,
                Way::Outward => Rig::new().upward(1, payload_octets)[0].len(),
            };
            let ratio = ours.micros / kernel.micros;
            Ok(Forward { way, payload_octets, frames, ours, kernel, ratio })
        })
        .collect()
}

const fn forwarding(way: Way, payload_octets: usize) -> Load {
    match way {
        Way::Inward => Load::Inward { payload_octets },
        Way::Outward => Load::Outward { payload_octets },
    }
}

fn floods(own: &str, effort: Effort) -> Result<Vec<Flood>, String> {
    FLOODS
        .iter()
        .map(|&(kind, load)| {
            let effort = Effort { datagrams: 25 * effort.datagrams, ..effort };
            let (ours, _) = measured(own, load, effort)?;
            // 10 000 a second, and per cent of a million microseconds.
            Ok(Flood { kind: kind.into(), ours, load_percent: ours.micros })
        })
        .collect()
}

/// A datagram's cost, and what came of all of a round.
fn measured(own: &str, load: Load, effort: Effort) -> Result<(Cost, Came), String> {
    let count = effort.datagrams;
    let (micros, came) = timed(load, effort);
    let instructions = callgrind_each(count / 2, |half| {
        [own, "load", &load.name(), &count.to_string(), &half.to_string()].map(Into::into).to_vec()
    })?;
    Ok((Cost { micros, instructions: Some(instructions) }, came))
}

fn timed(load: Load, effort: Effort) -> (f64, Came) {
    let mut came = Came::default();
    let micros = shortest(effort.rounds, || {
        let mut rig = Rig::new();
        let traffic = load.prepare(&rig, effort.datagrams);
        let (mut began, mut took) = (Instant::now(), Duration::ZERO);
        came = traffic.send(&mut rig, effort.datagrams, |edge| match edge {
            Edge::Before => began = Instant::now(),
            Edge::After => took += began.elapsed(),
        });
        took.as_secs_f64() * 1e6 / effort.datagrams as f64
    });
    (micros, came)
}

fn sealed(own: &str, effort: Effort) -> Result<Vec<Ccm>, String> {
    let folder = tempfile::tempdir().map_err(|fault| fault.to_string())?;
    let (source, peer) = (folder.path().join("ccm.c"), folder.path().join("ccm"));
    fs::write(&source, include_str!("ccm.c")).map_err(|fault| fault.to_string())?;
    run(Command::new("cc").args(["-O2", "-o"]).args([&peer, &source]).arg("-lcrypto"))?;
    let peer = peer.display().to_string();
    let openssl = |case: Case, key: &str| -> Result<Cost, String> {
        let output =
            run(Command::new(&peer).args(case.arguments(key, effort.frames, effort.rounds)))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let nanos: f64 =
            text.trim().parse().map_err(|_| format!("OpenSSL's program says: {text}"))?;
        let instructions = callgrind_each(effort.frames, |count| {
            [vec![peer.clone()], case.arguments(key, count, 1)].concat()
        })?;
        Ok(Cost { micros: nanos / 1e3, instructions: Some(instructions) })
    };
    Case::ALL
        .iter()
        .map(|&case| {
            let instructions = callgrind_each(effort.frames, |count| {
                [own, "ccm", &case.name(), &count.to_string()].map(Into::into).to_vec()
            })?;
            let micros = case.nanos(effort.frames, effort.rounds) / 1e3;
            let ours = Cost { micros, instructions: Some(instructions) };
            let (openssl, openssl_key_kept) = (openssl(case, "given")?, openssl(case, "kept")?);
            let ratio = micros / openssl_key_kept.micros;
            let Case { direction, level } = case;
            Ok(Ccm { direction, level, ours, openssl, openssl_key_kept, ratio })
        })
        .collect()
}

fn load(name: &str, prepared: &str, count: &str) -> Result<(), String> {
    let load = Load::named(name).ok_or_else(|| format!("{name}: no load"))?;
    let mut rig = Rig::new();
    let traffic = load.prepare(&rig, number(prepared)?);
    traffic.send(&mut rig, number(count)?, |_| {});
    Ok(())
}

fn key(name: &str, prepared: &str, count: &str) -> Result<(), String> {
    keys::run(name, number(prepared)?, number(count)?)
}

fn frames(name: &str, count: &str) -> Result<(), String> {
    let case = Case::named(name).ok_or_else(|| format!("{name}: no case"))?;
    case.run(number(count)?);
    Ok(())
}

fn send(to: &str, octets: &str, count: &str, rounds: &str) -> Result<(), String> {
    let to = to.parse().map_err(|_| format!("{to}: no address"))?;
    let nanos = kernel::send(to, number(octets)?, number(count)?, number(rounds)?);
    println!("{:.1}", nanos.map_err(|fault| fault.to_string())?);
    Ok(())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text}: no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const LITTLE: Effort = Effort { datagrams: 4, frames: 4, kernel_datagrams: 0, rounds: 1 };

    #[test]
    fn datagrams_come_through_each_way() {
        for (way, octets) in FORWARDED {
            let (micros, came) = timed(forwarding(way, octets), LITTLE);
            assert!(micros > 0.0);
            match way {
                Way::Inward => assert!(came.frames >= LITTLE.datagrams, "{came:?}"),
                Way::Outward => assert_eq!(came.packets, LITTLE.datagrams),
            }
        }
    }

    #[test]
    fn a_flood_is_kept_out() {
        let effort = Effort { datagrams: 10_000, ..LITTLE };
        for (kind, load) in FLOODS {
            let (_, came) = timed(load, effort);
            assert!(came.frames < effort.datagrams / 2, "{kind}: {came:?}");
        }
    }

    #[test]
    fn loads_and_cases_keep_their_names() {
        let forwarded = FORWARDED.map(|(way, octets)| forwarding(way, octets));
        for load in forwarded.into_iter().chain(FLOODS.map(|(_, load)| load)) {
            assert_eq!(Load::named(&load.name()), Some(load));
        }
        for case in Case::ALL {
            assert_eq!(Case::named(&case.name()), Some(case));
            assert!(case.nanos(LITTLE.frames, LITTLE.rounds) > 0.0);
        }
    }

    fn names(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_figures_have_names() {
        let cost = Cost { micros: 1.0, instructions: None };
        let Case { direction, level } = Case::ALL[0];
        let way = Way::Inward;
        let report = Report {
            forward: vec![Forward {
                way,
                payload_octets: 64,
                frames: 2,
                ours: cost,
                kernel: cost,
                ratio: 1.0,
            }],
            flood: vec![Flood { kind: "any".into(), ours: cost, load_percent: 1.0 }],
            ccm: vec![Ccm {
                direction,
                level,
                ours: cost,
                openssl: cost,
                openssl_key_kept: cost,
                ratio: 1.0,
            }],
        };
        let json = serde_json::to_value(&report).expect("a value");
        assert_eq!(names(&json), ["ccm", "flood", "forward"]);
        let row = &json["forward"][0];
        let wanted = ["frames", "kernel", "ours", "payload_octets", "ratio", "way"];
        assert_eq!(names(row), wanted);
        assert_eq!(row["ours"], json!({ "micros": 1.0, "instructions": null }));
        assert_eq!(names(&json["flood"][0]), ["kind", "load_percent", "ours"]);
        let wanted = ["direction", "level", "openssl", "openssl_key_kept", "ours", "ratio"];
        assert_eq!(names(&json["ccm"][0]), wanted);
        assert!(report.to_string().contains("building -> mesh,   64 octets"));
    }
}
