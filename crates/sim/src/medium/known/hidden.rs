//! Two senders that do not hear each other, and the receiver between them.

use lowgate_mac::{MAC_MIN_BE, MAC_MIN_LIFS_PERIOD, UNIT_BACKOFF_PERIOD};
use lowgate_units::Duration;

use super::senders::{AIR_TIME, send};
use super::{Curve, Point, Study};
use crate::medium::elementary::{exp, ln};
use crate::medium::radio::{BIT_MICROS, INTERFERENCE_WEIGHT};
use crate::medium::{CCA_TIME, Links, MediumConfig, Strength, TURNAROUND, bit_error_rate};

/// Mean pauses between the frames of a sender, in milliseconds.
const PAUSES_MILLIS: [u64; 8] = [1000, 500, 200, 100, 50, 20, 10, 5];
/// How long each point runs.
const RUN: Duration = Duration::from_secs(1000);
const STRENGTH_DBM: f64 = -60.0;

/// The share of frames lost, over how much of the time each of the two sends.
pub fn hidden(seed: u64) -> Study {
    let points = PAUSES_MILLIS.map(|millis| point(Duration::from_millis(millis), seed)).to_vec();
    Study {
        title: "Frames lost to a hidden sender",
        source: "Renewal theory: the chance that an interval falls into a gap of an independent alternating \
            renewal process (D. R. Cox: Renewal Theory, 1962)",
        setting: "Two senders of equal strength that do not hear each other broadcast frames of 125 octets \
            with exponential pauses. A frame that begins while the other is on the air is lost; one that the \
            other one runs into survives by the bit error rate of the overlap.",
        x: "share of time on the air, each",
        y: "share of frames lost",
        curves: vec![Curve { name: "two senders".into(), points }],
        deviation_max: 0.01,
        relative_deviation_max: None,
    }
}

fn point(pause: Duration, seed: u64) -> Point {
    let links = Links::table(3, &[(0, 1, STRENGTH_DBM), (0, 2, STRENGTH_DBM)]);
    let outcome = send(&links, pause, RUN, seed);
    let simulated = 1.0 - outcome.received as f64 / outcome.aired as f64;
    let gap = Gap::new(pause);
    let air_time = AIR_TIME.as_micros() as f64;
    Point { x: air_time / (gap.mean() + air_time), known: loss(&gap, air_time), simulated }
}

/// From the end of one frame to the beginning of the next one of the same sender, in microseconds: a rest, the
/// rest of an exponential pause if it was longer, a uniform back-off, assessment and turnaround.
struct Gap {
    /// The possible lengths without the pause, equally likely.
    fixed: Vec<f64>,
    /// The pause's mean, and the probability that it outlasts the rest.
    pause: f64,
    outlasts: f64,
}

impl Gap {
    fn new(pause: Duration) -> Self {
        let micros = |duration: Duration| duration.as_micros() as f64;
        let (rest, pause) = (micros(MAC_MIN_LIFS_PERIOD), micros(pause));
        let fixed = (0..1_u32 << MAC_MIN_BE)
            .map(|periods| rest + micros(UNIT_BACKOFF_PERIOD * periods + CCA_TIME + TURNAROUND));
        Self { fixed: fixed.collect(), pause, outlasts: exp(-rest / pause) }
    }

    fn mean(&self) -> f64 {
        self.fixed.iter().sum::<f64>() / self.fixed.len() as f64 + self.outlasts * self.pause
    }

    /// The probability that it is at least `micros` long.
    fn at_least(&self, micros: f64) -> f64 {
        let given = |fixed: &f64| {
            let more = micros - fixed;
            if more <= 0.0 { 1.0 } else { self.outlasts * exp(-more / self.pause) }
        };
        self.fixed.iter().map(given).sum::<f64>() / self.fixed.len() as f64
    }

    /// How much of it lies beyond its first `micros`, on average. Needs all fixed lengths below that.
    fn beyond(&self, micros: f64) -> f64 {
        self.at_least(micros) * self.pause
    }
}

/// What a frame of one sender has to fear of the other. Per cycle of the other, of gap and frame, a frame may
/// begin at as many moments as there are in the gap with a whole frame's time behind them, and, with luck, at
/// the later ones, where the other one's frame runs into its last octets.
fn loss(gap: &Gap, air_time: f64) -> f64 {
    let power = |dbm| Strength::from_dbm(dbm).power().attowatts();
    let signal = power(STRENGTH_DBM);
    let against = power(MediumConfig::default().noise_dbm) + INTERFERENCE_WEIGHT * signal;
    let ln_bit_intact = ln(1.0 - bit_error_rate(signal / against));
    let survives = |overlap: f64| exp(overlap / BIT_MICROS * ln_bit_intact);
    let lucky: f64 = (0..air_time as u64)
        .map(|micros| micros as f64 + 0.5)
        .map(|overlap| survives(overlap) * gap.at_least(air_time - overlap))
        .sum();
    1.0 - (gap.beyond(air_time) + lucky) / (gap.mean() + air_time)
}
