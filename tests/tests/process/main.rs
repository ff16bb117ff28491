//! What the queue promises when processes die, stop, start together and share one file: tested on real processes.
//!
//! Leans on the program `worker_process`, which does what it is told and says what it did. Nothing here sleeps and hopes: each test
//! waits for a line that was said or a row that is there, with a generous deadline, and then asserts exactly.
//!
//! `cargo test -p qdjobs-tests --test processes -- --nocapture` prints the figures measured on the way. For more than the usual:
//!
//! | variable | usual | |
//! |---|---|---|
//! | `QDJOBS_CHAOS_SECONDS` | 25 kills | the kills of the exactly-once test go on for so long |
//! | `QDJOBS_FIRST_STARTS` | 20 | new files that eight processes create at the same moment |
//! | `QDJOBS_RESTARTS` | 50 | rolling restarts |
//! | `QDJOBS_STORM_JOBS` | 2500 | jobs for each of the eight processes of the storm of claims |
//! | `QDJOBS_MIXED_JOBS` | 150 | jobs by each of the enqueuers that share the lock |
//! | `QDJOBS_SEED` | by the clock | repeats a run's choices |
//! | `QDJOBS_NO_SKIPS` | | a test that lacks what it needs (root, libfaketime, Python) fails instead of saying so |
//! | `QDJOBS_SPEED` | | figures of speed that nobody was promised have to stay within their bounds |
//!
//! `.ci/long` sets the last two, `.ci/run` does not: it may run where something is missing, and beside others.
#![expect(clippy::disallowed_methods, reason = "processes live in real time")]
#![expect(clippy::print_stdout, reason = "figures are printed for people")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod blocked;
mod chaos;
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
#[cfg(unix)]
mod versions;
mod worker_process;

/// Says why a test, or a part of it, cannot run here. Where all has to run, it fails.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("QDJOBS_NO_SKIPS").is_none(), "may not be skipped: {reason}");
    println!("skipped: {reason}");
}

/// A figure of speed that is no promise: it says something about a quiet machine alone, so only where it is asked for it is held
/// to its bound.
pub(crate) fn assert_speed<T: PartialOrd + std::fmt::Debug>(figure: T, bound: T) {
    if std::env::var_os("QDJOBS_SPEED").is_some() {
        assert!(figure < bound, "{figure:?}, not below {bound:?}");
    }
}

/// How long or how often, if somebody wants more than the usual.
fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
