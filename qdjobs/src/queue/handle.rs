//! Waits for the typed result of a job: [`JobHandle`], one stored job of a queue.
//!
//! Which errors a wait returns for a failed or cancelled job, and inside a task, is decided here. When the wait
//! is answered is decided in `store/engine/waiters.rs`.
//!
//! Depends on `job_queue`, on `inside_task` and on the contract of a store. Names no task: the result type is a parameter.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::async_queue::AsyncQueue;
use super::inside_task;
use super::job_queue::JobQueue;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, JobId, Status};
use crate::store::{Pending, not_found};

/// A stored job, for waiting for its result. `R` is what its task returns.
///
/// In async code, `.await` the handle instead of calling [`wait`](JobHandle::wait).
pub struct JobHandle<R> {
    id: JobId,
    queue: JobQueue,
    result: PhantomData<fn() -> R>,
}

impl JobQueue {
    /// A handle of a job that was stored elsewhere: in a transaction, by another process, or before a
    /// restart. `R` is what its task returns. With another `R`, the result is read as that type reads it: a
    /// `serde_json::Value` holds an integer of more than 64 bits as a float.
    pub fn handle<R>(&self, id: JobId) -> JobHandle<R> {
        JobHandle { id, queue: self.clone(), result: PhantomData }
    }
}

impl AsyncQueue {
    /// A handle of a job that was stored elsewhere. See [`JobQueue::handle`].
    pub fn handle<R>(&self, id: JobId) -> JobHandle<R> {
        self.to_blocking().handle(id)
    }
}

// Derived implementations would require `R: Clone` and `R: Debug`, although a handle contains no result.
impl<R> Clone for JobHandle<R> {
    fn clone(&self) -> JobHandle<R> {
        JobHandle { id: self.id, queue: self.queue.clone(), result: PhantomData }
    }
}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("id", &self.id).field("queue", &self.queue).finish()
    }
}

impl<R> JobHandle<R> {
    /// The number of the job.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Reads the job as it is now.
    pub fn job(&self) -> Result<Job> {
        self.queue.get(self.id)?.ok_or_else(|| not_found(self.id))
    }

    /// Blocks until the job has ended and returns the task's result.
    ///
    /// If the job failed or was cancelled, the error contains the job's error. The wait does not poll: if a
    /// worker of this process ends the job, the wait is woken at once.
    ///
    /// Inside a task of the same queue, it returns the result of a job that has ended. Of any other job, it returns
    /// an error of kind [`Config`](ErrorKind::Config), because the task may occupy the only thread that could run
    /// the job, and the wait would never end. There, make the task an `async fn` whose future is `Send` and `.await` the handle, or
    /// enqueue the rest of the work as a follow-up job. [`wait_timeout`](JobHandle::wait_timeout) waits also there.
    pub fn wait(&self) -> Result<R>
    where
        R: DeserializeOwned,
    {
        if inside_task::is_inside(self.queue.store()) {
            let job = self.job()?;
            return if job.status.is_ended() { typed_result(job) } else { Err(endless(&job)) };
        }
        typed_result(self.queue.store().wait_for(self.id).wait()?)
    }

    /// As [`wait`](JobHandle::wait), for at most `limit`. Then it returns an error of kind
    /// [`Timeout`](ErrorKind::Timeout). The job stays as it is, pending or running.
    pub fn wait_timeout(&self, limit: Duration) -> Result<R>
    where
        R: DeserializeOwned,
    {
        match self.queue.store().wait_for(self.id).wait_timeout(limit) {
            Ok(job) => typed_result(job?),
            Err(_still_pending) => {
                Err(Error::new(ErrorKind::Timeout, format!("job {} has not ended within {limit:?}", self.id))
                    .help(
                    "the job was not changed: look at it with `job()`. If it is pending, check that it is due and that a \
                     worker serves its queue and its task; if it is running, wait again",
                ))
            }
        }
    }
}

impl<R: DeserializeOwned> IntoFuture for JobHandle<R> {
    type Output = Result<R>;
    type IntoFuture = JobFuture<R>;

    fn into_future(self) -> JobFuture<R> {
        JobFuture { job: self.queue.store().wait_for(self.id), _queue: self.queue, result: PhantomData }
    }
}

/// The future of a [`JobHandle`]. It resolves to the task's result once the job has ended.
#[must_use = "futures do nothing unless awaited"]
pub struct JobFuture<R> {
    job: Pending<Job>,
    /// Keeps the store open until the request is answered.
    _queue: JobQueue,
    result: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for JobFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobFuture").field("job", &self.job).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned> Future for JobFuture<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.job).poll(cx).map(|job| typed_result(job?))
    }
}

/// The error for a task that would wait for a job of its own queue.
fn endless(job: &Job) -> Error {
    Error::new(
        ErrorKind::Config,
        format!(
            "job {} ({}) has not ended, and `wait` was called inside a task, which may occupy the only thread for it",
            job.id, job.task_name
        ),
    )
    .help(
        "make the task an `async fn` whose future is `Send` and `.await` the handle, or enqueue the rest of the work as a \
         follow-up job; \
         `wait_timeout` waits inside a task too, and gives up after a limit",
    )
}

/// The typed result of a job that has ended.
fn typed_result<R: DeserializeOwned>(job: Job) -> Result<R> {
    match job.status {
        Status::Completed => serde_json::from_str(job.result.as_deref().unwrap_or("null")).map_err(|error| {
            Error::new(
                ErrorKind::ResultType,
                format!("the result of job {} does not have the requested type: {error}", job.id),
            )
            .help(
                "request the type that was stored, by the return value or by `complete_in`; the task may have changed since. \
                 Or read `handle.job()?.result` as JSON",
            )
        }),
        Status::Cancelled => {
            let why = job.error.map(|error| format!(": {error}")).unwrap_or_default();
            Err(Error::new(ErrorKind::JobCancelled, format!("job {} was cancelled{why}", job.id))
                .help("to run the job again, call `queue.retry(id)`"))
        }
        _ => {
            let why = job.error.unwrap_or_else(|| "no error was stored".to_owned());
            Err(Error::new(ErrorKind::JobFailed, format!("job {} ({}) failed: {why}", job.id, job.task_name))
                .help("remove the cause, then call `queue.retry(id)`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// Neither `Clone` nor `Debug`, as the result of a task may be.
    #[derive(serde::Deserialize)]
    struct Bare;

    #[task("tests.queue.stay")]
    fn stay(n: u32) -> u32 {
        n
    }

    #[test]
    fn a_handle_can_be_cloned_and_printed_whatever_its_task_returns() {
        let handle = JobQueue::in_memory().handle::<Bare>(JobId(1));
        assert_eq!(handle.clone().id(), JobId(1));
        assert!(format!("{handle:?}").starts_with("JobHandle"));
        assert!(format!("{:?}", handle.into_future()).starts_with("JobFuture"));
        let request = JobRequest::<Bare>::by_name("tests.queue.stay", &serde_json::json!({"n": 1})).unwrap();
        assert!(format!("{request:?}").starts_with("JobRequest"));
        assert!(
            format!("{:?}", request.enqueue(&JobQueue::in_memory().to_async())).starts_with("EnqueueFuture")
        );
    }
}
