//! Border router and domain manager, or one of them: what each wishes goes to where it belongs.
//!
//! **Invariant:** decides nothing and does no input or output; after each input it is drained until
//! everybody waits. Between border router and manager nothing passes here: their datagrams leave and
//! arrive, also when both are in one process.

use super::answers::{self, Waiting};
use super::chance::Chance;
use super::control::{Answer, Ask, WAITING_MAX};
use super::edge::COAP_PORT;
use super::input::Input;
use super::ledger::Ledger;
use super::storage::Job;
use lowgate_access::{JOINER_PORT, MANAGER_PORT};
use lowgate_manager::{Manager, ManagerInput, ManagerOutput, Reply, Request, RequestId};
use lowgate_node::Event;
use lowgate_router::co_processor::{CoProcessor, CoProcessorInput, CoProcessorOutput};
use lowgate_router::{
    Datagram, Input as RouterInput, Output as RouterOutput, Router, datagram, packet,
};
use lowgate_units::{Instant, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};

/// Stands for the border router's own address in packets that never leave the process (RFC 6666's
/// discard-only prefix: nobody has it).
pub(super) const ROUTER_ADDR: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

/// Something for the world outside.
pub(super) enum Wish {
    /// Octets for the serial line.
    Serial(Vec<u8>),
    /// Close the serial line and open it again.
    Reopen,
    /// A packet of the mesh for the building's network.
    Tun(Vec<u8>),
    /// The mesh has this prefix.
    Route([u8; 8]),
    /// The border router sends to the groups at these addresses.
    Groups(BTreeSet<Ipv6Addr>),
    /// A datagram of the manager's.
    FromManager { src_port: u16, dst: Ipv6Addr, dst_port: u16, octets: Vec<u8> },
    /// A datagram of the border router's own, for the manager.
    FromRouter { octets: Vec<u8> },
    /// For the disk.
    Store(Job),
    /// What a question is answered.
    Answer { question: u64, answer: Answer },
    /// A line for people.
    Tell(String),
}

/// A border router and its radio.
pub(super) struct BorderRouter {
    pub(super) co_processor: CoProcessor,
    pub(super) router: Router,
    pub(super) manager_addr: Ipv6Addr,
}

/// What runs in this process.
pub(super) struct Core {
    border_router: Option<BorderRouter>,
    manager: Option<Manager>,
    ledger: Ledger,
    /// The prefix that was wished a route.
    routed: Option<[u8; 8]>,
    /// The groups that were told of.
    groups: BTreeSet<Ipv6Addr>,
    chance: Chance,
    /// Questions that the manager has, by their numbers.
    waiting: BTreeMap<RequestId, (Waiting, u64)>,
    next_request: u64,
    wishes: Vec<Wish>,
}

impl Core {
    pub(super) fn new(
        border_router: Option<BorderRouter>,
        manager: Option<Manager>,
        chance: Chance,
    ) -> Self {
        Self {
            border_router,
            manager,
            ledger: Ledger::default(),
            routed: None,
            groups: BTreeSet::new(),
            chance,
            waiting: BTreeMap::new(),
            next_request: 0,
            wishes: Vec::new(),
        }
    }

    pub(super) const fn border_router(&self) -> Option<&BorderRouter> {
        self.border_router.as_ref()
    }

    pub(super) const fn manager(&self) -> Option<&Manager> {
        self.manager.as_ref()
    }

