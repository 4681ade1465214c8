//! A manager, its store and devices with real DTLS clients, in virtual time, over a wire that loses
//! and repeats. The checkers look from outside: at what was committed and at what devices hear.

mod checker;
mod device;
mod stock;

pub(crate) use device::{Device, Path};
pub(crate) use stock::Stock;

use checker::Checker;
use lowgate_access::{MANAGER_PORT, jpy};
use lowgate_crypto::SoftCcm;
use lowgate_dtls::ContentType;
use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, Manager, ManagerConfig, ManagerEvent,
    ManagerInput, ManagerOutput, MemoryStore, NewDomain, Reply, Request, RequestId, Role, Status,
    Store,
};
use lowgate_units::{
    Channel, Duration, Eui64, Instant, Ipv6Addr, PanId, Prng, SeededEntropy, ShortAddr,
};
use std::collections::BTreeMap;

pub(crate) const MANAGER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xb, 0, 0, 0, 0, 0, 1);
pub(crate) const ROUTER: Eui64 = eui(0xff);
pub(crate) const GROUP: GroupId = GroupId(7);

const LATENCY: Duration = Duration::from_millis(40);
const STORE_LATENCY: Duration = Duration::from_millis(3);

pub(crate) const fn eui(n: u8) -> Eui64 {
    Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, n])
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What is under way.
enum Event {
    ToManager { src: Ipv6Addr, src_port: u16, dst_port: u16, octets: Vec<u8> },
    ToDevice { eui64: Eui64, octets: Vec<u8> },
    Stored { life: u32, revision: u64 },
    SessionLost { eui64: Eui64 },
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) manager: Manager,
    pub(crate) store: MemoryStore,
    pub(crate) devices: BTreeMap<Eui64, Device>,
    pub(crate) events: Vec<(Instant, ManagerEvent)>,
    pub(crate) replies: BTreeMap<RequestId, Reply>,
    /// Datagrams lost and repeated, in percent.
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// The manager dies in the place of this output.
    pub(crate) crash_at: Option<u64>,
    pub(crate) outputs_seen: u64,
    pub(crate) checker: Checker,
    /// Envelopes for joiners that are none of the devices.
    pub(crate) strays: Vec<Vec<u8>>,
    life: u32,
    manager_wake: Instant,
    queue: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    requests: u64,
    prng: Prng,
    entropy: SeededEntropy,
}

pub(crate) fn config() -> ManagerConfig {
    ManagerConfig::new(&SoftCcm)
}

/// An inventory line in which everything follows from the number.
pub(crate) fn record(n: u8, kind: Kind, groups: &[(GroupId, Role)]) -> DeviceRecord {
    let eui64 = eui(n);
    DeviceRecord {
        eui64,
        identity: Identity::from(eui64),
        psk: DevicePsk::new(&[n; 16]).expect("16 octets"),
        kind,
        name: format!("device {n}"),
        room: String::new(),
        groups: groups.iter().copied().collect(),
    }
}

