//! All sessions, and who of them waits for what.
//!
//! **Invariant:** the indices follow from the sessions: a session changes in [`Sessions::edit`] only. What
//! happens to one session costs no look at the others.

use crate::session::{Delivery, Owed, Purpose, Session, Stage};
use lowgate_dtls::SessionId;
use lowgate_units::{Eui64, Instant, PanId};
use std::collections::{BTreeMap, BTreeSet};

/// The sessions of a manager.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: BTreeMap<SessionId, Session>,
    /// The one session of each device.
    by_device: BTreeMap<Eui64, SessionId>,
    /// Whose keys have not left yet.
    admitting: BTreeSet<SessionId>,
    /// Who is to be told something and could be.
    owing: ByPan,
    /// Whose messages are out.
    delivering: ByPan,
    /// When the messages that are out are repeated or given up.
    due: BTreeSet<(Instant, SessionId)>,
}

impl Sessions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// A session.
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.table.get(&id)
    }

    /// The name of a device's session.
    pub(crate) fn of_device(&self, eui64: Eui64) -> Option<SessionId> {
        self.by_device.get(&eui64).copied()
    }

    /// A device's session.
    pub(crate) fn by_device(&self, eui64: Eui64) -> Option<&Session> {
        self.table.get(self.by_device.get(&eui64)?)
    }

    /// A new session; it is the one of its device.
    pub(crate) fn insert(&mut self, id: SessionId, session: Session) {
        self.by_device.insert(session.eui64, id);
        self.index(id, &session);
        self.table.insert(id, session);
    }

    /// A session is over.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.table.remove(&id)?;
        self.forget(id, &session);
        if self.by_device.get(&session.eui64) == Some(&id) {
            self.by_device.remove(&session.eui64);
        }
        Some(session)
    }

    /// Changes a session, if there is one of that name.
    pub(crate) fn edit<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let mut session = self.table.remove(&id)?;
        self.forget(id, &session);
        let result = change(&mut session);
        self.index(id, &session);
        self.table.insert(id, session);
        Some(result)
    }

    /// Changes a device's session, if it has one.
    pub(crate) fn edit_of<R>(
        &mut self,
        eui64: Eui64,
        change: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        self.edit(self.of_device(eui64)?, change)
    }

    /// Another key is in force in a PAN than the joins under way tell.
    pub(crate) fn owe_switch(&mut self, pan: PanId) {
        let them = self.delivering.0.get(&pan).into_iter().flatten().copied();
        let told_before = |id: &SessionId| {
            let delivery = self.table[id].delivery();
            delivery.is_some_and(|delivery| delivery.purpose == Purpose::Join)
        };
        let newcomers: Vec<SessionId> = them.filter(told_before).collect();
        for id in newcomers {
            self.edit(id, |state| state.owes_key = Owed::Switch);
        }
    }

    /// Who has one.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Eui64> {
        self.by_device.keys().copied()
    }

    /// Whose keys have not left yet.
    pub(crate) fn admitting(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.admitting.iter().map(|id| (*id, &self.table[id]))
    }

    /// The PANs in which somebody is to be told something and could be, and the first of them.
    pub(crate) fn owing(&self) -> impl Iterator<Item = (PanId, SessionId)> {
        self.owing.0.iter().filter_map(|(pan, them)| Some((*pan, *them.first()?)))
    }

    /// The deliveries that are out in a PAN.
    pub(crate) fn deliveries_in(&self, pan: PanId) -> impl Iterator<Item = &Delivery> {
        let them = self.delivering.0.get(&pan).into_iter().flatten();
        them.filter_map(|id| self.table[id].delivery())
    }

    /// Whose messages are to be repeated or given up first, and when.
    pub(crate) fn first_due(&self) -> Option<(Instant, SessionId)> {
        self.due.first().copied()
    }

    fn index(&mut self, id: SessionId, session: &Session) {
        match &session.stage {
            Stage::Admitting => _ = self.admitting.insert(id),
            Stage::Settled => {
                if session.owes() {
                    self.owing.insert(session.pan, id);
                }
            }
            Stage::Delivering(delivery) => {
                self.delivering.insert(session.pan, id);
                self.due.insert((delivery.due(), id));
            }
        }
    }

    fn forget(&mut self, id: SessionId, session: &Session) {
        match &session.stage {
            Stage::Admitting => _ = self.admitting.remove(&id),
            Stage::Settled => self.owing.remove(session.pan, id),
            Stage::Delivering(delivery) => {
                self.delivering.remove(session.pan, id);
                self.due.remove(&(delivery.due(), id));
            }
        }
    }
}

/// Sessions by PAN; no PAN without one.
#[derive(Debug, Default)]
struct ByPan(BTreeMap<PanId, BTreeSet<SessionId>>);

impl ByPan {
    fn insert(&mut self, pan: PanId, id: SessionId) {
        self.0.entry(pan).or_default().insert(id);
    }

    fn remove(&mut self, pan: PanId, id: SessionId) {
        let Some(them) = self.0.get_mut(&pan) else { return };
        them.remove(&id);
        if them.is_empty() {
            self.0.remove(&pan);
        }
    }
}
