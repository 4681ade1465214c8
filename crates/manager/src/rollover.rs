//! A new link-layer key of a PAN: staged at every member, then switched to at its border router.
//!
//! Members keep sending with the old key until they hear an authentic frame under the new one
//! (RFC 9031 section 8.4.3), so that the border router's switch carries the whole mesh along.
//!
//! Whom a change of key passed by lacks the network until it joins again: the next change tells it, but does
//! not wait for it. One device that is off delays one expulsion, not all.
//!
//! **Invariant:** the router is told to switch only when every member that has the key before confirmed this one,
//! or none did for as long as the configuration says, and when it knows of everybody who was expelled; who did
//! not confirm is named, and joins again by itself.

use crate::change::Change;
use crate::interface::{Lacks, ManagerEvent};
use crate::key_status::StagedKeyStatus;
use crate::manager::Manager;
use crate::session::{Delivery, Owed, Purpose, Stage};
use lowgate_amikey::KeyIndex;
use lowgate_dtls::SessionId;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, PanId};
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
    /// The epoch of the network's tree that is on its way with it.
    flood: Option<u32>,
    switch_at: Instant,
}

impl Rollover {
    /// How far the key is spread.
    pub(crate) fn status(&self) -> StagedKeyStatus {
        let laggards: Vec<Eui64> = self.open.union(&self.late).copied().collect();
        let confirmed = self.of - laggards.len();
        StagedKeyStatus { index: self.index.raw(), confirmed, of: self.of, laggards }
    }

    /// Whom the switch passes by.
    pub(crate) fn late(self) -> BTreeSet<Eui64> {
        self.late
    }

    /// These were told by that epoch of the network's tree; who was not is told otherwise, until then.
    pub(crate) fn told<'a>(
        &mut self,
        epoch: u32,
        told: impl Iterator<Item = &'a Eui64>,
        deadline: Instant,
    ) {
        if self.flood.take_if(|flood| *flood == epoch).is_some() {
            told.for_each(|eui64| _ = self.open.remove(eui64));
            self.deadline = deadline;
        }
    }

    /// Whether those who did not confirm had their time.
    fn is_overdue(&self, now: Instant) -> bool {
        !self.open.is_empty() && self.flood.is_none() && now >= self.deadline
    }

    /// Somebody is in this PAN no longer.
    pub(crate) fn forget(&mut self, eui64: Eui64) {
        if self.open.remove(&eui64) | self.late.remove(&eui64) {
            self.of -= 1;
        }
    }

    /// When the rekey goes on by itself.
    pub(crate) fn due(&self) -> Instant {
        match (self.open.is_empty(), self.flood) {
            (true, _) => self.switch_at,
            (false, None) => self.deadline,
            (false, Some(_)) => Instant::FAR_FUTURE,
        }
    }
}

/// The next step of a rekey.
enum Step {
    /// These did not confirm in time.
    Late(BTreeSet<Eui64>),
    /// The border router is to be told.
    Switch,
}

impl Manager {
    /// The staged key of a PAN, if there is one, is to reach every member.
    pub(crate) fn begin_rollover(&mut self, now: Instant, id: PanId) {
        let pan = &self.domain.pans()[&id];
        let Some(index) = pan.staged_key.as_ref().map(|key| key.index) else { return };
        let behind = &self.meshes.of_pan(id).behind;
        let (late, mut open): (BTreeSet<Eui64>, BTreeSet<Eui64>) =
            pan.members.keys().copied().partition(|eui64| behind.contains(eui64));
        if planted(Fault::RevocationForgetsOne) {
            open.extend(self.sessions.devices());
        }
        let (flood, told) = self.tell_network(id).unzip();
        let told = told.unwrap_or_default();
        for eui64 in open.difference(&told).chain(&late) {
            self.sessions.edit_of(*eui64, |state| state.owes_key = Owed::Key);
        }
        let deadline = now + self.config.rollover_deadline;
        let of = open.len() + late.len();
        let rollover = Rollover { index, deadline, open, late, of, flood, switch_at: now };
        self.meshes.of_pan_mut(id).rollover = Some(rollover);
    }

