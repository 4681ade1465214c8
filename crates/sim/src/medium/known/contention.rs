//! Throughput of unslotted CSMA-CA among stations that all hear each other, over offered load.

use lowgate_mac::{
    MAC_MAX_BE, MAC_MAX_CSMA_BACKOFFS, MAC_MIN_BE, MAC_MIN_LIFS_PERIOD, UNIT_BACKOFF_PERIOD,
};
use lowgate_units::Duration;

use super::senders::{AIR_TIME, send};
use super::{Curve, Point, Study};
use crate::medium::elementary::exp;
use crate::medium::{CCA_TIME, Links, TURNAROUND};

const CONTENDERS: [u32; 6] = [1, 2, 5, 10, 20, 50];
/// Frames that the sources make per frame time, if the channel never kept them waiting.
const LOADS: [f64; 10] = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0];
/// How long each point runs: some thousands of frames.
const RUN: Duration = Duration::from_secs(40);
/// Rounds of the fixed point, each of which halves the error.
const ROUNDS: usize = 60;

/// The share of time in which intact frames were on the air.
pub fn contention(seed: u64) -> Study {
    let curve = |contenders| Curve {
        name: format!("{contenders} contender{}", if contenders == 1 { "" } else { "s" }),
        points: LOADS.map(|load| point(contenders, load, seed)).to_vec(),
    };
    Study {
        title: "Throughput of CSMA-CA",
        source: "L. Kleinrock, F. A. Tobagi: Packet Switching in Radio Channels, Part I: Carrier Sense \
            Multiple-Access Modes and Their Throughput-Delay Characteristics. IEEE Transactions on \
            Communications 23(12), 1975: renewal cycle of nonpersistent CSMA. Here with finitely many \
            stations, whose rate of attempts follows from their back-off by a fixed point, as in G. Bianchi: \
            Performance Analysis of the IEEE 802.11 Distributed Coordination Function. IEEE Journal on \
            Selected Areas in Communications 18(3), 2000",
        setting: "Stations that all hear each other broadcast frames of 125 octets with exponential pauses. \
            No acknowledgements, no retries; a frame is given up when the channel was busy five times. The \
            formula takes attempts for memoryless, which 802.15.4's uniform back-off is not.",
        x: "offered load (frames per frame time)",
        y: "throughput (intact frames per frame time)",
        curves: CONTENDERS.map(curve).to_vec(),
        deviation_max: 0.03,
        relative_deviation_max: Some(0.1),
    }
}

fn point(contenders: u32, load: f64, seed: u64) -> Point {
    let air_micros = AIR_TIME.as_micros() as f64;
    let pause = Duration::from_micros((f64::from(contenders) * air_micros / load) as u64);
    let links = Links::clique(1 + contenders as usize, -50.0);
    let outcome = send(&links, pause, RUN, seed ^ u64::from(contenders));
    let simulated = outcome.received as f64 * air_micros / RUN.as_micros() as f64;
    Point { x: load, known: throughput(f64::from(contenders), pause), simulated }
}

/// Throughput of nonpersistent CSMA among infinitely many stations that offer `load` attempts per frame time
/// when each hears the other after `delay` frame times (Kleinrock and Tobagi 1975).
pub fn nonpersistent_csma(load: f64, delay: f64) -> f64 {
    let unharmed = exp(-delay * load);
    load * unharmed / (load * (1.0 + 2.0 * delay) + unharmed)
}

/// The renewal cycle: the channel is idle until somebody begins to sense it; whoever else begins before that
/// one's frame is on the air does not hear it and collides; then all are silent until the last frame ends.
/// Times in microseconds.
struct Cycle {
    /// Of an attempt, that nobody else makes one while it is vulnerable.
    unharmed: f64,
    /// From the first attempt to the last one that it collides with.
    spread: f64,
    length: f64,
}

