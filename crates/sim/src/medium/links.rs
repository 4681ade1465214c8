//! Who hears whom, and how loud: the fixed part of the medium.
//!
//! **Invariant:** strengths are symmetric and hundredths of a dB, so that no platform's `log10` can tip a
//! run; a pair below the cut-off is not here at all and costs nothing.

use super::grid::Grid;
use super::{StationId, Strength};

/// The strength of every pair of stations that can hear or disturb each other.
#[derive(Clone, Debug)]
pub struct Links {
    /// Where the neighbours of each station begin, and where the last one's end.
    first: Vec<u32>,
    /// Those of one station together, in the order of the stations.
    neighbours: Vec<(StationId, Strength)>,
    /// What each station's streams of chance are named after.
    names: Vec<u64>,
}

impl Links {
    /// Stations `0..stations`, and for each pair in reach, given once, how loud the two hear each other.
    ///
    /// # Panics
    /// When a station of a pair does not exist, is its own neighbour, or a pair is given twice.
    pub fn new(stations: usize, pairs: &[(StationId, StationId, Strength)]) -> Self {
        let mut first = vec![0; stations + 1];
        for (a, b, _) in pairs {
            assert_ne!(a, b, "a station is no neighbour of itself");
            first[a.index() + 1] += 1;
            first[b.index() + 1] += 1;
        }
        for station in 0..stations {
            first[station + 1] += first[station];
        }
        let mut next = first.clone();
        let mut neighbours = vec![(StationId(0), Strength::from_dbm(0.0)); 2 * pairs.len()];
        for &(a, b, strength) in pairs {
            for (from, to) in [(a, b), (b, a)] {
                neighbours[next[from.index()] as usize] = (to, strength);
                next[from.index()] += 1;
            }
        }
        for station in 0..stations {
            let of_one = &mut neighbours[first[station] as usize..first[station + 1] as usize];
            of_one.sort_unstable_by_key(|(to, _)| *to);
            assert!(of_one.windows(2).all(|two| two[0].0 != two[1].0), "a pair given twice");
        }
        Self { first, neighbours, names: (0..stations as u64).collect() }
    }

    /// The same links between stations whose streams of chance are named after `names`, one a station: a
    /// station keeps its streams when its index changes because another one was added.
    ///
    /// # Panics
    /// Unless there is a name for each station.
    #[must_use]
    pub fn named(mut self, names: Vec<u64>) -> Self {
        assert_eq!(names.len(), self.stations(), "a name for each station");
        self.names = names;
        self
    }

    /// A table of pairs and the strength in dBm at which the two hear each other; all else is silence.
    pub fn table(stations: usize, pairs: &[(u32, u32, f64)]) -> Self {
        let pair = |&(a, b, dbm): &_| (StationId(a), StationId(b), Strength::from_dbm(dbm));
        Self::new(stations, &pairs.iter().map(pair).collect::<Vec<_>>())
    }

    /// Stations at `places`, in metres: who is at most `radius` away is heard at `dbm`, nobody else is.
    pub fn unit_disk(places: &[(f64, f64)], radius: f64, dbm: f64) -> Self {
        let grid = Grid::new(places, radius);
        let strength = Strength::from_dbm(dbm);
        let mut pairs = Vec::new();
        for (a, &(ax, ay)) in places.iter().enumerate() {
            grid.near((ax, ay), radius, |b| {
                let (dx, dy) = (places[b].0 - ax, places[b].1 - ay);
                if a < b && dx * dx + dy * dy <= radius * radius {
                    pairs.push((StationId(a as u32), StationId(b as u32), strength));
                }
            });
        }
        Self::new(places.len(), &pairs)
    }

    /// A line of stations, each of which hears only the one before and the one after, loud and clear.
    pub fn line(stations: usize) -> Self {
        let pairs: Vec<_> = (1..stations as u32).map(|b| (b - 1, b, -50.0)).collect();
        Self::table(stations, &pairs)
    }

