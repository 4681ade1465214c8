//! Small scenarios: what they promise holds, what does not is told, what cannot be is refused.

use super::*;
use crate::world::{Happening, What};
use lowgate_access::relay::RelayDrop;
use lowgate_manager::DeviceState;
use lowgate_node::Event;

const fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn disaster(from: u64, lasts: u64, what: Trouble) -> Disaster {
    Disaster { at: at(from), lasts: secs(lasts), what }
}

fn small() -> Scenario {
    Scenario::installed(12, 3, Duration::from_millis(500), secs(300)).expect("12 devices")
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    scenario.check().unwrap_or_else(|faults| panic!("{faults:?}"));
    Run::new(scenario, seed, RunOptions::default()).perform()
}

#[test]
fn a_quiet_building_holds_what_it_promises() {
    let mut scenario = small();
    let switch = StationId(2);
    for second in [60, 70, 80] {
        let on = second != 70;
        scenario.deeds.push(Timed { at: at(second), what: Deed::Press { switch, on } });
        scenario.deeds.push(Timed { at: at(second + 1), what: Deed::Ping(StationId(5)) });
        scenario.deeds.push(Timed { at: at(second + 2), what: Deed::Read(StationId(7)) });
    }
    scenario.expectations = vec![
        Expectation::AllIn { by: at(60) },
        Expectation::Commands { share: 1.0 },
        Expectation::Pings { share: 1.0 },
        Expectation::Reads { share: 1.0 },
        Expectation::Converged { within: secs(30) },
    ];
    let outcome = run(&scenario, 1);
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(outcome.figures.joined, Count { done: 12, of: 12 });
    assert!(outcome.figures.commands.of >= 9, "{:?}", outcome.figures.commands);
    assert_eq!(outcome.figures.pings, Count { done: 3, of: 3 });
    assert_eq!(outcome.figures.reads, Count { done: 3, of: 3 });
    let again = run(&scenario, 1);
    assert_eq!((&again.figures, again.ended), (&outcome.figures, outcome.ended));
    assert_ne!(run(&scenario, 2).figures.frames, again.figures.frames);
}

#[test]
fn what_goes_wrong_ends_and_everybody_is_back() {
    let mut scenario = small();
    let clogged = Backbone { loss: 0.3, duplication: 0.3, jitter: Duration::from_millis(50) };
    scenario.disasters = vec![
        disaster(6, 60, Trouble::Loss(0.1)),
        disaster(8, 20, Trouble::StoreSlow(secs(1))),
        disaster(20, 10, Trouble::NoPower(StationId(4))),
        disaster(25, 20, Trouble::NoPower(StationId(4))),
        disaster(30, 10, Trouble::NoManager),
        disaster(40, 5, Trouble::NoPower(StationId(0))),
        disaster(50, 10, Trouble::Backbone(Towards::Manager, clogged)),
        disaster(52, 10, Trouble::Backbone(Towards::Router, clogged)),
        disaster(60, 15, Trouble::PathLoss { from: StationId(3), to: StationId(0), loss: 1.0 }),
        disaster(5, 90, Trouble::Drift(StationId(6), 500)),
        disaster(64, 30, Trouble::Jump(StationId(7))),
        disaster(66, 10, Trouble::WornFlash(StationId(8), 0)),
        disaster(70, 10, Trouble::StoreBroken),
    ];
    scenario.deeds.push(Timed { at: at(72), what: Deed::Revoke(StationId(9)) });
    scenario.deeds.push(Timed { at: at(160), what: Deed::RekeyNetwork });
    scenario.expectations = vec![Expectation::Converged { within: secs(120) }];
    for seed in 1..=3 {
        let outcome = run(&scenario, seed);
        assert!(outcome.is_good(), "seed {seed}: {:?} {:?}", outcome.findings, outcome.failures);
        assert_eq!(outcome.figures.refused, [] as [String; 0]);
    }
}

