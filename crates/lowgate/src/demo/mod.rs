//! `lowgate demo`: a building from an empty database to a working, secured network, and what strangers,
//! replayers and revoked devices get from it.
//!
//! The demo plays, tells and reports; the world does everything else.

pub mod figures;
mod fill;
mod join_trace;
mod keys;
mod options;
mod play;
mod tell;

pub(crate) use keys::write as write_keys;
pub(crate) use options::mismatches;
pub use options::{Options, Site, load_site, probability, site};
pub use play::{Outcome, Play};

use crate::report;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Exit code for input that cannot be used.
const UNUSABLE_INPUT: u8 = 2;

/// Runs the demo and writes what was asked for. The exit code is 0 only if all of it worked.
pub fn run(options: &Options, command_line: &str, out: &mut dyn Write) -> ExitCode {
    let started = Instant::now();
    let site = match site(options) {
        Ok(site) => site,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            return ExitCode::from(UNUSABLE_INPUT);
        }
    };
    match play_and_write(options, site, command_line, started, out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("lowgate demo: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn play_and_write(
    options: &Options,
    site: Site,
    command_line: &str,
    started: Instant,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let mut play = Play::new(options, site)?;
    let mut outcome = play.perform(out)?;
    outcome.figures.wall_s = started.elapsed().as_secs_f64();
    let report = fill::report(&play, &outcome, command_line);
    write(&options.report, report::render(&report).as_bytes())?;
    writeln!(out, "\nReport: {}", options.report.display())?;
    if let Some(path) = &options.json {
        let mut json = serde_json::to_string_pretty(&outcome.figures).map_err(io::Error::other)?;
        json.push('\n');
        write(path, json.as_bytes())?;
        writeln!(out, "Figures: {}", path.display())?;
    }
    if let Some(path) = &options.pcap {
        write(path, &play.world().capture().emit(command_line))?;
        writeln!(out, "Capture: {}", path.display())?;
    }
    if let Some(dir) = &options.keys {
        play.write_keys(dir, options.pcap.as_deref(), out)?;
    }
    let held = outcome.checks.iter().all(|check| check.held);
    let verdict = if held { "All of it worked." } else { "Not all of it worked: see above." };
    writeln!(out, "\n{verdict} {:.1} s of real time.", started.elapsed().as_secs_f64())?;
    Ok(held)
}

fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    fs::write(path, octets)
        .map_err(|fault| io::Error::new(fault.kind(), format!("{}: {fault}", path.display())))
}
