//! The contract of a store: what each verb promises once its answer is there.
//!
//! Does not say how a store keeps its promises: see [`memory`] and `sqlite`. The verbs are in the order of a
//! job's life, here, in the SQL, in each store and in the contract tests: **insert, register, claim,
//! heartbeat, progress, finish, promote, release, command, wait, read**.
//!
//! Depends on the model. Knows no task and no thread of a worker, and names no database. [`memory`] and
//! `sqlite` do not depend on each other.
//!
//! Rules for every store:
//!
//! - No method waits for the storage, except [`insert_blocking`](Store::insert_blocking) and
//!   [`close`](Store::close). Every other method that asks for something submits its request and returns a
//!   [`Pending`], which is a `Future` and has `wait()`. Dropping a `Pending` cancels nothing.
//!   [`register_worker`](Store::register_worker) may first create a small file, the worker's lock.
//! - A request is answered after its effect is as durable as the store promises, never before.
//! - One bad request fails alone. A failure of the storage fails every request of its transaction, and each
//!   gets an error: a certain one, after which nothing is stored, or [`ErrorKind::Indeterminate`]. Jobs that
//!   an indeterminate transaction may have claimed are released by the store itself, once it can write again
//!   and the lost transaction is known to be over: no worker knows of those claims.
//! - A store whose storage can no longer be trusted halts for good. Later requests, waiting claims and waits
//!   then get [`ErrorKind::StoreHalted`] at once, and nothing more is written. Reads may go on.
//! - A worker changes a job only while the job is running under exactly the claim that the worker shows
//!   ([`Claim`]: id, attempt and worker). Anything else is refused as lost.
//! - Each transaction has one instant, read from the store's [`Clock`]; one that runs again reads it again. A
//!   server may use its own clock, unless the clock is manual. Scheduled jobs become due without a request
//!   (*promote*).
//! - Instants are stored as whole microseconds; the rest is cut off. A wait that would pass the last instant
//!   of the calendar ends there.
//! - Names and keys contain no NUL: it is refused. In errors, reasons and progress messages it is replaced by
//!   U+FFFD. Error texts are clipped as [`ERROR_BYTES_MAX`] allows.
//!
//! What every store says about a job, beside its fields:
//!
//! - A pending job has no worker. Every other job has the worker of its current or last attempt, unless it
//!   was cancelled while it was pending.
//! - `attempt` grows by one at each claim, and `progress` begins anew with it.
//! - While a job is not running, `started_at` is that of the last attempt in its history.
//! - `error` is that of the last attempt that failed, crashed or cancelled the job. A completion and a cancel
//!   by hand clear it. A release and a retry by hand keep it.
//!
//! [`ERROR_BYTES_MAX`]: crate::Job::ERROR_BYTES_MAX

// The files, for maintainers:
//
//   claim, command, enqueue, completion,     the types of the verbs, a file for each verb or group of verbs
//   progress, read, workers
//   capabilities, health, sql_statement      what a store reports about itself, and its SQL for other drivers
//   pending                                  an answer that is not there yet
//   engine/                                  what every store needs: requests, steps of a transaction, answers
//   memory/                                  the store in memory
//   sqlite/                                  the store in a SQLite file

mod capabilities;
mod claim;
mod command;
mod completion;
#[cfg_attr(
    not(feature = "sqlite"),
    allow(dead_code, reason = "parts of it are for stores with a writer thread")
)]
pub(crate) mod engine;
mod enqueue;
mod health;
pub mod memory;
mod pending;
mod progress;
mod read;
mod sql_statement;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub mod sqlite;
mod workers;

use std::any::Any;
use std::sync::Arc;

