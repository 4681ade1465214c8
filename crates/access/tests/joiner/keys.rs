//! Nothing is acknowledged that is not stored, and nothing is stored twice.

use crate::world::{Storage, World, ids, keys, millis, secs};
use lowgate_access::joiner::{JoinerEvent, JoinerInput};
use lowgate_amikey::{KeyError, Message, MsgId};

/// A world whose joiner was given keys that are not stored yet.
fn storing(seed: u64) -> World {
    let mut world = World::new(seed);
    world.storage = Storage::Held;
    world.tell(JoinerInput::Start);
    assert!(world.run_until(secs(5), |world| !world.keys.is_empty()), "{:?}", world.events);
    world
}

fn store(world: &mut World, nth: usize) {
    let ticket = world.keys[nth].0;
    world.tell(JoinerInput::Stored { ticket });
    world.run_for(millis(100));
}

#[test]
fn nothing_is_acknowledged_before_it_is_stored() {
    let mut world = storing(1);
    world.run_for(secs(15));
    // The manager repeated the record, in vain; it was handed out once.
    assert_eq!((world.acks.len(), world.keys.len()), (0, 1));
    assert!(!world.joiner.is_member());
    store(&mut world, 0);
    assert_eq!(world.acks, ids(1));
    assert!(world.joiner.is_member());
}

#[test]
fn a_repeated_record_is_acknowledged_again_and_not_stored_again() {
    let mut world = World::joined(2);
    for times in 2..5 {
        world.send_keys_once(&keys(1));
        world.run_for(secs(1));
        assert_eq!(world.acks, ids(1).repeat(times));
    }
    assert_eq!((world.keys.len(), world.count(&JoinerEvent::Member)), (1, 1));
}

#[test]
fn each_record_is_acknowledged_when_it_is_stored_itself() {
    let mut world = storing(3);
    world.send_keys_once(&keys(4));
    world.run_for(secs(1));
    assert_eq!((world.acks.len(), world.keys.len()), (0, 2));
    store(&mut world, 0);
    assert_eq!(world.acks, ids(1));
    assert!(world.joiner.is_member());
    store(&mut world, 1);
    assert_eq!(world.acks, [ids(1), ids(4)].concat());
    // Both are known now.
    world.send_keys_once(&keys(1));
    world.send_keys_once(&keys(4));
    world.run_for(secs(1));
    assert_eq!((world.acks.len(), world.keys.len()), (12, 2));
}

#[test]
fn a_record_stored_twice_over_is_acknowledged_once() {
    let mut world = storing(4);
    store(&mut world, 0);
    store(&mut world, 0);
    world.tell(JoinerInput::Stored { ticket: 77 });
    world.run_for(secs(1));
    assert_eq!((&world.acks[..], world.count(&JoinerEvent::Member)), (&ids(1)[..], 1));
}

#[test]
fn storage_of_an_earlier_session_confirms_nothing() {
    let mut world = storing(5);
    // The manager ends the session; the next one's keys come before the first ones are stored.
    world.close_session();
    assert!(world.run_until(secs(30), |world| world.keys.len() == 2), "{:?}", world.events);
    store(&mut world, 0);
    assert_eq!(world.acks, []);
    assert!(!world.joiner.is_member());
    store(&mut world, 1);
    assert_eq!(world.acks, ids(1));
    assert!(world.joiner.is_member());
}

#[test]
fn more_records_than_can_be_in_storage_come_again() {
    let mut world = storing(6);
    for first in [4, 7, 10, 13, 16] {
        world.send_keys_once(&keys(first));
        world.run_for(millis(100));
    }
    assert_eq!(world.keys.len(), 6);
    for nth in 0..6 {
        store(&mut world, nth);
    }
    // The first two were forgotten, the later ones not.
    assert_eq!(world.acks, [ids(7), ids(10), ids(13), ids(16)].concat());
}

#[test]
fn an_update_is_handed_out_and_acknowledged() {
    let mut world = World::joined(7);
    world.send_keys(&keys(4));
    assert!(world.run_until(secs(1), World::all_confirmed));
    assert_eq!((world.keys.len(), world.count(&JoinerEvent::Member)), (2, 1));
}

/// Numbers are one octet and come round (RFC 1982).
#[test]
fn numbers_come_round() {
    let mut world = World::joined(8);
    for first in (4..=250).step_by(3) {
        world.send_keys_once(&keys(first));
        world.run_for(millis(100));
    }
    let (acks, records) = (world.acks.len(), world.keys.len());
    let around = [Message::Cfg { msg_id: MsgId(1), cfg: Default::default() }];
    world.send_keys_once(&around);
    world.run_for(millis(100));
    assert_eq!((world.acks.len(), world.keys.len()), (acks + 1, records + 1));
}

#[test]
fn a_refusal_to_a_member_changes_nothing() {
    let mut world = World::joined(9);
    let events = world.events.clone();
    world.send_keys_once(&[Message::Err { msg_id: MsgId(0), error: KeyError::NotAuthorized }]);
    world.run_for(secs(5));
    assert_eq!(world.events, events);
    assert!(world.joiner.is_member());
}
