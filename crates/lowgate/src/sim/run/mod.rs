//! `lowgate sim run`: a scenario with one seed or many, and what came of it.
//!
//! The exit code is 0 when everything held and no checker found anything, 1 when not, 2 when the input
//! cannot be used.
//!
//! **Invariant:** what is printed and what `--json` writes is decided by scenario and seeds: in the order of
//! the seeds, whatever the number of jobs.

mod json;
mod junit;
mod pool;
mod seeds;
mod tell;

use super::file::{self, Read};
use crate::demo;
use lowgate_sim::scenario::RunOptions as RunKeeps;
use lowgate_sim::world::World;
use pool::Pool;
use seeds::{Seeds, Shard};
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use tell::Teller;

/// Exit code for input that cannot be used.
const UNUSABLE_INPUT: u8 = 2;

/// What `lowgate sim run` is asked to do.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// The scenario (TOML)
    file: PathBuf,
    /// The seed, which repeats a run octet by octet; or from one to another, both included
    #[arg(long, value_name = "N|A..B", default_value = "1")]
    seed: Seeds,
    /// How many runs at a time; as many as there are processors unless told otherwise
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Only the I-th of N equal parts of the seeds
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// Write what came of every run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a test report, each seed a case of it
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write every frame and every packet of the backbone with the DTLS secrets (pcapng); of one seed
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Write all keys for Wireshark and `lowgate decode`
    #[arg(long, value_name = "DIR", requires = "pcap")]
    keys: Option<PathBuf>,
}

/// Runs the scenario with each of the seeds.
pub fn run(options: &RunOptions, command_line: &str, out: &mut dyn Write) -> ExitCode {
    let (read, files) = match begin(options) {
        Ok(begun) => begun,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            return ExitCode::from(UNUSABLE_INPUT);
        }
    };
    match perform(options, &read, files, command_line, out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("lowgate sim run: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Files that are written when all is over, open before anything runs: a wrong path costs no time.
struct Files {
    json: Option<File>,
    junit: Option<File>,
    pcap: Option<File>,
}

/// Everything that can be wrong with the input, at once.
fn begin(options: &RunOptions) -> Result<(Read, Files), Vec<String>> {
    let mut faults = Vec::new();
    let seeds = seeds(options).len();
    if options.pcap.is_some() && seeds != 1 {
        faults.push(format!(
            "--pcap: a capture is of one run, and these are {seeds}; allowed: --seed with one number"
        ));
    }
    let read = file::read(&options.file);
    let read = read.map_err(|wrong| faults.extend(wrong.iter().map(ToString::to_string)));
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut create = |path: &Option<PathBuf>| {
        let path = path.as_deref()?;
        File::create(path).map_err(|e| faults.push(format!("{}: {e}", path.display()))).ok()
    };
    let (json, junit) = (create(&options.json), create(&options.junit));
    let files = Files { json, junit, pcap: create(&options.pcap) };
    match read {
        Ok(read) if faults.is_empty() => Ok((read, files)),
        Ok(_) | Err(()) => Err(faults),
    }
}

fn seeds(options: &RunOptions) -> Vec<u64> {
    options.shard.of(&options.seed)
}

/// Whether everything held in every run.
fn perform(
    options: &RunOptions,
    read: &Read,
    files: Files,
    command_line: &str,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let seeds = seeds(options);
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = options.jobs.map_or(processors, NonZeroUsize::get);
    let keys_told = Mutex::new(Vec::new());
    let at_end = |world: &World| {
        let (Some(file), Some(path)) = (&files.pcap, &options.pcap) else { return };
        write_capture(world, file, path, command_line);
        let Some(dir) = &options.keys else { return };
        let mut told = keys_told.lock().expect("one run has a capture");
        if let Err(fault) = demo::write_keys(world, dir, Some(path), &mut *told) {
            eprintln!("lowgate sim run: {}: {fault}", dir.display());
        }
    };
    let mut keep = RunKeeps::default();
    if files.pcap.is_some() {
        keep.capture = true;
    }
    let teller = Teller { read, file: &options.file };
    let mut all = Vec::new();
    Pool::new(&read.scenario, keep, &seeds, &at_end).perform(jobs, |ended| {
        teller.one(&ended, out)?;
        all.push(ended);
        Ok(())
    })?;
    let good = all.iter().filter(|ended| ended.is_good()).count();
    writeln!(out, "{good} of {} runs good", all.len())?;
    out.write_all(&keys_told.lock().expect("all runs are over"))?;
    if let (Some(mut file), Some(path)) = (files.json, &options.json) {
        write(path, &mut file, &json::emit(&teller, &all)?)?;
    }
    if let (Some(mut file), Some(path)) = (files.junit, &options.junit) {
        write(path, &mut file, &junit::emit(&teller, &all))?;
    }
    Ok(good == all.len())
}

/// A disk that is full ends the capture, not the run.
fn write_capture(world: &World, mut file: &File, path: &Path, command_line: &str) {
    let (capture, path) = (world.capture(), path.display());
    if let Err(fault) = file.write_all(&capture.emit(command_line)) {
        eprintln!("{path}: the capture ends early: {fault}");
    } else if capture.left_out() > 0 {
        eprintln!("{path}: the capture ends early: {} packets found no room", capture.left_out());
    }
}

fn write(path: &Path, file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())
        .map_err(|fault| io::Error::new(fault.kind(), format!("{}: {fault}", path.display())))
}
