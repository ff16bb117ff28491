//! Random numbers, with a seed that is printed so that a run can be repeated: [`Rng`].

use std::time::SystemTime;

/// A repeatable sequence: xorshift64*.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new() -> Rng {
        let seed = crate::number_from_env("QDJOBS_SEED");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = seed.unwrap_or(now.as_nanos() as u64 % 1_000_000);
        println!("QDJOBS_SEED={seed}");
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}
