//! Our place in the DODAG: version, preferred parent, rank. RPL (RFC 6550 section 8) with MRHOF
//! (RFC 6719) on ETX, without metric container: the rank is the path's ETX in 1/128.
//!
//! **Invariant:** a parent's rank is, when it is chosen, below the lowest rank we told within
//! [`LOWEST_KEPT`], so a descendant, whose rank was made from one of ours, is never chosen.

use crate::lollipop;
use crate::neighbours::{Heard, Neighbour, Neighbours};
use crate::wire::rpl::{Configuration, Dio};
use core::cmp::Ordering;
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr};

/// INFINITE_RANK, RFC 6550 section 17.
pub(crate) const INFINITE_RANK: u16 = u16::MAX;
/// RFC 6719 section 5, MAX_PATH_COST.
const PATH_COST_MAX: u32 = 32_768;
/// RFC 6719 section 5, PARENT_SWITCH_THRESHOLD: ETX 1.5.
const PARENT_SWITCH_THRESHOLD: u32 = 192;
/// How long a lower rank of ours binds us after it rose: descendants hear of the rise meanwhile.
const LOWEST_KEPT: Duration = Duration::from_secs(30);

/// What the root of a mesh of ours decides. MinHopRankIncrease is one transmission, so that a rank
/// tells ETX finely; an interval of 2^9 ms = 0.5 s, doubled up to 4.4 minutes.
pub(crate) const CONFIGURATION: Configuration = Configuration {
    interval_doublings: 9,
    interval_min: 9,
    redundancy: 5,
    max_rank_increase: 8 * 128,
    min_hop_rank_increase: 128,
    default_lifetime: 30,
    lifetime_unit: 60,
};

/// Membership of a node that is not the root.
#[derive(Clone, Debug)]
pub(crate) struct Dodag {
    id: Ipv6Addr,
    version: u8,
    configuration: Configuration,
    parent: Option<Eui64>,
    rank: u16,
    /// The lowest rank we may have told lately.
    lowest: u16,
    lowest_until: Instant,
    /// The rank told last.
    told: u16,
}

/// What a choice of parent came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nothing that others need to know.
    Same,
    /// Same parent, a rank worth telling.
    RankMoved,
    /// Another parent (or the first).
    Parent(Eui64),
    /// There was a parent, now there is none we may take.
    Lost,
}

/// What a DIO did to the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DioNews {
    /// Of this DODAG and version, or not usable: nothing of note.
    Consistent,
    /// Somebody lost the root. It asks when it wants an offer.
    Poison,
    /// Somebody lags behind: tell soon.
    Inconsistent,
    /// The root began a new version: ranks before are void.
    NewVersion,
    /// Of another DODAG while we have a parent in ours.
    Foreign,
}

impl Dodag {
    /// Membership without a parent, from the first DIO heard. `None` if it cannot found one.
    pub(crate) fn new(dio: &Dio) -> Option<Self> {
        Some(Self {
            id: dio.dodag_id,
            version: dio.version,
            configuration: dio.configuration?,
            parent: None,
            rank: INFINITE_RANK,
            lowest: INFINITE_RANK,
            lowest_until: Instant::ZERO,
            told: INFINITE_RANK,
        })
    }

    pub(crate) fn id(&self) -> Ipv6Addr {
        self.id
    }

    pub(crate) fn version(&self) -> u8 {
        self.version
    }

    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    pub(crate) fn parent(&self) -> Option<Eui64> {
        self.parent
    }

    pub(crate) fn rank(&self) -> u16 {
        self.rank
    }

    /// DAGRank, RFC 6550 section 3.5.1: all comparisons are made on it.
    fn dag_rank(&self, rank: u16) -> u16 {
        rank / self.configuration.min_hop_rank_increase
    }

    /// `a` is nearer to the root than `b`.
    pub(crate) fn is_nearer(&self, a: u16, b: u16) -> bool {
        self.dag_rank(a) < self.dag_rank(b)
    }

    /// Compares a DIO with what we are; takes over a newer version.
    pub(crate) fn dio(&mut self, dio: &Dio, neighbours: &mut Neighbours) -> DioNews {
        if dio.dodag_id != self.id {
            if self.parent.is_some() {
                return DioNews::Foreign;
            }
            if let Some(other) = Self::new(dio) {
                *self = other;
                neighbours.forget_ranks();
            }
            return DioNews::NewVersion;
        }
        match lollipop::compare(dio.version, self.version) {
            Some(Ordering::Less) => return DioNews::Inconsistent,
            Some(Ordering::Equal) => {}
            Some(Ordering::Greater) | None => {
                self.version = dio.version;
                self.leave();
                neighbours.forget_ranks();
                return DioNews::NewVersion;
            }
        }
        if let Some(configuration) = dio.configuration {
            self.configuration = configuration;
        }
        if dio.rank == INFINITE_RANK { DioNews::Poison } else { DioNews::Consistent }
    }

