//! Purpose: eavesdropping (threat 3 of section 3.1), while a device is let in and afterwards.
//! Topology: the building of [`super::support`]; the eavesdropper hears every frame of everybody.
//! Clause: section 3.1 (3) of the draft; RFC 6655 (AES-CCM) for the session in which all keys travel, the group
//! records of this design, security level 6 on the link.
//! Criteria: of a join, commands and reads no key and no word of what is said is heard. Whoever has the link key
//! as well still reads no command; who has the group's keys does, so it was there to be heard. A key that was
//! replaced opens nothing that is sent later.
//! Out of reach: who speaks with whom, when, and how much (see [`super::privacy`]). And who extracts a device's
//! PSK later reads its join if he recorded it: `TLS_PSK_WITH_AES_128_CCM_8` has no forward secrecy; where that
//! matters a curve costs the device an exponentiation (`TLS_ECDHE_PSK`).

use super::support::*;
use lowgate_amikey::{Message, Messages};
use lowgate_crypto::Key128;
use lowgate_manager::Request;
use lowgate_node::Event;
use lowgate_node::flash::Record;
use lowgate_sim::world::{What, World};

/// What the path of every command reads in clear.
const COMMAND: &[u8] = b"light";

/// Everybody's join keys, the link key, and the keys of the groups as the members hold them.
fn secrets(world: &World) -> Vec<Vec<u8>> {
    let mut secrets: Vec<Vec<u8>> = world.honest().map(|it| psk(it).to_vec()).collect();
    secrets.push(link_key(world).expose().to_vec());
    for station in world.honest() {
        let flash = world.station(station).flash().iter();
        for record in flash.filter_map(|(key, octets)| Record::parse(*key, octets)) {
            let Record::Group { messages, .. } = record else { continue };
            for message in Messages::new(&messages).flatten() {
                if let Message::Mkd(mkd) = message {
                    secrets.push(mkd.tgk.0.expose().to_vec());
                }
            }
        }
    }
    secrets
}

fn link_key(world: &World) -> Key128 {
    world.manager().domain().founding_pan().link_key.key.clone()
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

/// A join, commands and reads, all recorded.
fn busy() -> World {
    let mut world = Plan { capture: true, ..Plan::new(3, vec![]) }.world();
    assert!(join(&mut world, JOINER).is_some());
    world.run_for(secs(10));
    assert!(command(&mut world, 5, &[RELAY, LAMP, LIGHT, JOINER]).obeyed > 0);
    assert_eq!(read(&mut world, LIGHT, 3), 3);
    world
}

#[test]
fn no_key_and_no_word_is_heard() {
    let world = busy();
    let (frames, secrets) = (air(&world), secrets(&world));
    assert!(frames.len() > 300 && secrets.len() > 10, "{} {}", frames.len(), secrets.len());
    for (_, frame) in &frames {
        assert!(!contains(frame, COMMAND));
        assert!(!secrets.iter().any(|secret| contains(frame, secret)));
    }
    assert_eq!(world.findings(), []);
}

#[test]
fn the_link_key_alone_opens_no_command_and_the_group_s_keys_do() {
    let mut world = busy();
    world.take_happenings();
    world.press(SWITCH, true);
    world.run_for(secs(3));
    let sent: Vec<_> = world
        .take_happenings()
        .into_iter()
        .filter_map(|it| match it.what {
            What::Node(SWITCH, Event::GroupSent { record, .. }) => Some(record),
            _ => None,
        })
        .collect();
    assert!(!sent.is_empty());
    let frames = air(&world);
    let link_key = link_key(&world);
    let opened: Vec<_> = frames.iter().filter_map(|(_, it)| opened(it, &link_key)).collect();
    println!("eavesdropping: {} of {} frames opened", opened.len(), frames.len());
    assert!(opened.len() > 200);
    assert!(!opened.iter().any(|payload| contains(payload, COMMAND)));
    // With the group's keys, which any member's flash holds.
    let heard = sent.iter().filter(|record| opened.iter().any(|it| contains(it, record)));
    let read = heard.filter(|record| {
        world.captured_plaintext(LIGHT, GROUP, record).is_some_and(|text| contains(&text, COMMAND))
    });
    assert!(read.count() > 0, "the commands were not among what was opened");
}

#[test]
fn a_key_that_was_replaced_opens_nothing_later() {
    let mut world = busy();
    let old = link_key(&world);
    world.ask(Request::RekeyNetwork, secs(60)).expect("a reply");
    assert!(world.run_until(secs(120), |world| link_key(world) != old));
    world.run_for(secs(30));
    let replaced_at = world.now();
    assert!(command(&mut world, 5, &[RELAY, LAMP, LIGHT, JOINER]).obeyed > 0);
    let frames = air(&world);
    let later = |key: &Key128| {
        let later = frames.iter().filter(|(at, _)| *at >= replaced_at);
        later.filter(|(_, frame)| opened(frame, key).is_some()).count()
    };
    let new = link_key(&world);
    println!("eavesdropping: the new key opens {}, the old one {}", later(&new), later(&old));
    assert_eq!(later(&old), 0);
    assert!(later(&new) > 20);
}

#[cfg(feature = "planted")]
#[test]
fn where_records_are_in_clear_the_keys_are_heard() {
    use lowgate_units::planted::{Fault, plant};
    plant(Some(Fault::CipherSkipped));
    let world = Plan { capture: true, ..Plan::new(3, vec![]) }.world();
    plant(None);
    let (frames, secrets) = (air(&world), secrets(&world));
    let heard = secrets.iter().filter(|it| frames.iter().any(|(_, frame)| contains(frame, it)));
    assert!(heard.count() > 0);
}
