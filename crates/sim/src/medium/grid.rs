//! Points in the plane, found again by where they are.

use std::collections::BTreeMap;

/// Points by the square cell they lie in.
#[derive(Debug)]
pub(crate) struct Grid {
    side: f64,
    cells: BTreeMap<(i64, i64), Vec<u32>>,
}

impl Grid {
    /// The points of `places`, in cells of `side`: about as far as one looks.
    pub(crate) fn new(places: &[(f64, f64)], side: f64) -> Self {
        let mut grid = Self { side: side.max(f64::MIN_POSITIVE), cells: BTreeMap::new() };
        for (index, place) in places.iter().enumerate() {
            grid.add(index, *place);
        }
        grid
    }

    /// One more point.
    pub(crate) fn add(&mut self, index: usize, (x, y): (f64, f64)) {
        let cell = (self.cell(x), self.cell(y));
        self.cells.entry(cell).or_default().push(index as u32);
    }

    /// Tells `visit` the index of every point within `radius` of a place, and of some beyond.
    pub(crate) fn near(&self, (x, y): (f64, f64), radius: f64, mut visit: impl FnMut(usize)) {
        let (south, north) = (self.cell(y - radius), self.cell(y + radius));
        for column in self.cell(x - radius)..=self.cell(x + radius) {
            for points in self.cells.range((column, south)..=(column, north)).map(|cell| cell.1) {
                points.iter().for_each(|index| visit(*index as usize));
            }
        }
    }

    fn cell(&self, at: f64) -> i64 {
        (at / self.side).floor() as i64
    }
}
