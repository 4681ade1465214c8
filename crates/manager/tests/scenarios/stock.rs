//! Purpose: devices with a DTLS that knows nothing of ours get their keys by CoAP, `GET k` with Observe and `POST k`.
//! Topology: border router, a switch, lights; one light is such a device, behind its relay for good.
//! Criteria: it joins, is in the groups of the inventory, follows every change of keys, also when datagrams are lost, and
//! loses everything with its membership; what it says wrong is told and changes nothing.

use crate::world::{GROUP, ROUTER, Stock, World, eui, secs};
use lowgate_dtls::ContentType;
use lowgate_manager::{GroupId, ManagerEvent, NotAuthorized, Request, Role};

const CHANGED: u8 = 0x44;
const BAD_REQUEST: u8 = 0x80;
const FORBIDDEN: u8 = 0x83;

fn office(seed: u64, wishes: &[(GroupId, Role)]) -> World {
    let mut world = World::new(seed);
    world.import_office(2);
    world.open_window();
    let light = world.device(eui(1));
    (light.request, light.once) = (None, true);
    light.stock = Some(Stock::wanting(wishes));
    world
}

fn stock(world: &mut World) -> &mut Stock {
    world.device(eui(1)).stock.as_mut().expect("it is one")
}

/// Whether it holds what is in force.
fn is_current(world: &mut World) -> bool {
    let epoch = world.manager.domain().groups()[&GROUP].epoch.tek_id;
    let (key, staged) = world.key_indices();
    let light = world.device(eui(1));
    staged.is_none()
        && light.link_keys.contains_key(&key)
        && light.groups.get(&GROUP).is_some_and(|spd| spd.tek_id == epoch)
}

#[test]
fn it_joins_and_follows() {
    let mut world = office(1, &[(GROUP, Role::Listener)]);
    world.join_all();
    assert!(world.device(eui(1)).short.is_some() && is_current(&mut world));
    assert!(stock(&mut world).answers.iter().all(|code| *code == CHANGED));
    world.must(Request::RekeyGroup { id: GROUP });
    world.run_for(secs(10));
    assert!(is_current(&mut world), "the group's");
    world.must(Request::RekeyNetwork);
    world.run_for(secs(30));
    assert!(is_current(&mut world), "the network's");
    assert_eq!(world.device(eui(1)).handshakes, 1);
    let numbers = &stock(&mut world).numbers;
    assert!(numbers.len() >= 3 && numbers.is_sorted(), "{numbers:?}");
    // It leaves with everything.
    world.must(Request::Revoke { eui64: eui(1) });
    world.run_for(secs(60));
    assert!(!is_current(&mut world));
}

#[test]
fn it_follows_over_a_path_that_loses() {
    for seed in 0..10 {
        let mut world = office(seed, &[(GROUP, Role::Listener)]);
        world.join_all();
        world.must(Request::RekeyGroup { id: GROUP });
        world.loss = 20;
        world.duplication = 10;
        world.must(Request::RekeyGroup { id: GROUP });
        world.run_for(secs(60));
        world.loss = 0;
        world.run_for(secs(30));
        assert!(is_current(&mut world), "seed {seed}");
    }
}

#[test]
fn what_it_may_not_have() {
    // It is no sender, and in no other group.
    let mut world = office(1, &[(GROUP, Role::SenderAndListener), (GroupId(99), Role::Listener)]);
    world.join_all();
    assert!(is_current(&mut world));
    assert_eq!(world.device(eui(1)).groups[&GROUP].sender_id, None);
    let withheld = |event: &ManagerEvent| matches!(event, ManagerEvent::GroupWithheld { .. });
    assert!(world.count(withheld) > 0);

    let mut closed = office(2, &[]);
    closed.must(Request::CloseWindow);
    closed.start(ROUTER);
    closed.run_for(secs(5));
    closed.start(eui(1));
    closed.run_for(secs(5));
    assert_eq!(stock(&mut closed).answers, [FORBIDDEN]);
    let why = NotAuthorized::WindowClosed;
    let refused = |event: &ManagerEvent| matches!(event, ManagerEvent::NotAuthorized { why: it, .. } if *it == why);
    assert_eq!(closed.count(refused), 1);
    // It may try again in the same session.
    closed.open_window();
    let asks = stock(&mut closed).begin();
    for octets in asks {
        closed.send(eui(1), ContentType::ApplicationData, &octets);
    }
    closed.run_for(secs(10));
    assert!(is_current(&mut closed));
    assert_eq!(closed.device(eui(1)).handshakes, 1);
}

#[test]
fn what_cannot_be_read() {
    let mut world = office(1, &[]);
    world.start(ROUTER);
    world.run_for(secs(5));
    stock(&mut world).deaf = true;
    world.start(eui(1));
    world.run_for(secs(2));
    let before = stock(&mut world).answers.len();
    for content in [&[0xa3][..], &[0xff; 40], b"hello"] {
        let octets = stock(&mut world).post(content);
        world.send(eui(1), ContentType::ApplicationData, &octets);
        world.run_for(secs(1));
    }
    assert_eq!(stock(&mut world).answers[before..], [BAD_REQUEST; 3]);
    // It observes at last: what is out for it comes at once.
    let octets = stock(&mut world).observe();
    world.send(eui(1), ContentType::ApplicationData, &octets);
    world.run_for(secs(10));
    assert!(world.device(eui(1)).short.is_some());
}

/// Firmware may observe again and again, under another token each time.
#[test]
fn it_observes_anew() {
    let mut world = office(1, &[(GROUP, Role::Listener)]);
    world.join_all();
    for _ in 0..20 {
        let octets = stock(&mut world).observe();
        world.send(eui(1), ContentType::ApplicationData, &octets);
        world.run_for(secs(1));
    }
    stock(&mut world).numbers.clear();
    world.must(Request::RekeyGroup { id: GROUP });
    world.run_for(secs(10));
    assert!(is_current(&mut world));
    assert_eq!(stock(&mut world).numbers, [1], "told once");
}

/// Who never asks is gone after a minute; who comes again takes the place of its earlier session.
#[test]
fn authenticated_and_silent() {
    let mut world = office(1, &[]);
    world.start(ROUTER);
    world.run_for(secs(5));
    world.device(eui(1)).stock = None;
    for _ in 0..5 {
        world.start(eui(1));
        world.run_for(secs(20));
    }
    let late = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::NotAuthorized { why: NotAuthorized::NoRequest, .. })
    };
    assert_eq!(world.count(late), 0);
    world.run_for(secs(60));
    assert_eq!(world.count(late), 1);
}
