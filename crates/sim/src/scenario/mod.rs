//! A scenario: a building, what people do in it, what goes wrong meanwhile, and what must hold.
//!
//! Plain data, whoever made it: a file, the swarm's dice, a test. [`Run`] carries it out.
//!
//! **Invariant:** a scenario and a seed decide a run to the octet. Whatever goes wrong has an end, so that
//! a scenario from which something is left out is still a scenario.

mod check;
mod minimize;
mod outcome;
mod people;
mod run;
mod site;
mod swarm;
mod troubles;

pub use minimize::minimize;
pub use outcome::{Complaint, Count, Failure, Figures, Lag, Outcome};
pub use run::{COMMAND_WITHIN, Run, RunOptions};
pub use site::records;
pub use swarm::CONVERGED_WITHIN;

use crate::building::Building;
use crate::medium::{MediumConfig, StationId};
use crate::world::{Backbone, Intruder, Towards};
use lowgate_manager::{ChannelSet, DeviceRecord, GroupId};
use lowgate_units::{Channel, Duration, Instant};

/// What a run is made of, but for the seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What people call it.
    pub name: String,
    /// Where everything hangs. The border routers are the first stations, then come the devices in the
    /// building's order.
    pub building: Building,
    /// One line for each of them, in any order.
    pub inventory: Vec<DeviceRecord>,
    /// Who was not invited: the stations after the devices.
    pub intruders: Vec<Intruder>,
    /// How radios fare.
    pub medium: MediumConfig,
    /// The channel of the first PAN.
    pub channel: Channel,
    /// Where further PANs may be besides: each takes the channel that the fewest have.
    pub further_channels: ChannelSet,
    /// From the first moment to the last, the time to converge included.
    pub duration: Duration,
    /// What people do, in any order.
    pub deeds: Vec<Timed<Deed>>,
    /// What goes wrong, in any order.
    pub disasters: Vec<Disaster>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
}

/// Something, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed<T> {
    /// Since the beginning of the run.
    pub at: Instant,
    /// What.
    pub what: T,
}

/// What people do.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A station gets power for the first time. What never got power stays off.
    Install(StationId),
    /// Expected devices may join for so long.
    OpenWindow(Duration),
    /// Somebody presses a switch: every group in which it sends is commanded.
    Press {
        /// Which.
        switch: StationId,
        /// Lights on, or off.
        on: bool,
    },
    /// The manager has the border router command a group.
    Command {
        /// Which.
        group: GroupId,
        /// Lights on, or off.
        on: bool,
    },
    /// The manager reads a device's resource.
    Read(StationId),
    /// A device asks the border router for an echo.
    Ping(StationId),
    /// A device is expelled.
    Revoke(StationId),
    /// Everybody gets another link-layer key.
    RekeyNetwork,
    /// A group gets other keys.
    RekeyGroup(GroupId),
}

/// Something that goes wrong, from a moment on and for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Disaster {
    /// Since the beginning of the run.
    pub at: Instant,
    /// How long.
    pub lasts: Duration,
    /// What.
    pub what: Trouble,
}

impl Disaster {
    /// When it is over.
    pub fn ends(&self) -> Instant {
        self.at + self.lasts
    }
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// A station has no power: a device, the border router.
    NoPower(StationId),
    /// The manager does not run; it begins again with what its store holds.
    NoManager,
    /// The store refuses every batch; the manager stops at the first, and begins again afterwards.
    StoreBroken,
    /// A copy of the store is kept; when this is over, the manager begins again with the copy, and is not told
    /// that it is one.
    OldBackup,
    /// The store takes so long for a batch.
    StoreSlow(Duration),
    /// So many frames are lost everywhere, 0 to 1, on top of what the radio loses.
    Loss(f64),
    /// So many frames are lost from one station to another, not the other way, 0 to 1.
    PathLoss {
        /// Who sends.
        from: StationId,
        /// Who does not hear it.
        to: StationId,
        /// 1 cuts the path.
        loss: f64,
    },
    /// The backbone is clogged, in one direction.
    Backbone(Towards, Backbone),
    /// A clock goes wrong by so much, in parts per million.
    Drift(StationId, i32),
    /// A clock jumps ahead by as long as this lasts: its owner stood still and did not notice.
    Jump(StationId),
    /// A flash takes so many more writes, then none until this is over and the flash is another, with the
    /// same content.
    WornFlash(StationId, u64),
    /// An intruder is at work.
    Intruder(StationId),
    /// Somebody in the building's network poses as the manager and would have relays address whom he likes.
    Outsider,
}

/// What must hold, besides that no checker finds anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// By then, everybody who was installed and not expelled is a member with a working address.
    AllIn {
        /// Since the beginning of the run.
        by: Instant,
    },
    /// At that moment a device is in.
    In {
        /// Which.
        station: StationId,
        /// Since the beginning of the run.
        at: Instant,
    },
    /// At that moment a station is not in.
    Out {
        /// Which.
        station: StationId,
        /// Since the beginning of the run.
        at: Instant,
    },
    /// Of all group commands, counted once for each light that should obey, so many were obeyed within
    /// [`COMMAND_WITHIN`].
    Commands {
        /// 0 to 1.
        share: f64,
    },
    /// Of all pings so many were answered.
    Pings {
        /// 0 to 1.
        share: f64,
    },
    /// Of all reads so many were answered.
    Reads {
        /// 0 to 1.
        share: f64,
    },
    /// So long after the last disaster's end, everybody who was installed and not expelled is a member with
    /// a working address under the key in force, and answers the manager. The last that is tried: the run
    /// lasts at least until then.
    Converged {
        /// After the last disaster's end, or the last deed if that is later.
        within: Duration,
    },
}

/// Something that cannot be, found before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// Which part of the scenario: `deed`, `disaster`, `expectation`, `device`; and its index there.
    pub part: (&'static str, usize),
    /// What is wrong and what is allowed.
    pub what: String,
}

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (part, index) = self.part;
        write!(f, "{part} {}: {}", index + 1, self.what)
    }
}

impl Scenario {
    /// What cannot be: stations that do not exist, devices that are out of everybody's range, moments after
    /// the end, shares beyond 0 to 1.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn check(&self) -> Result<(), Vec<Impossible>> {
        let faults = check::faults(self);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The first stations.
    pub fn routers(&self) -> u32 {
        self.building.border_routers.len() as u32
    }

    /// Stations that are no intruders.
    pub fn honest(&self) -> u32 {
        self.building.stations() as u32
    }

    /// All stations.
    pub fn stations(&self) -> u32 {
        self.honest() + self.intruders.len() as u32
    }

    /// When the last disaster is over and the last deed done.
    pub fn calm_from(&self) -> Instant {
        let deeds = self.deeds.iter().map(|deed| deed.at);
        let disasters = self.disasters.iter().map(Disaster::ends);
        deeds.chain(disasters).max().unwrap_or(Instant::ZERO)
    }
}

#[cfg(test)]
mod tests;
