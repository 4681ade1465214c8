//! Many at once: a mesh is commissioned in one moment.
//!
//! Purpose: what a mesh around one border router carries when a building gets power. Topology: generated buildings
//! of 100 devices and a border router, all switched on at once. Criteria: with the test. Larger campuses, of ten
//! border routers and more, are run by `cargo xtask scale`.

use lowgate_sim::building::Building;
use lowgate_sim::crowd;
use lowgate_sim::world::WorldConfig;
use lowgate_units::Duration;

const DEVICES: usize = 100;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;
const ALL_IN_WITHIN: Duration = Duration::from_secs(120);

/// Criteria: all are members with a working address within two minutes; no checker finds anything.
#[test]
fn a_hundred_at_once() {
    for seed in SEEDS {
        let generated = Building::generate(DEVICES, seed).expect("allowed");
        let world = crowd::at_once(WorldConfig::new(seed), generated, 2 * ALL_IN_WITHIN);
        let joins = &world.survey().joins()[1..];
        let took = joins.iter().filter_map(|join| join.took()).max().unwrap_or_default();
        println!("seed {seed}: the last was in after {:.1} s", took.as_secs_f64());
        assert_eq!(world.findings(), [], "seed {seed}");
        let outside = joins.iter().filter(|join| join.took().is_none()).count();
        assert_eq!(outside, 0, "seed {seed}: are not in after {}", world.now());
        assert!(took <= ALL_IN_WITHIN, "seed {seed}: the last was in after {took:?}");
    }
}

/// Criteria: equal seeds give equal joins, also in several meshes on several channels.
#[test]
fn one_seed_decides_a_campus() {
    let run = |seed| {
        let generated = Building::campus(2, 12, 1).expect("allowed");
        let channel = |number| lowgate_units::Channel::new(number).expect("in the band");
        let further_channels = [channel(20)].into_iter().collect();
        let config = WorldConfig { further_channels, ..WorldConfig::new(seed) };
        let world = crowd::at_once(config, generated, ALL_IN_WITHIN);
        assert_eq!(world.findings(), [], "seed {seed}");
        (world.survey().joins().to_vec(), world.survey().frames())
    };
    let first = run(1);
    assert!(first.0[2..].iter().all(|join| join.attached.is_some()), "{:?}", first.0);
    assert!(first == run(1) && first != run(2));
}
