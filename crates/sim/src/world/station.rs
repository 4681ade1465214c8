//! One radio of the world and what drives it: a device, the border router or its co-processor, or an
//! intruder.
//!
//! **Invariant:** a station has nothing but its radio, its flash and, if it is the border router, the
//! backbone, if it is a co-processor, a serial line; a power cut leaves the flash and nothing else.

use super::clock::Clock;
use super::datagram_loss::DatagramLoss;
use super::step::Step;
use super::{MANAGER_ADDR, Root, WorldConfig, router_addr};
use crate::building::Device;
use crate::intruder::{Eavesdropper, Liar, Lie, Output as IntruderOutput, Trick};
use crate::medium::StationId;
use lowgate_amikey::{GroupId, Membership};
use lowgate_dtls::{Psk, Retransmission};
use lowgate_mac::{
    LinkInput, LinkMachine, LinkOutput, PhyCommand, PhyEvent, Psdu, RadioCommand, RadioEvent,
};
use lowgate_manager::{DeviceRecord, Identity, Kind as InventoryKind};
use lowgate_node::flash::{Record, RecordKey, RecordOctets};
use lowgate_node::{Event, Input, Kind, Node, NodeConfig};
use lowgate_rcp::{Rcp, RcpConfig, RcpInput};
use lowgate_router::{Input as RouterInput, Inward, Router, RouterConfig};
use lowgate_units::{Channel, Duration, Eui64, Instant, Prng, SeededEntropy};
use std::collections::BTreeMap;

/// How long a flash takes for a record.
const WRITE_MICROS: (u64, u64) = (1_500, 1_500);
/// What a serial line holds that nobody reads; more is lost, as at any line without flow control.
const SERIAL_UNREAD_OCTETS_MAX: usize = 64 * 1024;
/// What an outsider's radio told and nobody took; more is lost, as in a chip.
const EVENTS_UNREAD_MAX: usize = 256;
/// What the co-processor calls itself.
const CO_PROCESSOR_VERSION: &str = "LOWGATE-SIM/0.1; SIMULATION";

/// What a station is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StationKind {
    /// A device, honest or not, that runs our code.
    Device(Kind),
    /// Somebody without keys, and what he does with the frames he hears; or with those of a captured device,
    /// and what he says.
    Eavesdropper(Trick),
    /// A co-processor of its own.
    Sniffer,
}

/// Somebody whom the installer did not invite.
#[derive(Clone, Debug, PartialEq)]
pub enum Intruder {
    /// A device with our code that poses as one of the inventory, and has another key.
    Stranger {
        /// Where it hangs, with an EUI-64 of its own.
        place: Device,
        /// As whom it poses.
        identity: Identity,
        /// Not the one of the inventory.
        psk: Psk,
    },
    /// Hears every frame and makes others of them.
    Eavesdropper {
        /// Where it hangs.
        place: Device,
        /// What it makes of them.
        trick: Trick,
    },
    /// Holds the keys that are in the flash of a captured device when the intruder gets power, and says under
    /// them, and in the device's name, what is not so.
    Insider {
        /// Where it hangs.
        place: Device,
        /// Whose keys.
        captured: Eui64,
        /// What it says.
        lie: Lie,
    },
    /// A co-processor for whoever drives its serial line, mostly to listen.
    Sniffer {
        /// Where it hangs.
        place: Device,
    },
}

impl Intruder {
    /// Where it hangs.
    pub const fn place(&self) -> Device {
        match self {
            Self::Stranger { place, .. }
            | Self::Eavesdropper { place, .. }
            | Self::Insider { place, .. }
            | Self::Sniffer { place } => *place,
        }
    }

    /// Whose keys it holds, if it holds any.
    pub const fn captured(&self) -> Option<Eui64> {
        match self {
            Self::Insider { captured, .. } => Some(*captured),
            Self::Stranger { .. } | Self::Eavesdropper { .. } | Self::Sniffer { .. } => None,
        }
    }
}

enum Host {
    Off,
    Node(Box<Node>),
    Router(Box<Router>),
    /// A radio; its host is at the other end of the serial line.
    CoProcessor(Box<Rcp>),
    Eavesdropper(Box<Eavesdropper>),
    /// Somebody outside, and what its radio told and nobody took yet.
    Outside(Vec<RadioEvent>),
}

