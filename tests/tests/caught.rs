//! Purpose: chance finds mistakes that nobody thought of, so it must find those that somebody planted.
//! Topology: the swarm's, of each seed's own choice; no scenario here was made for a mistake.
//! What happens: a mistake is in force from the first moment to the last, in seed after seed.
//! Pass: in at most so many runs as [`CAUGHT`] says a checker or an expectation complains, and in the run
//! in which one does, nobody complains without the mistake.
//!
//! `cargo test -p lowgate-tests --features planted --test caught -- --nocapture` says how many it took.

use lowgate_sim::scenario::{Outcome, Run, RunOptions, Scenario};
use lowgate_units::planted::{Fault, plant};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Each mistake, and within how many runs it is caught. A change of the product deals new cards to every
/// seed, so that the bounds are wider than what was measured: 1 to 4 where 10 are allowed, 9 where 50 are, 45
/// to 51 of 100, 76 and 94 of 150.
const CAUGHT: [(Fault, u64); 30] = [
    (Fault::CounterRepeats, 10),
    (Fault::MicUnchecked, 100),
    (Fault::ReplayAccepted, 10),
    (Fault::RelayElsewhere, 10),
    (Fault::UnsecuredAccepted, 10),
    (Fault::RevocationForgetsOne, 10),
    (Fault::GroupKeysKept, 10),
    (Fault::OldKeyKept, 10),
    (Fault::AnswerBeforeCommit, 10),
    (Fault::RegistrationKept, 10),
    (Fault::RecordSequenceRepeats, 10),
    (Fault::ForgerMovesCounter, 100),
    (Fault::CounterUnreserved, 10),
    (Fault::HopLimitKept, 10),
    (Fault::MplSequenceRepeats, 100),
    (Fault::FragmentsMixed, 10),
    (Fault::RegistrationUnchecked, 10),
    (Fault::CookieUnchecked, 10),
    (Fault::CipherSkipped, 10),
    (Fault::GroupSequenceRepeats, 100),
    (Fault::GroupReplayAccepted, 10),
    (Fault::OldEpochKept, 10),
    (Fault::SenderIdShared, 10),
    (Fault::AddressShared, 150),
    (Fault::RevokedForgotten, 10),
    (Fault::KeysUnstored, 10),
    (Fault::SwitchIgnored, 10),
    (Fault::EnvelopeUnchecked, 50),
    (Fault::PausesUnbounded, 150),
    (Fault::ChecksumSkipped, 10),
];

/// What chance cannot find: no device of the swarm follows key trees or has keys of pairs. `planted.rs` has a test of each.
const NOT_DRAWN: [Fault; 6] = [
    Fault::TreeKeepsTheGone,
    Fault::PairLossForgotten,
    Fault::PairLostServed,
    Fault::PairSessionKept,
    Fault::PairRandomRepeats,
    Fault::PairShareUnstored,
];

/// What came of the swarm's run of a seed with a mistake in force, or without one.
fn run(planted: Option<Fault>, seed: u64) -> Outcome {
    let scenario = Scenario::drawn(seed);
    plant(planted);
    let outcome = Run::new(&scenario, seed, RunOptions::default()).perform();
    plant(None);
    outcome
}

/// The first run in which the mistake, and nothing but the mistake, makes somebody complain: its seed, and
/// what was said.
fn first_caught(fault: Fault, runs_max: u64) -> Option<(u64, String)> {
    (1..=runs_max).find_map(|seed| {
        let caught = run(Some(fault), seed);
        let caught = (!caught.is_good()).then(|| said(&caught))?;
        run(None, seed).is_good().then_some((seed, caught))
    })
}

fn said(outcome: &Outcome) -> String {
    let mut kinds = Vec::new();
    for finding in &outcome.findings {
        let text = format!("{:?}", finding.fault);
        let kind = text.split(' ').next().expect("a name").to_owned();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.extend(outcome.failures.iter().map(|failure| format!("{:?}", failure.lags)));
    kinds.join(", ")
}

#[test]
fn chance_finds_every_mistake() {
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let jobs = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((fault, runs_max)) = CAUGHT.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    match first_caught(*fault, *runs_max) {
                        Some((seed, said)) => println!("{fault:?}: after {seed} runs: {said}"),
                        None => {
                            println!("{fault:?}: not in {runs_max} runs");
                            missed.lock().expect("nobody panicked").push(*fault);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(missed.into_inner().expect("nobody panicked"), [], "not caught in time");
}

/// Who adds a mistake says here how soon chance finds it.
#[test]
fn every_mistake_is_among_them() {
    let source = include_str!("../../crates/units/src/planted.rs");
    let list = source.split_once("pub enum Fault {").expect("the list").1;
    let list = list.split_once("\n}").expect("its end").0;
    let names = list.lines().map(str::trim).filter(|line| !line.starts_with("///"));
    let names: Vec<_> = names.filter_map(|line| line.strip_suffix(',')).collect();
    let all = CAUGHT.iter().map(|(fault, _)| fault).chain(&NOT_DRAWN);
    assert_eq!(all.map(|fault| format!("{fault:?}")).collect::<Vec<_>>(), names);
}
