//! The handle of a queue: [`JobQueue`], with its reads, its commands by hand, and the health of its store.
//!
//! Opening a queue is in `options.rs`, enqueueing in `enqueue.rs`. Which commands a job's status allows is
//! decided in `store/command.rs`.
//!
//! Depends on the contract of a store.

use std::sync::{Arc, Weak};

use crate::model::clock::Clock;
use crate::model::error::Result;
use crate::model::job::{Attempt, Job, JobId};
use crate::store::{Counts, EnqueueAt, Filter, Health, InTransaction, JobCommand, Page, Store, WorkerState};

/// A queue of jobs in a database, with blocking methods.
///
/// It is cheap to clone, and all clones are the same queue. Several processes can open the same file.
///
/// A method that writes returns when the write is durable. In async code, use
/// [`to_async`](JobQueue::to_async).
#[derive(Clone, Debug)]
pub struct JobQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.store.close();
    }
}

impl JobQueue {
    /// A queue on `store`, which also determines its clock.
    pub fn with_store(store: Arc<dyn Store>) -> JobQueue {
        JobQueue(Arc::new(Inner { store }))
    }

    /// The transaction `tx` of a driver as a target of `enqueue`, with this queue's clock.
    ///
    /// `job.enqueue(&tx)` computes `created_at` and a delay by the system's clock. With a
    /// [manual clock](Clock::manual), use `job.enqueue(queue.on(&tx))`:
    ///
    #[cfg_attr(feature = "sqlite", doc = "```")]
    #[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
    /// use qdjobs::rusqlite::{Connection, TransactionBehavior};
    /// use qdjobs::{prelude::*, Clock, Timestamp};
    /// # #[task("on.remind")] fn remind(user: u64) { let _ = user; }
    /// # let dir = std::env::temp_dir().join(format!("qdjobs-doc-on-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let path = dir.join("jobs.db");
    /// let queue = JobQueue::options().clock(Clock::manual(Timestamp::UNIX_EPOCH)).open(&path)?;
    /// let mut db = Connection::open(&path).unwrap();
    /// let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    /// let id = Remind::new(7).enqueue(queue.on(&tx))?;
    /// tx.commit().unwrap();
    /// assert_eq!(queue.get(id)?.unwrap().created_at, Timestamp::UNIX_EPOCH);
    /// # drop((queue, db));
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), qdjobs::Error>(())
    /// ```
    pub fn on<T: EnqueueAt>(&self, tx: T) -> InTransaction<T> {
        InTransaction::new(tx, self.clock().clone())
    }

    /// Reads one job; `None` if there is no job with this id.
    pub fn get(&self, id: JobId) -> Result<Option<Job>> {
        self.store().get(id).wait()
    }

    /// Reads a page of jobs, newest first.
    pub fn list(&self, filter: Filter) -> Result<Page> {
        self.store().list(filter).wait()
    }

    /// Counts the jobs by status.
    pub fn counts(&self) -> Result<Counts> {
        self.store().counts().wait()
    }

    /// Reads the ended attempts of a job, oldest first.
    pub fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        self.store().attempts(id).wait()
    }

    /// Reads the registered workers of all processes.
    pub fn workers(&self) -> Result<Vec<WorkerState>> {
        self.store().workers().wait()
    }

    /// Retries a job by hand. A failed, cancelled or scheduled job becomes due now; its retries and its crash
    /// count start at zero.
    pub fn retry(&self, id: JobId) -> Result<Job> {
        self.store().command(JobCommand::Retry(id)).wait()
    }

    /// Cancels a pending job.
    pub fn cancel(&self, id: JobId) -> Result<Job> {
        self.store().command(JobCommand::Cancel(id)).wait()
    }

    /// Deletes a job that is not running, with its history, and returns the job as it was.
    pub fn delete(&self, id: JobId) -> Result<Job> {
        self.store().command(JobCommand::Delete(id)).wait()
    }

    /// Makes waiting workers look for jobs that were stored by other means: in your own transaction, or by
    /// another program. Without the call, they find such jobs a little later.
    pub fn notify(&self) {
        self.store().notify();
    }

    /// Reports whether the store operates normally, for a health check.
    ///
    /// It reads no database and does not wait. If the state is
    /// [`HealthState::Halted`](crate::HealthState::Halted), check the disk, then restart the program.
    pub fn health(&self) -> Health {
        self.store().health()
    }

    /// The clock of this queue.
    pub fn clock(&self) -> &Clock {
        self.store().clock()
    }

    /// The location of the jobs: a path, or `memory`.
    pub fn location(&self) -> &str {
        self.store().name()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(crate) fn downgrade(&self) -> WeakQueue {
        WeakQueue { queue: Arc::downgrade(&self.0), store: self.0.store.clone() }
    }
}

/// A reference to a queue that does not keep the queue open, for the threads of a worker.
///
/// So the queue closes when the last `JobQueue` is dropped, on the thread that drops it, even if threads of a
/// worker are still stopping.
#[derive(Clone, Debug)]
pub(crate) struct WeakQueue {
    queue: Weak<Inner>,
    store: Arc<dyn Store>,
}

impl WeakQueue {
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// A `JobQueue` for a task, which may keep it; `None` if the queue is closed.
    pub(crate) fn handle(&self) -> Option<JobQueue> {
        self.queue.upgrade().map(JobQueue)
    }
}
