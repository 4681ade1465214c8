//! `lowgate sim swarm` and `lowgate sim minimize`: runs of which a seed decides all, many at a time, and a
//! failing one made as small as it can be.
//!
//! **Invariant:** what is written to the standard output depends on the seeds alone, not on how many run at
//! a time or how fast.

mod table;

use lowgate_sim::check::Fault;
use lowgate_sim::scenario::{self, Complaint, Outcome, Run, RunOptions, Scenario};
use lowgate_sim::world::Happening;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::mem::{Discriminant, discriminant};
use std::num::{NonZeroU64, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

#[cfg(test)]
mod tests;

/// What `lowgate sim swarm` is asked to do.
#[derive(Clone, Debug, clap::Args)]
pub struct SwarmOptions {
    /// How many seeds
    #[arg(long, default_value = "1000")]
    runs: NonZeroU64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many run at a time [default: as many as there are cores]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Of a single run, show all that happens
    #[arg(long)]
    events: bool,
}

/// What `lowgate sim minimize` is asked to do.
#[derive(Clone, Debug, clap::Args)]
pub struct MinimizeOptions {
    /// Of a run of the swarm that fails
    #[arg(long)]
    seed: u64,
    /// Show all that happens in the smallest run
    #[arg(long)]
    events: bool,
}

/// Where scenarios come from.
type Draw = fn(u64) -> Scenario;

/// What came of a seed.
enum Ran {
    /// To the end.
    Through(Box<Outcome>),
    /// A bug was asserted.
    Panicked(String),
}

/// In which way a run fails.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Complaint(Complaint),
    Panic,
}

impl Ran {
    fn of(scenario: &Scenario, seed: u64) -> Self {
        let run = || Run::new(scenario, seed, RunOptions::default()).perform();
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(outcome) => Self::Through(Box::new(outcome)),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let literal = || payload.downcast_ref::<&str>().map(ToString::to_string);
                Self::Panicked(text.or_else(literal).unwrap_or_else(|| "without a word".into()))
            }
        }
    }

    /// A line for all that happens.
    fn told(scenario: &Scenario, seed: u64, out: &mut dyn Write) -> io::Result<()> {
        let mut run = Run::new(scenario, seed, RunOptions { tell: true, ..RunOptions::default() });
        while run.go_on() {
            for Happening { at, what } in run.take_told() {
                writeln!(out, "  {:>11.6} s  {what:?}", at.as_secs_f64())?;
            }
        }
        Ok(())
    }

    fn ways(&self) -> Vec<Way> {
        match self {
            Self::Through(outcome) => {
                outcome.complaints().into_iter().map(Way::Complaint).collect()
            }
            Self::Panicked(_) => vec![Way::Panic],
        }
    }

    fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Panicked(what) => writeln!(out, "  panicked: {what}"),
            Self::Through(outcome) => {
                let mut told: Vec<Discriminant<Fault>> = Vec::new();
                for finding in &outcome.findings {
                    let kind = discriminant(&finding.fault);
                    if !told.contains(&kind) {
                        told.push(kind);
                        writeln!(out, "  found at {finding}")?;
                    }
                }
                if outcome.findings.len() > told.len() {
                    writeln!(out, "  and {} more", outcome.findings.len() - told.len())?;
                }
                for failure in &outcome.failures {
                    writeln!(out, "  not as expected at {failure}")?;
                }
                Ok(())
            }
        }
    }
}

/// Runs all seeds; fails when anything was found.
pub fn swarm(options: &SwarmOptions, out: &mut dyn Write) -> ExitCode {
    match swarm_told(options, Scenario::drawn, out) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => not_written(&fault),
    }
}

fn not_written(fault: &io::Error) -> ExitCode {
    eprintln!("not written: {fault}");
    ExitCode::from(2)
}

/// How many failed.
fn swarm_told(options: &SwarmOptions, draw: Draw, out: &mut dyn Write) -> io::Result<u64> {
    if options.runs.get() == 1 {
        let scenario = draw(options.seed);
        write!(out, "{}", table::of(&scenario))?;
        if options.events {
            Ran::told(&scenario, options.seed, out)?;
        }
    }
    let mut tally = Tally::begin(options.runs.get());
    for_each_seed(options, draw, |seed, nodes, ran| tally.take(seed, nodes, &ran, out))?;
    writeln!(out, "{} runs, {} failed", tally.done, tally.failed)?;
    tally.end();
    Ok(tally.failed)
}

