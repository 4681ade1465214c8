//! What comes by another way, and what is noise: a run with it goes as one without it.

use crate::world::{Policy, Storage, World, keys, millis, relay, secs};
use lowgate_access::joiner::{JoinerEvent, JoinerInput, Path};
use lowgate_units::{Entropy, Instant, Prng, SeededEntropy};

const SEEDS: u64 = 20;
const DATAGRAMS_PER_MOMENT: usize = 10;

/// Lengths from nothing to more than any datagram of ours.
fn noise(entropy: &mut SeededEntropy, prng: &mut Prng) -> Vec<u8> {
    let mut octets = vec![0; prng.below(385) as usize];
    entropy.fill(&mut octets);
    // Half of it looks like records of a session: a content type, the version, epoch 1.
    if prng.below(2) == 0 && octets.len() > 13 {
        octets[0] = [20, 22, 23, 25, 26, 30, 31][prng.below(7) as usize];
        octets[1..5].copy_from_slice(&[0xfe, 0xfd, 0, 1]);
        octets[5..11].copy_from_slice(&[0, 0, 0, 0, 0, prng.below(20) as u8]);
        let len = u16::try_from(octets.len() - 13).expect("below 385");
        octets[11..13].copy_from_slice(&len.to_be_bytes());
    }
    octets
}

/// A life with everything in it: silence, a manager that hesitates, keys that take time, a move, a lost
/// session. `disturb` is called between any two moments.
fn life(seed: u64, mut disturb: impl FnMut(&mut World)) -> Vec<(Instant, JoinerEvent)> {
    let mut world = World::new(seed);
    world.storage = Storage::Held;
    world.policy = Policy::Ignore;
    world.relays.clear();
    disturb(&mut world);
    world.tell(JoinerInput::Start);
    let mut run = |world: &mut World, millis_each: u64, times: usize| {
        for _ in 0..times {
            disturb(world);
            world.run_for(millis(millis_each));
        }
    };
    run(&mut world, 150, 12);
    world.relays.push(1);
    run(&mut world, 37, 160);
    assert!(!world.sessions.is_empty(), "{:?}", world.events);
    world.send_keys(&keys(1));
    run(&mut world, 37, 10);
    let ticket = world.keys[0].0;
    world.tell(JoinerInput::Stored { ticket });
    run(&mut world, 37, 10);
    assert!(world.joiner.is_member(), "{:?}", world.events);
    world.tell(JoinerInput::Attached);
    run(&mut world, 37, 4);
    world.policy = Policy::Admit;
    world.storage = Storage::After(millis(5));
    world.close_session();
    run(&mut world, 37, 80);
    assert!(world.joiner.is_member() && world.all_confirmed(), "{:?}", world.events);
    assert_eq!(world.keys.len(), 2);
    world.events
}

#[test]
fn noise_changes_nothing_in_any_state() {
    for seed in 0..SEEDS {
        let calm = life(seed, |_| {});
        let (mut entropy, mut prng) = (SeededEntropy::new(seed), Prng::new(seed));
        let noisy = life(seed, |world| {
            let before = (world.joiner.is_member(), world.joiner.relay());
            for _ in 0..DATAGRAMS_PER_MOMENT {
                let octets = noise(&mut entropy, &mut prng);
                let ways = [Path::Relay(relay(1)), Path::Relay(relay(2)), Path::Direct];
                ways.into_iter().for_each(|way| world.inject(way, &octets));
            }
            assert_eq!((world.joiner.is_member(), world.joiner.relay()), before);
        });
        assert_eq!(noisy, calm, "seed {seed}");
    }
}

#[test]
fn stored_for_nothing_changes_nothing_in_any_state() {
    let calm = life(1, |_| {});
    let told = life(1, |world| {
        world.tell(JoinerInput::Stored { ticket: 1000 });
        world.tell(JoinerInput::Stored { ticket: u32::MAX });
    });
    assert_eq!(told, calm);
}

/// All that the server sends comes by other ways first.
#[test]
fn datagrams_of_another_relay_or_way_are_ignored() {
    for seed in 0..SEEDS {
        let mut control = World::joined(seed);
        control.run_for(secs(1));
        let mut world = World::joining(seed);
        // The control's datagrams are the ones that this world's server is about to send.
        for octets in control.delivered.iter().map(|(_, octets)| octets) {
            for way in [Path::Relay(relay(2)), Path::Direct] {
                world.inject(way, octets);
            }
            step(&mut world, octets);
        }
        assert!(world.run_until(secs(5), |world| world.joiner.is_member()), "seed {seed}");
        world.run_for(secs(2));
        assert_eq!((world.noise, control.noise), (0, 0), "seed {seed}: somebody looked at it");
        assert_eq!(world.events, control.events, "seed {seed}");
        assert_eq!(world.delivered, control.delivered, "seed {seed}");
    }
}

/// Until the same datagram came by its own way.
fn step(world: &mut World, octets: &[u8]) {
    let came = |world: &World| world.delivered.iter().any(|(_, known)| known == octets);
    assert!(world.run_until(secs(5), came), "{:?}", world.events);
}

/// After its move a member takes the manager's datagrams from both ways, but not through other relays.
#[test]
fn a_member_that_moved_hears_both_ways() {
    let mut world = World::joined(3);
    world.server_sends(b"one");
    world.run_for(millis(100));
    let (_, datagram) = world.delivered.last().expect("the last").clone();
    let before = world.noise;
    world.inject(Path::Relay(relay(2)), &datagram);
    world.inject(Path::Direct, &datagram);
    assert_eq!(world.noise, before);
    world.tell(JoinerInput::Attached);
    // Now it is looked at, and is a repetition.
    world.inject(Path::Direct, &datagram);
    assert_eq!((world.noise, world.applications.len()), (before + 1, 1));
}
