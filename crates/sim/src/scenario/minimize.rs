//! Makes a scenario that fails as small as it can be and still fails.
//!
//! **Invariant:** whatever is tried is a possible scenario, which ends as the first did: calm for the same
//! time, then everybody must be back.

use super::{Deed, Disaster, Expectation, Scenario, Timed, Trouble};
use crate::medium::StationId;
use lowgate_units::Duration;

/// Nothing is tried more often: a run takes its time.
const TRIES_MAX: usize = 400;
/// Shorter disasters are left as they are.
const HALVED_MIN: Duration = Duration::from_millis(500);

/// What is left of `scenario` when all is taken away without which it still `fails`.
///
/// It must end in [`Expectation::Converged`], and fail as it is.
pub fn minimize(scenario: &Scenario, fails: impl FnMut(&Scenario) -> bool) -> Scenario {
    let within = scenario.expectations.iter().find_map(|expectation| match expectation {
        Expectation::Converged { within } => Some(*within),
        _ => None,
    });
    let Some(within) = within else { return scenario.clone() };
    let mut shrinking = Shrinking { smallest: scenario.clone(), within, fails, tries: 0 };
    while shrinking.round() {}
    shrinking.smallest
}

struct Shrinking<F> {
    smallest: Scenario,
    within: Duration,
    fails: F,
    tries: usize,
}

impl<F: FnMut(&Scenario) -> bool> Shrinking<F> {
    /// Whether anything could be taken away.
    fn round(&mut self) -> bool {
        let disasters = self.thin_out(|it| &mut it.disasters, |_| true);
        let deeds = self.thin_out(|it| &mut it.deeds, is_spare);
        let intruders = self.fewer_stations(Scenario::honest, Scenario::stations);
        let devices = self.fewer_stations(Scenario::routers, Scenario::honest);
        let shorter = self.shorten();
        let quiet = self.smallest.medium.loss > 0.0 && self.attempt(|it| it.medium.loss = 0.0);
        disasters || deeds || intruders || devices || shorter || quiet
    }

    /// Keeps what `change` makes of the smallest, if that fails too.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        let mut changed = self.smallest.clone();
        change(&mut changed);
        changed.end_converged(self.within);
        if changed.check().is_err() {
            return false;
        }
        self.tries += 1;
        let fails = (self.fails)(&changed);
        if fails {
            self.smallest = changed;
        }
        fails
    }

    /// Takes parts away, many at once first, then fewer.
    fn thin_out<T: Clone>(
        &mut self,
        parts: fn(&mut Scenario) -> &mut Vec<T>,
        spare: fn(&T) -> bool,
    ) -> bool {
        let mut thinner = false;
        let mut at_once = parts(&mut self.smallest).len().max(1);
        loop {
            let mut from = 0;
            while from < parts(&mut self.smallest).len() {
                let to = parts(&mut self.smallest).len().min(from + at_once);
                let any = parts(&mut self.smallest)[from..to].iter().any(spare);
                let gone = any
                    && self.attempt(|it| {
                        let all = parts(it);
                        let tail = all.split_off(to);
                        let kept: Vec<T> =
                            all.split_off(from).into_iter().filter(|part| !spare(part)).collect();
                        all.extend(kept.into_iter().chain(tail));
                    });
                thinner |= gone;
                from = if gone { from } else { to };
                if gone && parts(&mut self.smallest)[from..].iter().all(|part| !spare(part)) {
                    break;
                }
            }
            if at_once == 1 {
                return thinner;
            }
            at_once = at_once.div_ceil(2);
        }
    }

    /// Takes stations away, with all that is done by them or to them, the last first.
    fn fewer_stations(&mut self, from: fn(&Scenario) -> u32, to: fn(&Scenario) -> u32) -> bool {
        let mut fewer = false;
        for station in (from(&self.smallest)..to(&self.smallest)).rev() {
            fewer |= self.attempt(|it| it.remove(StationId(station)));
        }
        fewer
    }

    fn shorten(&mut self) -> bool {
        let mut shorter = false;
        for index in 0..self.smallest.disasters.len() {
            while self.smallest.disasters[index].lasts > HALVED_MIN
                && self.attempt(|it| it.disasters[index].lasts /= 2)
            {
                shorter = true;
            }
        }
        shorter
    }
}

/// Without its installation a device would not have to be there at all: it goes as a whole or stays.
fn is_spare(deed: &Timed<Deed>) -> bool {
    !matches!(deed.what, Deed::Install(_) | Deed::OpenWindow(_))
}

impl Scenario {
    /// Takes a device or an intruder away; those after it move up.
    fn remove(&mut self, gone: StationId) {
        let (honest, index) = (self.honest(), gone.index());
        if gone.0 < honest {
            let device = self.building.devices.remove(index - self.routers() as usize);
            self.inventory.retain(|record| record.eui64 != device.eui64);
        } else {
            self.intruders.remove(index - honest as usize);
        }
        let moved = |station: &mut StationId| {
            let stays = *station != gone;
            station.0 -= u32::from(*station > gone);
            stays
        };
        self.deeds.retain_mut(|deed| match &mut deed.what {
            Deed::Install(station)
            | Deed::Press { switch: station, .. }
            | Deed::Read(station)
            | Deed::Ping(station)
            | Deed::Revoke(station) => moved(station),
            Deed::OpenWindow(_) | Deed::Command { .. } | Deed::RekeyNetwork => true,
            Deed::RekeyGroup(_) => true,
        });
        self.disasters.retain_mut(|Disaster { what, .. }| match what {
            Trouble::NoPower(station)
            | Trouble::Drift(station, _)
            | Trouble::Jump(station)
            | Trouble::WornFlash(station, _)
            | Trouble::Intruder(station) => moved(station),
            Trouble::PathLoss { from, to, .. } => moved(from) & moved(to),
            Trouble::NoManager
            | Trouble::StoreBroken
            | Trouble::OldBackup
            | Trouble::StoreSlow(_)
            | Trouble::Loss(_)
            | Trouble::Backbone(..)
            | Trouble::Outsider => true,
        });
    }
}
