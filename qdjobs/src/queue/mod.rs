//! The handle that people hold: [`JobQueue`], its async twin [`AsyncQueue`], and [`JobHandle`], one job of theirs.
//!
//! Leans on the store's contract. Runs nothing: that is the worker's.

pub(crate) mod request;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::model::clock::Clock;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Attempt, Job, JobId, NewJob, Status};
use crate::model::poison::CRASHES_MAX;
use crate::queue::request::{Enqueue, JobRequest};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use crate::store::{
    Counts, Filter, Health, JobCommand, Page, Pending, SqlStatement, Store, WorkerState, not_found,
};

/// A queue of jobs in a database. Cheap to clone; all clones are one queue, and several processes may open one file.
///
/// Every method blocks until its answer is durable (for writes) or read. In async code use
/// [`to_async`](JobQueue::to_async).
#[derive(Clone, Debug)]
pub struct JobQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.store.close();
    }
}

/// How a queue is opened. Made by [`JobQueue::options`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened yet: call `open`"]
pub struct QueueOptions {
    clock: Clock,
    sqlite: SqliteOptions,
    max_crashes: u32,
}

impl QueueOptions {
    /// What a job survives once `enqueue` has returned; [`Durability::Full`] unless you choose otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.sqlite.durability = durability;
        self
    }

    /// How long a write waits while another connection holds the database's write lock; 5 s unless you choose
    /// otherwise.
    pub fn busy_timeout(mut self, limit: Duration) -> Self {
        self.sqlite.busy_timeout = limit;
        self
    }

    /// How often a worker may die while it runs a job before the job is `failed`; [`CRASHES_MAX`] unless you choose
    /// otherwise, and at least once. What counts is the queue of the worker that finds the dead one: choose the same everywhere.
    pub fn max_crashes(mut self, limit: u32) -> Self {
        self.max_crashes = limit;
        self
    }

    /// How many bytes are kept free beside the database while workers run; 8 MiB unless you choose otherwise, 0 for none.
    ///
    /// When the disk is full, new jobs are refused with [`ErrorKind::StorageFull`] and none is started; these bytes let the running
    /// ones finish. All resumes by itself once twice as much is free again. [`JobQueue::health`] tells of it.
    pub fn disk_reserve(mut self, bytes: u64) -> Self {
        self.sqlite.disk_reserve = bytes;
        self
    }

    /// Opens a database on a disk of another machine (NFS, SMB, virtiofs, …) too, which is refused otherwise: SQLite's locks and
    /// shared memory do not reach across. Only if nobody else ever opens it there.
    pub fn allow_network_filesystem(mut self) -> Self {
        self.sqlite.allow_network_filesystem = true;
        self
    }

    /// The clock that tells the queue and its workers the time; for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the SQLite database at `path`, creating it if there is none.
    ///
    /// The file may be your application's own: all tables of qdjobs are named `qdjobs_…`. It is switched to WAL mode.
    pub fn open(self, path: impl AsRef<Path>) -> Result<JobQueue> {
        let sqlite = SqliteOptions { max_crashes: self.max_crashes, ..self.sqlite };
        let store = SqliteStore::open(path.as_ref(), sqlite, self.clock.clone())?;
        Ok(JobQueue::with_store(store, self.clock))
    }

    /// A queue that lives and dies with the process.
    pub fn in_memory(self) -> JobQueue {
        JobQueue::with_store(MemoryStore::with_max_crashes(self.clock.clone(), self.max_crashes), self.clock)
    }
}

impl JobQueue {
    /// Opens the SQLite database at `path`, creating it if there is none: the one-line setup.
    pub fn open(path: impl AsRef<Path>) -> Result<JobQueue> {
        JobQueue::options().open(path)
    }

    /// A queue that lives and dies with the process: for tests.
    pub fn in_memory() -> JobQueue {
        JobQueue::options().in_memory()
    }

    /// Options to open a queue with.
    pub fn options() -> QueueOptions {
        QueueOptions { clock: Clock::system(), sqlite: SqliteOptions::default(), max_crashes: CRASHES_MAX }
    }

    /// A queue on any store.
    pub fn with_store(store: Arc<dyn Store>, clock: Clock) -> JobQueue {
        JobQueue(Arc::new(Inner { store, clock }))
    }

    /// The same queue, answering with futures instead of blocking.
    pub fn to_async(&self) -> AsyncQueue {
        AsyncQueue(self.clone())
    }

    /// Stores many jobs at once, all or none, in the order given. A [`idempotency_key`](JobRequest::idempotency_key) that is held answers
    /// its holder in that place, or refuses them all.
    pub fn enqueue_all<R>(
        &self,
        jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>,
    ) -> Result<Vec<JobId>> {
        self.store().insert_blocking(gather(jobs)?)
    }

