//! What the demo is asked to do, and the building and inventory it does it with.

use crate::inventory::{self, Known};
use lowgate_manager::{DeviceRecord, Kind};
use lowgate_sim::building::{Building, Fault};
use lowgate_units::{Entropy, SeededEntropy};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const OFFICE: &str = include_str!("../../../../tests/data/office.toml");
const OFFICE_INVENTORY: &str = include_str!("../../../../tests/data/office.csv");
/// What the two files are called in messages.
const OFFICE_NAME: &str = "tests/data/office.toml";
const OFFICE_INVENTORY_NAME: &str = "tests/data/office.csv";

/// The demo's arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Repeats a run octet by octet
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A generated building with so many devices (1 to 1024), instead of the office
    #[arg(long, conflicts_with_all = ["building", "inventory"])]
    pub nodes: Option<usize>,
    /// Drop each frame with this probability on top of what the medium does (0 to 0.9)
    #[arg(long, default_value_t = 0.0, value_parser = probability)]
    pub loss: f64,
    /// Your own building (TOML)
    #[arg(long, value_name = "FILE", requires = "inventory")]
    pub building: Option<PathBuf>,
    /// Your own inventory (CSV)
    #[arg(long, value_name = "FILE", requires = "building")]
    pub inventory: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "lowgate-demo.html")]
    pub report: PathBuf,
    /// Write every frame and every packet of the backbone (pcapng)
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Write all keys for Wireshark and `lowgate decode`; the capture then carries the DTLS secrets
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Write the figures
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A frame's chance to be lost.
///
/// # Errors
/// What is allowed.
pub fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=0.9).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err("a number from 0 to 0.9".into()),
    }
}

/// A building and who may join in it.
pub struct Site {
    /// Where everything hangs.
    pub building: Building,
    /// Who may join, the border router among them.
    pub inventory: Vec<DeviceRecord>,
}

/// Reads what the options name; all faults at once.
///
/// # Errors
/// One line for each fault.
pub fn site(options: &Options) -> Result<Site, Vec<String>> {
    let (building, inventory) = (options.building.as_deref(), options.inventory.as_deref());
    load_site(options.nodes, options.seed, building, inventory)
}

/// So many devices, or the two files, or the office; all faults at once.
///
/// # Errors
/// One line for each fault.
pub fn load_site(
    nodes: Option<usize>,
    seed: u64,
    building: Option<&Path>,
    inventory: Option<&Path>,
) -> Result<Site, Vec<String>> {
    if let Some(devices) = nodes {
        return generated(devices, seed);
    }
    let read = |path: Option<&Path>, name: &str, text: &str| match path {
        None => Ok((name.to_owned(), text.to_owned())),
        Some(path) => {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => Ok((name, text)),
                Err(fault) => Err(format!("{name}:1: file: cannot be read: {fault}")),
            }
        }
    };
    let building = read(building, OFFICE_NAME, OFFICE);
    let inventory = read(inventory, OFFICE_INVENTORY_NAME, OFFICE_INVENTORY);
    match (building, inventory) {
        (Ok((building_name, building)), Ok((inventory_name, inventory))) => {
            assemble((&building_name, &building), (&inventory_name, inventory.as_bytes()))
        }
        (building, inventory) => {
            Err([building.err(), inventory.err()].into_iter().flatten().collect())
        }
    }
}

fn assemble(building: (&str, &str), inventory: (&str, &[u8])) -> Result<Site, Vec<String>> {
    let parsed = Building::parse(building.0, building.1);
    // With a building that cannot be read, the inventory's own faults are still worth telling.
    let known = parsed.as_ref().map(Known::of).unwrap_or_default();
    let records = inventory::parse(inventory.0, inventory.1, &known);
    let (parsed, records) = match (parsed, records) {
        (Ok(parsed), Ok(records)) => (parsed, records),
        (Ok(_), Err(faults)) => return Err(lines(&faults)),
        (Err(faults), _) => return Err(lines(&faults)),
    };
    let faults = mismatches(&parsed, (building.0, 1), &records, (inventory.0, 1));
    match faults[..] {
        [] => Ok(Site { building: parsed, inventory: records }),
        [..] => Err(lines(&faults)),
    }
}

