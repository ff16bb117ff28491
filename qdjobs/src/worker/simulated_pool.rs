//! A pool without threads, for the simulation: [`SimulatedPool`].
//!
//! Compiled for tests only. The simulation decides when a job begins and how it ends, in
//! `sim/world/handlers.rs`.
//!
//! Depends on `execution.rs` and `job_source.rs`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::execution::Execution;
use super::job_source::JobSource;

/// A pool whose threads or futures are simulated.
#[derive(Debug)]
pub(crate) struct SimulatedPool {
    pub(super) size: usize,
    /// Whether free threads take jobs, as for `fn` tasks. Otherwise, jobs begin when they arrive, as on the
    /// executor.
    pub(super) takes_jobs: bool,
    /// The number of threads that replace those of abandoned executions.
    replacements: AtomicUsize,
    /// Jobs that the dispatcher has begun and the simulation has not taken yet.
    begun: Mutex<VecDeque<Arc<Execution>>>,
}

impl SimulatedPool {
    pub(crate) fn new(size: usize, takes_jobs: bool) -> SimulatedPool {
        SimulatedPool { size, takes_jobs, replacements: AtomicUsize::new(0), begun: Mutex::default() }
    }

    /// The number of threads.
    pub(super) fn threads(&self) -> usize {
        self.size + self.replacements.load(Ordering::Relaxed)
    }

    pub(super) fn spawn_thread(&self) {
        self.replacements.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_thread(&self) {
        self.replacements.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, execution: Arc<Execution>) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push_back(execution);
    }

    /// Whether a job has begun that the simulation has not taken yet.
    pub(super) fn has_begun(&self) -> bool {
        !self.begun.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes the next job that has begun.
    pub(super) fn next_begun(&self, jobs: &dyn JobSource) -> Option<Arc<Execution>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(execution) = begun.pop_front() {
            if !execution.is_settled() {
                return Some(execution);
            }
            // It timed out before its first poll, so its future is dropped.
            jobs.dropped(execution.id());
        }
        None
    }
}
