//! The link quality indication: how clean a frame was, from its SINR.

use std::sync::LazyLock;

use lowgate_units::Lqi;

use super::elementary::log10;

/// The SINR from which the LQI is at its most, in dB.
const SINR_MAX_DB: f64 = 30.0;
/// The table has 64 steps per factor of two, which are the leading bits of a floating-point number: a step is
/// less than half a unit.
const STEP_BITS: u32 = 6;
const REST_BITS: u32 = 52 - STEP_BITS;
/// Steps from 0 dB to 2^10, which is more than [`SINR_MAX_DB`].
const STEPS: u64 = 10 << STEP_BITS;

/// 0 up to an SINR of 0 dB, 255 from 30 dB on, even in between.
pub(super) fn lqi(sinr: f64) -> Lqi {
    let step = (sinr.max(1.0).to_bits() >> REST_BITS) - (1.0_f64.to_bits() >> REST_BITS);
    TABLE[step.min(STEPS) as usize]
}

static TABLE: LazyLock<Vec<Lqi>> = LazyLock::new(|| {
    (0..=STEPS)
        .map(|step| f64::from_bits(1.0_f64.to_bits() + (step << REST_BITS)))
        .map(|sinr| Lqi((10.0 * log10(sinr) * 255.0 / SINR_MAX_DB).min(255.0) as u8))
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_between_its_ends() {
        for tenths in -100..=500 {
            let sinr_db = f64::from(tenths) / 10.0;
            let exact = (sinr_db * 8.5).clamp(0.0, 255.0);
            let Lqi(lqi) = lqi(10f64.powf(sinr_db / 10.0));
            assert!((f64::from(lqi) - exact).abs() < 1.5, "{sinr_db} dB: {lqi}, not {exact}");
        }
        assert_eq!((lqi(0.0), lqi(f64::INFINITY)), (Lqi(0), Lqi(255)));
    }
}
