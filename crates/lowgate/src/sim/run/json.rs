//! `--json`: what came of every run, for programs.
//!
//! **Invariant:** the same scenario and seeds give the same octets: nothing of the machine is in it.

use super::pool::Ended;
use super::tell::Teller;
use lowgate_sim::scenario::Count;
use serde::Serialize;
use std::io;

/// The file.
#[derive(Serialize)]
struct Results {
    /// What people call the scenario.
    scenario: String,
    /// Its file, as on the command line.
    file: String,
    /// Whether every run is good.
    good: bool,
    /// In the order of the seeds.
    runs: Vec<Run>,
}

/// What came of one run.
#[derive(Serialize)]
struct Run {
    /// What decided it.
    seed: u64,
    /// No finding, no failure, no bug.
    good: bool,
    /// What a bug said when it ended the run; then nothing else is known.
    bug: Option<String>,
    /// The end, in microseconds of virtual time.
    ended_us: Option<u64>,
    /// What the checkers found.
    findings: Vec<Finding>,
    /// Expectations that did not hold.
    failures: Vec<Failure>,
    /// What was counted.
    figures: Option<Figures>,
}

/// Something that must never happen, and did.
#[derive(Serialize)]
struct Finding {
    /// When, in microseconds of virtual time.
    at_us: u64,
    /// What, in words.
    what: String,
}

/// An expectation that did not hold.
#[derive(Serialize)]
struct Failure {
    /// When it was looked at, in microseconds of virtual time.
    at_us: u64,
    /// Its line in the file.
    line: usize,
    /// What was expected, in words.
    expected: String,
    /// What was seen, in words.
    saw: String,
}

/// So many of so many.
#[derive(Serialize)]
struct Of {
    done: u64,
    of: u64,
}

impl From<Count> for Of {
    fn from(Count { done, of }: Count) -> Self {
        Self { done, of }
    }
}

/// What was counted.
#[derive(Serialize)]
struct Figures {
    /// Devices that joined, of those that were installed.
    joined: Of,
    /// From power to a working address, in microseconds; in the order of the stations that joined.
    joins_us: Vec<u64>,
    /// The longest way to the border router.
    hops_max: u8,
    /// Group commands that were obeyed, counted once for each light that should.
    commands: Of,
    /// Pings that were answered.
    pings: Of,
    /// Reads that were answered.
    reads: Of,
    /// What the manager was asked and refused, in words.
    refused: Vec<String>,
    /// Frames on the air, acknowledgements included.
    frames: u64,
}

/// The file.
///
/// # Errors
/// None that anybody has seen.
pub(super) fn emit(teller: &Teller<'_>, all: &[Ended]) -> io::Result<String> {
    let results = Results {
        scenario: teller.read.scenario.name.clone(),
        file: teller.file.display().to_string(),
        good: all.iter().all(Ended::is_good),
        runs: all.iter().map(|ended| run(teller, ended)).collect(),
    };
    let text = serde_json::to_string_pretty(&results).map_err(io::Error::other)?;
    Ok(text + "\n")
}

fn run(teller: &Teller<'_>, ended: &Ended) -> Run {
    let outcome = ended.outcome.as_ref();
    let findings = outcome
        .iter()
        .flat_map(|it| &it.findings)
        .map(|finding| Finding { at_us: finding.at.as_micros(), what: teller.finding(finding) });
    let failures = outcome.iter().flat_map(|it| &it.failures).map(|failure| Failure {
        at_us: failure.at.as_micros(),
        line: teller.line(failure),
        expected: teller.expectation(failure),
        saw: failure.saw.clone(),
    });
    let figures = outcome.ok().map(|it| &it.figures).map(|figures| Figures {
        joined: figures.joined.into(),
        joins_us: figures.joins.iter().map(|took| took.as_micros() as u64).collect(),
        hops_max: figures.hops_max,
        commands: figures.commands.into(),
        pings: figures.pings.into(),
        reads: figures.reads.into(),
        refused: figures.refused.clone(),
        frames: figures.frames,
    });
    Run {
        seed: ended.seed,
        good: ended.is_good(),
        bug: outcome.err().cloned(),
        ended_us: outcome.ok().map(|it| it.ended.as_micros()),
        findings: findings.collect(),
        failures: failures.collect(),
        figures,
    }
}
