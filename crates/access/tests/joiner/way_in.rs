//! From power to membership, and the ways on which it does not get there.

use crate::world::{Policy, World, ids, millis, relay, secs};
use lowgate_access::beacon::CROWD_LOAD_MIN;
use lowgate_access::joiner::{
    Failure, JoinerEvent, JoinerInput, Path, REST_MAX, REST_REFUSED_MAX, SCAN, SILENCE_MAX,
};
use lowgate_amikey::KeyError;
use lowgate_dtls::{AlertDescription, CloseReason};
use lowgate_units::{Duration, Instant};

/// When each scan began.
fn scans(world: &World) -> Vec<Instant> {
    let scans = world.events.iter().filter(|(_, event)| *event == JoinerEvent::Scanning);
    scans.map(|(at, _)| *at).collect()
}

/// From the last failure before each scan to the scan.
fn pauses(world: &World) -> Vec<Duration> {
    let failures = world.failures();
    let pause = |scan: &Instant| {
        let before = failures.iter().rev().find(|(at, ..)| at <= scan)?;
        Some(scan.since(before.0))
    };
    scans(world).iter().filter_map(pause).collect()
}

fn expect_growing(pauses: &[Duration]) {
    for pair in pauses.windows(2) {
        assert!(pair[0] < pair[1] || pair[1] > REST_REFUSED_MAX / 2, "{pauses:?}");
    }
    assert!(pauses.iter().all(|pause| *pause <= REST_REFUSED_MAX), "{pauses:?}");
    assert!(pauses.last().is_some_and(|pause| *pause > REST_REFUSED_MAX / 2), "{pauses:?}");
}

#[test]
fn through_the_best_relay() {
    let world = World::joined(1);
    let (way, start) = (Path::Relay(relay(1)), Instant::from_secs(100));
    let told: Vec<_> = world.events.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(
        told,
        [
            JoinerEvent::Scanning,
            JoinerEvent::Handshake(way),
            JoinerEvent::Authenticated(way),
            JoinerEvent::Member,
        ]
    );
    assert_eq!(world.handshakes(), [(start + SCAN, way)]);
    assert!(world.events[3].0 < start + secs(1), "{:?}", world.events);
    assert_eq!((world.keys.len(), &world.acks[..]), (1, &ids(1)[..]));
    assert_eq!(world.joiner.relay(), Some(relay(1)));
    assert_eq!(world.noise, 0);
}

#[test]
fn while_nobody_answers_scans_go_on_at_pauses_that_stay_short() {
    let mut world = World::new(2);
    world.relays.clear();
    world.tell(JoinerInput::Start);
    world.run_for(secs(600));
    let scans = scans(&world);
    assert!(scans.windows(2).all(|pair| pair[1] - pair[0] <= REST_MAX + SCAN), "{scans:?}");
    assert!(scans.len() < 100 && world.handshakes().is_empty(), "{scans:?}");
    world.relays.push(1);
    assert!(world.run_until(REST_MAX + secs(2), |world| world.joiner.is_member()));
}

#[test]
fn a_silent_relay_is_left_for_the_next() {
    let mut world = World::joining(3);
    world.silent.push(Path::Relay(relay(1)));
    assert!(world.run_until(secs(20), |world| world.joiner.is_member()), "{:?}", world.events);
    let first = Instant::from_secs(100) + SCAN;
    assert_eq!(world.failures(), [(first + SILENCE_MAX, Path::Relay(relay(1)), Failure::Silence)]);
    assert_eq!(world.joiner.relay(), Some(relay(2)));
}

/// When the joiner is in, if the relay dropped all that came in the first tenth of a second.
fn in_after_a_dropped_hello(load: u8) -> Duration {
    let mut world = World::new(3);
    world.load = load;
    world.relays = vec![4];
    world.tell(JoinerInput::Start);
    world.silent.push(Path::Relay(relay(4)));
    world.run_for(SCAN + millis(100));
    world.silent.clear();
    assert!(world.run_until(secs(20), |world| world.joiner.is_member()), "{:?}", world.events);
    assert_eq!(world.failures(), [], "through the same relay");
    world.now - (Instant::from_secs(100) + SCAN)
}