/// What the flash is asked to do.
#[expect(clippy::large_enum_variant, reason = "a handful wait at a time")]
pub(super) enum Write {
    /// Write a record.
    Record {
        /// Comes back to the host.
        ticket: u32,
        /// Its name.
        key: RecordKey,
        /// Its octets.
        octets: RecordOctets,
    },
    /// Delete a record.
    Erase(RecordKey),
}

pub(super) enum Output {
    Phy(PhyCommand),
    Store {
        boot: u32,
        write: Write,
        after: Duration,
    },
    Backbone(Vec<u8>),
    Event(Event),
    /// For the intruder of this name.
    Tunnel(Eui64, Psdu),
    Wait {
        until: Instant,
    },
}

/// A station.
pub struct Station {
    id: StationId,
    eui64: Eui64,
    kind: StationKind,
    /// Whose keys it holds besides its own.
    captured: Option<Eui64>,
    config: Option<NodeConfig>,
    /// What drives its radio is outside of the world.
    is_outside: bool,
    link: LinkMachine,
    host: Host,
    flash: BTreeMap<RecordKey, RecordOctets>,
    /// A flash writes one record after the other.
    flash_free_at: Instant,
    /// What a co-processor wrote to its serial line and nobody took yet.
    serial_out: Vec<u8>,
    /// Writes so far, and how many the flash takes before it takes no more.
    flash_writes: u64,
    flash_endurance: u64,
    /// The write that the last loss of power interrupted came to its end all the same.
    tear: Tear,
    clock: Clock,
    boots: u32,
    link_until: Instant,
    channel: Channel,
    prng: Prng,
    /// Loses whole datagrams that the radio heard.
    datagram_loss: Option<DatagramLoss>,
}

/// What becomes of the write that a loss of power interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tear {
    /// The flash holds what it held before.
    Before,
    /// The flash holds what was written, though nobody was told.
    After,
}

impl Station {
    pub(super) fn honest(
        id: StationId,
        record: &DeviceRecord,
        world: &WorldConfig,
        prng: Prng,
    ) -> Self {
        let kind = match record.kind {
            InventoryKind::BorderRouter => Kind::BorderRouter,
            InventoryKind::Light => Kind::Light,
            InventoryKind::Switch => Kind::Switch,
            InventoryKind::Sensor => Kind::Sensor,
        };
        let groups = record.groups.iter();
        let config = NodeConfig {
            eui64: record.eui64,
            identity: record.identity.octets().iter().copied().collect(),
            psk: Psk::new(record.psk.expose()).expect("an inventory's key has 16 to 64 octets"),
            kind,
            groups: groups.map(|(group, role)| Membership { group: *group, role: *role }).collect(),
            channels: world.channels(),
            ccm: world.ccm,
            retransmission: world.retransmission,
            key_trees: world.key_trees,
            pairs: world.pairs,
            key_log: world.key_log,
        };
        Self::new(id, record.eui64, StationKind::Device(kind), Some(config), world, prng)
    }

    pub(super) fn intruding(
        id: StationId,
        intruder: Intruder,
        world: &WorldConfig,
        prng: Prng,
    ) -> Self {
        let (eui64, captured) = (intruder.place().eui64, intruder.captured());
        let station = match intruder {
            Intruder::Stranger { identity, psk, .. } => {
                let config = NodeConfig {
                    eui64,
                    identity: identity.octets().iter().copied().collect(),
                    psk,
                    kind: Kind::Light,
                    groups: [].into_iter().collect(),
                    channels: world.channels(),
                    ccm: world.ccm,
                    retransmission: Retransmission::USUAL,
                    key_trees: false,
                    pairs: false,
                    key_log: false,
                };
                let kind = StationKind::Device(Kind::Light);
                Self::new(id, eui64, kind, Some(config), world, prng)
            }
            Intruder::Eavesdropper { trick, .. } => {
                Self::new(id, eui64, StationKind::Eavesdropper(trick), None, world, prng)
            }
            Intruder::Insider { lie, .. } => {
                let kind = StationKind::Eavesdropper(Trick::Tell(lie));
                Self::new(id, eui64, kind, None, world, prng)
            }
            Intruder::Sniffer { .. } => {
                Self::new(id, eui64, StationKind::Sniffer, None, world, prng)
            }
        };
        Self { captured, ..station }
    }

