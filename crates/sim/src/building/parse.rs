//! A building from TOML, or all that is wrong with it.
//!
//! **Invariant:** one fault does not hide another: every field of every table is looked at, whatever the
//! others say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use lowgate_units::Eui64;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    BORDER_ROUTERS_MAX, Building, DEVICES_MAX, Device, FLOORS_MAX, Floor, GROUPS_MAX, Group, Propagation,
    ROOMS_PER_FLOOR_MAX, Room,
};

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 64;
/// Most characters of a wrong value that a fault repeats.
const SHOWN_CHARS_MAX: usize = 40;
/// Coordinates, in metres.
const METRES: RangeInclusive<f64> = 0.0..=2000.0;
/// Sides of rooms, in metres.
const SIDES: RangeInclusive<f64> = 0.5..=500.0;
/// Attenuations, in dB.
const DECIBELS: RangeInclusive<f64> = 0.0..=60.0;

/// One thing that is wrong with a file. Its text is one line: `file:line: field: what is wrong, what is
/// allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as the user gave it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// As a path: `device.eui64`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.field, self.what)
    }
}

impl std::error::Error for Fault {}

pub(super) fn building(file: &str, text: &str) -> Result<Building, Vec<Fault>> {
    // A byte order mark says nothing and would otherwise belong to the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reading = Reading::new(file, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().next().unwrap_or("not understood");
        reading.fault(at, "toml", format!("{message}; allowed: TOML 1.0"));
        reading.broken_lines.insert(reading.line(at));
    }
    let building = reading.building(&Table { at: 0, path: "", fields: document.get_ref() });
    match building {
        Some(building) if reading.faults.is_empty() => Ok(building),
        Some(_) | None => {
            assert!(!reading.faults.is_empty(), "what could not be read has its fault");
            reading.faults.sort_by_key(|fault| fault.line);
            Err(reading.faults)
        }
    }
}

struct Reading<'t> {
    file: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    faults: Vec<Fault>,
    /// Lines that are no TOML. What is missing may stand there, so nothing counts as missing then.
    broken_lines: BTreeSet<usize>,
}

/// A table, where it stands, and its name in faults.
#[derive(Clone, Copy)]
struct Table<'t> {
    at: usize,
    path: &'static str,
    fields: &'t DeTable<'t>,
}

type Value<'t> = &'t Spanned<DeValue<'t>>;

