//! Purpose: extraction of security parameters (threat 6 of section 3.1). Somebody takes the lamp away and reads
//! its flash out.
//! Topology: the building of [`super::support`]; the attacker hangs beside the relay.
//! Clause: section 3.1 (6) of the draft; this design's revocation: another link key and other keys for every
//! group the device was in, unicast to those who stay (RFC 9031 section 8.4.3.1 for the switch).
//! Criteria: the flash holds the network's key and those of the device's own groups; no key of another device,
//! of another group, or of a session. With it the attacker is a member: the light obeys what he sends, and takes
//! group records that he seals as any sender. Once the lamp is expelled, nothing that he sends is opened and
//! nothing that he hears he can open, on the link or in a group, and nine of ten commands of the others arrive;
//! the group that the lamp was not in was never his.
//! Out of reach: between the theft and the expulsion he is a member: a light takes plain CoAP from any of them
//! (over a hundred commands in ten seconds), and a group whose policy asks for no signatures does not tell its
//! members apart. What the lamp heard before, he reads.

use super::support::*;
use lowgate_amikey::{Message, Messages};
use lowgate_node::Event;
use lowgate_node::flash::Record;
use lowgate_sim::world::{Lie, What, World};

fn stolen(lie: Lie) -> World {
    let mut world = Plan::new(6, vec![insider(1.0, LAMP, lie)]).world();
    world.power_off(LAMP);
    world.power_on(ATTACKER);
    world.run_for(LEARNT);
    world
}

#[test]
fn a_flash_holds_its_own_device_s_keys_and_no_others() {
    let mut world = Plan::new(6, vec![]).world();
    let flash = world.station(LAMP).flash();
    let mut groups = Vec::new();
    for (key, octets) in flash {
        for other in world.honest().filter(|other| *other != LAMP) {
            let theirs = psk(other);
            assert!(!octets.windows(16).any(|window| window == theirs), "{key:?}");
        }
        match Record::parse(*key, octets).expect("its own record") {
            Record::Group { group, messages } => {
                let keyed = |message| matches!(message, Message::Mkd(_));
                assert!(Messages::new(&messages).flatten().any(keyed));
                groups.push(group);
            }
            Record::Network { cfg, .. } => assert!(cfg.keys.len() <= 2),
            Record::FrameCounter { .. }
            | Record::MplSequence { .. }
            | Record::GroupSequence { .. } => {}
            // A share of its own: keys of pairs that it is one of, and of no others.
            Record::PairShare { .. } | Record::Pairs { .. } | Record::PairsLost { .. } => {}
            other @ (Record::DodagVersion { .. } | Record::Member { .. }) => {
                panic!("{other:?} is a border router's")
            }
        }
    }
    assert_eq!(groups, [GROUP]);
    assert_eq!(world.forged_commands_opened(LAMP, OTHER_GROUP), None, "it has no keys of it");
}

#[test]
fn who_has_the_keys_is_a_member_until_the_device_is_expelled() {
    let mut world = stolen(Lie::Command(eui64(LIGHT)));
    let obeyed = |what: &What| matches!(what, What::Node(LIGHT, Event::Light { .. }));
    let before = count(&mut world, secs(10), obeyed);
    let forged_before = world.forged_commands_opened(LAMP, GROUP).expect("it has its keys");
    revoke(&mut world, LAMP);
    let after = count(&mut world, secs(10), obeyed);
    let share = command(&mut world, 10, &[RELAY, LIGHT]).share();
    world.run_for(secs(10));
    let forged_after = world.forged_commands_opened(LAMP, GROUP).expect("it keeps them");
    println!(
        "extraction: commands {before}, then {after}; records {forged_before}, {forged_after}"
    );
    println!("extraction: {share:.2} of the commands arrive afterwards");
    assert!(before > 0 && forged_before > 0, "the thief is clumsy");
    assert_eq!((after, forged_after), (0, 0));
    assert!(share >= 0.9, "{share}");
    let revocation = world.checkers().revocation().expect("it is expelled");
    assert_eq!(revocation.frames_accepted_after, 0);
    assert_eq!(revocation.group_records_accepted_after, 0);
    assert_eq!(world.findings(), []);
}

#[cfg(feature = "planted")]
#[test]
fn where_a_revocation_keeps_keys_he_goes_on() {
    use lowgate_units::planted::{Fault, plant};
    let mut world = stolen(Lie::Command(eui64(LIGHT)));
    plant(Some(Fault::OldKeyKept));
    revoke(&mut world, LAMP);
    let obeyed = |what: &What| matches!(what, What::Node(LIGHT, Event::Light { .. }));
    let after = count(&mut world, secs(10), obeyed);
    plant(None);
    assert!(after > 0);
    let mut world = stolen(Lie::Command(eui64(LIGHT)));
    plant(Some(Fault::GroupKeysKept));
    revoke(&mut world, LAMP);
    let forged = world.forged_commands_opened(LAMP, GROUP);
    plant(None);
    assert!(forged > Some(0));
}