    fn new(
        id: StationId,
        eui64: Eui64,
        kind: StationKind,
        config: Option<NodeConfig>,
        world: &WorldConfig,
        prng: Prng,
    ) -> Self {
        Self {
            id,
            eui64,
            kind,
            captured: None,
            config,
            is_outside: false,
            link: LinkMachine::new(prng.fork(0)),
            host: Host::Off,
            flash: BTreeMap::new(),
            flash_free_at: Instant::ZERO,
            flash_writes: 0,
            flash_endurance: u64::MAX,
            tear: Tear::Before,
            clock: Clock::RIGHT,
            serial_out: Vec::new(),
            boots: 0,
            link_until: Instant::FAR_FUTURE,
            channel: world.channel,
            datagram_loss: world.datagram_loss.map(|loss| DatagramLoss::new(loss, prng.fork(2))),
            prng,
        }
    }

    /// Who it is.
    pub const fn eui64(&self) -> Eui64 {
        self.eui64
    }

    /// What it is.
    pub const fn kind(&self) -> StationKind {
        self.kind
    }

    /// Whether it is the border router.
    pub fn is_router(&self) -> bool {
        self.kind == StationKind::Device(Kind::BorderRouter)
    }

    /// Whose keys it holds, if it is an insider.
    pub const fn captured(&self) -> Option<Eui64> {
        self.captured
    }

    /// The node that runs on it, if it has power and runs one.
    pub fn node(&self) -> Option<&Node> {
        match &self.host {
            Host::Node(node) => Some(node),
            Host::Router(router) => Some(router.node()),
            Host::Off | Host::CoProcessor(_) | Host::Eavesdropper(_) | Host::Outside(_) => None,
        }
    }

    /// The border router that runs on it.
    pub fn router(&self) -> Option<&Router> {
        match &self.host {
            Host::Router(router) => Some(router),
            Host::Off
            | Host::Node(_)
            | Host::CoProcessor(_)
            | Host::Eavesdropper(_)
            | Host::Outside(_) => None,
        }
    }

    /// Frames that it made of recorded ones and sent, if it is an eavesdropper.
    pub fn intrusions(&self) -> Option<usize> {
        match &self.host {
            Host::Eavesdropper(eavesdropper) => Some(eavesdropper.sent()),
            Host::Off
            | Host::Node(_)
            | Host::Router(_)
            | Host::CoProcessor(_)
            | Host::Outside(_) => None,
        }
    }

    /// How long these frames were on the air.
    pub fn intrusions_on_air(&self) -> Option<Duration> {
        match &self.host {
            Host::Eavesdropper(eavesdropper) => Some(eavesdropper.on_air()),
            Host::Off
            | Host::Node(_)
            | Host::Router(_)
            | Host::CoProcessor(_)
            | Host::Outside(_) => None,
        }
    }

    /// What its flash holds.
    pub const fn flash(&self) -> &BTreeMap<RecordKey, RecordOctets> {
        &self.flash
    }

    /// Writes that its flash has taken so far.
    pub const fn flash_writes(&self) -> u64 {
        self.flash_writes
    }

    /// From now on the flash takes so many more writes; what comes then is never answered.
    pub(super) fn endure(&mut self, writes: u64) {
        self.flash_endurance = self.flash_writes.saturating_add(writes);
    }

    pub(super) fn drift(&mut self, now: Instant, ppm: i32) {
        self.clock.drift(now, ppm);
    }

    pub(super) fn jump(&mut self, now: Instant, ahead: Duration) {
        self.clock.jump(now, ahead);
    }