fn lines(faults: &[impl ToString]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Devices that hang in one file only, and whoever is a border router and should not be. With each of
/// the two comes its file, and where in it that is told.
pub(crate) fn mismatches(
    building: &Building,
    building_at: (&str, usize),
    records: &[DeviceRecord],
    inventory_at: (&str, usize),
) -> Vec<Fault> {
    let fault = |(file, line): (&str, usize), field: &str, what: String| Fault {
        file: file.into(),
        line,
        field: field.into(),
        what,
    };
    let (building_file, inventory_file) = (building_at.0, inventory_at.0);
    let listed: BTreeSet<_> = records.iter().map(|record| record.eui64).collect();
    let all = building.all();
    let hanging: BTreeSet<_> = all.map(|device| device.eui64).collect();
    let unlisted = hanging.difference(&listed).map(|eui64| {
        let what = format!("{eui64} is not in {inventory_file}: add a line for it there");
        fault(building_at, "eui64", what)
    });
    let homeless = listed.difference(&hanging).map(|eui64| {
        let what = format!("{eui64} has no place in {building_file}: add it there");
        fault(inventory_at, "eui64", what)
    });
    let stands_there =
        |record: &DeviceRecord| building.border_routers.iter().any(|it| it.eui64 == record.eui64);
    let is_router = |record: &DeviceRecord| record.kind == Kind::BorderRouter;
    let misnamed = records.iter().filter(|it| is_router(it) != stands_there(it)).map(|record| {
        let is = if stands_there(record) { "is" } else { "is not" };
        let what = format!("{} {is} a border-router of the building", record.eui64);
        fault(inventory_at, "kind", what)
    });
    unlisted.chain(homeless).chain(misnamed).collect()
}

fn generated(devices: usize, seed: u64) -> Result<Site, Vec<String>> {
    // With the border router they are what a PAN has room for.
    let most = lowgate_manager::PAN_MEMBERS_MAX - 1;
    let generated = Some(devices).filter(|devices| *devices <= most);
    let generated = generated.and_then(|devices| Building::generate(devices, seed).ok());
    let refused = || vec![format!("--nodes {devices}: 1 to {most} are allowed")];
    let generated = generated.ok_or_else(refused)?;
    let mut entropy = SeededEntropy::new(seed ^ 0x70_73_6b);
    let mut text = inventory::COLUMNS.join(",");
    for row in &generated.inventory {
        let mut psk = [0; 16];
        entropy.fill(&mut psk);
        let psk: String = psk.iter().map(|octet| format!("{octet:02x}")).collect();
        text.push('\n');
        text.push_str(row.emit(&psk).trim_end());
    }
    let known = Known::of(&generated.building);
    let inventory = inventory::parse("generated inventory", text.as_bytes(), &known)
        .map_err(|faults| lines(&faults))?;
    Ok(Site { building: generated.building, inventory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_office_is_whole() {
        let office =
            assemble((OFFICE_NAME, OFFICE), (OFFICE_INVENTORY_NAME, OFFICE_INVENTORY.as_bytes()));
        let office = office.unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
        assert_eq!(office.inventory.len(), office.building.stations());
        assert!(office.building.devices.len() >= 25);
    }

    #[test]
    fn what_hangs_in_one_file_only_is_named() {
        let short: String =
            OFFICE_INVENTORY.lines().take(20).map(|line| format!("{line}\n")).collect();
        let faults = assemble((OFFICE_NAME, OFFICE), ("short.csv", short.as_bytes()));
        let faults = faults.err().expect("devices are missing");
        assert!(faults.len() >= 6 && faults.iter().all(|fault| fault.contains("short.csv")));
    }

    #[test]
    fn generated_sites_scale() {
        for devices in [1, 25, 200] {
            let site = generated(devices, 3).unwrap_or_else(|faults| panic!("{faults:?}"));
            assert_eq!(site.inventory.len(), devices + 1);
        }
        assert!(generated(0, 1).is_err() && generated(2000, 1).is_err());
    }
}
