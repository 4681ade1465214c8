//! Which relay to try: the beacons heard in a scan, ordered by what promises the shortest join.
//!
//! **Invariant:** a relay that failed is tried again only after all others that were heard, so one
//! bad or hostile beacon delays a join and cannot prevent it.

use crate::beacon::Beacon;
use heapless::Vec;
use lowgate_units::{Eui64, Lqi, PanId, Rssi};

/// Relays remembered from one scan; further ones replace the least promising.
pub const CANDIDATES_MAX: usize = 8;
/// Below this a link loses so many frames that a relay farther from the root is the better choice.
const RSSI_GOOD: Rssi = Rssi(-82);

/// A relay that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its EUI-64, the source of the beacon.
    pub relay: Eui64,
    /// Its PAN.
    pub pan_id: PanId,
    /// What it said.
    pub beacon: Beacon,
    /// How strong it was heard.
    pub rssi: Rssi,
    /// How well.
    pub lqi: Lqi,
}

impl Candidate {
    /// Smaller is better: each hop costs 16, a weak link 2 for each dB under good, a busy relay 0 to 15.
    fn cost(&self) -> u32 {
        let hops = 16 * u32::from(self.beacon.dag_rank);
        let weakness = i16::from(RSSI_GOOD.0) - i16::from(self.rssi.0);
        let weak = 2 * u32::try_from(weakness).unwrap_or(0);
        hops + weak + u32::from(self.beacon.load >> 4)
    }
}

/// The relays of one scan and those that failed since the last joined network.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    heard: Vec<Candidate, CANDIDATES_MAX>,
    failed: Vec<Eui64, CANDIDATES_MAX>,
}

impl Candidates {
    /// Before a new scan: what was heard is stale, who failed is remembered.
    pub fn clear_heard(&mut self) {
        self.heard.clear();
    }

    /// After success or for a fresh start.
    pub fn forget_failures(&mut self) {
        self.failed.clear();
    }

    /// Notes a beacon; the latest of a relay counts.
    pub fn hear(&mut self, candidate: Candidate) {
        if let Some(known) = self.heard.iter_mut().find(|known| known.relay == candidate.relay) {
            *known = candidate;
        } else if let Err(candidate) = self.heard.push(candidate) {
            let worst = self.heard.iter_mut().max_by_key(|known| known.cost());
            if let Some(worst) = worst.filter(|worst| candidate.cost() < worst.cost()) {
                *worst = candidate;
            }
        }
    }

    /// Takes the best relay that did not fail; `None` when all that were heard have failed.
    pub fn take_best(&mut self) -> Option<Candidate> {
        let (index, _) = self
            .heard
            .iter()
            .enumerate()
            .filter(|(_, known)| !self.failed.contains(&known.relay))
            .min_by_key(|(_, known)| (known.cost(), known.relay))?;
        Some(self.heard.swap_remove(index))
    }

    /// A join through `relay` failed; with the table full the oldest failure is forgiven.
    pub fn fail(&mut self, relay: Eui64) {
        if self.failed.contains(&relay) {
            return;
        }
        if self.failed.is_full() {
            self.failed.remove(0);
        }
        self.failed.push(relay).expect("room was made above");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u8, dag_rank: u8, rssi: i8, load: u8) -> Candidate {
        Candidate {
            relay: Eui64([id; 8]),
            pan_id: PanId::new(1).expect("not broadcast"),
            beacon: Beacon { join_open: true, domain_hint: [0; 4], dag_rank, load },
            rssi: Rssi(rssi),
            lqi: Lqi(255),
        }
    }

    fn order(candidates: &[Candidate]) -> Vec<u8, CANDIDATES_MAX> {
        let mut table = Candidates::default();
        for candidate in candidates {
            table.hear(*candidate);
        }
        core::iter::from_fn(|| table.take_best()).map(|best| best.relay.0[0]).collect()
    }

    #[test]
    fn nearer_to_the_root_first_but_not_over_a_bad_link() {
        assert_eq!(order(&[candidate(1, 3, -60, 0), candidate(2, 2, -60, 0)])[..], [2, 1]);
        assert_eq!(order(&[candidate(1, 3, -60, 0), candidate(2, 2, -93, 0)])[..], [1, 2]);
        assert_eq!(order(&[candidate(1, 2, -60, 200), candidate(2, 2, -60, 0)])[..], [2, 1]);
    }

    #[test]
    fn who_failed_waits_for_forgiveness() {
        let mut table = Candidates::default();
        table.fail(Eui64([1; 8]));
        table.hear(candidate(1, 1, -50, 0));
        assert_eq!(table.take_best(), None);
        table.forget_failures();
        assert_eq!(table.take_best(), Some(candidate(1, 1, -50, 0)));
    }

    #[test]
    fn a_full_table_keeps_the_better_ones() {
        let mut table = Candidates::default();
        for id in 1..=8 {
            table.hear(candidate(id, 9, -60, 0));
        }
        table.hear(candidate(20, 2, -60, 0));
        table.hear(candidate(21, 30, -60, 0));
        assert_eq!(table.take_best().map(|best| best.relay.0[0]), Some(20));
        let rest = core::iter::from_fn(|| table.take_best()).count();
        assert_eq!(rest, 7);
    }
}
