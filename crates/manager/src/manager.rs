//! The machine: inputs in, decisions stored, then their consequences out.
//!
//! **Invariant:** a decision changes the domain at once and goes to the journal; whatever tells
//! anybody of it waits until the journal says that it is stored.

use crate::change::{Change, Snapshot};
use crate::decide::{DEVICES_MAX, NewDomain, found};
use crate::domain::{Domain, Inconsistent};
use crate::interface::{
    ManagerConfig, ManagerDrop, ManagerEvent, ManagerInput, ManagerOutput, Refusal, Reply,
    RequestId,
};
use crate::journal::Journal;
use crate::mesh::Meshes;
use crate::reads::Reads;
use crate::rollover::Rollover;
use crate::sessions::Sessions;
use crate::stock::Unasked;
use crate::trees::{TreeSecrets, Trees};
use lowgate_access::{MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_amikey::tree::TreeName;
use lowgate_amikey::{GroupId, GroupRequest, KeyIndex, Role};
use lowgate_coap::Endpoint;
use lowgate_dtls::{
    GroupAnswer, Packing, Peer, Psk, PskDirectory, Server, ServerConfig, ServerInput, ServerOutput,
    SessionId,
};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Entropy, Eui64, Instant, PanId, Prng, ShortAddr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The domain manager of one domain.
pub struct Manager {
    pub(crate) config: ManagerConfig,
    pub(crate) prng: Prng,
    pub(crate) server: Server,
    pub(crate) coap: Endpoint<SessionId>,
    pub(crate) domain: Domain,
    pub(crate) journal: Journal,
    /// What follows once a revision is stored, in order.
    consequences: VecDeque<(u64, Consequence)>,
    pub(crate) sessions: Sessions,
    /// Authenticated, and not asked for anything yet.
    pub(crate) unasked: Unasked,
    pub(crate) meshes: Meshes,
    /// Who confirmed the epoch in force of a group, in the session it has.
    pub(crate) confirmed: BTreeMap<GroupId, BTreeSet<Eui64>>,
    pub(crate) reads: Reads,
    pub(crate) tree_secrets: TreeSecrets,
    /// Who fetched its share of the polynomial in force.
    pub(crate) pair_holders: BTreeSet<Eui64>,
    /// Failed handshakes in the name of devices of the inventory.
    pub(crate) failures: BTreeMap<Eui64, u32>,
    pub(crate) strangers: u32,
    pub(crate) outputs: VecDeque<ManagerOutput>,
    pub(crate) coap_until: Instant,
    wake_at: Instant,
    health: Health,
}

/// Whether the manager goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Running,
    StoreFailed,
}

/// What follows from a change, or from an answer to a request, once it is stored.
#[derive(Debug)]
pub(crate) enum Consequence {
    Reply(RequestId, Reply),
    Event(ManagerEvent),
    MemberCame { eui64: Eui64, pan: PanId, short: ShortAddr, before: Option<PanId> },
    DeviceRevoked { eui64: Eui64, before: Option<PanId> },
    KeyStaged(PanId),
    KeyActivated(PanId, KeyIndex),
    EpochStarted(GroupId),
    GroupEntered(GroupId, Eui64, Role),
    GroupLeft(GroupId, Eui64),
    PairsStarted,
    PairLost,
}

