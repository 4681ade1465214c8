//! How likely the octets of a frame survive: the bit error rate of the 2.4 GHz O-QPSK PHY over SINR.
//!
//! **Invariant:** no function of the platform's mathematics library takes part.

use std::sync::LazyLock;

use super::elementary::{exp, ln};

/// Below this SINR (-12 dB) the table says what it says at its lower end: nothing gets through.
const SINR_MIN: f64 = 1.0 / 16.0;
/// From this SINR (6 dB) on a bit error is not worth counting: below 1e-17 a bit.
pub(super) const SINR_CLEAN: f64 = 4.0;
/// The table has 64 steps per factor of two, which are the leading bits of a floating-point number.
const STEP_BITS: u32 = 6;
const REST_BITS: u32 = 52 - STEP_BITS;
/// Steps from [`SINR_MIN`] to [`SINR_CLEAN`].
const STEPS: u64 = 6 << STEP_BITS;

/// The logarithm of the probability that one bit arrives intact at `sinr`, a ratio of powers.
pub(super) fn ln_bit_intact(sinr: f64) -> f64 {
    if sinr >= SINR_CLEAN {
        return 0.0;
    }
    let bits = sinr.max(SINR_MIN).to_bits();
    let step = ((bits >> REST_BITS) - (SINR_MIN.to_bits() >> REST_BITS)) as usize;
    let rest = (bits & ((1 << REST_BITS) - 1)) as f64 / (1_u64 << REST_BITS) as f64;
    let (from, to) = (TABLE[step], TABLE[step + 1]);
    from + (to - from) * rest
}

static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    (0..=STEPS)
        .map(|step| f64::from_bits(SINR_MIN.to_bits() + (step << REST_BITS)))
        .map(|sinr| ln(1.0 - bit_error_rate(sinr)))
        .collect()
});

/// The bit error rate at `sinr`, a ratio of powers. IEEE 802.15.4-2006 E.4.1.8.
pub fn bit_error_rate(sinr: f64) -> f64 {
    let mut binomial = 16.0; // 16 over k
    let mut sum = 0.0;
    for k in 2..=16 {
        let k = f64::from(k);
        binomial *= (16.0 - k + 1.0) / k;
        let sign = if k % 2.0 == 0.0 { 1.0 } else { -1.0 };
        sum += sign * binomial * exp(20.0 * sinr * (1.0 / k - 1.0));
    }
    (8.0 / 15.0 / 16.0 * sum).clamp(0.0, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sinr_db: f64, expected: f64) {
        let sinr = 10f64.powf(sinr_db / 10.0);
        let rate = bit_error_rate(sinr);
        assert!((rate / expected - 1.0).abs() < 0.02, "{sinr_db} dB: {rate:e}, not {expected:e}");
        let tabled = -ln_bit_intact(sinr).exp_m1();
        assert!((tabled / rate - 1.0).abs() < 0.02, "{sinr_db} dB: table {tabled:e}, not {rate:e}");
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
        assert_eq!(ln_bit_intact(SINR_CLEAN), 0.0);
        assert_eq!(ln_bit_intact(f64::INFINITY), 0.0);
        assert!(ln_bit_intact(SINR_CLEAN.next_down()) > -1e-15);
        assert_eq!(ln_bit_intact(0.0), ln_bit_intact(SINR_MIN));
        assert!(ln_bit_intact(0.0) < -0.1);
    }
}
