//! A scenario from its file, or all that is wrong with it.

use super::happenings::{self, SHARES, Told, duration, place};
use super::site::{self, Site};
use super::who::{Names, Whom};
use super::{Read, emit};
use lowgate_dtls::Psk;
use lowgate_manager::Identity;
use lowgate_sim::building::Device;
use lowgate_sim::medium::MediumConfig;
use lowgate_sim::reading::{Fault, Reading, Table};
use lowgate_sim::scenario::{Deed, Disaster, Expectation, Impossible, Scenario, Timed};
use lowgate_sim::world::{Intruder, Lie, Trick};
use lowgate_units::{Eui64, Instant};
use std::collections::BTreeMap;
use std::path::Path;

/// What a scenario has.
const FIELDS: [&str; 9] =
    ["name", "duration", "building", "radio", "intruder", "deed", "traffic", "disaster", "expect"];

/// Most intruders.
const INTRUDERS_MAX: usize = 64;
/// Who was not invited may stand outside, in metres.
const OUTSIDE: std::ops::RangeInclusive<f64> = -2000.0..=4000.0;
/// The key of a stranger who was not told any.
const NO_KEY: [u8; 16] = [0x5a; 16];

/// The parts of which a scenario is made, and where they stand.
struct Parts {
    deeds: Vec<Told<Timed<Deed>>>,
    disasters: Vec<Told<Disaster>>,
    expectations: Vec<Told<Expectation>>,
    device_file: String,
    device_lines: Vec<usize>,
}

pub(super) fn scenario(
    reading: &mut Reading,
    root: &Table<'_>,
    file: &str,
    folder: &Path,
) -> Option<Read> {
    reading.known(root, &FIELDS);
    let name = reading.name(root, "name");
    let length = reading.required(root, "duration");
    let length = length.and_then(|value| duration(reading, root, "duration", value));
    let medium = medium(reading, root);
    let site = site::Reader { reading, file, folder }.site(root);
    let intruders = intruders(reading, root, site.as_ref());
    let names = site.as_ref().zip(intruders.as_ref());
    let names = names.map(|(site, all)| Names::new(site, all.iter().map(|it| it.place().eui64)));
    let end = length.map_or(Instant::FAR_FUTURE, |length| Instant::ZERO + length);
    let mut happenings = happenings::Reader { reading, names, end };
    let deeds = happenings.deeds(root);
    let disasters = happenings.disasters(root);
    let expectations = happenings.expectations(root);
    let Site { building, inventory, device_file, device_lines } = site?;
    let sound = reading.faults().is_empty();
    let scenario = Scenario {
        name: name.unwrap_or_default(),
        building,
        inventory,
        intruders: intruders?,
        medium: medium?,
        duration: end.since(Instant::ZERO),
        deeds: deeds.iter().map(|(deed, _)| deed.clone()).collect(),
        disasters: disasters.iter().map(|(disaster, _)| disaster.clone()).collect(),
        // Of what is half understood nothing can be expected.
        expectations: expectations.iter().filter(|_| sound).map(|(it, _)| it.clone()).collect(),
    };
    let parts = Parts { deeds, disasters, expectations, device_file, device_lines };
    let impossible = scenario.check().err().unwrap_or_default();
    let faults = impossible.into_iter().map(|it| parts.fault(&scenario, it, file));
    reading.faults_elsewhere(faults);
    let expectation_lines = parts.expectations.iter().map(|(_, line)| *line).collect();
    Some(Read { scenario, expectation_lines })
}

impl Parts {
    /// What cannot be, with the line and the field that say so.
    fn fault(&self, scenario: &Scenario, impossible: Impossible, file: &str) -> Fault {
        let Impossible { part: (part, index), what } = impossible;
        let (file, line, field) = match part {
            "device" => (self.device_file.as_str(), self.device_lines[index], "device".to_owned()),
            "deed" => (file, self.deeds[index].1, "deed.at".to_owned()),
            "disaster" => (file, self.disasters[index].1, "disaster.lasts".to_owned()),
            "expectation" => {
                let field = emit::due_field(&scenario.expectations[index]);
                (file, self.expectations[index].1, format!("expect.{field}"))
            }
            other => unreachable!("no scenario has a {other}"),
        };
        Fault { file: file.into(), line, field, what }
    }
}

