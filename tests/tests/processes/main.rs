//! What the queue promises when processes die, stop, start together and share one file: tested on real processes.
//!
//! Leans on the program `victim`, which does what it is told and says what it did. Nothing here sleeps and hopes: each test
//! waits for a line that was said or a row that is there, with a generous deadline, and then asserts exactly.
//!
//! `cargo test -p qdjobs-tests --test processes -- --nocapture` prints the figures measured on the way. With
//! `QDJOBS_TORTURE_SECONDS=600` the kills of the exactly-once test go on for that long; `QDJOBS_SEED` repeats a run's
//! choices.
#![expect(clippy::disallowed_methods, reason = "processes live in real time")]
#![expect(clippy::print_stdout, reason = "figures are printed for people")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod blocked;
mod choices;
#[cfg(target_os = "linux")]
mod clocks;
#[cfg(unix)]
mod deaths;
mod disk_full;
mod kill;
mod log;
mod measure;
mod open;
mod panics;
mod scene;
mod share;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stops;
mod torture;
#[cfg(unix)]
mod versions;
mod victim;

/// How long or how often, if somebody wants more than the usual.
fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
