//! A generated building as a scenario's stage.

use super::{Deed, Scenario, Timed};
use crate::building::{Building, Generated, InventoryRow, NotGenerated};
use crate::medium::{MediumConfig, StationId};
use crate::world::CHANNEL;
use lowgate_manager::{ChannelSet, DevicePsk, DeviceRecord, GroupId, Identity, Kind};
use lowgate_units::{Duration, Instant, Prng};

/// Octets of a drawn key.
const PSK_OCTETS: usize = 16;
/// The border router is up before devices come.
const ROUTER_FIRST: Duration = Duration::from_secs(5);

impl Scenario {
    /// A building of so many devices in which nothing happens but that everybody is installed, one after
    /// the other with `gap` between two; the window is open all the time. `seed` draws building and keys.
    ///
    /// # Errors
    /// When there is no building for so many.
    pub fn installed(
        devices: usize,
        seed: u64,
        gap: Duration,
        duration: Duration,
    ) -> Result<Self, NotGenerated> {
        let generated = Building::generate(devices, seed)?;
        Ok(Self::installed_in(generated, seed, gap, duration))
    }

    /// The same in a building, or several, that was generated.
    pub fn installed_in(
        generated: Generated,
        seed: u64,
        gap: Duration,
        duration: Duration,
    ) -> Self {
        let inventory = records(&generated, seed);
        let mut deeds = vec![Timed { at: Instant::ZERO, what: Deed::OpenWindow(duration) }];
        let routers = generated.building.border_routers.len() as u32;
        for router in 0..routers {
            deeds.push(Timed { at: Instant::ZERO, what: Deed::Install(StationId(router)) });
        }
        for nth in 0..generated.building.devices.len() as u32 {
            let at = Instant::ZERO + ROUTER_FIRST + gap * nth;
            deeds.push(Timed { at, what: Deed::Install(StationId(routers + nth)) });
        }
        Self {
            name: generated.building.name.clone(),
            building: generated.building,
            inventory,
            intruders: Vec::new(),
            medium: MediumConfig::default(),
            channel: CHANNEL,
            further_channels: ChannelSet::NONE,
            duration,
            deeds,
            disasters: Vec::new(),
            expectations: Vec::new(),
        }
    }
}

/// The inventory of a generated building, with keys that `seed` draws: for simulations only.
pub fn records(generated: &Generated, seed: u64) -> Vec<DeviceRecord> {
    let dice = Prng::new(seed).fork(u64::from(u32::from_be_bytes(*b"psks")));
    let rows = generated.inventory.iter().enumerate();
    rows.map(|(index, row)| record(row, dice.fork(index as u64))).collect()
}

fn record(row: &InventoryRow, mut dice: Prng) -> DeviceRecord {
    let psk: [u8; PSK_OCTETS] = std::array::from_fn(|_| dice.next_u64() as u8);
    let kind = match row.kind {
        "border-router" => Kind::BorderRouter,
        "light" => Kind::Light,
        "switch" => Kind::Switch,
        "sensor" => Kind::Sensor,
        other => unreachable!("no generated building has a {other}"),
    };
    DeviceRecord {
        eui64: row.eui64,
        identity: Identity::from(row.eui64),
        psk: DevicePsk::new(&psk).expect("long enough"),
        kind,
        name: row.eui64.to_string(),
        room: row.room.clone(),
        groups: row.groups.iter().map(|(id, role)| (GroupId(*id), *role)).collect(),
    }
}
