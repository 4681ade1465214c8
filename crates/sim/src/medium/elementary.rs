//! The exponential, the logarithm and the square root's like of other platforms would differ in the last bit;
//! these use nothing but what IEEE 754 fixes to the bit: sums, products, quotients.
//!
//! **Invariant:** equal arguments give equal bits everywhere.

use std::f64::consts::{LN_2, LN_10};

/// The upper bits of ln 2, so that a product with a small whole number is exact; what is missing to it.
const LN_2_HIGH: f64 = f64::from_bits(LN_2.to_bits() & !0xffff_ffff);
const LN_2_LOW: f64 = 4.749_325_039_031_672_6e-7;
/// Terms of either series: what follows is below the last bit.
const TERMS: u32 = 20;
const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: i64 = 1023;

/// e to the `x`th; 0 where that is below the smallest normal number.
pub(crate) fn exp(x: f64) -> f64 {
    if x < -708.0 {
        return 0.0;
    }
    // 2^twos times the exponential of what is left, at most half of ln 2.
    let twos = (x / LN_2).round().min(1023.0);
    let rest = (x - twos * LN_2_HIGH) - twos * LN_2_LOW;
    let series = (1..TERMS).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    series * f64::from_bits(((twos as i64 + EXPONENT_BIAS) as u64) << MANTISSA_BITS)
}

/// The natural logarithm of a normal, positive `x`.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let twos = (bits >> MANTISSA_BITS) as i64 - EXPONENT_BIAS;
    let mantissa_bits = bits & ((1 << MANTISSA_BITS) - 1);
    let mantissa = f64::from_bits(mantissa_bits | (EXPONENT_BIAS as u64) << MANTISSA_BITS);
    // Twice the inverse hyperbolic tangent of at most a third.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..TERMS).rev().fold(0.0, |sum, n| sum * t * t + 1.0 / f64::from(2 * n + 1));
    twos as f64 * LN_2 + 2.0 * t * series
}

/// The common logarithm of a normal, positive `x`.
pub(crate) fn log10(x: f64) -> f64 {
    ln(x) / LN_10
}

/// 10 to the `x`th.
pub(crate) fn exp10(x: f64) -> f64 {
    exp(x * LN_10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_good_as_the_platform_s() {
        for step in -4000..=4000 {
            let x = f64::from(step) / 8.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp({x})");
            let y = x.exp();
            assert!((ln(y) - x).abs() < 1e-13 * x.abs().max(1.0), "ln({y})");
        }
        assert_eq!((exp(0.0), ln(1.0), exp(-1e9)), (1.0, 0.0, 0.0));
        assert!((log10(1000.0) - 3.0).abs() < 1e-15 && (exp10(-2.0) - 0.01).abs() < 1e-16);
    }

    /// Bits that must be the same on every platform.
    #[test]
    fn known_bits() {
        assert_eq!(exp(1.0).to_bits(), 0x4005_bf0a_8b14_576a);
        assert_eq!(ln(10.0).to_bits(), 0x4002_6bb1_bbb5_5515);
    }
}