impl Consequence {
    /// Of a change that the domain has not followed yet.
    fn of(domain: &Domain, change: &Change) -> Option<Self> {
        let pan_of = |eui64: &Eui64| domain.devices().get(eui64)?.pan();
        match change {
            Change::Admitted { eui64, pan, short } | Change::Moved { eui64, pan, short } => {
                let (eui64, pan, short, before) = (*eui64, *pan, *short, pan_of(eui64));
                Some(Self::MemberCame { eui64, pan, short, before })
            }
            Change::Revoked { eui64 } => {
                Some(Self::DeviceRevoked { eui64: *eui64, before: pan_of(eui64) })
            }
            Change::LinkKeyStaged { pan, .. } => Some(Self::KeyStaged(*pan)),
            Change::LinkKeyActivated { pan, index } => Some(Self::KeyActivated(*pan, *index)),
            Change::GroupEpochStarted { group, .. } => Some(Self::EpochStarted(*group)),
            Change::MemberAdded { group, eui64, role } => {
                Some(Self::GroupEntered(*group, *eui64, *role))
            }
            Change::MemberRemoved { group, eui64 } => Some(Self::GroupLeft(*group, *eui64)),
            Change::PairsStarted { .. } => Some(Self::PairsStarted),
            Change::PairLost { .. } => Some(Self::PairLost),
            Change::DomainCreated { .. }
            | Change::PanCreated { .. }
            | Change::DeviceImported(_)
            | Change::GroupCreated { .. }
            | Change::SenderIdGiven { .. }
            | Change::WindowOpened { .. }
            | Change::WindowClosed => None,
        }
    }
}

/// A newcomer's keys leave so soon after its Finished, when store and border router are quick: both in one
/// datagram then.
const LAST_FLIGHT_LINGER: Duration = Duration::from_millis(50);

impl Manager {
    /// The manager of a domain that begins now. Its first output is the batch to store.
    pub fn found(
        config: ManagerConfig,
        new: NewDomain,
        prng: Prng,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let created = found(new, entropy);
        let changes = std::slice::from_ref(&created);
        let domain = Domain::restore(changes).expect("a domain begins with its creation");
        let mut manager = Self::new(config, domain, 0, prng, entropy);
        manager.journal.record(changes);
        manager.flush();
        manager
    }

