//! Path loss: log-distance, walls, floors, and shadowing frozen per pair.

use std::collections::BTreeMap;

use lowgate_units::{Eui64, Prng};

use super::{Device, Floor};
use crate::medium::Strength;
use crate::medium::elementary::{exp10, log10};
use crate::medium::grid::Grid;

/// From one floor to the next, in metres.
const STOREY_HEIGHT: f64 = 3.2;
/// Path loss at one metre at 2.45 GHz in free space, in dB.
const LOSS_AT_ONE_METRE_DB: f64 = 40.2;
/// Nearer than this the formula for distance means nothing.
const DISTANCE_MIN: f64 = 0.3;
/// The most that [`shadow`] says, in standard deviations.
const SHADOW_MAX: f64 = 6.0;
/// What rounding may add to a strength, and more.
const ROUNDING_DB: f64 = 0.01;
/// Side of the cells by which devices are found, in metres.
const CELL: f64 = 16.0;

/// How radio waves fare in a building.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Propagation {
    /// Transmit power in dBm.
    pub tx_dbm: f64,
    /// Loss per factor of ten in distance is ten times this, in dB: 2 in free space, 3 among furniture.
    pub path_loss_exponent: f64,
    /// Attenuation of one wall in dB, where a room does not say otherwise.
    pub wall_db: f64,
    /// Attenuation of one floor in dB.
    pub floor_db: f64,
    /// Standard deviation, in dB, of what the formula does not know of a pair.
    pub shadowing_db: f64,
}

impl Default for Propagation {
    /// An office: exponent 3.0 (ITU-R P.1238), light partition walls, concrete floors.
    fn default() -> Self {
        Self {
            tx_dbm: 0.0,
            path_loss_exponent: 3.0,
            wall_db: 5.0,
            floor_db: 16.0,
            shadowing_db: 3.0,
        }
    }
}

impl Propagation {
    /// How loud `a` and `b` are to each other, if that is at least `least`.
    pub(super) fn strength(
        &self,
        walls: &Walls,
        (a, b): (&Device, &Device),
        least: Strength,
    ) -> Option<Strength> {
        let storeys = storeys(a, b);
        let (x, y, z) = (a.x - b.x, a.y - b.y, storeys * STOREY_HEIGHT);
        let distance = (x * x + y * y + z * z).sqrt();
        let open_dbm = self.tx_dbm
            - LOSS_AT_ONE_METRE_DB
            - 10.0 * self.path_loss_exponent * log10(distance.max(DISTANCE_MIN))
            - self.floor_db * storeys;
        // What costs more to compute is left out where it cannot matter.
        let hopeless = |dbm| Strength::from_dbm(dbm) < least;
        if hopeless(open_dbm + self.shadowing_db * SHADOW_MAX) {
            return None;
        }
        let shadowed_dbm = open_dbm + self.shadowing_db * shadow(a.eui64, b.eui64);
        if hopeless(shadowed_dbm) {
            return None;
        }
        let strength = Strength::from_dbm(shadowed_dbm - walls.loss(a, b));
        (strength >= least).then_some(strength)
    }

    /// How far apart, in metres along the ground, two devices with `storeys` floors between them may be
    /// and still hear each other at `least`; `None` when they never do.
    fn reach(&self, storeys: f64, least: Strength) -> Option<f64> {
        let budget = self.tx_dbm - LOSS_AT_ONE_METRE_DB - self.floor_db * storeys
            + self.shadowing_db * SHADOW_MAX
            - least.dbm()
            + ROUNDING_DB;
        let distance = exp10(budget / (10.0 * self.path_loss_exponent));
        let height = storeys * STOREY_HEIGHT;
        let along = distance * distance - height * height;
        (distance >= DISTANCE_MIN && along >= 0.0).then(|| along.sqrt())
    }
}

fn storeys(a: &Device, b: &Device) -> f64 {
    f64::from((i16::from(a.level) - i16::from(b.level)).abs())
}

/// Devices by where they hang, to find who may hear whom without looking at every pair.
#[derive(Debug, Default)]
pub(super) struct Places {
    floors: BTreeMap<i8, Grid>,
}

impl Places {
    /// One more device, which is called `index`.
    pub(super) fn add(&mut self, index: usize, device: &Device) {
        let floor = self.floors.entry(device.level).or_insert_with(|| Grid::new(&[], CELL));
        floor.add(index, (device.x, device.y));
    }

