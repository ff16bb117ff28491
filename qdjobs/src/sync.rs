//! The locks, threads and channels of this crate: those of std, or of shuttle in tests of thread orders.
//!
//! A build with `--cfg qdjobs_shuttle` takes those of shuttle. Code that waits for another thread of this
//! crate takes them from here, except `worker/async_executor.rs`, which tokio's reactor wakes. The tests that run with shuttle are in `tests/shuttle`.
//!
//! Depends on std or shuttle. Nothing else comes in: `Arc` and other types that never block are imported from
//! std.

#[cfg(not(qdjobs_shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(qdjobs_shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};

pub(crate) use std::sync::PoisonError;

// For the threads of the SQLite store.
#[cfg(feature = "sqlite")]
pub(crate) use std::sync::TryLockError;

#[cfg(all(feature = "sqlite", not(qdjobs_shuttle)))]
pub(crate) use std::sync::mpsc;

#[cfg(all(feature = "sqlite", qdjobs_shuttle))]
pub(crate) use shuttle::sync::mpsc;
