//! The border router's machine.

use crate::backbone::{Datagram, datagram, packet};
use crate::edge::Edge;
use crate::filter::{COAP_PORT, Filter, Inward};
use lowgate_access::admitted::{ADMITTED_PATH, AdmittedSet, Removed};
use lowgate_access::group_command::GROUP_PATH;
use lowgate_access::joiner::JoinerEvent;
use lowgate_access::{ALL_NODES, JOINER_PORT, MANAGER_PORT, TREE_PATH, TREE_PORT};
use lowgate_coap::{Code, Method, Request, Response};
use lowgate_mac::{RadioCommand, RadioEvent};
use lowgate_net::{NetEvent, Packet, SendRefused, UdpSend};
use lowgate_node::flash::{Record, RecordKey};
use lowgate_node::{
    CommandRefused, Event, GroupId, Input as NodeInput, Node, NodeConfig, Output as NodeOutput,
};
use lowgate_units::{Entropy, Eui64, Instant, Ipv6Addr, List, Prng, ShortAddr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Members that one border router registers.
pub const MEMBERS_MAX: usize = 1024;
/// Of the tickets of what is to be stored: the border router's own, not its node's. Nothing waits for them.
const OWN_TICKET: u32 = 1 << 31;

/// A border router as it is set up.
#[derive(Clone)]
pub struct RouterConfig {
    /// The device that it is.
    pub node: NodeConfig,
    /// Its own address on the backbone.
    pub backbone_addr: Ipv6Addr,
    /// The domain manager's.
    pub manager_addr: Ipv6Addr,
    /// What the building's network may begin.
    pub inward: Inward,
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
    filter: Filter,
    edge: Edge,
    backbone_addr: Ipv6Addr,
    manager_addr: Ipv6Addr,
    members: BTreeMap<Eui64, ShortAddr>,
    /// Of them, those that the manager named in its present session.
    named: BTreeSet<Eui64>,
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
        let records: Vec<Record> = records.into_iter().collect();
        let member = |record: &Record| match record {
            Record::Member { short, eui64 } => Some((*eui64, *short)),
            _ => None,
        };
        Self {
            members: records.iter().filter_map(member).take(MEMBERS_MAX).collect(),
            edge: Edge::new(prng.fork(11)),
            node: Node::new(now, config.node, records, entropy, prng),
            filter: Filter::new(now, config.inward, config.manager_addr),
            backbone_addr: config.backbone_addr,
            manager_addr: config.manager_addr,
            named: BTreeSet::new(),
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The node within.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// What kept packets of the building's network out.
    pub const fn filter(&self) -> &Filter {
        &self.filter
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
            Input::Stored { ticket: OWN_TICKET } => {}
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
                NodeOutput::Event(event) => {
                    match event {
                        // A manager that lost its latest decisions counts from an older one.
                        Event::Join(JoinerEvent::Authenticated(_)) => {
                            self.named.clear();
                            self.revision = 0;
                        }
                        // A root that attaches has an empty registry; the manager may be away.
                        Event::Net(NetEvent::Attached { .. }) => self.register_members(now),
                        _ => {}
                    }
                    return Output::Event(event);
                }
                NodeOutput::Wait { until } => return Output::Wait { until },
                NodeOutput::ToBackbone(packet) => {
                    self.filter.outward(now, &packet);
                    return Output::Backbone(packet.to_vec());
                }
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
        let dst = destination(octets);
        if dst == Some(self.backbone_addr) {
            self.own_datagram(now, octets);
        } else if dst.is_some_and(|dst| dst.is_multicast()) {
            self.multicast(now, octets);
        } else if self.filter.inward(now, octets).is_ok()
            && let Ok(packet) = Packet::from_slice(octets)
        {
            // What is not for the mesh's prefix, the node's stack drops by name.
            self.node.handle(now, NodeInput::FromBackbone(packet));
        }
    }

    /// The border router's own session with the domain manager, and nothing else.
    fn own_datagram(&mut self, now: Instant, octets: &[u8]) {
        let from_manager = datagram(octets).filter(|datagram| {
            datagram.src == self.manager_addr
                && (datagram.src_port, datagram.dst_port) == (MANAGER_PORT, JOINER_PORT)
        });
        if let Some(datagram) = from_manager
            && let Ok(octets) = List::from_slice(datagram.payload)
        {
            self.node.handle(now, NodeInput::FromManager(octets));
        }
    }

    /// A packet for a group enters the mesh under the group's keys or not at all.
    fn multicast(&mut self, now: Instant, octets: &[u8]) {
        let Some(command) = datagram(octets).filter(|it| it.dst_port == COAP_PORT) else { return };
        let group = self.node.commanded().find(|(_, addr)| *addr == command.dst);
        let Some((group, _)) = group else { return };
        if self.filter.inward(now, octets).is_ok() {
            let asker = (command.src, command.src_port, group);
            let command = self.edge.command(now, asker, command.payload);
            if let Some((group, request)) = command {
                // Refused, it is an event of the node's; nobody is told (RFC 7252 section 8.2).
                let _ = self.node.command(now, group, &request);
            }
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
            (Method::Post, false) if request.path.is(TREE_PATH) => {
                self.flood_tree(now, &request.payload)
            }
            (_, false) if request.path.segments().next() == Some(GROUP_PATH) => {
                self.group_command(now, request)
            }
            (_, false) => Code::NOT_FOUND,
        }
    }

    fn group_command(&mut self, now: Instant, request: &Request) -> Code {
        let id = request.path.segments().nth(1).and_then(|id| id.parse().ok());
        let Some(id) = id.map(GroupId) else { return Code::NOT_FOUND };
        if request.method == Method::Get {
            return Code::METHOD_NOT_ALLOWED;
        }
        let command = Request { path: request.path.after(2), ..request.clone() };
        match self.node.command(now, id, &command) {
            Ok(()) => Code::CHANGED,
            Err(CommandRefused::NotASender) => Code::NOT_FOUND,
            Err(CommandRefused::TooLong) => Code::REQUEST_ENTITY_TOO_LARGE,
            Err(CommandRefused::Busy) => Code::SERVICE_UNAVAILABLE,
        }
    }

    /// The manager signed it: nobody here need understand it.
    fn flood_tree(&mut self, now: Instant, payload: &[u8]) -> Code {
        let (dst, src_port, dst_port) = (ALL_NODES, TREE_PORT, TREE_PORT);
        let datagram = UdpSend { dst, src_port, dst_port, secured: true, payload };
        match self.node.send(now, datagram) {
            Ok(()) => Code::CHANGED,
            Err(SendRefused::TooLarge) => Code::REQUEST_ENTITY_TOO_LARGE,
            Err(_) => Code::SERVICE_UNAVAILABLE,
        }
    }

    fn admitted(&mut self, now: Instant, set: &AdmittedSet) -> Code {
        // A request that was under way for long must not bring back whom a later one expelled.
        if set.revision < self.revision {
            return Code::CONFLICT;
        }
        self.revision = set.revision;
        self.named.extend(set.added.iter().map(|(eui64, _)| *eui64));
        let gone: Vec<Eui64> = match &set.removed {
            Removed::Listed(listed) => listed.to_vec(),
            Removed::AllOthers => {
                self.members.keys().filter(|eui64| !self.named.contains(eui64)).copied().collect()
            }
        };
        // First: a newcomer may have the address of one of them.
        for eui64 in gone {
            if let Some(short) = self.members.remove(&eui64) {
                self.outputs.push_back(Output::Erase(RecordKey::Member(short)));
            }
            self.named.remove(&eui64);
            self.node.handle(now, NodeInput::Expelled { eui64 });
        }
        for (eui64, short) in &set.added {
            if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(eui64) {
                return Code::SERVICE_UNAVAILABLE;
            }
            self.remember(*eui64, *short);
            self.node.handle(now, NodeInput::Admitted { eui64: *eui64, short: *short });
        }
        Code::CHANGED
    }

    /// Confirmed before it is stored: should it be lost, so is the session, and the next one tells it again.
    /// What storage holds serves while the manager is away.
    fn remember(&mut self, eui64: Eui64, short: ShortAddr) {
        let before = self.members.insert(eui64, short);
        if before != Some(short) {
            let old = before.map(|short| Output::Erase(RecordKey::Member(short)));
            self.outputs.extend(old);
            let record = Record::Member { short, eui64 };
            self.outputs.push_back(Output::Store { ticket: OWN_TICKET, record });
        }
    }

    fn register_members(&mut self, now: Instant) {
        for (eui64, short) in &self.members {
            self.node.handle(now, NodeInput::Admitted { eui64: *eui64, short: *short });
        }
    }
}

/// Of an IPv6 packet, as long as nobody relies on it.
fn destination(packet: &[u8]) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_access::admitted::ADMITTED_ENTRIES_MAX;
    use lowgate_crypto::SoftCcm;
    use lowgate_dtls::{Psk, Retransmission};
    use lowgate_node::Kind;
    use lowgate_units::{Channel, SeededEntropy};

    fn router() -> Router {
        router_with([])
    }

    fn router_with(records: impl IntoIterator<Item = Record>) -> Router {
        let node = NodeConfig {
            eui64: Eui64([9; 8]),
            identity: [9; 8].into_iter().collect(),
            psk: Psk::new(&[1; 16]).expect("16 octets"),
            kind: Kind::BorderRouter,
            groups: heapless::Vec::new(),
            channels: Channel::new(15).into_iter().collect(),
            ccm: &SoftCcm,
            retransmission: Retransmission::USUAL,
            key_trees: false,
            pairs: false,
            key_log: false,
        };
        let (backbone_addr, manager_addr) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let inward = Inward::ALL;
        let config = RouterConfig { node, backbone_addr, manager_addr, inward };
        Router::new(Instant::ZERO, config, records, &mut SeededEntropy::new(1), Prng::new(1))
    }

    /// What its storage holds of members after all that it wished.
    fn stored(router: &mut Router, mut flash: BTreeMap<RecordKey, Record>) -> Vec<Record> {
        loop {
            match router.poll(Instant::ZERO) {
                Output::Store { ticket, record } => {
                    flash.insert(record.key(), record);
                    router.handle(Instant::ZERO, Input::Stored { ticket });
                }
                Output::Erase(key) => drop(flash.remove(&key)),
                Output::Wait { .. } => return flash.into_values().collect(),
                Output::Radio(_) | Output::Backbone(_) | Output::Event(_) => {}
            }
        }
    }

    fn set(revision: u64, added: std::ops::Range<u16>, removed: Removed) -> AdmittedSet {
        let entry = |n: u16| (eui64(n), ShortAddr::new(n).expect("small"));
        AdmittedSet { revision, added: added.map(entry).collect(), removed }
    }

    fn eui64(n: u16) -> Eui64 {
        let [high, low] = n.to_be_bytes();
        Eui64([2, 0, 0, 0, 0, 0, high, low])
    }

    #[test]
    fn a_new_session_tells_all_in_several_bodies_and_nobody_is_lost_between() {
        let (mut router, now) = (router(), Instant::ZERO);
        let most = ADMITTED_ENTRIES_MAX as u16;
        let none = || Removed::Listed(heapless::Vec::new());
        assert_eq!(router.admitted(now, &set(5, 1..most + 1, none())), Code::CHANGED);
        assert_eq!(router.admitted(now, &set(5, 100..101, Removed::AllOthers)), Code::CHANGED);
        assert_eq!(router.members().len(), usize::from(most) + 1);
        // Another session; meanwhile number 100 was expelled.
        router.named.clear();
        assert_eq!(router.admitted(now, &set(6, 1..3, none())), Code::CHANGED);
        assert_eq!(router.members().len(), usize::from(most) + 1, "nobody goes before the end");
        assert_eq!(router.admitted(now, &set(6, 3..most + 1, Removed::AllOthers)), Code::CHANGED);
        assert!(!router.members().contains_key(&eui64(100)));
        assert_eq!(router.members().len(), usize::from(most));
    }

    #[test]
    fn members_outlive_the_process() {
        let (mut router, now) = (router(), Instant::ZERO);
        router.admitted(now, &set(1, 1..5, Removed::AllOthers));
        let gone = Removed::Listed([eui64(2)].into_iter().collect());
        router.admitted(now, &set(2, 7..8, gone));
        let again = router_with(stored(&mut router, BTreeMap::new()));
        assert_eq!(again.members(), router.members());
        assert_eq!(again.members().keys().copied().collect::<Vec<_>>(), [1, 3, 4, 7].map(eui64));
    }

    #[test]
    fn a_newcomer_may_have_the_address_of_who_went() {
        let (mut router, now) = (router(), Instant::ZERO);
        router.admitted(now, &set(1, 1..2, Removed::AllOthers));
        router.named.clear();
        let added = [(eui64(9), ShortAddr::new(1).expect("small"))].into_iter().collect();
        let other = AdmittedSet { revision: 2, added, removed: Removed::AllOthers };
        router.admitted(now, &other);
        let again = router_with(stored(&mut router, BTreeMap::new()));
        assert_eq!(again.members().keys().copied().collect::<Vec<_>>(), [eui64(9)]);
    }

    #[test]
    fn who_has_another_address_has_one_record() {
        let (mut router, now) = (router(), Instant::ZERO);
        router.admitted(now, &set(1, 1..2, Removed::AllOthers));
        let added = [(eui64(1), ShortAddr::new(9).expect("small"))].into_iter().collect();
        let moved = AdmittedSet { revision: 2, added, removed: Removed::AllOthers };
        router.admitted(now, &moved);
        assert_eq!(stored(&mut router, BTreeMap::new()).len(), 1);
    }

    #[test]
    fn an_old_set_brings_nobody_back() {
        let (mut router, now) = (router(), Instant::ZERO);
        let gone = Removed::Listed([eui64(1)].into_iter().collect());
        router.admitted(now, &set(7, 1..3, Removed::AllOthers));
        router.admitted(now, &set(8, 0..0, gone));
        assert_eq!(router.admitted(now, &set(7, 1..3, Removed::AllOthers)), Code::CONFLICT);
        assert!(!router.members().contains_key(&eui64(1)));
    }
}
