//! What the swarm says, whoever runs it and however many at a time.

use super::*;
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
    let options = SwarmOptions {
        runs: NonZeroU64::new(6).expect("not 0"),
        seed: 10,
        jobs: NonZeroUsize::new(jobs),
        events: false,
    };
    let mut out = Vec::new();
    let failed = swarm_told(&options, small, &mut out).expect("a vector takes everything");
    (failed, String::from_utf8(out).expect("text"))
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