pub use capabilities::Caps;
pub use claim::{Claim, ClaimRequest, ClaimResponse, ClaimedJob, FinishedJob, TaskSet, Ticket};
pub use command::JobCommand;
pub(crate) use command::not_found;
pub use completion::{Completion, CompletionTarget};
pub use enqueue::{Enqueue, EnqueueAt, InTransaction};
pub use health::{Checkpoint, Failure, Health, HealthState, SqliteHealth};
pub use pending::{Pending, Reply};
pub use progress::ProgressSlot;
pub use read::{Counts, Cursor, Filter, Page};
pub use sql_statement::{Foreign, SqlStatement};
pub use workers::{Heartbeat, LEASE, Release, Released, TaskDefaults, WorkerInfo, WorkerState};

use crate::model::clock::Clock;
#[cfg(doc)]
use crate::model::error::ErrorKind;
use crate::model::error::{Error, Result};
use crate::model::job::{Attempt, Job, JobId, WorkerId};
pub use crate::model::job::{NewJob, RunAt};
pub use crate::model::outcome::Outcome;
pub use crate::model::retry::{RetryBudget, Verdict};

/// Where jobs are stored. See the [module](self) for the rules.
///
/// Not sealed, so that a program can put a store of its own in front of another one: to observe it, to delay
/// its answers, to send verbs to two of them. A storage of its own cannot be written outside of this crate:
/// the values that it would have to answer with ([`Job`], [`Attempt`], [`Page`]) cannot be built there. Any
/// version may add methods.
pub trait Store: Any + std::fmt::Debug + Send + Sync {
    /// Stores jobs, all or none. Once answered, they survive what the store promises to survive.
    ///
    /// Each job is [checked](NewJob::check) first. A refused job refuses this insert and no other. The ids
    /// come in the order of the jobs and ascend within one insert. None is used twice, not even after a
    /// deletion; there may be gaps. An insert of no jobs is no error.
    ///
    /// If a job's [`idempotency_key`](NewJob::idempotency_key) is held by a stored job of any status, the new
    /// job is not stored. If the holder has the same task and the same params as JSON, its id is answered in
    /// that place; else the insert is refused with [`ErrorKind::Conflict`]. This holds within one insert too.
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>>;

    /// As [`insert`](Store::insert), and waits for the answer. A store may do the work on the caller's
    /// thread.
    fn insert_blocking(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
        self.insert(jobs).wait()
    }

    /// Stores the options of a program's tasks, for jobs that other programs insert without them. A store
    /// into which nobody else can insert does nothing.
    fn publish_tasks(&self, _tasks: Vec<TaskDefaults>) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Registers a worker, so that it may claim. A worker that is registered already stays as it is.
    fn register_worker(&self, worker: WorkerInfo) -> Pending<()>;

    /// Writes finished jobs in their order, then claims further ones, in one transaction.
    ///
    /// Order of claims: higher priority first, then earlier `scheduled_at`, then lower id, over all wanted
    /// queues and tasks. A claim may skip jobs that another transaction holds, so it may be empty or short;
    /// the order holds among the rest. A worker holds at most one *suspected poison job*, a job with a crash
    /// counted. Others are skipped until that one has ended or was released, which wakes a waiting claim.
    ///
    /// A request with [`wait`](ClaimRequest::wait) that finishes nothing and finds nothing becomes a *waiting
    /// claim*. It is answered at once for what this store commits, and for others when the store learns of
    /// it: a job ready, an earlier due instant, its worker gone, the store closed. A worker has at most one
    /// waiting claim for a set of tasks; a further one ends the one before. A waiting claim is answered empty
    /// by [`release_worker`](Store::release_worker) with [`Release::ByWorker`], by
    /// [`cancel_waiting_claims`](Store::cancel_waiting_claims) and by its successor. A request with finished
    /// jobs is answered at once, even if each of them is lost.
    ///
    /// A worker that is not registered gets [`ErrorKind::LeaseLost`] and claims nothing; so does its waiting
    /// claim when its jobs are released as those of a dead worker.
    ///
    /// Jobs that the finishes make ready are first offered to the waiting claims of this store, oldest first;
    /// then this request claims.
    ///
    /// Each finished job is written as its [`Verdict`] says. A completion sets the progress to 1 if there was
    /// any. A release without a wait keeps the job's `scheduled_at`, and with it the place in the queue; a
    /// release of a job that had not begun leaves no trace of the claim.
    ///
    /// A repeated finish is not lost, and writes nothing: its job has ended under exactly this claim; or the
    /// history has this attempt of this worker, ended as the verdict says, whatever became of the job since.
    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse>;