    pub(super) const fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// Something happens; drain with [`Self::drain`] afterwards.
    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Start => self.tell_router(now, RouterInput::Start),
            Input::Wake => self.tell_manager(now, ManagerInput::Wake),
            Input::LineOpened => {
                self.wishes.push(Wish::Tell("serial line: open".into()));
                self.line(now, CoProcessorInput::Opened);
            }
            Input::LineClosed { why } => {
                self.wishes.push(Wish::Tell(format!("serial line: {why}")));
                self.line(now, CoProcessorInput::Closed);
            }
            Input::LineOctets(octets) => self.line(now, CoProcessorInput::Octets(&octets)),
            Input::Packet(packet) => self.tell_router(now, RouterInput::Backbone(packet)),
            Input::ForManager { from: (src, src_port), dst_port, octets } => {
                let octets = &octets;
                let input = ManagerInput::Datagram { src, src_port, dst_port, octets };
                self.tell_manager(now, input);
            }
            Input::ForRouter { from, octets } => self.for_router(now, from, &octets),
            Input::ForGroup { from, group, octets } => self.for_group(now, from, group, &octets),
            Input::Trouble { line } => self.wishes.push(Wish::Tell(line)),
            Input::Committed { revision } => {
                self.tell_manager(now, ManagerInput::Committed { revision });
            }
            Input::Stored { ticket } => self.tell_router(now, RouterInput::Stored { ticket }),
            Input::Asked { question, ask } => self.ask(now, question, ask),
        }
    }

    fn line(&mut self, now: Instant, input: CoProcessorInput<'_>) {
        if let Some(it) = &mut self.border_router {
            it.co_processor.handle(now, input);
        }
    }

    /// From the building's network to a group.
    fn for_group(
        &mut self,
        now: Instant,
        (src, src_port): (Ipv6Addr, u16),
        dst: Ipv6Addr,
        payload: &[u8],
    ) {
        let dst_port = COAP_PORT;
        let packet = packet(&Datagram { src, dst, src_port, dst_port, payload });
        self.tell_router(now, RouterInput::Backbone(packet));
    }

    /// The manager's answer to the border router itself, if it is the manager's.
    fn for_router(&mut self, now: Instant, from: (Ipv6Addr, u16), octets: &[u8]) {
        let Some(it) = &self.border_router else { return };
        let src = it.manager_addr;
        if from == (src, MANAGER_PORT) {
            let (dst, src_port, dst_port) = (ROUTER_ADDR, MANAGER_PORT, JOINER_PORT);
            let packet = packet(&Datagram { src, dst, src_port, dst_port, payload: octets });
            self.tell_router(now, RouterInput::Backbone(packet));
        }
    }

    fn tell_router(&mut self, now: Instant, input: RouterInput) {
        if let Some(it) = &mut self.border_router {
            it.router.handle(now, input);
        }
    }

    fn tell_manager(&mut self, now: Instant, input: ManagerInput<'_>) {
        if let Some(manager) = &mut self.manager {
            manager.handle(now, input, &mut self.chance);
        }
    }

    /// A request of the daemon's own; its reply is nobody's.
    pub(super) fn request(&mut self, now: Instant, request: Request) {
        let id = self.next_id();
        if let Some(manager) = &mut self.manager {
            manager.request(now, id, request, &mut self.chance);
        }
    }

    const fn next_id(&mut self) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        id
    }

    /// A command asks.
    fn ask(&mut self, now: Instant, question: u64, ask: Ask) {
        let router = self.border_router.as_ref().map(|it| &it.router);
        let asked = match answers::of_router(now, &ask, router, self.manager.is_some()) {
            Some(at_once) => Err(at_once),
            None if self.waiting.len() >= WAITING_MAX => {
                Err(Answer::Refused(vec!["too many questions at once".into()]))
            }
            None => answers::request(now, ask).map_err(Answer::Refused),
        };
        match (asked, &mut self.manager) {
            (Ok((request, waiting)), Some(manager)) => {
                let id = RequestId(self.next_request);
                self.next_request += 1;
                self.waiting.insert(id, (waiting, question));
                manager.request(now, id, request, &mut self.chance);
            }
            (Ok(_), None) => self.answer(question, answers::no_manager()),
            (Err(at_once), _) => self.answer(question, at_once),
        }
    }

    fn answer(&mut self, question: u64, answer: Answer) {
        self.wishes.push(Wish::Answer { question, answer });
    }

    fn replied(&mut self, now: Instant, id: RequestId, reply: Reply) {
        let Some((waiting, question)) = self.waiting.remove(&id) else { return };
        let (Some(manager), ledger) = (&self.manager, &self.ledger) else { return };
        let router = self.border_router.as_ref().map(|it| &it.router);
        let answer = answers::answer(now, &waiting, reply, manager, router, ledger);
        self.answer(question, answer);
    }

    /// Drains everybody. Wishes come in the order they were made; then the time of the next one.
    pub(super) fn drain(&mut self, now: Instant) -> (Vec<Wish>, Instant) {
        loop {
            let mut until = Instant::FAR_FUTURE;
            let moved =
                self.drain_border_router(now, &mut until) | self.drain_manager(now, &mut until);
            if !moved {
                return (std::mem::take(&mut self.wishes), until);
            }
        }
    }

    fn drain_border_router(&mut self, now: Instant, until: &mut Instant) -> bool {
        let Some(it) = &mut self.border_router else { return false };
        let moved = drain_co_processor(it, now, &mut self.wishes, until)
            | drain_router(it, now, &mut self.wishes, until);
        let prefix = it.router.node().net().prefix();
        if prefix != self.routed {
            self.wishes.extend(prefix.map(Wish::Route));
            self.routed = prefix.or(self.routed);
        }
        let groups: BTreeSet<Ipv6Addr> =
            it.router.node().commanded().map(|(_, addr)| addr).collect();
        if groups != self.groups {
            self.wishes.push(Wish::Groups(groups.clone()));
            self.groups = groups;
        }
        moved
    }

    fn drain_manager(&mut self, now: Instant, until: &mut Instant) -> bool {
        let mut moved = false;
        while let Some(manager) = &mut self.manager {
            match manager.poll(now) {
                ManagerOutput::Datagram { dst, dst_port, src_port, octets } => {
                    self.wishes.push(Wish::FromManager { src_port, dst, dst_port, octets });
                }
                ManagerOutput::Commit(batch) => self.wishes.push(Wish::Store(Job::Commit(batch))),
                ManagerOutput::Reply { id, reply } => self.replied(now, id, reply),
                ManagerOutput::Event(event) => {
                    self.ledger.note(now, manager.domain(), &event);
                    self.wishes.extend(answers::manager_line(&event).map(Wish::Tell));
                }
                ManagerOutput::KeyLog(_) => {} // nobody asked for it
                ManagerOutput::Wait { until: next } => {
                    *until = next.min(*until);
                    break;
                }
            }
            moved = true;
        }
        moved
    }
}

