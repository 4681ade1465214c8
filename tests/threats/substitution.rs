//! Purpose: malicious substitution of things (threat 2 of section 3.1). Where the installer was to hang a
//! device, another hangs: one that nobody expects, or one that is in the inventory and pretends to more than
//! it says there.
//! Topology: the building of [`super::support`]; the substitute hangs in the joiner's place.
//! Clause: section 3.1 (2) of the draft; RFC 4279 section 2 with RFC 6347: an unknown identity and a wrong key
//! look alike; this design's group request (extension 0xFF40), granted only after Finished and only as the
//! inventory says.
//! Criteria: who is not in the inventory, or has another key than it says, gets no keys in two minutes, and
//! learns not which of both it was; who asks for a part that it does not have gets what it has: its commands
//! are not obeyed. With the inventory on its side, the same device commands. The others go on: nine of ten
//! commands arrive.
//! Out of reach: a substitute of lower quality that is given the genuine key; what it is made of no protocol sees.

use super::support::*;
use lowgate_access::joiner::{Failure, JoinerEvent};
use lowgate_manager::{DevicePsk, DeviceRecord, Identity, Kind, ManagerEvent, Role};
use lowgate_node::Event;
use lowgate_sim::world::{What, World};

fn with_joiner(really: fn(DeviceRecord) -> DeviceRecord) -> World {
    Plan { really, ..Plan::new(2, vec![]) }.world()
}

/// What the substitute is told when it is turned away.
fn turned_away(really: fn(DeviceRecord) -> DeviceRecord) -> Vec<Failure> {
    let mut world = with_joiner(really);
    assert_eq!(join(&mut world, JOINER), None, "a substitute is in");
    let failures = world.take_happenings().into_iter().filter_map(|it| match it.what {
        What::Node(JOINER, Event::Join(JoinerEvent::Failed { cause, .. })) => Some(cause),
        _ => None,
    });
    let mut failures: Vec<_> = failures.collect();
    failures.dedup();
    assert!(command(&mut world, 10, &[RELAY, LAMP, LIGHT]).share() >= 0.9);
    assert_eq!(world.station(JOINER).flash().len(), 0);
    assert_eq!(world.findings(), []);
    failures
}

#[test]
fn who_is_not_in_the_inventory_is_turned_away_like_who_has_another_key() {
    let other_key = turned_away(|record| match record.eui64 == eui64(JOINER) {
        true => DeviceRecord { psk: DevicePsk::new(&[0xee; 16]).expect("16 octets"), ..record },
        false => record,
    });
    let unknown = turned_away(|record| match record.eui64 == eui64(JOINER) {
        true => DeviceRecord { identity: Identity::new(b"nobody").expect("short"), ..record },
        false => record,
    });
    println!("substitution: {other_key:?} {unknown:?}");
    assert!(!other_key.is_empty());
    assert_eq!(other_key, unknown);
    // The same device with the key that the inventory has is let in.
    assert!(join(&mut with_joiner(|record| record), JOINER).is_some());
}

/// A switch in a light's place; what it commands is obeyed by so many.
fn commands_of_substitute(world: &mut World) -> usize {
    join(world, JOINER).expect("it is in the inventory");
    let obeyed = |what: &What| {
        matches!(what, What::Node(RELAY | LAMP | LIGHT, Event::GroupOpened { group: GROUP, .. }))
    };
    world.run_for(secs(10));
    world.press(JOINER, true);
    count(world, secs(5), obeyed)
}

fn pretends(record: DeviceRecord) -> DeviceRecord {
    match record.eui64 == eui64(JOINER) {
        true => {
            let groups = [(GROUP, Role::Sender)].into_iter().collect();
            DeviceRecord { kind: Kind::Switch, groups, ..record }
        }
        false => record,
    }
}

#[test]
fn who_pretends_to_more_than_the_inventory_says_commands_nobody() {
    let mut world = with_joiner(pretends);
    assert_eq!(commands_of_substitute(&mut world), 0);
    assert!(command(&mut world, 10, &[RELAY, LAMP, LIGHT]).share() >= 0.9);
    assert_eq!(world.findings(), []);
    // The defence's premise: were it so in the inventory, all three would obey.
    let mut world = Plan { really: pretends, known: pretends, ..Plan::new(2, vec![]) }.world();
    assert_eq!(commands_of_substitute(&mut world), 3);
}

#[test]
fn turning_away_is_told_to_people() {
    let mut world = with_joiner(|record| match record.eui64 == eui64(JOINER) {
        true => DeviceRecord { psk: DevicePsk::new(&[0xee; 16]).expect("16 octets"), ..record },
        false => record,
    });
    world.power_on(JOINER);
    let claimed = Some(Identity::from(eui64(JOINER)));
    let told = count(&mut world, secs(30), |what| match what {
        What::Manager(ManagerEvent::HandshakeFailed { claimed: who, .. }) => *who == claimed,
        _ => false,
    });
    assert!(told > 0, "nobody hears of the substitute");
}
