//! `lowgate sim replay`: a daemon's journal once more, through the same machines, without time, network or
//! disk; what comes of each input is compared with what came of it then.
//!
//! **Invariant:** nothing leaves but lines for people.

use super::chance::Chance;
use super::config::Config;
use super::core::{Core, Wish};
use super::input::Input;
use super::journal::{Beginning, Ending, Entry, Outcome, Reader, Stop, read_key};
use super::origin::{self, Kept};
use super::outputs::{self, Outputs};
use clap::Args;
use lowgate_manager::Store;
use lowgate_store::SqliteStore;
use lowgate_units::Instant;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `lowgate sim replay` is asked to do.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The journal
    file: PathBuf,
    /// The key that it was sealed with
    #[arg(long, value_name = "KEYFILE")]
    key: PathBuf,
    /// Stop after so many inputs, and show the last of them with what came of it
    #[arg(long, value_name = "N")]
    until: Option<u64>,
}

/// 0 when all is the same, 1 when something differs, 2 when the journal cannot be read.
pub fn replay(options: &Options, out: &mut dyn Write) -> ExitCode {
    let file = options.file.display();
    let replayed = read_key(&options.key).and_then(|key| {
        let reader = Reader::open(&options.file, &key).map_err(|fault| format!("{file}: {fault}"));
        let mut replay = Replay::begin(reader?).map_err(|fault| format!("{file}: {fault}"))?;
        replay.run(options.until, out).map_err(|fault| format!("{file}: {fault}"))
    });
    match replayed {
        Ok(Verdict::Identical) => ExitCode::SUCCESS,
        Ok(Verdict::Differs) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Identical,
    Differs,
}

/// A journal under way through the machines.
struct Replay<R> {
    reader: Reader<R>,
    core: Core,
    outputs: Outputs,
    began: Instant,
    program: String,
    /// What the machines did with nothing but their beginning.
    first: Option<String>,
    inputs: u64,
    counted: u64,
}

impl<R: Read> Replay<R> {
    fn begin(mut reader: Reader<R>) -> Result<Self, String> {
        let beginning = match reader.next() {
            Ok(Entry::Begun(beginning)) => beginning,
            Ok(_) => return Err(UNKNOWN.into()),
            Err(stop) => return Err(stopped(&stop, 0)),
        };
        let outcome = match reader.next() {
            Ok(Entry::Came(outcome)) => outcome,
            Ok(_) => return Err(UNKNOWN.into()),
            Err(stop) => return Err(stopped(&stop, 0)),
        };
        let Beginning { at: began, program, config, domain, flash } = beginning;
        let config = Config::parse("its configuration", &config)?;
        let domain = domain.map(|image| SqliteStore::of_image(&image)?.load());
        let domain = domain.transpose().map_err(|fault| fault.to_string())?;
        let chance = Chance::Journal { left: outcome.entropy.clone(), more: 0 };
        let core = origin::core(began, &config, &Kept { domain, flash }, chance)?;
        let (outputs, first, inputs, counted) = (Outputs::default(), None, 0, 0);
        let mut replay = Self { reader, core, outputs, began, program, first, inputs, counted };
        replay.first = replay.difference(&outcome, &[]);
        Ok(replay)
    }

    fn run(&mut self, until: Option<u64>, out: &mut dyn Write) -> Result<Verdict, String> {
        let this = env!("CARGO_PKG_VERSION");
        if self.program != this {
            say(out, &format!("written by version {}, done again by {this}", self.program))?;
        }
        if let Some(difference) = self.first.take() {
            say(out, &format!("before the first input: {difference}"))?;
            return Ok(Verdict::Differs);
        }
        while until.is_none_or(|until| self.inputs < until) {
            match self.reader.next() {
                Ok(Entry::Fed { at, input }) => {
                    let last = until == Some(self.inputs + 1);
                    if self.step(at, input, last, out)? == Verdict::Differs {
                        return Ok(Verdict::Differs);
                    }
                }
                Ok(Entry::Ended(Ending::Closed)) => break,
                Ok(Entry::Ended(Ending::Full)) => {
                    say(out, "the journal had its largest size here")?;
                    break;
                }
                Ok(Entry::Begun(_) | Entry::Came(_)) => return Err(UNKNOWN.into()),
                Err(Stop::End) => {
                    say(out, "the daemon was killed here, or the rest of the file is torn off")?;
                    break;
                }
                Err(stop) => return Err(stopped(&stop, self.inputs)),
            }
        }
        say(out, &format!("{} inputs, {} outputs, identical", self.inputs, self.counted))?;
        Ok(Verdict::Identical)
    }

    /// Does one input again.
    fn step(
        &mut self,
        at: Instant,
        input: Input,
        shown: bool,
        out: &mut dyn Write,
    ) -> Result<Verdict, String> {
        let outcome = self.outcome()?;
        let (number, secs) = (self.inputs + 1, at.since(self.began).as_secs_f64());
        let entropy = outcome.as_ref().map(|outcome| outcome.entropy.clone()).unwrap_or_default();
        *self.core.chance() = Chance::Journal { left: entropy, more: 0 };
        let what = format!("input {number}, after {secs:.6} s: {}", input.line());
        self.core.handle(at, input);
        let (wishes, _) = self.core.drain(at);
        let Some(outcome) = outcome else {
            say(out, &format!("{what}\nwhat came of it then was not written; now:"))?;
            show(&wishes, out)?;
            return Ok(Verdict::Identical);
        };
        if let Some(difference) = self.difference(&outcome, &wishes) {
            say(out, &format!("{what}\n{difference}; now:"))?;
            show(&wishes, out)?;
            return Ok(Verdict::Differs);
        }
        self.inputs = number;
        self.counted += u64::from(outcome.outputs);
        if shown {
            say(out, &what)?;
            show(&wishes, out)?;
        } else {
            for wish in wishes.iter().filter(|wish| matches!(wish, Wish::Tell(_))) {
                say(out, &format!("{number:>8} {secs:>13.6} s  {}", outputs::line(wish)))?;
            }
        }
        Ok(Verdict::Identical)
    }

    /// What came of the input before; nothing if the daemon died within it, or had not written more.
    fn outcome(&mut self) -> Result<Option<Outcome>, String> {
        match self.reader.next() {
            Ok(Entry::Came(outcome)) => Ok(Some(outcome)),
            Ok(_) => Err(UNKNOWN.into()),
            Err(Stop::End) => Ok(None),
            Err(stop) => Err(stopped(&stop, self.inputs)),
        }
    }

    /// What differs between then and now.
    fn difference(&mut self, then: &Outcome, now: &[Wish]) -> Option<String> {
        let (count, digest) = self.outputs.note(now);
        let Chance::Journal { left, more } = self.core.chance() else { return None };
        if *more > 0 || !left.is_empty() {
            let drawn = then.entropy.len();
            let now = drawn - left.len() + *more;
            return Some(format!("{drawn} random octets were drawn then, {now} now"));
        }
        if count != then.outputs {
            return Some(format!("there were {} outputs then, {count} now", then.outputs));
        }
        (digest != then.digest).then(|| format!("its {count} outputs are others than then"))
    }
}

const UNKNOWN: &str = "entries in an order that this program does not write";

fn stopped(stop: &Stop, inputs: u64) -> String {
    match stop {
        Stop::End => "it ends before the daemon began".into(),
        Stop::Unknown => format!("an entry of another program's after input {inputs}"),
        Stop::Unreadable(fault) => format!("{fault}, after input {inputs}"),
    }
}

fn say(out: &mut dyn Write, line: &str) -> Result<(), String> {
    writeln!(out, "{line}").map_err(|fault| format!("nobody takes what is said of it: {fault}"))
}

fn show(wishes: &[Wish], out: &mut dyn Write) -> Result<(), String> {
    wishes.iter().try_for_each(|wish| say(out, &format!("  {}", outputs::line(wish))))
}

#[cfg(test)]
mod tests;
