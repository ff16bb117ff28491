//! Suspends, closes and empties a [`Dispatcher`], for the supervisor and for a stop.
//!
//! Does not decide the order of a stop: see `worker/stop.rs`. When a worker is suspended is decided in
//! `worker/supervisor/heartbeat.rs`.
//!
//! Depends on the state of the dispatcher.

use std::sync::Arc;
use std::time::Duration;

use crate::context::StopReason;
use crate::model::error::{Error, ErrorKind, Result};
use crate::sync::PoisonError;

use super::super::execution::Execution;
use super::{Dispatcher, State};

impl Dispatcher {
    // ---- For the supervisor ----

    /// Pauses or resumes the start of jobs. If it pauses, running tasks get the stop reason `LeaseLost`.
    pub(in crate::worker) fn suspend(&self, suspended: bool) {
        let mut state = self.lock();
        let to_stop = if suspended && !state.suspended { state.running(|_| true) } else { Vec::new() };
        state.suspended = suspended;
        // The number of jobs to claim has changed, so the thread must run.
        self.wake(&mut state);
        drop(state);
        self.job_ready.notify_all();
        request_stop(&to_stop, StopReason::LeaseLost);
    }

    /// Discards the unstarted jobs of a lost lease. Running tasks get the stop reason `LeaseLost`; the store
    /// will discard their results.
    pub(in crate::worker) fn lease_lost(&self) {
        let mut state = self.lock();
        let to_stop = state.running(|_| true);
        state.unstarted.clear();
        self.wake(&mut state);
        drop(state);
        request_stop(&to_stop, StopReason::LeaseLost);
    }

    /// Called when the store has halted. Starts no further job and discards the unstarted ones, because no
    /// result can be stored.
    pub(in crate::worker) fn store_halted(&self, error: &Error) {
        let mut state = self.lock();
        let to_stop = state.running(|_| true);
        state.suspended = true;
        state.unstarted.clear();
        state.backoff.failed(error.repeat(), self.shared.elapsed());
        self.wake(&mut state);
        drop(state);
        request_stop(&to_stop, StopReason::StoreHalted);
    }

    /// Called when the worker is registered under a new id. Requests that the store refused can be sent
    /// again.
    pub(in crate::worker) fn reregistered(&self) {
        self.wake(&mut self.lock());
    }

    // ---- For the stop, in its order ----

    /// Stops claims and starts of jobs, and releases the jobs that have not started.
    pub(in crate::worker) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.backoff.restart_deadline(self.shared.elapsed());
        state.release_unstarted();
        self.wake(&mut state);
        drop(state);
        self.job_ready.notify_all();
    }

    /// Waits until no job is running, at most until `until` in elapsed time. If `may_skip`, not after
    /// [`skip_wait`](Dispatcher::skip_wait).
    pub(in crate::worker) fn wait_idle(&self, until: Duration, may_skip: bool) {
        let state = self.lock();
        let left = until.saturating_sub(self.shared.elapsed());
        let running = |state: &mut State| !(state.running.is_empty() || may_skip && state.skips_wait);
        drop(self.idle.wait_timeout_while(state, left, running).unwrap_or_else(PoisonError::into_inner));
    }

    /// The jobs that run; empty if the stop waits for none of them.
    pub(in crate::worker) fn waits_for(&self) -> Vec<Arc<Execution>> {
        let state = self.lock();
        if state.skips_wait { Vec::new() } else { state.running(|_| true) }
    }

    /// Ends the waits for running jobs, now and later.
    pub(in crate::worker) fn skip_wait(&self) {
        self.lock().skips_wait = true;
        self.idle.notify_all();
    }

    /// Asks the tasks that still run to stop.
    pub(in crate::worker) fn request_stop(&self) {
        let to_stop = self.lock().running(|_| true);
        request_stop(&to_stop, StopReason::WorkerStopping);
    }

    /// Releases the jobs that still run. Returns how many started jobs this stop has released, including
    /// those whose tasks ended early on request.
    pub(in crate::worker) fn release_running(self: &Arc<Dispatcher>) -> usize {
        let mut state = self.lock();
        let to_release = state.running(|_| true);
        for execution in &to_release {
            self.end_early(&mut state, execution, execution.release(&self.shared));
        }
        let released = state.released;
        drop(state);
        to_release.iter().for_each(|execution| execution.announce(StopReason::WorkerStopping));
        released
    }

    /// Waits until every finished job is stored, and ends the threads.
    pub(in crate::worker) fn join(&self) -> Result<()> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stored = thread.map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Storage, "the dispatcher thread of a worker has panicked")
                    .help("restart the program, and report this error with the message of the panic"))
            })
        });
        self.pool.close();
        stored
    }
}

/// Asks tasks to stop. Called after the lock of the dispatcher is released.
fn request_stop(running: &[Arc<Execution>], reason: StopReason) {
    running.iter().for_each(|execution| execution.request_stop(reason));
}