    /// A member holds the key of that index.
    pub(crate) fn staged_key_confirmed(
        &mut self,
        now: Instant,
        pan: PanId,
        eui64: Eui64,
        index: KeyIndex,
    ) {
        let rollover = self.meshes.of_pan_mut(pan).rollover.as_mut();
        let Some(rollover) = rollover.filter(|rollover| rollover.index == index) else { return };
        rollover.late.remove(&eui64);
        if rollover.open.remove(&eui64) {
            // A large domain takes long to serve; only where nothing moves any more, somebody is late.
            rollover.deadline = now + self.config.rollover_deadline;
            let done = rollover.of - rollover.open.len() - rollover.late.len();
            let of = rollover.of;
            self.event(ManagerEvent::RekeyProgress { pan, done, of });
        }
    }

    /// Whether the key is not switched to before this member confirms it, or is too late.
    pub(crate) fn rollover_awaits(&self, pan: PanId, eui64: Eui64) -> bool {
        let rollover = self.meshes.of_pan(pan).rollover.as_ref();
        rollover.is_some_and(|rollover| rollover.open.contains(&eui64))
    }

    /// Names who is too late, and tells a border router to switch, when it is time.
    pub(crate) fn advance_rollover(&mut self, now: Instant) -> bool {
        if !self.journal.is_settled() {
            return false;
        }
        let sessions = &self.sessions;
        let is_idle = |session: SessionId| {
            sessions.get(session).is_some_and(|state| matches!(state.stage, Stage::Settled))
        };
        let step = self.meshes.iter_mut().find_map(|(pan, mesh)| {
            let rollover = mesh.rollover.as_mut()?;
            if rollover.is_overdue(now) {
                let late = std::mem::take(&mut rollover.open);
                rollover.late.extend(&late);
                return Some((pan, Step::Late(late)));
            }
            let due = rollover.open.is_empty() && now >= rollover.switch_at;
            // The mesh must not go on without a device while the border router still lets it in.
            let ready = mesh.router.knows_who_went()
                && mesh.trees.is_idle()
                && mesh.router.session().is_some_and(is_idle);
            if !due || !ready {
                return None;
            }
            rollover.switch_at = now + SWITCH_RETRY;
            Some((pan, Step::Switch))
        });
        match step {
            Some((_, Step::Late(late))) => self.name_late(now, late),
            Some((pan, Step::Switch)) => {
                if let Some(session) = self.meshes.of_pan(pan).router.session() {
                    self.begin_delivery(now, session, Purpose::Switch);
                }
            }
            None => return false,
        }
        true
    }

    fn name_late(&mut self, now: Instant, late: BTreeSet<Eui64>) {
        for eui64 in late {
            let lacks = self.sessions.edit_of(eui64, |state| {
                state.owes_key = Owed::Nothing;
                state.delivery().map(Delivery::lacks)
            });
            if let (Some(session), Some(Some(Lacks::StagedKey))) =
                (self.sessions.of_device(eui64), lacks)
            {
                self.give_up(now, session);
            }
            self.event(ManagerEvent::GaveUp { eui64, what: Lacks::StagedKey });
        }
    }

    /// The border router of a PAN sends with the key of that index.
    pub(crate) fn switched(&mut self, pan: PanId, index: Option<KeyIndex>) {
        // A revocation in between may have staged yet another key.
        let staged = self.domain.pans()[&pan].staged_key.as_ref().map(|key| key.index);
        if let Some(index) = index.filter(|index| staged == Some(*index)) {
            self.decide(&[Change::LinkKeyActivated { pan, index }]);
        }
    }

    /// The PANs whose border router may have switched already, though it did not confirm it.
    pub(crate) fn switching(&self) -> impl Iterator<Item = PanId> {
        self.meshes.iter().filter_map(|(pan, mesh)| {
            let state = self.sessions.get(mesh.router.session()?)?;
            let delivery = state.delivery()?;
            (delivery.purpose == Purpose::Switch).then_some(pan)
        })
    }
}
