//! Background jobs from annotated functions: typed enqueue, a durable SQLite file, a worker.
//!
//! ```standalone_crate
//! use qdjobs::prelude::*;
//!
//! /// Adds two numbers, elsewhere and later.
//! #[task("lib.add")]
//! fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! # fn main() -> qdjobs::Result<()> {
//! let queue = JobQueue::in_memory(); // or JobQueue::open("jobs.db")?
//! let worker = Worker::new(&queue).start()?;
//! let job = Add::new(2, 3).enqueue(&queue)?;
//! assert_eq!(job.wait()?, 5);
//! worker.stop()
//! # }
//! ```
//!
//! # Where to look
//!
//! - [`task`](macro@task): the attribute, its options, parameters and return types; [`Task`], what it implements.
//! - [`JobQueue`] and [`AsyncQueue`]: enqueue, look, cancel; [`JobHandle`]: wait for one job. [`Enqueue`] lists the targets.
//! - [`Worker`]: run jobs. [`JobContext`]: what a running task sees. [`TaskError`]: how a task fails.
//! - [`Job`], [`Status`], [`Attempt`]: what is stored. [`Backoff`]: the wait before a retry.
//! - [`store`]: the contract between all of this and a database.
//!
//! # Plain SQL
//!
//! A row inserted by any program is a job. Whatever the insert leaves out is filled in as the task says, a running worker
//! notices within milliseconds (on Linux; elsewhere it looks each 25 ms), and nonsense is refused by named constraints:
//!
//! ```sql
//! INSERT INTO qdjobs_jobs (task_name, params) VALUES ('send_email', '{"to": "ann@example.com"}');
//! INSERT INTO qdjobs_jobs (task_name, params, priority, scheduled_at) VALUES ('cleanup', '{}', 5, 1795449600000000);
//! ```
//!
//! Instants are microseconds since 1970, UTC. Columns one may set: `task_name`, `name`, `params`, `queue`, `priority`,
//! `max_retries`, `scheduled_at`, `metadata`, `idempotency_key`.
//!
//! # Enqueueing twice
//!
//! A caller that got no answer (the process died, a request timed out, the disk failed in the commit) does not know whether the
//! job is stored. With a [`idempotency_key`](JobRequest::idempotency_key) it need not know: at most one job of a database has a key,
//! and an enqueue with the same key, task and params answers the job that is there, whatever its status, and stores
//! nothing. So the call can be repeated until it is answered, from any thread and any process.
//!
//! ```
//! # use qdjobs::prelude::*;
//! # #[task("lib.welcome")]
//! # fn welcome(customer: u64) { let _ = customer; }
//! # let queue = JobQueue::in_memory();
//! let first = Welcome::new(42).idempotency_key("welcome-42").enqueue(&queue)?;
//! let again = Welcome::new(42).idempotency_key("welcome-42").enqueue(&queue)?;
//! assert_eq!(first.id(), again.id());
//! # Ok::<(), qdjobs::Error>(())
//! ```
//!
//! The same key for another task or other params is refused with [`ErrorKind::Conflict`]. A key is free again when its job is
//! deleted.
//!
//! # Jobs that end their process
//!
//! A job whose worker dies is run again, and the death is counted in [`Job::crash_count`], apart from its failures. Which of
//! the jobs of a dead worker ended it is not known, so each becomes a suspect; a worker runs at most one suspect at a time, and if it
//! dies again that one alone is counted. After [`CRASHES_MAX`] deaths a job is `failed` and says so: see
//! [`QueueOptions::max_crashes`]. All others complete.
//!
//! # Threads
//!
//! Each queue has a thread that writes and one that reads; each worker has one that keeps its standing, one for each kind of task
//! it serves, and its pool. None of them depends on an async runtime, so a task that blocks one cannot make a worker lose its jobs.

#![cfg_attr(docsrs, feature(doc_cfg))]

// The attribute names the crate as `::qdjobs`, also in its own tests and examples.
extern crate self as qdjobs;

mod context;
mod model;
mod queue;
pub mod store;
mod sync;
mod task;
mod worker;

pub use context::{JobContext, StopReason, Stopped};
pub use model::clock::{Clock, Timestamp};
pub use model::error::{Error, ErrorKind, ParamProblem, Result};
pub use model::event::Event;
pub use model::idempotency::IDEMPOTENCY_KEY_BYTES_MAX;
pub use model::job::{
    Attempt, AttemptOutcome, DEFAULT_QUEUE, DEFAULT_RETRIES, ERROR_BYTES_MAX, JSON_BYTES_MAX, JSON_DEPTH_MAX,
    Job, JobId, NAME_BYTES_MAX, NewJob, Progress, RunAt, Status, WorkerId,
};
pub use model::poison::CRASHES_MAX;
pub use model::retry::{Backoff, Outcome, RetryBudget, Verdict};
pub use queue::request::{Enqueue, JobRequest};
pub use queue::{AsyncQueue, EnqueueAllFuture, EnqueueFuture, JobFuture, JobHandle, JobQueue, QueueOptions};
pub use store::sqlite::Durability;
pub use store::{Counts, Filter, Health, HealthState, Page, SqlStatement, WorkerState};
pub use task::registry::Registry;
pub use task::{
    IntoTaskError, LocalFuture, Own, ParamInfo, Run, SharedFuture, State, StateInfo, Task, TaskDef,
    TaskError, TaskErrorKind, TaskOptions, TaskOutput, TaskParam, TaskReturn, ViaBox, ViaStd, check_params,
    task,
};
pub use worker::{Worker, WorkerHandle};

/// The rusqlite that this crate is built with: use it for your own connections to the same file, since two copies of
/// SQLite in one process break each other's locks.
pub use rusqlite;

#[doc(hidden)]
pub use task::private as __private;

/// Several workers, one disk and a clock, in one thread and under one seed.
#[cfg(all(test, target_os = "linux"))]
mod sim;

/// What most programs import: `use qdjobs::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AsyncQueue, Enqueue, JobContext, JobHandle, JobQueue, JobRequest, Task, TaskError, Worker,
        WorkerHandle, task,
    };
}

/// The first program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
