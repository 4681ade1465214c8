//! Buildings of any size, in one style: wings of offices along a corridor, side by side on some floors.
//!
//! **Invariant:** equal arguments give equal buildings. Everybody reaches the border router over neighbours
//! that are a margin above the noise, and has two of these where there are so many devices.

use std::fmt;

use lowgate_mac::PSDU_OCTETS_MAX;
use lowgate_manager::Role;
use lowgate_units::{Eui64, Prng};

use super::propagation::{Places, Walls};
use super::{Building, DEVICES_MAX, Device, Floor, Group, Propagation, Room};
use crate::medium::{MediumConfig, StationId, Strength};

/// Offices on each side of a corridor.
const OFFICES_PER_SIDE: usize = 14;
/// Sides of an office, in metres.
const OFFICE_WIDTH: f64 = 5.4;
const OFFICE_DEPTH: f64 = 5.5;
const CORRIDOR_DEPTH: f64 = 2.5;
/// Fire doors cut a corridor into that many pieces.
const CORRIDOR_PIECES: usize = 3;
const WING_DEPTH: f64 = 2.0 * OFFICE_DEPTH + CORRIDOR_DEPTH;
/// Devices on one floor of one wing, about.
const DEVICES_PER_WING: usize = 13;
const FLOORS_PER_BUILDING_MAX: usize = 8;
/// A larger building has more floors: its wings have letters, and its floors a bounded number of rooms.
const WINGS_MAX: usize = 16;
/// Nothing hangs nearer to a wall than that, in metres.
const WALL_CLEARANCE: f64 = 0.5;
/// Places tried for one device before its wing is given up.
const PLACES_MAX: usize = 400;
/// How far above the noise, in dB, a neighbour must be to be counted on.
const MARGIN_DB: f64 = 3.0;
/// Neighbours to be counted on that a device must have.
const NEIGHBOURS_MIN: usize = 2;
/// A building of at least [`DEVICES_SHALLOW_MAX`] devices is that many hops deep.
const HOPS_MIN: u32 = 4;
const DEVICES_SHALLOW_MAX: usize = 24;
/// Buildings drawn before one is taken as it comes; the tests show that it does not come to that.
const DRAFTS_MAX: u64 = 64;
/// The groups of a building, each with one switch: those of [`inventory`].
pub(super) const GROUPS_EACH: usize = 2;
/// Lights in group 1, which one switch commands.
const MAIN_LIGHTS_MAX: usize = 32;

/// A generated building and the inventory that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Where everything hangs.
    pub building: Building,
    /// The border router first, then the devices in the building's order.
    pub inventory: Vec<InventoryRow>,
}

/// A line of an inventory without its PSK, which must come from entropy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryRow {
    /// Who it is.
    pub eui64: Eui64,
    /// `border-router`, `light`, `switch` or `sensor`.
    pub kind: &'static str,
    /// The name of its room.
    pub room: String,
    /// The groups it is in.
    pub groups: Vec<(u16, Role)>,
}

impl InventoryRow {
    /// The line of the CSV file, columns `eui64,psk,kind,room,groups`, with the PSK as given.
    pub fn emit(&self, psk: &str) -> String {
        let groups = self.groups.iter().map(|(id, role)| format!("{id}:{}", role.word()));
        let groups = groups.collect::<Vec<_>>().join(";");
        format!("{},{psk},{},{},{groups}", self.eui64, self.kind, self.room)
    }
}

/// No building for so many devices: 1 to [`DEVICES_MAX`] are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotGenerated {
    /// How many were asked for.
    pub devices: usize,
}

impl fmt::Display for NotGenerated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a building for {} devices; allowed: 1 to {DEVICES_MAX}", self.devices)
    }
}

impl std::error::Error for NotGenerated {}

pub(super) fn building(devices: usize, seed: u64) -> Result<Generated, NotGenerated> {
    part(devices, seed, 0)
}

/// One of several buildings; each has serial numbers of its own.
pub(super) fn part(devices: usize, seed: u64, nth: u64) -> Result<Generated, NotGenerated> {
    if !(1..=DEVICES_MAX).contains(&devices) {
        return Err(NotGenerated { devices });
    }
    let dice = Prng::new(seed.wrapping_add(nth)).fork(devices as u64);
    let mut drafts = (0..DRAFTS_MAX).map(|draft_nth| draft(devices, nth, dice.fork(draft_nth)));
    let building = drafts.find(sound).unwrap_or_else(|| draft(devices, nth, dice.fork(DRAFTS_MAX)));
    let inventory = inventory(&building);
    Ok(Generated { building, inventory })
}

