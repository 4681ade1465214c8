//! A new link-layer key: staged at every member, then switched to at the border router.
//!
//! Members keep sending with the old key until they hear an authentic frame under the new one
//! (RFC 9031 section 8.4.3), so that the border router's switch carries the whole mesh along.
//!
//! **Invariant:** the router is told to switch only when every member confirmed the key, or none did for
//! as long as the configuration says, and when it knows of everybody who was expelled; who did not confirm is named, and joins again by itself.

use crate::change::Change;
use crate::interface::{Lacks, ManagerEvent};
use crate::key_status::StagedKeyStatus;
use crate::manager::Manager;
use crate::session::{Owed, Purpose, Stage};
use lowgate_amikey::KeyIndex;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant};
use std::collections::BTreeSet;

/// A border router that did not confirm the switch is told again so much later.
const SWITCH_RETRY: Duration = Duration::from_secs(30);

/// A key on its way to everybody.
#[derive(Debug)]
pub(crate) struct Rollover {
    index: KeyIndex,
    deadline: Instant,
    /// Members that did not confirm.
    open: BTreeSet<Eui64>,
    /// Members that did not confirm in time.
    late: BTreeSet<Eui64>,
    of: usize,
    switch_at: Instant,
}

impl Rollover {
    /// How far the key is spread.
    pub(crate) fn status(&self) -> StagedKeyStatus {
        let laggards: Vec<Eui64> = self.open.union(&self.late).copied().collect();
        let confirmed = self.of - laggards.len();
        StagedKeyStatus { index: self.index.raw(), confirmed, of: self.of, laggards }
    }
}

impl Manager {
    /// The staged key, if there is one, is to reach every member.
    pub(crate) fn begin_rollover(&mut self, now: Instant) {
        let Some(index) = self.domain.staged_key().map(|key| key.index) else { return };
        let mut open: BTreeSet<Eui64> =
            self.domain.members().map(|(device, _)| device.record.eui64).collect();
        if planted(Fault::RevocationForgetsOne) {
            open.extend(self.by_device.keys());
        }
        for state in self.sessions.values_mut() {
            state.owes_key = Owed::Key;
        }
        let deadline = now + self.config.rollover_deadline;
        let of = open.len();
        let late = BTreeSet::new();
        self.rollover = Some(Rollover { index, deadline, open, late, of, switch_at: now });
    }

    /// A member holds the key of that index.
    pub(crate) fn staged_key_confirmed(&mut self, now: Instant, eui64: Eui64, index: KeyIndex) {
        let Some(rollover) = self.rollover.as_mut().filter(|rollover| rollover.index == index)
        else {
            return;
        };
        rollover.late.remove(&eui64);
        if rollover.open.remove(&eui64) {
            // A large domain takes long to serve; only where nothing moves any more, somebody is late.
            rollover.deadline = now + self.config.rollover_deadline;
            let progress = ManagerEvent::RekeyProgress {
                done: rollover.of - rollover.open.len(),
                of: rollover.of,
            };
            self.event(progress);
        }
    }

    /// Whether the key is not switched to before this member confirms it, or is too late.
    pub(crate) fn rollover_awaits(&self, eui64: Eui64) -> bool {
        self.rollover.as_ref().is_some_and(|rollover| rollover.open.contains(&eui64))
    }

    /// Names who is too late, and tells the border router to switch, when it is time.
    pub(crate) fn advance_rollover(&mut self, now: Instant) -> bool {
        let settled = self.journal.is_settled();
        let Some(rollover) = self.rollover.as_mut().filter(|_| settled) else { return false };
        if now >= rollover.deadline && !rollover.open.is_empty() {
            let late = std::mem::take(&mut rollover.open);
            rollover.late.extend(&late);
            self.name_late(now, late);
            return true;
        }
        if !rollover.open.is_empty() || now < rollover.switch_at {
            return false;
        }
        // The mesh must not go on without a device while the border router still lets it in.
        if !self.router.knows_who_went() {
            return false;
        }
        let Some(session) = self.router.session() else { return false };
        let idle = |state: &crate::session::Session| matches!(state.stage, Stage::Settled);
        if !self.sessions.get(&session).is_some_and(idle) {
            return false;
        }
        rollover.switch_at = now + SWITCH_RETRY;
        self.begin_delivery(now, session, Purpose::Switch);
        true
    }

    fn name_late(&mut self, now: Instant, late: BTreeSet<Eui64>) {
        for eui64 in late {
            if let Some(session) = self.by_device.get(&eui64).copied() {
                let state = self.sessions.get_mut(&session).expect("maps agree");
                state.owes_key = Owed::Nothing;
                if matches!(&state.stage, Stage::Delivering(d) if d.lacks() == Lacks::StagedKey) {
                    self.give_up(now, session);
                }
            }
            self.event(ManagerEvent::GaveUp { eui64, what: Lacks::StagedKey });
        }
    }

    /// The border router sends with the key of that index.
    pub(crate) fn switched(&mut self, index: Option<KeyIndex>) {
        // A revocation in between may have staged yet another key.
        let staged = self.domain.staged_key().map(|key| key.index);
        if let Some(index) = index.filter(|index| staged == Some(*index)) {
            self.decide(&[Change::LinkKeyActivated { index }]);
        }
    }

    /// Whether the border router may have switched already, though it did not confirm it.
    pub(crate) fn switch_is_out(&self) -> bool {
        let router = self.router.session().and_then(|session| self.sessions.get(&session));
        router.is_some_and(
            |state| matches!(&state.stage, Stage::Delivering(d) if d.purpose == Purpose::Switch),
        )
    }

    /// When the rekey goes on by itself.
    pub(crate) fn rollover_due(&self) -> Instant {
        match &self.rollover {
            None => Instant::FAR_FUTURE,
            Some(rollover) if rollover.open.is_empty() => rollover.switch_at,
            Some(rollover) => rollover.deadline,
        }
    }
}
