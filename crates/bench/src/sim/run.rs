//! The scenario over our medium: who is told what, and when.

use super::scenario::{DATAGRAMS_EACH, END, FIRST, PAYLOAD_OCTETS, PERIOD, is_sink, links};
use lowgate_mac::{LinkInput, LinkMachine, LinkOutput, RadioCommand, RadioEvent};
use lowgate_sim::medium::{Medium, MediumConfig, MediumOutput, StationId};
use lowgate_sim::queue::{Queue, Wakes};
use lowgate_units::{Duration, Instant, Prng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a flash takes for a record.
const WRITE: Duration = Duration::from_millis(2);

/// What a datagram carries.
pub(crate) type Payload = [u8; PAYLOAD_OCTETS];

/// What sits on a link machine.
pub(crate) trait Host {
    fn radio(&mut self, now: Instant, event: RadioEvent);
    /// The time of its next datagram has come. What it cannot send does not arrive.
    fn send(&mut self, now: Instant, payload: &Payload);
    fn stored(&mut self, now: Instant, ticket: u32);
    fn poll(&mut self, now: Instant) -> Wish;
}

pub(crate) enum Wish {
    Radio(RadioCommand),
    Store {
        ticket: u32,
    },
    /// A sink's: a datagram arrived.
    Arrived {
        payload: Payload,
        hops: u8,
    },
    Wait {
        until: Instant,
    },
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Datagrams whose time came.
    pub(crate) due: u64,
    /// Of them, those that arrived; copies do not count.
    pub(crate) delivered: u64,
    /// Of those, on average.
    pub(crate) hops: f64,
}

enum Due {
    Send { station: StationId, left: u32 },
    Stored(StationId, u32),
}

/// Nodes and the air between them.
pub(crate) struct Run<H> {
    now: Instant,
    medium: Medium,
    radios: Vec<LinkMachine>,
    hosts: Vec<H>,
    host_until: Vec<Instant>,
    wakes: Wakes,
    due: Queue<Due>,
    number: u64,
    arrived: BTreeSet<u64>,
    hops: u64,
}

impl<H: Host> Run<H> {
    /// `host` makes the nodes, which all have power from the beginning.
    pub(crate) fn new(nodes: usize, seed: u64, host: impl Fn(StationId, Prng) -> H) -> Self {
        let root = Prng::new(seed);
        let stations = (0..nodes as u32).map(StationId);
        let mut run = Self {
            now: Instant::ZERO,
            medium: Medium::new(MediumConfig::default(), &links(nodes), root.fork(1).next_u64()),
            radios: stations
                .clone()
                .map(|id| LinkMachine::new(root.fork(2).fork(id.0.into())))
                .collect(),
            hosts: stations.clone().map(|id| host(id, root.fork(3).fork(id.0.into()))).collect(),
            host_until: vec![Instant::ZERO; nodes],
            wakes: Wakes::new(nodes),
            due: Queue::new(),
            number: 0,
            arrived: BTreeSet::new(),
            hops: 0,
        };
        let mut chance = root.fork(4);
        for station in stations.filter(|station| !is_sink(*station)) {
            let phase = chance.below(PERIOD.as_micros() as u64);
            let at = Instant::ZERO + FIRST + Duration::from_micros(phase);
            run.due.push(at, Due::Send { station, left: DATAGRAMS_EACH });
        }
        (0..nodes as u32).for_each(|id| run.pump(StationId(id)));
        run
    }

    /// Runs to the end.
    pub(crate) fn finish(mut self) -> Outcome {
        loop {
            let next = self.medium.next_at().min(self.wakes.next_at()).min(self.due.next_at());
            if next >= END {
                break;
            }
            self.now = next;
            // The air first: what a radio heard now may change what its machine wants to do now.
            while self.medium.next_at() <= next {
                self.listen();
            }
            while let Some((_, due)) = self.due.pop(next) {
                self.perform(due);
            }
            while let Some((_, index)) = self.wakes.next().filter(|(at, _)| *at <= next) {
                self.pump(StationId(index as u32));
            }
        }
        let delivered = self.arrived.len() as u64;
        Outcome { due: self.number, delivered, hops: self.hops as f64 / delivered.max(1) as f64 }
    }

    fn listen(&mut self) {
        if let MediumOutput::Phy { station, event, .. } = self.medium.poll(self.now) {
            self.radios[station.index()].handle(self.now, LinkInput::Phy(event));
            self.pump(station);
        }
    }

    fn perform(&mut self, due: Due) {
        let station = match due {
            Due::Send { station, left } => {
                self.send(station);
                if left > 1 {
                    let left = left - 1;
                    self.due.push(self.now + PERIOD, Due::Send { station, left });
                }
                station
            }
            Due::Stored(station, ticket) => {
                self.hosts[station.index()].stored(self.now, ticket);
                station
            }
        };
        self.drain_host(station);
        self.pump(station);
    }

    /// Each datagram carries its number, so that a copy is not taken for another one.
    fn send(&mut self, station: StationId) {
        let mut payload = [0; PAYLOAD_OCTETS];
        payload[..8].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        self.hosts[station.index()].send(self.now, &payload);
    }

    /// A frame for somebody else ends at the radio and costs its host nothing.
    fn pump(&mut self, station: StationId) {
        let index = station.index();
        if self.host_until[index] <= self.now {
            self.drain_host(station);
        }
        loop {
            match self.radios[index].poll(self.now) {
                LinkOutput::Phy(command) => self.medium.perform(self.now, station, command),
                LinkOutput::Event(event) => {
                    self.hosts[index].radio(self.now, event);
                    self.drain_host(station);
                }
                LinkOutput::Wait { until } => {
                    return self.wakes.set(index, until.min(self.host_until[index]));
                }
            }
        }
    }

    fn drain_host(&mut self, station: StationId) {
        let index = station.index();
        loop {
            match self.hosts[index].poll(self.now) {
                Wish::Radio(command) => {
                    self.radios[index].handle(self.now, LinkInput::Command(command));
                }
                Wish::Store { ticket } => {
                    self.due.push(self.now + WRITE, Due::Stored(station, ticket));
                }
                Wish::Arrived { payload, hops } => {
                    let [a, b, c, d, e, f, g, h, ..] = payload;
                    if self.arrived.insert(u64::from_be_bytes([a, b, c, d, e, f, g, h])) {
                        self.hops += u64::from(hops);
                    }
                }
                Wish::Wait { until } => {
                    self.host_until[index] = until;
                    return;
                }
            }
        }
    }
}
