//! A building: floors, rooms, and where the radios hang. It decides who hears whom.
//!
//! **Invariant:** how loud two devices are to each other is a property of the building alone, shadowing
//! included: it is frozen per pair of EUI-64s and does not depend on the seed of a run.

mod campus;
mod emit;
mod generate;
mod parse;
mod propagation;

use lowgate_units::Eui64;

use crate::medium::{Links, MediumConfig, StationId, Strength};
pub use crate::reading::Fault;
use crate::reading::{Reading, Table};
pub use generate::{Generated, InventoryRow, NotGenerated};
pub use propagation::Propagation;
use propagation::{Places, Walls};

/// Most devices in a building, the border router not counted. One domain's inventory may be smaller.
pub const DEVICES_MAX: usize = 10_000;
/// Most border routers.
pub const BORDER_ROUTERS_MAX: usize = 256;
/// Most floors.
pub const FLOORS_MAX: usize = 64;
/// Most rooms on one floor.
pub const ROOMS_PER_FLOOR_MAX: usize = 16_384;
/// Most groups.
pub const GROUPS_MAX: usize = 64;

/// A building and what hangs in it. Read it with [`Building::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Building {
    /// What people call it.
    pub name: String,
    /// How radio waves fare in it.
    pub propagation: Propagation,
    /// The groups its devices may be in.
    pub groups: Vec<Group>,
    /// From the lowest to the highest.
    pub floors: Vec<Floor>,
    /// At least one, each the root of a mesh: stations 0 and on, in this order.
    pub border_routers: Vec<Device>,
    /// The stations after them, in this order.
    pub devices: Vec<Device>,
}

/// A multicast group that an inventory may refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its stable number.
    pub id: u16,
    /// What people call it.
    pub name: String,
}

/// A storey.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// 0 is the ground floor; floors above each other differ by one.
    pub level: i8,
    /// What people call it.
    pub name: String,
    /// They do not overlap.
    pub rooms: Vec<Room>,
}

/// A rectangle with walls around it, in metres. Where two rooms meet there is one wall: the thicker one.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Unique in the building.
    pub name: String,
    /// West edge.
    pub x: f64,
    /// South edge.
    pub y: f64,
    /// From west to east.
    pub width: f64,
    /// From south to north.
    pub depth: f64,
    /// Attenuation of its walls in dB, when it is not the building's usual one.
    pub wall_db: Option<f64>,
}

impl Room {
    /// Whether the point lies in the room, its walls included.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        let within = |at: f64, from: f64, len: f64| at >= from && at <= from + len;
        within(x, self.x, self.width) && within(y, self.y, self.depth)
    }

    /// Whether the two share more than a centimetre of floor both ways.
    fn overlaps(&self, other: &Self) -> bool {
        let shared =
            |a: f64, a_len: f64, b: f64, b_len: f64| (a + a_len).min(b + b_len) - a.max(b) > 0.01;
        shared(self.x, self.width, other.x, other.width)
            && shared(self.y, self.depth, other.y, other.depth)
    }
}

/// A device and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// Who it is.
    pub eui64: Eui64,
    /// The [`Floor::level`] under its feet.
    pub level: i8,
    /// Metres from the building's west edge.
    pub x: f64,
    /// Metres from the building's south edge.
    pub y: f64,
}

impl Building {
    /// The building of a file's `text`; `file` is its name in the faults.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in the order of its lines.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        Self::parse_with_lines(file, text).map(|(building, _)| building)
    }

    /// Likewise, with the line on which each of its devices begins.
    ///
    /// # Errors
    /// As [`Building::parse`].
    pub fn parse_with_lines(file: &str, text: &str) -> Result<(Self, Vec<usize>), Vec<Fault>> {
        Reading::document(file, text, |reading, root| reading.building(root, &[]))
    }

    /// Likewise, where the building is a table of a larger file: `path` with a dot is in front of its
    /// fields in faults, and it may hold `besides` too.
    pub fn read(
        reading: &mut Reading,
        table: &Table<'_>,
        path: &'static str,
        besides: &[&str],
    ) -> Option<(Self, Vec<usize>)> {
        reading.within(path, |reading| reading.building(&Table { path: "", ..*table }, besides))
    }

    /// The text of a file that [`Building::parse`] reads back.
    pub fn emit(&self) -> String {
        emit::building(self, "")
    }

    /// The text of a table `path` within a larger file, which [`Building::read`] reads back.
    pub fn emit_within(&self, path: &str) -> String {
        format!("[{path}]\n{}", emit::building(self, &format!("{path}.")))
    }

    /// A building of the same style for `devices` devices, with its inventory. Equal arguments give
    /// equal buildings.
    ///
    /// # Errors
    /// Unless `devices` is from 1 to [`DEVICES_MAX`].
    pub fn generate(devices: usize, seed: u64) -> Result<Generated, NotGenerated> {
        generate::building(devices, seed)
    }

    /// So many buildings side by side for `devices` devices each, every one with a border router, and the
    /// inventory, border routers first. Equal arguments give equal places.
    ///
    /// # Errors
    /// Unless there is at least one building and one device, and no more than [`DEVICES_MAX`] in all.
    pub fn campus(buildings: usize, devices: usize, seed: u64) -> Result<Generated, NotGenerated> {
        campus::campus(buildings, devices, seed)
    }

    /// How many stations there are: the border routers and the devices.
    pub fn stations(&self) -> usize {
        self.border_routers.len() + self.devices.len()
    }

    /// The device that is `station`.
    pub fn device(&self, station: StationId) -> Option<&Device> {
        match station.index().checked_sub(self.border_routers.len()) {
            None => self.border_routers.get(station.index()),
            Some(index) => self.devices.get(index),
        }
    }

    /// The station that is `eui64`.
    pub fn station(&self, eui64: Eui64) -> Option<StationId> {
        self.all().position(|device| device.eui64 == eui64).map(|index| StationId(index as u32))
    }

    /// The room a device hangs in. On a wall it is the first one in the file.
    pub fn room(&self, device: &Device) -> Option<&Room> {
        let floor = self.floors.iter().find(|floor| floor.level == device.level)?;
        floor.rooms.iter().find(|room| room.contains(device.x, device.y))
    }

    /// Who hears or disturbs whom under `config`, over the air, walls and floors between them.
    pub fn links(&self, config: &MediumConfig) -> Links {
        let walls = Walls::new(&self.floors, &self.propagation);
        let cut_off = config.cut_off();
        let devices: Vec<&Device> = self.all().collect();
        let mut places = Places::default();
        let mut pairs = Vec::new();
        for (b, device_b) in devices.iter().enumerate() {
            places.near(device_b, &self.propagation, cut_off, |a| {
                let pair = (devices[a], *device_b);
                if let Some(strength) = self.propagation.strength(&walls, pair, cut_off) {
                    pairs.push((StationId(a as u32), StationId(b as u32), strength));
                }
            });
            places.add(b, device_b);
        }
        let names = devices.iter().map(|device| u64::from_be_bytes(device.eui64.0));
        Links::new(devices.len(), &pairs).named(names.collect())
    }

    /// Everybody, in the order of the stations.
    pub fn all(&self) -> impl Iterator<Item = &Device> {
        self.border_routers.iter().chain(&self.devices)
    }
}

impl MediumConfig {
    /// Below this strength a frame does not even disturb: 12 dB below the noise it adds a quarter of a dB.
    pub fn cut_off(&self) -> Strength {
        Strength::from_dbm(self.noise_dbm - 12.0)
    }
}

#[cfg(test)]
mod tests;
