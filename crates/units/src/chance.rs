//! Two doors for chance: [`Prng`] for jitter and backoff, [`Entropy`] for keys, nonces and cookies.

/// A source fit for secrets. The simulator implements it with a seed, a device with its generator.
pub trait Entropy {
    /// Overwrites all of `octets`.
    fn fill(&mut self, octets: &mut [u8]);
}

/// A small, fast, seeded generator (splitmix64). **Never** for anything that must be unpredictable.
#[derive(Clone, Debug)]
pub struct Prng {
    state: u64,
}

impl Prng {
    /// Equal seeds give equal streams.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream of its own for `purpose`, independent of what this one draws later.
    pub fn fork(&self, purpose: u64) -> Self {
        let mut child = Self { state: self.state ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93) };
        let seed = child.next_u64();
        Self { state: seed ^ purpose }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Uniform in `[0, 1)`.
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The simulator's and the tests' [`Entropy`]: predictable, so it has no place in a product.
#[derive(Clone, Debug)]
pub struct SeededEntropy(Prng);

impl SeededEntropy {
    /// Equal seeds give equal "secrets".
    pub const fn new(seed: u64) -> Self {
        Self(Prng::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(8) {
            let word = self.0.next_u64().to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_stays_below_and_reaches_both_ends() {
        let mut prng = Prng::new(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[prng.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(prng.below(0), 0);
    }

    #[test]
    fn forks_differ_by_purpose_and_repeat_by_seed() {
        let root = Prng::new(7);
        assert_ne!(root.fork(1).next_u64(), root.fork(2).next_u64());
        assert_eq!(root.fork(1).next_u64(), Prng::new(7).fork(1).next_u64());
    }

    #[test]
    fn splitmix64_first_values() {
        // Reference output of splitmix64 for seed 0 (Vigna's public-domain splitmix64.c).
        let mut prng = Prng::new(0);
        assert_eq!(prng.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(prng.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }
}
