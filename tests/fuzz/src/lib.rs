//! Input from outside: one function for each place that reads bytes of unknown origin.
//!
//! Depends on the public interface of `qdjobs` and on the demo's routes. Each function takes any bytes, makes
//! a request of them, and panics if a promise is broken. The functions run in two ways: over the committed
//! seeds and their mutations in `tests/seeds.rs`, a bounded number of times, and under libFuzzer in
//! `libfuzzer/`, for any time.

#![expect(clippy::unwrap_used, reason = "a broken promise has to panic")]

mod file;
mod http;
mod jobs;
mod panics;
mod params;
mod rng;
mod text;
mod words;
mod workflow;

pub use file::file;
pub use http::http;
pub use jobs::jobs;
pub use params::params;
pub use rng::Rng;
pub use words::words;
pub use workflow::workflow;

/// A function that has to survive any bytes.
pub type Target = fn(&[u8]);

/// All targets, with the names that the fuzzer and the folders of seeds use.
pub const TARGETS: [(&str, Target); 6] = [
    ("words", words),
    ("params", params),
    ("jobs", jobs),
    ("http", http),
    ("workflow", workflow),
    ("file", file),
];
