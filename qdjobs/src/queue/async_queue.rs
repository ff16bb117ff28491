//! The queue whose methods return futures: [`AsyncQueue`], its reads and commands.
//!
//! Enqueueing with it is in `enqueue.rs`. The methods that block are in `job_queue.rs`.
//!
//! Depends on `job_queue` and on the contract of a store. Uses no async runtime.

use std::future::Future;

use super::job_queue::JobQueue;
use crate::model::error::Result;
use crate::model::job::{Attempt, Job, JobId};
use crate::store::{Counts, Filter, Health, JobCommand, Page, WorkerState};

/// A [`JobQueue`] whose methods return futures, for any async executor.
///
/// A writing method submits its write when it is called, before the first poll. If its future is dropped, the
/// write is still made. The futures of writes borrow nothing, and keep the queue open until they resolve. A
/// read is submitted by its first poll.
#[derive(Clone, Debug)]
pub struct AsyncQueue(JobQueue);

impl JobQueue {
    /// The same queue with methods that return futures.
    pub fn to_async(&self) -> AsyncQueue {
        AsyncQueue(self.clone())
    }
}

impl AsyncQueue {
    /// The same queue with blocking methods.
    pub fn to_blocking(&self) -> JobQueue {
        self.0.clone()
    }

    /// Reads one job. See [`JobQueue::get`].
    pub async fn get(&self, id: JobId) -> Result<Option<Job>> {
        self.0.store().get(id).await
    }

    /// Reads a page of jobs, newest first. See [`JobQueue::list`].
    pub async fn list(&self, filter: Filter) -> Result<Page> {
        self.0.store().list(filter).await
    }

    /// Counts the jobs by status. See [`JobQueue::counts`].
    pub async fn counts(&self) -> Result<Counts> {
        self.0.store().counts().await
    }

    /// Reads the ended attempts of a job, oldest first. See [`JobQueue::attempts`].
    pub async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        self.0.store().attempts(id).await
    }

    /// Reads the registered workers of all processes. See [`JobQueue::workers`].
    pub async fn workers(&self) -> Result<Vec<WorkerState>> {
        self.0.store().workers().await
    }

    /// Retries a job by hand. See [`JobQueue::retry`].
    pub fn retry(&self, id: JobId) -> impl Future<Output = Result<Job>> + Send + use<> {
        self.command(JobCommand::Retry(id))
    }

    /// Cancels a pending job. See [`JobQueue::cancel`].
    pub fn cancel(&self, id: JobId) -> impl Future<Output = Result<Job>> + Send + use<> {
        self.command(JobCommand::Cancel(id))
    }

    /// Deletes a job that is not running. See [`JobQueue::delete`].
    pub fn delete(&self, id: JobId) -> impl Future<Output = Result<Job>> + Send + use<> {
        self.command(JobCommand::Delete(id))
    }

    /// Reports whether the store operates normally. See [`JobQueue::health`].
    pub fn health(&self) -> Health {
        self.0.health()
    }

    /// Submits the command at once. An `async fn` would submit it at its first poll.
    fn command(&self, command: JobCommand) -> impl Future<Output = Result<Job>> + Send + use<> {
        let queue = self.0.clone();
        let answer = queue.store().command(command);
        async move {
            let job = answer.await;
            // The queue stays open until the command is answered.
            drop(queue);
            job
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::model::error::ErrorKind;
    use crate::model::job::Status;
    use crate::prelude::*;

    #[task("tests.queue.rest")]
    fn rest(n: u32) -> u32 {
        n
    }

    #[test]
    fn a_write_on_an_async_queue_is_submitted_by_the_call_whether_its_future_is_polled_or_not() {
        let queue = JobQueue::in_memory();
        let submits = queue.to_async();
        drop(submits.enqueue_all([Rest::new(1), Rest::new(2)]));
        let ids: Vec<JobId> = queue.list(Filter::default()).unwrap().jobs.iter().map(|job| job.id).collect();
        assert_eq!(ids.len(), 2);
        drop(submits.cancel(ids[0]));
        assert_eq!(queue.get(ids[0]).unwrap().unwrap().status, Status::Cancelled);
        drop(submits.retry(ids[0]));
        assert_eq!(queue.get(ids[0]).unwrap().unwrap().status, Status::Pending);
        drop(submits.delete(ids[0]));
        assert!(queue.get(ids[0]).unwrap().is_none());
    }

    #[test]
    fn the_future_of_a_write_borrows_nothing_and_moves_between_threads() {
        fn lasts<F: Future + Send + 'static>(future: F) -> F {
            future
        }
        let submits = JobQueue::in_memory().to_async();
        let numbers = vec![1, 2];
        let jobs = lasts(submits.enqueue_all(numbers.iter().map(|n| Rest::new(*n))));
        let (cancelled, retried) = (lasts(submits.cancel(JobId(1))), lasts(submits.retry(JobId(1))));
        let deleted = lasts(submits.delete(JobId(9)));
        // Each keeps the queue open until it resolves.
        drop((submits, numbers));
        assert_eq!(now(jobs).unwrap(), [JobId(1), JobId(2)]);
        assert_eq!(now(cancelled).unwrap().status, Status::Cancelled);
        assert_eq!(now(retried).unwrap().status, Status::Pending);
        assert_eq!(now(deleted).unwrap_err().kind(), ErrorKind::NotFound);
    }

    fn now<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("the memory store answers at once"),
        }
    }
}
