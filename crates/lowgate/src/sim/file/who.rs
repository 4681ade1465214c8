//! Stations and groups as a scenario names them.

use super::site::Site;
use lowgate_manager::{GroupId, Kind};
use lowgate_sim::building::Group;
use lowgate_sim::medium::StationId;
use lowgate_sim::reading::{Reading, Table, Value, described, path, quoted};
use lowgate_units::Eui64;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::DeValue;

/// What station 0 is called.
pub(super) const BORDER_ROUTER: &str = "border router";
/// All border routers in a word.
const BORDER_ROUTERS: &str = "border routers";

/// Many devices in a word.
const SETS: [(&str, Option<Kind>); 4] = [
    ("devices", None),
    ("lights", Some(Kind::Light)),
    ("switches", Some(Kind::Switch)),
    ("sensors", Some(Kind::Sensor)),
];

/// Of whom there is talk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// Devices of the building.
    Devices,
    /// These, and the border router.
    Honest,
    /// Who was not invited.
    Intruders,
    /// All of them.
    Anybody,
}

/// Who is there.
pub(super) struct Names {
    stations: BTreeMap<Eui64, StationId>,
    names: BTreeMap<String, Vec<StationId>>,
    kinds: BTreeMap<StationId, Kind>,
    groups: Vec<Group>,
    routers: u32,
    honest: u32,
    all: u32,
}

impl Names {
    pub(super) fn new(site: &Site, intruders: impl Iterator<Item = Eui64>) -> Self {
        let building = &site.building;
        let honest = building.stations() as u32;
        let mut names = Self {
            stations: BTreeMap::new(),
            names: BTreeMap::new(),
            kinds: BTreeMap::new(),
            groups: building.groups.clone(),
            routers: building.border_routers.len() as u32,
            honest,
            all: honest,
        };
        for (station, device) in (0..).map(StationId).zip(building.all()) {
            names.stations.insert(device.eui64, station);
        }
        for record in &site.inventory {
            let Some(station) = names.stations.get(&record.eui64).copied() else { continue };
            names.names.entry(record.name.clone()).or_default().push(station);
            names.kinds.insert(station, record.kind);
        }
        for (station, eui64) in (honest..).map(StationId).zip(intruders) {
            names.stations.insert(eui64, station);
            names.all = station.0 + 1;
        }
        names
    }

    fn range(&self, whom: Whom) -> Range<u32> {
        match whom {
            Whom::Devices => self.routers..self.honest,
            Whom::Honest => 0..self.honest,
            Whom::Intruders => self.honest..self.all,
            Whom::Anybody => 0..self.all,
        }
    }

    fn allowed(&self, whom: Whom) -> String {
        let Range { start, end } = self.range(whom);
        let number = format!("or a number from {start} to {}", end.saturating_sub(1));
        match whom {
            Whom::Devices => format!("a device, by EUI-64, name in the inventory, {number}"),
            Whom::Honest | Whom::Anybody => {
                let router = quoted(BORDER_ROUTER);
                format!("{router} or a device, by EUI-64, name in the inventory, {number}")
            }
            Whom::Intruders if start == end => "an intruder, of whom there is none here".into(),
            Whom::Intruders => format!("an intruder, by EUI-64 {number}"),
        }
    }

    /// Everybody of that name; nobody if there is none.
    fn called(&self, value: &DeValue<'_>) -> Vec<StationId> {
        match value {
            DeValue::Integer(number) => {
                let number = u32::from_str_radix(number.as_str(), number.radix()).ok();
                number.map(StationId).into_iter().collect()
            }
            DeValue::String(text) if text == BORDER_ROUTER => vec![StationId(0)],
            DeValue::String(text) => {
                let named = self.names.get(text.as_ref()).cloned();
                named.unwrap_or_else(|| {
                    let eui64 = text.parse().ok();
                    let station = eui64.and_then(|eui64: Eui64| self.stations.get(&eui64));
                    station.copied().into_iter().collect()
                })
            }
            _ => Vec::new(),
        }
    }

    /// The one station that a field names.
    pub(super) fn station(
        &self,
        reading: &mut Reading,
        table: &Table<'_>,
        field: &str,
        whom: Whom,
    ) -> Option<StationId> {
        let value = reading.required(table, field)?;
        self.one(reading, table, field, value, whom)
    }

    fn one(
        &self,
        reading: &mut Reading,
        table: &Table<'_>,
        field: &str,
        value: Value<'_>,
        whom: Whom,
    ) -> Option<StationId> {
        match self.called(value.get_ref())[..] {
            [station] if self.range(whom).contains(&station.0) => Some(station),
            [] | [_] => {
                reading.wrong(table, field, value, &self.allowed(whom));
                None
            }
            [_, _, ..] => {
                let what = described(value.get_ref());
                let what = format!("{what} is the name of several; allowed: the EUI-64 of one");
                reading.fault(value.span().start, path(table, field), what);
                None
            }
        }
    }

    /// All stations that a field names: one, a set, or several of both.
    pub(super) fn stations(
        &self,
        reading: &mut Reading,
        table: &Table<'_>,
        field: &str,
        whom: Whom,
    ) -> Option<Vec<StationId>> {
        let value = reading.required(table, field)?;
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        };
        let mut stations = Some(Vec::new());
        for value in &values {
            let some = match value.get_ref() {
                DeValue::String(text) => self.set(text, whom),
                _ => None,
            };
            let some =
                some.or_else(|| self.one(reading, table, field, value, whom).map(|it| vec![it]));
            stations = stations.zip(some).map(|(stations, some)| [stations, some].concat());
        }
        if stations.as_ref().is_some_and(Vec::is_empty) {
            let allowed = format!("{}; or a set that is not empty", self.allowed(whom));
            reading.wrong(table, field, value, &allowed);
            return None;
        }
        stations
    }

    fn set(&self, word: &str, whom: Whom) -> Option<Vec<StationId>> {
        if word == BORDER_ROUTERS && self.range(whom).start == 0 {
            return Some((0..self.routers).map(StationId).collect());
        }
        let (_, kind) = SETS.iter().find(|(name, _)| *name == word)?;
        let devices = (self.routers..self.honest).map(StationId);
        let fits = |it: &StationId| kind.is_none() || self.kinds.get(it) == kind.as_ref();
        Some(devices.filter(fits).collect())
    }

    /// The group that `group` names.
    pub(super) fn group(&self, reading: &mut Reading, table: &Table<'_>) -> Option<GroupId> {
        const FIELD: &str = "group";
        let value = reading.required(table, FIELD)?;
        let is = |group: &&Group| match value.get_ref() {
            DeValue::Integer(id) => {
                u16::from_str_radix(id.as_str(), id.radix()).is_ok_and(|id| id == group.id)
            }
            DeValue::String(name) => *name == group.name,
            _ => false,
        };
        let group = self.groups.iter().find(is);
        if group.is_none() {
            let groups = self.groups.iter().map(|it| format!("{} {}", it.id, quoted(&it.name)));
            let allowed =
                format!("a group of the building: {}", groups.collect::<Vec<_>>().join(", "));
            reading.wrong(table, FIELD, value, &allowed);
        }
        group.map(|group| GroupId(group.id))
    }
}
