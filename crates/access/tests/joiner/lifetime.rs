//! A member's session: it moves with the device, and is made anew when it is lost.

use crate::world::{World, ids, millis, peer, relay, secs};
use lowgate_access::joiner::{Failure, JoinerEvent, JoinerInput, Path};
use lowgate_dtls::CloseReason;

/// RFC 9146 section 6: the session is known by its connection ID, wherever it comes from.
#[test]
fn a_session_goes_on_from_the_device_s_own_address() {
    let mut world = World::joined(1);
    world.tell(JoinerInput::Attached);
    assert_eq!(world.joiner.relay(), None);
    // Until the device says something, the manager knows the relay only.
    world.server_sends(b"by the relay");
    world.run_for(millis(100));
    world.joiner.send(b"here").expect("a session");
    world.run_for(millis(100));
    assert_eq!(world.moves, [peer(Path::Direct)]);
    world.server_sends(b"directly");
    world.run_for(millis(100));
    assert_eq!(world.applications, [&b"by the relay"[..], b"directly"]);
    assert_eq!(world.delivered.last().map(|(path, _)| *path), Some(Path::Direct));
    assert_eq!(world.uplinks, [b"here"]);
    assert_eq!(world.handshakes().len(), 1);
}

#[test]
fn a_member_s_lost_session_is_made_anew_directly() {
    let mut world = World::joined(2);
    world.tell(JoinerInput::Attached);
    world.joiner.send(b"here").expect("a session");
    world.run_for(millis(100));
    world.close_session();
    world.run_for(secs(5));
    assert_eq!(world.lost_sessions(), [CloseReason::PeerClosed]);
    assert_eq!(world.handshakes().last().map(|(_, path)| *path), Some(Path::Direct));
    assert_eq!(world.acks, ids(1).repeat(2));
    assert!(world.joiner.is_member());
    world.server_sends(b"again");
    world.run_for(millis(100));
    assert_eq!(world.applications, [b"again"]);
}

#[test]
fn without_an_address_of_its_own_a_new_session_waits() {
    let mut world = World::joined(3);
    world.close_session();
    world.run_for(secs(600));
    assert!(world.joiner.is_member());
    assert_eq!(world.handshakes().len(), 1);
    world.tell(JoinerInput::Attached);
    world.run_for(secs(1));
    assert_eq!(world.handshakes().last().map(|(_, path)| *path), Some(Path::Direct));
    assert!(world.joiner.is_member());
}

#[test]
fn a_new_session_is_tried_until_it_succeeds() {
    let mut world = World::joined(4);
    world.tell(JoinerInput::Attached);
    world.joiner.send(b"here").expect("a session");
    world.run_for(millis(100));
    world.close_session();
    world.run_for(millis(100));
    world.silent.push(Path::Direct);
    world.run_for(secs(300));
    let failures = world.failures();
    assert!(failures.len() >= 4, "{failures:?}");
    assert!(
        failures.iter().all(|(_, way, cause)| (*way, *cause) == (Path::Direct, Failure::Silence))
    );
    let gaps: Vec<_> = world.handshakes().windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps[1..].windows(2).all(|pair| pair[0] < pair[1]), "{gaps:?}");
    world.silent.clear();
    assert!(world.run_until(secs(300), World::all_confirmed), "{:?}", world.events);
}

#[test]
fn a_device_that_kept_its_keys_makes_its_session_anew() {
    let mut world = World::new(5);
    world.tell(JoinerInput::Attached);
    assert!(world.run_until(secs(12), World::all_confirmed), "{:?}", world.events);
    let ways: Vec<_> = world.handshakes().iter().map(|(_, path)| *path).collect();
    assert_eq!(ways, [Path::Direct]);
    assert_eq!(world.acks, ids(1));
}

#[test]
fn a_border_router_needs_no_relay() {
    let mut world = World::new(6);
    world.tell(JoinerInput::StartDirect);
    assert!(world.run_until(secs(1), |world| world.joiner.is_member()), "{:?}", world.events);
    assert_eq!(world.count(&JoinerEvent::Scanning), 0);
    assert_eq!(world.joiner.relay(), None);
}

#[test]
fn a_border_router_that_is_not_answered_tries_again() {
    let mut world = World::new(7);
    world.silent.push(Path::Direct);
    world.tell(JoinerInput::StartDirect);
    world.run_for(secs(60));
    assert!(world.failures().len() >= 3, "{:?}", world.events);
    world.silent.clear();
    assert!(world.run_until(secs(60), World::all_confirmed), "{:?}", world.events);
}

/// RFC 5246 section 7.4.1.1, in the clear.
const HELLO_REQUEST: [u8; 25] = {
    let mut octets = [0; 25];
    (octets[0], octets[1], octets[2], octets[12]) = (22, 0xfe, 0xfd, 12);
    octets
};

#[test]
fn a_member_asks_when_somebody_says_that_the_manager_knows_no_session() {
    let mut world = World::joined(9);
    world.inject(Path::Relay(relay(1)), &HELLO_REQUEST);
    assert_eq!(world.greetings, [], "its own address does not work yet");
    world.tell(JoinerInput::Attached);
    let first = world.now;
    world.inject(Path::Direct, &HELLO_REQUEST);
    world.run_for(secs(30));
    world.inject(Path::Direct, &HELLO_REQUEST);
    assert_eq!(world.greetings, [first], "anybody can say so: not often");
    world.run_for(secs(30));
    world.inject(Path::Direct, &HELLO_REQUEST);
    assert_eq!(world.greetings.len(), 2);
    assert_eq!(world.handshakes().len(), 1, "nothing is believed");
    world.tell(JoinerInput::Unanswered);
    world.run_for(secs(5));
    assert!(world.joiner.is_member() && world.all_confirmed(), "{:?}", world.events);
    assert_eq!(world.lost_sessions(), [CloseReason::TimedOut]);
    assert_eq!(world.handshakes().last().map(|(_, path)| *path), Some(Path::Direct));
    assert_eq!(world.handshakes().len(), 2);
}

#[test]
fn a_border_router_asks_without_being_told() {
    let mut world = World::greeting(10, secs(15));
    world.tell(JoinerInput::StartDirect);
    world.run_for(secs(50));
    let gaps: Vec<_> = world.greetings.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [secs(15); 2]);
    world.silent.push(Path::Direct);
    world.tell(JoinerInput::Unanswered);
    world.run_for(secs(600));
    let tries: Vec<_> = world.handshakes().windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(tries[1..].iter().all(|gap| *gap < secs(20)), "it never rests for long: {tries:?}");
    world.silent.clear();
    assert!(world.run_until(secs(20), |world| world.joiner.is_member()), "{:?}", world.events);
}

#[test]
fn starting_over_forgets_the_session() {
    let mut world = World::joined(8);
    world.tell(JoinerInput::Detached);
    world.tell(JoinerInput::Start);
    assert!(!world.joiner.is_member());
    let again = |world: &World| world.count(&JoinerEvent::Member) == 2;
    assert!(world.run_until(secs(5), again), "{:?}", world.events);
    assert_eq!(world.joiner.relay(), Some(relay(1)));
}
