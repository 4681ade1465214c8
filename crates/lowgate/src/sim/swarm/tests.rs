//! What the swarm says, whoever runs it and however many at a time.

use super::*;
use clap::FromArgMatches;
use lowgate_sim::scenario::{Disaster, Expectation, Trouble};

/// A building of two devices; with an odd seed nobody can be back in time.
fn small(seed: u64) -> Scenario {
    let second = std::time::Duration::from_secs(1);
    let mut scenario = Scenario::installed(2, seed, second, 60 * second).expect("two devices");
    if seed % 2 == 1 {
        let what = Trouble::Loss(1.0);
        let at = lowgate_units::Instant::from_secs(1);
        scenario.disasters = vec![Disaster { at, lasts: 30 * second, what }];
        scenario.expectations = vec![Expectation::Converged { within: second / 100 }];
    }
    scenario
}

fn told(jobs: usize) -> (u64, String) {
    told_of(&SwarmOptions {
        runs: NonZeroU64::new(6).expect("not 0"),
        seed: 10,
        jobs: NonZeroUsize::new(jobs),
        events: false,
    })
}

fn told_of(options: &SwarmOptions) -> (u64, String) {
    let mut out = Vec::new();
    let failed = swarm_told(options, small, &mut out).expect("a vector takes everything");
    (failed, String::from_utf8(out).expect("text"))
}

/// As the program understands a command line.
fn typed(command: &str) -> SwarmOptions {
    let matches = crate::cli::definition().get_matches_from(command.split(' '));
    let (_, sim) = matches.subcommand().expect("`sim`");
    let (name, swarm) = sim.subcommand().expect("`swarm`");
    assert_eq!(name, "swarm");
    SwarmOptions::from_arg_matches(swarm).expect("all that it takes")
}

#[test]
fn what_is_said_does_not_depend_on_the_jobs() {
    let (failed, text) = told(1);
    assert_eq!(failed, 3);
    assert!(text.ends_with("6 runs, 3 failed\n"), "{text}");
    for seed in [11, 13, 15] {
        let again =
            format!("seed {seed} failed; again: lowgate sim swarm --seed {seed} --runs 1\n");
        assert!(text.contains(&again), "{text}");
    }
    assert_eq!((failed, text), told(3));
}

#[test]
fn the_command_that_is_printed_finds_the_same() {
    let (_, text) = told(2);
    let lines: Vec<_> = text.lines().collect();
    let failed = lines.iter().position(|line| line.starts_with("seed 13 failed"));
    let failed = failed.expect("an odd seed fails");
    let (_, command) = lines[failed].split_once("again: ").expect("the command");
    let (count, again) = told_of(&typed(command));
    assert_eq!(count, 1);
    // The line that says so, and what was found.
    let is_found = |line: &&&str| line.starts_with("  ");
    let found = 1 + lines[failed + 1..].iter().take_while(is_found).count();
    assert!(found > 1, "{text}");
    let again: Vec<_> = again.lines().collect();
    let at = again.iter().position(|line| *line == lines[failed]).expect("it fails again");
    assert_eq!(again[at..at + found], lines[failed..failed + found]);
}

#[test]
fn a_bug_is_told_and_does_not_end_the_swarm() {
    let nowhere = |seed| {
        let mut scenario = small(seed);
        scenario.inventory.clear();
        scenario
    };
    let ran = Ran::of(&nowhere(1), 1);
    assert_eq!(ran.ways(), [Way::Panic]);
    let mut out = Vec::new();
    ran.tell(&mut out).expect("a vector takes everything");
    let text = String::from_utf8(out).expect("text");
    assert!(text.starts_with("  panicked: ") && text.contains("in the building only"), "{text}");
}