    /// Our rank through `neighbour`, if it may be a parent at all.
    fn rank_through(&self, now: Instant, neighbour: &Neighbour) -> Option<u32> {
        let heard = neighbour.heard.filter(|heard| heard.version == self.version)?;
        let link = neighbour.link_metric();
        neighbour.short?;
        let current = self.parent == Some(neighbour.eui64);
        if neighbour.is_avoided(now) && !current {
            return None;
        }
        let step = self.configuration.min_hop_rank_increase;
        // RFC 6550 section 17: ROOT_RANK is one MinHopRankIncrease. Nobody is nearer to the root than itself.
        if heard.rank < step {
            return None;
        }
        let rank = u32::from(heard.rank);
        // RFC 6719 section 3.3: the largest of the path's cost as a rank (never less than one
        // MinHopRankIncrease below the parent) and the next whole DAGRank below the parent. Our
        // parent set has one member, so the third value never decides.
        let through =
            (rank + u32::from(link.max(step))).max(u32::from(step) * (1 + rank / u32::from(step)));
        // The parent we have may sink, and we with it: it keeps the invariant on its side.
        let allowed = current || self.is_nearer(heard.rank, self.lowest);
        (through <= PATH_COST_MAX && allowed).then_some(through)
    }

    /// Chooses the parent anew.
    pub(crate) fn choose(&mut self, now: Instant, neighbours: &Neighbours) -> Choice {
        if now >= self.lowest_until {
            self.lowest = self.rank;
        }
        let current = self
            .parent
            .and_then(|parent| neighbours.find(parent))
            .and_then(|parent| self.rank_through(now, parent));
        let best = neighbours
            .iter()
            .filter_map(|entry| Some((self.rank_through(now, entry)?, entry.eui64)))
            .min();
        match (current, best) {
            (Some(current), Some((best, eui64)))
                // RFC 6719 section 3.2.2: hysteresis.
                if self.parent != Some(eui64) && best + PARENT_SWITCH_THRESHOLD < current =>
            {
                self.take(now, eui64, best)
            }
            (Some(current), _) => self.keep(now, current),
            (None, Some((best, eui64))) => self.take(now, eui64, best),
            (None, None) if self.parent.is_some() => Choice::Lost,
            (None, None) => Choice::Same,
        }
    }

    fn keep(&mut self, now: Instant, rank: u32) -> Choice {
        if !self.set_rank(now, rank) {
            return Choice::Lost;
        }
        if self.told.abs_diff(self.rank) >= 2 * self.configuration.min_hop_rank_increase {
            Choice::RankMoved
        } else {
            Choice::Same
        }
    }

    fn take(&mut self, now: Instant, parent: Eui64, rank: u32) -> Choice {
        if !self.set_rank(now, rank) {
            return if self.parent.is_some() { Choice::Lost } else { Choice::Same };
        }
        let same = self.parent == Some(parent);
        self.parent = Some(parent);
        if same { Choice::RankMoved } else { Choice::Parent(parent) }
    }

    /// False if the rank would exceed what this version allows us.
    fn set_rank(&mut self, now: Instant, rank: u32) -> bool {
        let Ok(rank) = u16::try_from(rank) else { return false };
        let limit = self.lowest.saturating_add(self.configuration.max_rank_increase);
        // RFC 6550 section 8.2.2.4 (3): never above L + DAGMaxRankIncrease.
        if self.lowest != INFINITE_RANK && rank > limit {
            return false;
        }
        self.rank = rank;
        if rank <= self.lowest {
            self.lowest = rank;
            self.lowest_until = now + LOWEST_KEPT;
        }
        true
    }

    /// Every child hears our rank now.
    pub(crate) fn told(&mut self, now: Instant) {
        self.told = self.rank;
        if self.rank == self.lowest {
            self.lowest_until = now + LOWEST_KEPT;
        }
    }

    /// No parent any more: poisoned (RFC 6550 section 8.2.2.5). What we told before is void.
    pub(crate) fn leave(&mut self) {
        self.parent = None;
        self.rank = INFINITE_RANK;
        self.lowest = INFINITE_RANK;
    }

    /// What we tell; `sender` is our global address.
    pub(crate) fn tell(&self, dtsn: u8, sender: Option<Ipv6Addr>) -> Dio {
        Dio {
            version: self.version,
            rank: self.rank,
            dtsn,
            dodag_id: self.id,
            configuration: Some(self.configuration),
            sender,
        }
    }

