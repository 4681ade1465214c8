//! The building of a scenario and who may join in it: in files of their own, generated, or within.

use super::parse::octets;
use crate::demo::mismatches;
use crate::inventory::{self, Known, Told};
use lowgate_manager::{DeviceRecord, Identity};
use lowgate_sim::building::{BORDER_ROUTERS_MAX, Building, DEVICES_MAX};
use lowgate_sim::reading::{Fault, Reading, Table, path};
use lowgate_sim::scenario::records;
use std::path::Path;
use toml::de::DeValue;

/// Its table.
const BUILDING: &str = "building";
/// Its devices' records, where they stand within.
pub(super) const INVENTORY: &str = "building.inventory";

/// Where everything hangs, who may join, and where that is written.
pub(super) struct Site {
    pub(super) building: Building,
    pub(super) inventory: Vec<DeviceRecord>,
    /// The file in which the building's devices stand, and the line of each.
    pub(super) device_file: String,
    pub(super) device_lines: Vec<usize>,
}

pub(super) struct Reader<'r> {
    pub(super) reading: &'r mut Reading,
    pub(super) file: &'r str,
    pub(super) folder: &'r Path,
}

impl Reader<'_> {
    pub(super) fn site(&mut self, root: &Table<'_>) -> Option<Site> {
        let value = self.reading.required(root, BUILDING)?;
        let table = self.reading.table(value, BUILDING, "a table [building]")?;
        if table.fields.contains_key("generate") {
            return self.generated(&table);
        }
        let (building, device_file, device_lines) = if table.fields.contains_key("file") {
            self.reading.known(&table, &["file", "inventory"]);
            self.building_elsewhere(&table)?
        } else {
            let within = Building::read(self.reading, &table, "building.", &["inventory"])?;
            (within.0, self.file.to_owned(), within.1)
        };
        let (inventory, place) = self.inventory(&table, &building)?;
        let line = if device_file == self.file { self.reading.line(table.at) } else { 1 };
        let faults = mismatches(&building, (&device_file, line), &inventory, (&place.0, place.1));
        let sound = faults.is_empty();
        self.reading.faults_elsewhere(faults);
        sound.then_some(Site { building, inventory, device_file, device_lines })
    }

    /// `generate = { devices, seed }`, or with `buildings`: so many beside each other, for `devices` each.
    fn generated(&mut self, table: &Table<'_>) -> Option<Site> {
        const GENERATE: &str = "building.generate";
        self.reading.known(table, &["generate"]);
        let value = self.reading.required(table, "generate")?;
        let table = self.reading.table(value, GENERATE, "a table { devices, seed, buildings }")?;
        self.reading.known(&table, &["devices", "seed", "buildings"]);
        let buildings = match table.fields.contains_key("buildings") {
            true => {
                self.reading.integer(&table, "buildings", 1..=BORDER_ROUTERS_MAX as i64).map(Some)
            }
            false => Some(None),
        };
        let most = DEVICES_MAX as i64 / buildings.flatten().unwrap_or(1);
        let devices = self.reading.integer(&table, "devices", 1..=most);
        let seed = self.reading.integer(&table, "seed", 0..=i64::MAX);
        let (devices, seed, buildings) = (devices? as usize, seed? as u64, buildings?);
        let generated = match buildings {
            Some(buildings) => Building::campus(buildings as usize, devices, seed),
            None => Building::generate(devices, seed),
        };
        let generated = generated.expect("so many are allowed");
        let devices = generated.building.devices.len();
        let line = self.reading.line(table.at);
        Some(Site {
            inventory: records(&generated, seed),
            building: generated.building,
            device_file: self.file.to_owned(),
            device_lines: vec![line; devices],
        })
    }

    fn building_elsewhere(&mut self, table: &Table<'_>) -> Option<(Building, String, Vec<usize>)> {
        let (file, text) = self.text(table, "file")?;
        match Building::parse_with_lines(&file, &text) {
            Ok((building, lines)) => Some((building, file, lines)),
            Err(faults) => {
                self.reading.faults_elsewhere(faults);
                // Its own faults are still worth telling.
                if table.fields.get("inventory").is_some_and(|it| it.get_ref().is_str()) {
                    self.inventory_elsewhere(table, &Known::default());
                }
                None
            }
        }
    }

    /// The records, their file, and the line there at which they begin.
    fn inventory(
        &mut self,
        table: &Table<'_>,
        building: &Building,
    ) -> Option<(Vec<DeviceRecord>, (String, usize))> {
        let known = Known::of(building);
        let value = self.reading.required(table, "inventory")?;
        if matches!(value.get_ref(), DeValue::String(_)) {
            return self.inventory_elsewhere(table, &known);
        }
        let tables = self.reading.tables(table, "inventory", INVENTORY, 1..=DEVICES_MAX + 1);
        let records: Vec<_> = tables.iter().map(|table| self.record(table, &known)).collect();
        let line = self.reading.line(value.span().start);
        Some((records.into_iter().collect::<Option<_>>()?, (self.file.to_owned(), line)))
    }

    fn inventory_elsewhere(
        &mut self,
        table: &Table<'_>,
        known: &Known,
    ) -> Option<(Vec<DeviceRecord>, (String, usize))> {
        let (file, text) = self.text(table, "inventory")?;
        match inventory::parse(&file, text.as_bytes(), known) {
            Ok(records) => Some((records, (file, 1))),
            Err(faults) => {
                self.reading.faults_elsewhere(faults.into_iter().map(Fault::from));
                None
            }
        }
    }

    /// The file that a field names, and its text.
    fn text(&mut self, table: &Table<'_>, field: &str) -> Option<(String, String)> {
        let value = self.reading.required(table, field)?;
        let Some(name) = value.get_ref().as_str() else {
            self.reading.wrong(table, field, value, "the path of a file");
            return None;
        };
        let file = self.folder.join(name);
        match std::fs::read_to_string(&file) {
            Ok(text) => Some((file.display().to_string(), text)),
            Err(e) => {
                let what = format!(
                    "{}: cannot be read: {e}; allowed: a file, its path from \
                                    this one's folder",
                    file.display()
                );
                self.reading.fault(value.span().start, path(table, field), what);
                None
            }
        }
    }

    /// One device, its fields as in a line of a file, and its name.
    fn record(&mut self, table: &Table<'_>, known: &Known) -> Option<DeviceRecord> {
        const FIELDS: [&str; 7] = ["eui64", "psk", "kind", "name", "room", "groups", "identity"];
        self.reading.known(table, &FIELDS);
        let mut text = |field| {
            let value = self.reading.required(table, field)?;
            let text = value.get_ref().as_str();
            if text.is_none() {
                let what = "not text; allowed: text as in a line of an inventory";
                self.reading.fault(value.span().start, path(table, field), what);
            }
            text
        };
        let (eui64, psk, kind) = (text("eui64"), text("psk"), text("kind"));
        let (room, groups) = (text("room"), text("groups"));
        let name = match table.fields.get("name") {
            None => Some(None),
            Some(_) => self.reading.name(table, "name").map(Some),
        };
        let identity = self.identity(table);
        let (eui64, psk, kind, room, groups, name) = (eui64?, psk?, kind?, room?, groups?, name?);
        let told = Told { eui64, psk, kind, name: name.as_deref(), room, groups };
        match inventory::one_of(told, known) {
            Ok(mut record) => {
                record.identity = identity?.unwrap_or(record.identity);
                Some(record)
            }
            Err(faults) => {
                for fault in faults {
                    let (field, what) = fault.split_once(": ").expect("field: what");
                    let at = table.fields.get(field).map_or(table.at, |it| it.span().start);
                    self.reading.fault(at, path(table, field), what);
                }
                None
            }
        }
    }

    /// What it calls itself, where that is not its EUI-64.
    fn identity(&mut self, table: &Table<'_>) -> Option<Option<Identity>> {
        let Some(value) = table.fields.get("identity") else { return Some(None) };
        let identity =
            value.get_ref().as_str().and_then(octets).and_then(|octets| Identity::new(&octets));
        if identity.is_none() {
            self.reading.wrong(table, "identity", value, "1 to 128 octets as hexadecimal digits");
        }
        identity.map(Some)
    }
}
