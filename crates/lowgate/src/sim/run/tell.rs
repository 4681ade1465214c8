//! What came of a run, in words.

use super::pool::Ended;
use crate::sim::file::{self, Read};
use lowgate_sim::check::Finding;
use lowgate_sim::medium::StationId;
use lowgate_sim::scenario::{Failure, Figures};
use lowgate_units::Duration;
use std::io::{self, Write};
use std::path::Path;

/// Knows the scenario and its file.
pub(super) struct Teller<'r> {
    pub(super) read: &'r Read,
    pub(super) file: &'r Path,
}

impl Teller<'_> {
    /// A line, and all that is wrong.
    pub(super) fn one(&self, ended: &Ended, out: &mut dyn Write) -> io::Result<()> {
        let verdict = if ended.is_good() { "good" } else { "FAILED" };
        let figures = ended.outcome.as_ref().map(|outcome| figures(&outcome.figures));
        let figures = figures.unwrap_or_else(|_| "a bug ended it".into());
        writeln!(out, "seed {}: {verdict}: {figures}", ended.seed)?;
        self.wrong(ended).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        if !ended.is_good() {
            writeln!(out, "  again: {}", self.again(ended.seed))?;
        }
        Ok(())
    }

    /// What did not hold, what was found, what a bug said: a line each.
    pub(super) fn wrong(&self, ended: &Ended) -> Vec<String> {
        match &ended.outcome {
            Ok(outcome) => {
                let findings = outcome.findings.iter();
                let findings =
                    findings.map(|it| format!("found at {}: {}", it.at, self.finding(it)));
                let failures = outcome.failures.iter().map(|it| self.failure(it));
                findings.chain(failures).collect()
            }
            Err(said) => vec![format!("bug: {}", said.replace('\n', " "))],
        }
    }

    fn failure(&self, failure: &Failure) -> String {
        let (line, what) = (self.line(failure), self.expectation(failure));
        let (file, at) = (self.file.display(), failure.at);
        format!("{file}:{line}: expected {what}; at {at}: {}", failure.saw)
    }

    /// On which line the expectation stands.
    pub(super) fn line(&self, failure: &Failure) -> usize {
        self.read.expectation_lines[failure.expectation]
    }

    /// What was expected.
    pub(super) fn expectation(&self, failure: &Failure) -> String {
        let scenario = &self.read.scenario;
        file::in_words(scenario, &scenario.expectations[failure.expectation])
    }

    /// What was found: the name of the fault, and of whom and what.
    pub(super) fn finding(&self, finding: &Finding) -> String {
        let text = format!("{:?}", finding.fault);
        let (name, of) = text.split_once(" {").unwrap_or((&text, ""));
        let mut words = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.extend(c.to_lowercase());
        }
        let of = of.trim_end_matches('}').trim();
        if of.is_empty() { words } else { format!("{words}: {}", self.named(of)) }
    }

    /// With their EUI-64s instead of the numbers of stations.
    fn named(&self, text: &str) -> String {
        const STATION: &str = "StationId(";
        let mut named = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(STATION) {
            let (number, after) = after.split_once(')').unwrap_or((after, ""));
            named += before;
            named += &number.parse().map_or(number.to_owned(), |it| self.eui64(StationId(it)));
            rest = after;
        }
        named + rest
    }

    fn eui64(&self, station: StationId) -> String {
        let eui64 = file::eui64(&self.read.scenario, station);
        eui64.map_or_else(|| format!("station {}", station.0), |eui64| eui64.to_string())
    }

    /// What repeats a run.
    pub(super) fn again(&self, seed: u64) -> String {
        format!("lowgate sim run {} --seed {seed}", for_a_shell(&self.file.display().to_string()))
    }
}

fn figures(figures: &Figures) -> String {
    let mut text = format!("{} joined", figures.joined);
    let mut joins = figures.joins.clone();
    joins.sort_unstable();
    if let Some(median) = joins.get(joins.len() / 2) {
        text += &format!(", half of them within {}", secs(*median));
    }
    for (what, count) in
        [("commands", figures.commands), ("pings", figures.pings), ("reads", figures.reads)]
    {
        if count.of > 0 {
            text += &format!("; {what} {count}");
        }
    }
    match figures.refused.len() {
        0 => {}
        refused => text += &format!("; {refused} requests refused"),
    }
    text + &format!("; {} hops; {} frames", figures.hops_max, figures.frames)
}

fn secs(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// As a shell takes it for one word.
fn for_a_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-+=:,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_path_for_one_word() {
        assert_eq!(for_a_shell("tests/a-b.toml"), "tests/a-b.toml");
        assert_eq!(for_a_shell("a b"), "'a b'");
        assert_eq!(for_a_shell("it's"), "'it'\\''s'");
    }
}
