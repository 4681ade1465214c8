//! Who is in range, how good the link to them is, and what rank they say they have.
//! **Invariant:** only secured frames make or change an entry.

use lowgate_units::{Duration, Eui64, Instant, LinkAddr, List, Rssi, ShortAddr};

/// Neighbours remembered. In denser places the ones of no use are forgotten first.
pub const NEIGHBOURS_MAX: usize = 40;

/// One transmission, in units of the link metric (RFC 6551 section 4.3.2: ETX times 128).
pub(crate) const ETX_ONE: u16 = 128;
/// Where RFC 6719 section 5 does not use links above MAX_LINK_METRIC, here no link costs more than this,
/// so that the only way to the root is kept however bad. Who does not answer at all is gone.
pub(crate) const LINK_METRIC_MAX: u16 = 8 * ETX_ONE;
/// Failures in a row, over [`FAILING`], after which a neighbour is taken for gone. A shorter row is a full
/// air, and to look for another way would fill it more.
const FAILURES_MAX: u8 = 3;
/// See [`FAILURES_MAX`].
const FAILING: Duration = Duration::from_secs(6);
/// How long a neighbour that failed us is not chosen again.
const PENALTY: Duration = Duration::from_secs(10);
/// Who was not tried for so long is given some of its trust back when it is heard.
const TRUST_AGAIN: Duration = Duration::from_secs(60);

/// At this strength and above a link is taken for good before it was measured.
const RSSI_GOOD: i16 = -80;
/// Each dB below costs so much.
const METRIC_PER_DB: u16 = 16;
/// From here on long frames fail where short ones, by which links are measured, still arrive: whatever was
/// measured, such a link costs no less than [`weak_metric`] says.
const RSSI_WEAK: i16 = -88;
/// Each dB below costs so much more before anything was measured: any other way is better.
const METRIC_PER_WEAK_DB: u16 = ETX_ONE;
/// And afterwards that much, times the dB: from a link on which nothing is lost to one on which most is, it is 4 dB.
const METRIC_PER_WEAK_DB_SQUARED: u16 = ETX_ONE / 2;
const METRIC_GOOD: u16 = ETX_ONE + ETX_ONE / 4;

/// What a neighbour's last DIO said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) rank: u16,
    pub(crate) version: u8,
    pub(crate) dtsn: u8,
}

/// One neighbour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbour {
    pub(crate) eui64: Eui64,
    /// From its DIO.
    pub(crate) short: Option<ShortAddr>,
    pub(crate) heard: Option<Heard>,
    pub(crate) heard_at: Instant,
    /// Moving average.
    rssi: i16,
    /// From transmissions, once there were any.
    measured: Option<u16>,
    measured_at: Instant,
    /// When a frame was last sent to it.
    pub(crate) tried_at: Instant,
    failures: u8,
    failing_since: Instant,
    avoid_until: Instant,
}

impl Neighbour {
    /// Expected transmissions, in 1/128.
    pub(crate) fn link_metric(&self) -> u16 {
        let metric = self.measured.unwrap_or_else(|| metric_of(self.rssi));
        metric.max(weak_metric(self.rssi)).min(LINK_METRIC_MAX)
    }

    pub(crate) fn rssi(&self) -> Rssi {
        Rssi(i8::try_from(self.rssi).unwrap_or(i8::MIN))
    }

    pub(crate) fn is_avoided(&self, now: Instant) -> bool {
        now < self.avoid_until
    }
}

fn metric_of(rssi: i16) -> u16 {
    let below = |bound: i16| u16::try_from(bound - rssi).unwrap_or(0);
    let metric =
        METRIC_GOOD + below(RSSI_GOOD) * METRIC_PER_DB + below(RSSI_WEAK) * METRIC_PER_WEAK_DB;
    // A link nobody tried may still be the only one: never past the bound.
    metric.min(LINK_METRIC_MAX)
}

/// What a link of this strength costs at least, because of the long frames.
fn weak_metric(rssi: i16) -> u16 {
    let below = u16::try_from(RSSI_WEAK - rssi).unwrap_or(0);
    ETX_ONE.saturating_add(METRIC_PER_WEAK_DB_SQUARED.saturating_mul(below.saturating_mul(below)))
}

/// What a transmission told about a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkNews {
    /// Nobody we know, or nothing new.
    Nothing,
    /// The metric moved.
    Moved(Eui64),
    /// A frame failed, the neighbour may still be there.
    Failed(Eui64),
    /// It is gone: its rank is forgotten.
    Gone(Eui64),
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    entries: List<Neighbour, NEIGHBOURS_MAX>,
}

