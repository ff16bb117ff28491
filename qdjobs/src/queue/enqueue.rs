//! Enqueues on a queue: one job, jobs in bulk, or as an SQL statement for another driver.
//!
//! The options of a job are in `request.rs`. Jobs in a caller's transaction are stored by
//! `store/sqlite/external_tx.rs`.
//!
//! Depends on the request and on the contract of a store. Names no database.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::async_queue::AsyncQueue;
use super::handle::JobHandle;
use super::job_queue::JobQueue;
use super::request::JobRequest;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JobId, NewJob};
use crate::store::enqueue::enqueue_through_references;
use crate::store::{Enqueue, Foreign, Pending, SqlStatement};

impl Enqueue for &JobQueue {
    type Answer<R> = Result<JobHandle<R>>;

    fn accept<R>(self, job: Result<NewJob>) -> Self::Answer<R> {
        let ids = self.store().insert_blocking(vec![job?])?;
        Ok(self.handle(only(ids)?))
    }
}

impl Enqueue for &AsyncQueue {
    type Answer<R> = EnqueueFuture<R>;

    fn accept<R>(self, job: Result<NewJob>) -> Self::Answer<R> {
        let queue = self.to_blocking();
        EnqueueFuture { ids: submit(&queue, job.map(|job| vec![job])), queue, result: PhantomData }
    }
}

enqueue_through_references!(JobQueue => Result<JobHandle<R>>, AsyncQueue => EnqueueFuture<R>);

/// Enqueueing in bulk.
impl JobQueue {
    /// Stores many jobs in one transaction, all or none, and returns their ids in the given order.
    ///
    /// If the same job already holds an [idempotency key](JobRequest::idempotency_key), its id is returned in
    /// that place. If another job holds the key, all jobs of the call are refused.
    ///
    /// For jobs of tasks with different results, use [`JobRequest::any_result`]:
    ///
    /// ```
    /// # use qdjobs::prelude::*;
    /// # #[task("enqueue_all.add")] fn add(a: u8, b: u8) -> u8 { a + b }
    /// # #[task("enqueue_all.greet")] fn greet(name: &str) -> String { name.to_owned() }
    /// # fn main() -> qdjobs::Result<()> {
    /// # let queue = JobQueue::in_memory();
    /// let jobs = [Add::new(1, 2).request().any_result(), Greet::new("Ann").delay(WAIT).any_result()];
    /// assert_eq!(queue.enqueue_all(jobs)?.len(), 2);
    /// # Ok(()) }
    /// # const WAIT: std::time::Duration = std::time::Duration::from_secs(1);
    /// ```
    pub fn enqueue_all<R>(
        &self,
        jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>,
    ) -> Result<Vec<JobId>> {
        self.store().insert_blocking(new_jobs(jobs)?)
    }

    /// Returns one SQL statement that stores these jobs, for your own transaction on sqlx, diesel, sea-orm, or
    /// another driver with the same SQLite library.
    ///
    /// **Begin the transaction with `BEGIN IMMEDIATE`** (sqlx: `begin_with("BEGIN IMMEDIATE")`, diesel:
    /// `immediate_transaction`). A deferred transaction, the default of most drivers, fails with `database is
    /// locked` if it has read before and another connection has written since, whatever the busy timeout is.
    ///
    /// Bind [`json`](SqlStatement::json) as the only parameter, a text. The statement returns one row for each
    /// job, in the given order, with its id as an integer in the column `id`. With sqlx:
    ///
    /// ```text
    /// let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(statement.sql)).bind(statement.json).fetch_all(&mut *tx).await?;
    /// ```
    ///
    /// If the same job already holds an [idempotency key](JobRequest::idempotency_key), its id is returned in
    /// that place. If another job holds the key, the statement fails. It compares params as JSON text without
    /// spaces, so the order of members counts.
    ///
    /// The driver needs SQLite 3.38 or later, or 3.37 with its JSON functions. Two copies of SQLite in one
    /// process must not open the same file: the guide to transactions has a table of drivers.
    ///
    /// To start the jobs at once, call [`notify`](JobQueue::notify) after your commit. Without the call,
    /// workers find them a little later.
    pub fn insert_statement<R>(
        &self,
        jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>,
    ) -> Result<SqlStatement> {
        self.store().statement(Foreign::Insert(&new_jobs(jobs)?))
    }
}

