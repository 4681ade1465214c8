//! The border router's machine.

use crate::backbone::{Datagram, datagram, packet};
use lowgate_access::admitted::{ADMITTED_PATH, AdmittedSet, Removed};
use lowgate_access::{JOINER_PORT, MANAGER_PORT};
use lowgate_coap::{Code, Method, Request, Response};
use lowgate_mac::{RadioCommand, RadioEvent};
use lowgate_net::Packet;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_node::{Event, Input as NodeInput, Node, NodeConfig, Output as NodeOutput};
use lowgate_units::{Entropy, Eui64, Instant, Ipv6Addr, Prng, ShortAddr};
use std::collections::{BTreeMap, VecDeque};

/// Members that one border router registers.
pub const MEMBERS_MAX: usize = 1024;

/// A border router as it is set up.
#[derive(Clone)]
pub struct RouterConfig {
    /// The device that it is.
    pub node: NodeConfig,
    /// Its own address on the backbone.
    pub backbone_addr: Ipv6Addr,
    /// The domain manager's.
    pub manager_addr: Ipv6Addr,
}

/// What a border router is told.
#[derive(Debug)]
pub enum Input {
    /// It has power. Always the first.
    Start,
    /// From the radio.
    Radio(RadioEvent),
    /// Storage holds the record of this ticket.
    Stored {
        /// As given.
        ticket: u32,
    },
    /// An IPv6 packet arrived on the backbone.
    Backbone(Vec<u8>),
}

/// What a border router wants.
#[derive(Debug)]
pub enum Output {
    /// For the radio.
    Radio(RadioCommand),
    /// Write a record, then say [`Input::Stored`].
    Store {
        /// Comes back.
        ticket: u32,
        /// The record.
        record: Record,
    },
    /// Delete a record.
    Erase(RecordKey),
    /// Send an IPv6 packet on the backbone.
    Backbone(Vec<u8>),
    /// Something happened.
    Event(Event),
    /// Nothing more until then.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// A border router. Feed it with [`Router::handle`], drain it with [`Router::poll`].
pub struct Router {
    node: Node,
    backbone_addr: Ipv6Addr,
    manager_addr: Ipv6Addr,
    members: BTreeMap<Eui64, ShortAddr>,
    /// The newest revision of the domain that was heard of.
    revision: u64,
    outputs: VecDeque<Output>,
}

impl Router {
    /// A border router as it wakes up.
    pub fn new(
        now: Instant,
        config: RouterConfig,
        records: impl IntoIterator<Item = Record>,
        entropy: &mut dyn Entropy,
        prng: Prng,
    ) -> Self {
        Self {
            node: Node::new(now, config.node, records, entropy, prng),
            backbone_addr: config.backbone_addr,
            manager_addr: config.manager_addr,
            members: BTreeMap::new(),
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The node within.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Whom the manager admitted, as far as it told.
    pub const fn members(&self) -> &BTreeMap<Eui64, ShortAddr> {
        &self.members
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Start => self.node.handle(now, NodeInput::Start),
            Input::Radio(event) => self.node.handle(now, NodeInput::Radio(event)),
            Input::Stored { ticket } => self.node.handle(now, NodeInput::Stored { ticket }),
            Input::Backbone(octets) => self.backbone(now, &octets),
        }
    }

    /// The next wish.
    pub fn poll(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            match self.node.poll(now) {
                NodeOutput::Radio(command) => return Output::Radio(command),
                NodeOutput::Store { ticket, record } => return Output::Store { ticket, record },
                NodeOutput::Erase(key) => return Output::Erase(key),
                NodeOutput::Event(event) => return Output::Event(event),
                NodeOutput::Wait { until } => return Output::Wait { until },
                NodeOutput::ToBackbone(packet) => return Output::Backbone(packet.to_vec()),
                NodeOutput::ToManager(octets) => return Output::Backbone(self.to_manager(&octets)),
                NodeOutput::Managed { exchange, request } => {
                    let response = Response::new(self.managed(now, &request));
                    self.node.handle(now, NodeInput::Managed { exchange, response });
                }
            }
        }
    }

    fn to_manager(&self, payload: &[u8]) -> Vec<u8> {
        packet(&Datagram {
            src: self.backbone_addr,
            dst: self.manager_addr,
            src_port: JOINER_PORT,
            dst_port: MANAGER_PORT,
            payload,
        })
    }

    fn backbone(&mut self, now: Instant, octets: &[u8]) {
        let own = datagram(octets).filter(|datagram| datagram.dst == self.backbone_addr);
        if let Some(datagram) = own {
            let from_manager = datagram.src == self.manager_addr
                && (datagram.src_port, datagram.dst_port) == (MANAGER_PORT, JOINER_PORT);
            if let (true, Ok(octets)) = (from_manager, heapless::Vec::from_slice(datagram.payload))
            {
                self.node.handle(now, NodeInput::FromManager(octets));
            }
        } else if let Ok(packet) = Packet::from_slice(octets) {
            // What is not for the mesh's prefix, the node's stack drops by name.
            self.node.handle(now, NodeInput::FromBackbone(packet));
        }
    }

    /// What the manager asks, which its session authenticated; the CoAP code that answers.
    fn managed(&mut self, now: Instant, request: &Request) -> Code {
        match (request.method, request.path.is(ADMITTED_PATH)) {
            (Method::Put, true) => match AdmittedSet::parse(&request.payload) {
                Ok(set) => self.admitted(now, &set),
                Err(_) => Code::BAD_REQUEST,
            },
            (Method::Get | Method::Post | Method::Delete, true) => Code::METHOD_NOT_ALLOWED,
            (_, false) => Code::NOT_FOUND,
        }
    }

    fn admitted(&mut self, now: Instant, set: &AdmittedSet) -> Code {
        // A request that was under way for long must not bring back whom a later one expelled.
        if set.revision < self.revision {
            return Code::CONFLICT;
        }
        self.revision = set.revision;
        let gone: Vec<Eui64> = match &set.removed {
            Removed::Listed(listed) => listed.to_vec(),
            Removed::AllOthers => {
                let stays = |eui64: &Eui64| set.added.iter().any(|(added, _)| added == eui64);
                self.members.keys().filter(|eui64| !stays(eui64)).copied().collect()
            }
        };
        for eui64 in gone {
            self.members.remove(&eui64);
            self.node.handle(now, NodeInput::Expelled { eui64 });
        }
        for (eui64, short) in &set.added {
            if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(eui64) {
                return Code::SERVICE_UNAVAILABLE;
            }
            self.members.insert(*eui64, *short);
            self.node.handle(now, NodeInput::Admitted { eui64: *eui64, short: *short });
        }
        Code::CHANGED
    }
}
