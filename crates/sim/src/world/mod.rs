//! The world: a building full of real nodes over the medium, a border router, a backbone, a domain manager
//! with its store; all of it in virtual time, all of it decided by one seed.
//!
//! Between two nodes nothing passes but frames through the medium; between border router and manager
//! nothing but IPv6 packets. The world carries octets, keeps flash, and watches. A world may also have
//! a co-processor in the border router's place, whose host is outside: nothing but the octets of a
//! serial line passes between them.
//!
//! **Invariant:** the world decides nothing that a node decides; equal seeds give equal octets.

mod backbone;
mod captured;
mod clock;
mod co_processor;
mod datagram_loss;
mod intruders;
mod manager;
mod outside;
mod outsiders;
mod station;
mod step;

pub use crate::intruder::{Lie, Trick};
pub use backbone::{Backbone, Towards};
pub use clock::DRIFT_PPM_MAX;
pub use outsiders::OUTSIDERS;
pub use station::{Intruder, StationKind};

use crate::building::{Building, Device};
use crate::capture::{AirFrame, Capture};
use crate::check::{Checkers, Decisions, Finding};
use crate::keybook::KeyBook;
use crate::medium::{FrameId, Medium, MediumConfig, MediumOutput, StationId};
use crate::queue::{Queue, Wakes};
use crate::survey::Survey;
use backbone::Backbones;
use lowgate_crypto::{Ccm, SoftCcm};
use lowgate_dtls::Retransmission;
use lowgate_mac::{PhyEvent, Psdu};
use lowgate_manager::{
    Batch, ChannelSet, DeviceRecord, DeviceState, Manager, ManagerEvent, ManagerInput, NewDomain,
    PAIR_DEGREE_USUAL, Reply, Request, RequestId, Store,
};
use lowgate_net::NetEvent;
use lowgate_node::{Event, PairEvent};
use lowgate_units::{Channel, Duration, Iid, Instant, Ipv6Addr, Prng, SeededEntropy};
use manager::Power;
use station::Station;
use std::collections::{BTreeMap, BTreeSet};

/// The domain manager's address on the backbone.
pub const MANAGER_ADDR: Ipv6Addr = Ipv6Addr::new(0xfd5a, 0x10f2, 0x9a3b, 0xffff, 0, 0, 0, 1);
/// The first border router's address on the backbone; the others follow.
pub const ROUTER_ADDR: Ipv6Addr = router_addr(StationId(0));
/// A border router's address on the backbone.
const fn router_addr(router: StationId) -> Ipv6Addr {
    Ipv6Addr::new(0xfd5a, 0x10f2, 0x9a3b, 0xffff, 0, 0, 0, 2 + router.0 as u16)
}

/// The channel of the first PAN, unless told otherwise.
pub const CHANNEL: Channel = match Channel::new(15) {
    Some(channel) => channel,
    None => unreachable!(),
};

/// From one end of the backbone to the other: a building's Ethernet and two operating systems.
const BACKBONE_DELAY: Duration = Duration::from_micros(700);
/// How long the manager's store takes for a batch, unless told otherwise: a flush of a good disk.
const COMMIT_DELAY: Duration = Duration::from_millis(4);
/// How often the checkers look at what nothing tells them.
const INSPECTION: Duration = Duration::from_secs(1);

/// Steps without time passing after which some machine is in a loop: a bug.
const STEPS_AT_ONCE_MAX: u32 = 100_000;

/// What stands in the border router's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The border router, with the manager behind it.
    Router,
    /// A radio co-processor. Router and manager are whoever drives its serial line; the world's own
    /// manager is never heard, and what only it could tell is not checked.
    CoProcessor,
}

/// What a world is made of.
pub struct WorldConfig {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How radios fare.
    pub medium: MediumConfig,
    /// The channel of the first PAN.
    pub channel: Channel,
    /// Where further PANs may be besides.
    pub further_channels: ChannelSet,
    /// Keep a capture, with the sessions' secrets if `key_log` says so.
    pub capture: bool,
    /// Report the sessions' secrets.
    pub key_log: bool,
    /// The cipher of every node: a seam for tests.
    pub ccm: &'static dyn Ccm,
    /// When joiners and the manager repeat what they say to each other.
    pub retransmission: Retransmission,
    /// Devices follow key trees.
    pub key_trees: bool,
    /// Devices have keys with each other.
    pub pairs: bool,
    /// Of the polynomial that those are of.
    pub pair_degree: u16,
    /// Ask for a cookie before any state is kept. Off only to reproduce old measurements.
    pub cookie: bool,
    /// Every datagram that arrives unsecured is lost with this probability, as a whole and behind the
    /// link layer, so that nothing repeats its frames; every secured one is. What is left is network
    /// access over one hop, as the draft on DTLS for the Internet of Things measured it.
    pub datagram_loss: Option<f64>,
    /// How long the manager's store takes for a batch.
    pub commit_delay: Duration,
    /// What stands in the border router's place.
    pub root: Root,
}

