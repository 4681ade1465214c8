//! Purpose: the checkers find what they are for. Topology: border router, two lights and a switch in a
//! line of rooms, a light beside the switch that comes late and one that comes last, three eavesdroppers
//! beside the first light. Two more tests install a building of 40 devices at once, and one stands 40 in a corridor.
//! What happens: a join, reads, group commands, restarts, an envelope from an outsider, intrusions, a flash
//! that is worn out, a revocation, another join.
//! Pass: with a mistake planted in the product, its checker finds it; without one, nothing is found.
//!
//! | mistake | layer | what finds it | in the world's second |
//! |---|---|---|---|
//! | `CounterRepeats` | mac, node | frames: a counter sealed twice | 58 |
//! | `MicUnchecked` | mac | frames: opened, and sealed by nobody | 152 |
//! | `ReplayAccepted` | mac | frames: opened, and not newer than what was | 152 |
//! | `ForgerMovesCounter` | mac | frames: refused, and newer than all | 156 |
//! | `CounterUnreserved` | mac | frames: a counter that flash lacks | 61 |
//! | `FragmentsMixed` | sixlowpan | an honest frame that cannot be read | 12 |
//! | `HopLimitKept` | net | air: passed on with the hop limit of its origin | 38 |
//! | `MplSequenceRepeats` | net, node | air: one sequence number, two packets | 62 |
//! | `ChecksumSkipped` | router | a datagram on the backbone that cannot be read | 1 |
//! | `RegistrationUnchecked` | net | registered, and not named by the manager | 293 |
//! | `RegistrationKept` | net | a route to a revoked device | 316 |
//! | `CookieUnchecked` | dtls | backbone: ServerHello without a cookie shown | 36 |
//! | `RecordSequenceRepeats` | dtls | backbone: one number, two records | 50 |
//! | `CipherSkipped` | dtls | domain: a key in clear | 37 |
//! | `GroupReplayAccepted` | dtls | groups: opened again when given again | 52 |
//! | `GroupSequenceRepeats` | node | groups: one number, two records | 62 |
//! | `OldEpochKept` | node | the revoked device's group keys, tried | 319 |
//! | `OldKeyKept` | node | a revoked device's frame opened | 319 |
//! | `SwitchIgnored` | node | the key in force heard and not used | 436 |
//! | `KeysUnstored` | node | keys in use that flash lacks | 37 |
//! | `UnsecuredAccepted` | node | a secured frame to a stranger | 152 |
//! | `RelayElsewhere` | node, access | backbone: a packet for nobody | 36 |
//! | `EnvelopeUnchecked` | access | frames: unsecured, to somebody never heard | 130 |
//! | `PausesUnbounded` | access | convergence | 331 |
//! | `AnswerBeforeCommit` | manager | a member that the store does not know | 37 |
//! | `RevocationForgetsOne` | manager | a revoked device opens a frame | 314 |
//! | `GroupKeysKept` | manager | a revoked device opens a group record | 314 |
//! | `SenderIdShared` | manager | domain: a SenderID given twice | 89 |
//! | `AddressShared` | manager | domain: an address given twice | 355 |
//! | `RevokedForgotten` | manager | a revoked device is admitted | 353 |
//! | `TreeKeepsTheGone` | manager | a revoked device opens a frame | its own world |
//! | `PairShareUnstored` | node | pairs: a share in use that flash lacks | their own world |
//! | `PairRandomRepeats` | node | pairs: one number, two records | |
//! | `PairLossForgotten` | manager | pairs: a session with who is revoked | |
//! | `PairLostServed` | node | pairs: a session with who is revoked | |
//! | `PairSessionKept` | node | pairs: a session with who is revoked goes on | |
//!
//! The mistakes of the line of rooms are planted in second 32, those of the building from the beginning.
//! A mistake waits for its occasion: for a record in clear that is the next join, for a key that is kept
//! the revocation.

