//! Members without a session are told so: a manager that restarts has none, and they cannot know.
//!
//! Each is sent a HelloRequest, which proves nothing; it asks within the session that it believes in, hears
//! nothing, and makes a new one. Who is off is told again, less and less often.
//!
//! **Invariant:** only the admitted are told, one at a time in each PAN, and a member that has a session
//! never.

use crate::manager::Manager;
use lowgate_access::JOINER_PORT;
use lowgate_dtls::Peer;
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, PanId};
use std::collections::{BTreeMap, BTreeSet};

/// Between two members: a handshake of eight datagrams follows each.
const GAP: Duration = Duration::from_secs(1);
/// After the first time, a member is told again so much later; then each time twice as late.
const AGAIN_MIN: Duration = Duration::from_secs(60);
/// A member that may be off for good is told no less often.
const AGAIN_MAX: Duration = Duration::from_secs(3600);

/// Who is to be told, and when.
#[derive(Debug, Default)]
pub(crate) struct Rousing {
    silent: BTreeMap<Eui64, Silent>,
    /// Who was never told comes before who is told again.
    in_turn: BTreeSet<(Instant, Eui64)>,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Silent {
    next_at: Instant,
    pause: Duration,
}

impl Rousing {
    /// A member has no session, or no longer.
    pub(crate) fn lost(&mut self, now: Instant, eui64: Eui64) {
        let silent = Silent { next_at: now, pause: AGAIN_MIN };
        let silent = self.silent.entry(eui64).or_insert(silent);
        self.in_turn.insert((silent.next_at, eui64));
    }

    /// A member has a session, or is none any more.
    pub(crate) fn found(&mut self, eui64: Eui64) {
        if let Some(silent) = self.silent.remove(&eui64) {
            self.in_turn.remove(&(silent.next_at, eui64));
        }
    }

    /// Who is to be told now, if anybody.
    fn take_due(&mut self, now: Instant) -> Option<Eui64> {
        if now < self.not_before {
            return None;
        }
        let (_, eui64) = self.in_turn.first().copied().filter(|(at, _)| *at <= now)?;
        self.in_turn.pop_first();
        let silent = self.silent.get_mut(&eui64)?;
        silent.next_at = now + silent.pause;
        silent.pause = (silent.pause * 2).min(AGAIN_MAX);
        self.in_turn.insert((silent.next_at, eui64));
        self.not_before = now + GAP;
        Some(eui64)
    }

    /// When somebody is.
    pub(crate) fn due(&self) -> Instant {
        let first = self.in_turn.first().map(|(at, _)| *at);
        first.map_or(Instant::FAR_FUTURE, |first| first.max(self.not_before))
    }
}

impl Manager {
    /// Tells one member that it has no session; whether one was told.
    pub(crate) fn rouse(&mut self, now: Instant) -> bool {
        let due = self.meshes.iter_mut().filter(|(_, mesh)| mesh.may_rouse());
        let due = due.filter_map(|(pan, mesh)| Some((pan, mesh.rousing.take_due(now)?))).next();
        let Some((pan, eui64)) = due else { return false };
        match self.mesh_addr(pan, eui64) {
            Some(addr) => {
                let relay_header = heapless::Vec::new();
                self.server.request_hello(&Peer { addr, port: JOINER_PORT, relay_header });
            }
            None => self.meshes.of_pan_mut(pan).rousing.found(eui64),
        }
        true
    }

    /// Where the mesh of a PAN routes to a member of it.
    fn mesh_addr(&self, pan: PanId, eui64: Eui64) -> Option<Ipv6Addr> {
        let pan = &self.domain.pans()[&pan];
        // The border router asks by itself.
        let short = pan.members.get(&eui64).filter(|_| pan.border_router != Some(eui64))?;
        Some(pan.config.addr(*short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(1000);

    fn device(n: u8) -> Eui64 {
        Eui64([2, 0, 0, 0, 0, 0, 0, n])
    }

    #[test]
    fn one_after_the_other_and_less_and_less_often() {
        let mut rousing = Rousing::default();
        rousing.lost(NOW, device(1));
        rousing.lost(NOW, device(2));
        let mut told = BTreeMap::<Eui64, Vec<u64>>::new();
        let mut now = NOW;
        while now < NOW + Duration::from_secs(600) {
            if let Some(eui64) = rousing.take_due(now) {
                told.entry(eui64).or_default().push((now - NOW).as_secs());
                assert_eq!(rousing.take_due(now), None, "one at a time");
            }
            now = rousing.due();
        }
        assert_eq!(told[&device(1)], [0, 60, 180, 420]);
        assert_eq!(told[&device(2)], [1, 61, 181, 421]);
        rousing.found(device(1));
        rousing.found(device(2));
        assert_eq!(rousing.due(), Instant::FAR_FUTURE);
    }

    #[test]
    fn losing_a_session_twice_does_not_begin_anew() {
        let mut rousing = Rousing::default();
        rousing.lost(NOW, device(1));
        assert_eq!(rousing.take_due(NOW), Some(device(1)));
        rousing.lost(NOW + GAP, device(1));
        assert_eq!(rousing.due(), NOW + AGAIN_MIN);
    }
}