    /// The manager of a domain that was stored. A rekey that was under way goes on. Where the store
    /// holds no changes there is no domain yet: see [`Self::found`].
    ///
    /// # Errors
    /// When the store's content does not fit together.
    pub fn restore(
        now: Instant,
        config: ManagerConfig,
        snapshot: &Snapshot,
        prng: Prng,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Inconsistent> {
        let domain = Domain::restore(&snapshot.changes)?;
        let mut manager = Self::new(config, domain, snapshot.revision, prng, entropy);
        for (id, pan) in manager.domain.pans() {
            let rousing = &mut manager.meshes.of_pan_mut(*id).rousing;
            pan.members.keys().for_each(|eui64| rousing.lost(now, *eui64));
        }
        let pans: Vec<PanId> = manager.domain.pans().keys().copied().collect();
        pans.into_iter().for_each(|pan| manager.begin_rollover(now, pan));
        manager.settle(now, entropy);
        Ok(manager)
    }

    fn new(
        config: ManagerConfig,
        domain: Domain,
        revision: u64,
        prng: Prng,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let server_config = ServerConfig {
            cookie: config.cookie,
            retransmission: config.retransmission,
            key_log: config.key_log,
            datagram_len_max: lowgate_access::JOIN_DATAGRAM_OCTETS_MAX,
            packing: Packing::Tight { linger: LAST_FLIGHT_LINGER },
            sessions_max: DEVICES_MAX,
            bar_for: config.bar_for,
            ..ServerConfig::new(config.ccm)
        };
        Self {
            server: Server::new(server_config, prng.fork(1), entropy),
            coap: Endpoint::new(lowgate_coap::Config::default(), prng.fork(2)),
            prng: prng.fork(3),
            meshes: Meshes::of(&domain),
            config,
            domain,
            journal: Journal::new(revision),
            consequences: VecDeque::new(),
            sessions: Sessions::default(),
            unasked: Unasked::default(),
            confirmed: BTreeMap::new(),
            reads: Reads::default(),
            tree_secrets: TreeSecrets::new(entropy),
            pair_holders: BTreeSet::new(),
            failures: BTreeMap::new(),
            strangers: 0,
            outputs: VecDeque::new(),
            coap_until: Instant::FAR_FUTURE,
            wake_at: Instant::FAR_FUTURE,
            health: Health::Running,
        }
    }

    /// The domain as decided; the store may lack the latest decisions.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Feeds one input; drain with [`Self::poll`] until `Wait` afterwards.
    pub fn handle(&mut self, now: Instant, input: ManagerInput<'_>, entropy: &mut dyn Entropy) {
        if self.health == Health::StoreFailed {
            return;
        }
        match input {
            ManagerInput::Datagram { src, src_port, dst_port, octets } => {
                let direct = Peer { addr: src, port: src_port, relay_header: heapless::Vec::new() };
                self.datagram(now, direct, dst_port, octets, entropy);
            }
            ManagerInput::Committed { revision } => {
                if self.journal.commit(revision) {
                    self.follow(now);
                }
            }
            ManagerInput::StoreFailed => return self.stop(),
            ManagerInput::Wake => {}
        }
        self.settle(now, entropy);
    }

    /// The next output.
    pub fn poll(&mut self, _now: Instant) -> ManagerOutput {
        let wait = ManagerOutput::Wait { until: self.wake_at };
        self.outputs.pop_front().unwrap_or(wait)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.health == Health::Running
    }

    fn datagram(
        &mut self,
        now: Instant,
        direct: Peer,
        port: u16,
        octets: &[u8],
        entropy: &mut dyn Entropy,
    ) {
        let (peer, content) = match port {
            MANAGER_PORT => (direct, octets),
            MANAGER_RELAY_PORT if self.domain.pan_of(direct.addr).is_none() => {
                return self.drop_input(ManagerDrop::RelayOutsideMesh(direct.addr));
            }
            MANAGER_RELAY_PORT => match jpy::parse(octets) {
                Ok(envelope) => {
                    let relay_header = heapless::Vec::from_slice(envelope.header)
                        .expect("parse checks its length");
                    (Peer { relay_header, ..direct }, envelope.content)
                }
                Err(drop) => return self.drop_input(ManagerDrop::Envelope(drop)),
            },
            other => return self.drop_input(ManagerDrop::Port(other)),
        };
        let mut scratch = content.to_vec();
        let input = ServerInput::Datagram { peer: &peer, octets: &mut scratch };
        self.server.handle(now, input, &Directory(&self.domain), entropy);
    }

    /// Lets everything that can happen now happen, then says when to come back.
    pub(crate) fn settle(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        let until = loop {
            match self.server.poll(now) {
                ServerOutput::Wait { until } => {
                    if self.drain_coap(now, entropy) || self.advance(now) {
                        continue;
                    }
                    break until;
                }
                output => self.server_output(now, output, entropy),
            }
        };
        self.flush();
        self.wake_at = until.min(self.coap_until).min(self.due(now));
    }

    /// One step of what time and storage allow. Returns whether there was one.
    fn advance(&mut self, now: Instant) -> bool {
        self.expire_deliveries(now)
            || self.expire_unasked(now)
            || self.begin_deliveries(now)
            || self.advance_rollover(now)
            || self.advance_trees(now)
            || self.offer_to_router(now)
            || self.rouse(now)
    }

    /// When the manager's own timers want it, those that wait for something else left out.
    fn due(&self, now: Instant) -> Instant {
        let members = |pan: &PanId| self.domain.pans()[pan].members.len();
        let meshes = self.meshes.iter().map(|(pan, mesh)| mesh.due(now, members(&pan))).min();
        let meshes = meshes.unwrap_or(Instant::FAR_FUTURE);
        self.deliveries_due(now).min(meshes).min(self.unasked.due())
    }

    fn flush(&mut self) {
        self.outputs.extend(self.journal.take_batch().map(ManagerOutput::Commit));
    }

    fn server_output(&mut self, now: Instant, output: ServerOutput, entropy: &mut dyn Entropy) {
        match output {
            ServerOutput::Transmit { peer, octets } => self.transmit(&peer, octets),
            ServerOutput::HandshakeStarted { peer } => {
                self.event(ManagerEvent::HelloReceived { peer });
            }
            ServerOutput::Established { session, peer, identity, group_request } => {
                self.established(now, session, peer, &identity, group_request.as_deref(), entropy);
            }
            ServerOutput::HandshakeFailed { peer, identity, reason } => {
                self.handshake_failed(peer, identity.as_deref(), reason);
            }
            ServerOutput::Received { session, content_type, octets } => {
                self.received(now, session, content_type, &octets);
            }
            ServerOutput::PeerMoved { session, peer } => self.moved(now, session, peer),
            // The manager agrees to no heartbeats.
            ServerOutput::HeartbeatAnswered { .. } => {}
            ServerOutput::KeyLog(log) => self.outputs.push_back(ManagerOutput::KeyLog(log)),
            ServerOutput::Event { peer, drop } => {
                self.drop_input(ManagerDrop::Record { peer, drop });
            }
            ServerOutput::Closed { session, reason } => self.session_closed(now, session, reason),
            ServerOutput::Wait { .. } => unreachable!("settle takes it"),
        }
    }

    fn transmit(&mut self, peer: &Peer, content: Vec<u8>) {
        let (src_port, octets) = if peer.relay_header.is_empty() {
            (MANAGER_PORT, content)
        } else {
            let header = &peer.relay_header[..];
            let mut octets = vec![0; content.len() + header.len() + jpy::ENVELOPE_OCTETS_MAX];
            let envelope = jpy::Envelope { header, content: &content };
            let len = envelope.emit(&mut octets).expect("room for the envelope");
            octets.truncate(len);
            (MANAGER_RELAY_PORT, octets)
        };
        let (dst, dst_port) = (peer.addr, peer.port);
        self.outputs.push_back(ManagerOutput::Datagram { dst, dst_port, src_port, octets });
    }

    /// Follows a decision: the domain changes now, everybody hears of it once it is stored.
    pub(crate) fn decide(&mut self, changes: &[Change]) {
        let revision = self.journal.record(changes);
        for change in changes {
            let consequence = Consequence::of(&self.domain, change);
            self.domain.apply(change).expect("a decision fits the domain it was made from");
            if let Change::PanCreated { config, .. } = change {
                self.meshes.create(config.pan_id);
            }
            self.consequences.extend(consequence.map(|consequence| (revision, consequence)));
        }
    }

    /// Says something as soon as everything decided so far is stored.
    pub(crate) fn once_stored(&mut self, now: Instant, consequence: Consequence) {
        self.consequences.push_back((self.journal.newest(), consequence));
        self.follow(now);
    }

    fn follow(&mut self, now: Instant) {
        let committed = self.journal.committed();
        while let Some((_, consequence)) =
            self.consequences.pop_front_if(|(revision, _)| *revision <= committed)
        {
            self.perform(now, consequence);
        }
    }

    fn perform(&mut self, now: Instant, consequence: Consequence) {
        match consequence {
            Consequence::Reply(id, reply) => {
                self.outputs.push_back(ManagerOutput::Reply { id, reply });
            }
            Consequence::Event(event) => self.event(event),
            Consequence::MemberCame { eui64, pan, short, before } => {
                self.member_came(eui64, pan, short, before);
            }
            Consequence::DeviceRevoked { eui64, before } => {
                self.event(ManagerEvent::Revoked { eui64 });
                if !planted(Fault::RevocationForgetsOne) {
                    before.into_iter().for_each(|pan| self.left_pan(pan, eui64));
                    self.end_session_of(now, eui64);
                }
            }
            Consequence::PairsStarted => self.pairs_started(),
            Consequence::PairLost => self.owe_pairs(),
            Consequence::KeyStaged(pan) => self.begin_rollover(now, pan),
            Consequence::KeyActivated(pan, index) => {
                let mesh = self.meshes.of_pan_mut(pan);
                let late = mesh.rollover.take().map(Rollover::late);
                mesh.behind.extend(late.into_iter().flatten());
                self.sessions.owe_switch(pan);
                self.event(ManagerEvent::KeySwitched { pan, index });
            }
            Consequence::EpochStarted(group) => {
                let tek_id = self.domain.groups()[&group].epoch.tek_id;
                self.event(ManagerEvent::EpochStarted { group, tek_id });
                self.owe_group(group);
            }
            Consequence::GroupEntered(group, eui64, role) => {
                self.sessions.edit_of(eui64, |session| session.enters(group, role));
                self.trees_of(eui64).into_iter().for_each(|trees| trees.lacks(eui64));
            }
            Consequence::GroupLeft(group, eui64) => {
                self.sessions.edit_of(eui64, |session| session.leaves(group));
                let name = TreeName::Group(group);
                let trees = self.trees_of(eui64);
                trees.into_iter().for_each(|trees| trees.left(eui64, Some(name)));
                self.unconfirm(group, eui64);
            }
        }
    }

    fn member_came(&mut self, eui64: Eui64, pan: PanId, short: ShortAddr, before: Option<PanId>) {
        before.into_iter().for_each(|before| self.left_pan(before, eui64));
        self.event(match before {
            None => ManagerEvent::Admitted { eui64, short },
            Some(_) => ManagerEvent::Moved { eui64, pan, short },
        });
        if self.domain.pans()[&pan].border_router != Some(eui64) {
            self.meshes.of_pan_mut(pan).router.changed(eui64, Some(short));
        }
    }

    fn trees_of(&mut self, eui64: Eui64) -> Option<&mut Trees> {
        let pan = self.domain.devices().get(&eui64)?.pan()?;
        Some(&mut self.meshes.of_pan_mut(pan).trees)
    }

    /// A device is in that PAN no longer.
    fn left_pan(&mut self, pan: PanId, eui64: Eui64) {
        let mesh = self.meshes.of_pan_mut(pan);
        mesh.router.changed(eui64, None);
        mesh.rousing.found(eui64);
        mesh.behind.remove(&eui64);
        mesh.trees.left(eui64, None);
        if let Some(rollover) = &mut mesh.rollover {
            rollover.forget(eui64);
        }
    }

    /// The store failed: what is in memory may never have been. Only refusals leave from now on.
    fn stop(&mut self) {
        self.health = Health::StoreFailed;
        self.wake_at = Instant::FAR_FUTURE;
        let waiting = std::mem::take(&mut self.consequences);
        let replies = waiting.into_iter().filter_map(|(_, consequence)| match consequence {
            Consequence::Reply(id, _) => Some(id),
            _ => None,
        });
        for id in replies.chain(self.reads.drain()) {
            let reply = Reply::Refused(Refusal::StoreFailed);
            self.outputs.push_back(ManagerOutput::Reply { id, reply });
        }
        self.event(ManagerEvent::StoreFailed);
    }

    pub(crate) fn event(&mut self, event: ManagerEvent) {
        self.outputs.push_back(ManagerOutput::Event(event));
    }

    pub(crate) fn drop_input(&mut self, drop: ManagerDrop) {
        self.event(ManagerEvent::DatagramDropped(drop));
    }
}

/// The inventory as the handshakes see it.
struct Directory<'a>(&'a Domain);

impl PskDirectory for Directory<'_> {
    // The revoked are found as well: they are refused after they proved who they are.
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        let identity = crate::device::Identity::new(identity)?;
        Psk::new(self.0.identified(&identity)?.record.psk.expose())
    }

    fn hops(&self, peer: &Peer) -> Option<u8> {
        self.0.is_next_to_border_router(peer).then_some(1)
    }

    fn group_answer(&self, request: &[u8]) -> Option<GroupAnswer> {
        let answer = GroupRequest::parse(request).ok()?.answer().emit();
        Some(GroupAnswer::from_slice(&answer).expect("two octets"))
    }
}
