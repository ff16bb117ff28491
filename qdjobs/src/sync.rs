//! The locks, threads and channels of this crate: those of std, or of shuttle in tests of thread orders.
//!
//! A build with `--cfg qdjobs_shuttle` takes those of shuttle. Code that waits for another thread of this
//! crate takes them from here, except `worker/async_executor.rs`, which tokio's reactor wakes. The tests that run with shuttle are in `tests/shuttle`.
//!
//! Depends on std or shuttle, and on the error of a thread that cannot be started. `Arc` and other types that
//! never block are imported from std.

use crate::model::error::{Error, ErrorKind, Result};

#[cfg(not(qdjobs_shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread, thread_local,
};

#[cfg(qdjobs_shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread, thread_local,
};

pub(crate) use std::sync::PoisonError;

// For the threads of the SQLite store.
#[cfg(feature = "sqlite")]
pub(crate) use std::sync::TryLockError;

#[cfg(all(feature = "sqlite", not(qdjobs_shuttle)))]
pub(crate) use std::sync::mpsc;

#[cfg(all(feature = "sqlite", qdjobs_shuttle))]
pub(crate) use shuttle::sync::mpsc;

/// Starts a thread with this name.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>> {
    thread::Builder::new().name(name.into()).spawn(work).map_err(|error| no_thread(name, error))
}

/// The error for a thread that the operating system refuses.
pub(crate) fn no_thread(name: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("the thread `{name}` cannot be started: {error}"))
        .help(
            "lower the concurrency of the worker, or raise the limit of threads: `ulimit -u`, `TasksMax` of \
             systemd, `pids` of a container",
        )
        .caused_by(error)
}