use lowgate_access::jpy::Envelope;
use lowgate_access::{JOIN_PORT, MANAGER_RELAY_PORT};
use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Reply, Request, Role,
};
use lowgate_node::{Event, PairEvent};
use lowgate_router::{Datagram, packet};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::check::{Fault as Found, Finding};
use lowgate_sim::eviction::{Way, evict};
use lowgate_sim::medium::StationId;
use lowgate_sim::scenario::{Disaster, Expectation, Outcome, Run, RunOptions, Scenario, Trouble};
use lowgate_sim::world::{Intruder, MANAGER_ADDR, Trick, What, World, WorldConfig};
use lowgate_units::planted::{Fault, plant};
use lowgate_units::{Duration, Eui64, Iid, Instant, ShortAddr};

const GROUP: GroupId = GroupId(1);
const RELAY: StationId = StationId(1);
const NEXT: StationId = StationId(2);
const SWITCH: StationId = StationId(3);
const LATE: StationId = StationId(4);
const NEWCOMER: StationId = StationId(5);
const EAVESDROPPERS: [StationId; 3] = [StationId(6), StationId(7), StationId(8)];

/// Between two rooms.
const ROOM_METRES: f64 = 18.0;
/// A disk so slow that an answer that does not wait for it is seen to be early.
const COMMIT_DELAY: Duration = Duration::from_secs(1);

/// What happens after the first three devices joined; a mistake is planted before.
const ACTS: [fn(&mut World); 10] = [
    join_late,
    read_and_command,
    restart_switch,
    restart_relay,
    forge_envelope,
    intrude,
    wear_out,
    revoke,
    join_newcomer,
    linger,
];

fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, n])
}

fn place(n: u8, rooms: f64, y: f64) -> Device {
    Device { eui64: eui64(n), level: 0, x: rooms * ROOM_METRES, y }
}

fn record(n: u8, kind: Kind, role: Option<Role>) -> DeviceRecord {
    DeviceRecord {
        eui64: eui64(n),
        identity: Identity::from(eui64(n)),
        psk: DevicePsk::new(&[n.wrapping_mul(37); 16]).expect("16 octets"),
        kind,
        name: format!("device {n}"),
        room: String::new(),
        groups: role.into_iter().map(|role| (GROUP, role)).collect(),
    }
}

fn world() -> World {
    let tricks = [Trick::Repeat, Trick::Forge, Trick::Inject];
    let intruders = tricks.into_iter().enumerate().map(|(n, trick)| Intruder::Eavesdropper {
        place: place(0xb0 + n as u8, 1.0, 1.0 + n as f64),
        trick,
    });
    let mut world = world_of(WorldConfig::new(7), intruders.collect());
    for station in world.honest().filter(|station| ![LATE, NEWCOMER].contains(station)) {
        world.power_on(station);
        run(&mut world, 8);
    }
    world
}

/// Nobody has power yet.
fn world_of(config: WorldConfig, intruders: Vec<Intruder>) -> World {
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.propagation.shadowing_db = 0.0;
    building.border_routers = vec![place(0, 0.0, 0.0)];
    building.devices = [(1, 1.0, 0.0), (2, 2.0, 0.0), (3, 3.0, 0.0), (4, 3.0, 2.0), (5, 2.0, 2.0)]
        .map(|(n, rooms, y)| place(n, rooms, y))
        .to_vec();
    let inventory = vec![
        record(0, Kind::BorderRouter, None),
        record(1, Kind::Light, Some(Role::Listener)),
        record(2, Kind::Light, Some(Role::Listener)),
        record(3, Kind::Switch, Some(Role::Sender)),
        record(4, Kind::Light, Some(Role::Listener)),
        record(5, Kind::Light, Some(Role::Listener)),
    ];
    let config = WorldConfig { commit_delay: COMMIT_DELAY, ..config };
    let store = Box::<MemoryStore>::default();
    let mut world = World::new(config, building, &inventory, intruders, store);
    ask(&mut world, Request::CreateGroup { id: GROUP, name: "lights".into() });
    ask(&mut world, Request::Import(inventory));
    ask(&mut world, Request::OpenWindow { until: Instant::from_secs(3000) });
    world
}