    /// The job, as it is now.
    pub fn get(&self, id: JobId) -> Result<Option<Job>> {
        self.store().get(id).wait()
    }

    /// Jobs, newest first, a page at a time.
    pub fn list(&self, filter: Filter) -> Result<Page> {
        self.store().list(filter).wait()
    }

    /// How many jobs there are, by status.
    pub fn counts(&self) -> Result<Counts> {
        self.store().counts().wait()
    }

    /// The attempts of a job that are over, oldest first.
    pub fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        self.store().attempts(id).wait()
    }

    /// The workers that are there, of all processes.
    pub fn workers(&self) -> Result<Vec<WorkerState>> {
        self.store().workers().wait()
    }

    /// Makes a failed or cancelled job, or one that waits for its time, due now, with a fresh budget of retries and crashes.
    pub fn retry(&self, id: JobId) -> Result<Job> {
        self.store().command(JobCommand::Retry(id)).wait()
    }

    /// Cancels a pending job.
    pub fn cancel(&self, id: JobId) -> Result<Job> {
        self.store().command(JobCommand::Cancel(id)).wait()
    }

    /// Removes a job that is not running, with its history; answers it as it was.
    pub fn delete(&self, id: JobId) -> Result<Job> {
        self.store().command(JobCommand::Delete(id)).wait()
    }

    /// A handle on a job that was stored elsewhere: in a transaction, by another process, before a restart. `R` is
    /// what its task returns.
    pub fn handle<R>(&self, id: JobId) -> JobHandle<R> {
        JobHandle { id, queue: self.clone(), result: PhantomData }
    }

    /// One SQL statement that stores these jobs through any driver, inside your own transaction there: bind
    /// [`json`](SqlStatement::json) as its one text parameter and execute it.
    ///
    /// A [`idempotency_key`](JobRequest::idempotency_key) that is held makes the statement pass over that job or, for another task or
    /// other params (here as JSON text without its spaces), fail.
    ///
    /// After your commit [`notify`](JobQueue::notify) starts the jobs at once; without it they are found a little later.
    pub fn insert_statement<R>(
        &self,
        jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>,
    ) -> Result<SqlStatement> {
        self.store().statement(&gather(jobs)?)
    }

    /// Looks for jobs that were stored behind the queue's back (by a transaction of yours, by another program) now
    /// instead of in a moment.
    pub fn notify(&self) {
        self.store().notify();
    }

    /// How the queue's store is: whether the disk is full or has failed, how long the write-ahead log is and who holds it back.
    ///
    /// Cheap, and never waits: made to be asked by a health check each second. After
    /// [`Stopped`](crate::store::HealthState::Halted) look at the disk and restart the program.
    pub fn health(&self) -> Health {
        self.store().health()
    }

    /// Copies the database into a new file, while workers go on: a whole database as of one moment, readable by its owner alone,
    /// synced. Never replaces a file. A copy by `cp` would miss what stands in the write-ahead log. The copy is read once more and found
    /// sound, else it is removed and told as [`Corrupt`](crate::ErrorKind::Corrupt): of a damaged file there is no backup, see
    /// [`salvage`](crate::store::sqlite::salvage()).
    ///
    /// Takes as long as reading and writing the file and reading the copy does, and keeps the log from being written back meanwhile; in
    /// async code call it on a thread for blocking work. Jobs that run at that moment run again if the copy is ever used, once their workers
    /// are found to be gone.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("qdjobs-doc-backup-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let (path, copy) = (dir.join("jobs.db"), dir.join("jobs-2026-11-25.db"));
    /// let queue = qdjobs::JobQueue::open(&path)?;
    /// queue.backup(&copy)?;
    /// assert!(qdjobs::store::sqlite::check(&copy)?.is_sound());
    /// # drop(queue);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), qdjobs::Error>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        self.store().backup(to.as_ref())
    }

    /// The clock of this queue.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where the jobs are stored: a path, or `memory`.
    pub fn location(&self) -> &str {
        self.store().name()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(crate) fn downgrade(&self) -> WeakQueue {
        WeakQueue { queue: Arc::downgrade(&self.0), store: self.0.store.clone(), clock: self.0.clock.clone() }
    }
}

/// A queue as the threads of its worker have it: they use it and do not keep it open. So it closes when its last handle is
/// dropped, on the thread that drops it, whoever of them is still on the way out.
#[derive(Clone, Debug)]
pub(crate) struct WeakQueue {
    queue: Weak<Inner>,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl WeakQueue {
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A handle to be kept by a task; none if the queue is closed.
    pub(crate) fn handle(&self) -> Option<JobQueue> {
        self.queue.upgrade().map(JobQueue)
    }
}

impl Enqueue for JobQueue {
    type Answer<R> = Result<JobHandle<R>>;