    /// Tells `visit` the index of every device that `device` may hear at `least`, and of some others.
    pub(super) fn near(
        &self,
        device: &Device,
        propagation: &Propagation,
        least: Strength,
        mut visit: impl FnMut(usize),
    ) {
        for (level, grid) in &self.floors {
            let storeys = f64::from((i16::from(device.level) - i16::from(*level)).abs());
            if let Some(reach) = propagation.reach(storeys, least) {
                grid.near((device.x, device.y), reach, &mut visit);
            }
        }
    }
}

/// Normally distributed, cut at 6 sigma: the same for a pair whichever way one looks at it.
fn shadow(a: Eui64, b: Eui64) -> f64 {
    let (low, high) = (a.min(b), a.max(b));
    let mut dice = Prng::new(u64::from_be_bytes(low.0)).fork(u64::from_be_bytes(high.0));
    // The sum of twelve uniform numbers has variance 1, and asks nothing of the platform's logarithm.
    (0..12).map(|_| dice.unit_f64()).sum::<f64>() - 6.0
}

/// The walls of all floors, those that rooms share merged into one.
#[derive(Debug)]
pub(super) struct Walls {
    floors: BTreeMap<i8, FloorWalls>,
}

#[derive(Debug)]
struct FloorWalls {
    /// Walls from south to north, by their x.
    of_x: Vec<WallLine>,
    /// Walls from west to east, by their y.
    of_y: Vec<WallLine>,
}

/// All walls on one straight line.
#[derive(Debug)]
struct WallLine {
    at: f64,
    /// From, to, attenuation; in order, none overlapping another.
    pieces: Vec<(f64, f64, f64)>,
}

impl Walls {
    pub(super) fn new(floors: &[Floor], propagation: &Propagation) -> Self {
        let floors = floors.iter().map(|floor| (floor.level, FloorWalls::new(floor, propagation)));
        Self { floors: floors.collect() }
    }

    /// What the walls between `a` and `b` take, in dB. On its way from floor to floor the straight line
    /// passes the walls of each floor in turn: half a storey of the first and the last, all of the others.
    fn loss(&self, a: &Device, b: &Device) -> f64 {
        let (low, high) = if a.level <= b.level { (a, b) } else { (b, a) };
        let storeys = f64::from(i16::from(high.level) - i16::from(low.level));
        let mut loss = 0.0;
        for (level, walls) in self.floors.range(low.level..=high.level) {
            let above = f64::from(i16::from(*level) - i16::from(low.level));
            let (from, to) = if storeys == 0.0 {
                (0.0, 1.0)
            } else {
                (((above - 0.5) / storeys).max(0.0), ((above + 0.5) / storeys).min(1.0))
            };
            let at =
                |share: f64| (low.x + (high.x - low.x) * share, low.y + (high.y - low.y) * share);
            loss += walls.loss(at(from), at(to));
        }
        loss
    }
}

impl FloorWalls {
    fn new(floor: &Floor, propagation: &Propagation) -> Self {
        let mut of_x = BTreeMap::<i64, Vec<_>>::new();
        let mut of_y = BTreeMap::<i64, Vec<_>>::new();
        for room in &floor.rooms {
            let db = room.wall_db.unwrap_or(propagation.wall_db);
            let (west, east) = (centimetres(room.x), centimetres(room.x + room.width));
            let (south, north) = (centimetres(room.y), centimetres(room.y + room.depth));
            for x in [west, east] {
                of_x.entry(x).or_default().push((south, north, db));
            }
            for y in [south, north] {
                of_y.entry(y).or_default().push((west, east, db));
            }
        }
        let lines = |walls: BTreeMap<i64, Vec<_>>| walls.into_iter().map(WallLine::new).collect();
        Self { of_x: lines(of_x), of_y: lines(of_y) }
    }

    fn loss(&self, (ax, ay): (f64, f64), (bx, by): (f64, f64)) -> f64 {
        crossed(&self.of_x, (ax, ay), (bx, by)) + crossed(&self.of_y, (ay, ax), (by, bx))
    }
}

/// What the walls of `lines` take from a ray from `a` to `b`; of both points, first the coordinate by which
/// the lines are ordered.
fn crossed(lines: &[WallLine], a: (f64, f64), b: (f64, f64)) -> f64 {
    let (a, b) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let first = lines.partition_point(|line| line.at <= a.0);
    lines[first..]
        .iter()
        .take_while(|line| line.at < b.0)
        .map(|line| line.attenuation(a.1 + (b.1 - a.1) * (line.at - a.0) / (b.0 - a.0)))
        .sum()
}