fn run(world: &mut World, seconds: u64) {
    world.run_for(Duration::from_secs(seconds));
}

fn ask(world: &mut World, request: Request) -> Option<Reply> {
    world.ask(request, Duration::from_secs(5))
}

fn join_late(world: &mut World) {
    world.power_on(LATE);
    run(world, 15);
}

fn read_and_command(world: &mut World) {
    for _ in 0..3 {
        ask(world, Request::ReadResource { eui64: eui64(1), path: "light".into() });
    }
    world.press(SWITCH, true);
    run(world, 5);
}

fn restart(world: &mut World, station: StationId) {
    world.power_off(station);
    run(world, 2);
    world.power_on(station);
}

/// It commands its group before it has a session again, under the SenderID that it had.
fn restart_switch(world: &mut World) {
    for on in [false, true] {
        restart(world, SWITCH);
        run(world, 4);
        world.press(SWITCH, on);
        run(world, 20);
    }
}

fn restart_relay(world: &mut World) {
    restart(world, RELAY);
    run(world, 20);
}

/// Somebody in the building's network poses as the manager and has a relay address a device of his choice.
fn forge_envelope(world: &mut World) {
    let header = [&[1, 0, 0xf0, 0xbc][..], &Iid::from(eui64(0xee)).0, &[0; 8]].concat();
    let content = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut payload = [0; 64];
    let envelope = Envelope { header: &header, content: &content };
    let len = envelope.emit(&mut payload).expect("room");
    let short = ShortAddr::new(1).expect("not reserved");
    let dst = Iid::from(short).under(world.manager().domain().config().mesh_prefix);
    world.from_building(packet(&Datagram {
        src: MANAGER_ADDR,
        dst,
        src_port: MANAGER_RELAY_PORT,
        dst_port: JOIN_PORT,
        payload: &payload[..len],
    }));
    run(world, 2);
}

/// After the restart: who lost its power knows no counters, and takes from each neighbour what was
/// recorded of it until it hears the neighbour itself.
fn intrude(world: &mut World) {
    EAVESDROPPERS.into_iter().for_each(|eavesdropper| world.power_on(eavesdropper));
    run(world, 60);
    EAVESDROPPERS.into_iter().for_each(|eavesdropper| world.power_off(eavesdropper));
    run(world, 10);
}

/// A flash that takes no more writes has nothing reserved: who wakes up with it must keep silent.
fn wear_out(world: &mut World) {
    world.endure(RELAY, 0);
    restart(world, RELAY);
    run(world, 20);
    world.endure(RELAY, u64::MAX);
    restart(world, RELAY);
    run(world, 60);
}

/// While the change of keys waits for the switch, whoever is revoked tries to get in with the old one.
fn revoke(world: &mut World) {
    world.power_off(SWITCH);
    ask(world, Request::Revoke { eui64: eui64(4) });
    run(world, 3);
    restart(world, LATE);
    run(world, 15);
    world.power_on(SWITCH);
    let effective = |world: &World| {
        let revocation = world.checkers().revocation();
        revocation.and_then(|it| it.effective_at).is_some_and(|at| world.now() >= at)
    };
    world.run_until(Duration::from_secs(120), effective);
    world.press(SWITCH, false);
    run(world, 40);
}

fn join_newcomer(world: &mut World) {
    world.power_on(NEWCOMER);
    run(world, 20);
}

/// Whoever missed the new key, and whoever was revoked, has long noticed.
fn linger(world: &mut World) {
    run(world, 180);
}