/// Enqueueing in bulk.
impl AsyncQueue {
    /// Stores many jobs in one transaction. See [`JobQueue::enqueue_all`].
    pub fn enqueue_all<R>(
        &self,
        jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>,
    ) -> EnqueueAllFuture {
        let queue = self.to_blocking();
        EnqueueAllFuture { ids: submit(&queue, new_jobs(jobs)), _queue: queue }
    }
}

/// The argument of `queue.enqueue(..)`. No type implements it: a job is enqueued by its own method, which also
/// accepts transactions. The method of the queue exists for its compile error.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a queue has no method that enqueues one job: call `enqueue` on the job",
    label = "call `.enqueue(&queue)` on this",
    note = "write `job.enqueue(&queue)`, for example `SendEmail::new(..).enqueue(&queue)`",
    note = "`queue.enqueue_all(jobs)` stores many jobs in one transaction"
)]
pub trait EnqueuedByQueue {
    fn never<A>(self) -> A;
}

impl JobQueue {
    /// See [`EnqueuedByQueue`].
    #[doc(hidden)]
    pub fn enqueue<T: EnqueuedByQueue>(&self, job: T) -> Result<JobHandle<()>> {
        job.never()
    }
}

impl AsyncQueue {
    /// See [`EnqueuedByQueue`].
    #[doc(hidden)]
    pub fn enqueue<T: EnqueuedByQueue>(&self, job: T) -> EnqueueFuture<()> {
        job.never()
    }
}

/// The future of an `enqueue` on an [`AsyncQueue`]. It resolves once the job is durable.
///
/// The job is already submitted; dropping the future does not cancel it.
#[must_use = "the job is submitted, but whether it was stored is only known after `.await`"]
pub struct EnqueueFuture<R> {
    ids: Pending<Vec<JobId>>,
    queue: JobQueue,
    result: PhantomData<fn() -> R>,
}

impl<R> Future for EnqueueFuture<R> {
    type Output = Result<JobHandle<R>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.ids).poll(cx).map(|ids| Ok(self.queue.handle(only(ids?)?)))
    }
}

impl<R> fmt::Debug for EnqueueFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueFuture").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// The future of [`AsyncQueue::enqueue_all`]. It resolves once all jobs are durable.
///
/// The jobs are already submitted; dropping the future does not cancel them.
#[derive(Debug)]
#[must_use = "the jobs are submitted, but whether they were stored is only known after `.await`"]
pub struct EnqueueAllFuture {
    ids: Pending<Vec<JobId>>,
    /// Keeps the store open until the request is answered.
    _queue: JobQueue,
}

impl Future for EnqueueAllFuture {
    type Output = Result<Vec<JobId>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.ids).poll(cx)
    }
}

/// Submits the jobs at once. An `async fn` would submit them at its first poll.
fn submit(queue: &JobQueue, jobs: Result<Vec<NewJob>>) -> Pending<Vec<JobId>> {
    match jobs {
        Ok(jobs) => queue.store().insert(jobs),
        Err(error) => Pending::ready(Err(error)),
    }
}

fn new_jobs<R>(jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>) -> Result<Vec<NewJob>> {
    jobs.into_iter().map(|job| job.into().into_job()).collect()
}

fn only<T>(answers: Vec<T>) -> Result<T> {
    answers.into_iter().next().ok_or_else(|| {
        Error::new(
            ErrorKind::Indeterminate,
            "the store returned no id for the job; the job may or may not be stored",
        )
        .help("report this bug of the store; check whether the job is stored before you repeat the call")
    })
}
