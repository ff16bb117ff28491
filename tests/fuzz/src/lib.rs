//! What arrives from outside, and what it may not do: one function for each place where bytes of somebody else are read.
//!
//! Leans on the public door of `qdjobs` and on the demo's routes. Each function takes any bytes, makes a request of them,
//! and panics if a promise is broken. The same functions run in two ways: over the committed seeds and their mutations in
//! `tests/seeds.rs`, a bounded number of times, and under a fuzzer for as long as one likes in `tests/fuzz`.

#![expect(clippy::unwrap_used, reason = "a promise that is not kept is to panic")]

mod alarm;
mod file;
mod http;
mod jobs;
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

/// A function that is to survive any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the name that a fuzzer and the folders of seeds call them.
pub const TARGETS: [(&str, Target); 6] = [
    ("words", words),
    ("params", params),
    ("jobs", jobs),
    ("http", http),
    ("workflow", workflow),
    ("file", file),
];
