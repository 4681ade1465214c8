//! A scenario on its way: deeds and disasters in the order of time, expectations looked at when they are due.

use super::check::counted_on;
use super::outcome::{Count, Failure, Figures, Lag, Outcome, named};
use super::people::People;
use super::troubles::Troubles;
use super::{Deed, Expectation, Scenario};
use crate::medium::{Links, StationId};
use crate::world::{Happening, What, World, WorldConfig};
use lowgate_manager::{
    BORDER_ROUTER_SHORT, Device, DeviceState, GroupId, MemoryStore, Reply, Request, RequestId,
};
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_units::{Duration, Eui64, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// A command that was not obeyed by then never will be.
pub const COMMAND_WITHIN: Duration = Duration::from_secs(5);
/// How often what happened is looked at.
const GLANCE: Duration = Duration::from_secs(1);
/// What the manager reads of a device to see whether it answers.
const READ_PATH: &str = "light";
/// So many are asked at a time.
const READS_AT_ONCE: usize = 8;
/// A device that does not answer within this time does not.
const READ_PATIENCE: Duration = Duration::from_secs(60);

/// How to run, beside the scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Keep a capture with all keys.
    pub capture: bool,
    /// Keep what happened, for [`Run::take_told`].
    pub tell: bool,
}

/// A run.
pub struct Run<'s> {
    scenario: &'s Scenario,
    seed: u64,
    world: World,
    steps: Vec<(Instant, Step)>,
    next: usize,
    troubles: Troubles,
    people: People,
    installed: BTreeSet<StationId>,
    commands: Vec<Commanded>,
    pings: BTreeSet<(StationId, u16)>,
    figures: Figures,
    failures: Vec<Failure>,
    tell: bool,
    told: Vec<Happening>,
    links: Links,
}

/// What happens at a moment; the indices are the scenario's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    // In the order in which they happen in one moment.
    Ends(usize),
    Begins(usize),
    Deed(usize),
    Look(usize),
}

/// A group command that is on its way.
struct Commanded {
    due: Instant,
    on: bool,
    open: BTreeSet<StationId>,
}

impl<'s> Run<'s> {
    /// The moment before anything has power but the manager, who knows groups and inventory.
    ///
    /// # Panics
    /// When [`Scenario::check`] would have found something.
    pub fn new(scenario: &'s Scenario, seed: u64, options: RunOptions) -> Self {
        let config = WorldConfig {
            medium: scenario.medium,
            channel: scenario.channel,
            further_channels: scenario.further_channels,
            capture: options.capture,
            key_log: options.capture,
            ..WorldConfig::new(seed)
        };
        let (building, inventory) = (scenario.building.clone(), &scenario.inventory);
        let store = Box::<MemoryStore>::default();
        let mut world = World::new(config, building, inventory, scenario.intruders.clone(), store);
        let mut people = People::default();
        for group in &scenario.building.groups {
            let request = Request::CreateGroup { id: GroupId(group.id), name: group.name.clone() };
            people.ask(&mut world, request);
        }
        people.ask(&mut world, Request::Import(inventory.clone()));
        let mut steps = Vec::new();
        for (index, disaster) in scenario.disasters.iter().enumerate() {
            steps.push((disaster.at, Step::Begins(index)));
            steps.push((disaster.ends(), Step::Ends(index)));
        }
        for (index, deed) in scenario.deeds.iter().enumerate() {
            steps.push((deed.at, Step::Deed(index)));
        }
        for (index, expectation) in scenario.expectations.iter().enumerate() {
            steps.push((looked_at(scenario, expectation), Step::Look(index)));
        }
        steps.sort();
        Self {
            scenario,
            seed,
            world,
            steps,
            next: 0,
            troubles: Troubles::default(),
            people,
            installed: BTreeSet::new(),
            commands: Vec::new(),
            pings: BTreeSet::new(),
            figures: Figures::default(),
            failures: Vec::new(),
            tell: options.tell,
            told: Vec::new(),
            links: scenario.building.links(&scenario.medium),
        }
    }

