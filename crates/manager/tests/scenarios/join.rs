//! Joining: who gets in, who does not, and what the manager tells whom.

use crate::world::{GROUP, Path, ROUTER, World, eui, secs};
use lowgate_amikey::{KeyError, Membership};
use lowgate_manager::{
    CloseReason, DeviceState, GroupId, ManagerEvent, NotAuthorized, Refusal, Reply, Request, Role,
    SENDER_IDS_PER_EPOCH,
};

fn office(lights: u8) -> World {
    let mut world = World::new(1);
    world.import_office(lights);
    world
}

fn refused(world: &World, wanted: NotAuthorized) -> usize {
    world.count(|event| matches!(event, ManagerEvent::NotAuthorized { why, .. } if *why == wanted))
}

/// Purpose: the whole way in. Topology: manager, border router, one light behind a relay.
/// Criteria: both have addresses and keys; the session follows the light; a resource is read.
#[test]
fn a_border_router_and_then_a_device_behind_a_relay() {
    let mut world = office(1);
    world.start(ROUTER);
    world.run_for(secs(5));
    assert_eq!(world.device(ROUTER).short.map(|short| short.raw()), Some(0), "no window needed");
    world.open_window();
    world.start(eui(1));
    world.run_for(secs(5));
    let status = world.status();
    let light = world.device(eui(1));
    assert_eq!(light.short.map(|short| short.raw()), Some(1));
    assert_eq!((light.sends_with, light.confirmed), (Some(1), 1), "one record held everything");
    assert!(light.groups[&GROUP].sender_id.is_none(), "a listener needs no SenderID");
    assert!(matches!(light.path, Path::Direct(_)));
    assert_eq!((status.expected, status.admitted, status.sessions), (1, 2, 2));
    assert_eq!(status.pans[0].router_revision, Some(status.revision));
    assert_eq!(world.device(ROUTER).admitted.len(), 1);
    let order: Vec<&str> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            ManagerEvent::HelloReceived { .. } => Some("hello"),
            ManagerEvent::Authenticated { .. } => Some("authenticated"),
            ManagerEvent::Admitted { .. } => Some("admitted"),
            ManagerEvent::RouterConfirmed { .. } => Some("router"),
            ManagerEvent::KeysSent { .. } => Some("sent"),
            ManagerEvent::KeysConfirmed { .. } => Some("confirmed"),
            ManagerEvent::SessionMoved { .. } => Some("moved"),
            _ => None,
        })
        .collect();
    let router = ["hello", "authenticated", "admitted", "sent", "confirmed", "router"];
    // The border router gets the keys of the light's group.
    let group = ["sent", "confirmed"];
    let light = ["router", "sent", "confirmed", "moved"];
    let light = [&["hello", "authenticated", "admitted"][..], &group, &light].concat();
    assert_eq!(order, [&router[..], &light[..]].concat());
    let request = Request::ReadResource { eui64: eui(1), path: "temperature".into() };
    match world.reply(request, secs(5)) {
        Reply::Resource { code: 0x45, payload, round_trip } => {
            assert_eq!((&payload[..], round_trip.as_millis()), (&b"21.5"[..], 80));
        }
        other => panic!("{other:?}"),
    }
    let request = Request::ReadResource { eui64: eui(100), path: "x".into() };
    assert_eq!(world.reply(request, secs(1)), Reply::Refused(Refusal::NoSession));
}

