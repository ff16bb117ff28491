//! The steps of a [`Dispatcher`] without threads, for the simulation: next job, woken, idle.
//!
//! Compiled for tests only. The worker without threads is in `worker/testing.rs`.
//!
//! Depends on the state of the dispatcher. Decisions of the product never come in.

use std::sync::Arc;

use super::Dispatcher;
use crate::worker::execution::Execution;

impl Dispatcher {
    /// As `JobSource::next`, for a thread that has finished nothing and does not wait.
    pub(in crate::worker) fn try_next(&self) -> Option<Arc<Execution>> {
        self.begin_next(&mut self.lock())
    }

    /// Whether the dispatcher's thread is woken.
    pub(in crate::worker) fn is_woken(&self) -> bool {
        self.lock().woken
    }

    /// The dispatcher's thread has woken.
    pub(in crate::worker) fn clear_woken(&self) {
        self.lock().woken = false;
    }

    /// Whether a free thread of the pool would find a job.
    pub(in crate::worker) fn has_job(&self) -> bool {
        let state = self.lock();
        !state.unstarted.is_empty() && !state.suspended && !state.closed
    }

    /// Whether no job is running.
    pub(in crate::worker) fn is_idle(&self) -> bool {
        self.lock().running.is_empty()
    }
}