fn medium(reading: &mut Reading, root: &Table<'_>) -> Option<MediumConfig> {
    let usual = MediumConfig::default();
    let Some(value) = root.fields.get("radio") else { return Some(usual) };
    let table = reading.table(value, "radio", "a table [radio]")?;
    reading.known(&table, &["noise_dbm", "sensitivity_dbm", "cca_threshold_dbm", "loss"]);
    let mut optional = |field, usual, range| match table.fields.get(field) {
        None => Some(usual),
        Some(value) => reading.number(&table, field, value, range),
    };
    let noise_dbm = optional("noise_dbm", usual.noise_dbm, -130.0..=0.0);
    let sensitivity_dbm = optional("sensitivity_dbm", usual.sensitivity_dbm, -130.0..=0.0);
    let threshold = optional("cca_threshold_dbm", usual.cca_threshold_dbm, -130.0..=0.0);
    let loss = optional("loss", usual.loss, SHARES);
    Some(MediumConfig {
        noise_dbm: noise_dbm?,
        sensitivity_dbm: sensitivity_dbm?,
        cca_threshold_dbm: threshold?,
        loss: loss?,
    })
}

/// `None` where one of them could not be read.
fn intruders(
    reading: &mut Reading,
    root: &Table<'_>,
    site: Option<&Site>,
) -> Option<Vec<Intruder>> {
    if !root.fields.contains_key("intruder") {
        return Some(Vec::new());
    }
    let names = site.map(|site| Names::new(site, std::iter::empty()));
    let mut seen = BTreeMap::new();
    let tables = reading.tables(root, "intruder", "intruder", 0..=INTRUDERS_MAX);
    let intruders: Vec<_> = tables
        .iter()
        .map(|table| {
            let place = spot(reading, table, site, &mut seen);
            let intruder = intruder(reading, table, site, names.as_ref(), place);
            place.and(intruder)
        })
        .collect();
    intruders.into_iter().collect()
}

fn spot(
    reading: &mut Reading,
    table: &Table<'_>,
    site: Option<&Site>,
    seen: &mut BTreeMap<Eui64, usize>,
) -> Option<Device> {
    let eui64 = reading.eui64(table).filter(|eui64| {
        let honest = site.is_some_and(|site| site.building.station(*eui64).is_some());
        if honest {
            let (at, field) = place(table, "eui64");
            let what = format!("{eui64} hangs in the building; allowed: an EUI-64 of its own");
            reading.fault(at, field, what);
        }
        !honest && reading.once(table, "eui64", *eui64, eui64.to_string(), seen)
    });
    let level = reading.integer(table, "floor", -9..=99);
    let x = reading.required_number(table, "x", OUTSIDE);
    let y = reading.required_number(table, "y", OUTSIDE);
    Some(Device { eui64: eui64?, level: level? as i8, x: x?, y: y? })
}

/// What it does, at a place that may not be known.
fn intruder(
    reading: &mut Reading,
    table: &Table<'_>,
    site: Option<&Site>,
    names: Option<&Names>,
    place: Option<Device>,
) -> Option<Intruder> {
    const PLACE: [&str; 5] = ["eui64", "floor", "x", "y", "trick"];
    const TRICKS: &str = "\"repeat\", \"forge\", \"inject\", \"flood\", \"beacon\", \"jam\", \"tunnel\", \
                          \"tamper\", \"tell\", \"pose\" or \"listen\"";
    let value = reading.required(table, "trick")?;
    let word = value.get_ref().as_str().unwrap_or_default();
    let more: &[&str] = match word {
        "pose" => &["as", "psk"],
        "flood" => &["relay"],
        "jam" => &["percent"],
        "tunnel" | "tamper" => &["to"],
        "tell" => &["lie", "about", "captured"],
        "repeat" | "forge" | "inject" | "beacon" | "listen" => &[],
        _ => {
            reading.wrong(table, "trick", value, TRICKS);
            return None;
        }
    };
    reading.known(table, &[&PLACE, more].concat());
    let trick = match word {
        "repeat" => Trick::Repeat,
        "forge" => Trick::Forge,
        "inject" => Trick::Inject,
        "flood" => Trick::Flood(honest(reading, table, "relay", site, names)?),
        "beacon" => Trick::Beacon,
        "jam" => Trick::Jam(reading.integer(table, "percent", 1..=99)? as u8),
        "tunnel" => Trick::Tunnel(end(reading, table)?),
        "tamper" => Trick::Tamper(end(reading, table)?),
        "tell" => {
            let lie = lie(reading, table, site, names)?;
            if !table.fields.contains_key("captured") {
                return Some(Intruder::Eavesdropper { place: place?, trick: Trick::Tell(lie) });
            }
            let captured = honest(reading, table, "captured", site, names)?;
            return Some(Intruder::Insider { place: place?, captured, lie });
        }
        "pose" => {
            let (identity, psk) = (identity(reading, table, site, names), psk(reading, table));
            return Some(Intruder::Stranger { place: place?, identity: identity?, psk: psk? });
        }
        _ => return Some(Intruder::Sniffer { place: place? }),
    };
    Some(Intruder::Eavesdropper { place: place?, trick })
}

