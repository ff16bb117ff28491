//! What happens around jobs, as data: [`Event`].
//!
//! Leans on `job` and `error`. Told after the store has answered, so nobody hears of what a crash could take back.

use std::time::Duration;

use crate::model::error::Error;
use crate::model::job::{JobId, WorkerId};

/// Something a worker did or met. See [`Worker::on_event`](crate::Worker::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The worker has started.
    WorkerStarted {
        /// Its number.
        worker: WorkerId,
        /// The tasks it serves, in order.
        tasks: &'a [&'a str],
    },
    /// A job has completed.
    Completed {
        /// The job.
        id: JobId,
        /// Its task.
        task_name: &'a str,
        /// How long the task ran.
        run_time: Duration,
    },
    /// An attempt failed; another follows.
    Retrying {
        /// The job.
        id: JobId,
        /// Its task.
        task_name: &'a str,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        error: &'a str,
        /// The wait before the next attempt.
        wait: Duration,
    },
    /// A job has failed for good: by its own error, or since it ended its process too often (which the worker tells that has
    /// rescued it).
    Failed {
        /// The job.
        id: JobId,
        /// Its task.
        task_name: &'a str,
        /// Its last attempt.
        attempt: u32,
        /// Why.
        error: &'a str,
    },
    /// A task has cancelled its job.
    Cancelled {
        /// The job.
        id: JobId,
        /// Its task.
        task_name: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A result came too late: the job was no longer the attempt's own, and the result was refused.
    ResultDiscarded {
        /// The job.
        id: JobId,
        /// The attempt that lost it.
        attempt: u32,
    },
    /// A dead worker's jobs were set free.
    Rescued {
        /// The dead worker.
        worker: WorkerId,
        /// How many jobs. Those among them that have failed, since it was one crash too many, are told next.
        jobs: usize,
    },
    /// The worker was taken for dead and goes on under a new number; what it ran is refused.
    LeaseLost {
        /// Its number before.
        worker: WorkerId,
    },
    /// The store failed; the worker tries again.
    StoreError {
        /// What it said.
        error: &'a Error,
    },
    /// The store has stopped for good. This worker claims nothing more and begins nothing more; what it runs is told. Told once.
    StoreHalted {
        /// What happened, and what to do.
        error: &'a Error,
    },
    /// The worker has stopped.
    WorkerStopped {
        /// Its number.
        worker: WorkerId,
        /// The jobs it gave back unfinished.
        released: usize,
    },
}
