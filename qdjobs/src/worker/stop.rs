//! The order of the steps when a worker stops, with the reason of each step: [`WorkerHandle`], [`StopHandle`].
//!
//! Does not do the steps: the dispatchers (`dispatcher/control.rs`) and the supervisor do. How long a stop
//! waits for running jobs by default is in `options.rs`.
//!
//! Depends on the dispatchers and the supervisor.

use std::sync::{Arc, Weak};
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

    /// A handle with which any thread can end the wait of the stop of this worker, for example at a second signal.
    pub fn stop_handle(&self) -> StopHandle {
        let dispatchers = self.running.iter().flat_map(|running| &running.dispatchers);
        StopHandle { dispatchers: dispatchers.map(Arc::downgrade).collect() }
    }

    #[cfg(all(test, feature = "tokio"))]
    pub(super) fn dispatchers(&self) -> &[Arc<Dispatcher>] {
        self.running.as_ref().map_or(&[], |running| &running.dispatchers)
    }
}

/// Ends the wait of a stopping worker for its running jobs. Get it by [`WorkerHandle::stop_handle`] before the
/// stop, and keep it on any thread.
///
/// ```no_run
/// # use qdjobs::prelude::*;
/// # fn second_signal() {}
/// # fn main() -> qdjobs::Result<()> {
/// # let worker = Worker::new(&JobQueue::in_memory()).start()?;
/// let stop_handle = worker.stop_handle();
/// std::thread::spawn(move || {
///     second_signal(); // blocks until a person does not want to wait any longer
///     stop_handle.release_now();
/// });
/// worker.stop()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StopHandle {
    /// Weak, so that a kept handle does not keep the queue open.
    dispatchers: Vec<Weak<Dispatcher>>,
}

impl StopHandle {
    /// Releases the running jobs at once: [`stop`](WorkerHandle::stop), now or later, does not wait for them until
    /// the shutdown timeout ends.
    ///
    /// As after the timeout, tasks are asked to stop and have half a second to return. Their jobs lose no retry, no
    /// crash is counted, and another worker runs them again. Does not stop the worker by itself, and does nothing
    /// after the stop.
    pub fn release_now(&self) {
        self.dispatchers.iter().filter_map(Weak::upgrade).for_each(|dispatcher| dispatcher.skip_wait());
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
        dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(until, false));
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
        dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(report_at, true));
        let running: Vec<_> = dispatchers.iter().flat_map(|dispatcher| dispatcher.waits_for()).collect();
        let left = until.saturating_sub(shared.elapsed());
        if running.is_empty() || left.is_zero() {
            return;
        }
        let jobs: Vec<_> = running.iter().map(|execution| execution.named()).collect();
        shared.emit(&Event::StopWaits { worker: shared.worker_id(), jobs: &jobs, left });
    }
}