/// From the start of an assessment to the frame, and how much of it others do not hear.
const ATTEMPT: f64 = (CCA_TIME.as_micros() + TURNAROUND.as_micros()) as f64;
const VULNERABLE: f64 = TURNAROUND.as_micros() as f64;

impl Cycle {
    /// When each of `stations` begins `rate` attempts per microsecond.
    fn new(stations: f64, rate: f64, air_time: f64) -> Self {
        let others = (stations - 1.0) * rate;
        let unharmed = exp(-others * VULNERABLE);
        let spread = if others > 0.0 { VULNERABLE - (1.0 - unharmed) / others } else { 0.0 };
        let idle = 1.0 / (stations * rate);
        Self { unharmed, spread, length: idle + ATTEMPT + spread + air_time }
    }
}

/// The share of time with intact frames, for stations with an exponential pause of mean `pause`.
fn throughput(stations: f64, pause: Duration) -> f64 {
    let air_time = AIR_TIME.as_micros() as f64;
    let mut busy = 0.0;
    for _ in 0..ROUNDS {
        busy = 0.5 * (busy + found_busy(stations, attempts(busy, pause), air_time));
    }
    let cycle = Cycle::new(stations, attempts(busy, pause), air_time);
    air_time * cycle.unharmed / cycle.length
}

/// Attempts per microsecond of a station that is not sending, when an assessment finds the channel busy with
/// probability `busy`: one to five per frame, after back-offs that double.
fn attempts(busy: f64, pause: Duration) -> f64 {
    let (pause, cca) = (pause.as_micros() as f64, CCA_TIME.as_micros() as f64);
    // The MAC rests after a frame, and the source may be ready before it is.
    let rest = MAC_MIN_LIFS_PERIOD.as_micros() as f64;
    let mut waited = rest + pause * exp(-rest / pause);
    let (mut made, mut reached, mut exponent) = (0.0, 1.0, MAC_MIN_BE);
    for _ in 0..=MAC_MAX_CSMA_BACKOFFS {
        let periods = f64::from((1_u32 << exponent) - 1) / 2.0;
        waited += reached * (periods * UNIT_BACKOFF_PERIOD.as_micros() as f64 + busy * cca);
        made += reached;
        reached *= busy;
        exponent = MAC_MAX_BE.min(exponent + 1);
    }
    made / waited
}

/// The share of attempts that find the channel busy.
fn found_busy(stations: f64, rate: f64, air_time: f64) -> f64 {
    let cycle = Cycle::new(stations, rate, air_time);
    let senders = 1.0 + (stations - 1.0) * (1.0 - exp(-rate * VULNERABLE));
    let heard = ATTEMPT - VULNERABLE + cycle.spread + air_time;
    let refused = (stations - senders) * rate * heard;
    refused / (refused + senders)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With ever more stations and both delays alike, the cycle gives the closed formula.
    #[test]
    fn many_stations_are_the_closed_formula() {
        for load in [0.1, 0.5, 1.0, 3.0, 10.0] {
            let (stations, air_time) = (1e6, 4000.0);
            let delay = VULNERABLE / air_time;
            let cycle = Cycle::new(stations, load / air_time / stations, air_time);
            let same_delays = cycle.length - ATTEMPT + VULNERABLE;
            let throughput = air_time * cycle.unharmed / same_delays;
            let closed = nonpersistent_csma(load, delay);
            assert!((throughput / closed - 1.0).abs() < 1e-4, "{load}: {throughput} {closed}");
        }
    }

    /// Nobody else: back-off, assessment, turnaround, frame, rest, one after the other.
    #[test]
    fn one_station_needs_what_its_parts_need() {
        let parts = 640.0 + 3.5 * 320.0 + 128.0 + 192.0 + AIR_TIME.as_micros() as f64;
        let expected = AIR_TIME.as_micros() as f64 / parts;
        let throughput = throughput(1.0, Duration::from_micros(1));
        assert!((throughput - expected).abs() < 1e-9, "{throughput} {expected}");
    }
}
