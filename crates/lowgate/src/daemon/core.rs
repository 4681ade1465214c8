//! Co-processor, border router and domain manager, joined: what each wishes goes to where it belongs.
//!
//! **Invariant:** decides nothing and does no input or output; after each input it is drained until
//! everybody waits.

use super::answers::{self, Waiting};
use super::chance::OsEntropy;
use super::control::{Answer, Ask, WAITING_MAX};
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
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Something for the world outside.
pub(super) enum Wish {
    /// Octets for the serial line.
    Serial(Vec<u8>),
    /// Close the serial line and open it again.
    Reopen,
    /// A packet of the mesh for the building's network.
    Tun(Vec<u8>),
    /// A datagram of the manager's.
    FromManager { src_port: u16, dst: Ipv6Addr, dst_port: u16, octets: Vec<u8> },
    /// A datagram of the border router's own, for the manager.
    FromRouter { octets: Vec<u8> },
    /// For the disk.
    Store(Job),
    /// A line for people.
    Tell(String),
}

/// The three machines.
pub(super) struct Core {
    co_processor: CoProcessor,
    router: Router,
    manager: Manager,
    ledger: Ledger,
    router_addr: Ipv6Addr,
    waiting: BTreeMap<RequestId, (Waiting, oneshot::Sender<Answer>)>,
    next_request: u64,
    wishes: Vec<Wish>,
}

impl Core {
    pub(super) fn new(
        co_processor: CoProcessor,
        router: Router,
        manager: Manager,
        router_addr: Ipv6Addr,
    ) -> Self {
        let (waiting, wishes) = (BTreeMap::new(), Vec::new());
        let ledger = Ledger::default();
        Self {
            co_processor,
            router,
            manager,
            ledger,
            router_addr,
            waiting,
            next_request: 0,
            wishes,
        }
    }

    pub(super) const fn manager(&self) -> &Manager {
        &self.manager
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.router.handle(now, RouterInput::Start);
    }

    pub(super) fn line(&mut self, now: Instant, input: CoProcessorInput<'_>) {
        self.co_processor.handle(now, input);
    }

    pub(super) fn stored(&mut self, now: Instant, ticket: u32) {
        self.router.handle(now, RouterInput::Stored { ticket });
    }

    pub(super) fn committed(&mut self, now: Instant, revision: u64) {
        self.tell_manager(now, ManagerInput::Committed { revision });
    }

    /// From the building's network.
    pub(super) fn packet(&mut self, now: Instant, packet: &[u8]) {
        self.router.handle(now, RouterInput::Backbone(packet.to_vec()));
    }

    /// The manager's answer to the border router itself.
    pub(super) fn for_router(&mut self, now: Instant, src: Ipv6Addr, octets: &[u8]) {
        let (dst, src_port, dst_port) = (self.router_addr, MANAGER_PORT, JOINER_PORT);
        let packet = packet(&Datagram { src, dst, src_port, dst_port, payload: octets });
        self.router.handle(now, RouterInput::Backbone(packet));
    }

    pub(super) fn for_manager(
        &mut self,
        now: Instant,
        (src, src_port): (Ipv6Addr, u16),
        dst_port: u16,
        octets: &[u8],
    ) {
        self.tell_manager(now, ManagerInput::Datagram { src, src_port, dst_port, octets });
    }

    fn tell_manager(&mut self, now: Instant, input: ManagerInput<'_>) {
        self.manager.handle(now, input, &mut OsEntropy);
    }

    /// A request of the daemon's own.
    pub(super) fn request(&mut self, now: Instant, request: Request) {
        let id = self.next_id();
        self.manager.request(now, id, request, &mut OsEntropy);
    }

