//! Who hears whom, and how loud: the fixed part of the medium.
//!
//! **Invariant:** strengths are symmetric and hundredths of a dB, so that no platform's `log10` can tip a
//! run; a pair below the cut-off is not here at all and costs nothing.

use super::StationId;

/// A strength in dBm, rounded to hundredths of a dB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strength(i32);

impl Strength {
    /// The strength of `dbm`, rounded.
    pub fn from_dbm(dbm: f64) -> Self {
        Self((dbm * 100.0).round() as i32)
    }

    /// In dBm.
    pub fn dbm(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// In milliwatts.
    pub fn milliwatts(self) -> f64 {
        10f64.powf(self.dbm() / 10.0)
    }
}

/// The strength of every pair of stations that can hear or disturb each other.
#[derive(Clone, Debug)]
pub struct Links {
    neighbours: Vec<Vec<(StationId, Strength)>>,
}

impl Links {
    /// Stations `0..stations`, all out of each other's reach.
    pub fn new(stations: usize) -> Self {
        Self { neighbours: vec![Vec::new(); stations] }
    }

    /// A table of pairs and the strength in dBm at which the two hear each other; all else is silence.
    pub fn table(stations: usize, pairs: &[(u32, u32, f64)]) -> Self {
        let mut links = Self::new(stations);
        for &(a, b, dbm) in pairs {
            links.connect(StationId(a), StationId(b), Strength::from_dbm(dbm));
        }
        links
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

    /// Says at which strength `a` and `b` hear each other. Call once for a pair.
    ///
    /// # Panics
    /// When `a` is `b`, or one of them does not exist.
    pub fn connect(&mut self, a: StationId, b: StationId, strength: Strength) {
        assert_ne!(a, b, "a station is no neighbour of itself");
        self.neighbours[a.index()].push((b, strength));
        self.neighbours[b.index()].push((a, strength));
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.neighbours.len()
    }

    /// Whom `station` hears or disturbs, and how loud, in the order in which they were connected.
    pub fn neighbours(&self, station: StationId) -> &[(StationId, Strength)] {
        &self.neighbours[station.index()]
    }

    /// How loud `a` and `b` are to each other; `None` when they are out of reach.
    pub fn strength(&self, a: StationId, b: StationId) -> Option<Strength> {
        self.neighbours(a).iter().find(|(to, _)| *to == b).map(|(_, strength)| *strength)
    }

    /// Per station its distance in hops from `root` over links that `usable` accepts; `None` for the
    /// unreachable.
    pub fn hops(&self, root: StationId, usable: impl Fn(Strength) -> bool) -> Vec<Option<u32>> {
        let mut hops = vec![None; self.stations()];
        hops[root.index()] = Some(0);
        let mut reached = vec![root];
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
}
