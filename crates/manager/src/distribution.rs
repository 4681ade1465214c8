//! Getting key messages to devices: one record at a time, repeated until confirmed, with a bound.
//!
//! **Invariant:** a delivery is made only while everything decided is stored, so that no message
//! holds what a crash could undo.

use crate::device::Device;
use crate::interface::{Lacks, ManagerDrop, ManagerEvent};
use crate::manager::Manager;
use crate::messages::{self, RECORD_OCTETS_MAX, RecordBuffer};
use crate::session::{Carrier, Delivery, Owed, Purpose, Session, Stage};
use crate::stock;
use lowgate_amikey::{Activation, GroupId, KeyError, Message, Messages, Req, emit_all};
use lowgate_dtls::{ContentType, RetransmissionTimer, SessionId};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, PanId};
use std::collections::BTreeSet;

/// Members of a PAN that are sent changed keys at a time.
const UPDATES_MAX: usize = 4;
/// Who has not answered for so long no longer keeps others waiting, but is still tried.
const SLOT_MAX: Duration = Duration::from_secs(4);

impl Manager {
    /// A record of key messages, or of another kind, arrived.
    pub(crate) fn received(
        &mut self,
        now: Instant,
        session: SessionId,
        content_type: ContentType,
        octets: &[u8],
    ) {
        let known = self.sessions.edit(session, Session::heard).is_some();
        if !known && !self.unasked.contains(session) {
            return self.drop_input(ManagerDrop::NoSession);
        }
        match content_type {
            ContentType::ApplicationData => self.coap_received(now, session, octets),
            ContentType::KeyData | ContentType::KeyParameters => {
                for message in Messages::new(octets) {
                    match message {
                        Ok(message) => {
                            let answer = self.key_message(now, session, &message);
                            answer.into_iter().for_each(|it| self.answer(now, session, &it));
                        }
                        Err(bad) => self.drop_input(ManagerDrop::KeyMessage(bad.why)),
                    }
                }
            }
        }
    }

    /// Gives the answer, if there is one at once.
    pub(crate) fn key_message(
        &mut self,
        now: Instant,
        session: SessionId,
        message: &Message,
    ) -> Option<Message> {
        match message {
            Message::Ack { msg_id } => {
                self.confirm(now, session, |delivery| delivery.confirm(*msg_id));
            }
            Message::Req(req) => return Some(self.requested(now, session, req)),
            Message::Err { error, .. } => self.keys_refused(now, session, *error),
            Message::Followed(followed) => self.followed(session, *followed),
            Message::Mkd(_) | Message::Spd(_) | Message::Cfg { .. } | Message::Path(_) => {
                self.drop_input(ManagerDrop::UnexpectedKeyMessage);
            }
        }
        None
    }

    /// A member lacks an epoch: it is told everything again. Changes of membership are the
    /// inventory's business.
    fn requested(&mut self, now: Instant, session: SessionId, req: &Req) -> Message {
        if req.wishes.is_empty() {
            self.lacks_paths(now, session);
            let pans = self.domain.pans();
            self.sessions.edit(session, |state| {
                state.owes_pairs = state.follows_pairs;
                state.owes_groups.extend(state.granted.keys());
                if pans[&state.pan].staged_key.is_some() {
                    state.owes_key = Owed::Key;
                }
            });
            Message::Ack { msg_id: req.msg_id }
        } else {
            Message::Err { msg_id: req.msg_id, error: KeyError::NotAuthorized }
        }
    }

    fn answer(&mut self, now: Instant, session: SessionId, answer: &Message) {
        let mut octets = [0; 3];
        let len = answer.emit(&mut octets).expect("three octets at most");
        let octets = &octets[..len];
        if self.server.send(now, session, ContentType::KeyParameters, octets).is_err() {
            self.drop_input(ManagerDrop::NoSession);
        }
    }

    fn keys_refused(&mut self, now: Instant, session: SessionId, error: KeyError) {
        let Some(state) = self.sessions.get(session) else { return };
        let eui64 = state.eui64;
        self.event(ManagerEvent::KeysRefused { eui64, error });
        self.give_up(now, session);
    }

