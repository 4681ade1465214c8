//! Buildings as files, generated ones, and the office that the demonstration shows.

use lowgate_manager::{GROUP_SENDERS_MAX, Role};
use proptest::prelude::*;

use super::*;

const SOUND: &str = r#"name = "Shed"
[[group]]
id = 1
name = "All lights"
[[floor]]
level = 0
name = "Ground floor"
[[floor.room]]
name = "Hall"
x = 0
y = 0
width = 10
depth = 5.5
[border_router]
eui64 = "02-12-4b-00-00-00-00-01"
floor = 0
x = 1.0
y = 1
[[device]]
eui64 = "02124b0000000002"
floor = 0
x = 9.5
y = 5
"#;

/// The faults of `text`, without the file's name.
#[track_caller]
fn check(text: &str, wanted: &[&str]) {
    let found: Vec<_> = match Building::parse("a.toml", text) {
        Ok(building) => panic!("no fault found in {building:?}"),
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    };
    let wanted: Vec<_> = wanted.iter().map(|fault| format!("a.toml:{fault}")).collect();
    assert_eq!(found, wanted);
}

/// The sound file with `line` (from 1) replaced.
#[track_caller]
fn check_line(line: usize, text: &str, wanted: &[&str]) {
    let mut lines: Vec<_> = SOUND.lines().collect();
    lines[line - 1] = text;
    check(&lines.join("\n"), wanted);
}

#[test]
fn a_sound_file() {
    let building = Building::parse("a.toml", SOUND).expect("nothing is wrong with it");
    assert_eq!(building.stations(), 2);
    assert_eq!(building.propagation, Propagation::default());
    assert_eq!(building.groups, [Group { id: 1, name: "All lights".into() }]);
    let device = building.device(StationId(1)).expect("the second station");
    assert_eq!((device.x, device.y, device.level), (9.5, 5.0, 0));
    assert_eq!(building.room(device).map(|room| room.name.as_str()), Some("Hall"));
    assert_eq!(building.station(device.eui64), Some(StationId(1)));
    assert_eq!(building.device(StationId(2)), None);
}

#[test]
fn emit_of_parse_is_identity() {
    for building in [
        Building::parse("a.toml", SOUND).expect("sound"),
        Building::generate(40, 3).expect("allowed").building,
    ] {
        assert_eq!(Building::parse("b.toml", &building.emit()), Ok(building));
    }
}

#[test]
fn all_faults_at_once() {
    let text = SOUND
        .replace("name = \"Shed\"", "nmae = \"Shed\"")
        .replace("id = 1", "id = 70000")
        .replace("width = 10", "width = \"wide\"")
        .replace("02124b0000000002", "02124b0000000001")
        .replace("x = 9.5", "");
    check(
        &text,
        &[
            "1: nmae: unknown field; allowed: name, radio, group, floor, border_router, device",
            "1: name: missing; it is required",
            "3: group.id: 70000; allowed: a whole number from 1 to 65535",
            "12: floor.room.width: \"wide\"; allowed: a number from 0.5 to 500",
            "19: device.x: missing; it is required",
            "20: device.eui64: 02-12-4b-00-00-00-00-01 stands in line 15 already; allowed: once",
        ],
    );
}

#[test]
fn wrong_values_say_what_is_allowed() {
    let name = "text of 1 to 64 characters on one line";
    check_line(1, "name = \"\"", &[&format!("1: name: \"\"; allowed: {name}")]);
    check_line(6, "level = 0.5", &["6: floor.level: 0.5; allowed: a whole number from -9 to 99"]);
    check_line(22, "x = nan", &["22: device.x: nan; allowed: a number from 0 to 2000"]);
    check_line(
        20,
        "eui64 = 7",
        &["20: device.eui64: 7; allowed: a maker's number as \"16 hexadecimal \
        digits\", or 8 pairs with - or : between"],
    );
    check_line(21, "floor = 3", &["21: device.floor: 3; allowed: the level of a [[floor]]: 0"]);
    check_line(
        22,
        "x = 10.5",
        &["22: device.x, y: 10.5, 5 is in no room; allowed: inside a room of floor 0"],
    );
    check_line(
        23,
        "y = 5\ncolour = \"red\"",
        &["24: device.colour: unknown field; allowed: eui64, floor, x, y"],
    );
}

