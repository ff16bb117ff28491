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

use super::{Dispatcher, State};

impl Dispatcher {
    // ---- For the supervisor ----

    /// Pauses or resumes the start of jobs. If it pauses, running tasks get the stop reason `LeaseLost`.
    pub(in crate::worker) fn suspend(&self, suspended: bool) {
        let mut state = self.lock();
        if suspended && !state.suspended {
            state.request_stop(StopReason::LeaseLost);
        }
        state.suspended = suspended;
        // The number of jobs to claim has changed, so the thread must run.
        self.wake(&mut state);
        drop(state);
        self.job_ready.notify_all();
    }

    /// Discards the unstarted jobs of a lost lease. Running tasks get the stop reason `LeaseLost`; the store
    /// will discard their results.
    pub(in crate::worker) fn lease_lost(&self) {
        let mut state = self.lock();
        state.request_stop(StopReason::LeaseLost);
        state.unstarted.clear();
        self.wake(&mut state);
    }

    /// Called when the store has halted. Starts no further job and discards the unstarted ones, because no
    /// result can be stored.
    pub(in crate::worker) fn store_halted(&self, error: &Error) {
        let mut state = self.lock();
        state.request_stop(StopReason::StoreHalted);
        state.suspended = true;
        state.unstarted.clear();
        state.backoff.failed(error.repeat(), self.shared.elapsed());
        self.wake(&mut state);
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

    /// Waits until no job is running, at most until `until` in elapsed time.
    pub(in crate::worker) fn wait_idle(&self, until: Duration) {
        let state = self.lock();
        let left = until.saturating_sub(self.shared.elapsed());
        let running = |state: &mut State| !state.running.is_empty();
        drop(self.idle.wait_timeout_while(state, left, running).unwrap_or_else(PoisonError::into_inner));
    }

    /// Asks the tasks that still run to stop.
    pub(in crate::worker) fn request_stop(&self) {
        self.lock().request_stop(StopReason::WorkerStopping);
    }

    /// Releases the jobs that still run. Returns how many started jobs this stop has released, including
    /// those whose tasks ended early on request.
    pub(in crate::worker) fn release_running(self: &Arc<Dispatcher>) -> usize {
        let mut state = self.lock();
        for execution in state.running(|_| true) {
            if let Some(report) = execution.release(&self.shared) {
                self.abandon(&mut state, &execution);
                self.record(&mut state, execution.id(), report);
                self.wake(&mut state);
            }
        }
        state.released
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

impl State {
    fn request_stop(&self, reason: StopReason) {
        self.running.values().for_each(|execution| execution.request_stop(reason));
    }
}
