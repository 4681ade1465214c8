//! What people do, what goes wrong and what must hold, as a scenario's file tells it.

use super::time;
use super::who::{Names, Whom};
use lowgate_manager::GroupId;
use lowgate_sim::medium::StationId;
use lowgate_sim::reading::{Reading, Table, Value, path};
use lowgate_sim::scenario::{Deed, Disaster, Expectation, Timed, Trouble};
use lowgate_sim::world::{Backbone, DRIFT_PPM_MAX, Towards};
use lowgate_units::{Duration, Instant};
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// Most deeds that one table becomes.
const DEEDS_MAX: u128 = 100_000;
/// Most tables of a kind.
const TABLES_MAX: usize = 100_000;
/// Probabilities and parts of a whole.
pub(super) const SHARES: RangeInclusive<f64> = 0.0..=1.0;

/// A `what`, and the fields that it has besides.
type Kinds = [(&'static str, &'static [&'static str])];

const DEEDS: &Kinds = &[
    ("install", &["who", "gap"]),
    ("open window", &["lasts"]),
    ("press", &["who", "gap", "on"]),
    ("command", &["group", "on"]),
    ("read", &["who", "gap"]),
    ("ping", &["who", "gap"]),
    ("revoke", &["who", "gap"]),
    ("rekey network", &[]),
    ("rekey group", &["group"]),
];

const TRAFFIC: &Kinds = &[
    ("press", &["who", "on"]),
    ("command", &["group", "on"]),
    ("read", &["who"]),
    ("ping", &["who"]),
    ("rekey network", &[]),
    ("rekey group", &["group"]),
];

const DISASTERS: &Kinds = &[
    ("no power", &["who"]),
    ("no manager", &[]),
    ("store broken", &[]),
    ("old backup", &[]),
    ("store slow", &["delay"]),
    ("loss", &["loss"]),
    ("path loss", &["from", "to", "loss"]),
    ("backbone", &["towards", "loss", "duplication", "jitter"]),
    ("drift", &["who", "ppm"]),
    ("jump", &["who"]),
    ("worn flash", &["who", "writes"]),
    ("intruder", &["who"]),
    ("outsider", &[]),
];

const EXPECTATIONS: &Kinds = &[
    ("all in", &["by"]),
    ("in", &["who", "at"]),
    ("out", &["who", "at"]),
    ("commands", &["share"]),
    ("pings", &["share"]),
    ("reads", &["share"]),
    ("converged", &["within"]),
];

/// Something of a scenario, and the line on which its table begins.
pub(super) type Told<T> = (T, usize);

/// Reads tables in which something happens.
pub(super) struct Reader<'r> {
    pub(super) reading: &'r mut Reading,
    /// `None` while nobody knows who is there: whoever is named then passes, for the file has a fault.
    pub(super) names: Option<Names>,
    /// Of the run.
    pub(super) end: Instant,
}

impl Reader<'_> {
    pub(super) fn deeds(&mut self, root: &Table<'_>) -> Vec<Told<Timed<Deed>>> {
        let mut deeds = Vec::new();
        for table in self.tables(root, "deed") {
            let line = self.reading.line(table.at);
            let made = self.deed(&table).unwrap_or_default();
            deeds.extend(made.into_iter().map(|deed| (deed, line)));
        }
        for table in self.tables(root, "traffic") {
            let line = self.reading.line(table.at);
            let made = self.traffic(&table).unwrap_or_default();
            deeds.extend(made.into_iter().map(|deed| (deed, line)));
        }
        deeds
    }

    pub(super) fn disasters(&mut self, root: &Table<'_>) -> Vec<Told<Disaster>> {
        let tables = self.tables(root, "disaster");
        let made = tables.iter().filter_map(|table| {
            let what = self.what(table, DISASTERS, &["at", "lasts", "what"]);
            let (at, lasts) = (self.moment(table, "at"), self.time(table, "lasts"));
            let what = self.trouble(table, what?);
            let disaster = Disaster { at: at?, lasts: lasts?, what: what? };
            Some((disaster, self.reading.line(table.at)))
        });
        made.collect()
    }

    pub(super) fn expectations(&mut self, root: &Table<'_>) -> Vec<Told<Expectation>> {
        let tables = self.tables(root, "expect");
        let made = tables.iter().filter_map(|table| {
            let what = self.what(table, EXPECTATIONS, &["what"])?;
            let expectation = self.expectation(table, what)?;
            Some((expectation, self.reading.line(table.at)))
        });
        made.collect()
    }

    fn tables<'t>(&mut self, root: &Table<'t>, field: &'static str) -> Vec<Table<'t>> {
        if !root.fields.contains_key(field) {
            return Vec::new();
        }
        self.reading.tables(root, field, field, 0..=TABLES_MAX)
    }

    /// What happens, and that no other field is there than it has; `common` are everybody's.
    fn what(
        &mut self,
        table: &Table<'_>,
        kinds: &'static Kinds,
        common: &[&str],
    ) -> Option<&'static str> {
        let value = self.reading.required(table, "what")?;
        let word = value.get_ref().as_str();
        let kind = kinds.iter().find(|(name, _)| word == Some(*name));
        let Some((name, fields)) = kind else {
            let names: Vec<_> = kinds.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.reading.wrong(table, "what", value, &names.join(", "));
            return None;
        };
        self.reading.known(table, &[common, fields].concat());
        Some(name)
    }

    fn deed(&mut self, table: &Table<'_>) -> Option<Vec<Timed<Deed>>> {
        let what = self.what(table, DEEDS, &["at", "what"]);
        let at = self.moment(table, "at");
        let what = what?;
        let acts = self.acts(table, what);
        let on = self.on(table, what);
        let gap = self.time_or(table, "gap", Duration::ZERO);
        let (at, gap) = (at?, gap?);
        if let Some(None) = on {
            self.reading.required(table, "on");
            return None;
        }
        let mut acts = acts?;
        acts.iter_mut().for_each(|act| switch(act, on.flatten().unwrap_or(true)));
        let moments = (0..).map(|nth| at + gap * nth);
        Some(moments.zip(acts).map(|(at, what)| Timed { at, what }).collect())
    }

    /// Everybody in turn.
    fn traffic(&mut self, table: &Table<'_>) -> Option<Vec<Timed<Deed>>> {
        let what = self.what(table, TRAFFIC, &["what", "every", "from", "until"]);
        let (from, every) = (self.moment(table, "from"), self.time(table, "every"));
        let until = self.time_or(table, "until", self.end.since(Instant::ZERO));
        let what = what?;
        let acts = self.acts(table, what);
        let on = self.on(table, what);
        let (from, every, until, acts) = (from?, every?, Instant::ZERO + until?, acts?);
        if every.is_zero() || until.since(from).as_nanos() / every.as_nanos() >= DEEDS_MAX {
            let value = table.fields.get("every")?;
            let allowed = format!("a time that passes at most {DEEDS_MAX} times until the end");
            self.reading.wrong(table, "every", value, &allowed);
            return None;
        }
        let moments = (0..).map(|nth| from + every * nth).take_while(|at| *at < until);
        let deeds = moments.enumerate().map(|(nth, at)| {
            let mut what = acts[nth % acts.len()].clone();
            switch(&mut what, on.flatten().unwrap_or((nth / acts.len()).is_multiple_of(2)));
            Timed { at, what }
        });
        Some(deeds.collect())
    }

    /// What is done, once for everybody who is named. Whether lights go on is said later.
    fn acts(&mut self, table: &Table<'_>, what: &str) -> Option<Vec<Deed>> {
        let on = true;
        match what {
            "install" => self.each(table, Whom::Honest, Deed::Install),
            "press" => self.each(table, Whom::Devices, |switch| Deed::Press { switch, on }),
            "read" => self.each(table, Whom::Devices, Deed::Read),
            "ping" => self.each(table, Whom::Devices, Deed::Ping),
            "revoke" => self.each(table, Whom::Devices, Deed::Revoke),
            "open window" => Some(vec![Deed::OpenWindow(self.time(table, "lasts")?)]),
            "command" => Some(vec![Deed::Command { group: self.group(table)?, on }]),
            "rekey group" => Some(vec![Deed::RekeyGroup(self.group(table)?)]),
            "rekey network" => Some(vec![Deed::RekeyNetwork]),
            other => unreachable!("{other} is in no table"),
        }
    }

    fn each(
        &mut self,
        table: &Table<'_>,
        whom: Whom,
        deed: impl Fn(StationId) -> Deed,
    ) -> Option<Vec<Deed>> {
        let stations = match &self.names {
            Some(names) => names.stations(self.reading, table, "who", whom)?,
            None => self.reading.required(table, "who").map(|_| vec![StationId(0)])?,
        };
        Some(stations.into_iter().map(deed).collect())
    }

    /// Whether lights go on: nothing where it has no meaning or is no truth value.
    fn on(&mut self, table: &Table<'_>, what: &str) -> Option<Option<bool>> {
        if !["press", "command"].contains(&what) {
            return None;
        }
        let Some(value) = table.fields.get("on") else { return Some(None) };
        let on = value.get_ref().as_bool();
        if on.is_none() {
            self.reading.wrong(table, "on", value, "true or false");
        }
        on.map(Some)
    }

    fn trouble(&mut self, table: &Table<'_>, what: &str) -> Option<Trouble> {
        match what {
            "no power" => self.station(table, "who", Whom::Honest).map(Trouble::NoPower),
            "no manager" => Some(Trouble::NoManager),
            "store broken" => Some(Trouble::StoreBroken),
            "old backup" => Some(Trouble::OldBackup),
            "store slow" => self.time(table, "delay").map(Trouble::StoreSlow),
            "loss" => self.reading.required_number(table, "loss", SHARES).map(Trouble::Loss),
            "path loss" => {
                let from = self.station(table, "from", Whom::Anybody);
                let to = self.station(table, "to", Whom::Anybody);
                let loss = self.reading.required_number(table, "loss", SHARES);
                Some(Trouble::PathLoss { from: from?, to: to?, loss: loss? })
            }
            "backbone" => {
                let towards = self.towards(table);
                let loss = self.number_or(table, "loss", SHARES);
                let duplication = self.number_or(table, "duplication", SHARES);
                let jitter = self.time_or(table, "jitter", Duration::ZERO);
                let backbone = Backbone { loss: loss?, duplication: duplication?, jitter: jitter? };
                Some(Trouble::Backbone(towards?, backbone))
            }
            "drift" => {
                let most = i64::from(DRIFT_PPM_MAX);
                let ppm = self.reading.integer(table, "ppm", -most..=most);
                let who = self.station(table, "who", Whom::Honest);
                Some(Trouble::Drift(who?, ppm? as i32))
            }
            "jump" => self.station(table, "who", Whom::Honest).map(Trouble::Jump),
            "worn flash" => {
                let writes = self.reading.integer(table, "writes", 0..=i64::MAX);
                let who = self.station(table, "who", Whom::Honest);
                Some(Trouble::WornFlash(who?, writes? as u64))
            }
            "intruder" => self.station(table, "who", Whom::Intruders).map(Trouble::Intruder),
            "outsider" => Some(Trouble::Outsider),
            other => unreachable!("{other} is in no table"),
        }
    }

    fn towards(&mut self, table: &Table<'_>) -> Option<Towards> {
        let value = self.reading.required(table, "towards")?;
        match value.get_ref().as_str() {
            Some("router") => Some(Towards::Router),
            Some("manager") => Some(Towards::Manager),
            Some(_) | None => {
                self.reading.wrong(table, "towards", value, "\"router\" or \"manager\"");
                None
            }
        }
    }

    fn expectation(&mut self, table: &Table<'_>, what: &str) -> Option<Expectation> {
        match what {
            "all in" => Some(Expectation::AllIn { by: self.moment(table, "by")? }),
            "in" | "out" => {
                let station = self.station(table, "who", Whom::Anybody);
                let at = self.moment(table, "at");
                let (station, at) = (station?, at?);
                Some(match what {
                    "in" => Expectation::In { station, at },
                    _ => Expectation::Out { station, at },
                })
            }
            "converged" => Some(Expectation::Converged { within: self.time(table, "within")? }),
            share => {
                let of = share;
                let share = self.reading.required_number(table, "share", SHARES)?;
                Some(match of {
                    "commands" => Expectation::Commands { share },
                    "pings" => Expectation::Pings { share },
                    "reads" => Expectation::Reads { share },
                    other => unreachable!("{other} is in no table"),
                })
            }
        }
    }

    fn station(&mut self, table: &Table<'_>, field: &str, whom: Whom) -> Option<StationId> {
        match &self.names {
            Some(names) => names.station(self.reading, table, field, whom),
            None => self.reading.required(table, field).map(|_| StationId(0)),
        }
    }

    fn group(&mut self, table: &Table<'_>) -> Option<GroupId> {
        match &self.names {
            Some(names) => names.group(self.reading, table),
            None => self.reading.required(table, "group").map(|_| GroupId(0)),
        }
    }

    fn number_or(
        &mut self,
        table: &Table<'_>,
        field: &str,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        match table.fields.get(field) {
            None => Some(0.0),
            Some(value) => self.reading.number(table, field, value, range),
        }
    }

    fn moment(&mut self, table: &Table<'_>, field: &str) -> Option<Instant> {
        self.time(table, field).map(|since_the_beginning| Instant::ZERO + since_the_beginning)
    }

    fn time(&mut self, table: &Table<'_>, field: &str) -> Option<Duration> {
        let value = self.reading.required(table, field)?;
        duration(self.reading, table, field, value)
    }

    fn time_or(&mut self, table: &Table<'_>, field: &str, usual: Duration) -> Option<Duration> {
        match table.fields.get(field) {
            None => Some(usual),
            Some(value) => duration(self.reading, table, field, value),
        }
    }
}

/// Lights go on, or off, where the deed is about lights.
fn switch(deed: &mut Deed, to: bool) {
    if let Deed::Press { on, .. } | Deed::Command { on, .. } = deed {
        *on = to;
    }
}

/// A time: see [`time`].
pub(super) fn duration(
    reading: &mut Reading,
    table: &Table<'_>,
    field: &str,
    value: Value<'_>,
) -> Option<Duration> {
    let time = match value.get_ref() {
        DeValue::String(text) => time::parse(text.trim()),
        DeValue::Integer(secs) if secs.radix() == 10 => time::parse(secs.as_str()),
        DeValue::Float(secs) => time::parse(secs.as_str()),
        _ => None,
    };
    if time.is_none() {
        reading.wrong(table, field, value, time::ALLOWED);
    }
    time
}

/// Where a field of a table stands; the table itself if it is not there.
pub(super) fn place(table: &Table<'_>, field: &str) -> (usize, String) {
    let at = table.fields.get(field).map_or(table.at, |value| value.span().start);
    (at, path(table, field))
}
