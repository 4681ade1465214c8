//! Scenarios as files: what is read, what is refused and in which words, and that writing is the reverse.

use super::*;
use lowgate_dtls::Psk;
use lowgate_manager::{GroupId, Identity};
use lowgate_sim::building::Device;
use lowgate_sim::scenario::{Deed, Disaster, Expectation, Timed, Trouble};
use lowgate_sim::world::{Backbone, Intruder, Lie, Towards, Trick};
use lowgate_units::{Duration, Instant};
use proptest::prelude::*;

const EVERY_KEY: &str = include_str!("../../../../../tests/scenarios/every-key.toml");

/// A building of two within.
const SMALL: &str = r#"name = "Small"
duration = "5m"

[building]
name = "Shed"
[[building.group]]
id = 1
name = "Lamps"
[[building.floor]]
level = 0
name = "Ground"
room = [
    { name = "Hall", x = 0, y = 0, width = 10, depth = 5 },
    { name = "Hut", x = 900, y = 0, width = 10, depth = 5 },
]
[building.border_router]
eui64 = "02124b0000000001"
floor = 0
x = 1
y = 1
[[building.device]]
eui64 = "02124b0000000002"
floor = 0
x = 4
y = 1
[[building.device]]
eui64 = "02124b0000000003"
floor = 0
x = 6
y = 1

[[building.inventory]]
eui64 = "02124b0000000001"
psk = "000102030405060708090a0b0c0d0e0f"
kind = "border-router"
room = "Hall"
groups = ""
[[building.inventory]]
eui64 = "02124b0000000002"
psk = "100102030405060708090a0b0c0d0e0f"
kind = "light"
name = "Lamp"
room = "Hall"
groups = "1:listener"
[[building.inventory]]
eui64 = "02124b0000000003"
psk = "200102030405060708090a0b0c0d0e0f"
kind = "switch"
name = "Knob"
room = "Hall"
groups = "1:sender"
"#;

