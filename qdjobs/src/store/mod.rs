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
//   reply                                    an answer that is not there yet
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
pub(crate) mod enqueue;
mod health;
pub mod memory;
mod progress;
mod read;
mod reply;
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
pub use progress::ProgressSlot;
pub use read::{Counts, Cursor, Filter, Page};
pub use reply::{Pending, Reply};
pub use sql_statement::{Foreign, SqlStatement};
pub(crate) use workers::lease_lost;
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
/// The trait is not sealed. So a program can wrap a store: to observe it, to delay its answers, or to divide
/// the calls between two stores. A new storage cannot be written outside of this crate, because the answers
/// ([`Job`], [`Attempt`], [`Page`]) cannot be constructed there. Any version may add methods.
pub trait Store: Any + std::fmt::Debug + Send + Sync {
    /// Stores all of the jobs or none. Once answered, they survive the failures that the store promises to
    /// survive.
    ///
    /// Each job is [checked](NewJob::check) first. A refused job refuses only this insert. The ids are in the
    /// order of the jobs and ascend within one insert. No id is used twice, even after a deletion; ids can
    /// have gaps. An insert of no jobs succeeds.
    ///
    /// If a stored job of any status holds a job's [`idempotency_key`](NewJob::idempotency_key), the new job
    /// is not stored. If that job has the same task and the same params as JSON, the answer contains its id
    /// in that place. Otherwise, the insert is refused with [`ErrorKind::Conflict`]. The same applies within
    /// one insert.
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>>;

    /// As [`insert`](Store::insert), and waits for the answer. A store may write on the caller's thread.
    fn insert_blocking(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
        self.insert(jobs).wait()
    }

    /// Stores the options of a program's tasks. They are the defaults of jobs that other programs insert. If
    /// no other program can insert into the store, this does nothing.
    fn publish_tasks(&self, _tasks: Vec<TaskDefaults>) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Registers a worker, so that it may claim. If the worker is already registered, nothing changes.
    fn register_worker(&self, worker: WorkerInfo) -> Pending<()>;

    /// Writes finished jobs in their order, then claims further jobs, in one transaction.
    ///
    /// The claim order: higher priority first, then earlier `scheduled_at`, then lower id, over all requested
    /// queues and tasks. A claim may skip jobs that another transaction has locked, so it may return fewer
    /// jobs or none. The order holds among the rest.
    ///
    /// The workers of a process hold a limited number of *suspected poison jobs* together: jobs with at least two
    /// crashes. They are claimed in the claim order, up to the first one that may not be held with the others, until
    /// one of those has ended or was released, which wakes a waiting claim. A process is the workers whose
    /// [`WorkerId`] has the same upper half, unless that is 0 or negative.
    ///
    /// A request with [`wait`](ClaimRequest::wait) that finishes nothing and finds no job becomes a *waiting
    /// claim*. It is checked again when a job becomes ready, an earlier due instant is stored, its worker is
    /// removed or the store is closed. For commits of this store, that happens at once; for other commits,
    /// when the store notices them.
    ///
    /// A worker has at most one waiting claim for a set of tasks; a new one ends the previous one. These
    /// calls answer a waiting claim without a job: [`release_worker`](Store::release_worker) with
    /// [`Release::ByWorker`], [`cancel_waiting_claims`](Store::cancel_waiting_claims), and the next waiting
    /// claim. A request with finished jobs is always answered at once.
    ///
    /// If the worker is not registered, the answer is [`ErrorKind::LeaseLost`], and nothing is claimed. If
    /// its jobs are released as those of a dead worker, its waiting claim gets the same answer.
    ///
    /// Jobs that the finishes make ready go first to the waiting claims of this store, oldest first. Then
    /// this request claims.
    ///
    /// The store writes the [`Verdict`] of each finished job. A completion sets the progress to 1 if any was
    /// reported. A release without a wait keeps the job's `scheduled_at` and thus its place in the queue. If
    /// the job had not started, its release also undoes the claim.
    ///
    /// A repeated finish writes nothing and is not reported as lost. A finish is a repetition if its job has
    /// ended under exactly this claim. It is also one if the history has this attempt of this worker with
    /// this outcome.
    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse>;

