//! Random numbers: [`Rng`], for the ids of workers and sockets, and for jitter.
//!
//! Not for secrets. How a random number becomes the wait before a retry is decided in `retry.rs`.
//!
//! Depends on the standard library alone.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A random number generator that threads can share: SplitMix64 (Steele, Lea, Flood 2014), whose state is one
/// counter.
#[derive(Debug)]
pub(crate) struct Rng(AtomicU64);

impl Rng {
    /// A generator seeded by the operating system, through the hash keys of the standard library.
    pub(crate) fn new() -> Rng {
        Rng::seeded(RandomState::new().build_hasher().finish())
    }

    pub(crate) fn seeded(seed: u64) -> Rng {
        Rng(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `0.0..1.0`, uniformly distributed.
    pub(crate) fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A positive number of 63 bits, which fits the integers of databases and of most languages.
    pub(crate) fn id(&self) -> i64 {
        (self.next() >> 1).max(1) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_uniform_and_two_generators_differ() {
        let rng = Rng::seeded(1);
        let mean = (0..10_000).map(|_| rng.fraction()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_ne!(Rng::new().id(), Rng::new().id());
    }
}