    /// The device is heard over the secured mesh.
    pub(crate) fn configuration_confirmed(&mut self, now: Instant, session: SessionId) {
        self.confirm(now, session, Delivery::confirm_configuration);
    }

    fn confirm(
        &mut self,
        now: Instant,
        session: SessionId,
        confirmed: impl FnOnce(&mut Delivery) -> bool,
    ) {
        let more = self.sessions.edit(session, |state| {
            let Stage::Delivering(delivery) = &mut state.stage else { return None };
            if !confirmed(delivery) {
                return None;
            }
            delivery.timer.answered(now);
            Some(delivery.out().is_some())
        });
        match more.flatten() {
            Some(true) => self.send_record(now, session),
            Some(false) => self.delivered(now, session),
            None => {} // late or repeated
        }
    }

    /// Everything of a delivery is confirmed.
    fn delivered(&mut self, now: Instant, session: SessionId) {
        let Some((eui64, pan, delivery)) = self.take_delivery(session) else { return };
        self.event(ManagerEvent::KeysConfirmed { eui64 });
        self.meshes.of_pan_mut(pan).behind.remove(&eui64);
        self.epochs_confirmed(eui64, &delivery);
        self.paths_confirmed(pan, eui64, &delivery);
        if let (Some(index), Purpose::Join | Purpose::Update) = (delivery.carries, delivery.purpose)
        {
            self.staged_key_confirmed(now, pan, eui64, index);
        }
        match delivery.purpose {
            Purpose::Join if self.is_border_router(eui64) => {
                let members = self.domain.pans()[&pan].members.iter();
                let others = members.filter(|(other, _)| **other != eui64);
                let others = others.map(|(other, short)| (*other, *short));
                self.meshes.of_pan_mut(pan).router.arrived(session, others);
            }
            Purpose::Switch => self.switched(pan, delivery.carries),
            Purpose::Join => self.meshes.of_pan_mut(pan).trees.came(now, eui64),
            Purpose::Update => {}
        }
    }

    fn take_delivery(&mut self, session: SessionId) -> Option<(Eui64, PanId, Delivery)> {
        self.sessions.edit(session, |state| {
            match std::mem::replace(&mut state.stage, Stage::Settled) {
                Stage::Delivering(delivery) => Some((state.eui64, state.pan, delivery)),
                stage => {
                    state.stage = stage;
                    None
                }
            }
        })?
    }

    /// The first delivery whose time has come is repeated or given up.
    pub(crate) fn expire_deliveries(&mut self, now: Instant) -> bool {
        let Some((_, session)) = self.sessions.first_due().filter(|(due, _)| *due <= now) else {
            return false;
        };
        let delivery = self.sessions.get(session).and_then(Session::delivery);
        if delivery.is_some_and(|delivery| delivery.timer.gives_up() <= now) {
            self.give_up(now, session);
        } else {
            self.send_record(now, session);
        }
        true
    }

    /// Stops trying. A newcomer loses its session: it begins anew when it wants to.
    pub(crate) fn give_up(&mut self, now: Instant, session: SessionId) {
        let Some((eui64, pan, delivery)) = self.take_delivery(session) else { return };
        let what = delivery.lacks();
        let awaited = self.rollover_awaits(pan, eui64);
        self.sessions.edit(session, |state| {
            let groups = delivery.epochs.iter().map(|(group, _)| *group);
            if what == Lacks::StagedKey && awaited {
                // Whoever follows the network's key has the groups' keys that were changed with it.
                state.owes_key = Owed::Key;
                state.owes_groups.extend(groups);
            } else {
                state.missed_groups.extend(groups);
            }
            state.missed_paths.extend(delivery.paths.iter().map(|(name, _)| *name));
            state.missed_pairs |= delivery.pairs;
        });
        // Laggards of a rekey are named when it ends; until then they are told again.
        if what != Lacks::StagedKey {
            self.event(ManagerEvent::GaveUp { eui64, what });
        }
        if delivery.purpose == Purpose::Join {
            self.end_session_of(now, eui64);
        }
    }

