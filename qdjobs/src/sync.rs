//! Locks, threads and channels: std's, and those of shuttle where it tries the orders in which they may come
//! (`tests/shuttle`).
//!
//! Whoever waits for another thread of this crate takes them from here. Nothing else comes in: `Arc` and the like wait for nobody.

#[cfg(not(qdjobs_shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic, mpsc},
    thread,
};

#[cfg(qdjobs_shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic, mpsc},
    thread,
};

pub(crate) use std::sync::{PoisonError, TryLockError};