impl Neighbours {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Neighbour> {
        self.entries.iter()
    }

    pub(crate) fn find(&self, eui64: Eui64) -> Option<&Neighbour> {
        self.entries.iter().find(|entry| entry.eui64 == eui64)
    }

    pub(crate) fn find_mut(&mut self, eui64: Eui64) -> Option<&mut Neighbour> {
        self.entries.iter_mut().find(|entry| entry.eui64 == eui64)
    }

    fn find_link(&mut self, addr: LinkAddr) -> Option<&mut Neighbour> {
        self.entries.iter_mut().find(|entry| match addr {
            LinkAddr::Extended(eui64) => entry.eui64 == eui64,
            LinkAddr::Short(short) => entry.short == Some(short),
        })
    }

    /// A secured frame came from `eui64`: known neighbours are refreshed.
    pub(crate) fn frame(&mut self, now: Instant, eui64: Eui64, rssi: Rssi) {
        if let Some(entry) = self.find_mut(eui64) {
            entry.rssi = (entry.rssi * 7 + i16::from(rssi.0)) / 8;
            entry.heard_at = now;
        }
    }

    /// A secured DIO came from `eui64`. False if there is no room for it.
    pub(crate) fn dio(
        &mut self,
        now: Instant,
        eui64: Eui64,
        rssi: Rssi,
        heard: Heard,
        keep: Option<Eui64>,
    ) -> bool {
        if self.find(eui64).is_none() {
            let fresh = Neighbour {
                eui64,
                short: None,
                heard: None,
                heard_at: now,
                rssi: i16::from(rssi.0),
                measured: None,
                measured_at: now,
                tried_at: now,
                failures: 0,
                failing_since: now,
                avoid_until: Instant::ZERO,
            };
            if self.entries.is_full() && !self.evict(&fresh, heard.rank, keep) {
                return false;
            }
            if self.entries.push(fresh).is_err() {
                return false;
            }
        }
        if let Some(entry) = self.find_mut(eui64) {
            entry.heard = (heard.rank != u16::MAX).then_some(heard);
            entry.heard_at = now;
            if let Some(measured) = &mut entry.measured
                && now - entry.measured_at >= TRUST_AGAIN
            {
                *measured = (*measured * 7 + metric_of(entry.rssi)) / 8;
                entry.measured_at = now;
            }
        }
        true
    }

