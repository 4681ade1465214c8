//! What is wrong with a scenario, before it runs.

use super::{Deed, Disaster, Expectation, Impossible, Scenario, Trouble};
use crate::medium::{MediumConfig, StationId, Strength};
use lowgate_manager::GroupId;
use lowgate_units::Instant;
use std::collections::BTreeSet;

/// A neighbour counts when it hears so much of the longest frames, 0 to 1.
const RECEPTION_MIN: f64 = 0.5;

/// Whether a neighbour so loud is one to build on.
pub(super) fn counted_on(medium: &MediumConfig, strength: Strength) -> bool {
    medium.reception(strength, lowgate_mac::PSDU_OCTETS_MAX) >= RECEPTION_MIN
}

pub(super) fn faults(scenario: &Scenario) -> Vec<Impossible> {
    let mut checking = Checking { scenario, faults: Vec::new() };
    checking.devices();
    for (index, deed) in scenario.deeds.iter().enumerate() {
        checking.moment(("deed", index), deed.at);
        checking.deed(("deed", index), &deed.what);
    }
    for (index, disaster) in scenario.disasters.iter().enumerate() {
        checking.moment(("disaster", index), disaster.ends());
        checking.disaster(("disaster", index), disaster);
    }
    for (index, expectation) in scenario.expectations.iter().enumerate() {
        checking.expectation(("expectation", index), expectation);
    }
    checking.faults
}

struct Checking<'a> {
    scenario: &'a Scenario,
    faults: Vec<Impossible>,
}

type Part = (&'static str, usize);

impl Checking<'_> {
    fn fault(&mut self, part: Part, what: String) {
        self.faults.push(Impossible { part, what });
    }

    /// Everybody has a neighbour, and over neighbours a way to the border router.
    fn devices(&mut self) {
        let scenario = self.scenario;
        let (building, medium) = (&scenario.building, &scenario.medium);
        let hears = |strength| counted_on(medium, strength);
        let routers = building.border_routers.len();
        let roots = (0..routers as u32).map(StationId);
        let hops = building.links(medium).hops_of_many(roots, hears);
        for (index, device) in building.devices.iter().enumerate() {
            if hops[routers + index].is_none() {
                let eui64 = device.eui64;
                let what = format!(
                    "{eui64} is out of everybody's range: it hears nobody who hears the border router, \
                     or only some; hang it nearer, or another device between"
                );
                self.fault(("device", index), what);
            }
        }
        let listed: BTreeSet<_> = scenario.inventory.iter().map(|record| record.eui64).collect();
        for (index, device) in building.devices.iter().enumerate() {
            if !listed.contains(&device.eui64) {
                let what = format!("{} is not in the inventory", device.eui64);
                self.fault(("device", index), what);
            }
        }
    }

    fn moment(&mut self, part: Part, at: Instant) {
        let end = Instant::ZERO + self.scenario.duration;
        if at > end {
            self.fault(part, format!("{at} is after the end of the run, {end}"));
        }
    }

    fn station(&mut self, part: Part, station: StationId) {
        let stations = self.scenario.stations();
        if station.0 >= stations {
            let what = format!("there is no station {}; allowed: below {stations}", station.0);
            self.fault(part, what);
        }
    }

    fn device(&mut self, part: Part, station: StationId) {
        let honest = self.scenario.honest();
        let first = self.scenario.routers();
        if !(first..honest).contains(&station.0) {
            let what =
                format!("station {} is no device; allowed: {first} to {}", station.0, honest - 1);
            self.fault(part, what);
        }
    }

    fn group(&mut self, part: Part, group: GroupId) {
        let mut groups = self.scenario.building.groups.iter();
        if !groups.any(|known| known.id == group.0) {
            self.fault(part, format!("there is no group {}", group.0));
        }
    }

    fn share(&mut self, part: Part, share: f64) {
        if !(0.0..=1.0).contains(&share) {
            self.fault(part, format!("{share} is no share; allowed: 0 to 1"));
        }
    }

    fn deed(&mut self, part: Part, deed: &Deed) {
        match deed {
            Deed::Install(station) => self.station(part, *station),
            Deed::Press { switch: station, .. }
            | Deed::Read(station)
            | Deed::Ping(station)
            | Deed::Revoke(station) => self.device(part, *station),
            Deed::Command { group, .. } | Deed::RekeyGroup(group) => self.group(part, *group),
            Deed::OpenWindow(_) | Deed::RekeyNetwork => {}
        }
    }

    fn disaster(&mut self, part: Part, disaster: &Disaster) {
        match &disaster.what {
            Trouble::NoPower(station)
            | Trouble::Drift(station, _)
            | Trouble::Jump(station)
            | Trouble::WornFlash(station, _) => {
                let honest = self.scenario.honest();
                if station.0 >= honest {
                    let what = format!("station {} is an intruder or nobody", station.0);
                    self.fault(part, what);
                }
            }
            Trouble::Loss(share) => self.share(part, *share),
            Trouble::PathLoss { from, to, loss } => {
                self.station(part, *from);
                self.station(part, *to);
                self.share(part, *loss);
            }
            Trouble::Backbone(_, backbone) => {
                self.share(part, backbone.loss);
                self.share(part, backbone.duplication);
            }
            Trouble::Intruder(station) => {
                let (honest, all) = (self.scenario.honest(), self.scenario.stations());
                if !(honest..all).contains(&station.0) {
                    self.fault(part, format!("station {} is no intruder", station.0));
                }
            }
            Trouble::NoManager
            | Trouble::StoreBroken
            | Trouble::OldBackup
            | Trouble::StoreSlow(_)
            | Trouble::Outsider => {}
        }
    }

    fn expectation(&mut self, part: Part, expectation: &Expectation) {
        match expectation {
            Expectation::AllIn { by } => self.moment(part, *by),
            Expectation::In { station, at } | Expectation::Out { station, at } => {
                self.station(part, *station);
                self.moment(part, *at);
            }
            Expectation::Commands { share } => {
                self.share(part, *share);
                let made = |deed: &Deed| matches!(deed, Deed::Press { .. } | Deed::Command { .. });
                self.made(part, "commands a group", made);
            }
            Expectation::Pings { share } => {
                self.share(part, *share);
                self.made(part, "pings", |deed| matches!(deed, Deed::Ping(_)));
            }
            Expectation::Reads { share } => {
                self.share(part, *share);
                self.made(part, "reads", |deed| matches!(deed, Deed::Read(_)));
            }
            Expectation::Converged { within } => {
                self.moment(part, self.scenario.calm_from() + *within);
            }
        }
    }

    /// A share of nothing is no expectation.
    fn made(&mut self, part: Part, does: &str, like: fn(&Deed) -> bool) {
        if !self.scenario.deeds.iter().any(|deed| like(&deed.what)) {
            self.fault(part, format!("cannot hold or fail: nobody {does} in this scenario"));
        }
    }
}