impl WorldConfig {
    /// An office on [`CHANNEL`], no capture.
    pub fn new(seed: u64) -> Self {
        let channel = CHANNEL;
        let medium = MediumConfig::default();
        let (capture, key_log, commit_delay) = (false, false, COMMIT_DELAY);
        let (ccm, root) = (&SoftCcm, Root::Router);
        let further_channels = ChannelSet::NONE;
        let retransmission = Retransmission::USUAL;
        let (cookie, datagram_loss) = (true, None);
        let (key_trees, pairs, pair_degree) = (false, false, PAIR_DEGREE_USUAL);
        Self {
            seed,
            medium,
            channel,
            further_channels,
            capture,
            key_log,
            ccm,
            retransmission,
            key_trees,
            pairs,
            pair_degree,
            cookie,
            datagram_loss,
            commit_delay,
            root,
        }
    }

    fn domain(&self) -> NewDomain {
        let further_channels = self.further_channels;
        NewDomain { further_channels, ..NewDomain::new(self.channel, MANAGER_ADDR) }
    }

    /// Where devices look for a network.
    fn channels(&self) -> heapless::Vec<Channel, 16> {
        let further = self.further_channels.iter().filter(|channel| *channel != self.channel);
        std::iter::once(self.channel).chain(further).collect()
    }
}

/// Something that happened, for reports and tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// To a node.
    Node(StationId, Event),
    /// To the manager.
    Manager(ManagerEvent),
    /// A station was switched on.
    PowerOn(StationId),
}

enum Due {
    Stored { station: StationId, boot: u32, write: station::Write },
    ToRouter(StationId, Vec<u8>),
    ToManager(Vec<u8>),
    Tunnel(StationId, Psdu),
    Commit { boot: u32, batch: Batch },
    Inspect,
}

/// The world.
pub struct World {
    now: Instant,
    config: WorldConfig,
    building: Building,
    medium: Medium,
    stations: Vec<Station>,
    wakes: Wakes,
    due: Queue<Due>,
    manager: Manager,
    manager_power: Power,
    manager_until: Instant,
    entropy: SeededEntropy,
    backbone: Backbones,
    store: Box<dyn Store>,
    store_broken: bool,
    committed: BTreeSet<u64>,
    /// The first stations.
    routers: u32,
    capture: Capture,
    key_book: Option<KeyBook>,
    happenings: Vec<Happening>,
    replies: BTreeMap<RequestId, Reply>,
    next_request: u64,
    checkers: Checkers,
    survey: Survey,
    /// On the air since the last look, where datagrams get lost on purpose.
    frames: Vec<(Instant, StationId, Psdu)>,
    sealed_after: Vec<captured::Sealed>,
    for_outsiders: Vec<Vec<u8>>,
    taken_over: Option<Ipv6Addr>,
    steps_at_now: u32,
}