fn draft(devices: usize, nth: u64, mut dice: Prng) -> Building {
    let plan = Plan::new(devices);
    let mut serials = Serials { next: nth << 24 | (dice.next_u64() & 0x00ff_0000) | 1 };
    let y = plan.centre() as f64 * WING_DEPTH + OFFICE_DEPTH + 1.2;
    let border_router = Device { eui64: serials.draw(), level: 0, x: 2.0, y };
    let propagation = Propagation::default();
    let floors = plan.floors();
    let mut site = Site {
        walls: Walls::new(&floors, &propagation),
        propagation,
        wanted: wanted(&MediumConfig::default()),
        placed: Vec::new(),
        places: Places::default(),
    };
    site.hang(border_router);
    for index in 0..devices {
        let device = site.place(plan.slot(index), &mut serials, &mut dice);
        site.hang(device);
    }
    Building {
        name: format!("Office for {devices} devices"),
        propagation,
        groups: vec![
            Group { id: 1, name: "Main lights".into() },
            Group { id: 2, name: "Upper lights".into() },
        ],
        floors,
        border_routers: vec![border_router],
        devices: site.placed.split_off(1),
    }
}

/// Whether everybody is reached over neighbours to be counted on, and some only in several hops.
fn sound(building: &Building) -> bool {
    let config = MediumConfig::default();
    let links = building.links(&config);
    let counted_on = |strength| strength >= wanted(&config);
    let any = |strength| config.reception(strength, PSDU_OCTETS_MAX) > 0.5;
    let wanted_hops = if building.devices.len() < DEVICES_SHALLOW_MAX { 0 } else { HOPS_MIN };
    links.hops(StationId(0), counted_on).iter().all(Option::is_some)
        && links.hops(StationId(0), any).into_iter().flatten().max() >= Some(wanted_hops)
}

/// How strong a neighbour must be to be counted on.
fn wanted(config: &MediumConfig) -> Strength {
    Strength::from_dbm(config.noise_dbm + MARGIN_DB)
}

/// Makes EUI-64s that look like one maker's.
struct Serials {
    next: u64,
}

impl Serials {
    fn draw(&mut self) -> Eui64 {
        let serial = 0x0212_4b00_0000_0000 | self.next;
        self.next += 1;
        Eui64(serial.to_be_bytes())
    }
}

/// The shape of the building: how many floors, wings side by side on each, devices in all.
struct Plan {
    floors: usize,
    wings: usize,
    devices: usize,
}

/// Where a device is to hang: its wing, and how far along it, 0 to 1.
#[derive(Clone, Copy)]
struct Slot {
    level: usize,
    wing: usize,
    along: f64,
}

impl Plan {
    fn new(devices: usize) -> Self {
        let parts = devices.div_ceil(DEVICES_PER_WING);
        let floors = ((parts as f64).sqrt().ceil() as usize).clamp(1, FLOORS_PER_BUILDING_MAX);
        let floors = if parts > 1 { floors.max(2) } else { floors };
        let floors = floors.max(parts.div_ceil(WINGS_MAX));
        Self { floors, wings: parts.div_ceil(floors), devices }
    }

    /// The wing with the border router, at its west end: that keeps large buildings shallow.
    fn centre(&self) -> usize {
        self.wings / 2
    }

    /// Devices go round the parts of the building, from the border router outward, so that each finds
    /// neighbours that hang already.
    fn slot(&self, index: usize) -> Slot {
        let parts = self.floors * self.wings;
        let per_part = self.devices.div_ceil(parts);
        let (step, part) = (index / parts, index % parts);
        Slot {
            level: part % self.floors,
            wing: self.wing(part / self.floors),
            along: (step as f64 + 0.5) / per_part as f64,
        }
    }

    /// The wings in order of their distance from the centre: centre, south of it, north of it, and so on.
    fn wing(&self, nth: usize) -> usize {
        let distance = nth.div_ceil(2);
        if nth.is_multiple_of(2) { self.centre() + distance } else { self.centre() - distance }
    }

    fn floors(&self) -> Vec<Floor> {
        (0..self.floors)
            .map(|level| Floor {
                level: level as i8,
                name: format!("Level {level}"),
                rooms: (0..self.wings).flat_map(|wing| rooms(level, wing)).collect(),
            })
            .collect()
    }
}

/// The rooms of one wing: offices south, corridor, offices north.
fn rooms(level: usize, wing: usize) -> Vec<Room> {
    let y = wing as f64 * WING_DEPTH;
    // Wings beyond Z do not occur: there are at most WINGS_MAX.
    let letter = char::from(b'A' + wing as u8);
    let office = |number: usize, x: f64, y: f64| Room {
        name: format!("{letter}{level}.{number:02}"),
        x,
        y,
        width: OFFICE_WIDTH,
        depth: OFFICE_DEPTH,
        wall_db: None,
    };
    let length = OFFICES_PER_SIDE as f64 * OFFICE_WIDTH;
    let piece = length / CORRIDOR_PIECES as f64;
    let corridor = |number: usize| Room {
        name: format!("{letter}{level} corridor {}", number + 1),
        x: centimetres(number as f64 * piece),
        y: y + OFFICE_DEPTH,
        width: centimetres(piece),
        depth: CORRIDOR_DEPTH,
        wall_db: None,
    };
    let x = |column: usize| centimetres(column as f64 * OFFICE_WIDTH);
    let south = (0..OFFICES_PER_SIDE).map(|column| office(2 * column + 1, x(column), y));
    let north_y = y + OFFICE_DEPTH + CORRIDOR_DEPTH;
    let north = (0..OFFICES_PER_SIDE).map(|column| office(2 * column + 2, x(column), north_y));
    (0..CORRIDOR_PIECES).map(corridor).chain(south).chain(north).collect()
}

