//! Random inputs from a seed: [`Rng`].
//!
//! Depends on fastrand. The meaning of the bytes never comes in: it changes good inputs as a fuzzer does.

/// Pieces that one target or another understands.
const PIECES: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"\\u0000",
    b"\\ud800",
    b"1e308",
    b"-1",
    b"9223372036854775807",
    b"%00",
    b"%ff",
    b"&",
    b"=",
    b"/",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"ms",
    b"SQLite format 3\0",
    b"pending",
];

/// Generates inputs.
#[derive(Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The same inputs for the same seed.
    pub fn new(seed: u64) -> Rng {
        Rng(fastrand::Rng::with_seed(seed))
    }

    /// An input similar to one or two of `seeds`, or to none.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let Rng(rng) = self;
        let mut input = match rng.choice(seeds) {
            Some(seed) if rng.u8(..) > 25 => seed.clone(),
            _ => {
                let mut noise = vec![0; rng.usize(..200)];
                rng.fill(&mut noise);
                noise
            }
        };
        for _ in 0..rng.usize(..6) {
            let at = rng.usize(..=input.len());
            let len = rng.usize(..=(input.len() - at).min(16));
            match rng.u8(..6) {
                0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
                1 if at < input.len() => input[at] = rng.u8(..),
                2 => drop(input.drain(at..at + len)),
                3 => drop(input.splice(at..at, input[at..at + len].to_vec())),
                4 => drop(input.splice(at..at, rng.choice(PIECES).unwrap_or_default().iter().copied())),
                _ => {
                    if let Some(other) = rng.choice(seeds) {
                        input.truncate(at);
                        input.extend_from_slice(&other[rng.usize(..=other.len())..]);
                    }
                }
            }
        }
        input
    }
}