#[test]
fn a_relay_in_a_crowd_hears_the_first_hello_again_soon() {
    let alone = in_after_a_dropped_hello(CROWD_LOAD_MIN - 1);
    let in_crowd = in_after_a_dropped_hello(CROWD_LOAD_MIN);
    assert!(alone > millis(540) && in_crowd < millis(540), "{alone:?} {in_crowd:?}");
}

#[test]
fn a_relay_that_falls_silent_is_left_for_the_next() {
    let mut world = World::joining(4);
    assert!(world.run_until(secs(2), |world| world.delivered.len() == 1));
    world.silent.push(Path::Relay(relay(1)));
    assert!(world.run_until(secs(20), |world| world.joiner.is_member()), "{:?}", world.events);
    let [(_, way, Failure::Silence)] = world.failures()[..] else {
        panic!("{:?}", world.failures());
    };
    assert_eq!((way, world.joiner.relay()), (Path::Relay(relay(1)), Some(relay(2))));
}

#[test]
fn when_all_relays_failed_they_get_another_chance() {
    let mut world = World::joining(5);
    world.silent.extend([1, 2, 3].map(|n| Path::Relay(relay(n))));
    world.run_for(secs(26));
    let tried: Vec<_> = world.failures().iter().map(|(_, way, _)| *way).collect();
    assert_eq!(tried, [1, 2, 3].map(|n| Path::Relay(relay(n))));
    world.silent.clear();
    assert!(world.run_until(secs(10), |world| world.joiner.is_member()), "{:?}", world.events);
}

/// RFC 4279 section 2: decrypt_error; whoever said it may be the relay, so the others are tried.
#[test]
fn another_psk_tries_every_relay_and_then_rests_ever_longer() {
    let mut world = World::joining(6).with_another_psk();
    world.run_for(secs(3000));
    let failures = world.failures();
    let cause = Failure::Closed(CloseReason::PeerAlert(AlertDescription::DECRYPT_ERROR));
    for round in failures.chunks_exact(3) {
        let ways: Vec<_> = round.iter().map(|(_, way, _)| *way).collect();
        assert_eq!(ways, [1, 2, 3].map(|n| Path::Relay(relay(n))));
        assert!(round.iter().all(|(.., told)| *told == cause), "{round:?}");
    }
    assert!(failures.len() >= 24, "{failures:?}");
    expect_growing(&pauses(&world));
    assert_eq!(world.sessions.len() + world.keys.len(), 0);
}

/// An authentic refusal: no other relay has another manager.
#[test]
fn a_refusal_is_not_taken_to_another_relay() {
    let mut world = World::new(7);
    world.policy = Policy::Refuse;
    world.tell(JoinerInput::Start);
    world.run_for(secs(2000));
    let cause = Failure::Refused(KeyError::NotAuthorized);
    let failures = world.failures();
    assert!(failures.len() >= 6, "{failures:?}");
    for (_, way, told) in failures {
        assert_eq!((way, told), (Path::Relay(relay(1)), cause));
    }
    let pauses = pauses(&world);
    assert!(pauses[0] >= secs(8), "{pauses:?}");
    expect_growing(&pauses);
    assert_eq!(world.keys, []);
    world.policy = Policy::Admit;
    assert!(world.run_until(REST_REFUSED_MAX + secs(2), |world| world.joiner.is_member()));
}

#[test]
fn a_manager_that_sends_no_keys_is_given_up() {
    let mut world = World::new(8);
    world.policy = Policy::Ignore;
    world.tell(JoinerInput::Start);
    assert!(world.run_until(secs(40), |world| !world.failures().is_empty()));
    let [(_, way, Failure::KeysTimeout)] = world.failures()[..] else {
        panic!("{:?}", world.failures());
    };
    assert_eq!(way, Path::Relay(relay(1)));
    world.policy = Policy::Admit;
    assert!(world.run_until(secs(2), |world| world.joiner.is_member()), "{:?}", world.events);
    assert_eq!(world.joiner.relay(), Some(relay(2)));
}
