//! Locks, threads and channels: those of the standard library or, in `tests/shuttle`, those of shuttle, which
//! tries different thread orders.
//!
//! Code that waits for another thread of this crate imports them from here. Types that never wait, such as
//! `Arc`, are not in here.

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
