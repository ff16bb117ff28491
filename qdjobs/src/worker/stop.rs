//! The order of the steps when a worker stops, with the reason of each step: [`WorkerHandle`].
//!
//! Does not do the steps: the dispatchers (`dispatcher/control.rs`) and the supervisor do. How long a stop
//! waits for running jobs by default is in `options.rs`.
//!
//! Depends on the dispatchers and the supervisor.

use std::sync::Arc;
use std::time::Duration;

use crate::model::error::{ErrorKind, Result};
use crate::model::event::Event;
use crate::model::job::WorkerId;
use crate::queue::JobQueue;
use crate::store::Release;

use super::dispatcher::Dispatcher;
use super::reactor::Reactor;
use super::shared::WorkerShared;
use super::supervisor::RunningSupervisor;

/// After the shutdown timeout, tasks are asked to stop and get this long to return.
pub(super) const STOP_WAIT: Duration = Duration::from_millis(500);

/// How often a stop reports for which jobs it waits.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A worker that runs in the background. If the handle is dropped, the worker stops as by
/// [`stop`](WorkerHandle::stop).
#[derive(Debug)]
#[must_use = "a worker stops when its handle is dropped: keep it, and call `stop`"]
pub struct WorkerHandle {
    running: Option<RunningWorker>,
}

/// The parts of a worker while it runs.
#[derive(Debug)]
pub(super) struct RunningWorker {
    /// Keeps the queue open, because the threads of the worker do not.
    pub(super) _queue: JobQueue,
    pub(super) shared: Arc<WorkerShared>,
    pub(super) dispatchers: Vec<Arc<Dispatcher>>,
    pub(super) supervisor: RunningSupervisor,
    pub(super) shutdown_timeout: Duration,
    /// Keeps the worker's own tokio runtime.
    pub(super) _reactor: Reactor,
}

impl WorkerHandle {
    pub(super) fn new(running: RunningWorker) -> WorkerHandle {
        WorkerHandle { running: Some(running) }
    }

    /// The id of the worker. It changes if the worker loses its lease and registers again.
    pub fn id(&self) -> Option<WorkerId> {
        self.running.as_ref().map(|running| running.shared.worker_id())
    }

    /// Stops the worker: claims no further jobs and waits for the running ones until the shutdown timeout
    /// ends.
    ///
    /// Jobs that still run then are released: they lose no retry, and another worker runs them again. Returns
    /// when all of that is stored.
    pub fn stop(mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), RunningWorker::stop)
    }

    /// Makes a stop of this worker release its running jobs after `limit`, if its shutdown timeout is longer.
    #[cfg(all(feature = "signals", any(unix, all(windows, feature = "tokio"))))]
    pub(super) fn limit_shutdown_timeout(&mut self, limit: Duration) {
        if let Some(running) = &mut self.running {
            running.shutdown_timeout = running.shutdown_timeout.min(limit);
        }
    }

    /// Makes a stop of this worker release its running jobs at once.
    #[cfg(all(feature = "signals", any(unix, all(windows, feature = "tokio"))))]
    pub(super) fn hurry(&self) -> impl Fn() + Send + use<> {
        let dispatchers =
            self.running.as_ref().map(|running| running.dispatchers.clone()).unwrap_or_default();
        move || dispatchers.iter().for_each(|dispatcher| dispatcher.hurry())
    }

    #[cfg(all(test, feature = "tokio"))]
    pub(super) fn dispatchers(&self) -> &[Arc<Dispatcher>] {
        self.running.as_ref().map_or(&[], |running| &running.dispatchers)
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // A drop cannot return an error. If results could not be stored, their jobs are rescued.
            let _ = running.stop();
        }
    }
}

impl RunningWorker {
    /// Stops the worker, in this order and for these reasons.
    pub(super) fn stop(self) -> Result<()> {
        if let Some(forked) = self.shared.queue.store().halted()
            && forked.kind() == ErrorKind::Forked
        {
            // The worker belongs to the parent process: neither its threads nor its jobs are in this one.
            std::mem::forget(self);
            return Err(forked);
        }
        let RunningWorker { shared, dispatchers, supervisor, shutdown_timeout, .. } = self;
        // 1. Stop claiming. Otherwise, the dispatchers would get new jobs while they finish the old ones.
        dispatchers.iter().for_each(|dispatcher| dispatcher.close());
        drop(shared.queue.store().cancel_waiting_claims(shared.worker_id()));
        // 2. Wait for running jobs; all dispatchers share one shutdown timeout. The supervisor continues: a
        //    worker that still runs jobs must not lose its lease.
        wait_for_running(&shared, &dispatchers, shutdown_timeout);
        // 3. Ask tasks that still run to stop, give them a short time to return, and release their jobs.
        dispatchers.iter().for_each(|dispatcher| dispatcher.request_stop());
        let until = shared.elapsed() + STOP_WAIT;
        dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(until));
        let released: usize = dispatchers.iter().map(|dispatcher| dispatcher.release_running()).sum();
        // 4. Store the last results. The dispatchers then end.
        let stored = dispatchers.iter().map(|dispatcher| dispatcher.join()).fold(Ok(()), Result::and);
        // 5. Stop the heartbeats and remove the worker. The store then releases all jobs that it still
        //    assigns to this worker.
        supervisor.stop();
        let left = shared.queue.store().release_worker(shared.worker_id(), Release::ByWorker).wait();
        shared.emit(&Event::WorkerStopped {
            worker: shared.worker_id(),
            released: released + left.as_ref().map_or(0, |left| left.jobs),
        });
        stored.and(left.map(drop))
    }
}

/// Waits until no job runs, at most for `limit`. Reports once a second for which jobs it waits.
fn wait_for_running(shared: &WorkerShared, dispatchers: &[Arc<Dispatcher>], limit: Duration) {
    let until = shared.elapsed().saturating_add(limit);
    shared.emit(&Event::WorkerStopping { worker: shared.worker_id(), left: limit });
    loop {
        let report_at = until.min(shared.elapsed() + REPORT_EVERY);
        dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(report_at));
        let running: Vec<_> = dispatchers.iter().flat_map(|dispatcher| dispatcher.waits_for()).collect();
        let left = until.saturating_sub(shared.elapsed());
        if running.is_empty() || left.is_zero() {
            return;
        }
        let jobs: Vec<_> = running.iter().map(|execution| execution.named()).collect();
        shared.emit(&Event::StopWaits { worker: shared.worker_id(), jobs: &jobs, left });
    }
}
