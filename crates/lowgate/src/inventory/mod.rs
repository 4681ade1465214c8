//! The installer's inventory: CSV, one line for each device that may join.
//!
//! ```csv
//! eui64,psk,kind,room,groups
//! 02-12-4b-00-00-00-00-01,00112233445566778899aabbccddeeff,light,Kitchen,1:listener;7:both
//! ```
//!
//! Empty lines and lines that begin with `#` say nothing; a field with a comma stands in quotes; a
//! record is one line, so that a forgotten quote spoils that line alone.
//!
//! **Invariant:** all or nothing. A file with any fault gives all its faults and no device. No fault
//! repeats what may be a key.

mod one;
mod row;

pub use one::{Told, one, one_of};

use lowgate_manager::{DEVICES_MAX, DeviceRecord, GroupId};
use lowgate_sim::building::Building;
use lowgate_units::Eui64;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// The columns, in this order, in the first line that says something.
pub const COLUMNS: [&str; 5] = ["eui64", "psk", "kind", "room", "groups"];

/// What the inventory may refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The building's rooms by name; `None` where nobody declared any.
    pub rooms: Option<BTreeSet<String>>,
    /// The groups that were declared; `None` where the manager will say.
    pub groups: Option<BTreeSet<GroupId>>,
}

impl Known {
    /// What a building's file declares.
    pub fn of(building: &Building) -> Self {
        let rooms = building.floors.iter().flat_map(|floor| &floor.rooms);
        Self {
            rooms: Some(rooms.map(|room| room.name.clone()).collect()),
            groups: Some(building.groups.iter().map(|group| GroupId(group.id)).collect()),
        }
    }
}

/// One thing that is wrong with the file. Its text is one line: `file:line: field: what is wrong,
/// what is allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as the user gave it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// One of [`COLUMNS`], `header`, `columns`, `line` or `file`.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.field, self.what)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for lowgate_sim::reading::Fault {
    fn from(fault: Fault) -> Self {
        let Fault { file, line, field, what } = fault;
        Self { file, line, field: field.into(), what }
    }
}

/// The text that [`parse`] reads; it holds the keys.
pub fn emit(records: &[DeviceRecord]) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for record in records {
        let psk: String = record.psk.expose().iter().map(|octet| format!("{octet:02x}")).collect();
        let groups =
            record.groups.iter().map(|(group, role)| format!("{}:{}", group.0, role.word()));
        let groups = groups.collect::<Vec<_>>().join(";");
        let room = match record.room.contains([',', '"']) {
            true => format!("\"{}\"", record.room.replace('"', "\"\"")),
            false => record.room.clone(),
        };
        let kind = record.kind.word();
        text.push_str(&format!("{},{psk},{kind},{room},{groups}\n", record.eui64));
    }
    text
}

/// The devices of the file at `path`.
///
/// # Errors
/// Everything that is wrong with the file, in the order of its lines.
pub fn read(path: &Path, known: &Known) -> Result<Vec<DeviceRecord>, Vec<Fault>> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(octets) => parse(&file, &octets, known),
        Err(e) => {
            let what = format!("cannot be read: {e}; a CSV file is wanted");
            Err(vec![Fault { file, line: 1, field: "file", what }])
        }
    }
}

/// The devices of a file that has been read; `file` is its name in the faults.
///
/// # Errors
/// Everything that is wrong with the text, in the order of its lines.
pub fn parse(file: &str, octets: &[u8], known: &Known) -> Result<Vec<DeviceRecord>, Vec<Fault>> {
    let mut reading = Reading { file, known, faults: Vec::new(), seen: BTreeMap::new() };
    let devices = reading.table(octets);
    if reading.faults.is_empty() { Ok(devices) } else { Err(reading.faults) }
}

struct Reading<'a> {
    file: &'a str,
    known: &'a Known,
    faults: Vec<Fault>,
    /// The line of each device.
    seen: BTreeMap<Eui64, usize>,
}

impl Reading<'_> {
    fn fault(&mut self, line: usize, field: &'static str, what: impl Into<String>) {
        self.faults.push(Fault { file: self.file.into(), line, field, what: what.into() });
    }

    fn table(&mut self, octets: &[u8]) -> Vec<DeviceRecord> {
        let mut devices = Vec::new();
        let mut header_seen = false;
        let mut last = 1;
        // Spreadsheets begin a file with a byte order mark.
        let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
        for (line, octets) in octets.split(|octet| *octet == b'\n').enumerate() {
            let line = line + 1;
            let Some(fields) = self.fields(line, octets) else { continue };
            last = line;
            if !header_seen {
                // Without it nobody knows which column is which; what follows would be guesses.
                if !self.header(line, &fields) {
                    return devices;
                }
                header_seen = true;
            } else if devices.len() == DEVICES_MAX {
                self.fault(line, "file", format!("too many devices; allowed: {DEVICES_MAX}"));
                return devices;
            } else {
                devices.extend(self.row(line, &fields));
            }
        }
        if !header_seen && self.faults.is_empty() {
            self.fault(1, "header", format!("the file is empty; allowed: {}", COLUMNS.join(",")));
        } else if devices.is_empty() && self.faults.is_empty() {
            self.fault(last + 1, "line", "no device; allowed: one line for each, at least one");
        }
        devices
    }

    /// The fields of a line; nothing if it says nothing, or is no line of CSV at all.
    fn fields(&mut self, line: usize, octets: &[u8]) -> Option<Vec<String>> {
        let Ok(text) = std::str::from_utf8(octets) else {
            self.fault(line, "line", "not text; allowed: UTF-8");
            return None;
        };
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        // Quotes open, close, or stand doubled within: a sound line has an even number.
        if text.matches('"').count() % 2 == 1 {
            self.fault(line, "line", "a quote without its other half; allowed: \"field, quoted\"");
            return None;
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(text.as_bytes());
        match reader.records().next() {
            Some(Ok(record)) => Some(record.iter().map(String::from).collect()),
            Some(Err(_)) | None => {
                self.fault(line, "line", "not CSV; allowed: fields separated by commas");
                None
            }
        }
    }

    fn header(&mut self, line: usize, fields: &[String]) -> bool {
        let right = fields == COLUMNS;
        if !right {
            let found: Vec<String> = fields.iter().map(|field| row::shown(field)).collect();
            let what = format!("found {}; allowed: {}", found.join(","), COLUMNS.join(","));
            self.fault(line, "header", what);
        }
        right
    }
}

#[cfg(test)]
mod tests;