    fn accept<R>(&self, job: Result<NewJob>) -> Self::Answer<R> {
        let ids = self.store().insert_blocking(vec![job?])?;
        Ok(self.handle(one(ids)?))
    }
}

/// A [`JobQueue`] that answers with futures, on any executor.
///
/// Writes are submitted by the call itself, not by the first poll: a future that is dropped has still enqueued, or cancelled.
/// Their futures borrow nothing, and keep the queue open until the answer is there. What is only read is asked for by the
/// first poll.
#[derive(Clone, Debug)]
pub struct AsyncQueue(JobQueue);

impl AsyncQueue {
    /// The same queue, blocking.
    pub fn to_blocking(&self) -> JobQueue {
        self.0.clone()
    }

    /// See [`JobQueue::enqueue_all`].
    pub fn enqueue_all<R>(
        &self,
        jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>,
    ) -> EnqueueAllFuture {
        let ids = match gather(jobs) {
            Ok(jobs) => self.0.store().insert(jobs),
            Err(error) => Pending::ready(Err(error)),
        };
        EnqueueAllFuture { ids, _queue: self.0.clone() }
    }

    /// See [`JobQueue::get`].
    pub async fn get(&self, id: JobId) -> Result<Option<Job>> {
        self.0.store().get(id).await
    }

    /// See [`JobQueue::list`].
    pub async fn list(&self, filter: Filter) -> Result<Page> {
        self.0.store().list(filter).await
    }

    /// See [`JobQueue::counts`].
    pub async fn counts(&self) -> Result<Counts> {
        self.0.store().counts().await
    }

    /// See [`JobQueue::attempts`].
    pub async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        self.0.store().attempts(id).await
    }

    /// See [`JobQueue::workers`].
    pub async fn workers(&self) -> Result<Vec<WorkerState>> {
        self.0.store().workers().await
    }

    /// See [`JobQueue::retry`].
    pub fn retry(&self, id: JobId) -> impl Future<Output = Result<Job>> + Send + use<> {
        self.command(JobCommand::Retry(id))
    }

    /// See [`JobQueue::cancel`].
    pub fn cancel(&self, id: JobId) -> impl Future<Output = Result<Job>> + Send + use<> {
        self.command(JobCommand::Cancel(id))
    }

    /// See [`JobQueue::delete`].
    pub fn delete(&self, id: JobId) -> impl Future<Output = Result<Job>> + Send + use<> {
        self.command(JobCommand::Delete(id))
    }

    /// See [`JobQueue::health`].
    pub fn health(&self) -> Health {
        self.0.health()
    }

    /// See [`JobQueue::handle`].
    pub fn handle<R>(&self, id: JobId) -> JobHandle<R> {
        self.0.handle(id)
    }

    /// Submits the command now. A future alone would wait for its first poll.
    fn command(&self, command: JobCommand) -> impl Future<Output = Result<Job>> + Send + use<> {
        let queue = self.0.clone();
        let answer = queue.store().command(command);
        async move {
            let job = answer.await;
            // The queue stays open until here.
            drop(queue);
            job
        }
    }
}

impl Enqueue for AsyncQueue {
    type Answer<R> = EnqueueFuture<R>;

    fn accept<R>(&self, job: Result<NewJob>) -> Self::Answer<R> {
        let ids = match job {
            Ok(job) => self.0.store().insert(vec![job]),
            Err(error) => Pending::ready(Err(error)),
        };
        EnqueueFuture { ids, queue: self.0.clone(), result: PhantomData }
    }
}

/// The future of an enqueue on an [`AsyncQueue`]: resolves once the job is durable. The job is submitted already;
/// dropping this does not take it back.
#[must_use = "the job is submitted, but whether it was stored is only known after `.await`"]
pub struct EnqueueFuture<R> {
    ids: Pending<Vec<JobId>>,
    queue: JobQueue,
    result: PhantomData<fn() -> R>,
}

impl<R> Future for EnqueueFuture<R> {
    type Output = Result<JobHandle<R>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.ids).poll(cx).map(|ids| Ok(self.queue.handle(one(ids?)?)))
    }
}

impl<R> fmt::Debug for EnqueueFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueFuture").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// The future of an [`AsyncQueue::enqueue_all`]: resolves once all of the jobs are durable. They are submitted already; dropping
/// this does not take them back.
#[derive(Debug)]
#[must_use = "the jobs are submitted, but whether they were stored is only known after `.await`"]
pub struct EnqueueAllFuture {
    ids: Pending<Vec<JobId>>,
    /// Keeps the store open until the answer is there.
    _queue: JobQueue,
}

