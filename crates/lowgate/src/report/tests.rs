//! The page is sound markup, asks nobody for anything, and stays sound whatever people write into it.

use super::*;

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "link", "input"];

const HOSTILE: &str =
    "</script><script>alert(1)</script><!-- \"'>&<img src=x onerror=alert(1)>\u{2028}\0";

/// A small building, two floors, all seven states, every section filled.
pub(super) fn sample(tag: &str) -> Report {
    let named = |name: &str| format!("{name}{tag}");
    let kinds = [Kind::BorderRouter, Kind::Switch, Kind::Light, Kind::Light, Kind::Sensor];
    let kinds = [&kinds[..], &[Kind::Light, Kind::Light, Kind::Intruder]].concat();
    let devices: Vec<Device> =
        kinds.iter().enumerate().map(|(i, kind)| device(i, *kind, tag)).collect();
    let rooms = |floor: usize| -> Vec<Room> {
        (0..4)
            .map(|i| Room {
                name: named(&format!("Room {floor}.{i}")),
                x_m: 9.0 * f64::from(i),
                y_m: 0.0,
                width_m: 9.0,
                depth_m: 8.0 + f64::from(i % 2) * 4.0,
            })
            .collect()
    };
    Report {
        building: named("Office"),
        command_line: named("lowgate demo --seed 7"),
        seed: 7,
        end_us: 60_000_000,
        checks: vec![
            Check { what: named("All devices join"), held: true, saw: named("5 of 5") },
            Check {
                what: named("A stranger stays outside"),
                held: false,
                saw: named("it did not"),
            },
        ],
        figures: vec![Figure {
            label: named("Devices"),
            value: named("5 of 5"),
            note: named("joined"),
        }],
        floors: vec![
            Floor { name: named("Ground floor"), rooms: rooms(0) },
            Floor { name: named("First floor"), rooms: rooms(1) },
        ],
        links: vec![Link { a: 0, b: 1, rssi_dbm: -61 }, Link { a: 1, b: 2, rssi_dbm: -70 }],
        events: events(devices.len(), tag),
        devices,
        join: Some(join(tag)),
        group_command: Some(GroupCommand {
            group: named("Ground floor lights"),
            command: named("PUT /light 1"),
            sender: 1,
            at_us: 41_000_000,
            deliveries: vec![
                Delivery { device: 2, latency_us: Some(40_100) },
                Delivery { device: 3, latency_us: None },
                Delivery { device: 5, latency_us: Some(18_250) },
            ],
        }),
        attempts: vec![Attempt {
            who: named("A stranger"),
            at_us: 30_000_000,
            tried: named("to join with a wrong PSK"),
            got: named("nothing"),
            why: named("its Finished did not verify"),
            counts: vec![(named("handshakes"), 3), (named("keys"), 0)],
        }],
    }
}

fn device(index: usize, kind: Kind, tag: &str) -> Device {
    Device {
        eui64: format!("02-12-4b-00-00-00-00-{index:02x}"),
        name: format!("device {index}{tag}"),
        kind,
        room: format!("Room {tag}"),
        floor: index % 2,
        x_m: 3.0 + 4.0 * index as f64,
        y_m: 4.0,
        relay: index.checked_sub(1),
        hops: u8::try_from(index).ok(),
    }
}

fn events(devices: usize, tag: &str) -> Vec<Event> {
    let steps = [State::Scanning, State::Handshake, State::Admitted, State::Registered];
    let mut events = Vec::new();
    for device in 0..devices {
        for (step, state) in steps.iter().take(device + 1).enumerate() {
            let at_us = 1_000_000 * (device * 5 + step) as u64;
            let note = format!("is {state:?}{tag}");
            events.push(Event { at_us, device, change: Change::State(*state), note });
        }
        if let Some(parent) = device.checked_sub(1) {
            let at_us = 1_000_000 * (device * 5 + 4) as u64;
            let change = Change::Parent(Some(parent));
            events.push(Event { at_us, device, change, note: String::new() });
        }
    }
    let last = |device, state| Event {
        at_us: 50_000_000,
        device,
        change: Change::State(state),
        note: format!("it is over{tag}"),
    };
    events.extend([last(devices - 2, State::Revoked), last(devices - 1, State::Refused)]);
    events
}