    /// It begins anew with what its flash holds; a liar with what he knows and holds.
    pub(super) fn power_on(&mut self, now: Instant, world: &WorldConfig, liar: Option<Liar>) {
        self.boots += 1;
        self.tear = Tear::Before;
        let own = self.clock.read(now);
        let boot = u64::from(self.boots);
        let seed = self.prng.fork(1000 + boot).next_u64();
        self.link = LinkMachine::new(Prng::new(seed));
        self.link_until = now;
        self.flash_free_at = now;
        let mut entropy = SeededEntropy::new(seed ^ world.seed.rotate_left(32));
        let prng = Prng::new(seed).fork(1);
        let records: Vec<Record> =
            self.flash.iter().filter_map(|(key, octets)| Record::parse(*key, octets)).collect();
        self.host = match (self.kind, self.config.clone()) {
            _ if self.is_outside => Host::Outside(Vec::new()),
            (StationKind::Device(Kind::BorderRouter), _) if world.root == Root::CoProcessor => {
                self.co_processor(own)
            }
            (StationKind::Sniffer, _) => self.co_processor(own),
            (StationKind::Device(Kind::BorderRouter), Some(node)) => {
                let (backbone_addr, manager_addr) = (router_addr(self.id), MANAGER_ADDR);
                let inward = Inward::ALL;
                let config = RouterConfig { node, backbone_addr, manager_addr, inward };
                let mut router = Router::new(own, config, records, &mut entropy, prng);
                router.handle(own, RouterInput::Start);
                Host::Router(Box::new(router))
            }
            (StationKind::Device(_), Some(config)) => {
                let mut node = Node::new(own, config, records, &mut entropy, prng);
                node.handle(own, Input::Start);
                Host::Node(Box::new(node))
            }
            (StationKind::Eavesdropper(trick), _) => {
                let who = (self.eui64, trick);
                let eavesdropper = Eavesdropper::new(now, self.channel, who, liar, prng);
                Host::Eavesdropper(Box::new(eavesdropper))
            }
            (StationKind::Device(_), None) => unreachable!("a device has a configuration"),
        };
    }

    fn co_processor(&mut self, now: Instant) -> Host {
        self.serial_out.clear();
        let config = RcpConfig::new(self.eui64, CO_PROCESSOR_VERSION);
        Host::CoProcessor(Box::new(Rcp::new(now, config)))
    }

    pub(super) fn power_off(&mut self) {
        self.host = Host::Off;
        let mut dice = self.prng.fork(2_000_000 + u64::from(self.boots));
        self.tear = if dice.below(2) == 0 { Tear::Before } else { Tear::After };
    }

    pub(super) fn phy(&mut self, now: Instant, event: PhyEvent) {
        match &mut self.host {
            Host::Off => {}
            Host::Eavesdropper(eavesdropper) => eavesdropper.handle(now, event),
            Host::Node(_) | Host::Router(_) | Host::CoProcessor(_) | Host::Outside(_) => {
                self.link.handle(now, LinkInput::Phy(event));
            }
        }
    }

    pub(super) fn tunnelled(&mut self, now: Instant, psdu: Psdu) {
        if let Host::Eavesdropper(eavesdropper) = &mut self.host {
            eavesdropper.tunnelled(now, psdu);
        }
    }

    pub(super) fn tell(&mut self, now: Instant, input: Input) {
        if let Host::Node(node) = &mut self.host {
            node.handle(self.clock.read(now), input);
        }
    }

    pub(super) fn backbone(&mut self, now: Instant, packet: Vec<u8>) {
        if let Host::Router(router) = &mut self.host {
            router.handle(self.clock.read(now), RouterInput::Backbone(packet));
        }
    }

    /// Octets from the host of a co-processor. Without power nobody reads them.
    pub(super) fn serial_in(&mut self, now: Instant, octets: &[u8]) {
        if let Host::CoProcessor(rcp) = &mut self.host {
            rcp.handle(self.clock.read(now), RcpInput::Serial(octets));
        }
    }