    /// A neighbour's DIO as the table keeps it.
    pub(crate) fn heard(dio: &Dio) -> Heard {
        Heard { rank: dio.rank, version: dio.version, dtsn: dio.dtsn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_units::{Rssi, ShortAddr};

    const ROOT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 0);

    fn eui64(n: u8) -> Eui64 {
        Eui64([2, 0, 0, 0, 0, 0, 0, n])
    }

    fn dio(version: u8, rank: u16) -> Dio {
        let configuration = Some(CONFIGURATION);
        Dio { version, rank, dtsn: 0, dodag_id: ROOT, configuration, sender: None }
    }

    struct Place {
        dodag: Dodag,
        neighbours: Neighbours,
    }

    impl Place {
        fn new() -> Self {
            let dodag = Dodag::new(&dio(240, 128)).expect("has a configuration");
            Self { dodag, neighbours: Neighbours::default() }
        }

        fn hear(&mut self, now: Instant, n: u8, rank: u16, rssi: i8) -> Choice {
            let dio = dio(240, rank);
            let keep = self.dodag.parent();
            self.neighbours.dio(now, eui64(n), Rssi(rssi), Dodag::heard(&dio), keep);
            self.neighbours.find_mut(eui64(n)).expect("room").short = ShortAddr::new(n.into());
            self.dodag.dio(&dio, &mut self.neighbours);
            let choice = self.dodag.choose(now, &self.neighbours);
            if matches!(choice, Choice::Parent(_) | Choice::RankMoved) {
                self.dodag.told(now);
            }
            choice
        }
    }

    #[test]
    fn the_better_path_wins_and_small_gains_do_not() {
        let (mut place, now) = (Place::new(), Instant::ZERO);
        assert_eq!(place.hear(now, 1, 384, -60), Choice::Parent(eui64(1)));
        assert_eq!(place.dodag.rank(), 384 + 160);
        assert_eq!(place.hear(now, 2, 256, -60), Choice::Same, "within the hysteresis");
        assert_eq!(place.hear(now, 3, 128, -60), Choice::Parent(eui64(3)));
        assert_eq!(place.dodag.rank(), 288);
    }

    // RFC 6550 section 17, ROOT_RANK.
    #[test]
    fn nobody_is_nearer_to_the_root_than_the_root() {
        let (mut place, now) = (Place::new(), Instant::ZERO);
        assert_eq!(place.hear(now, 1, 384, -60), Choice::Parent(eui64(1)));
        for rank in [0, 1, 127] {
            assert_eq!(place.hear(now, 2, rank, -60), Choice::Same);
        }
        assert_eq!(place.hear(now, 2, 128, -60), Choice::Parent(eui64(2)));
        assert_eq!(place.hear(now, 2, 127, -60), Choice::Lost, "a parent that lies");
    }

    #[test]
    fn a_bad_link_is_not_chosen_first() {
        let (mut place, now) = (Place::new(), Instant::ZERO);
        assert_eq!(place.hear(now, 1, 128, -89), Choice::Parent(eui64(1)));
        assert_eq!(place.hear(now, 2, 256, -60), Choice::Same, "560 against 416: hysteresis");
        let mut place = Place::new();
        place.neighbours.dio(now, eui64(1), Rssi(-99), Dodag::heard(&dio(240, 128)), None);
        place.neighbours.find_mut(eui64(1)).expect("room").short = ShortAddr::new(1);
        assert_eq!(
            place.hear(now, 2, 256, -60),
            Choice::Parent(eui64(2)),
            "both known: the better"
        );
    }

    #[test]
    fn a_descendant_is_never_taken() {
        let (mut place, now) = (Place::new(), Instant::ZERO);
        place.hear(now, 1, 128, -60);
        place.hear(now, 2, 416, -60); // made from our 288
        // The parent is gone; whoever is below us is no way up.
        place.neighbours.find_mut(eui64(1)).expect("known").heard = None;
        assert_eq!(place.dodag.choose(now, &place.neighbours), Choice::Lost);
        place.dodag.leave();
        assert_eq!(place.dodag.rank(), INFINITE_RANK);
    }

    #[test]
    fn our_own_rise_does_not_make_a_descendant_acceptable() {
        let (mut place, now) = (Place::new(), Instant::ZERO);
        place.hear(now, 1, 128, -60);
        place.hear(now, 2, 416, -60);
        assert_eq!(
            place.hear(now, 1, 900, -60),
            Choice::RankMoved,
            "2 would be nearer, but is below us"
        );
        assert_eq!(place.dodag.parent(), Some(eui64(1)));
        assert_eq!(place.hear(now, 1, 1400, -60), Choice::Lost, "more than this version allows");
    }

    #[test]
    fn a_new_version_voids_ranks() {
        let (mut place, now) = (Place::new(), Instant::ZERO);
        place.hear(now, 1, 128, -60);
        assert_eq!(place.dodag.dio(&dio(241, 128), &mut place.neighbours), DioNews::NewVersion);
        assert_eq!(place.dodag.parent(), None);
        assert_eq!(place.dodag.dio(&dio(240, 128), &mut place.neighbours), DioNews::Inconsistent);
    }
}