fn join(tag: &str) -> Join {
    let names = ["ClientHello", "HelloVerifyRequest", "ClientHello", "ServerHello", "Finished"];
    let messages = names
        .iter()
        .enumerate()
        .map(|(i, name)| Message {
            at_us: 10_000_000 + 21_700 * i as u64,
            from: 3 * (i % 2),
            to: 3 - 3 * (i % 2),
            name: format!("{name}{tag}"),
            note: tag.into(),
            frames: 2,
            hops: 3,
            octets: Octets {
                ieee802154: 46,
                sixlowpan: 11,
                udp: 4,
                relay: 23,
                dtls: 25,
                payload: 60 + 10 * i as u32,
            },
        })
        .collect();
    let parties = ["Joiner", "Relay", "Border router", "Manager"];
    Join { device: 2, parties: parties.map(|party| format!("{party}{tag}")).into(), messages }
}

/// The tags of `html` without the contents of scripts and styles.
///
/// # Panics
/// When an element does not close, or closes out of order, or an attribute is not quoted.
fn elements(html: &str) -> Vec<String> {
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("it begins with its type");
    let (mut open, mut seen) = (Vec::<String>::new(), Vec::new());
    while let Some(start) = rest.find('<') {
        let (tag, after) = rest[start + 1..].split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order");
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of <{tag}>");
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "<{tag}>");
        if ["script", "style"].contains(&name.as_str()) {
            let end = format!("</{name}>");
            let (inside, after) = rest.split_once(&end).expect("a script ends");
            assert!(!inside.contains("<!--") && !inside.contains("<script"), "{inside}");
            rest = after;
        } else if !VOID.contains(&name.as_str()) && !tag.ends_with('/') {
            open.push(name.clone());
        }
        seen.push(name);
    }
    assert!(open.is_empty(), "still open: {open:?}");
    seen
}

#[test]
fn the_page_is_balanced_and_has_every_section() {
    let html = render(&sample(""));
    let elements = elements(&html);
    let count = |name: &str| elements.iter().filter(|element| *element == name).count();
    assert_eq!(
        (count("section"), count("figure"), count("article"), count("script")),
        (5, 2, 1, 2)
    );
    for text in ["1 of 2 checks failed", "✗ never", "half of them within 18.2 ms", "5 messages"] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn the_page_asks_nobody_for_anything() {
    let html = render(&sample(""));
    // A reference within the page is none.
    let html = html.replace("url(#", "");
    for outside in
        ["http://", "https://", "url(", "@import", "src=", "fetch(", "XMLHttp", "import("]
    {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn hostile_names_stay_text() {
    let (honest, hostile) = (render(&sample(", honest")), render(&sample(HOSTILE)));
    // Not assert_eq: it would print both pages.
    assert!(elements(&hostile) == elements(&honest), "a name became markup");
    assert!(!hostile.contains("<img") && !hostile.contains('\0'));
    let data = hostile.split("id=\"data\">").nth(1).and_then(|rest| rest.split('<').next());
    let data: serde_json::Value =
        serde_json::from_str(data.expect("it is there")).expect("still JSON");
    assert_eq!(data["names"][0], format!("device 0{HOSTILE}"));
}

#[test]
fn an_empty_report_and_indices_of_nobody() {
    elements(&render(&Report::default()));
    let mut report = sample("");
    report.devices.truncate(2);
    report.floors.truncate(1);
    report.devices[1].x_m = f64::NAN;
    if let Some(join) = &mut report.join {
        join.messages[0].to = 99;
    }
    elements(&render(&report));
}

#[test]
fn the_model_survives_json() {
    let report = sample("");
    let text = serde_json::to_string(&report).expect("it has no maps");
    assert_eq!(serde_json::from_str::<Report>(&text).expect("our own text"), report);
}