    /// Makes room for somebody better than the worst entry.
    fn evict(&mut self, fresh: &Neighbour, rank: u16, keep: Option<Eui64>) -> bool {
        let cost = |entry: &Neighbour, rank: u16| u32::from(rank) + u32::from(entry.link_metric());
        let worst = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| Some(entry.eui64) != keep)
            .map(|(i, entry)| (cost(entry, entry.heard.map_or(u16::MAX, |heard| heard.rank)), i))
            .max();
        match worst {
            Some((worst, i)) if worst > cost(fresh, rank) => {
                self.entries.swap_remove(i);
                true
            }
            Some(_) | None => false,
        }
    }

    /// All ranks are void: a new DODAG version, or a repair.
    pub(crate) fn forget_ranks(&mut self) {
        for entry in &mut self.entries {
            entry.heard = None;
        }
    }

    /// `eui64` did not serve us; not again for a while.
    pub(crate) fn avoid(&mut self, now: Instant, eui64: Eui64) {
        if let Some(entry) = self.find_mut(eui64) {
            entry.avoid_until = now + PENALTY;
        }
    }

    /// Outcome of a unicast frame of `attempts` transmissions; 0 if the channel was never free.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        dst: LinkAddr,
        acked: bool,
        attempts: u8,
    ) -> LinkNews {
        let Some(entry) = self.find_link(dst).filter(|_| attempts > 0) else {
            return LinkNews::Nothing;
        };
        let sample = if acked { u16::from(attempts) * ETX_ONE } else { LINK_METRIC_MAX };
        let before = entry.measured.unwrap_or_else(|| entry.link_metric());
        entry.measured = Some((before * 7 + sample.min(LINK_METRIC_MAX)) / 8);
        (entry.measured_at, entry.tried_at) = (now, now);
        if acked {
            // Anybody's radio acknowledges, also one whose owner holds another key: it was not heard.
            entry.failures = 0;
            return LinkNews::Moved(entry.eui64);
        }
        if entry.failures == 0 {
            entry.failing_since = now;
        }
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < FAILURES_MAX || now - entry.failing_since < FAILING {
            return LinkNews::Failed(entry.eui64);
        }
        // Chosen before it answered anything, it would fail us again.
        entry.failures = 0;
        entry.measured = Some(LINK_METRIC_MAX);
        entry.heard = None;
        entry.avoid_until = now + PENALTY;
        LinkNews::Gone(entry.eui64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eui64(n: u8) -> Eui64 {
        Eui64([2, 0, 0, 0, 0, 0, 0, n])
    }

    fn heard(rank: u16) -> Heard {
        Heard { rank, version: 240, dtsn: 0 }
    }

    #[test]
    fn a_weak_link_costs_more_before_it_was_tried() {
        assert_eq!(metric_of(-50), METRIC_GOOD);
        assert_eq!(metric_of(-80), METRIC_GOOD);
        assert!(metric_of(-90) > metric_of(-85));
        assert!(metric_of(-91) > 2 * metric_of(-88), "an office's noise is at -90 dBm");
        assert!((5 * ETX_ONE..=LINK_METRIC_MAX).contains(&metric_of(-128)));
    }

    #[test]
    fn measurements_replace_the_guess_and_silence_ends_it() {
        let mut table = Neighbours::default();
        let now = Instant::ZERO;
        assert!(table.dio(now, eui64(1), Rssi(-88), heard(128), None));
        let dst = LinkAddr::Extended(eui64(1));
        for _ in 0..60 {
            assert_eq!(table.sent(now, dst, true, 1), LinkNews::Moved(eui64(1)));
        }
        let metric = table.find(eui64(1)).expect("known").link_metric();
        assert!(metric < ETX_ONE + 10, "{metric}");
        assert_eq!(table.sent(now, dst, false, 0), LinkNews::Nothing, "the channel was busy");
        for _ in 0..2 * FAILURES_MAX {
            assert_eq!(table.sent(now, dst, false, 4), LinkNews::Failed(eui64(1)), "a full air");
        }
        let later = now + FAILING;
        assert_eq!(table.sent(later, dst, false, 4), LinkNews::Gone(eui64(1)));
        let gone = *table.find(eui64(1)).expect("known");
        assert!(gone.heard.is_none() && gone.is_avoided(later));
        assert_eq!(gone.link_metric(), LINK_METRIC_MAX);
        assert!(table.dio(later, eui64(1), Rssi(-60), heard(128), None));
        assert_eq!(table.find(eui64(1)).expect("known").link_metric(), LINK_METRIC_MAX);
        assert!(table.dio(later + TRUST_AGAIN, eui64(1), Rssi(-60), heard(128), None));
        assert!(table.find(eui64(1)).expect("known").link_metric() < LINK_METRIC_MAX);
    }

    #[test]
    fn a_weak_link_stays_dear_however_well_short_frames_do() {
        let metric = |rssi| {
            let (mut table, now) = (Neighbours::default(), Instant::ZERO);
            assert!(table.dio(now, eui64(1), Rssi(rssi), heard(128), None));
            for _ in 0..100 {
                table.sent(now, LinkAddr::Extended(eui64(1)), true, 1);
            }
            table.find(eui64(1)).expect("known").link_metric()
        };
        assert!(metric(-88) <= ETX_ONE + 8, "{}", metric(-88));
        let weak = [-89, -90, -91, -92, -128].map(metric);
        assert_eq!(weak, [192, 384, 704, LINK_METRIC_MAX, LINK_METRIC_MAX]);
    }

    #[test]
    fn a_full_table_makes_room_for_the_better_only() {
        let mut table = Neighbours::default();
        let now = Instant::ZERO;
        for n in 0..NEIGHBOURS_MAX as u8 {
            assert!(table.dio(now, eui64(n), Rssi(-60), heard(1000 + u16::from(n)), None));
        }
        assert!(!table.dio(now, eui64(200), Rssi(-60), heard(5000), None));
        let worst = eui64(NEIGHBOURS_MAX as u8 - 1);
        assert!(table.dio(now, eui64(201), Rssi(-60), heard(128), Some(worst)));
        assert!(table.find(worst).is_some(), "the parent stays");
        assert!(table.find(eui64(NEIGHBOURS_MAX as u8 - 2)).is_none());
    }
}