impl World {
    /// A domain with one group, in which nobody is expected yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self::crashing(seed, None)
    }

    /// The same, with a manager that dies in the place of one output.
    pub(crate) fn crashing(seed: u64, crash_at: Option<u64>) -> Self {
        let mut entropy = SeededEntropy::new(seed);
        let channel = Channel::new(15).expect("in the band");
        let new = NewDomain::new(channel, MANAGER);
        let prng = Prng::new(seed);
        let manager = Manager::found(config(), new, prng.fork(1), &mut entropy);
        let mut world = Self {
            now: Instant::from_secs(1000),
            manager,
            store: MemoryStore::default(),
            devices: BTreeMap::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            loss: 0,
            duplication: 0,
            crash_at,
            outputs_seen: 0,
            checker: Checker::default(),
            strays: Vec::new(),
            life: 0,
            manager_wake: Instant::FAR_FUTURE,
            queue: BTreeMap::new(),
            sequence: 0,
            requests: 0,
            prng: prng.fork(2),
            entropy,
        };
        world.drain_manager();
        world.run_for(secs(1));
        world.must(Request::CreateGroup { id: GROUP, name: "lights".into() });
        world
    }

    /// Asks the manager; the reply is there once it is stored.
    pub(crate) fn ask(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.manager.request(self.now, id, request, &mut self.entropy);
        self.drain_manager();
        id
    }

    /// Asks, and asks again should the manager die meanwhile, until it is done.
    pub(crate) fn must(&mut self, request: Request) {
        for _ in 0..3 {
            let id = self.ask(request.clone());
            self.run_for(secs(1));
            match self.replies.get(&id) {
                Some(Reply::Done) => return self.checker.acknowledged(request),
                // It died after it had stored, before it could say so.
                Some(Reply::Refused(_)) if self.life > 0 => return,
                Some(other) => panic!("{request:?}: {other:?}"),
                None => assert!(self.life > 0, "{request:?}: no reply"),
            }
        }
        panic!("{request:?}: never done");
    }

    /// Asks and waits for the reply.
    pub(crate) fn reply(&mut self, request: Request, patience: Duration) -> Reply {
        let id = self.ask(request);
        let until = self.now + patience;
        while !self.replies.contains_key(&id) && self.now < until {
            self.run_for(Duration::from_millis(100));
        }
        self.replies.remove(&id).expect("a reply in time")
    }

    /// The only PAN's key in force and the one to come.
    pub(crate) fn key_indices(&mut self) -> (u8, Option<u8>) {
        let [pan] = self.status().pans[..] else { panic!("several PANs") };
        (pan.key_index, pan.staged_key_index)
    }

    pub(crate) fn status(&mut self) -> Status {
        match self.reply(Request::Status, secs(1)) {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn import(&mut self, records: Vec<DeviceRecord>) {
        let relay = self.relay_in(self.manager.domain().config().pan_id);
        for record in &records {
            self.devices.insert(record.eui64, Device::new(record, relay, self.prng.next_u64()));
        }
        self.must(Request::Import(records));
    }

    /// A relay in that PAN.
    pub(crate) fn relay_in(&self, pan: PanId) -> Ipv6Addr {
        let short = ShortAddr::new(0x99).expect("not reserved");
        self.manager.domain().pans()[&pan].config.addr(short)
    }

    /// The PAN of a member.
    pub(crate) fn pan_of(&self, eui64: Eui64) -> PanId {
        self.manager.domain().devices()[&eui64].pan().expect("a member")
    }

    /// A device is heard by a relay of that PAN, and begins anew.
    pub(crate) fn carry(&mut self, eui64: Eui64, pan: PanId) {
        let relay = self.relay_in(pan);
        let device = self.device(eui64);
        (device.path, device.relay) = (Path::Relay, relay);
        self.start(eui64);
    }

    /// A border router, `lights` listeners from 1 on and one switch, 100, all in the group.
    pub(crate) fn import_office(&mut self, lights: u8) {
        let mut records = vec![
            record(0xff, Kind::BorderRouter, &[]),
            record(100, Kind::Switch, &[(GROUP, Role::Sender)]),
        ];
        records.extend((1..=lights).map(|n| record(n, Kind::Light, &[(GROUP, Role::Listener)])));
        self.import(records);
    }

    pub(crate) fn open_window(&mut self) {
        self.must(Request::OpenWindow { until: self.now + secs(3600) });
    }

    /// Everybody joins, the border router first.
    pub(crate) fn join_all(&mut self) {
        self.start(ROUTER);
        self.run_for(secs(5));
        let all: Vec<Eui64> = self.devices.keys().copied().filter(|e| *e != ROUTER).collect();
        for eui64 in all {
            self.start(eui64);
            self.run_for(Duration::from_millis(300));
        }
        self.run_for(secs(10));
    }

    /// A record of the device's own making.
    pub(crate) fn send(&mut self, eui64: Eui64, content_type: ContentType, content: &[u8]) {
        let sent = self.device(eui64).send(content_type, content);
        let (src, src_port, dst_port, octets) = sent.expect("it has a session");
        self.schedule(LATENCY, Event::ToManager { src, src_port, dst_port, octets });
    }

    /// A datagram of somebody, at once.
    pub(crate) fn datagram(&mut self, src: Ipv6Addr, dst_port: u16, octets: Vec<u8>) {
        self.perform(Event::ToManager { src, src_port: 9, dst_port, octets });
    }

    pub(crate) fn start(&mut self, eui64: Eui64) {
        let now = self.now;
        self.device(eui64).start(now);
        self.drain_device(eui64);
    }

    pub(crate) fn device(&mut self, eui64: Eui64) -> &mut Device {
        self.devices.get_mut(&eui64).expect("imported")
    }

    pub(crate) fn count(&self, wanted: impl Fn(&ManagerEvent) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| wanted(event)).count()
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let devices = self.devices.values().map(Device::wake_at).min();
            let next = [queued, devices, Some(self.manager_wake)].into_iter().flatten().min();
            let next = next.unwrap_or(Instant::FAR_FUTURE);
            if next > end {
                break;
            }
            assert!(next >= self.now || queued != Some(next), "time never goes back");
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let due = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now);
        if let Some(event) = due.map(|entry| entry.remove()) {
            return self.perform(event);
        }
        if self.manager_wake <= self.now {
            self.manager.handle(self.now, ManagerInput::Wake, &mut self.entropy);
            self.drain_manager();
            assert!(self.manager_wake > self.now, "the manager wakes in vain");
        }
        let due: Vec<Eui64> =
            self.devices.iter().filter(|(_, d)| d.wake_at() <= self.now).map(|(e, _)| *e).collect();
        for eui64 in due {
            let now = self.now;
            self.device(eui64).wake(now);
            self.drain_device(eui64);
        }
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::ToManager { src, src_port, dst_port, octets } => {
                let input = ManagerInput::Datagram { src, src_port, dst_port, octets: &octets };
                self.manager.handle(self.now, input, &mut self.entropy);
                self.drain_manager();
            }
            Event::ToDevice { eui64, mut octets } => {
                let now = self.now;
                self.device(eui64).receive(now, &mut octets);
                self.drain_device(eui64);
            }
            Event::Stored { life, revision } if life == self.life => {
                let input = ManagerInput::Committed { revision };
                self.manager.handle(self.now, input, &mut self.entropy);
                self.drain_manager();
            }
            Event::Stored { .. } => {}
            Event::SessionLost { eui64 } => self.start(eui64),
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    /// How often a datagram arrives: never, once, or twice.
    fn copies(&mut self) -> u32 {
        let arrives = self.prng.below(100) >= self.loss;
        let doubled = self.prng.below(100) < self.duplication;
        u32::from(arrives) * (1 + u32::from(doubled))
    }

    fn drain_manager(&mut self) {
        loop {
            let output = self.manager.poll(self.now);
            if let ManagerOutput::Wait { until } = output {
                self.manager_wake = until;
                return;
            }
            self.outputs_seen += 1;
            if self.crash_at == Some(self.outputs_seen) {
                return self.crash();
            }
            match output {
                ManagerOutput::Datagram { dst, dst_port, src_port, octets } => {
                    self.deliver(dst, dst_port, src_port, octets);
                }
                ManagerOutput::Commit(batch) => {
                    self.store.commit(&batch).expect("the next revision");
                    self.checker.committed(&batch);
                    let (life, revision) = (self.life, batch.revision);
                    self.schedule(STORE_LATENCY, Event::Stored { life, revision });
                }
                ManagerOutput::Reply { id, reply } => {
                    self.replies.insert(id, reply);
                }
                ManagerOutput::Event(event) => self.events.push((self.now, event)),
                ManagerOutput::KeyLog(_) | ManagerOutput::Wait { .. } => {}
            }
        }
    }

    /// The manager dies; another one takes over from the store. Devices notice after a while.
    pub(crate) fn crash(&mut self) {
        self.life += 1;
        let snapshot = self.store.load().expect("memory does not fail");
        let prng = self.prng.fork(u64::from(self.life));
        self.manager = if snapshot.changes.is_empty() {
            let channel = Channel::new(15).expect("in the band");
            let new = NewDomain::new(channel, MANAGER);
            Manager::found(config(), new, prng, &mut self.entropy)
        } else {
            Manager::restore(self.now, config(), &snapshot, prng, &mut self.entropy)
                .expect("what is stored fits together")
        };
        self.checker.restarted(self.manager.domain());
        let lost: Vec<Eui64> =
            self.devices.values().filter(|d| d.wants_session()).map(|d| d.eui64).collect();
        for eui64 in lost {
            let notices = Duration::from_millis(500 + self.prng.below(4000));
            self.schedule(notices, Event::SessionLost { eui64 });
        }
        self.drain_manager();
    }

    fn deliver(&mut self, dst: Ipv6Addr, dst_port: u16, src_port: u16, octets: Vec<u8>) {
        let (eui64, octets) = if src_port == MANAGER_PORT {
            let found = self.devices.values().find(|device| device.is_at(dst, dst_port));
            let Some(device) = found else { return };
            (device.eui64, octets)
        } else {
            let envelope = jpy::parse(&octets).expect("our own envelope");
            assert!(octets.len() <= 20 + 6 + lowgate_access::JOIN_DATAGRAM_OCTETS_MAX);
            let joiner: [u8; 8] = envelope.header[12..].try_into().expect("20 octets");
            let eui64 = Eui64(joiner);
            let content = envelope.content.to_vec();
            match self.devices.get(&eui64).map(Device::hears_relay) {
                Some(true) => (eui64, content),
                Some(false) => return,
                None => return self.strays.push(octets),
            }
        };
        for copy in 0..self.copies() {
            let event = Event::ToDevice { eui64, octets: octets.clone() };
            self.schedule(LATENCY * (1 + copy), event);
        }
    }

    fn drain_device(&mut self, eui64: Eui64) {
        let now = self.now;
        let device = self.devices.get_mut(&eui64).expect("imported");
        let sent = device.drain(now, &mut self.checker);
        for (src, src_port, dst_port, octets) in sent {
            for copy in 0..self.copies() {
                let octets = octets.clone();
                let event = Event::ToManager { src, src_port, dst_port, octets };
                self.schedule(LATENCY * (1 + copy), event);
            }
        }
    }
}