    /// The world as it is.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// What happened since the last call, if the options ask for it.
    pub fn take_told(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.told)
    }

    /// From the beginning to the end.
    pub fn perform(mut self) -> Outcome {
        while self.go_on() {}
        self.end()
    }

    /// One second or less; whether the run goes on.
    pub fn go_on(&mut self) -> bool {
        let end = Instant::ZERO + self.scenario.duration;
        let now = self.world.now();
        let step = self.steps.get(self.next).copied();
        let glance = end.min(now + GLANCE);
        match step.filter(|(at, _)| *at <= glance) {
            Some((at, step)) => {
                self.world.run_to(at);
                self.take_in();
                self.next += 1;
                self.perform_step(step);
                true
            }
            None if now >= end => false,
            None => {
                self.world.run_to(glance);
                self.take_in();
                true
            }
        }
    }

    /// What came of it.
    pub fn end(mut self) -> Outcome {
        self.settle_commands(Instant::FAR_FUTURE);
        for (index, expectation) in self.scenario.expectations.iter().enumerate() {
            let (what, count, share) = match expectation {
                Expectation::Commands { share } => ("commands", self.figures.commands, *share),
                Expectation::Pings { share } => ("pings", self.figures.pings, *share),
                Expectation::Reads { share } => ("reads", self.figures.reads, *share),
                _ => continue,
            };
            if count.share() < share || count.of == 0 {
                self.fail(index, format!("{what}: {count}, expected a share of {share}"));
            }
        }
        let joins = self.world.survey().joins();
        let routers = self.world.routers().count() as u32;
        let installed = self.installed.iter().filter(|station| station.0 >= routers);
        let installed: Vec<_> = installed.filter_map(|it| joins.get(it.index())).collect();
        self.figures.joins = installed.iter().filter_map(|join| join.took()).collect();
        let done = self.figures.joins.len() as u64;
        self.figures.joined = Count { done, of: installed.len() as u64 };
        self.figures.hops_max = joins.iter().filter_map(|join| join.hops).max().unwrap_or(0);
        self.figures.frames = self.world.survey().frames();
        self.figures.refused = self.people.take_refused();
        Outcome {
            seed: self.seed,
            findings: self.world.findings().to_vec(),
            failures: self.failures,
            figures: self.figures,
            ended: self.world.now(),
        }
    }

    fn perform_step(&mut self, step: Step) {
        match step {
            Step::Begins(index) => {
                let disaster = &self.scenario.disasters[index];
                self.troubles.begin(&mut self.world, &self.installed, disaster);
            }
            Step::Ends(index) => {
                let disaster = &self.scenario.disasters[index];
                self.troubles.end(&mut self.world, &self.installed, disaster);
            }
            Step::Deed(index) => self.deed(&self.scenario.deeds[index].what),
            Step::Look(index) => self.look(index),
        }
    }

    fn deed(&mut self, deed: &Deed) {
        match deed {
            Deed::Install(station) => {
                self.installed.insert(*station);
                if self.troubles.has_power(*station) {
                    self.world.power_on(*station);
                }
            }
            Deed::OpenWindow(lasts) => {
                let until = self.world.now() + *lasts;
                self.people.ask(&mut self.world, Request::OpenWindow { until });
            }
            Deed::Press { switch, on } => self.press(*switch, *on),
            Deed::Command { group, on } => {
                let value = if *on { b"1" } else { b"0" }.to_vec();
                let path = READ_PATH.into();
                let request = Request::CommandGroup { group: *group, path, value };
                self.people.ask(&mut self.world, request);
                self.commanded([*group].into(), *on);
            }
            Deed::Read(station) => {
                let eui64 = self.eui64(*station);
                let path = READ_PATH.into();
                self.people.ask(&mut self.world, Request::ReadResource { eui64, path });
                self.figures.reads.of += 1;
            }
            Deed::Ping(station) => self.ping(*station),
            Deed::Revoke(station) => {
                let eui64 = self.eui64(*station);
                self.people.ask(&mut self.world, Request::Revoke { eui64 });
            }
            Deed::RekeyNetwork => self.people.ask(&mut self.world, Request::RekeyNetwork),
            Deed::RekeyGroup(id) => {
                self.people.ask(&mut self.world, Request::RekeyGroup { id: *id });
            }
        }
    }

    fn press(&mut self, switch: StationId, on: bool) {
        if self.world.station(switch).node().is_none() {
            return; // a dead switch can be pressed, to no effect
        }
        let eui64 = self.eui64(switch);
        let record = self.scenario.inventory.iter().find(|record| record.eui64 == eui64);
        let groups = record.map(|record| &record.groups).into_iter().flatten();
        let groups = groups.filter(|(_, role)| role.sends()).map(|(group, _)| *group);
        let groups: BTreeSet<_> = groups.collect();
        self.world.press(switch, on);
        self.commanded(groups, on);
    }

    /// Who is in and listens should obey.
    fn commanded(&mut self, groups: BTreeSet<GroupId>, on: bool) {
        let mut open = BTreeSet::new();
        for record in &self.scenario.inventory {
            let listens =
                record.groups.iter().any(|(group, role)| groups.contains(group) && role.listens());
            let station = self.scenario.building.station(record.eui64);
            open.extend(station.filter(|it| listens && self.lag(*it).is_none()));
        }
        self.figures.commands.of += open.len() as u64;
        let due = self.world.now() + COMMAND_WITHIN;
        self.commands.push(Commanded { due, on, open });
    }

    fn ping(&mut self, station: StationId) {
        let sequence = self.figures.pings.of as u16;
        self.figures.pings.of += 1;
        self.pings.insert((station, sequence));
        let domain = self.world.manager().domain();
        let device = domain.devices().get(&self.eui64(station));
        let pan = device.and_then(Device::pan).and_then(|pan| domain.pans().get(&pan));
        let root = pan.unwrap_or(domain.founding_pan()).config.addr(BORDER_ROUTER_SHORT);
        self.world.ping(station, root, sequence);
    }

    /// What happened since the last time.
    fn take_in(&mut self) {
        for happening in self.world.take_happenings() {
            if self.tell {
                self.told.push(happening.clone());
            }
            let What::Node(station, event) = happening.what else { continue };
            match event {
                Event::Light { on } => self.obeyed(happening.at, station, on),
                Event::Net(NetEvent::EchoReply { sequence, .. })
                    if self.pings.remove(&(station, sequence)) =>
                {
                    self.figures.pings.done += 1;
                }
                _ => {}
            }
        }
        self.settle_commands(self.world.now());
        for reply in self.people.listen(&mut self.world) {
            if matches!(reply, Reply::Resource { .. }) {
                self.figures.reads.done += 1;
            }
        }
    }

    fn obeyed(&mut self, at: Instant, station: StationId, on: bool) {
        let mut due = self.commands.iter_mut().filter(|it| it.on == on && at <= it.due);
        if due.any(|commanded| commanded.open.remove(&station)) {
            self.figures.commands.done += 1;
        }
    }

    fn settle_commands(&mut self, now: Instant) {
        self.commands.retain(|commanded| commanded.due > now && !commanded.open.is_empty());
    }

    fn look(&mut self, index: usize) {
        match &self.scenario.expectations[index] {
            Expectation::AllIn { .. } => {
                let mut lagging = self.lagging();
                // Under which key is asked by others.
                lagging.retain(|(_, _, lag)| *lag != Lag::OldKey);
                self.expect_none(index, &lagging);
            }
            Expectation::In { station, .. } => {
                if let Some(lag) = self.lag(*station) {
                    let lagging = [(*station, self.eui64(*station), lag)];
                    self.expect_none(index, &lagging);
                }
            }
            Expectation::Out { station, .. } => {
                if self.lag(*station).is_none() {
                    self.fail(index, format!("{} is in", self.eui64(*station)));
                }
            }
            Expectation::Converged { .. } => {
                let lagging = self.lagging();
                self.expect_none(index, &lagging);
                if lagging.is_empty() {
                    let silent = self.silent();
                    self.expect_none(index, &silent);
                }
            }
            Expectation::Commands { .. }
            | Expectation::Pings { .. }
            | Expectation::Reads { .. } => {}
        }
    }

    fn expect_none(&mut self, index: usize, lagging: &[(StationId, Eui64, Lag)]) {
        if !lagging.is_empty() {
            let lags = lagging.iter().map(|(_, _, lag)| *lag).collect();
            let (at, saw) = (self.world.now(), named(lagging));
            self.failures.push(Failure { at, expectation: index, saw, lags });
        }
    }

    fn fail(&mut self, expectation: usize, saw: String) {
        let (at, lags) = (self.world.now(), BTreeSet::new());
        self.failures.push(Failure { at, expectation, saw, lags });
    }

    /// Who was installed, was not expelled, and is not in.
    fn lagging(&self) -> Vec<(StationId, Eui64, Lag)> {
        let lagging = self.expected().into_iter().filter_map(|station| {
            let lag = self.lag(station)?;
            Some((station, self.eui64(station), lag))
        });
        lagging.collect()
    }

    /// Honest stations that were installed and not expelled, and that hear a border router or others of
    /// them on the way there: an expelled device carries nothing for those behind it.
    fn expected(&self) -> BTreeSet<StationId> {
        let devices = self.world.manager().domain().devices();
        let stays = |station: &StationId| {
            let device = devices.get(&self.eui64(*station));
            !device.is_some_and(|it| matches!(it.state, DeviceState::Revoked { .. }))
        };
        let honest = self.installed.range(..StationId(self.scenario.honest()));
        let mut cut_off: BTreeSet<_> = honest.copied().filter(stays).collect();
        let mut reached: Vec<_> =
            self.world.routers().filter_map(|router| cut_off.take(&router)).collect();
        let mut next = 0;
        while let Some(station) = reached.get(next).copied() {
            next += 1;
            let heard = self.links.neighbours(station).iter();
            let heard = heard.filter(|(_, strength)| counted_on(&self.scenario.medium, *strength));
            reached.extend(heard.filter_map(|(neighbour, _)| cut_off.take(neighbour)));
        }
        reached.into_iter().collect()
    }

    fn lag(&self, station: StationId) -> Option<Lag> {
        let Some(node) = self.world.station(station).node() else { return Some(Lag::Off) };
        if !node.is_member() {
            Some(Lag::Out)
        } else if !node.net().is_attached() {
            Some(Lag::Unattached)
        } else {
            let domain = self.world.manager().domain();
            let device = domain.devices().get(&self.eui64(station));
            let pan = device.and_then(Device::pan).and_then(|pan| domain.pans().get(&pan));
            (node.link_key() != pan.map(|pan| pan.link_key.index)).then_some(Lag::OldKey)
        }
    }

    /// Who does not answer the manager; time passes meanwhile. Who did not answer is asked again.
    fn silent(&mut self) -> Vec<(StationId, Eui64, Lag)> {
        let deadline = self.world.now() + READ_PATIENCE;
        let routers = self.world.routers().count() as u32;
        let stations = self.expected().into_iter().filter(|station| station.0 >= routers);
        let mut open: BTreeMap<StationId, Eui64> =
            stations.map(|station| (station, self.eui64(station))).collect();
        let mut asked: BTreeMap<StationId, RequestId> = BTreeMap::new();
        while !open.is_empty() && self.world.now() < deadline {
            for (station, eui64) in &open {
                if asked.len() < READS_AT_ONCE && !asked.contains_key(station) {
                    let request = Request::ReadResource { eui64: *eui64, path: READ_PATH.into() };
                    asked.insert(*station, self.world.request(request));
                }
            }
            self.world.run_for(GLANCE);
            asked.retain(|station, id| match self.world.take_reply(*id) {
                None => true,
                Some(reply) => {
                    if matches!(reply, Reply::Resource { .. }) {
                        open.remove(station);
                    }
                    false
                }
            });
        }
        self.take_in();
        open.into_iter().map(|(station, eui64)| (station, eui64, Lag::Silent)).collect()
    }

    fn eui64(&self, station: StationId) -> Eui64 {
        self.world.station(station).eui64()
    }
}

/// When an expectation is looked at.
fn looked_at(scenario: &Scenario, expectation: &Expectation) -> Instant {
    match expectation {
        Expectation::AllIn { by } => *by,
        Expectation::In { at, .. } | Expectation::Out { at, .. } => *at,
        Expectation::Converged { within } => scenario.calm_from() + *within,
        // Of the whole run: looked at when it is over.
        Expectation::Commands { .. } | Expectation::Pings { .. } | Expectation::Reads { .. } => {
            Instant::ZERO
        }
    }
}
