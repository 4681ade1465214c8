//! The inventory's rules, one case each.

use super::*;
use lowgate_manager::{Kind, Role};
use proptest::prelude::*;

const HEADER: &str = "eui64,psk,kind,room,groups\n";
const EUI64: &str = "02-12-4b-00-00-00-00-01";
const PSK: &str = "00112233445566778899aabbccddeeff";

fn known() -> Known {
    Known {
        rooms: Some(["Kitchen", "Meeting, big"].map(String::from).into()),
        groups: Some([1, 7, 8, 9, 10, 11, 12, 13, 14].map(GroupId).into()),
    }
}

/// The faults of `text`, without the file's name.
#[track_caller]
fn check(text: impl AsRef<[u8]>, wanted: &[&str]) {
    let found: Vec<String> = match parse("a.csv", text.as_ref(), &known()) {
        Ok(devices) => {
            assert!(wanted.is_empty(), "no fault found in {devices:?}");
            return;
        }
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    };
    let wanted: Vec<String> = wanted.iter().map(|fault| format!("a.csv:{fault}")).collect();
    assert_eq!(found, wanted);
}

/// One row under a right header.
#[track_caller]
fn check_row(row: &str, wanted: &[&str]) {
    check(format!("{HEADER}{row}\n"), wanted);
}

#[test]
fn a_right_file() {
    let text = format!(
        "\u{feff}# the ground floor\r\n{HEADER}\r\n{EUI64},{PSK},light,Kitchen,1:listener;7:both\r\n\
         02:12:4B:00:00:00:00:02 , {PSK}{PSK}{PSK}{PSK} , switch,\"Meeting, big\", \n"
    );
    let devices = parse("a.csv", text.as_bytes(), &known()).expect("nothing is wrong with it");
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[0].eui64.to_string(), EUI64);
    assert_eq!(devices[0].identity.octets(), devices[0].eui64.0);
    assert_eq!(devices[0].kind, Kind::Light);
    assert_eq!(devices[0].name, "light 0001");
    assert_eq!(devices[0].room, "Kitchen");
    let groups =
        BTreeMap::from([(GroupId(1), Role::Listener), (GroupId(7), Role::SenderAndListener)]);
    assert_eq!(devices[0].groups, groups);
    assert_eq!(devices[0].psk.expose()[..3], [0x00, 0x11, 0x22]);
    assert_eq!(devices[1].psk.expose().len(), 64);
    assert_eq!(devices[1].room, "Meeting, big");
    assert!(devices[1].groups.is_empty());
}

#[test]
fn files_without_a_table() {
    let allowed = "allowed: eui64,psk,kind,room,groups";
    check("", &[&format!("1: header: the file is empty; {allowed}")]);
    check("\n# nothing\n", &[&format!("1: header: the file is empty; {allowed}")]);
    check(HEADER, &["2: line: no device; allowed: one line for each, at least one"]);
    check("eui,psk\nx,y\n", &[&format!("1: header: found \"eui\",\"psk\"; {allowed}")]);
    check(
        format!("{EUI64},{PSK},light,Kitchen,\n"),
        &[&format!(
            "1: header: found \"{EUI64}\",(32 hexadecimal digits),\"light\",\"Kitchen\",\"\"; {allowed}"
        )],
    );
    check(b"\xff\xfee\0", &["1: line: not text; allowed: UTF-8"]);
}

#[test]
fn wrong_fields() {
    let eui64 = "allowed: 16 hexadecimal digits, or 8 pairs with - or : between";
    let psk = "allowed: 16 to 64 octets as hexadecimal digits";
    let kind = "allowed: border-router, light, switch, sensor";
    let role = "allowed: id:role with the role listener, sender or both";
    let group = "allowed: 1, 7, 8, 9, 10, 11, 12, 13, 14";
    let row = |eui64: &str, psk: &str, rest: &str| format!("{eui64},{psk},{rest}");
    let sound = "light,Kitchen,";
    for (row, fault) in [
        (row("02-12-4b", PSK, sound), format!("2: eui64: \"02-12-4b\"; {eui64}")),
        (row(PSK, PSK, sound), format!("2: eui64: (32 hexadecimal digits); {eui64}")),
        (
            row("ffffffffffffffff", PSK, sound),
            "2: eui64: ff-ff-ff-ff-ff-ff-ff-ff is nobody's; allowed: a maker's number".into(),
        ),
        (row(EUI64, "", sound), format!("2: psk: 0 octets; {psk}")),
        (row(EUI64, &PSK[2..], sound), format!("2: psk: 15 octets; {psk}")),
        (row(EUI64, &PSK[1..], sound), format!("2: psk: 31 digits, half an octet too many; {psk}")),
        (row(EUI64, &format!("{}00", PSK.repeat(4)), sound), format!("2: psk: 65 octets; {psk}")),
        (row(EUI64, &PSK.replace('f', "g"), sound), format!("2: psk: not hexadecimal; {psk}")),
        (row(EUI64, PSK, "lamp,Kitchen,"), format!("2: kind: \"lamp\"; {kind}")),
        (
            row(EUI64, PSK, "light,Cellar,"),
            "2: room: \"Cellar\" is not in the building; allowed: Kitchen, Meeting, big".into(),
        ),
        (
            row(EUI64, PSK, "light,Kitchen,2:both"),
            format!("2: groups: \"2:both\" is no group; {group}"),
        ),
        (
            row(EUI64, PSK, "light,Kitchen,65537:both"),
            format!("2: groups: \"65537:both\" is no group; {group}"),
        ),
        (row(EUI64, PSK, "light,Kitchen,1"), format!("2: groups: \"1\"; {role}")),
        (row(EUI64, PSK, "light,Kitchen,1:boss"), format!("2: groups: \"1:boss\"; {role}")),
        (
            row(EUI64, PSK, "light,Kitchen,1:both;1:sender"),
            "2: groups: group 1 twice; allowed: once".into(),
        ),
        (
            row(
                EUI64,
                PSK,
                "light,Kitchen,1:both;7:both;8:both;9:both;10:both;11:both;12:both;13:both;14:both",
            ),
            "2: groups: 9 groups; allowed: 4".into(),
        ),
        (
            row(EUI64, PSK, "light,Kitchen"),
            "2: columns: 4 fields; allowed: eui64,psk,kind,room,groups".into(),
        ),
        (
            row(EUI64, PSK, "light,\"Kitchen,"),
            "2: line: a quote without its other half; allowed: \"field, quoted\"".into(),
        ),
    ] {
        check_row(&row, &[&fault]);
    }
}

