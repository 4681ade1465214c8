//! What goes wrong at the moment. Disasters overlap; each thing fares as the worst of them wants it.
//!
//! **Invariant:** when the last disaster is over, everything is as it was before the first.

use super::{Disaster, Trouble};
use crate::medium::StationId;
use crate::world::{Backbone, Towards, World};
use lowgate_manager::Snapshot;
use lowgate_units::{Duration, Instant};
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Troubles {
    active: Vec<Trouble>,
    /// Copies of the store, and when they are put back.
    backups: Vec<(Instant, Snapshot)>,
    /// Of a world without troubles.
    quiet: Option<Quiet>,
}

/// How things are when nothing goes wrong.
#[derive(Clone, Copy)]
struct Quiet {
    loss: f64,
    commit_delay: Duration,
}

impl Troubles {
    pub(super) fn has_power(&self, station: StationId) -> bool {
        !self.active.iter().any(|it| matches!(it, Trouble::NoPower(off) if *off == station))
    }

    pub(super) fn begin(
        &mut self,
        world: &mut World,
        installed: &BTreeSet<StationId>,
        disaster: &Disaster,
    ) {
        self.active.push(disaster.what.clone());
        match disaster.what {
            Trouble::Jump(station) => world.jump(station, disaster.lasts),
            Trouble::Outsider => world.pose_as_manager(disaster.lasts),
            Trouble::OldBackup => self.backups.push((disaster.ends(), world.backup())),
            _ => {}
        }
        self.settle(world, installed, &disaster.what);
    }

    pub(super) fn end(
        &mut self,
        world: &mut World,
        installed: &BTreeSet<StationId>,
        disaster: &Disaster,
    ) {
        let over = self.active.iter().position(|it| *it == disaster.what).expect("it began");
        self.active.remove(over);
        match disaster.what {
            Trouble::StoreBroken => world.manager_off(),
            Trouble::OldBackup => {
                let due = |(ends, _): &(Instant, Snapshot)| *ends == disaster.ends();
                let kept = self.backups.iter().position(due).expect("it began");
                let (_, backup) = self.backups.swap_remove(kept);
                world.put_back(backup);
            }
            _ => {}
        }
        self.settle(world, installed, &disaster.what);
    }

    /// What `changed` is about fares as all that goes wrong now wants it.
    fn settle(&mut self, world: &mut World, installed: &BTreeSet<StationId>, changed: &Trouble) {
        let quiet = *self.quiet.get_or_insert_with(|| Quiet {
            loss: world.medium().loss(),
            commit_delay: world.commit_delay(),
        });
        match changed {
            Trouble::NoPower(station) => self.power(world, installed, *station),
            Trouble::NoManager | Trouble::StoreBroken | Trouble::OldBackup => self.manager(world),
            Trouble::StoreSlow(_) => {
                let slow = self.active.iter().filter_map(|it| match it {
                    Trouble::StoreSlow(delay) => Some(*delay),
                    _ => None,
                });
                world.set_commit_delay(slow.max().unwrap_or(quiet.commit_delay));
            }
            Trouble::Loss(_) => {
                let losses = self.active.iter().filter_map(|it| match it {
                    Trouble::Loss(loss) => Some(*loss),
                    _ => None,
                });
                world.medium_mut().set_loss(together(losses.chain([quiet.loss])));
            }
            Trouble::PathLoss { from, to, .. } => {
                let losses = self.active.iter().filter_map(|it| match it {
                    Trouble::PathLoss { from: f, to: t, loss } if (f, t) == (from, to) => {
                        Some(*loss)
                    }
                    _ => None,
                });
                world.medium_mut().set_path_loss(*from, *to, together(losses));
            }
            Trouble::Backbone(towards, _) => self.backbone(world, *towards),
            Trouble::Drift(station, _) => {
                let drift = self.active.iter().rev().find_map(|it| match it {
                    Trouble::Drift(who, ppm) if who == station => Some(*ppm),
                    _ => None,
                });
                world.drift(*station, drift.unwrap_or(0));
            }
            Trouble::WornFlash(station, _) => {
                let writes = self.active.iter().filter_map(|it| match it {
                    Trouble::WornFlash(who, writes) if who == station => Some(*writes),
                    _ => None,
                });
                world.endure(*station, writes.min().unwrap_or(u64::MAX));
                self.restart_after_wear(world, installed, *station);
            }
            Trouble::Intruder(station) => {
                let here = self.active.iter().any(|it| it == changed);
                if here {
                    world.power_on(*station);
                } else {
                    world.power_off(*station);
                }
            }
            Trouble::Jump(_) | Trouble::Outsider => {}
        }
    }

    fn power(&self, world: &mut World, installed: &BTreeSet<StationId>, station: StationId) {
        let on = world.station(station).node().is_some();
        match (self.has_power(station) && installed.contains(&station), on) {
            (true, false) => world.power_on(station),
            (false, true) => world.power_off(station),
            (true, true) | (false, false) => {}
        }
    }

    /// Who waits for a write that the worn flash never did waits for ever; with the new flash it begins anew.
    fn restart_after_wear(
        &self,
        world: &mut World,
        installed: &BTreeSet<StationId>,
        station: StationId,
    ) {
        let worn = self
            .active
            .iter()
            .any(|it| matches!(it, Trouble::WornFlash(who, _) if *who == station));
        if !worn && world.station(station).node().is_some() {
            world.power_off(station);
            self.power(world, installed, station);
        }
    }

    fn manager(&self, world: &mut World) {
        world.set_store_broken(self.active.contains(&Trouble::StoreBroken));
        if self.active.contains(&Trouble::NoManager) {
            world.manager_off();
        } else {
            world.manager_on();
        }
    }

    fn backbone(&self, world: &mut World, towards: Towards) {
        let conditions = self.active.iter().filter_map(|it| match it {
            Trouble::Backbone(where_to, backbone) if *where_to == towards => Some(*backbone),
            _ => None,
        });
        let worst = conditions.fold(Backbone::QUIET, |worst, it| Backbone {
            loss: worst.loss.max(it.loss),
            duplication: worst.duplication.max(it.duplication),
            jitter: worst.jitter.max(it.jitter),
        });
        world.set_backbone(towards, worst);
    }
}

/// The probability that one of several independent losses takes a frame.
fn together(losses: impl Iterator<Item = f64>) -> f64 {
    1.0 - losses.map(|loss| 1.0 - loss).product::<f64>()
}
