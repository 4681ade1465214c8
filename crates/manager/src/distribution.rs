//! Getting key messages to devices: one record at a time, repeated until confirmed, with a bound.
//!
//! **Invariant:** a delivery is made only while everything decided is stored, so that no message
//! holds what a crash could undo.

use crate::device::Kind;
use crate::interface::{Lacks, ManagerDrop, ManagerEvent};
use crate::manager::Manager;
use crate::messages::{self, RECORD_OCTETS_MAX, RecordBuffer};
use crate::session::{Delivery, Owed, Purpose, Session, Stage};
use lowgate_amikey::{GroupId, KeyError, Message, Messages, Req, emit_all};
use lowgate_dtls::{ContentType, RetransmissionTimer, SessionId};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant};

/// Members that are sent changed keys at a time.
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
        match self.sessions.get_mut(&session) {
            Some(state) => state.heard(),
            None => return self.drop_input(ManagerDrop::NoSession),
        }
        match content_type {
            ContentType::ApplicationData => self.coap_received(now, session, octets),
            ContentType::KeyData | ContentType::KeyParameters => {
                for message in Messages::new(octets) {
                    match message {
                        Ok(message) => self.key_message(now, session, &message),
                        Err(bad) => self.drop_input(ManagerDrop::KeyMessage(bad.why)),
                    }
                }
            }
        }
    }

    fn key_message(&mut self, now: Instant, session: SessionId, message: &Message) {
        match message {
            Message::Ack { msg_id } => {
                self.confirm(now, session, |delivery| delivery.confirm(*msg_id));
            }
            Message::Req(req) => self.requested(now, session, req),
            Message::Err { error, .. } => self.keys_refused(now, session, *error),
            Message::Mkd(_) | Message::Spd(_) | Message::Cfg { .. } => {
                self.drop_input(ManagerDrop::UnexpectedKeyMessage);
            }
        }
    }

    /// A member lacks an epoch: it is told everything again. Changes of membership are the
    /// inventory's business.
    fn requested(&mut self, now: Instant, session: SessionId, req: &Req) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let answer = if req.wishes.is_empty() {
            state.owes_groups.extend(state.granted.keys());
            if self.domain.staged_key().is_some() {
                state.owes_key = Owed::Key;
            }
            Message::Ack { msg_id: req.msg_id }
        } else {
            Message::Err { msg_id: req.msg_id, error: KeyError::NotAuthorized }
        };
        let mut octets = [0; 3];
        let len = answer.emit(&mut octets).expect("three octets at most");
        let octets = &octets[..len];
        if self.server.send(now, session, ContentType::KeyParameters, octets).is_err() {
            self.drop_input(ManagerDrop::NoSession);
        }
    }

    fn keys_refused(&mut self, now: Instant, session: SessionId, error: KeyError) {
        let Some(state) = self.sessions.get(&session) else { return };
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
        let Some(Session { stage: Stage::Delivering(delivery), .. }) =
            self.sessions.get_mut(&session)
        else {
            return; // late or repeated
        };
        if !confirmed(delivery) {
            return;
        }
        delivery.timer.answered(now);
        if delivery.out().is_some() {
            self.send_record(now, session);
        } else {
            self.delivered(now, session);
        }
    }

    /// Everything of a delivery is confirmed.
    fn delivered(&mut self, now: Instant, session: SessionId) {
        let Some((eui64, delivery)) = self.take_delivery(session) else { return };
        self.event(ManagerEvent::KeysConfirmed { eui64 });
        self.epochs_confirmed(session, &delivery);
        if let (Some(index), Purpose::Join | Purpose::Update) = (delivery.carries, delivery.purpose)
        {
            self.staged_key_confirmed(now, eui64, index);
        }
        match delivery.purpose {
            Purpose::Join if self.is_border_router(eui64) => {
                let members = self.domain.members();
                let others = members.map(|(device, short)| (device.record.eui64, short));
                self.router.arrived(session, others.filter(|(other, _)| *other != eui64));
            }
            Purpose::Switch => self.switched(delivery.carries),
            Purpose::Join | Purpose::Update => {}
        }
    }

    fn take_delivery(&mut self, session: SessionId) -> Option<(Eui64, Delivery)> {
        let state = self.sessions.get_mut(&session)?;
        match std::mem::replace(&mut state.stage, Stage::Settled) {
            Stage::Delivering(delivery) => Some((state.eui64, delivery)),
            stage => {
                state.stage = stage;
                None
            }
        }
    }

    /// The first delivery whose time has come is repeated or given up.
    pub(crate) fn expire_deliveries(&mut self, now: Instant) -> bool {
        let expired = self.deliveries().find_map(|(session, _, delivery)| {
            let over = delivery.timer.gives_up() <= now;
            (over || delivery.timer.due() <= now).then_some((session, over))
        });
        match expired {
            Some((session, true)) => self.give_up(now, session),
            Some((session, false)) => self.send_record(now, session),
            None => return false,
        }
        true
    }

    fn deliveries(&self) -> impl Iterator<Item = (SessionId, Eui64, &Delivery)> {
        self.sessions.iter().filter_map(|(session, state)| match &state.stage {
            Stage::Delivering(delivery) => Some((*session, state.eui64, delivery)),
            Stage::Admitting | Stage::Settled => None,
        })
    }

    /// Stops trying. A newcomer loses its session: it begins anew when it wants to.
    pub(crate) fn give_up(&mut self, now: Instant, session: SessionId) {
        let Some((eui64, delivery)) = self.take_delivery(session) else { return };
        let what = delivery.lacks();
        let awaited = self.rollover_awaits(eui64);
        if let Some(state) = self.sessions.get_mut(&session) {
            state.missed_groups.extend(delivery.epochs.iter().map(|(group, _)| *group));
            if what == Lacks::StagedKey && awaited {
                state.owes_key = Owed::Key;
            }
        }
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
        let Some(Session { eui64, stage: Stage::Delivering(delivery), .. }) =
            self.sessions.get_mut(&session)
        else {
            return;
        };
        let Some(out) = delivery.out() else { return };
        let mut buffer = RecordBuffer::new([0; RECORD_OCTETS_MAX]);
        let octets = emit_all(out, &mut buffer[..]).expect("packed to fit");
        let content_type = match out.first() {
            Some(Message::Mkd(_)) => ContentType::KeyData,
            _ => ContentType::KeyParameters,
        };
        let (eui64, messages) = (*eui64, out.len());
        let first = delivery.timer.transmissions() == 0;
        delivery.timer.sent(now, &mut self.prng);
        if self.server.send(now, session, content_type, &buffer[..octets]).is_err() {
            // The session is gone, or out of record numbers; either way it must be made anew.
            self.end_session_of(now, eui64);
        } else if first {
            self.event(ManagerEvent::KeysSent { eui64, messages, octets });
        }
    }

    /// Begins one delivery that may begin.
    pub(crate) fn begin_deliveries(&mut self, now: Instant) -> bool {
        if !self.journal.is_settled() && !planted(Fault::AnswerBeforeCommit) {
            return false;
        }
        let young = self.young_updates(now);
        let next = self.sessions.iter().find_map(|(session, state)| {
            let purpose = match state.stage {
                Stage::Admitting if self.may_have_keys(state.eui64) => Some(Purpose::Join),
                Stage::Settled if young < UPDATES_MAX && state.owes() => Some(Purpose::Update),
                Stage::Admitting | Stage::Settled | Stage::Delivering(_) => None,
            };
            purpose.map(|purpose| (*session, purpose))
        });
        let Some((session, purpose)) = next else { return false };
        self.begin_delivery(now, session, purpose);
        true
    }

    /// A device hears its keys only when the border router would register it.
    fn may_have_keys(&self, eui64: Eui64) -> bool {
        self.is_border_router(eui64)
            || self.router.knows(eui64)
            || planted(Fault::AnswerBeforeCommit)
    }

    fn is_border_router(&self, eui64: Eui64) -> bool {
        let device = self.domain.devices().get(&eui64);
        device.is_some_and(|device| device.record.kind == Kind::BorderRouter)
    }

    pub(crate) fn begin_delivery(&mut self, now: Instant, session: SessionId, purpose: Purpose) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let staged = self.domain.staged_key();
        let mut carries = staged.map(|key| key.index);
        let records = match purpose {
            Purpose::Join => {
                let device = &self.domain.devices()[&state.eui64];
                state.owes_key = Owed::Nothing;
                state.owes_groups.clear();
                messages::join(&self.domain, device, state, self.config.join_rate)
            }
            Purpose::Update => {
                let groups = std::mem::take(&mut state.owes_groups);
                let owed = std::mem::replace(&mut state.owes_key, Owed::Nothing);
                let staged = staged.filter(|_| owed == Owed::Key);
                carries = staged.map(|key| key.index);
                messages::update(&self.domain, state, groups, staged)
            }
            Purpose::Switch => staged.map_or(Vec::new(), |key| messages::switch(key, state)),
        };
        if records.is_empty() {
            return;
        }
        let timer = RetransmissionTimer::new(self.config.retransmission, now);
        let delivery = Delivery::new(now, purpose, records, carries, timer);
        state.stage = Stage::Delivering(delivery);
        self.send_record(now, session);
    }

    /// A group has new keys: everybody who holds the old ones is to be told.
    pub(crate) fn owe_group(&mut self, group: GroupId) {
        for state in self.sessions.values_mut().filter(|state| state.granted.contains_key(&group)) {
            state.owes_groups.insert(group);
        }
    }

    fn young_updates(&self, now: Instant) -> usize {
        let young = |delivery: &Delivery| now.since(delivery.started) < SLOT_MAX;
        let updates = self.deliveries().filter(|(_, _, d)| d.purpose == Purpose::Update);
        updates.filter(|(_, _, delivery)| young(delivery)).count()
    }

    /// When the next delivery is due, gives up, or makes room for another.
    pub(crate) fn deliveries_due(&self, now: Instant) -> Instant {
        let waiting = self.sessions.values().any(|s| matches!(s.stage, Stage::Settled) && s.owes());
        let due = self.deliveries().map(|(_, _, delivery)| {
            let slot_free = delivery.started + SLOT_MAX;
            let slot = if waiting && slot_free > now { slot_free } else { Instant::FAR_FUTURE };
            delivery.timer.due().min(delivery.timer.gives_up()).min(slot)
        });
        due.min().unwrap_or(Instant::FAR_FUTURE)
    }
}