impl World {
    /// A world in which nothing has power but the manager, whose store is empty.
    ///
    /// # Panics
    /// When the inventory names a device that is not in the building, or no border router.
    pub fn new(
        config: WorldConfig,
        mut building: Building,
        inventory: &[DeviceRecord],
        intruders: Vec<Intruder>,
        store: Box<dyn Store>,
    ) -> Self {
        let honest = building.stations();
        building.devices.extend(intruders.iter().map(Intruder::place));
        let links = building.links(&config.medium);
        let root = Prng::new(config.seed);
        let medium = Medium::new(config.medium, &links, root.fork(1).next_u64());
        let records: BTreeMap<_, _> = inventory.iter().map(|it| (it.eui64, it)).collect();
        let mut stations = Vec::new();
        for index in 0..honest {
            let id = StationId(index as u32);
            let eui64 = building.device(id).expect("below the number of stations").eui64;
            let record = records.get(&eui64).copied();
            let record = record.unwrap_or_else(|| panic!("{eui64} hangs in the building only"));
            stations.push(Station::honest(id, record, &config, root.fork(100 + index as u64)));
        }
        for (index, intruder) in intruders.into_iter().enumerate() {
            let id = StationId((honest + index) as u32);
            let prng = root.fork(100 + u64::from(id.0));
            stations.push(Station::intruding(id, intruder, &config, prng));
        }
        let mut entropy = SeededEntropy::new(root.fork(2).next_u64());
        let manager_config = manager::config(&config);
        let manager = Manager::found(manager_config, config.domain(), root.fork(3), &mut entropy);
        let routers = building.border_routers.len() as u32;
        assert!(routers > 0, "a border router");
        let decisions = match config.root {
            Root::Router => Decisions::Told,
            Root::CoProcessor => Decisions::Elsewhere,
        };
        let mut world = Self {
            now: Instant::ZERO,
            wakes: Wakes::new(stations.len()),
            medium,
            stations,
            due: Queue::new(),
            manager,
            manager_power: Power::On { boot: 0 },
            manager_until: Instant::ZERO,
            entropy,
            backbone: Backbones {
                to_router: Backbone::QUIET,
                to_manager: Backbone::QUIET,
                dice: root.fork(4),
            },
            store,
            store_broken: false,
            committed: BTreeSet::new(),
            routers,
            capture: Capture::new(),
            key_book: config.key_log.then(KeyBook::new),
            happenings: Vec::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            checkers: Checkers::new(honest, decisions),
            survey: Survey::new(honest),
            frames: Vec::new(),
            sealed_after: Vec::new(),
            for_outsiders: Vec::new(),
            taken_over: None,
            steps_at_now: 0,
            building,
            config,
        };
        for (index, station) in world.stations.iter().enumerate() {
            let id = StationId(index as u32);
            world.checkers.know(id, station.eui64());
            world.survey.know(id, station.eui64());
        }
        world.due.push(world.now + INSPECTION, Due::Inspect);
        world.drain_manager();
        world
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The building, intruders included.
    pub const fn building(&self) -> &Building {
        &self.building
    }

    /// The manager.
    pub const fn manager(&self) -> &Manager {
        &self.manager
    }

    /// The medium.
    pub const fn medium(&self) -> &Medium {
        &self.medium
    }

    /// The medium, to cut links or change the loss.
    pub const fn medium_mut(&mut self) -> &mut Medium {
        &mut self.medium
    }

    /// A station.
    pub fn station(&self, id: StationId) -> &Station {
        &self.stations[id.index()]
    }

    /// All stations that are no intruders, the border routers first.
    pub fn honest(&self) -> impl Iterator<Item = StationId> + use<> {
        (0..self.checkers.honest() as u32).map(StationId)
    }

    /// The border routers: the first stations.
    pub fn routers(&self) -> impl Iterator<Item = StationId> + use<> {
        (0..self.routers).map(StationId)
    }

    /// What the checkers found.
    pub fn findings(&self) -> &[Finding] {
        self.checkers.findings()
    }

    /// What was measured on the air.
    pub const fn survey(&self) -> &Survey {
        &self.survey
    }

    /// What the checkers counted.
    pub const fn checkers(&self) -> &Checkers {
        &self.checkers
    }

    /// What happened since the last call.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// The frames that were on the air since the last call, and who sent them: kept in a world with
    /// [`WorldConfig::datagram_loss`] alone.
    pub fn take_frames(&mut self) -> Vec<(Instant, StationId, Psdu)> {
        std::mem::take(&mut self.frames)
    }

    /// The capture so far, if the configuration asked for one.
    pub const fn capture(&self) -> &Capture {
        &self.capture
    }

    /// All keys that were ever in force, if the configuration asked for a key log.
    pub const fn key_book(&self) -> Option<&KeyBook> {
        self.key_book.as_ref()
    }

    /// Switches a station on.
    pub fn power_on(&mut self, id: StationId) {
        let liar = self.liar(id);
        self.stations[id.index()].power_on(self.now, &self.config, liar);
        self.survey.started(self.now, id);
        self.happen(What::PowerOn(id));
        self.pump(id, None);
    }

    /// Takes a station's power away, between two events: what was not written is lost.
    pub fn power_off(&mut self, id: StationId) {
        self.stations[id.index()].power_off();
        self.checkers.powered_off(id, self.stations[id.index()].flash());
        self.medium.tune(self.now, id, None);
        self.wakes.set(id.index(), Instant::FAR_FUTURE);
    }

    /// The clock of a station goes so much too fast from now on, in parts per million, or too slow where
    /// that is negative; at most [`DRIFT_PPM_MAX`] either way.
    pub fn drift(&mut self, id: StationId, ppm: i32) {
        self.stations[id.index()].drift(self.now, ppm);
        self.pump(id, None);
    }

    /// The clock of a station jumps ahead: it stood still for so long and noticed nothing.
    pub fn jump(&mut self, id: StationId, ahead: Duration) {
        self.stations[id.index()].jump(self.now, ahead);
        self.pump(id, None);
    }

    /// The flash of a station takes so many more writes, then none.
    pub fn endure(&mut self, id: StationId, writes: u64) {
        self.stations[id.index()].endure(writes);
    }

    /// Somebody presses a switch.
    pub fn press(&mut self, id: StationId, on: bool) {
        self.tell(id, lowgate_node::Input::Press { on });
    }

    /// Has a node ask for an echo.
    pub fn ping(&mut self, id: StationId, dst: Ipv6Addr, sequence: u16) {
        self.tell(id, lowgate_node::Input::Ping { dst, sequence });
    }

    /// Has a device ask another for something, in a session of the two alone.
    ///
    /// # Panics
    /// When the other never was a member.
    pub fn ask_device(&mut self, id: StationId, other: StationId, request: lowgate_coap::Request) {
        let peer = self.stations[other.index()].eui64();
        let addr = self.addr_of(other).expect("it had an address in its mesh");
        self.tell(id, lowgate_node::Input::Ask { peer, addr, request });
    }

    /// The same of a neighbour, whom it hears itself: no router passes anything on, and none can keep them apart.
    pub fn ask_neighbour(
        &mut self,
        id: StationId,
        other: StationId,
        request: lowgate_coap::Request,
    ) {
        let peer = self.stations[other.index()].eui64();
        let addr = Iid::from(peer).link_local();
        self.tell(id, lowgate_node::Input::Ask { peer, addr, request });
    }

    /// Where a device is in its mesh, or was when it was expelled.
    pub fn addr_of(&self, id: StationId) -> Option<Ipv6Addr> {
        let domain = self.manager.domain();
        let device = domain.devices().get(&self.stations[id.index()].eui64())?;
        let (pan, short) = match device.state {
            DeviceState::Expected => return None,
            DeviceState::Admitted { pan, short } => (pan, short),
            DeviceState::Revoked { last } => last?,
        };
        Some(domain.pans().get(&pan)?.config.addr(short))
    }

    fn tell(&mut self, id: StationId, input: lowgate_node::Input) {
        self.stations[id.index()].tell(self.now, input);
        self.pump(id, None);
    }

    /// Asks the manager and runs until it replied, at most for `patience`.
    pub fn ask(&mut self, request: Request, patience: Duration) -> Option<Reply> {
        let id = self.request(request);
        self.run_until(patience, |world| world.replies.contains_key(&id));
        self.take_reply(id)
    }

    /// Runs for `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Runs to `at`, which may have passed already: real time does not wait.
    pub fn run_to(&mut self, at: Instant) {
        if at > self.now {
            self.run_for(at - self.now);
        }
    }

    /// Runs until `done` holds, looked at after every moment in which something happened, at most for
    /// `patience`; whether it holds.
    pub fn run_until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let deadline = self.now + patience;
        loop {
            if done(self) {
                return true;
            }
            let next = self.next_at();
            if next > deadline {
                self.now = deadline;
                return done(self);
            }
            assert!(next >= self.now, "the world's clock never goes back");
            self.steps_at_now = if next > self.now { 0 } else { self.steps_at_now + 1 };
            assert!(
                self.steps_at_now < STEPS_AT_ONCE_MAX,
                "the world stands still at {}",
                self.now
            );
            self.now = next;
            self.step();
        }
    }

