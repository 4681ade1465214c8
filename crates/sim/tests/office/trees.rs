//! Purpose: who goes is shut out by one message to all who stay. Topology: a generated building of 60 devices that
//! follow key trees. Pass: the message reaches them, the manager tells few by unicast, everybody who stays follows
//! to the next keys, and whoever went opens nothing more.

use lowgate_manager::{Kind, ManagerEvent, Reply, Request};
use lowgate_node::Event;
use lowgate_sim::building::Building;
use lowgate_sim::crowd::{all_in, at_once};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World, WorldConfig};
use lowgate_units::{Duration, Eui64};
use std::collections::BTreeSet;

const DEVICES: usize = 60;

/// All are in, and know their places in the trees.
fn building(seed: u64, loss: f64) -> World {
    let mut config = WorldConfig { key_trees: true, ..WorldConfig::new(seed) };
    config.medium.loss = loss;
    let generated = Building::generate(DEVICES, seed).expect("there is a building for so many");
    let mut world = at_once(config, generated, Duration::from_secs(180));
    assert!(all_in(&world));
    world.run_for(Duration::from_secs(180));
    world.take_happenings();
    world
}

/// A light, which is in a group.
fn somebody(world: &World) -> (StationId, Eui64) {
    let devices = world.manager().domain().devices();
    let light = devices.values().find(|device| device.record.kind == Kind::Light);
    let eui64 = light.expect("a building has lights").record.eui64;
    let station = world.honest().find(|station| world.station(*station).eui64() == eui64);
    (station.expect("it is there"), eui64)
}

struct Eviction {
    /// Per message told: for how many, and whom it did not reach.
    told: Vec<(usize, usize)>,
    /// Devices that were sent key messages.
    by_unicast: usize,
    stranded: BTreeSet<StationId>,
}

fn evict(world: &mut World, eui64: Eui64) -> Eviction {
    let reply = world.ask(Request::Revoke { eui64 }, Duration::from_secs(10));
    assert_eq!(reply, Some(Reply::Done));
    let switched =
        |world: &World| world.manager().domain().founding_pan().link_key.index.raw() == 2;
    assert!(world.run_until(Duration::from_secs(120), switched));
    world.run_for(Duration::from_secs(60));
    let mut eviction = Eviction { told: Vec::new(), by_unicast: 0, stranded: BTreeSet::new() };
    for happening in world.take_happenings() {
        match happening.what {
            What::Manager(ManagerEvent::TreeTold { told, unreached, .. }) => {
                eviction.told.push((told, unreached));
            }
            What::Manager(ManagerEvent::KeysSent { .. }) => eviction.by_unicast += 1,
            What::Node(station, Event::Stranded) => _ = eviction.stranded.insert(station),
            _ => {}
        }
    }
    eviction
}

fn check(seed: u64, loss: f64) {
    let mut world = building(seed, loss);
    let (gone, eui64) = somebody(&world);
    let Eviction { told, by_unicast, stranded } = evict(&mut world, eui64);
    assert!(told.iter().any(|(told, _)| *told >= DEVICES * 8 / 10), "seed {seed}: {told:?}");
    let stays = world.honest().filter(|station| *station != gone);
    let stays: Vec<StationId> = stays.collect();
    let behind: Vec<_> = stays
        .iter()
        .filter(|station| {
            let node = world.station(**station).node().expect("it is on");
            node.link_key().map(|index| index.raw()) != Some(2)
        })
        .collect();
    println!(
        "seed {seed}: told {told:?}, by unicast {by_unicast}, behind {behind:?}, stranded {stranded:?}"
    );
    assert!(behind.is_empty(), "seed {seed}: {behind:?}");
    assert!(by_unicast < DEVICES / 2, "seed {seed}: {by_unicast} by unicast");
    assert_eq!(world.findings(), [], "seed {seed}");
}

#[test]
fn one_message_shuts_one_out() {
    (1..=2).for_each(|seed| check(seed, 0.0));
}

#[test]
fn also_where_frames_are_lost() {
    check(3, 0.1);
}