/// Runs the seeds, several at a time; each is taken in the order of the seeds, with its stations.
fn for_each_seed(
    options: &SwarmOptions,
    draw: Draw,
    mut take: impl FnMut(u64, u32, Ran) -> io::Result<()>,
) -> io::Result<()> {
    let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = options.jobs.map_or_else(cores, NonZeroUsize::get);
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let (give, results) = mpsc::channel();
        for _ in 0..jobs {
            let (give, next) = (give.clone(), &next);
            scope.spawn(move || {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= options.runs.get() {
                        return;
                    }
                    let seed = options.seed.wrapping_add(nth);
                    let scenario = draw(seed);
                    let ran = Ran::of(&scenario, seed);
                    if give.send((nth, seed, scenario.honest(), ran)).is_err() {
                        return; // nobody wants to know any more
                    }
                }
            });
        }
        drop(give);
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (nth, seed, nodes, ran) in results {
            early.insert(nth, (seed, nodes, ran));
            while let Some((seed, nodes, ran)) = early.remove(&due) {
                due += 1;
                take(seed, nodes, ran)?;
            }
        }
        Ok(())
    })
}

/// What is counted over all runs.
struct Tally {
    runs: u64,
    done: u64,
    failed: u64,
    /// Virtual time times nodes.
    node_seconds: f64,
    began: Instant,
}

impl Tally {
    fn begin(runs: u64) -> Self {
        Self { runs, done: 0, failed: 0, node_seconds: 0.0, began: Instant::now() }
    }

    fn take(&mut self, seed: u64, nodes: u32, ran: &Ran, out: &mut dyn Write) -> io::Result<()> {
        self.done += 1;
        if let Ran::Through(outcome) = ran {
            self.node_seconds += outcome.ended.as_secs_f64() * f64::from(nodes);
        }
        if !ran.ways().is_empty() {
            self.failed += 1;
            writeln!(out, "seed {seed} failed; again: lowgate sim swarm --seed {seed} --runs 1")?;
            ran.tell(out)?;
            out.flush()?;
        }
        if io::stderr().is_terminal() {
            eprint!("\r{} of {} runs, {} failed", self.done, self.runs, self.failed);
        }
        Ok(())
    }

    fn end(&self) {
        let took = self.began.elapsed().as_secs_f64();
        let (done, node_seconds) = (self.done as f64, self.node_seconds);
        let line_break = if io::stderr().is_terminal() { "\n" } else { "" };
        eprintln!(
            "{line_break}{took:.1} s: {:.2} runs a second, {:.0} node-seconds a second",
            done / took,
            node_seconds / took
        );
    }
}

/// Makes a failing run small and shows what is left of it.
pub fn minimize(options: &MinimizeOptions, out: &mut dyn Write) -> ExitCode {
    match minimize_told(options, out) {
        Ok(code) => code,
        Err(fault) => not_written(&fault),
    }
}

fn minimize_told(options: &MinimizeOptions, out: &mut dyn Write) -> io::Result<ExitCode> {
    let seed = options.seed;
    let drawn = Scenario::drawn(seed);
    let ways = Ran::of(&drawn, seed).ways();
    if ways.is_empty() {
        writeln!(out, "seed {seed} does not fail")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut tries = 0;
    let smallest = scenario::minimize(&drawn, |tried| {
        tries += 1;
        let fails = Ran::of(tried, seed).ways().iter().any(|way| ways.contains(way));
        if io::stderr().is_terminal() {
            eprint!("\r{tries} tries");
        }
        fails
    });
    // What writes a scenario as a file would write `smallest` here.
    write!(out, "{}", table::of(&smallest))?;
    if options.events {
        Ran::told(&smallest, seed, out)?;
    }
    writeln!(out, "seed {seed}, after {tries} tries:")?;
    Ran::of(&smallest, seed).tell(out)?;
    Ok(ExitCode::FAILURE)
}