    /// Ends the waiting claims of `worker`, which are answered empty. Answered when none of them can be
    /// granted any more.
    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()>;

    /// Reports that the worker is alive. A worker that is not registered is answered so, and is not
    /// registered by it.
    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat>;

    /// Stores the latest value of `slot`, at most once per job and commit. Refused silently if the claim is
    /// lost: progress is for people, and the heartbeat reports a lost lease to the worker.
    fn report_progress(&self, slot: Arc<ProgressSlot>);

    /// Whether the operating system proves right now that a worker is dead; `false` proves nothing. Reads no
    /// database and does not wait.
    fn is_proven_dead(&self, _worker: WorkerId) -> bool {
        false
    }

    /// Releases the jobs of a worker and removes the worker.
    ///
    /// By the worker itself: none of the jobs counts as failed. Whether a task began is not known here, so
    /// each attempt is stored as released and keeps its number. The jobs keep their `scheduled_at`.
    ///
    /// For a dead worker: if one of its jobs is a suspected poison job, a crash is counted for that job
    /// alone, and the others are released as above, with a record that names it. Else a crash is counted for
    /// each. A job for which a crash is counted is due now, as a suspected poison job, and loses no retry;
    /// with the last crash that the store allows, it fails.
    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released>;

    /// Changes one job as a person asked. Answers the job as it is afterwards, or as it was if it is deleted.
    fn command(&self, command: JobCommand) -> Pending<Job>;

    /// The job, once it has ended; at once if it has. [`ErrorKind::NotFound`] if there is no such job, now or
    /// later (it was deleted during the wait).
    ///
    /// An end in another process that is undone before this store looks may be missed: the wait then goes on.
    fn wait_for(&self, id: JobId) -> Pending<Job>;

    /// Reads one job. What was answered before is seen, by this read and by those below.
    fn get(&self, id: JobId) -> Pending<Option<Job>>;

    /// Reads the ended attempts of one job, oldest first.
    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>>;

    /// Reads a page of jobs, newest first.
    fn list(&self, filter: Filter) -> Pending<Page>;

    /// Reads how many jobs there are, by status.
    fn counts(&self) -> Pending<Counts>;

    /// Reads the registered workers, oldest first.
    fn workers(&self) -> Pending<Vec<WorkerState>>;

    /// Looks for jobs that something other than this store's own methods has stored.
    fn notify(&self);

    /// A write as one SQL statement, for a caller's own transaction on any driver; [`ErrorKind::Config`] if
    /// the store has no SQL.
    ///
    /// Refuses jobs as [`insert`](Store::insert) does. If a job's idempotency key is held, the statement
    /// skips that job when it runs, or fails.
    fn statement(&self, what: Foreign<'_>) -> Result<SqlStatement>;

    /// What the store can do beyond the rules for all stores.
    fn caps(&self) -> Caps;

    /// The clock by which the store reads the time.
    fn clock(&self) -> &Clock;

    /// The state of the store. Asks nobody, waits for nobody, and answers also when the store is closed or
    /// halted.
    fn health(&self) -> Health {
        Health::default()
    }

    /// The error that every request gets, if the store has halted. As cheap as [`health`](Store::health);
    /// each worker asks once a second.
    fn halted(&self) -> Option<Error> {
        None
    }

    /// The name of this store for people: a path, or `memory`.
    fn name(&self) -> &str;

    /// Answers the waiting requests, then stops. Later requests get [`ErrorKind::Closed`], and so do waiting
    /// claims and waits for a job. Closing twice is closing once.
    fn close(&self);
}