/// What hangs so far.
struct Site {
    walls: Walls,
    propagation: Propagation,
    wanted: Strength,
    placed: Vec<Device>,
    places: Places,
}

impl Site {
    fn hang(&mut self, device: Device) {
        self.places.add(self.placed.len(), &device);
        self.placed.push(device);
    }

    /// A device near `slot` with enough neighbours among those that hang already. Its number is drawn
    /// anew with every try, because the shadowing belongs to it.
    fn place(&self, slot: Slot, serials: &mut Serials, dice: &mut Prng) -> Device {
        let mut best: Option<(usize, Device)> = None;
        let needed = NEIGHBOURS_MIN.min(self.placed.len());
        for attempt in 0..PLACES_MAX {
            let device = draw(slot, attempt, serials.draw(), dice);
            let neighbours = self.neighbours(&device);
            if neighbours >= needed {
                return device;
            }
            if best.is_none_or(|(most, _)| neighbours > most) {
                best = Some((neighbours, device));
            }
        }
        // Only where a slot lies far from everything; the tests show that it does not happen.
        best.expect("PLACES_MAX is not 0").1
    }

    fn neighbours(&self, device: &Device) -> usize {
        let mut count = 0;
        self.places.near(device, &self.propagation, self.wanted, |index| {
            let pair = (device, &self.placed[index]);
            let heard = self.propagation.strength(&self.walls, pair, self.wanted);
            count += usize::from(heard.is_some());
        });
        count
    }
}

/// A place in an office or, one time in four, in the corridor; further from the slot with every attempt.
fn draw(slot: Slot, attempt: usize, eui64: Eui64, dice: &mut Prng) -> Device {
    let length = OFFICES_PER_SIDE as f64 * OFFICE_WIDTH;
    let spread = 2.0 + attempt as f64 * 0.1;
    let wished = slot.along * length + (dice.unit_f64() - 0.5) * 2.0 * spread;
    let column = (wished / OFFICE_WIDTH).clamp(0.0, OFFICES_PER_SIDE as f64 - 1.0).floor();
    let inside =
        (wished - column * OFFICE_WIDTH).clamp(WALL_CLEARANCE, OFFICE_WIDTH - WALL_CLEARANCE);
    let between = |from: f64, depth: f64, share: f64| {
        from + WALL_CLEARANCE + share * (depth - 2.0 * WALL_CLEARANCE)
    };
    let across = match dice.below(8) {
        0 | 1 => between(OFFICE_DEPTH, CORRIDOR_DEPTH, dice.unit_f64()),
        2..=4 => between(0.0, OFFICE_DEPTH, dice.unit_f64()),
        _ => between(OFFICE_DEPTH + CORRIDOR_DEPTH, OFFICE_DEPTH, dice.unit_f64()),
    };
    Device {
        eui64,
        level: slot.level as i8,
        x: centimetres(column * OFFICE_WIDTH + inside),
        y: centimetres(slot.wing as f64 * WING_DEPTH + across),
    }
}

/// Metres, rounded: nobody hangs a lamp more precisely.
fn centimetres(metres: f64) -> f64 {
    (metres * 100.0).round() / 100.0
}

/// Of ten devices seven are lights, two sensors, one a switch. Group 1 is lights from everywhere with one
/// switch, group 2 those of the upper floors with another.
fn inventory(building: &Building) -> Vec<InventoryRow> {
    let count = building.devices.len();
    let kind = |index: usize| match index % 10 {
        1 => "switch",
        4 | 8 => "sensor",
        _ => "light",
    };
    let mut switches: u16 = 0;
    let every = count.div_ceil(MAIN_LIGHTS_MAX).max(1);
    let mut lights = 0;
    let mut row = |(index, device): (usize, &Device)| {
        let kind = kind(index);
        let groups = match kind {
            "switch" => {
                switches += 1;
                let commands = usize::from(switches) <= GROUPS_EACH;
                commands.then_some((switches, Role::Sender)).into_iter().collect()
            }
            "light" => {
                lights += 1;
                let main = (lights % every == 0).then_some((1, Role::Listener));
                let upper = (device.level > 0 && lights % every == every / 2)
                    .then_some((2, Role::Listener));
                main.into_iter().chain(upper).collect()
            }
            _ => Vec::new(),
        };
        InventoryRow { eui64: device.eui64, kind, room: room_name(building, device), groups }
    };
    let devices: Vec<_> = building.devices.iter().enumerate().map(&mut row).collect();
    let router = |router: &Device| InventoryRow {
        eui64: router.eui64,
        kind: "border-router",
        room: room_name(building, router),
        groups: Vec::new(),
    };
    building.border_routers.iter().map(router).chain(devices).collect()
}

fn room_name(building: &Building, device: &Device) -> String {
    building.room(device).expect("devices hang in rooms").name.clone()
}