/// What is found until something is that `expected` names, or until the end.
fn findings(planted: Option<Fault>, expected: fn(&Found) -> bool) -> (World, Vec<Finding>) {
    plant(None);
    let mut world = world();
    assert!(world.survey().joins()[1..4].iter().all(|join| join.took().is_some()));
    plant(planted);
    for act in ACTS {
        act(&mut world);
        if world.findings().iter().any(|finding| expected(&finding.fault)) {
            break;
        }
    }
    plant(None);
    let findings = world.findings().to_vec();
    (world, findings)
}

fn check(planted: Fault, expected: fn(&Found) -> bool) {
    let (_, findings) = findings(Some(planted), expected);
    let found = findings.iter().find(|finding| expected(&finding.fault));
    let found = found.unwrap_or_else(|| panic!("{planted:?} was not found, only {findings:?}"));
    println!("{planted:?}: {found}");
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    let (world, findings) = findings(None, |_| true);
    assert_eq!(findings, []);
    // And it was no quiet time.
    assert!(world.survey().joins()[1..].iter().all(|join| join.took().is_some()));
    let revocation = world.checkers().revocation().expect("the late light was revoked");
    assert!(revocation.effective_at.is_some());
    assert!(revocation.frames_heard_after > 0 && revocation.group_records_heard_after > 0);
    assert!(revocation.group_records_forged > 0);
}

#[test]
fn a_counter_that_repeats() {
    check(Fault::CounterRepeats, |found| matches!(found, Found::FrameCounterReused { .. }));
}

#[test]
fn a_mic_that_is_not_checked() {
    check(Fault::MicUnchecked, |found| matches!(found, Found::ForgedFrameOpened { .. }));
}

#[test]
fn a_frame_opened_again() {
    check(Fault::ReplayAccepted, |found| matches!(found, Found::ReplayOpened { .. }));
}

#[test]
fn a_relay_that_forwards_to_elsewhere() {
    check(Fault::RelayElsewhere, |found| matches!(found, Found::StrayPacket { .. }));
}

#[test]
fn an_unsecured_frame_treated_as_a_secured_one() {
    check(Fault::UnsecuredAccepted, |found| matches!(found, Found::StrangerAddressed { .. }));
}

#[test]
fn a_revocation_that_forgets_one_device() {
    check(Fault::RevocationForgetsOne, |found| matches!(found, Found::RevokedOpened { .. }));
}

#[test]
fn a_revocation_that_keeps_the_group_keys() {
    check(Fault::GroupKeysKept, |found| matches!(found, Found::RevokedOpenedGroup { .. }));
    check(Fault::GroupKeysKept, |found| matches!(found, Found::RevokedGroupAccepted { .. }));
}

#[test]
fn an_old_key_that_goes_on_opening() {
    check(Fault::OldKeyKept, |found| matches!(found, Found::RevokedAccepted { .. }));
}

#[test]
fn keys_handed_out_before_the_store_has_the_admission() {
    check(Fault::AnswerBeforeCommit, |found| matches!(found, Found::MemberNotAdmitted { .. }));
}

#[test]
fn a_border_router_that_keeps_a_registration() {
    check(Fault::RegistrationKept, |found| matches!(found, Found::RevokedRouted { .. }));
}

#[test]
fn a_record_number_used_twice() {
    check(Fault::RecordSequenceRepeats, |found| matches!(found, Found::RecordNumberReused { .. }));
}

#[test]
fn a_forger_that_moves_a_counter() {
    check(Fault::ForgerMovesCounter, |found| matches!(found, Found::FreshFrameRefused { .. }));
}

#[test]
fn a_counter_that_is_not_reserved() {
    check(Fault::CounterUnreserved, |found| matches!(found, Found::CounterNotReserved { .. }));
}

#[test]
fn a_hop_limit_that_stays() {
    check(Fault::HopLimitKept, |found| matches!(found, Found::HopNotCounted { .. }));
}

#[test]
fn a_seed_that_begins_anew() {
    check(Fault::MplSequenceRepeats, |found| matches!(found, Found::MplSequenceReused { .. }));
}

#[test]
fn a_registration_of_whoever_asks() {
    check(Fault::RegistrationUnchecked, |found| matches!(found, Found::StrangerRegistered { .. }));
}