    fn next_id(&mut self) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        id
    }

    /// A command asks.
    pub(super) fn ask(&mut self, now: Instant, ask: Ask, answer: oneshot::Sender<Answer>) {
        if self.waiting.len() >= WAITING_MAX {
            let _ = answer.send(Answer::Refused(vec!["too many questions at once".into()]));
            return;
        }
        let (request, waiting) = match answers::request(now, ask) {
            Ok(both) => both,
            Err(faults) => {
                let _ = answer.send(Answer::Refused(faults));
                return;
            }
        };
        let id = self.next_id();
        self.waiting.insert(id, (waiting, answer));
        self.manager.request(now, id, request, &mut OsEntropy);
    }

    fn replied(&mut self, now: Instant, id: RequestId, reply: Reply) {
        let Some((waiting, answer)) = self.waiting.remove(&id) else { return };
        // Whoever asked may be gone.
        let _ = answer.send(answers::answer(now, &waiting, reply, &self.router, &self.ledger));
    }

    /// Drains everybody. Wishes come in the order they were made; then the time of the next one.
    pub(super) fn drain(&mut self, now: Instant) -> (Vec<Wish>, Instant) {
        loop {
            let mut until = Instant::FAR_FUTURE;
            let moved = self.drain_co_processor(now, &mut until)
                | self.drain_router(now, &mut until)
                | self.drain_manager(now, &mut until);
            if !moved {
                return (std::mem::take(&mut self.wishes), until);
            }
        }
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: Instant) {
        self.tell_manager(now, ManagerInput::Wake);
    }

    fn drain_co_processor(&mut self, now: Instant, until: &mut Instant) -> bool {
        let mut moved = false;
        loop {
            match self.co_processor.poll(now) {
                CoProcessorOutput::Octets(octets) => self.wishes.push(Wish::Serial(octets)),
                CoProcessorOutput::Event(event) => {
                    self.router.handle(now, RouterInput::Radio(event));
                }
                CoProcessorOutput::Reopen => self.wishes.push(Wish::Reopen),
                CoProcessorOutput::Told(event) => {
                    self.wishes.push(Wish::Tell(event.to_string()));
                }
                CoProcessorOutput::Wait { until: next } => {
                    *until = next.min(*until);
                    return moved;
                }
            }
            moved = true;
        }
    }

    fn drain_router(&mut self, now: Instant, until: &mut Instant) -> bool {
        let mut moved = false;
        loop {
            match self.router.poll(now) {
                RouterOutput::Radio(command) => {
                    self.co_processor.handle(now, CoProcessorInput::Command(command));
                }
                RouterOutput::Store { ticket, record } => {
                    let (key, octets) = (record.key(), record.emit());
                    self.wishes.push(Wish::Store(Job::Put { ticket, key, octets }));
                }
                RouterOutput::Erase(key) => self.wishes.push(Wish::Store(Job::Erase(key))),
                RouterOutput::Backbone(packet) => self.outward(packet),
                RouterOutput::Event(event) => self.router_event(&event),
                RouterOutput::Wait { until: next } => {
                    *until = next.min(*until);
                    return moved;
                }
            }
            moved = true;
        }
    }

    /// The kernel takes no packet from an interface whose source is the kernel's own address: the border
    /// router's own datagrams leave by a socket.
    fn outward(&mut self, packet: Vec<u8>) {
        let own = datagram(&packet).filter(|datagram| datagram.src == self.router_addr);
        let wish = match own {
            Some(datagram) => Wish::FromRouter { octets: datagram.payload.to_vec() },
            None => Wish::Tun(packet),
        };
        self.wishes.push(wish);
    }

    fn router_event(&mut self, event: &Event) {
        if let Some(line) = answers::router_line(event) {
            self.wishes.push(Wish::Tell(line));
        }
    }

    fn drain_manager(&mut self, now: Instant, until: &mut Instant) -> bool {
        let mut moved = false;
        loop {
            match self.manager.poll(now) {
                ManagerOutput::Datagram { dst, dst_port, src_port, octets } => {
                    self.wishes.push(Wish::FromManager { src_port, dst, dst_port, octets });
                }
                ManagerOutput::Commit(batch) => self.wishes.push(Wish::Store(Job::Commit(batch))),
                ManagerOutput::Reply { id, reply } => self.replied(now, id, reply),
                ManagerOutput::Event(event) => {
                    self.ledger.note(now, self.manager.domain(), &event);
                    if let Some(line) = answers::manager_line(&event) {
                        self.wishes.push(Wish::Tell(line));
                    }
                }
                ManagerOutput::KeyLog(_) => {} // nobody asked for it
                ManagerOutput::Wait { until: next } => {
                    *until = next.min(*until);
                    return moved;
                }
            }
            moved = true;
        }
    }
}