/// Criteria: nothing is stored, the failure is counted under the name that was claimed.
#[test]
fn a_wrong_key() {
    let mut world = office(1);
    world.open_window();
    let revision = world.status().revision;
    world.device(eui(1)).psk = vec![9; 16];
    world.device(eui(1)).once = true;
    world.start(eui(1));
    world.run_for(secs(30));
    let failed = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::HandshakeFailed {
            claimed: Some(name), reason: CloseReason::KeyMismatch, ..
        } if name.octets() == eui(1).0)
    };
    assert_eq!(world.count(failed), 1);
    assert_eq!(world.count(|event| matches!(event, ManagerEvent::Authenticated { .. })), 0);
    assert_eq!(world.status().revision, revision);
    match world.reply(Request::ListDevices, secs(1)) {
        Reply::Devices(devices) => {
            let light = devices.iter().find(|device| device.eui64 == eui(1)).expect("imported");
            assert_eq!((light.handshakes_failed, light.state), (1, DeviceState::Expected));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_identity_fails_as_a_wrong_key_does() {
    let mut world = office(1);
    world.open_window();
    world.device(eui(1)).identity = b"nobody".to_vec();
    world.device(eui(1)).once = true;
    world.start(eui(1));
    world.run_for(secs(30));
    let alert = CloseReason::PeerAlert(lowgate_dtls::AlertDescription::DECRYPT_ERROR);
    assert_eq!(world.device(eui(1)).closed, [alert]);
    assert_eq!(world.status().strangers, 1);
}

/// Criteria: refused after authentication, let in once the window is open, let in again when closed.
#[test]
fn the_window() {
    let mut world = office(1);
    world.start(ROUTER);
    world.run_for(secs(5));
    world.device(eui(1)).once = true;
    world.start(eui(1));
    world.run_for(secs(10));
    assert_eq!(refused(&world, NotAuthorized::WindowClosed), 1);
    assert_eq!(world.device(eui(1)).errors, [KeyError::NotAuthorized]);
    assert_eq!(world.device(eui(1)).short, None);
    world.open_window();
    world.start(eui(1));
    world.run_for(secs(10));
    assert!(world.device(eui(1)).short.is_some());
    world.must(Request::CloseWindow);
    world.device(eui(1)).path = Path::Relay;
    world.start(eui(1));
    world.run_for(secs(10));
    assert_eq!(world.count(|event| matches!(event, ManagerEvent::Returned { .. })), 1);
    assert_eq!(world.device(eui(1)).confirmed, 2);
}

#[test]
fn a_window_ends_by_itself() {
    let mut world = office(1);
    world.must(Request::OpenWindow { until: world.now + secs(5) });
    world.run_for(secs(10));
    assert_eq!(world.status().window_until, None);
    world.device(eui(1)).once = true;
    world.start(eui(1));
    world.run_for(secs(10));
    assert_eq!(refused(&world, NotAuthorized::WindowClosed), 1);
}

/// Criteria: what is asked beyond the inventory is not given, and the device is let in without it and told;
/// who is not who he says he is stays out.
#[test]
fn wishes_beyond_the_inventory() {
    let mut world = office(1);
    world.start(ROUTER);
    world.open_window();
    let light = world.device(eui(1));
    light.once = true;
    let request = light.request.as_mut().expect("it asks");
    request.node_id[0] ^= 1;
    world.start(eui(1));
    world.run_for(secs(5));
    assert_eq!(refused(&world, NotAuthorized::NodeIdMismatch), 1);
    world.device(eui(1)).request = None;
    world.start(eui(1));
    // It could ask in its session, for a minute.
    world.run_for(secs(59));
    assert_eq!(refused(&world, NotAuthorized::NoRequest), 0);
    world.run_for(secs(5));
    assert_eq!(refused(&world, NotAuthorized::NoRequest), 1);
    assert_eq!(world.device(eui(1)).short, None);
    let others = world.device(eui(100)).request.as_mut().expect("it asks");
    let unknown = Membership { group: GroupId(99), role: Role::Listener };
    others.groups[0].role = Role::SenderAndListener;
    others.groups.push(unknown).expect("room");
    world.start(eui(100));
    world.run_for(secs(5));
    let withheld = |event: &ManagerEvent| {
        matches!(event, ManagerEvent::GroupWithheld { eui64, group: GroupId(99) }
            if *eui64 == eui(100))
    };
    assert_eq!(world.count(withheld), 1);
    let switch = world.device(eui(100));
    assert!(switch.short.is_some() && switch.groups[&GROUP].sender_id.is_some());
    assert_eq!(switch.left, [GroupId(99)]);
}

/// Criteria: a device that is earlier than the border router is admitted and gets its keys later.
#[test]
fn keys_wait_for_the_border_router() {
    let mut world = office(1);
    world.open_window();
    world.start(eui(1));
    world.run_for(secs(10));
    assert_eq!(world.status().admitted, 1);
    assert_eq!(world.device(eui(1)).short, None);
    world.start(ROUTER);
    world.run_for(secs(5));
    assert!(world.device(eui(1)).short.is_some());
    assert_eq!(world.device(eui(1)).handshakes, 1);
}

/// Criteria: same address, another SenderID, the earlier session over.
#[test]
fn a_device_comes_again() {
    let mut world = office(1);
    world.open_window();
    world.join_all();
    let first = world.device(eui(100)).groups[&GROUP].sender_id;
    let short = world.device(eui(100)).short;
    for _ in 0..2 {
        world.device(eui(100)).path = Path::Relay;
        world.start(eui(100));
        world.run_for(secs(5));
    }
    let switch = world.device(eui(100));
    assert_eq!(switch.short, short);
    assert_ne!(switch.groups[&GROUP].sender_id, first);
    assert_eq!(world.status().sessions, 3);
}

/// Criteria: after the last SenderID of an epoch the group has another epoch, and its other members hear of it.
#[test]
fn sender_ids_run_out() {
    let mut world = office(1);
    world.open_window();
    world.join_all();
    let told = world.device(eui(1)).groups[&GROUP].clone();
    let before = told.tek_id;
    assert_eq!(told.parameters.senders.len(), usize::from(SENDER_IDS_PER_EPOCH));
    // The border router has one, the switch its first.
    for _ in 1..SENDER_IDS_PER_EPOCH {
        world.device(eui(100)).path = Path::Relay;
        world.start(eui(100));
        world.run_for(secs(1));
    }
    world.run_for(secs(5));
    let after = world.device(eui(1)).groups[&GROUP].tek_id;
    assert_eq!(after, before.next());
    let switch = world.device(eui(100));
    assert_eq!(switch.groups[&GROUP].tek_id, after);
    assert_eq!(switch.groups[&GROUP].sender_id.map(|id| id.raw()), Some(2));
}

/// Criteria: a border router that comes again is told of everybody again, in several bodies.
#[test]
fn the_border_router_comes_again() {
    let mut world = World::new(2);
    world.import_office(40);
    world.open_window();
    world.join_all();
    assert_eq!(world.device(ROUTER).admitted.len(), 41);
    world.device(ROUTER).admitted.clear();
    world.device(ROUTER).admitted.insert(eui(0xee), lowgate_manager::BORDER_ROUTER_SHORT);
    world.start(ROUTER);
    world.run_for(secs(10));
    assert_eq!(world.device(ROUTER).admitted.len(), 41);
    assert!(!world.device(ROUTER).admitted.contains_key(&eui(0xee)));
}

/// Criteria: with a tenth of the datagrams lost and a tenth repeated everybody joins all the same.
#[test]
fn loss_and_duplicates() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        world.import_office(5);
        world.open_window();
        (world.loss, world.duplication) = (20, 10);
        world.join_all();
        world.run_for(secs(120));
        let unkeyed: Vec<_> =
            world.devices.values().filter(|d| d.short.is_none()).map(|d| d.eui64).collect();
        assert!(unkeyed.is_empty(), "seed {seed}: {unkeyed:?}");
        assert_eq!(world.device(ROUTER).admitted.len(), 6, "seed {seed}");
    }
}