#[test]
fn a_hello_without_cookie_that_is_answered() {
    check(Fault::CookieUnchecked, |found| matches!(found, Found::HelloAnswered { .. }));
}

#[test]
fn a_record_in_clear() {
    check(Fault::CipherSkipped, |found| matches!(found, Found::SecretInClear));
}

#[test]
fn a_group_sequence_that_begins_anew() {
    check(Fault::GroupSequenceRepeats, |found| matches!(found, Found::GroupNumberReused { .. }));
}

#[test]
fn a_group_record_opened_again() {
    check(Fault::GroupReplayAccepted, |found| matches!(found, Found::GroupReplayOpened { .. }));
}

#[test]
fn an_old_epoch_that_goes_on_opening() {
    check(Fault::OldEpochKept, |found| matches!(found, Found::RevokedGroupAccepted { .. }));
}

#[test]
fn a_sender_id_given_twice() {
    check(Fault::SenderIdShared, |found| matches!(found, Found::SenderIdShared { .. }));
}

#[test]
fn an_address_given_twice() {
    check(Fault::AddressShared, |found| matches!(found, Found::AddressShared { .. }));
}

#[test]
fn a_revocation_that_forgets_the_device() {
    check(Fault::RevokedForgotten, |found| matches!(found, Found::RevokedReadmitted { .. }));
}

#[test]
fn keys_in_force_before_flash_has_them() {
    check(Fault::KeysUnstored, |found| matches!(found, Found::KeysNotStored { .. }));
}

#[test]
fn a_switch_of_keys_that_is_not_followed() {
    check(Fault::SwitchIgnored, |found| matches!(found, Found::KeyNotCurrent { .. }));
}

#[test]
fn an_envelope_of_somebody_else() {
    check(Fault::EnvelopeUnchecked, |found| matches!(found, Found::UnheardAddressed { .. }));
}

/// Everybody is installed at once, while `planted` is.
fn crowd(planted: Option<Fault>, disasters: Vec<Disaster>) -> Outcome {
    let gap = Duration::from_millis(10);
    let mut scenario =
        Scenario::installed(40, 5, gap, Duration::from_secs(600)).expect("a building for 40");
    scenario.disasters = disasters;
    scenario.expectations = vec![Expectation::Converged { within: Duration::from_secs(90) }];
    plant(planted);
    let outcome = Run::new(&scenario, 1, RunOptions::default()).perform();
    plant(None);
    outcome
}

/// The border router is away for some minutes, and nobody can join.
fn router_away() -> Vec<Disaster> {
    let (at, lasts) = (Instant::from_secs(1), Duration::from_secs(240));
    vec![Disaster { at, lasts, what: Trouble::NoPower(StationId(0)) }]
}

#[test]
fn a_crowd_joins_where_nothing_is_planted() {
    for disasters in [Vec::new(), router_away()] {
        let outcome = crowd(None, disasters);
        assert!(outcome.is_good(), "{:?} {:?}", outcome.findings, outcome.failures);
    }
}

#[test]
fn fragments_of_two_datagrams_put_together() {
    let findings = crowd(Some(Fault::FragmentsMixed), Vec::new()).findings;
    let found = findings
        .iter()
        .find(|it| matches!(it.fault, Found::HonestMalformed { .. } | Found::DatagramMalformed));
    println!("FragmentsMixed: {}", found.unwrap_or_else(|| panic!("{findings:?}")));
}

#[test]
fn a_datagram_without_a_checksum() {
    let findings = crowd(Some(Fault::ChecksumSkipped), Vec::new()).findings;
    let found = findings.iter().find(|it| matches!(it.fault, Found::DatagramMalformed));
    println!("ChecksumSkipped: {}", found.unwrap_or_else(|| panic!("{findings:?}")));
}