#[test]
fn an_old_backup_brings_back_what_the_store_held() {
    let mut scenario = small();
    scenario.disasters = vec![disaster(60, 60, Trouble::OldBackup)];
    scenario.expectations = vec![Expectation::Converged { within: secs(120) }];
    let outcome = run(&scenario, 1);
    assert!(outcome.is_good(), "nothing was decided since: {outcome:?}");

    scenario.deeds.push(Timed { at: at(70), what: Deed::Revoke(StationId(9)) });
    let eui64 = scenario.building.device(StationId(9)).expect("a device").eui64;
    let mut run = Run::new(&scenario, 1, RunOptions::default());
    for (until, revoked) in [(at(65), false), (at(115), true), (at(121), false)] {
        while run.world().now() < until {
            run.go_on();
        }
        let state = &run.world().manager().domain().devices()[&eui64].state;
        assert_eq!(matches!(state, DeviceState::Revoked { .. }), revoked, "{until}");
    }
}

#[test]
fn an_outsider_who_poses_as_the_manager_changes_nothing() {
    let mut scenario = small();
    scenario.disasters = vec![disaster(20, 60, Trouble::Outsider)];
    scenario.expectations = vec![Expectation::Converged { within: secs(60) }];
    let mut run = Run::new(&scenario, 1, RunOptions { tell: true, ..RunOptions::default() });
    let mut refused = 0;
    while run.go_on() {
        let foreign = |it: &Happening| {
            matches!(it.what, What::Node(_, Event::RelayDropped(RelayDrop::ForeignHeader)))
        };
        refused += run.take_told().iter().filter(|it| foreign(it)).count();
    }
    assert!(refused > 10, "{refused} envelopes came to relays");
    let outcome = run.end();
    assert!(outcome.is_good(), "{outcome:?}");
}

#[test]
fn what_does_not_hold_is_told() {
    let mut scenario = small();
    scenario.disasters = vec![disaster(1, 200, Trouble::NoPower(StationId(3)))];
    scenario.deeds.push(Timed { at: at(50), what: Deed::Ping(StationId(3)) });
    scenario.deeds.push(Timed { at: at(50), what: Deed::Revoke(StationId(4)) });
    scenario.expectations = vec![
        Expectation::AllIn { by: at(60) },
        Expectation::In { station: StationId(3), at: at(60) },
        Expectation::Out { station: StationId(5), at: at(60) },
        Expectation::Pings { share: 1.0 },
        Expectation::Converged { within: secs(60) },
    ];
    let outcome = run(&scenario, 1);
    assert_eq!(outcome.findings, []);
    let failed: Vec<_> = outcome.failures.iter().map(|failure| failure.expectation).collect();
    assert_eq!(failed, [0, 1, 2, 3], "{:?}", outcome.failures);
    assert!(outcome.failures[0].saw.contains("Off"), "{}", outcome.failures[0]);
}

#[test]
fn what_cannot_be_is_told_before_the_run() {
    let mut scenario = small();
    let lonely = scenario.building.devices.last_mut().expect("12 devices");
    (lonely.x, lonely.y) = (9_000.0, 9_000.0);
    scenario.deeds.push(Timed { at: at(301), what: Deed::Read(StationId(1)) });
    scenario.deeds.push(Timed { at: at(1), what: Deed::Revoke(StationId(0)) });
    scenario.disasters = vec![
        disaster(1, 1, Trouble::NoPower(StationId(13))),
        disaster(1, 1, Trouble::Loss(1.5)),
        disaster(1, 1, Trouble::Intruder(StationId(2))),
    ];
    scenario.expectations = vec![Expectation::Pings { share: 0.5 }];
    let faults = scenario.check().expect_err("much is wrong");
    let parts: Vec<_> = faults.iter().map(|fault| fault.part).collect();
    let deeds = scenario.deeds.len();
    let expected = [
        ("device", 11),
        ("deed", deeds - 2),
        ("deed", deeds - 1),
        ("disaster", 0),
        ("disaster", 1),
        ("disaster", 2),
        ("expectation", 0),
    ];
    assert_eq!(parts, expected, "{faults:?}");
}