    /// Ends the waiting claims of `worker` and answers them without a job. After the answer, none of them can
    /// claim any more.
    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()>;

    /// Reports that the worker is alive. The answer states whether the worker is registered. A heartbeat does
    /// not register a worker.
    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat>;

    /// Stores the latest value of `slot`, at most once per job and commit. If the claim is lost, the value is
    /// discarded without an error: progress is only informative, and the heartbeat reports a lost lease.
    fn report_progress(&self, slot: Arc<ProgressSlot>);

    /// Whether the operating system proves now that a worker is dead; `false` proves nothing. Does not read
    /// the database and does not wait.
    fn is_proven_dead(&self, _worker: WorkerId) -> bool {
        false
    }

    /// Releases the jobs of a worker and removes the worker.
    ///
    /// If the worker itself stops, no job counts as failed. The store does not know which tasks have started,
    /// so it records each attempt as released and keeps its number. The jobs keep their `scheduled_at`.
    ///
    /// If the worker is dead, a crash is counted for each job. It loses no retry and keeps its `scheduled_at`.
    /// With its second crash, a job becomes a suspected poison job: the workers of a process hold at most half as
    /// many suspected jobs together as this one then held, and half of that again after each further death.
    ///
    /// A job whose crash count has reached the limit of the store fails if the process held no other job, or if
    /// this is its third death as the only job that was suspected before. The crashes that it shared with pending
    /// and running jobs are then no longer counted for them: those with the same worker, and those at the same time
    /// with workers of one process. This death counts for no job of the other workers, which are released later.
    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released>;

    /// Changes one job by hand. The answer is the changed job; for a deletion, the job as it was.
    fn command(&self, command: JobCommand) -> Pending<Job>;

    /// Waits until the job has ended, and answers with the job. If there is no such job, or if it is deleted
    /// during the wait, the answer is [`ErrorKind::NotFound`].
    ///
    /// If another process ends the job and a retry by hand follows at once, this store may not see that end.
    /// The wait then continues.
    fn wait_for(&self, id: JobId) -> Pending<Job>;

    /// Reads one job. This read and those below see every write that was answered before.
    fn get(&self, id: JobId) -> Pending<Option<Job>>;

    /// Reads the ended attempts of one job, oldest first.
    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>>;

    /// Reads a page of jobs, newest first.
    fn list(&self, filter: Filter) -> Pending<Page>;

    /// Reads how many jobs there are, by status.
    fn counts(&self) -> Pending<Counts>;

    /// Reads the registered workers, oldest first.
    fn workers(&self) -> Pending<Vec<WorkerState>>;

    /// Looks for jobs that were stored by something other than the methods of this store.
    fn notify(&self);

    /// Returns a write as one SQL statement, for a caller's own transaction on another driver. If the store has
    /// no SQL, the error is of kind [`ErrorKind::Config`].
    ///
    /// Invalid jobs are refused as by [`insert`](Store::insert). If a stored job holds an idempotency key,
    /// the statement skips the new job if it is the same job; otherwise, the statement fails.
    fn statement(&self, what: Foreign<'_>) -> Result<SqlStatement>;

    /// The capabilities of the store, beyond the rules for all stores.
    fn caps(&self) -> Caps;

    /// The clock of the store.
    fn clock(&self) -> &Clock;

    /// The state of the store. Reads only memory, does not wait, and works also when the store is closed or
    /// halted.
    fn health(&self) -> Health {
        Health::default()
    }

    /// The error of every request, if the store has halted. As cheap as [`health`](Store::health); each
    /// worker calls it once a second.
    fn halted(&self) -> Option<Error> {
        None
    }

    /// The name of this store for people: a path, or `memory`.
    fn name(&self) -> &str;

    /// Answers the submitted requests, then stops. Waiting claims, waits for a job and later requests get
    /// [`ErrorKind::Closed`]. A second close has no effect.
    fn close(&self);
}