    /// Sends the first record of a session's delivery, for the first time or again.
    fn send_record(&mut self, now: Instant, session: SessionId) {
        let mut buffer = RecordBuffer::new([0; RECORD_OCTETS_MAX]);
        let prng = &mut self.prng;
        let out = self.sessions.edit(session, |state| {
            let Stage::Delivering(delivery) = &mut state.stage else { return None };
            let out = delivery.out()?;
            let octets = emit_all(out, &mut buffer[..]).expect("packed to fit");
            let content_type = match out.first() {
                Some(Message::Mkd(_)) => ContentType::KeyData,
                _ => ContentType::KeyParameters,
            };
            let messages = out.len();
            let first = delivery.timer.transmissions() == 0;
            delivery.timer.sent(now, prng);
            Some((state.eui64, content_type, messages, octets, first))
        });
        let Some((eui64, content_type, messages, octets, first)) = out.flatten() else { return };
        if !self.say_keys(now, session, content_type, &buffer[..octets]) {
            // The session is gone, or out of record numbers; either way it must be made anew.
            self.end_session_of(now, eui64);
        } else if first {
            self.event(ManagerEvent::KeysSent { eui64, messages, octets });
        }
    }

    /// Says a record of key messages to a device, the way it takes them. False if there is no such way any more.
    fn say_keys(
        &mut self,
        now: Instant,
        session: SessionId,
        content_type: ContentType,
        octets: &[u8],
    ) -> bool {
        match self.sessions.get(session).map(|state| state.carrier) {
            // It is told again, and has the record when it begins to observe.
            Some(Carrier::Coap { observer: None }) => true,
            Some(Carrier::Coap { observer: Some(observer) }) => {
                // Who is gone is named in an output of its own.
                let _ = self.coap.notify(now, observer, &stock::keys(octets));
                true
            }
            Some(Carrier::Records) => self.server.send(now, session, content_type, octets).is_ok(),
            None => false,
        }
    }

    /// Begins one delivery that may begin.
    pub(crate) fn begin_deliveries(&mut self, now: Instant) -> bool {
        if !self.journal.is_settled() && !planted(Fault::AnswerBeforeCommit) {
            return false;
        }
        let newcomer = self.sessions.admitting().find(|(_, state)| self.may_have_keys(state));
        let next = match newcomer.map(|(session, _)| session) {
            Some(session) => Some((session, Purpose::Join)),
            None => {
                let mut owing = self.sessions.owing();
                let next = owing.find(|(pan, _)| self.young_updates(now, *pan) < UPDATES_MAX);
                next.map(|(_, session)| (session, Purpose::Update))
            }
        };
        let Some((session, purpose)) = next else { return false };
        self.begin_delivery(now, session, purpose);
        true
    }

    /// A device hears its keys only when the border router would register it.
    fn may_have_keys(&self, state: &Session) -> bool {
        self.is_border_router(state.eui64)
            || self.meshes.of_pan(state.pan).router.knows(state.eui64)
            || planted(Fault::AnswerBeforeCommit)
    }

    fn is_border_router(&self, eui64: Eui64) -> bool {
        let device = self.domain.devices().get(&eui64);
        device.is_some_and(Device::is_border_router)
    }