/// What is told through a key tree is measured elsewhere; here whoever went is told, too.
#[test]
fn a_tree_that_keeps_the_gone() {
    plant(Some(Fault::TreeKeepsTheGone));
    let cost = evict(40, 1, 0.0, Way::Tree, 1);
    plant(None);
    assert!(cost.findings > 0 && cost.opened_after > 0, "{cost:?}");
    println!("TreeKeepsTheGone: {} frames and records opened", cost.opened_after);
}

#[test]
fn pauses_without_an_end() {
    let outcome = crowd(Some(Fault::PausesUnbounded), router_away());
    assert!(!outcome.failures.is_empty(), "everybody is in: {outcome:?}");
    println!("PausesUnbounded: {}", outcome.failures[0]);
}

/// Everybody of the line of rooms is in and has a share; nobody intrudes.
fn paired_world() -> World {
    let mut world = world_of(WorldConfig { pairs: true, ..WorldConfig::new(9) }, Vec::new());
    for station in world.honest() {
        world.power_on(station);
        run(&mut world, 8);
    }
    run(&mut world, 60);
    world
}

fn read_light(world: &mut World, from: StationId, light: StationId) {
    let path = lowgate_coap::Path::new("light").expect("a path");
    let request = lowgate_coap::Request::new(lowgate_coap::Method::Get, path);
    world.ask_neighbour(from, light, request);
    run(world, 4);
}

/// Another polynomial; two sessions of the same two neighbours, one after the other; a revocation that somebody without power
/// holds up, so that whoever is revoked is still heard and goes on asking.
fn pair_findings(planted: Option<Fault>) -> Vec<Finding> {
    plant(None);
    let mut world = paired_world();
    assert_eq!(world.findings(), []);
    plant(planted);
    ask(&mut world, Request::RekeyPairs);
    run(&mut world, 40);
    read_light(&mut world, SWITCH, NEXT);
    run(&mut world, 130);
    read_light(&mut world, SWITCH, NEXT);
    world.power_off(LATE);
    ask(&mut world, Request::Revoke { eui64: eui64(3) });
    run(&mut world, 45);
    for light in [NEXT, NEWCOMER, NEXT] {
        read_light(&mut world, SWITCH, light);
    }
    plant(None);
    let events = world.take_happenings().into_iter().filter_map(|happening| match happening.what {
        What::Node(station, Event::Pair(event)) => Some((station, event)),
        _ => None,
    });
    let opened = events
        .filter(|(station, event)| *station == NEXT && matches!(event, PairEvent::Opened { .. }));
    assert!(opened.count() >= 2, "the two did not speak twice");
    world.findings().to_vec()
}

fn check_pairs(planted: Fault, expected: fn(&Found) -> bool) {
    let findings = pair_findings(Some(planted));
    let found = findings.iter().find(|finding| expected(&finding.fault));
    println!("{planted:?}: {}", found.unwrap_or_else(|| panic!("{planted:?}: {findings:?}")));
}

#[test]
fn nothing_is_found_between_two_where_nothing_is_planted() {
    assert_eq!(pair_findings(None), []);
}

#[test]
fn a_share_in_use_before_it_is_stored() {
    check_pairs(Fault::PairShareUnstored, |found| matches!(found, Found::KeysNotStored { .. }));
}

#[test]
fn two_sessions_of_a_pair_with_the_same_randoms() {
    check_pairs(Fault::PairRandomRepeats, |found| matches!(found, Found::PairNumberReused { .. }));
}

#[test]
fn a_loss_that_nobody_is_told() {
    check_pairs(Fault::PairLossForgotten, |found| matches!(found, Found::PairNotAdmitted { .. }));
}

#[test]
fn a_device_that_serves_who_is_lost() {
    check_pairs(Fault::PairLostServed, |found| matches!(found, Found::PairNotAdmitted { .. }));
}

#[test]
fn a_session_with_who_is_lost_that_goes_on() {
    check_pairs(Fault::PairSessionKept, |found| matches!(found, Found::PairNotAdmitted { .. }));
}
