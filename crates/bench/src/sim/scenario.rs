//! What both simulators play: blocks of 5 by 5 nodes out of each other's reach, each with a sink in its
//! corner. Every other node sends its sink 60 octets of UDP each 10 s, over 4.2 hops on average.
//!
//! **Invariant:** places, strengths and times are those of `tests/peers/ns3/blocks.cc`.

use lowgate_sim::medium::{Links, StationId, Strength};
use lowgate_units::{Duration, Instant};

const SIDE: usize = 5;
/// Nodes of a block, its sink among them.
pub(crate) const BLOCK: usize = SIDE * SIDE;
const SPACING_METRES: f64 = 10.0;
/// Between the corners of two blocks: far out of reach.
const BLOCK_PITCH_METRES: f64 = 100.0;
const TX_DBM: f64 = 0.0;
const EXPONENT: f64 = 3.0;
const LOSS_AT_ONE_METRE_DB: f64 = 40.0;
/// 70 dB at 10 m, 74.5 dB across a square: only the nodes beside, above and below are in reach.
const LOSS_MAX_DB: f64 = 72.0;

pub(crate) const PAYLOAD_OCTETS: usize = 60;
/// Of UDP, one of those that RFC 6282 section 4.3.3 compresses.
pub(crate) const PORT: u16 = 61631;
/// Until then the mesh may find itself.
pub(crate) const FIRST: Duration = Duration::from_secs(60);
pub(crate) const DATAGRAMS_EACH: u32 = 53;
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// Some seconds after the last of them.
pub(crate) const END: Instant = Instant::from_secs(600);

/// Whether a node is its block's sink.
pub(crate) const fn is_sink(station: StationId) -> bool {
    station.index().is_multiple_of(BLOCK)
}

/// The sink of a node's block.
pub(crate) const fn sink(station: StationId) -> StationId {
    StationId(station.0 - station.0 % BLOCK as u32)
}

/// The next hop of static routes: to the left, in the first column down.
pub(crate) const fn parent(station: StationId) -> StationId {
    let (place, side) = (station.0 % BLOCK as u32, SIDE as u32);
    StationId(station.0 - if place.is_multiple_of(side) { side } else { 1 })
}

/// Who hears whom.
pub(crate) fn links(nodes: usize) -> Links {
    let mut pairs = Vec::new();
    let stations = || (0..nodes as u32).map(StationId);
    for a in stations() {
        for b in stations().skip(a.index() + 1) {
            let loss = loss_db(distance(place(a, nodes), place(b, nodes)));
            if loss <= LOSS_MAX_DB {
                pairs.push((a, b, Strength::from_dbm(TX_DBM - loss)));
            }
        }
    }
    Links::new(nodes, &pairs)
}

fn place(station: StationId, nodes: usize) -> (f64, f64) {
    let (block, place) = (station.index() / BLOCK, station.index() % BLOCK);
    let wide = ((nodes / BLOCK) as f64).sqrt().ceil() as usize;
    let metres = |block: usize, place: usize| {
        block as f64 * BLOCK_PITCH_METRES + place as f64 * SPACING_METRES
    };
    (metres(block % wide, place % SIDE), metres(block / wide, place / SIDE))
}

fn distance((x, y): (f64, f64), (to_x, to_y): (f64, f64)) -> f64 {
    (x - to_x).hypot(y - to_y)
}

fn loss_db(metres: f64) -> f64 {
    LOSS_AT_ONE_METRE_DB + 10.0 * EXPONENT * metres.log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_routes_follow_links() {
        let links = links(2 * BLOCK);
        let pairs: usize = (0..50).map(|station| links.neighbours(StationId(station)).len()).sum();
        assert_eq!(pairs, 2 * 2 * 2 * SIDE * (SIDE - 1));
        let hops = |mut station: StationId| {
            (0..).find(|_| {
                let there = is_sink(station);
                if !there {
                    assert!(links.strength(station, parent(station)).is_some());
                    station = parent(station);
                }
                there
            })
        };
        let shortest = links.hops(StationId(0), |_| true);
        for station in 0..BLOCK as u32 {
            assert_eq!(hops(StationId(station)), shortest[station as usize]);
            assert_eq!(shortest[station as usize + BLOCK], None);
        }
        let all: u32 = shortest.iter().flatten().sum();
        assert_eq!(all, 100, "over 24 nodes: 4.17 on average");
    }
}
