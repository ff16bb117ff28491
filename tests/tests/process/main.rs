//! What the queue promises when processes die, stop, start together and share one file: tested on real
//! processes.
//!
//! Depends on the program `worker_process`, which does what its arguments say and reports it. No test sleeps
//! for a result: each waits for a reported line or a row, with a generous deadline, and then asserts exactly.
//!
//! `cargo test -p qdjobs-tests --test process -- --nocapture` prints the measured figures. Variables for
//! longer runs:
//!
//! | variable | default | |
//! |---|---|---|
//! | `QDJOBS_CHAOS_SECONDS` | 25 kills | the kills of the exactly-once test continue for this long |
//! | `QDJOBS_FIRST_STARTS` | 20 | new files that eight processes create at the same moment |
//! | `QDJOBS_RESTARTS` | 50 | rolling restarts |
//! | `QDJOBS_STORM_JOBS` | 2500 | jobs for each of the eight processes that claim at once |
//! | `QDJOBS_MIXED_JOBS` | 150 | jobs by each of the enqueuers that share the lock |
//! | `QDJOBS_SEED` | by the clock | repeats a run's choices |
//! | `QDJOBS_NO_SKIPS` | | a test that lacks what it needs (root, libfaketime, Python) fails instead of being
//! skipped |
//! | `QDJOBS_SPEED` | | figures of speed that are no promise are checked against their bounds too |
//!
//! `.ci/long` sets the last two. `.ci/run` does not: it may run where something is missing, or beside other
//! programs.
#![expect(clippy::disallowed_methods, reason = "the processes run in real time")]
#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocked;
#[cfg(target_os = "linux")]
mod clocks;
#[cfg(unix)]
mod crashes;
mod disk_full;
mod exactly_once;
mod kill;
mod latency;
mod open;
mod panics;
mod poison;
mod restore;
mod rng;
mod share;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stops;
#[cfg(unix)]
mod versions;
mod wal;
mod worker_process;
mod workspace;

/// Prints why a test, or a part of it, cannot run here. With `QDJOBS_NO_SKIPS` it fails.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("QDJOBS_NO_SKIPS").is_none(), "may not be skipped: {reason}");
    println!("skipped: {reason}");
}

/// Checks a figure of speed that is no promise: it is meaningful only on a quiet machine, so only with
/// `QDJOBS_SPEED`.
pub(crate) fn assert_speed<T: PartialOrd + std::fmt::Debug>(figure: T, bound: T) {
    if std::env::var_os("QDJOBS_SPEED").is_some() {
        assert!(figure < bound, "{figure:?}, not below {bound:?}");
    }
}

/// The value of a variable, if it is set.
fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