    pub(crate) fn begin_delivery(&mut self, now: Instant, session: SessionId, purpose: Purpose) {
        let (domain, config, meshes) = (&self.domain, &self.config, &self.meshes);
        let round_trip = self.server.round_trip(session);
        // Who is heard through a relay has no key of the network: it takes the first without being told.
        let peer = self.server.peer(session);
        let relayed = peer.as_ref().is_some_and(|it| !it.relay_header.is_empty());
        let near = peer.as_ref().is_some_and(|it| domain.is_next_to_border_router(it));
        let policy = config.retransmission.over(near.then_some(1));
        let activation =
            if relayed { Activation::ByRole } else { Activation::Switch { after_ms: 0 } };
        let signer = self.tree_secrets.signer();
        let begun = self.sessions.edit(session, |state| {
            let trees = &meshes.of_pan(state.pan).trees;
            let staged = domain.pans()[&state.pan].staged_key.as_ref();
            let mut carries = staged.map(|key| key.index);
            let records = match purpose {
                Purpose::Join => {
                    let device = &domain.devices()[&state.eui64];
                    state.owes_key = Owed::Nothing;
                    state.owes_groups.clear();
                    messages::join(domain, device, state, config.join_rate, activation)
                }
                Purpose::Update => {
                    let groups = std::mem::take(&mut state.owes_groups);
                    let owed = std::mem::replace(&mut state.owes_key, Owed::Nothing);
                    carries = carries.filter(|_| owed == Owed::Key);
                    let changed = !groups.is_empty() || owed != Owed::Nothing;
                    // Keys that are in force or to come do not wait for what saves air some day.
                    let mut paths = Vec::new();
                    if !changed && state.owes_leave.is_empty() {
                        let owed = std::mem::take(&mut state.owes_paths);
                        let told = owed.into_iter();
                        paths = told.filter_map(|it| trees.path(it, state.eui64)).collect();
                    }
                    let mut records = messages::update(domain, state, groups, owed);
                    records.extend(messages::paths(paths, signer, state));
                    records
                }
                Purpose::Switch => {
                    staged.map(|key| vec![messages::switch(key, state)]).into_iter().collect()
                }
            };
            let begun = !records.is_empty();
            if begun {
                let timer = RetransmissionTimer::new(policy, now)
                    .with_round_trip(round_trip.filter(|_| purpose == Purpose::Join));
                let delivery = Delivery::new(now, purpose, records, carries, timer);
                state.stage = Stage::Delivering(delivery);
            }
            begun
        });
        if begun == Some(true) {
            self.paths_told(session);
            self.send_record(now, session);
        }
    }

    fn paths_told(&mut self, session: SessionId) {
        let Some(state) = self.sessions.get(session) else { return };
        let trees = &mut self.meshes.of_pan_mut(state.pan).trees;
        let paths = state.delivery().into_iter().flat_map(|delivery| &delivery.paths);
        paths.for_each(|(name, _)| trees.path_told(*name));
    }

    /// A group has new keys: everybody who holds the old ones is to be told.
    pub(crate) fn owe_group(&mut self, id: GroupId) {
        self.confirmed.remove(&id);
        let Some(group) = self.domain.groups().get(&id) else { return };
        let mut members: BTreeSet<Eui64> = group.members.keys().copied().collect();
        if planted(Fault::RevocationForgetsOne) {
            members.extend(self.sessions.devices());
        }
        let told = self.tell_group(id);
        for eui64 in members.difference(&told).copied() {
            self.sessions.edit_of(eui64, |state| {
                if state.granted.contains_key(&id) {
                    state.owes_groups.insert(id);
                }
            });
        }
    }

    /// Who lacks an epoch may lack one of its trees, too.
    fn lacks_paths(&mut self, now: Instant, session: SessionId) {
        let Some(state) = self.sessions.get(session).filter(|state| state.follows_trees) else {
            return;
        };
        let (eui64, pan) = (state.eui64, state.pan);
        self.meshes.of_pan_mut(pan).trees.came(now, eui64);
    }

    /// A device holds these paths, unless the trees have moved on: then it is told the next ones.
    fn paths_confirmed(&mut self, pan: PanId, eui64: Eui64, delivery: &Delivery) {
        for (name, epoch) in &delivery.paths {
            if !self.meshes.of_pan_mut(pan).trees.confirmed(*name, eui64, *epoch) {
                self.sessions.edit_of(eui64, |state| state.owes_paths.insert(*name));
            }
        }
    }

    fn young_updates(&self, now: Instant, pan: PanId) -> usize {
        let young = |delivery: &&Delivery| {
            delivery.purpose == Purpose::Update && now.since(delivery.started) < SLOT_MAX
        };
        self.sessions.deliveries_in(pan).filter(young).count()
    }

    /// When the next delivery is due, gives up, or makes room for another.
    pub(crate) fn deliveries_due(&self, now: Instant) -> Instant {
        let slots = self.sessions.owing().flat_map(|(pan, _)| self.sessions.deliveries_in(pan));
        let free = slots.map(|delivery| delivery.started + SLOT_MAX).filter(|at| *at > now).min();
        let due = self.sessions.first_due().map(|(due, _)| due);
        free.into_iter().chain(due).min().unwrap_or(Instant::FAR_FUTURE)
    }
}