impl WallLine {
    fn new((at, walls): (i64, Vec<(i64, i64, f64)>)) -> Self {
        let mut ends: Vec<i64> = walls.iter().flat_map(|wall| [wall.0, wall.1]).collect();
        ends.sort_unstable();
        ends.dedup();
        let pieces = ends.windows(2).filter_map(|ends| {
            let covering = walls.iter().filter(|wall| wall.0 <= ends[0] && wall.1 >= ends[1]);
            let thickest = covering.map(|wall| wall.2).reduce(f64::max)?;
            Some((metres(ends[0]), metres(ends[1]), thickest))
        });
        Self { at: metres(at), pieces: pieces.collect() }
    }

    fn attenuation(&self, at: f64) -> f64 {
        let next = self.pieces.partition_point(|piece| piece.0 <= at);
        let piece = next.checked_sub(1).map(|index| self.pieces[index]);
        piece.filter(|piece| at < piece.1).map_or(0.0, |piece| piece.2)
    }
}

fn centimetres(metres: f64) -> i64 {
    (metres * 100.0).round() as i64
}

fn metres(centimetres: i64) -> f64 {
    centimetres as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::building::Room;

    fn room(x: f64, y: f64, width: f64, depth: f64, wall_db: Option<f64>) -> Room {
        Room { name: format!("{x} {y}"), x, y, width, depth, wall_db }
    }

    fn device(serial: u8, level: i8, x: f64, y: f64) -> Device {
        Device { eui64: Eui64([2, 0, 0, 0, 0, 0, 0, serial]), level, x, y }
    }

    /// Two rooms side by side with a corridor south of both, on two floors.
    fn walls() -> Walls {
        let rooms = vec![
            room(0.0, 2.0, 5.0, 4.0, None),
            room(5.0, 2.0, 5.0, 4.0, Some(12.0)),
            room(0.0, 0.0, 10.0, 2.0, None),
        ];
        let floors: Vec<_> = (0..2)
            .map(|level| Floor { level, name: level.to_string(), rooms: rooms.clone() })
            .collect();
        Walls::new(&floors, &Propagation::default())
    }

    fn check(a: (i8, f64, f64), b: (i8, f64, f64), expected_db: f64) {
        let (a, b) = (device(1, a.0, a.1, a.2), device(2, b.0, b.1, b.2));
        assert_eq!(walls().loss(&a, &b), expected_db);
        assert_eq!(walls().loss(&b, &a), expected_db);
    }

    #[test]
    fn within_a_room_there_is_no_wall() {
        check((0, 1.0, 3.0), (0, 4.0, 5.0), 0.0);
        check((0, 1.0, 1.0), (0, 9.0, 1.0), 0.0);
    }

    #[test]
    fn a_shared_wall_counts_once_and_as_the_thicker_one() {
        check((0, 4.0, 4.0), (0, 6.0, 4.0), 12.0);
        check((0, 1.0, 1.0), (0, 1.0, 4.0), 5.0);
        check((0, 6.0, 1.0), (0, 6.0, 4.0), 12.0);
    }

    #[test]
    fn out_of_the_building_through_the_outer_wall() {
        check((0, 1.0, 1.0), (0, -3.0, 1.0), 5.0);
    }

    #[test]
    fn from_floor_to_floor_half_the_way_on_each() {
        // The wall at x = 5 is passed on the upper floor; on the lower one the line is still west of it.
        check((0, 1.0, 4.0), (1, 8.0, 4.0), 12.0);
        check((0, 1.0, 4.0), (1, 2.0, 4.0), 0.0);
    }

    #[test]
    fn distance_costs_thirty_decibels_per_decade() {
        let propagation = Propagation { shadowing_db: 0.0, ..Propagation::default() };
        let walls = Walls::new(&[], &propagation);
        let least = Strength::from_dbm(-100.0);
        let strength = |x| {
            let pair = (&device(1, 0, 0.0, 0.0), &device(2, 0, x, 0.0));
            propagation.strength(&walls, pair, least).map(Strength::dbm)
        };
        assert_eq!(strength(1.0), Some(-40.2));
        assert_eq!(strength(10.0), Some(-70.2));
        assert_eq!((strength(98.0).is_some(), strength(99.0)), (true, None));
    }

    #[test]
    fn shadowing_is_symmetric_and_as_wide_as_said() {
        let eui64 = |i: u64| Eui64(i.to_be_bytes());
        assert_eq!(shadow(eui64(1), eui64(2)), shadow(eui64(2), eui64(1)));
        let values: Vec<_> = (1..2000).map(|i| shadow(eui64(i), eui64(i + 7))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.08 && (variance - 1.0).abs() < 0.12, "{mean} {variance}");
    }
}