#[test]
fn what_is_no_toml_does_not_hide_the_rest() {
    let text = SOUND.replace("x = 9.5", "x = = 9.5").replace("id = 1", "id = 0");
    check(
        &text,
        &[
            "3: group.id: 0; allowed: a whole number from 1 to 65535",
            "22: toml: extra `=`, expected nothing; allowed: TOML 1.0",
        ],
    );
    let text = SOUND.replace("[border_router]", "[border_router");
    check(&text, &["14: toml: unclosed table, expected `]`; allowed: TOML 1.0"]);
}

#[test]
fn rooms_must_not_overlap_and_devices_be_one_at_least() {
    let room = "name = \"Hall\"\nx = 0\ny = 0\nwidth = 10\ndepth = 5.5\n";
    let more =
        format!("{room}[[floor.room]]\nname = \"Hall\"\nx = 9\ny = 1\nwidth = 4\ndepth = 9\n");
    check(
        &SOUND.replace(room, &more),
        &[
            "14: floor.room: overlaps \"Hall\"; allowed: rooms side by side",
            "15: floor.room.name: \"Hall\" stands in line 9 already; allowed: once",
        ],
    );
    let without = &SOUND[..SOUND.find("[[device]]").expect("is there")];
    check(without, &["1: device: missing; it is required"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_gives_a_building_or_faults(text in "\\PC{0,80}") {
        let _ = Building::parse("a.toml", &text);
    }

    #[test]
    fn any_damage_to_a_sound_file_gives_a_building_or_faults(at in 0..SOUND.len(), with in "[\\[\\]={}\"\n0-9a-z.]{0,4}", cut in 0..6usize) {
        let mut text = SOUND.to_owned();
        text.replace_range(at..(at + cut).min(SOUND.len()), &with);
        if let Err(faults) = Building::parse("a.toml", &text) {
            prop_assert!(!faults.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
}

/// Shows that every device has two good neighbours and returns how deep the mesh is, by breadth-first
/// search over links on which a full frame arrives nine times of ten.
#[track_caller]
fn depth(building: &Building) -> u32 {
    let config = MediumConfig::default();
    let usable = |strength| config.reception(strength, 125) > 0.9;
    let links = building.links(&config);
    for station in 0..building.stations() as u32 {
        let good = links.neighbours(StationId(station)).iter().filter(|(_, s)| usable(*s)).count();
        assert!(good >= 2, "station {station} has {good} neighbours");
    }
    let hops = links.hops(StationId(0), usable);
    hops.into_iter().map(|hops| hops.expect("everybody is reached")).max().expect("not empty")
}

#[test]
fn generated_buildings_hang_together_at_any_size() {
    for (devices, seed) in [(24, 0), (25, 1), (25, 2), (60, 3), (200, 4), (1000, 5)] {
        let Generated { building, inventory } = Building::generate(devices, seed).expect("allowed");
        assert_eq!((building.devices.len(), inventory.len()), (devices, devices + 1));
        let depth = depth(&building);
        assert!((4..=16).contains(&depth), "{devices} devices: {depth} hops");
    }
}

#[test]
fn generation_repeats_and_has_its_limits() {
    assert_eq!(Building::generate(30, 9), Building::generate(30, 9));
    assert_ne!(Building::generate(30, 9), Building::generate(30, 10));
    for devices in [0, DEVICES_MAX + 1] {
        assert_eq!(Building::generate(devices, 1), Err(NotGenerated { devices }));
    }
    assert!(Building::generate(1, 1).is_ok() && Building::generate(2, 1).is_ok());
}

#[test]
fn a_campus_is_as_many_buildings_as_it_says_in_one_domain() {
    for (buildings, devices) in [(1, 30), (3, 25), (40, 12)] {
        let Generated { building, inventory } =
            Building::campus(buildings, devices, 5).expect("allowed");
        assert_eq!(building.border_routers.len(), buildings);
        assert_eq!(building.stations(), buildings * (devices + 1));
        let eui64s: std::collections::BTreeSet<_> = building.all().map(|it| it.eui64).collect();
        assert_eq!(eui64s.len(), building.stations());
        let rows: Vec<_> = inventory.iter().map(|row| row.eui64).collect();
        assert_eq!(rows, building.all().map(|it| it.eui64).collect::<Vec<_>>());
        // What a file of it says is the same campus: rooms do not overlap, devices hang in them.
        assert_eq!(Building::parse("campus.toml", &building.emit()).as_ref(), Ok(&building));
        let hears = |strength| MediumConfig::default().reception(strength, 125) > 0.5;
        let links = building.links(&MediumConfig::default());
        let roots = (0..buildings as u32).map(StationId);
        assert!(links.hops_of_many(roots, hears).iter().all(Option::is_some));
        for (group, _) in inventory.iter().flat_map(|row| &row.groups) {
            assert!(building.groups.iter().any(|known| known.id == *group), "group {group}");
        }
        let senders = |group| {
            let rows = inventory.iter().flat_map(|row| &row.groups);
            rows.filter(|it| **it == (group, Role::Sender)).count()
        };
        for group in &building.groups {
            let senders = senders(group.id);
            assert!((1..=GROUP_SENDERS_MAX).contains(&senders), "{group:?}: {senders} senders");
        }
    }
}

/// Looks at every pair.
fn pair_by_pair(building: &Building, config: &MediumConfig) -> Vec<(u32, u32, Strength)> {
    let walls = Walls::new(&building.floors, &building.propagation);
    let devices: Vec<_> = building.all().collect();
    let mut found = Vec::new();
    for (a, device_a) in devices.iter().enumerate() {
        for (b, device_b) in devices.iter().enumerate().skip(a + 1) {
            let pair = (*device_b, *device_a);
            if let Some(strength) = building.propagation.strength(&walls, pair, config.cut_off()) {
                found.push((a as u32, b as u32, strength));
            }
        }
    }
    found
}

#[test]
fn no_link_is_overlooked() {
    for (devices, propagation) in [
        (300, Propagation::default()),
        (60, Propagation { wall_db: 0.0, path_loss_exponent: 2.0, ..Propagation::default() }),
        (60, Propagation { tx_dbm: 20.0, floor_db: 0.0, ..Propagation::default() }),
        (60, Propagation { tx_dbm: -40.0, shadowing_db: 20.0, ..Propagation::default() }),
    ] {
        let mut building = Building::generate(devices, 3).expect("allowed").building;
        building.propagation = propagation;
        let config = MediumConfig::default();
        let links = building.links(&config);
        let mut found = Vec::new();
        for a in (0..building.stations() as u32).map(StationId) {
            for &(b, strength) in links.neighbours(a) {
                assert_eq!(links.strength(b, a), Some(strength), "both ways");
                assert!(strength >= config.cut_off());
                if a < b {
                    found.push((a.0, b.0, strength));
                }
            }
        }
        assert_eq!(found, pair_by_pair(&building, &config));
    }
}

#[test]
fn links_do_not_change_when_a_device_is_added() {
    let building = Building::generate(60, 3).expect("allowed").building;
    let mut larger = building.clone();
    let Device { x, y, level, .. } = building.devices[0];
    larger.devices.insert(0, Device { eui64: Eui64([9; 8]), level, x: x + 0.5, y });
    let links = [&building, &larger].map(|building| building.links(&MediumConfig::default()));
    let moved = |station: StationId| StationId(station.0 + u32::from(station.0 > 0));
    for a in (0..building.stations() as u32).map(StationId) {
        assert_eq!(links[0].name(a), links[1].name(moved(a)));
        let newcomer = StationId(1);
        let same = links[1].neighbours(moved(a)).iter().filter(|(b, _)| *b != newcomer);
        let before = links[0].neighbours(a).iter().map(|(b, strength)| (moved(*b), *strength));
        assert!(same.copied().eq(before));
    }
}

/// How many pairs are looked at grows with the devices, not with their square.
#[test]
fn looking_for_neighbours_stays_local() {
    let looks_per_device = |devices: usize| {
        let building = Building::generate(devices, 1).expect("allowed").building;
        let least = MediumConfig::default().cut_off();
        let mut places = Places::default();
        let mut looks = 0;
        for (index, device) in building.all().enumerate() {
            places.near(device, &building.propagation, least, |_| looks += 1);
            places.add(index, device);
        }
        looks / devices
    };
    let (few, many) = (looks_per_device(1000), looks_per_device(4000));
    assert!(many < 2 * few, "{few} of 1000, {many} of 4000");
}

const OFFICE: &str = include_str!("../../../../tests/data/office.toml");
const OFFICE_INVENTORY: &str = include_str!("../../../../tests/data/office.csv");

#[test]
fn the_office_is_at_least_four_hops_deep() {
    let office = Building::parse("office.toml", OFFICE).expect("nothing is wrong with it");
    assert_eq!((office.devices.len(), office.floors.len()), (25, 2));
    assert!(depth(&office) >= 4);
    // Nor is there a short cut over links that carry a small frame one time in twenty.
    let config = MediumConfig::default();
    let hops = office.links(&config).hops(StationId(0), |s| config.reception(s, 20) > 0.05);
    assert!(hops.into_iter().flatten().max() >= Some(4));
}

#[test]
fn the_office_does_not_hang_on_one_device_or_on_weak_links() {
    let office = Building::parse("office.toml", OFFICE).expect("nothing is wrong with it");
    let strong = Strength::from_dbm(MediumConfig::default().noise_dbm + 3.0);
    for absent in 0..office.devices.len() {
        let mut building = office.clone();
        building.devices.remove(absent);
        let links = building.links(&MediumConfig::default());
        let hops = links.hops(StationId(0), |strength| strength >= strong);
        assert!(hops.iter().all(Option::is_some), "without device {absent}: {hops:?}");
    }
}

#[test]
fn the_office_and_its_inventory_agree() {
    let office = Building::parse("office.toml", OFFICE).expect("nothing is wrong with it");
    let rows: Vec<Vec<&str>> =
        OFFICE_INVENTORY.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), office.stations());
    let mut main_lights = Vec::new();
    let links = office.links(&MediumConfig::default());
    let hops = links.hops(StationId(0), |s| MediumConfig::default().reception(s, 125) > 0.9);
    for row in rows {
        let [eui64, psk, kind, room, groups] = row[..] else { panic!("five fields: {row:?}") };
        let station = office.station(eui64.parse().expect("an EUI-64")).expect("in the building");
        let device = office.device(station).expect("a station");
        assert_eq!(office.room(device).map(|room| room.name.as_str()), Some(room));
        assert_eq!(lowgate_testkit::hex(psk).len(), 16);
        assert_eq!(kind == "border-router", station == StationId(0));
        for group in groups.split(';').filter(|group| !group.is_empty()) {
            let (id, _) = group.split_once(':').expect("id:role");
            assert!(office.groups.iter().any(|known| known.id.to_string() == id), "{group}");
        }
        if kind == "light" && groups.contains("1:listener") {
            main_lights.push(hops[station.index()]);
        }
    }
    assert!(main_lights.len() >= 8);
    assert!((1..=4).all(|hops| main_lights.contains(&Some(hops))), "{main_lights:?}");
}
