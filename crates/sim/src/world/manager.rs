//! The domain manager as the world runs it: its store, its power, what people ask of it.
//!
//! **Invariant:** a manager that is off hears nothing and says nothing; what its store had not taken is
//! lost, what it had is where the next one begins.

use super::{Due, What, World, WorldConfig};
use lowgate_manager::{
    Batch, Manager, ManagerConfig, ManagerInput, ManagerOutput, MemoryStore, Reply, Request,
    RequestId, Snapshot,
};
use lowgate_units::{Duration, Instant, Prng};

/// Whether the manager runs, and since how many boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    On { boot: u32 },
    Off { boots: u32 },
}

pub(super) fn config(world: &WorldConfig) -> ManagerConfig {
    ManagerConfig {
        key_log: world.key_log,
        retransmission: world.retransmission,
        cookie: world.cookie,
        pair_degree: world.pair_degree,
        ..ManagerConfig::new(world.ccm)
    }
}

impl World {
    /// Takes the manager's power away, between two events.
    pub fn manager_off(&mut self) {
        if let Power::On { boot } = self.manager_power {
            self.manager_power = Power::Off { boots: boot + 1 };
            self.manager_until = Instant::FAR_FUTURE;
        }
    }

    /// A manager begins with what the store holds.
    ///
    /// # Panics
    /// When the store cannot be read, or what it holds does not fit together.
    pub fn manager_on(&mut self) {
        let Power::Off { boots: boot } = self.manager_power else { return };
        self.manager_power = Power::On { boot };
        let snapshot = self.store.load().expect("the store is there");
        let (config, prng) = (config(&self.config), Prng::new(self.config.seed).fork(3));
        let (prng, entropy) = (prng.fork(1000 + u64::from(boot)), &mut self.entropy);
        let restored = Manager::restore(self.now, config, &snapshot, prng, entropy);
        self.manager = restored.expect("the store holds a domain");
        self.drain_manager();
    }

    /// A copy of all that the store holds.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub fn backup(&mut self) -> Snapshot {
        self.store.load().expect("the store is there")
    }

    /// The store holds what a copy of it did, and whatever the manager decided since is forgotten. The manager
    /// is off.
    pub fn put_back(&mut self, backup: Snapshot) {
        self.manager_off();
        self.store = Box::new(MemoryStore::from(backup));
    }

    /// Whether the manager has power.
    pub const fn manager_is_on(&self) -> bool {
        matches!(self.manager_power, Power::On { .. })
    }

    /// Whether the store refuses every batch from now on.
    pub const fn set_store_broken(&mut self, broken: bool) {
        self.store_broken = broken;
    }

    /// How long the store takes for a batch.
    pub const fn commit_delay(&self) -> Duration {
        self.config.commit_delay
    }

    /// How long the store takes for a batch from now on; batches may not overtake each other, so that one
    /// that is out keeps its time.
    pub const fn set_commit_delay(&mut self, delay: Duration) {
        self.config.commit_delay = delay;
    }

    /// Asks the manager; the reply comes as time passes.
    pub fn request(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        if let Power::On { .. } = self.manager_power {
            self.manager.request(self.now, id, request, &mut self.entropy);
            self.drain_manager();
        }
        id
    }

    /// The reply to a request, once.
    pub fn take_reply(&mut self, id: RequestId) -> Option<Reply> {
        self.replies.remove(&id)
    }

    pub(super) fn tell_manager(&mut self, input: ManagerInput<'_>) {
        if let Power::On { .. } = self.manager_power {
            self.manager.handle(self.now, input, &mut self.entropy);
            self.drain_manager();
        }
    }

    pub(super) fn commit(&mut self, boot: u32, batch: &Batch) {
        if self.manager_power != (Power::On { boot }) {
            return; // it was on its way to the disk when the power went
        }
        if self.store_broken {
            return self.tell_manager(ManagerInput::StoreFailed);
        }
        let input = match self.store.commit(batch) {
            Ok(()) => {
                self.committed.insert(batch.revision);
                self.checkers.committed(self.now, batch);
                if let Some(book) = &mut self.key_book {
                    batch.changes.iter().for_each(|change| book.note(change));
                }
                ManagerInput::Committed { revision: batch.revision }
            }
            Err(_) => ManagerInput::StoreFailed,
        };
        self.tell_manager(input);
    }

    pub(super) fn drain_manager(&mut self) {
        loop {
            match self.manager.poll(self.now) {
                ManagerOutput::Wait { until } => {
                    self.manager_until = until;
                    return;
                }
                output => self.manager_output(output),
            }
        }
    }

    fn manager_output(&mut self, output: ManagerOutput) {
        match output {
            ManagerOutput::Datagram { dst, dst_port, src_port, octets } => {
                self.packet_from_manager(dst, dst_port, src_port, &octets);
            }
            ManagerOutput::Commit(batch) => {
                let (Power::On { boot } | Power::Off { boots: boot }) = self.manager_power;
                self.due.push(self.now + self.config.commit_delay, Due::Commit { boot, batch });
            }
            ManagerOutput::Reply { id, reply } => drop(self.replies.insert(id, reply)),
            ManagerOutput::Event(event) => {
                self.checkers.manager(self.now, &event);
                self.happen(What::Manager(event));
            }
            ManagerOutput::KeyLog(log) => self.capture.secret(&log.to_string()),
            ManagerOutput::Wait { .. } => unreachable!("the caller keeps it"),
        }
    }
}
