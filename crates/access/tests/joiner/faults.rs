//! Datagrams lost, duplicated and reordered: every attempt leads to a member or to a reason.

use crate::world::{Faults, Storage, World, ids, millis, secs};
use lowgate_access::joiner::{JoinerEvent, JoinerInput, Path};

const SEEDS: u64 = 60;

fn check(faults: Faults) {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.faults = faults;
        world.storage = Storage::After(millis(20));
        world.tell(JoinerInput::Start);
        let done = |world: &World| world.joiner.is_member() && world.all_confirmed();
        let joined = world.run_until(secs(900), done);
        assert!(joined, "seed {seed}: {:?}", world.events);
        expect_reasons(seed, &world);
        assert!(ids(1).iter().all(|id| world.acks.contains(id)), "seed {seed}");
        expect_working(seed, world);
    }
}

/// Each handshake but the last ended for a reason that was told.
fn expect_reasons(seed: u64, world: &World) {
    let mut under_way: Option<Path> = None;
    for (_, event) in &world.events {
        under_way = match (event, under_way) {
            (JoinerEvent::Handshake(path), None) => Some(*path),
            (JoinerEvent::Authenticated(path), Some(way)) if *path == way => Some(way),
            (JoinerEvent::Failed { path, .. }, Some(way)) if *path == way => None,
            (JoinerEvent::Member | JoinerEvent::Scanning, None) => None,
            (JoinerEvent::Member, Some(_)) => None,
            (event, way) => panic!("seed {seed}: {event:?} during {way:?}: {:?}", world.events),
        };
    }
    assert_eq!((under_way, world.count(&JoinerEvent::Member)), (None, 1), "seed {seed}");
}

/// The session is whole.
fn expect_working(seed: u64, mut world: World) {
    world.faults = Faults { loss: 0.0, duplicate: 0.0, delay: (millis(30), millis(30)) };
    world.run_for(secs(5));
    world.joiner.send(b"up").expect("a session");
    world.server_sends(b"down");
    world.run_for(millis(100));
    assert_eq!(world.uplinks, [b"up"], "seed {seed}");
    assert_eq!(world.applications, [b"down"], "seed {seed}");
}

#[test]
fn loss() {
    check(Faults { loss: 0.2, duplicate: 0.0, delay: (millis(30), millis(60)) });
}

#[test]
fn heavy_loss() {
    check(Faults { loss: 0.4, duplicate: 0.0, delay: (millis(30), millis(60)) });
}

#[test]
fn duplication() {
    check(Faults { loss: 0.0, duplicate: 0.7, delay: (millis(30), millis(60)) });
}

#[test]
fn reordering() {
    check(Faults { loss: 0.0, duplicate: 0.0, delay: (millis(1), millis(1500)) });
}

#[test]
fn everything_at_once() {
    check(Faults { loss: 0.2, duplicate: 0.3, delay: (millis(1), millis(800)) });
}