impl<'t> Reading<'t> {
    fn new(file: &'t str, text: &str) -> Self {
        let begins = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(begins).collect();
        Self { file, lines, faults: Vec::new(), broken_lines: BTreeSet::new() }
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    fn fault(&mut self, at: usize, field: impl Into<String>, what: impl Into<String>) {
        let (file, line) = (self.file.into(), self.line(at));
        // What else is odd about a line that is no TOML is bewilderment, not a fault of its own.
        if self.broken_lines.contains(&line) {
            return;
        }
        let fault = Fault { file, line, field: field.into(), what: what.into() };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn building(&mut self, root: &Table<'t>) -> Option<Building> {
        self.known(root, &["name", "radio", "group", "floor", "border_router", "device"]);
        let name = self.name(root, "name");
        let propagation = self.propagation(root);
        let groups = self.groups(root);
        let floors = self.floors(root);
        let mut seen = BTreeMap::new();
        // One may be a plain table.
        let tables = match root.fields.get("border_router").map(Spanned::get_ref) {
            Some(DeValue::Array(_)) => {
                self.tables(root, "border_router", "border_router", 1..=BORDER_ROUTERS_MAX)
            }
            Some(_) | None => self
                .required(root, "border_router")
                .and_then(|value| self.table(value, "border_router", "a table [border_router]"))
                .into_iter()
                .collect(),
        };
        let border_routers: Vec<_> =
            tables.iter().map(|table| self.device(table, &floors, &mut seen)).collect();
        let tables = self.tables(root, "device", "device", 1..=DEVICES_MAX);
        let devices: Vec<_> =
            tables.iter().map(|table| self.device(table, &floors, &mut seen)).collect();
        Some(Building {
            name: name?,
            propagation: propagation?,
            groups: groups.into_iter().collect::<Option<_>>()?,
            floors,
            border_routers: Some(border_routers).filter(|them| !them.is_empty())?.into_iter().collect::<Option<_>>()?,
            devices: devices.into_iter().collect::<Option<_>>()?,
        })
    }

    fn propagation(&mut self, root: &Table<'t>) -> Option<Propagation> {
        let usual = Propagation::default();
        let Some(value) = root.fields.get("radio") else { return Some(usual) };
        let table = self.table(value, "radio", "a table [radio]")?;
        let fields = ["tx_dbm", "path_loss_exponent", "wall_db", "floor_db", "shadowing_db"];
        self.known(&table, &fields);
        let mut optional = |field, usual, range| match table.fields.get(field) {
            None => Some(usual),
            Some(value) => self.number(&table, field, value, range),
        };
        let tx_dbm = optional("tx_dbm", usual.tx_dbm, -40.0..=20.0);
        let exponent = optional("path_loss_exponent", usual.path_loss_exponent, 1.0..=6.0);
        let wall_db = optional("wall_db", usual.wall_db, DECIBELS);
        let floor_db = optional("floor_db", usual.floor_db, DECIBELS);
        let shadowing_db = optional("shadowing_db", usual.shadowing_db, 0.0..=20.0);
        Some(Propagation {
            tx_dbm: tx_dbm?,
            path_loss_exponent: exponent?,
            wall_db: wall_db?,
            floor_db: floor_db?,
            shadowing_db: shadowing_db?,
        })
    }

    fn groups(&mut self, root: &Table<'t>) -> Vec<Option<Group>> {
        if !root.fields.contains_key("group") {
            return Vec::new();
        }
        let mut seen = BTreeMap::new();
        let tables = self.tables(root, "group", "group", 0..=GROUPS_MAX);
        tables
            .iter()
            .map(|table| {
                self.known(table, &["id", "name"]);
                let id = self.integer(table, "id", 1..=i64::from(u16::MAX));
                let name = self.name(table, "name");
                let id = id.filter(|id| self.once(table, "id", *id, id.to_string(), &mut seen))?;
                Some(Group { id: id as u16, name: name? })
            })
            .collect()
    }

    /// The floors that could be read, from the lowest to the highest. Rooms at fault are left out.
    fn floors(&mut self, root: &Table<'t>) -> Vec<Floor> {
        let mut floors = BTreeMap::new();
        let (mut levels, mut names) = (BTreeMap::new(), BTreeMap::new());
        for table in self.tables(root, "floor", "floor", 1..=FLOORS_MAX) {
            self.known(&table, &["level", "name", "room"]);
            let level = self.integer(&table, "level", -9..=99);
            let name = self.name(&table, "name");
            let rooms = self.rooms(&table, &mut names);
            let level = level
                .filter(|level| self.once(&table, "level", *level, level.to_string(), &mut levels));
            if let Some(level) = level {
                // Between -9 and 99.
                let level = level as i8;
                floors.insert(level, Floor { level, name: name.unwrap_or_default(), rooms });
            }
        }
        floors.into_values().collect()
    }

    fn rooms(&mut self, floor: &Table<'t>, names: &mut BTreeMap<String, usize>) -> Vec<Room> {
        let mut rooms: Vec<Room> = Vec::new();
        for table in self.tables(floor, "room", "floor.room", 1..=ROOMS_PER_FLOOR_MAX) {
            self.known(&table, &["name", "x", "y", "width", "depth", "wall_db"]);
            let name = self.name(&table, "name");
            let name =
                name.filter(|name| self.once(&table, "name", name.clone(), quoted(name), names));
            let (x, y) = (
                self.required_number(&table, "x", METRES),
                self.required_number(&table, "y", METRES),
            );
            let width = self.required_number(&table, "width", SIDES);
            let depth = self.required_number(&table, "depth", SIDES);
            let wall_db = match table.fields.get("wall_db") {
                None => Some(None),
                Some(value) => self.number(&table, "wall_db", value, DECIBELS).map(Some),
            };
            let (Some(x), Some(y), Some(width), Some(depth)) = (x, y, width, depth) else {
                continue;
            };
            let (name, wall_db) = (name.unwrap_or_default(), wall_db.flatten());
            let room = Room { name, x, y, width, depth, wall_db };
            if let Some(other) = rooms.iter().find(|other| room.overlaps(other)) {
                let what = format!("overlaps {}; allowed: rooms side by side", quoted(&other.name));
                self.fault(table.at, "floor.room", what);
            }
            rooms.push(room);
        }
        rooms
    }

    fn device(
        &mut self,
        table: &Table<'t>,
        floors: &[Floor],
        seen: &mut BTreeMap<Eui64, usize>,
    ) -> Option<Device> {
        self.known(table, &["eui64", "floor", "x", "y"]);
        let eui64 = self
            .eui64(table)
            .filter(|eui64| self.once(table, "eui64", *eui64, eui64.to_string(), seen));
        let floor = self.floor(table, floors);
        let x = self.required_number(table, "x", METRES);
        let y = self.required_number(table, "y", METRES);
        let (floor, x, y) = (floor?, x?, y?);
        if !floor.rooms.iter().any(|room| room.contains(x, y)) && !self.floors_at_fault() {
            let at = table.fields.get("x").map_or(table.at, |x| x.span().start);
            let what =
                format!("{x}, {y} is in no room; allowed: inside a room of floor {}", floor.level);
            self.fault(at, format!("{}.x, y", table.path), what);
        }
        Some(Device { eui64: eui64?, level: floor.level, x, y })
    }

    /// While a floor or a room is not understood, nobody knows what lies outside of it.
    fn floors_at_fault(&self) -> bool {
        !self.broken_lines.is_empty()
            || self.faults.iter().any(|fault| fault.field.starts_with("floor"))
    }

    fn eui64(&mut self, table: &Table<'t>) -> Option<Eui64> {
        let value = self.required(table, "eui64")?;
        let eui64 = match value.get_ref() {
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        let eui64 = eui64.filter(|eui64: &Eui64| ![[0; 8], [0xff; 8]].contains(&eui64.0));
        if eui64.is_none() {
            let allowed =
                "a maker's number as \"16 hexadecimal digits\", or 8 pairs with - or : between";
            self.wrong(table, "eui64", value, allowed);
        }
        eui64
    }

    fn floor<'f>(&mut self, table: &Table<'t>, floors: &'f [Floor]) -> Option<&'f Floor> {
        let level = self.integer(table, "floor", -9..=99)?;
        let floor = floors.iter().find(|floor| i64::from(floor.level) == level);
        if floor.is_none() && !self.floors_at_fault() {
            let levels: Vec<_> = floors.iter().map(|floor| floor.level.to_string()).collect();
            let value = table.fields.get("floor")?;
            let allowed = format!("the level of a [[floor]]: {}", levels.join(", "));
            self.wrong(table, "floor", value, &allowed);
        }
        floor
    }

    /// Faults every field that is not among `fields`.
    fn known(&mut self, table: &Table<'t>, fields: &[&str]) {
        for name in table.fields.keys() {
            let at = name.span().start;
            // Under a header that is not understood, fields come to a table that is not theirs.
            let astray = !self.broken_lines.is_empty() && table.path.is_empty();
            if !fields.contains(&name.get_ref().as_ref()) && !astray {
                let what = format!("unknown field; allowed: {}", fields.join(", "));
                self.fault(at, path(table, &shown(name.get_ref())), what);
            }
        }
    }

    fn required(&mut self, table: &Table<'t>, field: &str) -> Option<Value<'t>> {
        let value = table.fields.get(field);
        if value.is_none() && self.broken_lines.is_empty() {
            self.fault(table.at, path(table, field), "missing; it is required");
        }
        value
    }

    fn wrong(&mut self, table: &Table<'t>, field: &str, value: Value<'t>, allowed: &str) {
        let what = format!("{}; allowed: {allowed}", described(value.get_ref()));
        self.fault(value.span().start, path(table, field), what);
    }

    /// Whether `key` is new; if not, that is a fault.
    fn once<K: Ord>(
        &mut self,
        table: &Table<'t>,
        field: &str,
        key: K,
        shown: String,
        seen: &mut BTreeMap<K, usize>,
    ) -> bool {
        let at = table.fields.get(field).map_or(table.at, |value| value.span().start);
        let first = *seen.entry(key).or_insert(at);
        if first != at {
            let first = self.line(first);
            self.fault(
                at,
                path(table, field),
                format!("{shown} stands in line {first} already; allowed: once"),
            );
        }
        first == at
    }

    fn name(&mut self, table: &Table<'t>, field: &str) -> Option<String> {
        let value = self.required(table, field)?;
        let name = match value.get_ref() {
            DeValue::String(text) => Some(text.trim().to_owned()),
            _ => None,
        };
        let fits = |name: &String| {
            (1..=NAME_CHARS_MAX).contains(&name.chars().count())
                && !name.chars().any(char::is_control)
        };
        let name = name.filter(fits);
        if name.is_none() {
            self.wrong(
                table,
                field,
                value,
                &format!("text of 1 to {NAME_CHARS_MAX} characters on one line"),
            );
        }
        name
    }

    fn integer(
        &mut self,
        table: &Table<'t>,
        field: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = self.required(table, field)?;
        let integer = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            _ => None,
        };
        let integer = integer.filter(|integer| range.contains(integer));
        if integer.is_none() {
            let allowed = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong(table, field, value, &allowed);
        }
        integer
    }

    fn required_number(
        &mut self,
        table: &Table<'t>,
        field: &str,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let value = self.required(table, field)?;
        self.number(table, field, value, range)
    }

    fn number(
        &mut self,
        table: &Table<'t>,
        field: &str,
        value: Value<'t>,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|i| i as f64)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        // No NaN lies in a range.
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let allowed = format!("a number from {} to {}", range.start(), range.end());
            self.wrong(table, field, value, &allowed);
        }
        number
    }

    fn table(&mut self, value: Value<'t>, path: &'static str, allowed: &str) -> Option<Table<'t>> {
        match value.get_ref() {
            DeValue::Table(fields) => Some(Table { at: value.span().start, path, fields }),
            other => {
                let what = format!("{}; allowed: {allowed}", described(other));
                self.fault(value.span().start, path, what);
                None
            }
        }
    }

    /// The tables of an array, as many as `count` allows.
    fn tables(
        &mut self,
        parent: &Table<'t>,
        field: &str,
        path: &'static str,
        count: RangeInclusive<usize>,
    ) -> Vec<Table<'t>> {
        let Some(value) = self.required(parent, field) else { return Vec::new() };
        let allowed = format!("{} to {} tables [[{path}]]", count.start(), count.end());
        let DeValue::Array(array) = value.get_ref() else {
            let what = format!("{}; allowed: {allowed}", described(value.get_ref()));
            self.fault(value.span().start, path, what);
            return Vec::new();
        };
        if !count.contains(&array.len()) {
            let what = format!("{} of them; allowed: {allowed}", array.len());
            self.fault(value.span().start, path, what);
        }
        let tables = array.iter().take(*count.end());
        tables.filter_map(|value| self.table(value, path, "a table")).collect()
    }
}

fn path(table: &Table<'_>, field: &str) -> String {
    if table.path.is_empty() { field.to_owned() } else { format!("{}.{field}", table.path) }
}

/// A value as a fault may repeat it: on one line, and short.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(&shown(text)),
        DeValue::Integer(integer) => shown(&integer.to_string()),
        DeValue::Float(float) => shown(&float.to_string()),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS_MAX).filter(|c| !c.is_control()).collect();
    if text.chars().count() > SHOWN_CHARS_MAX { short + "…" } else { short }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
