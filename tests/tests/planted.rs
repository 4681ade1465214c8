//! Purpose: the checkers find what they are for. Topology: border router, two lights and a switch in a
//! line of rooms, a light beside the switch that comes late, three eavesdroppers beside the first light.
//! What happens: a join, reads, group commands, a restart, intrusions, a revocation.
//! Pass: with a mistake planted in the product, its checker finds it; without one, nothing is found.

use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Reply, Request, Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::check::{Fault as Found, Finding};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Intruder, Trick, World, WorldConfig};
use lowgate_units::planted::{Fault, plant};
use lowgate_units::{Duration, Eui64, Instant};

const GROUP: GroupId = GroupId(1);
const RELAY: StationId = StationId(1);
const SWITCH: StationId = StationId(3);
const LATE: StationId = StationId(4);
const EAVESDROPPERS: [StationId; 3] = [StationId(5), StationId(6), StationId(7)];

/// Between two rooms.
const ROOM_METRES: f64 = 18.0;
/// A disk so slow that an answer that does not wait for it is seen to be early.
const COMMIT_DELAY: Duration = Duration::from_secs(1);

/// What happens after the first three devices joined; a mistake is planted before.
const ACTS: [fn(&mut World); 5] = [join_late, read_and_command, restart, intrude, revoke];

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
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    building.propagation.shadowing_db = 0.0;
    building.border_routers = vec![place(0, 0.0, 0.0)];
    building.devices =
        vec![place(1, 1.0, 0.0), place(2, 2.0, 0.0), place(3, 3.0, 0.0), place(4, 3.0, 2.0)];
    let inventory = vec![
        record(0, Kind::BorderRouter, None),
        record(1, Kind::Light, Some(Role::Listener)),
        record(2, Kind::Light, Some(Role::Listener)),
        record(3, Kind::Switch, Some(Role::Sender)),
        record(4, Kind::Light, Some(Role::Listener)),
    ];
    let tricks = [Trick::Repeat, Trick::Forge, Trick::Inject];
    let intruders = tricks.into_iter().enumerate().map(|(n, trick)| Intruder::Eavesdropper {
        place: place(0xb0 + n as u8, 1.0, 1.0 + n as f64),
        trick,
    });
    let config = WorldConfig { commit_delay: COMMIT_DELAY, ..WorldConfig::new(7) };
    let store = Box::<MemoryStore>::default();
    let mut world = World::new(config, building, &inventory, intruders.collect(), store);
    ask(&mut world, Request::CreateGroup { id: GROUP, name: "lights".into() });
    ask(&mut world, Request::Import(inventory));
    ask(&mut world, Request::OpenWindow { until: Instant::from_secs(3000) });
    for station in world.honest().filter(|station| *station != LATE) {
        world.power_on(station);
        run(&mut world, 8);
    }
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

fn restart(world: &mut World) {
    world.power_off(RELAY);
    run(world, 2);
    world.power_on(RELAY);
    run(world, 20);
}

/// After the restart: who lost its power knows no counters, and takes from each neighbour what was
/// recorded of it until it hears the neighbour itself.
fn intrude(world: &mut World) {
    EAVESDROPPERS.into_iter().for_each(|eavesdropper| world.power_on(eavesdropper));
    run(world, 60);
    EAVESDROPPERS.into_iter().for_each(|eavesdropper| world.power_off(eavesdropper));
    run(world, 10);
}

fn revoke(world: &mut World) {
    ask(world, Request::Revoke { eui64: eui64(4) });
    let effective = |world: &World| {
        let revocation = world.checkers().revocation();
        revocation.and_then(|it| it.effective_at).is_some_and(|at| world.now() >= at)
    };
    world.run_until(Duration::from_secs(90), effective);
    world.press(SWITCH, false);
    run(world, 5);
    world.forge_group_records();
    run(world, 40);
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
    let found = findings.iter().any(|finding| expected(&finding.fault));
    assert!(found, "{planted:?} was planted and not found, only {findings:?}");
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
