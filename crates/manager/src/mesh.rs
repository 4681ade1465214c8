//! What the manager keeps of each PAN while it runs: the link to its border router, the rekey under way,
//! and who is to be told that its session is gone.
//!
//! **Invariant:** there is one for every PAN of the domain.

use crate::domain::Domain;
use crate::rollover::Rollover;
use crate::rousing::Rousing;
use crate::router_link::RouterLink;
use crate::trees::Trees;
use lowgate_units::{Eui64, Instant, PanId};
use std::collections::{BTreeMap, BTreeSet};

/// One PAN's.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) router: RouterLink,
    pub(crate) rollover: Option<Rollover>,
    /// Whom a change of key passed by, and who confirmed nothing since.
    pub(crate) behind: BTreeSet<Eui64>,
    pub(crate) rousing: Rousing,
    pub(crate) trees: Trees,
}

impl Mesh {
    /// Whether the border router lets members reach the manager; before, telling them leads to nothing.
    pub(crate) const fn may_rouse(&self) -> bool {
        self.router.revision().is_some()
    }

    /// When its own timers want it, those that wait for something else left out.
    pub(crate) fn due(&self, now: Instant, members: usize) -> Instant {
        let rollover = self.rollover.as_ref().map_or(Instant::FAR_FUTURE, Rollover::due);
        let rousing = if self.may_rouse() { self.rousing.due() } else { Instant::FAR_FUTURE };
        let trees = self.trees.due(members);
        let waiting = [rollover, self.router.due(), rousing, trees];
        let later = waiting.into_iter().filter(|due| *due > now).min();
        later.unwrap_or(Instant::FAR_FUTURE)
    }
}

/// Every PAN's.
#[derive(Debug, Default)]
pub(crate) struct Meshes(BTreeMap<PanId, Mesh>);

impl Meshes {
    /// A manager that begins: no border router has a session.
    pub(crate) fn of(domain: &Domain) -> Self {
        Self(domain.pans().keys().map(|pan| (*pan, Mesh::default())).collect())
    }

    /// The domain has one more PAN.
    pub(crate) fn create(&mut self, pan: PanId) {
        self.0.insert(pan, Mesh::default());
    }

    /// One PAN's.
    pub(crate) fn of_pan(&self, pan: PanId) -> &Mesh {
        &self.0[&pan]
    }

    /// One PAN's.
    pub(crate) fn of_pan_mut(&mut self, pan: PanId) -> &mut Mesh {
        self.0.get_mut(&pan).expect("every PAN of the domain has one")
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PanId, &Mesh)> {
        self.0.iter().map(|(pan, mesh)| (*pan, mesh))
    }

    /// All of them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (PanId, &mut Mesh)> {
        self.0.iter_mut().map(|(pan, mesh)| (*pan, mesh))
    }
}
