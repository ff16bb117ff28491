//! What a worker reports to its event listener: [`Event`], about its jobs and about itself, and [`RunningJob`].
//!
//! Does not emit events: `worker/dispatcher/claims.rs` emits those of finished jobs, the supervisor and the
//! start those of the worker. The event of a finished job is emitted after the store has answered, so a crash
//! cannot undo what it reports.
//!
//! Depends on `job` and `error`.

use std::time::Duration;

use crate::model::error::Error;
use crate::model::job::{JobId, WorkerId};

/// Something that happened in a worker. See [`Worker::on_event`](crate::Worker::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The worker has started.
    WorkerStarted {
        /// The number of the worker.
        worker: WorkerId,
        /// The names of the tasks that it runs, sorted.
        tasks: &'a [&'a str],
        /// The queues that it serves; `None` for all.
        queues: Option<&'a [String]>,
    },
    /// An attempt of a job has started.
    ///
    /// One event follows when it has ended: [`Completed`](Event::Completed), [`Retrying`](Event::Retrying),
    /// [`Postponed`](Event::Postponed), [`Failed`](Event::Failed), [`Cancelled`](Event::Cancelled),
    /// [`Released`](Event::Released) or [`ResultDiscarded`](Event::ResultDiscarded). None follows if the end could not be
    /// stored: the store has halted, or it failed until the worker had stopped.
    AttemptStarted {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt.
        attempt: u32,
    },
    /// A job has completed.
    Completed {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt.
        attempt: u32,
        /// How long the task ran.
        run_time: Duration,
    },
    /// An attempt has failed, and the job will be retried.
    Retrying {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt that failed.
        attempt: u32,
        /// The error of the attempt.
        error: &'a str,
        /// The wait before the retry.
        wait: Duration,
    },
    /// A job is pending again, because this worker cannot read its params. A worker of another version may.
    Postponed {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt.
        attempt: u32,
        /// What does not fit.
        error: &'a str,
        /// The wait until the job can be claimed again.
        wait: Duration,
    },
    /// A job has failed: its retries are used up, its error is permanent, or it crashed its worker too often.
    ///
    /// The worker that rescued the job reports the last case, although the attempt started in another worker.
    Failed {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the last attempt.
        attempt: u32,
        /// The error of the job.
        error: &'a str,
    },
    /// A job was cancelled by its task.
    Cancelled {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt.
        attempt: u32,
        /// The reason that the task gave.
        reason: &'a str,
    },
    /// An attempt was released: the job is pending again and lost no retry, because the worker stops or its lease
    /// may be lost.
    Released {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt.
        attempt: u32,
    },
    /// The result of an attempt was discarded: the attempt no longer held the job.
    ResultDiscarded {
        /// The number of the job.
        id: JobId,
        /// The name of its task.
        task_name: &'a str,
        /// The queue of the job.
        queue: &'a str,
        /// The number of the attempt.
        attempt: u32,
    },
    /// The jobs of a dead worker were released by this worker.
    Rescued {
        /// The number of the dead worker.
        worker: WorkerId,
        /// The number of jobs. An [`Event::Failed`] follows for each of them that has failed.
        jobs: usize,
    },
    /// The worker's lease expired: other workers released its jobs, and it continues under a new number.
    LeaseLost {
        /// The previous number.
        worker: WorkerId,
    },
    /// A request to the store failed; the worker tries again.
    StoreError {
        /// The error of the store.
        error: &'a Error,
    },
    /// The store has halted: the worker claims and starts no more jobs. Reported once.
    StoreHalted {
        /// The cause, and what to do.
        error: &'a Error,
    },
    /// The worker stops: it starts no more jobs, and waits for the running ones.
    WorkerStopping {
        /// The number of the worker.
        worker: WorkerId,
        /// How long it waits at most before it releases them.
        left: Duration,
    },
    /// The stop waits for running jobs. Reported once a second.
    StopWaits {
        /// The number of the worker.
        worker: WorkerId,
        /// The jobs, in the order of their numbers: first those of `fn` tasks, then those of `async fn` tasks.
        jobs: &'a [RunningJob<'a>],
        /// How long it waits at most from now on.
        left: Duration,
    },
    /// The worker has stopped.
    WorkerStopped {
        /// The number of the worker.
        worker: WorkerId,
        /// The number of jobs that it released unfinished.
        released: usize,
    },
}

/// A running job, as [`Event::StopWaits`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningJob<'a> {
    /// The number of the job.
    pub id: JobId,
    /// The name of its task.
    pub task_name: &'a str,
    /// The queue of the job.
    pub queue: &'a str,
}
