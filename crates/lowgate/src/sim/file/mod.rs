//! Scenarios as files: TOML, one table for each thing that happens.
//!
//! ```toml
//! name = "A dark corridor"
//! duration = "10m"
//!
//! [building]                      # or: file = "office.toml", inventory = "office.csv"
//! generate = { devices = 12, seed = 3 }
//!
//! [radio]                         # as an office where it is left out
//! loss = 0.05
//!
//! [[deed]]
//! at = 0
//! what = "open window"
//! lasts = "10m"
//! [[deed]]
//! at = 0
//! what = "install"
//! who = ["border router", "devices"]
//! gap = "1s"
//!
//! [[traffic]]
//! what = "press"
//! who = "switches"
//! every = "5s"
//! from = "2m"
//! until = "8m"
//!
//! [[disaster]]
//! at = "3m"
//! lasts = "30s"
//! what = "no power"
//! who = "border router"
//!
//! [[expect]]
//! what = "converged"
//! within = "2m"
//! ```
//!
//! `tests/scenarios/every-key.toml` shows and explains every key. Times are text with a unit or numbers of seconds, from the
//! beginning of the run. Stations are named by EUI-64, by their name in the inventory, by their number (0
//! is the border router, then the devices of the building and the intruders in the order of the files), or
//! are the `"border router"`; where several may stand, `"devices"`, `"lights"`, `"switches"` and
//! `"sensors"` are all of them. Groups are named by number or name.
//!
//! **Invariant:** all or nothing: a file with any fault gives all its faults, each with its line and key,
//! and no scenario. What [`emit`] writes reads back as the same scenario, with nothing beside it.

mod emit;
mod happenings;
mod parse;
mod site;
mod time;
mod who;

pub use emit::emit;
pub(super) use emit::in_words;

use lowgate_sim::medium::StationId;
use lowgate_sim::reading::{Fault, Reading};
use lowgate_sim::scenario::Scenario;
use lowgate_units::Eui64;
use std::path::Path;

/// A scenario, and where its file says what.
#[derive(Clone, Debug)]
pub struct Read {
    /// The scenario; nothing is wrong with it.
    pub scenario: Scenario,
    /// The line of each of its expectations, counted from 1.
    pub expectation_lines: Vec<usize>,
}

/// The scenario of the file at `path`.
///
/// # Errors
/// Everything that is wrong with it and with the files that it names.
pub fn read(path: &Path) -> Result<Read, Vec<Fault>> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&file, &text, path.parent().unwrap_or(Path::new(""))),
        Err(e) => {
            let what = format!("cannot be read: {e}; allowed: a scenario in TOML");
            Err(vec![Fault { file, line: 1, field: "file".into(), what }])
        }
    }
}

/// The scenario of a text; `file` is its name in the faults, `folder` where the files are that it names.
///
/// # Errors
/// Everything that is wrong with it and with the files that it names.
pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Read, Vec<Fault>> {
    Reading::document(file, text, |reading, root| parse::scenario(reading, root, file, folder))
}

/// Who a station is, intruders included; `None` if it is nobody.
pub(super) fn eui64(scenario: &Scenario, station: StationId) -> Option<Eui64> {
    let honest = scenario.building.device(station).map(|device| device.eui64);
    honest.or_else(|| {
        let index = station.index().checked_sub(scenario.building.stations())?;
        scenario.intruders.get(index).map(|intruder| intruder.place().eui64)
    })
}

#[cfg(test)]
mod tests;