#[test]
fn all_faults_at_once_in_the_order_of_the_lines() {
    check(
        format!(
            "{HEADER}{EUI64},00,lamp,Attic,3:boss\n\n{EUI64},{PSK},light,Kitchen,1:both\n\"\nx\n"
        ),
        &[
            "2: psk: 1 octet; allowed: 16 to 64 octets as hexadecimal digits",
            "2: kind: \"lamp\"; allowed: border-router, light, switch, sensor",
            "2: room: \"Attic\" is not in the building; allowed: Kitchen, Meeting, big",
            "2: groups: \"3:boss\" is no group; allowed: 1, 7, 8, 9, 10, 11, 12, 13, 14",
            "2: groups: \"3:boss\"; allowed: id:role with the role listener, sender or both",
            "4: eui64: 02-12-4b-00-00-00-00-01 stands in line 2 already; allowed: once",
            "5: line: a quote without its other half; allowed: \"field, quoted\"",
            "6: columns: 1 field; allowed: eui64,psk,kind,room,groups",
        ],
    );
}

#[test]
fn a_file_that_is_not_there() {
    let faults = read(Path::new("no such folder/a.csv"), &known()).expect_err("it is not there");
    let text = faults[0].to_string();
    assert!(text.starts_with("no such folder/a.csv:1: file: cannot be read: "), "{text}");
}

#[test]
fn too_many_devices() {
    let rows: String =
        (1..=DEVICES_MAX + 1).map(|i| format!("{i:016x},{PSK},light,Kitchen,\n")).collect();
    let too_many = format!("{}: file: too many devices; allowed: {DEVICES_MAX}", DEVICES_MAX + 2);
    check(format!("{HEADER}{rows}"), &[&too_many]);
}

/// The demo's own files, and those that its generator makes.
#[test]
fn inventories_of_buildings() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let text = std::fs::read_to_string(data.join("office.toml")).expect("it is committed");
    let office = Building::parse("office.toml", &text).expect("a sound building");
    let devices = read(&data.join("office.csv"), &Known::of(&office)).expect("a sound inventory");
    assert_eq!(devices.len(), office.stations());

    let generated = Building::generate(40, 7).expect("40 devices are not too many");
    let rows: String = generated.inventory.iter().map(|row| row.emit(PSK) + "\n").collect();
    let known = Known::of(&generated.building);
    let devices = parse("generated", format!("{HEADER}{rows}").as_bytes(), &known);
    assert_eq!(devices.expect("a sound inventory").len(), generated.building.stations());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any octets give devices or faults; a fault is one line and never a key.
    #[test]
    fn any_text(text in "[0-9a-f:;,\"#\\-\n\r xlightKn]{0,200}", raw: Vec<u8>) {
        for octets in [text.clone().into_bytes(), raw, format!("{HEADER}{text}").into_bytes()] {
            match parse("a.csv", &octets, &known()) {
                Ok(devices) => prop_assert!(!devices.is_empty()),
                Err(faults) => {
                    prop_assert!(!faults.is_empty());
                    for fault in faults {
                        prop_assert!(!fault.to_string().contains(['\n', '\r']));
                    }
                }
            }
        }
    }

    /// Wherever a key is put, it is not repeated.
    #[test]
    fn a_key_in_any_column(column in 0_usize..5, key in "[0-9a-f]{32,128}") {
        let mut fields = [EUI64, PSK, "light", "Kitchen", "1:both"].map(String::from);
        fields[column] = key.clone();
        let text = format!("{HEADER}{}\n", fields.join(","));
        if let Err(faults) = parse("a.csv", text.as_bytes(), &known()) {
            prop_assert!(faults.iter().all(|fault| !fault.to_string().contains(&key[..32])));
        }
    }
}