fn parsed(text: &str) -> Read {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    parse("s.toml", text, &folder).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// What is wrong with [`SMALL`] and `more` after it, a line each: the lines of `more` count from 1.
#[track_caller]
fn check(more: &str, wrong: &[&str]) {
    let before = SMALL.lines().count();
    let faults = parse("s.toml", &format!("{SMALL}{more}"), Path::new("")).expect_err("wrong");
    let faults: Vec<_> = faults
        .iter()
        .map(|it| format!("{}: {}: {}", it.line - before, it.field, it.what))
        .collect();
    assert_eq!(faults, wrong);
}

/// Emit of parse is identity, and so is parse of emit.
fn check_identity(scenario: &Scenario) {
    let text = emit(scenario);
    let again = parse("again.toml", &text, Path::new("nowhere"));
    let again = again.unwrap_or_else(|faults| panic!("{faults:#?}\n{text}")).scenario;
    assert_eq!(
        (&again.name, &again.building, &again.inventory, &again.intruders),
        (&scenario.name, &scenario.building, &scenario.inventory, &scenario.intruders)
    );
    assert_eq!(
        (again.medium, again.duration, &again.deeds, &again.disasters, &again.expectations),
        (
            scenario.medium,
            scenario.duration,
            &scenario.deeds,
            &scenario.disasters,
            &scenario.expectations
        )
    );
    assert_eq!(emit(&again), text);
}

#[test]
fn emit_of_parse_is_identity() {
    check_identity(&parsed(SMALL).scenario);
    check_identity(&parsed(EVERY_KEY).scenario);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    for name in ["quiet.toml", "bad-day.toml", "intruders.toml"] {
        let read = read(&folder.join(name)).unwrap_or_else(|faults| panic!("{faults:#?}"));
        check_identity(&read.scenario);
    }
}

/// Of every kind.
fn intruders(relay: Eui64) -> Vec<Intruder> {
    let spot = |low: u8| Device {
        eui64: Eui64([2, 0, 0, 0, 0, 0, 0, low]),
        level: 1,
        x: 3.25,
        y: -1.0 / 3.0,
    };
    let mut intruders = Vec::new();
    let tricks = [
        Trick::Repeat,
        Trick::Forge,
        Trick::Inject,
        Trick::Flood(relay),
        Trick::Beacon,
        Trick::Jam(40),
    ];
    for (low, trick) in (1..).zip(tricks) {
        intruders.push(Intruder::Eavesdropper { place: spot(low), trick });
    }
    intruders.push(Intruder::Sniffer { place: spot(8) });
    for (low, identity) in [(9, &b"\x00nobody"[..]), (10, &relay.0)] {
        let identity = Identity::new(identity).expect("not too long");
        let psk = Psk::new(&[low; 3]).expect("not too long");
        intruders.push(Intruder::Stranger { place: spot(low), identity, psk });
    }
    let lies = [
        Lie::Rank,
        Lie::Crowd,
        Lie::Version,
        Lie::Route(relay),
        Lie::Address(relay),
        Lie::Removal(relay),
        Lie::Fragments(relay),
        Lie::Records(relay),
        Lie::Command(relay),
        Lie::Counter(relay),
    ];
    for (low, lie) in (20..).step_by(2).zip(lies) {
        let (place, trick) = (spot(low), Trick::Tell(lie));
        intruders.push(Intruder::Eavesdropper { place, trick });
        let place = spot(low + 1);
        intruders.push(Intruder::Insider { place, captured: relay, lie });
    }
    for (low, trick) in [(50, Trick::Tunnel(spot(51).eui64)), (51, Trick::Tamper(spot(50).eui64))] {
        intruders.push(Intruder::Eavesdropper { place: spot(low), trick });
    }
    intruders
}

#[test]
fn whatever_is_drawn_can_be_written() {
    let (secs, at) = (Duration::from_secs, Instant::from_micros);
    let gap = Duration::from_millis(250);
    let mut scenario = Scenario::installed(12, 9, gap, secs(400)).expect("12 devices");
    let relay = scenario.building.devices[3].eui64;
    scenario.intruders = intruders(relay);
    let (one, two) = (StationId(1), StationId(2));
    let group = GroupId(scenario.building.groups[0].id);
    let deeds = [
        Deed::Press { switch: two, on: false },
        Deed::Command { group, on: true },
        Deed::Read(one),
        Deed::Ping(two),
        Deed::Revoke(one),
        Deed::RekeyNetwork,
        Deed::RekeyGroup(group),
        Deed::OpenWindow(Duration::from_nanos(1_500_000_001)),
        Deed::Install(StationId(13)),
    ];
    let deeds = deeds.into_iter().filter(|deed| *deed != Deed::Install(StationId(13)));
    let timed = (0..).map(|nth| at(60_000_001 + nth * 999_999)).zip(deeds);
    scenario.deeds.extend(timed.map(|(at, what)| Timed { at, what }));
    let clogged = Backbone { loss: 0.1 + 0.2, duplication: 1e-9, jitter: Duration::from_micros(7) };
    let troubles = [
        Trouble::NoPower(StationId(0)),
        Trouble::NoManager,
        Trouble::StoreBroken,
        Trouble::StoreSlow(Duration::from_millis(1)),
        Trouble::Loss(1.0 / 3.0),
        Trouble::PathLoss { from: one, to: StationId(13), loss: 1.0 },
        Trouble::Backbone(Towards::Router, clogged),
        Trouble::Backbone(Towards::Manager, Backbone::QUIET),
        Trouble::Drift(one, -4000),
        Trouble::Jump(two),
        Trouble::WornFlash(one, 17),
        Trouble::Intruder(StationId(19)),
    ];
    scenario.disasters.extend(troubles.into_iter().map(|what| Disaster {
        at: at(61_500_000),
        lasts: Duration::from_millis(1),
        what,
    }));
    scenario.expectations = vec![
        Expectation::AllIn { by: at(60_000_000) },
        Expectation::In { station: one, at: at(1) },
        Expectation::Out { station: StationId(19), at: at(3) },
        Expectation::Commands { share: 0.7 },
        Expectation::Pings { share: 0.0 },
        Expectation::Reads { share: 1.0 },
        Expectation::Converged { within: secs(61) },
    ];
    scenario.check().unwrap_or_else(|faults| panic!("{faults:?}"));
    check_identity(&scenario);
}

#[test]
fn one_table_is_many_deeds() {
    let read = parsed(&format!(
        "{SMALL}{}",
        r#"
        [[deed]]
        at = 1
        what = "install"
        who = ["border router", "devices"]
        gap = "1500ms"
        [[traffic]]
        what = "press"
        who = "switches"
        every = "10s"
        from = "1m"
        until = "90s"
        [[traffic]]
        what = "ping"
        who = ["Lamp", "02-12-4b-00-00-00-00-03"]
        every = 20
        from = 240.5
        "#
    ));
    let install = |station| Deed::Install(StationId(station));
    let press = |on| Deed::Press { switch: StationId(2), on };
    let ping = |station| Deed::Ping(StationId(station));
    let expected = [
        (1_000, install(0)),
        (2_500, install(1)),
        (4_000, install(2)),
        (60_000, press(true)),
        (70_000, press(false)),
        (80_000, press(true)),
        (240_500, ping(1)),
        (260_500, ping(2)),
        (280_500, ping(1)),
    ];
    let expected = expected.map(|(at, what)| Timed { at: Instant::from_millis(at), what });
    assert_eq!(read.scenario.deeds, expected);
}

#[test]
fn all_faults_at_once() {
    let mistakes = r#"[[deed]]
at = "soon"
what = "press"
who = "Lamp"
on = 1
[[deed]]
at = 1
what = "dance"
[[deed]]
at = 1
what = "ping"
who = "border router"
with = "hope"
[[deed]]
at = "400s"
what = "rekey network"
[[deed]]
at = "1s"
what = "command"
group = "Lights"
[[traffic]]
what = "ping"
who = ["Lamp", "Bell"]
every = 0
from = 1
[[disaster]]
at = "299s"
lasts = "2s"
what = "no power"
who = 7
[[disaster]]
at = "1s"
what = "intruder"
who = 1
[[disaster]]
at = "290s"
lasts = "20s"
what = "no manager"
[[expect]]
what = "converged"
by = "1m"
[[wish]]
"#;
    let times = "allowed: a time as \"90s\", \"2m\", \"1h\", \"500ms\", \"20us\" or seconds";
    let device = "a device, by EUI-64, name in the inventory, or a number from 1 to 2";
    check(
        mistakes,
        &[
            &format!("2: deed.at: \"soon\"; {times}"),
            "5: deed.on: 1; allowed: true or false",
            "8: deed.what: \"dance\"; allowed: \"install\", \"open window\", \"press\", \"command\", \
             \"read\", \"ping\", \"revoke\", \"rekey network\", \"rekey group\"",
            &format!("12: deed.who: \"border router\"; allowed: {device}"),
            "13: deed.with: unknown field; allowed: at, what, who, gap",
            "14: deed.at: 400.000000 s is after the end of the run, 300.000000 s",
            "17: deed.on: missing; it is required",
            "20: deed.group: \"Lights\"; allowed: a group of the building: 1 \"Lamps\"",
            &format!("23: traffic.who: \"Bell\"; allowed: {device}"),
            "30: disaster.who: 7; allowed: \"border router\" or a device, by EUI-64, name in the \
             inventory, or a number from 0 to 2",
            "31: disaster.lasts: missing; it is required",
            "34: disaster.who: 1; allowed: an intruder, of whom there is none here",
            "35: disaster.lasts: 310.000000 s is after the end of the run, 300.000000 s",
            "39: expect.within: missing; it is required",
            "41: expect.by: unknown field; allowed: what, within",
            "42: wish: unknown field; allowed: name, duration, building, radio, intruder, deed, \
             traffic, disaster, expect",
        ],
    );
}

#[test]
fn what_cannot_come_true_is_told() {
    check(
        "[[expect]]\nwhat = \"pings\"\nshare = 0.5\n[[expect]]\nwhat = \"all in\"\nby = \"1h\"\n",
        &[
            "1: expect.share: cannot hold or fail: nobody pings in this scenario",
            "4: expect.by: 3600.000000 s is after the end of the run, 300.000000 s",
        ],
    );
    check(
        "[[traffic]]\nwhat = \"rekey network\"\nevery = \"1us\"\nfrom = 0\n",
        &[
            "3: traffic.every: \"1us\"; allowed: a time that passes at most 100000 times until the end",
        ],
    );
}

/// What is wrong with [`SMALL`] after `from` became `to`.
#[track_caller]
fn check_small(from: &str, to: &str, wrong: &[&str]) {
    assert!(SMALL.contains(from));
    let faults = parse("s.toml", &SMALL.replacen(from, to, 1), Path::new("/nowhere"));
    let faults: Vec<_> = faults.expect_err("wrong").iter().map(ToString::to_string).collect();
    assert_eq!(faults, wrong);
}

#[test]
fn whoever_hears_nobody_is_named_before_the_run() {
    check_small(
        "x = 6\n",
        "x = 905\n",
        &[
            "s.toml:26: device: 02-12-4b-00-00-00-00-03 is out of everybody's range: it hears nobody \
           who hears the border router, or only some; hang it nearer, or another device between",
        ],
    );
}

#[test]
fn mistakes_in_what_is_within_have_their_lines() {
    check_small(
        "x = 6\n",
        "x = 16\n",
        &[
            "s.toml:29: building.device.x, y: 16, 1 is in no room; allowed: inside a room of floor 0",
        ],
    );
    check_small(
        "kind = \"light\"",
        "kind = \"lamp\"",
        &[
            "s.toml:41: building.inventory.kind: \"lamp\"; allowed: border-router, light, switch, sensor",
        ],
    );
    check_small(
        "psk = \"1001",
        "psk = \"x001",
        &["s.toml:40: building.inventory.psk: not hexadecimal; allowed: 16 to 64 octets as \
           hexadecimal digits"],
    );
    check_small(
        "groups = \"1:sender\"",
        "groups = \"2:sender\"",
        &["s.toml:51: building.inventory.groups: \"2:sender\" is no group; allowed: 1"],
    );
    check_small("duration = \"5m\"\n", "", &["s.toml:1: duration: missing; it is required"]);
}

#[test]
fn the_files_that_it_names_are_read_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let text = "name = \"a\"\nduration = 1\nbuilding = { file = \"office.toml\", inventory = \"x.csv\" }\n";
    let faults = parse("s.toml", text, &folder).expect_err("there is none");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].line, faults[0].field.as_str()), (3, "building.inventory"));
    assert!(faults[0].what.contains("x.csv: cannot be read"), "{}", faults[0]);
    let text = text.replace("x.csv", "office.toml");
    let faults = parse("s.toml", &text, &folder).expect_err("that is no inventory");
    assert!(faults.iter().all(|fault| fault.file.ends_with("data/office.toml")), "{faults:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_damage_gives_a_scenario_or_faults(at in 0..EVERY_KEY.len(), with in "[\\[\\]={}\"\n0-9a-z.]{0,4}", cut in 0..9usize) {
        let mut text = EVERY_KEY.to_owned();
        text.replace_range(at..(at + cut).min(EVERY_KEY.len()), &with);
        if let Err(faults) = parse("a.toml", &text, Path::new("nowhere")) {
            prop_assert!(!faults.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
}