    /// Everybody hears everybody at `dbm`.
    pub fn clique(stations: usize, dbm: f64) -> Self {
        let all = 0..stations as u32;
        let pairs: Vec<_> =
            all.clone().flat_map(|a| (a + 1..all.end).map(move |b| (a, b, dbm))).collect();
        Self::table(stations, &pairs)
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.names.len()
    }

    /// What a station's streams of chance are named after; its index, unless [`Links::named`] said otherwise.
    pub fn name(&self, station: StationId) -> u64 {
        self.names[station.index()]
    }

    /// Whom `station` hears or disturbs, and how loud, in the order of the stations.
    pub fn neighbours(&self, station: StationId) -> &[(StationId, Strength)] {
        let index = station.index();
        &self.neighbours[self.first[index] as usize..self.first[index + 1] as usize]
    }

    /// How loud `a` and `b` are to each other; `None` when they are out of reach.
    pub fn strength(&self, a: StationId, b: StationId) -> Option<Strength> {
        let neighbours = self.neighbours(a);
        let at = neighbours.binary_search_by_key(&b, |(to, _)| *to).ok()?;
        Some(neighbours[at].1)
    }

    /// Per station its distance in hops from `root` over links that `usable` accepts; `None` for the
    /// unreachable.
    pub fn hops(&self, root: StationId, usable: impl Fn(Strength) -> bool) -> Vec<Option<u32>> {
        self.hops_of_many([root], usable)
    }

    /// The same from the nearest of several roots.
    pub fn hops_of_many(
        &self,
        roots: impl IntoIterator<Item = StationId>,
        usable: impl Fn(Strength) -> bool,
    ) -> Vec<Option<u32>> {
        let mut hops = vec![None; self.stations()];
        let mut reached: Vec<StationId> = roots.into_iter().collect();
        reached.iter().for_each(|root| hops[root.index()] = Some(0));
        let mut next = 0;
        while let Some(&station) = reached.get(next) {
            next += 1;
            for &(neighbour, strength) in self.neighbours(station) {
                if hops[neighbour.index()].is_none() && usable(strength) {
                    hops[neighbour.index()] = hops[station.index()].map(|hops: u32| hops + 1);
                    reached.push(neighbour);
                }
            }
        }
        hops
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_as_deep_as_it_is_long() {
        let links = Links::line(4);
        assert_eq!(links.hops(StationId(0), |_| true), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(links.hops(StationId(1), |_| false), [None, Some(0), None, None]);
    }

    #[test]
    fn strengths_are_symmetric_and_rounded() {
        let links = Links::table(2, &[(0, 1, -63.004)]);
        assert_eq!(links.strength(StationId(0), StationId(1)), Some(Strength::from_dbm(-63.0)));
        assert_eq!(links.strength(StationId(1), StationId(0)), Some(Strength::from_dbm(-63.0)));
        assert_eq!(Links::clique(3, -50.0).neighbours(StationId(2)).len(), 2);
    }

    #[test]
    #[should_panic(expected = "a pair given twice")]
    fn a_pair_is_given_once() {
        Links::table(2, &[(0, 1, -50.0), (1, 0, -60.0)]);
    }

    proptest! {
        #[test]
        fn a_unit_disk_is_what_looking_at_every_pair_finds(
            places in prop::collection::vec((-50.0..50.0f64, -50.0..50.0f64), 1..60),
            radius in 0.1..40.0f64,
        ) {
            let links = Links::unit_disk(&places, radius, -60.0);
            for (a, (ax, ay)) in places.iter().enumerate() {
                for (b, (bx, by)) in places.iter().enumerate() {
                    let (dx, dy) = (bx - ax, by - ay);
                    let near = a != b && dx * dx + dy * dy <= radius * radius;
                    let strength = links.strength(StationId(a as u32), StationId(b as u32));
                    prop_assert_eq!(strength.is_some(), near);
                }
            }
        }
    }
}
