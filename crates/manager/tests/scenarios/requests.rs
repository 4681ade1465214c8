//! What people ask, and what strangers and members send that makes no sense.

use crate::world::{GROUP, MANAGER, ROUTER, World, eui, record, secs};
use lowgate_access::{MANAGER_PORT, MANAGER_RELAY_PORT};
use lowgate_amikey::{CsbId, Message, MsgId, Req};
use lowgate_dtls::ContentType;
use lowgate_manager::{
    DEVICES_MAX, DevicePsk, GroupId, GroupRefused, Identity, ImportFault, ImportRefused, Kind,
    ManagerDrop, ManagerEvent, Refusal, Reply, Request, RevokeRefused, Role, WINDOW_MAX,
    WindowRefused,
};
use lowgate_units::{Duration, Prng};
use proptest::prelude::*;

fn refusal(world: &mut World, request: Request) -> Refusal {
    match world.reply(request, secs(1)) {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Criteria: every fault of every line is named, and not one line is taken.
#[test]
fn an_import_names_all_faults_and_takes_nothing() {
    let mut world = World::new(1);
    world.import_office(1);
    let revision = world.status().revision;
    let mut taken_name = record(30, Kind::Light, &[]);
    taken_name.identity = Identity::from(eui(1));
    let mut long = record(31, Kind::Light, &[(GroupId(9), Role::Listener)]);
    long.room = "r".repeat(65);
    let lines = vec![
        record(1, Kind::Light, &[]),
        record(32, Kind::Light, &[]),
        record(32, Kind::BorderRouter, &[]),
        taken_name,
        long,
    ];
    let fault = |line, fault| ImportRefused { line, fault };
    let faults = vec![
        fault(0, ImportFault::EuiTaken),
        fault(0, ImportFault::IdentityTaken),
        fault(2, ImportFault::EuiTaken),
        fault(2, ImportFault::IdentityTaken),
        fault(3, ImportFault::IdentityTaken),
        fault(4, ImportFault::LabelTooLong),
        fault(4, ImportFault::UnknownGroup(GroupId(9))),
    ];
    assert_eq!(refusal(&mut world, Request::Import(lines)), Refusal::Import(faults));
    assert_eq!(world.status().revision, revision);
    assert!(!world.manager.domain().devices().contains_key(&eui(32)));
}

#[test]
fn bounds_of_the_inventory() {
    let mut world = World::new(1);
    let groups: Vec<_> = (20..29).map(|n| (GroupId(n), Role::Listener)).collect();
    for (id, _) in &groups {
        world.must(Request::CreateGroup { id: *id, name: String::new() });
    }
    let crowded = Request::Import(vec![record(1, Kind::Light, &groups)]);
    let fault = ImportRefused { line: 0, fault: ImportFault::TooManyGroups };
    assert_eq!(refusal(&mut world, crowded), Refusal::Import(vec![fault]));
    let senders = (0..=12).map(|n| record(n, Kind::Switch, &[(GROUP, Role::Sender)])).collect();
    let fault = ImportRefused { line: 12, fault: ImportFault::GroupSendersFull(GROUP) };
    assert_eq!(refusal(&mut world, Request::Import(senders)), Refusal::Import(vec![fault]));
    let numbered = |n: u16| {
        let mut line = record(0, Kind::Light, &[]);
        let [high, low] = n.to_be_bytes();
        (line.eui64.0[5], line.eui64.0[7]) = (high, low);
        line.identity = Identity::from(line.eui64);
        line.psk = DevicePsk::new(&[1; 16]).expect("16 octets");
        line
    };
    let fault = ImportRefused { line: DEVICES_MAX, fault: ImportFault::InventoryFull };
    let many = (0..=DEVICES_MAX as u16).map(numbered).collect();
    assert_eq!(refusal(&mut world, Request::Import(many)), Refusal::Import(vec![fault]));
}

#[test]
fn groups_and_windows() {
    let mut world = World::new(1);
    let again = Request::CreateGroup { id: GROUP, name: "again".into() };
    assert_eq!(refusal(&mut world, again), Refusal::Group(GroupRefused::IdTaken));
    let long = Request::CreateGroup { id: GroupId(8), name: "n".repeat(65) };
    assert_eq!(refusal(&mut world, long), Refusal::Group(GroupRefused::LabelTooLong));
    for n in 100..163 {
        world.must(Request::CreateGroup { id: GroupId(n), name: String::new() });
    }
    let last = Request::CreateGroup { id: GroupId(8), name: String::new() };
    assert_eq!(refusal(&mut world, last), Refusal::Group(GroupRefused::Full));
    let past = Request::OpenWindow { until: world.now };
    assert_eq!(refusal(&mut world, past), Refusal::Window(WindowRefused::InThePast));
    let until = world.now + WINDOW_MAX + Duration::from_secs(1);
    let long = Request::OpenWindow { until };
    assert_eq!(refusal(&mut world, long), Refusal::Window(WindowRefused::TooLong));
    let unknown = Request::Revoke { eui64: eui(77) };
    let refused = Refusal::Revoke(RevokeRefused::UnknownDevice);
    assert_eq!(refusal(&mut world, unknown), refused);
}

/// Criteria: a member that asks is told again; one that wants other groups is refused.
#[test]
fn a_member_asks_for_its_keys() {
    let mut world = World::new(1);
    world.import_office(1);
    world.open_window();
    world.join_all();
    world.device(eui(1)).groups.clear();
    let csb_id = CsbId::NONE;
    let req = Req { msg_id: MsgId(1), csb_id, tek_id: None, wishes: heapless::Vec::new() };
    let mut octets = [0; 64];
    let len = Message::Req(req).emit(&mut octets).expect("room");
    world.send(eui(1), ContentType::KeyParameters, &octets[..len]);
    world.run_for(secs(2));
    assert!(world.device(eui(1)).groups.contains_key(&GROUP));
}

/// Criteria: a member's senseless records are dropped by name, and the session goes on.
#[test]
fn a_member_sends_nonsense() {
    let mut world = World::new(1);
    world.import_office(1);
    world.open_window();
    world.join_all();
    let mut prng = Prng::new(9);
    for n in 0..600u64 {
        let len = 1 + prng.below(40) as usize;
        let mut octets: Vec<u8> = (0..len).map(|_| prng.next_u64() as u8).collect();
        // Mostly octets that begin like key messages; ERR would end a delivery, rightly.
        octets[0] =
            if n % 2 == 0 { [0xa1, 0xa2, 0xa3, 0xa4, 0xa5][n as usize / 2 % 5] } else { octets[0] };
        let types =
            [ContentType::KeyData, ContentType::KeyParameters, ContentType::ApplicationData];
        world.send(eui(1), types[n as usize % 3], &octets);
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(secs(5));
    let dropped = |event: &ManagerEvent| {
        matches!(
            event,
            ManagerEvent::DatagramDropped(ManagerDrop::KeyMessage(_) | ManagerDrop::Coap(_))
        )
    };
    assert!(world.count(dropped) > 100);
    let request = Request::ReadResource { eui64: eui(1), path: "temperature".into() };
    assert!(matches!(world.reply(request, secs(5)), Reply::Resource { code: 0x45, .. }));
}

/// Criteria: a device that does not answer leaves the reader with a refusal, one without a session at once.
#[test]
fn a_read_that_nobody_answers() {
    let mut world = World::new(1);
    world.import_office(1);
    world.open_window();
    world.join_all();
    world.device(eui(1)).mute = true;
    let read = Request::ReadResource { eui64: eui(1), path: "temperature".into() };
    assert_eq!(world.reply(read.clone(), secs(200)), Reply::Refused(Refusal::NoAnswer));
    let pending = world.ask(read.clone());
    world.must(Request::Revoke { eui64: eui(1) });
    assert_eq!(world.replies.get(&pending), Some(&Reply::Refused(Refusal::NoAnswer)));
    assert_eq!(refusal(&mut world, read), Refusal::NoSession);
    let long = Request::ReadResource { eui64: eui(100), path: "x".repeat(200) };
    assert_eq!(refusal(&mut world, long), Refusal::Path);
}

/// Criteria: a key message is confirmed by nobody but its addressee: another member's ACK is nothing.
#[test]
fn an_ack_of_another_session_confirms_nothing() {
    let mut world = World::new(1);
    world.import_office(2);
    world.open_window();
    world.join_all();
    world.device(eui(2)).mute = true;
    world.must(Request::Revoke { eui64: eui(1) });
    for msg_id in 0..=255 {
        world.send(ROUTER, ContentType::KeyParameters, &[0xa3, msg_id]);
    }
    world.run_for(secs(20));
    assert_eq!(world.key_indices().1, Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_datagram_leaves_the_manager_alone(
        octets in prop::collection::vec(any::<u8>(), 0..200),
        port in prop::sample::select(vec![MANAGER_PORT, MANAGER_RELAY_PORT, 1]),
    ) {
        let mut world = World::new(1);
        world.datagram(MANAGER, port, octets.clone());
        let mut envelope = vec![0x82, 0x41, 0xaa, 0x58, octets.len() as u8];
        envelope.extend(octets);
        world.datagram(MANAGER, MANAGER_RELAY_PORT, envelope);
        prop_assert_eq!(world.status().sessions, 0);
    }
}
