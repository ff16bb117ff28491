//! Random numbers: [`Rng`], for the ids of workers and sockets, and for jitter.
//!
//! Not for secrets. How a random number becomes the wait before a retry is decided in `retry.rs`.
//!
//! Depends on the standard library alone.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of this process and its process id, which tells a fork from it. 0 until it is drawn.
static PROCESS: AtomicU64 = AtomicU64::new(0);

/// A random number of 31 bits for this process, not 0.
pub(crate) fn process_number() -> u32 {
    let own = u64::from(std::process::id());
    let drawn = (Rng::new().next() >> 33).max(1) << 32 | own;
    let is_forked = |number: u64| number & 0xffff_ffff != own;
    let before = PROCESS
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |number| is_forked(number).then_some(drawn));
    (before.map_or_else(|number| number, |_| drawn) >> 32) as u32
}

/// A random number generator that threads can share: SplitMix64 (Steele, Lea, Flood 2014), whose state is one
/// counter.
#[derive(Debug)]
pub(crate) struct Rng(AtomicU64);

impl Rng {
    /// A generator seeded by the operating system, through the hash keys of the standard library.
    pub(crate) fn new() -> Rng {
        let mut hasher = RandomState::new().build_hasher();
        // A fork continues with the hash keys of its parent, as its siblings do.
        hasher.write_u32(std::process::id());
        Rng::seeded(hasher.finish())
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

    /// A number of 32 bits.
    pub(crate) fn number(&self) -> u32 {
        (self.next() >> 32) as u32
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
        assert_ne!(Rng::new().next(), Rng::new().next());
        assert_eq!(process_number(), process_number());
        assert!((1..1 << 31).contains(&process_number()));
    }
}