fn drain_co_processor(
    it: &mut BorderRouter,
    now: Instant,
    wishes: &mut Vec<Wish>,
    until: &mut Instant,
) -> bool {
    let mut moved = false;
    loop {
        match it.co_processor.poll(now) {
            CoProcessorOutput::Octets(octets) => wishes.push(Wish::Serial(octets)),
            CoProcessorOutput::Event(event) => it.router.handle(now, RouterInput::Radio(event)),
            CoProcessorOutput::Reopen => wishes.push(Wish::Reopen),
            CoProcessorOutput::Told(event) => wishes.push(Wish::Tell(event.to_string())),
            CoProcessorOutput::Wait { until: next } => {
                *until = next.min(*until);
                return moved;
            }
        }
        moved = true;
    }
}

fn drain_router(
    it: &mut BorderRouter,
    now: Instant,
    wishes: &mut Vec<Wish>,
    until: &mut Instant,
) -> bool {
    let mut moved = false;
    loop {
        match it.router.poll(now) {
            RouterOutput::Radio(command) => {
                it.co_processor.handle(now, CoProcessorInput::Command(command));
            }
            RouterOutput::Store { ticket, record } => {
                let (key, octets) = (record.key(), record.emit());
                wishes.push(Wish::Store(Job::Put { ticket, key, octets }));
            }
            RouterOutput::Erase(key) => wishes.push(Wish::Store(Job::Erase(key))),
            RouterOutput::Backbone(packet) => wishes.push(outward(packet)),
            RouterOutput::Event(event) => wishes.extend(told(it, &event).map(Wish::Tell)),
            RouterOutput::Wait { until: next } => {
                *until = next.min(*until);
                return moved;
            }
        }
        moved = true;
    }
}

/// The border router's own datagrams leave by a socket.
fn outward(packet: Vec<u8>) -> Wish {
    match datagram(&packet).filter(|datagram| datagram.src == ROUTER_ADDR) {
        Some(datagram) => Wish::FromRouter { octets: datagram.payload.to_vec() },
        None => Wish::Tun(packet),
    }
}

fn told(it: &BorderRouter, event: &Event) -> Option<String> {
    answers::router_line(event, it.manager_addr)
}