impl Future for EnqueueAllFuture {
    type Output = Result<Vec<JobId>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.ids).poll(cx)
    }
}

/// A stored job of yours. `R` is what its task returns.
///
/// In async code `.await` it instead of calling [`wait`](JobHandle::wait).
pub struct JobHandle<R> {
    id: JobId,
    queue: JobQueue,
    result: PhantomData<fn() -> R>,
}

// Derived, these would ask of `R` what a handle does not need: it holds no result.
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
    /// The job's number.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The job as it is now.
    pub fn job(&self) -> Result<Job> {
        self.queue.get(self.id)?.ok_or_else(|| not_found(self.id))
    }

    /// Blocks until the job has ended and gives the task's result.
    ///
    /// A job that failed or was cancelled is an error whose text is the job's. Woken by the end itself, within this
    /// process at once; there is no polling. Do not wait for a job inside a task that holds the only slot that could
    /// run it.
    pub fn wait(&self) -> Result<R>
    where
        R: DeserializeOwned,
    {
        result_of(self.queue.store().wait_for(self.id).wait()?)
    }

    /// As [`wait`](JobHandle::wait), for at most `limit`; then an error of kind
    /// [`Timeout`](ErrorKind::Timeout), and the job goes on.
    pub fn wait_timeout(&self, limit: Duration) -> Result<R>
    where
        R: DeserializeOwned,
    {
        match self.queue.store().wait_for(self.id).wait_timeout(limit) {
            Ok(job) => result_of(job?),
            Err(_still_pending) => {
                Err(Error::new(ErrorKind::Timeout, format!("job {} has not ended within {limit:?}", self.id))
                    .help("it goes on; wait again, or look at its status"))
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

/// The future of a [`JobHandle`]: the task's result, once the job has ended.
#[must_use = "futures do nothing unless awaited"]
pub struct JobFuture<R> {
    job: Pending<Job>,
    /// Keeps the store open until the answer is there.
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
        Pin::new(&mut self.job).poll(cx).map(|job| result_of(job?))
    }
}

/// The typed result of a job that has ended.
fn result_of<R: DeserializeOwned>(job: Job) -> Result<R> {
    match job.status {
        Status::Completed => serde_json::from_str(job.result.as_deref().unwrap_or("null")).map_err(|error| {
            Error::new(
                ErrorKind::ResultType,
                format!("the result of job {} is not what was asked for: {error}", job.id),
            )
            .help("ask for the type that the task returns, or read `job.result` as JSON")
        }),
        Status::Cancelled => {
            let why = job.error.map(|error| format!(": {error}")).unwrap_or_default();
            Err(Error::new(ErrorKind::JobCancelled, format!("job {} was cancelled{why}", job.id)))
        }
        _ => {
            let why = job.error.unwrap_or_else(|| "no error was stored".to_owned());
            Err(Error::new(ErrorKind::JobFailed, format!("job {} ({}) failed: {why}", job.id, job.task_name)))
        }
    }
}

fn gather<R>(jobs: impl IntoIterator<Item = impl Into<JobRequest<R>>>) -> Result<Vec<NewJob>> {
    jobs.into_iter().map(|job| job.into().into_job()).collect()
}

fn one<T>(answers: Vec<T>) -> Result<T> {
    answers
        .into_iter()
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Storage, "the store left a request unanswered"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[task("tests.queue.rest")]
    fn rest(n: u32) -> u32 {
        n
    }

    /// Neither `Clone` nor `Debug`, as results of tasks may be.
    #[derive(serde::Deserialize)]
    struct Bare;

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
        // Each keeps the queue open until its answer is there.
        drop((submits, numbers));
        assert_eq!(now(jobs).unwrap(), [JobId(1), JobId(2)]);
        assert_eq!(now(cancelled).unwrap().status, Status::Cancelled);
        assert_eq!(now(retried).unwrap().status, Status::Pending);
        assert_eq!(now(deleted).unwrap_err().kind(), ErrorKind::NotFound);
    }

    fn now<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("the memory answers at once"),
        }
    }

    #[test]
    fn a_handle_is_cloned_and_shown_whatever_its_task_returns() {
        let handle = JobQueue::in_memory().handle::<Bare>(JobId(1));
        assert_eq!(handle.clone().id(), JobId(1));
        assert!(format!("{handle:?}").starts_with("JobHandle"));
        assert!(format!("{:?}", handle.into_future()).starts_with("JobFuture"));
        let request = JobRequest::<Bare>::by_name("tests.queue.rest", &serde_json::json!({"n": 1})).unwrap();
        assert!(format!("{request:?}").starts_with("JobRequest"));
        assert!(
            format!("{:?}", request.enqueue(&JobQueue::in_memory().to_async())).starts_with("EnqueueFuture")
        );
    }
}
