//! How likely the octets of a frame survive: the bit error rate of the 2.4 GHz O-QPSK PHY over SINR.

use std::sync::LazyLock;

/// Below this SINR, in dB, the table says what it says at its lower end: nothing gets through.
const SINR_MIN_DB: f64 = -10.0;
/// Above this SINR a bit error is not worth counting (below 1e-17 a bit).
const SINR_MAX_DB: f64 = 6.0;
/// Steps of the table per dB.
const STEPS_PER_DB: f64 = 64.0;

/// The logarithm of the probability that one bit arrives intact at `sinr`, a ratio of powers.
pub(super) fn ln_bit_intact(sinr: f64) -> f64 {
    let sinr_db = 10.0 * sinr.log10();
    if sinr_db >= SINR_MAX_DB {
        return 0.0;
    }
    let step = (sinr_db.max(SINR_MIN_DB) - SINR_MIN_DB) * STEPS_PER_DB;
    TABLE[step as usize]
}

static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let steps = ((SINR_MAX_DB - SINR_MIN_DB) * STEPS_PER_DB) as usize;
    (0..=steps)
        .map(|step| SINR_MIN_DB + (step as f64 + 0.5) / STEPS_PER_DB)
        .map(|sinr_db| (-bit_error_rate(10f64.powf(sinr_db / 10.0))).ln_1p())
        .collect()
});

/// IEEE 802.15.4-2006 E.4.1.8.
fn bit_error_rate(sinr: f64) -> f64 {
    let mut binomial = 16.0; // 16 over k
    let mut sum = 0.0;
    for k in 2..=16 {
        let k = f64::from(k);
        binomial *= (16.0 - k + 1.0) / k;
        let sign = if k % 2.0 == 0.0 { 1.0 } else { -1.0 };
        sum += sign * binomial * (20.0 * sinr * (1.0 / k - 1.0)).exp();
    }
    (8.0 / 15.0 / 16.0 * sum).clamp(0.0, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sinr_db: f64, expected: f64) {
        let rate = bit_error_rate(10f64.powf(sinr_db / 10.0));
        assert!((rate / expected - 1.0).abs() < 0.02, "{sinr_db} dB: {rate:e}, not {expected:e}");
        let tabled = -ln_bit_intact(10f64.powf(sinr_db / 10.0)).exp_m1();
        assert!((tabled / rate - 1.0).abs() < 0.2, "{sinr_db} dB: table {tabled:e}, not {rate:e}");
    }

    // The same sum, evaluated elsewhere with 50 digits.
    #[test]
    fn noise_louder_than_the_signal() {
        check(-6.0, 1.222_103_787_9e-1);
    }

    #[test]
    fn noise_as_loud_as_the_signal() {
        check(0.0, 1.615_266_879_2e-4);
    }

    #[test]
    fn signal_louder_than_the_noise() {
        check(2.0, 5.131_392_088_8e-7);
    }

    #[test]
    fn the_ends_of_the_table() {
        assert_eq!(ln_bit_intact(10.0), 0.0);
        assert_eq!(ln_bit_intact(f64::INFINITY), 0.0);
        assert!(ln_bit_intact(0.0) < -0.1);
    }
}