    /// What a co-processor wrote to its serial line since the last call.
    pub(super) fn take_serial_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.serial_out)
    }

    /// Whoever drives its radio is outside from its next start on.
    pub(super) const fn give_away(&mut self) {
        self.is_outside = true;
    }

    /// A command of whoever drives its radio from outside.
    pub(super) fn radio_command(&mut self, now: Instant, command: RadioCommand) {
        if let Host::Outside(_) = self.host {
            self.link.handle(now, LinkInput::Command(command));
        }
    }

    /// What its radio told somebody outside since the last call.
    pub(super) fn take_radio_events(&mut self) -> Vec<RadioEvent> {
        match &mut self.host {
            Host::Outside(events) => std::mem::take(events),
            Host::Off
            | Host::Node(_)
            | Host::Router(_)
            | Host::CoProcessor(_)
            | Host::Eavesdropper(_) => Vec::new(),
        }
    }

    /// A write is complete; whether the host that asked for it still runs.
    pub(super) fn stored(&mut self, now: Instant, boot: u32, write: Write) -> bool {
        let interrupted = boot != self.boots || matches!(self.host, Host::Off);
        // Only the first of them was under way.
        let torn = std::mem::replace(&mut self.tear, Tear::Before);
        if interrupted && torn == Tear::Before || self.flash_writes >= self.flash_endurance {
            return false;
        }
        self.flash_writes += 1;
        let ticket = match write {
            Write::Record { ticket, key, octets } => {
                self.flash.insert(key, octets);
                ticket
            }
            Write::Erase(key) => {
                self.flash.remove(&key);
                return false;
            }
        };
        if interrupted {
            return false;
        }
        let own = self.clock.read(now);
        match &mut self.host {
            Host::Node(node) => node.handle(own, Input::Stored { ticket }),
            Host::Router(router) => router.handle(own, RouterInput::Stored { ticket }),
            Host::Off | Host::CoProcessor(_) | Host::Eavesdropper(_) | Host::Outside(_) => {}
        }
        true
    }

    pub(super) fn try_group_record(&mut self, group: GroupId, record: &[u8]) -> Option<bool> {
        match &mut self.host {
            Host::Node(node) => node.try_group_record(group, record),
            Host::Off
            | Host::Router(_)
            | Host::CoProcessor(_)
            | Host::Eavesdropper(_)
            | Host::Outside(_) => None,
        }
    }

    pub(super) fn poll(&mut self, now: Instant) -> Output {
        let own = self.clock.read(now);
        loop {
            let step = match &mut self.host {
                Host::Off => return Output::Wait { until: Instant::FAR_FUTURE },
                Host::Eavesdropper(it) => return eavesdropper_output(it.poll(now)),
                Host::Node(node) => Step::of_node(node.poll(own)),
                Host::Router(router) => Step::of_router(router.poll(own)),
                Host::CoProcessor(rcp) => Step::of_co_processor(rcp.poll(own)),
                Host::Outside(_) => Step::Wait(Instant::FAR_FUTURE),
            };
            match step {
                Step::Radio(command) => self.link.handle(now, LinkInput::Command(command)),
                Step::Store(ticket, record) => return self.write(now, ticket, &record),
                Step::Erase(key) => return self.erase(now, key),
                Step::Out(output) => return output,
                Step::Serial(octets) => {
                    if self.serial_out.len() + octets.len() <= SERIAL_UNREAD_OCTETS_MAX {
                        self.serial_out.extend_from_slice(&octets);
                    }
                }
                Step::Wait(host_until) => match self.link.poll(now) {
                    LinkOutput::Phy(command) => return Output::Phy(command),
                    LinkOutput::Event(event) if self.loses(&event) => {}
                    LinkOutput::Event(event) => match &mut self.host {
                        Host::Node(node) => node.handle(own, Input::Radio(event)),
                        Host::Router(router) => router.handle(own, RouterInput::Radio(event)),
                        Host::CoProcessor(rcp) => rcp.handle(own, RcpInput::Radio(event)),
                        Host::Outside(events) if events.len() < EVENTS_UNREAD_MAX => {
                            events.push(event);
                        }
                        Host::Off | Host::Eavesdropper(_) | Host::Outside(_) => {}
                    },
                    LinkOutput::Wait { until } => {
                        return Output::Wait { until: until.min(self.clock.when(host_until)) };
                    }
                },
            }
        }
    }

    /// Whether what the radio heard is part of a datagram that is lost.
    fn loses(&mut self, event: &RadioEvent) -> bool {
        let loss = self.datagram_loss.as_mut();
        loss.is_some_and(|loss| loss.loses(event))
    }

    fn write(&mut self, now: Instant, ticket: u32, record: &Record) -> Output {
        let write = Write::Record { ticket, key: record.key(), octets: record.emit() };
        self.flash_operation(now, write)
    }

    fn erase(&mut self, now: Instant, key: RecordKey) -> Output {
        self.flash_operation(now, Write::Erase(key))
    }

    /// A flash does one thing after the other, in the order it was asked.
    fn flash_operation(&mut self, now: Instant, write: Write) -> Output {
        let takes = WRITE_MICROS.0 + self.prng.below(WRITE_MICROS.1);
        self.flash_free_at = self.flash_free_at.max(now) + Duration::from_micros(takes);
        Output::Store { boot: self.boots, write, after: self.flash_free_at - now }
    }
}

impl std::fmt::Debug for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {} {:?}", self.id, self.eui64, self.kind)
    }
}

fn eavesdropper_output(output: IntruderOutput) -> Output {
    match output {
        IntruderOutput::Phy(command) => Output::Phy(command),
        IntruderOutput::Tunnel(other, psdu) => Output::Tunnel(other, psdu),
        IntruderOutput::Wait { until } => Output::Wait { until },
    }
}