    /// When something happens next if nobody does anything until then: what [`World::run_to`] waits for.
    pub fn next_at(&mut self) -> Instant {
        let medium = loop {
            match self.medium.poll(self.now) {
                MediumOutput::Wait { until } => break until,
                output => self.medium_output(output),
            }
        };
        medium.min(self.due.next_at()).min(self.wakes.next_at()).min(self.manager_until)
    }

    fn step(&mut self) {
        while let Some((_, due)) = self.due.pop(self.now) {
            self.perform(due);
        }
        // One round only: who wants to be woken again at once is in the next step, which is counted.
        if let Some((_, index)) = self.wakes.next().filter(|(at, _)| *at <= self.now) {
            self.pump(StationId(index as u32), None);
        }
        if self.manager_until <= self.now {
            self.tell_manager(ManagerInput::Wake);
        }
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::Stored { station, boot, write } => {
                if self.stations[station.index()].stored(self.now, boot, write) {
                    self.pump(station, None);
                }
            }
            Due::ToRouter(router, packet) => {
                self.stations[router.index()].backbone(self.now, packet);
                self.pump(router, None);
            }
            Due::ToManager(packet) => self.packet_to_manager(&packet),
            Due::Tunnel(end, psdu) => {
                self.stations[end.index()].tunnelled(self.now, psdu);
                self.pump(end, None);
            }
            Due::Commit { boot, batch } => self.commit(boot, &batch),
            Due::Inspect => self.inspect(),
        }
    }

    /// What no frame and no event tells.
    fn inspect(&mut self) {
        self.due.push(self.now + INSPECTION, Due::Inspect);
        for id in self.routers() {
            if let Some(router) = self.stations[id.index()].node() {
                let devices = router.net().routes().map(|route| route.device);
                self.checkers.routed(self.now, id, devices);
            }
        }
        if self.checkers.take_forging_due(self.now) {
            self.forge_group_records();
        }
        self.repeat_group_record();
    }

    fn medium_output(&mut self, output: MediumOutput) {
        match output {
            MediumOutput::Aired { frame, station, channel, psdu, .. } => {
                self.aired(frame, station, channel, &psdu);
            }
            MediumOutput::Phy { station, frame, event } => {
                let heard = matches!(event, PhyEvent::Received { .. });
                if let PhyEvent::Received { psdu, .. } = &event {
                    self.checkers.heard(self.now, station, frame);
                    self.overheard(station, psdu);
                }
                self.stations[station.index()].phy(self.now, event);
                self.pump(station, frame.filter(|_| heard));
            }
            MediumOutput::Wait { .. } => unreachable!("the caller keeps it"),
        }
    }

    fn aired(&mut self, frame: FrameId, station: StationId, channel: Channel, psdu: &Psdu) {
        let flash = self.stations[station.index()].flash();
        self.checkers.aired(self.now, frame, station, psdu, flash);
        self.survey.aired(station, psdu);
        if self.config.datagram_loss.is_some() {
            self.frames.push((self.now, station, psdu.clone()));
        }
        if self.config.capture {
            let air = AirFrame { channel: Some(channel), rssi: None, lqi: None, psdu };
            self.capture.frame(self.now, &air, "");
        }
    }

    /// Passes what a station says to where it belongs, until it waits. `frame` is the one it just heard.
    fn pump(&mut self, id: StationId, frame: Option<FrameId>) {
        let until = loop {
            let output = self.stations[id.index()].poll(self.now);
            match output {
                station::Output::Phy(command) => self.medium.perform(self.now, id, command),
                station::Output::Store { boot, write, after } => {
                    let due = Due::Stored { station: id, boot, write };
                    self.due.push(self.now + after, due);
                }
                station::Output::Backbone(packet) => self.packet_from_router(packet),
                station::Output::Event(event) => self.node_event(id, frame, event),
                station::Output::Tunnel(other, psdu) => self.tunnel(other, psdu),
                station::Output::Wait { until } => break until,
            }
        };
        self.wakes.set(id.index(), until);
    }

    fn node_event(&mut self, id: StationId, frame: Option<FrameId>, event: Event) {
        let station = &self.stations[id.index()];
        self.checkers.node(self.now, id, frame, &event, station.flash());
        if let (Event::Net(NetEvent::DeviceRegistered { eui64, .. }), Some(router)) =
            (&event, station.router())
        {
            let named = router.members().contains_key(eui64);
            self.checkers.registered(self.now, *eui64, named);
        }
        self.survey.node(self.now, id, &event);
        self.group_sent(id, &event);
        match event {
            Event::FrameOpened { .. } | Event::Pair(PairEvent::Sent { .. }) => {}
            Event::Join(lowgate_access::joiner::JoinerEvent::KeyLog(log)) => {
                self.capture.secret(&log.to_string());
            }
            event => self.happen(What::Node(id, event)),
        }
    }

    fn happen(&mut self, what: What) {
        self.happenings.push(Happening { at: self.now, what });
    }

    /// The device of a station.
    ///
    /// # Panics
    /// When there is no such station.
    pub fn device(&self, id: StationId) -> &Device {
        self.building.device(id).expect("a station of this world")
    }
}
