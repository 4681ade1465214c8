//! Frames lost to noise alone, over SINR.

use lowgate_mac::{PhyCommand, Psdu};
use lowgate_units::{Channel, Duration, Instant};

use super::{Curve, Point, Study};
use crate::medium::elementary::{exp, exp10, ln};
use crate::medium::{
    FCS_OCTETS, Links, Medium, MediumConfig, MediumOutput, SHR_PHR_OCTETS, StationId,
    bit_error_rate,
};

/// Frames per point: three standard deviations are at most 1.5 %.
const FRAMES: u64 = 10_000;
const PSDU_OCTETS: [usize; 3] = [20, 60, 125];
/// From where a receiver notices a preamble to where hardly anything is lost, in quarters of a dB.
const SINR_QUARTERS: std::ops::RangeInclusive<i32> = -7..=12;

/// The share of frames lost at each SINR, nobody but one sender on the air.
pub fn noise(seed: u64) -> Study {
    let curve = |octets| Curve {
        name: format!("{octets} octets"),
        points: SINR_QUARTERS.map(|quarters| point(octets, quarters, seed)).collect(),
    };
    Study {
        title: "Frames lost to noise",
        source: "IEEE Std 802.15.4-2006, E.4.1.8: bit error rate of the 2450 MHz PHY",
        setting: "One sender, one receiver, noise of -90 dBm. The formula counts every bit from the preamble \
            to the FCS. Below -2 dB, outside of the plot, the simulated receiver notices no preamble and \
            loses every frame, where the formula would still let short ones through.",
        x: "SINR (dB)",
        y: "share of frames lost",
        curves: PSDU_OCTETS.map(curve).to_vec(),
        deviation_max: 0.015,
        relative_deviation_max: None,
    }
}

fn point(octets: usize, quarters: i32, seed: u64) -> Point {
    let sinr_db = f64::from(quarters) / 4.0;
    let bits = 8 * (SHR_PHR_OCTETS + octets + FCS_OCTETS);
    let bit_intact = 1.0 - bit_error_rate(exp10(sinr_db / 10.0));
    let known = 1.0 - exp(bits as f64 * ln(bit_intact));
    Point { x: sinr_db, known, simulated: lost(octets, sinr_db, seed) }
}

fn lost(octets: usize, sinr_db: f64, seed: u64) -> f64 {
    let config = MediumConfig::default();
    let links = Links::table(2, &[(0, 1, config.noise_dbm + sinr_db)]);
    let mut medium = Medium::new(config, &links, seed ^ octets as u64);
    let channel = Channel::new(15).expect("in the band");
    for station in [StationId(0), StationId(1)] {
        medium.perform(Instant::ZERO, station, PhyCommand::Tune { channel });
    }
    let psdu: Psdu = std::iter::repeat_n(0, octets).collect();
    let mut now = Instant::ZERO;
    for _ in 0..FRAMES {
        now += Duration::from_millis(1);
        medium.perform(now, StationId(0), PhyCommand::Transmit { psdu: psdu.clone() });
        loop {
            match medium.poll(now) {
                MediumOutput::Wait { until: Instant::FAR_FUTURE } => break,
                MediumOutput::Wait { until } => now = until,
                MediumOutput::Phy { .. } | MediumOutput::Aired { .. } => {}
            }
        }
    }
    1.0 - medium.counters().received as f64 / FRAMES as f64
}
