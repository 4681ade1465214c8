//! Several buildings of one style beside each other, each with a border router of its own.
//!
//! **Invariant:** equal arguments give equal places. Neighbours in two buildings hear each other where these
//! are near, as they do in a street; each building's own devices hang together without them. A building's
//! groups are its own as far as the groups of a domain go round; then few buildings share them, so that no
//! group has more switches than it may have senders.

use super::generate::{self, GROUPS_EACH, Generated, NotGenerated};
use super::{
    BORDER_ROUTERS_MAX, Building, DEVICES_MAX, Device, Floor, GROUPS_MAX, Group, InventoryRow, Room,
};

/// Between two buildings, in metres.
const STREET: f64 = 12.0;
/// Buildings with groups of their own.
const GROUPINGS_MAX: usize = GROUPS_MAX / GROUPS_EACH;

/// So many buildings for `devices` devices each.
pub(super) fn campus(
    buildings: usize,
    devices: usize,
    seed: u64,
) -> Result<Generated, NotGenerated> {
    let of_all = buildings.saturating_mul(devices);
    if !(1..=BORDER_ROUTERS_MAX).contains(&buildings) || of_all > DEVICES_MAX {
        return Err(NotGenerated { devices: of_all });
    }
    let parts = (0..buildings).map(|nth| generate::part(devices, seed, nth as u64));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let (width, depth) = parts.iter().map(extent).fold((0.0, 0.0), |most: (f64, f64), it| {
        (most.0.max(it.0 + STREET), most.1.max(it.1 + STREET))
    });
    let columns = (1..).find(|side| side * side >= buildings).expect("some square is large enough");
    let mut whole: Option<Building> = None;
    let (mut routers, mut others) = (Vec::new(), Vec::new());
    for (nth, part) in parts.into_iter().enumerate() {
        let (column, row) = (nth % columns, nth / columns);
        let part = moved(part, nth, (column as f64 * width, row as f64 * depth));
        let (of_routers, of_others): (Vec<_>, Vec<_>) =
            part.inventory.into_iter().partition(|row| row.kind == "border-router");
        routers.extend(of_routers);
        others.extend(of_others);
        match &mut whole {
            None => whole = Some(part.building),
            Some(whole) => join(whole, part.building),
        }
    }
    let mut building = whole.expect("at least one building");
    building.name = format!("{buildings} offices for {devices} devices each");
    routers.extend(others);
    Ok(Generated { building, inventory: routers })
}

/// How far a building reaches, to the east and to the north.
fn extent(part: &Generated) -> (f64, f64) {
    let rooms = part.building.floors.iter().flat_map(|floor| &floor.rooms);
    rooms.fold((0.0, 0.0), |(east, north): (f64, f64), room| {
        (east.max(room.x + room.width), north.max(room.y + room.depth))
    })
}

/// The same building elsewhere, its rooms and groups named after it.
fn moved(part: Generated, nth: usize, (east, north): (f64, f64)) -> Generated {
    let named = |name: String| format!("B{} {name}", nth + 1);
    let there = |device: Device| Device { x: device.x + east, y: device.y + north, ..device };
    let room = |room: Room| Room {
        name: named(room.name.clone()),
        x: room.x + east,
        y: room.y + north,
        ..room
    };
    let floor =
        |floor: Floor| Floor { rooms: floor.rooms.into_iter().map(room).collect(), ..floor };
    let Building { floors, border_routers, devices, groups, .. } = part.building;
    let groups = groups
        .into_iter()
        .map(|group| Group { id: own_group(group.id, nth), name: named(group.name) });
    let building = Building {
        groups: groups.collect(),
        floors: floors.into_iter().map(floor).collect(),
        border_routers: border_routers.into_iter().map(there).collect(),
        devices: devices.into_iter().map(there).collect(),
        ..part.building
    };
    let inventory = part.inventory.into_iter();
    let inventory = inventory.map(|row| InventoryRow {
        room: named(row.room.clone()),
        groups: row.groups.iter().map(|(id, role)| (own_group(*id, nth), *role)).collect(),
        ..row
    });
    Generated { building, inventory: inventory.collect() }
}

/// What a group of a single building is called in the building `nth` of a campus.
const fn own_group(id: u16, nth: usize) -> u16 {
    id + (GROUPS_EACH * (nth % GROUPINGS_MAX)) as u16
}

/// One more building beside those that are there.
fn join(whole: &mut Building, part: Building) {
    for floor in part.floors {
        match whole.floors.iter_mut().find(|known| known.level == floor.level) {
            Some(known) => known.rooms.extend(floor.rooms),
            None => whole.floors.push(floor),
        }
    }
    whole.floors.sort_by_key(|floor| floor.level);
    for group in part.groups {
        if whole.groups.iter().all(|known| known.id != group.id) {
            whole.groups.push(group);
        }
    }
    whole.border_routers.extend(part.border_routers);
    whole.devices.extend(part.devices);
}