/// The EUI-64 of somebody in the building.
fn honest(
    reading: &mut Reading,
    table: &Table<'_>,
    key: &'static str,
    site: Option<&Site>,
    names: Option<&Names>,
) -> Option<Eui64> {
    let station = names?.station(reading, table, key, Whom::Honest)?;
    Some(site?.building.device(station)?.eui64)
}

/// The other end of a tunnel.
fn end(reading: &mut Reading, table: &Table<'_>) -> Option<Eui64> {
    let value = reading.required(table, "to")?;
    let end = value.get_ref().as_str().and_then(|text| text.parse().ok());
    if end.is_none() {
        reading.wrong(table, "to", value, "an intruder's EUI-64, who hangs at the other end");
    }
    end
}

/// What a liar says, and of whom.
fn lie(
    reading: &mut Reading,
    table: &Table<'_>,
    site: Option<&Site>,
    names: Option<&Names>,
) -> Option<Lie> {
    let value = reading.required(table, "lie")?;
    let about: fn(Eui64) -> Lie = match value.get_ref().as_str().unwrap_or_default() {
        "rank" => return Some(Lie::Rank),
        "crowd" => return Some(Lie::Crowd),
        "version" => return Some(Lie::Version),
        "route" => Lie::Route,
        "address" => Lie::Address,
        "removal" => Lie::Removal,
        "fragments" => Lie::Fragments,
        "records" => Lie::Records,
        "command" => Lie::Command,
        "counter" => Lie::Counter,
        _ => {
            const LIES: &str = "\"rank\", \"crowd\", \"version\", \"route\", \"address\", \"removal\", \
                                \"fragments\", \"records\", \"command\" or \"counter\"";
            reading.wrong(table, "lie", value, LIES);
            return None;
        }
    };
    Some(about(honest(reading, table, "about", site, names)?))
}

/// As whom it poses: somebody of the inventory, or whoever that is.
fn identity(
    reading: &mut Reading,
    table: &Table<'_>,
    site: Option<&Site>,
    names: Option<&Names>,
) -> Option<Identity> {
    let value = reading.required(table, "as")?;
    let text = value.get_ref().as_str();
    if let Some(identity) = text.and_then(octets).and_then(|octets| Identity::new(&octets)) {
        return Some(identity);
    }
    if let Some(eui64) = text.and_then(|text| text.parse::<Eui64>().ok()) {
        return Some(Identity::from(eui64));
    }
    let (site, names) = (site?, names?);
    let station = names.station(reading, table, "as", Whom::Honest)?;
    let eui64 = site.building.device(station)?.eui64;
    let record = site.inventory.iter().find(|record| record.eui64 == eui64);
    record.map(|record| record.identity.clone())
}

/// It never shows in a fault.
fn psk(reading: &mut Reading, table: &Table<'_>) -> Option<Psk> {
    let Some(value) = table.fields.get("psk") else { return Psk::new(&NO_KEY) };
    let psk = value.get_ref().as_str().and_then(octets).and_then(|octets| Psk::new(&octets));
    if psk.is_none() {
        let (at, field) = place(table, "psk");
        reading.fault(at, field, "no key; allowed: 1 to 64 octets as hexadecimal digits");
    }
    psk
}

/// Hexadecimal digits, two for each octet.
pub(super) fn octets(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let octets = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    octets.collect::<Result<_, _>>().ok()
}
