//! Which session was silent for the longest time. No index is kept of it, for a session is small and there are many:
//! the stalest of all are looked for together, and then used up one by one.
//!
//! **Invariant:** whoever is named is the stalest. A session is only ever heard later than before, so nobody who was
//! not among the stalest can become one of them before all of those are heard or gone.

use super::session::SessionTable;
use super::{Server, SessionId};
use crate::CloseReason;
use alloc::vec::Vec;
use lowgate_units::{Duration, Instant};

/// How many are looked for at once.
const STALEST_MAX: usize = 64;

/// The stalest sessions when they were looked for, the first of them last.
#[derive(Default)]
pub(super) struct Stale(Vec<(Instant, SessionId)>);

impl Stale {
    /// The session that was heard least recently.
    fn first(&mut self, table: &SessionTable) -> Option<(Instant, SessionId)> {
        let still = |(heard, id): &(Instant, SessionId)| {
            table.get(*id).is_some_and(|session| session.last_heard == *heard)
        };
        while self.0.last().is_some_and(|first| !still(first)) {
            self.0.pop();
        }
        if self.0.is_empty() {
            self.0 = table.stalest(STALEST_MAX);
        }
        self.0.last().copied()
    }

    /// The same, and it is about to go.
    pub(super) fn take(&mut self, table: &SessionTable) -> Option<SessionId> {
        let (_, id) = self.first(table)?;
        self.0.pop();
        Some(id)
    }

    /// When to look for an idle session again.
    pub(super) fn idle_at(&self, idle_close: Option<Duration>) -> Instant {
        match (idle_close, self.0.last()) {
            (Some(length), Some((heard, _))) => *heard + length,
            (Some(_), None) | (None, _) => Instant::FAR_FUTURE,
        }
    }
}

impl Server {
    /// Says goodbye to who was silent for too long.
    pub(super) fn close_idle(&mut self, now: Instant) {
        let Some(length) = self.config.idle_close else { return };
        while let Some((heard, id)) = self.stale.first(&self.table)
            && heard + length <= now
        {
            self.end_session(id, CloseReason::Idle);
        }
    }
}
