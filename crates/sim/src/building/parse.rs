//! A building from TOML, or all that is wrong with it.
//!
//! **Invariant:** one fault does not hide another: every field of every table is looked at, whatever the
//! others say.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use lowgate_units::Eui64;
use toml::Spanned;
use toml::de::DeValue;

use super::{
    BORDER_ROUTERS_MAX, Building, DEVICES_MAX, Device, FLOORS_MAX, Floor, GROUPS_MAX, Group,
    Propagation, ROOMS_PER_FLOOR_MAX, Room,
};
use crate::reading::{Reading, Table, quoted};

/// The fields of its table.
const FIELDS: [&str; 6] = ["name", "radio", "group", "floor", "border_router", "device"];
/// Coordinates, in metres.
const METRES: RangeInclusive<f64> = 0.0..=2000.0;
/// Sides of rooms, in metres.
const SIDES: RangeInclusive<f64> = 0.5..=500.0;
/// Attenuations, in dB.
const DECIBELS: RangeInclusive<f64> = 0.0..=60.0;

impl Reading {
    /// The building of a table, and the line of each of its devices. The table may hold `besides` too.
    pub(super) fn building(
        &mut self,
        root: &Table<'_>,
        besides: &[&str],
    ) -> Option<(Building, Vec<usize>)> {
        self.known(root, &[&FIELDS, besides].concat());
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
        let lines = tables.iter().map(|table| self.line(table.at)).collect();
        if border_routers.is_empty() {
            return None; // that has its fault
        }
        let building = Building {
            name: name?,
            propagation: propagation?,
            groups: groups.into_iter().collect::<Option<_>>()?,
            floors,
            border_routers: border_routers.into_iter().collect::<Option<_>>()?,
            devices: devices.into_iter().collect::<Option<_>>()?,
        };
        Some((building, lines))
    }

    fn propagation(&mut self, root: &Table<'_>) -> Option<Propagation> {
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

    fn groups(&mut self, root: &Table<'_>) -> Vec<Option<Group>> {
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
    fn floors(&mut self, root: &Table<'_>) -> Vec<Floor> {
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

    fn rooms(&mut self, floor: &Table<'_>, names: &mut BTreeMap<String, usize>) -> Vec<Room> {
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
        table: &Table<'_>,
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
        if !floor.rooms.iter().any(|room| room.contains(x, y)) && !self.at_fault("floor") {
            let at = table.fields.get("x").map_or(table.at, |x| x.span().start);
            let what =
                format!("{x}, {y} is in no room; allowed: inside a room of floor {}", floor.level);
            self.fault(at, format!("{}.x, y", table.path), what);
        }
        Some(Device { eui64: eui64?, level: floor.level, x, y })
    }

    fn floor<'f>(&mut self, table: &Table<'_>, floors: &'f [Floor]) -> Option<&'f Floor> {
        let level = self.integer(table, "floor", -9..=99)?;
        let floor = floors.iter().find(|floor| i64::from(floor.level) == level);
        if floor.is_none() && !self.at_fault("floor") {
            let levels: Vec<_> = floors.iter().map(|floor| floor.level.to_string()).collect();
            let value = table.fields.get("floor")?;
            let allowed = format!("the level of a [[floor]]: {}", levels.join(", "));
            self.wrong(table, "floor", value, &allowed);
        }
        floor
    }
}
