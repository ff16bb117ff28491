//! Background jobs from annotated functions: typed enqueue, a durable SQLite file, a worker.
//!
//! ```standalone_crate
//! use qdjobs::prelude::*;
//!
//! #[task("add")]
//! fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! # fn main() -> qdjobs::Result<()> {
//! let queue = JobQueue::in_memory(); // or JobQueue::open("jobs.db")?
//! let worker = Worker::new(&queue).start()?;
//! let job = Add::new(2, 3).enqueue(&queue)?; // stored; runs on a thread of the worker
//! assert_eq!(job.wait()?, 5);
//! worker.stop()
//! # }
//! ```
//!
//! # Items by purpose
//!
//! | purpose | items |
//! |---|---|
//! | **define tasks** | [`#[task]`](macro@task), [`Task`], [`JobContext`], [`StopReason`], [`TaskError`], [`TaskErrorKind`], [`Backoff`], [`TaskDef`], [`Registry`], [`bounds`] |
//! | **enqueue** | [`JobQueue`], [`AsyncQueue`], [`JobRequest`], [`Enqueue`], [`JobHandle`], [`JobId`], [`futures`] |
//! | **run** | [`Worker`], [`WorkerHandle`], [`StopHandle`], [`Event`], [`RunningJob`] |
//! | **inspect** | [`Job`], [`Status`], [`Attempt`], [`AttemptOutcome`], [`Progress`], [`Filter`], [`Page`], [`Counts`], [`WorkerState`](store::WorkerState), [`WorkerId`], [`Health`], [`HealthState`] |
//! | **configure** | [`QueueOptions`], `Durability`, [`Clock`], [`Timestamp`] |
//! | **errors** | [`Error`], [`ErrorKind`], [`ParamProblem`], [`Result`] |
//! | **stores** | [`store`], `rusqlite` |
//!
//! # Features
//!
//! | feature | default | provides | costs |
//! |---|---|---|---|
//! | `sqlite` | yes | `JobQueue::open`, and enqueue inside a rusqlite transaction. Without it, all queues are in memory | rusqlite, inotify on Linux |
//! | `bundled` | yes | SQLite, compiled into the program. Without it, the system's SQLite is linked | one C compilation |
//! | `tokio` | yes | `async fn` tasks, thousands of them on a few threads | tokio with its I/O and timers |
//! | `signals` | yes | `Worker::run`, which stops the worker on SIGINT, SIGTERM, SIGQUIT or, on Linux, SIGHUP; on Windows, with the feature `tokio`, on Ctrl-C, Ctrl-Break or the close of the console | signal-hook |
//!
//! # Guides
//!
//! Each page of `qdjobs::guide` covers one topic:
//!
//! - [`getting_started`](guide::getting_started): from an empty program to a worker process
//! - [`tasks_and_params`](guide::tasks_and_params): parameters, state, results, and how to change a task
//! - [`enqueueing`](guide::enqueueing): by type, by name, in bulk, by plain SQL, without duplicates
//! - [`transactions`](guide::transactions): store or complete a job in one transaction with your own rows
//! - [`retries_and_errors`](guide::retries_and_errors): failures, panics, timeouts and crashes
//! - [`scheduling_and_priorities`](guide::scheduling_and_priorities): when jobs start, and in which order
//! - [`workers_and_shutdown`](guide::workers_and_shutdown): concurrency, threads, graceful stop, events, health
//! - [`testing`](guide::testing): tests without files or sleeps
//! - [`deployment`](guide::deployment): systemd, containers, monitoring, backup, restore, upgrade
//! - [`sql_schema`](guide::sql_schema): every table and column
//! - [`troubleshooting`](guide::troubleshooting): the texts of errors, with what to do
//! - [`glossary`](guide::glossary): every term
//!
//! [`reliability`](guide::reliability) lists each promise with its test.
//! [`performance`](guide::performance) has the measurements.
//!
//! # Threads
//!
//! A queue on SQLite has a writer thread and a reader thread. A worker has a supervisor thread, which sends
//! the heartbeats and uses no async runtime. So a task that blocks a runtime does not delay them.
//!
//! A thread pool runs the `fn` tasks and each `async fn` task whose future is not `Send`. These tasks share
//! one dispatcher thread, which claims their jobs.
//!
//! The other `async fn` tasks have a dispatcher thread of their own, at least two threads that run the
//! futures, and one thread that watches them: if futures block all threads that run futures, it starts one
//! more of those.
//!
//! A worker with `async fn` tasks of either kind starts a tokio runtime with one thread, unless you pass one to
//! `Worker::runtime`.
//!
//! While a worker runs on a SQLite queue, the queue has further threads, which wake the process when another
//! process stores a job: two on Linux, one on other Unix systems. The guide to workers lists the threads by
//! name.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "sqlite"),
    allow(rustdoc::broken_intra_doc_links, reason = "the guides, to which this page links, need SQLite")
)]

// Generated code names this crate as `::qdjobs`, also in its own tests and examples.
extern crate self as qdjobs;

// The folders, for maintainers; the head of each `mod.rs` lists its files. ARCHITECTURE.md has more.
//
//   model/      decisions and values: retry, lease, poison jobs, checks of a job, errors, clock
//   store/      the contract of a store, the engine that every store uses, the stores in memory and on SQLite
//   queue/      JobQueue, AsyncQueue, the options of a job, enqueueing, the handle of a stored job
//   context/    JobContext, stop signals, shared values
//   task/       the trait Task, params, results, the registry, what generated code calls
//   worker/     the options of a worker, start and stop, dispatchers, threads, the supervisor
//   sync.rs     locks and threads, of std or of shuttle
//   guide.rs    the pages of the guide, whose texts are in docs/
//   sim/        a simulation of several processes (tests only)

mod context;
mod model;
mod queue;
pub mod store;
mod sync;
mod task;
mod worker;

#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub mod guide;

// Tasks.
pub use context::{JobContext, StopReason};
pub use model::retry::Backoff;
pub use task::registry::Registry;
pub use task::{Task, TaskDef, TaskError, TaskErrorKind, task};

// Enqueue.
pub use model::job::JobId;
pub use queue::request::JobRequest;
pub use queue::{AsyncQueue, JobHandle, JobQueue};
pub use store::Enqueue;

// Run.
pub use model::event::{Event, RunningJob};
pub use worker::{StopHandle, Worker, WorkerHandle};

// Inspect.
pub use model::job::{Attempt, AttemptOutcome, Job, Progress, Status, WorkerId};
pub use store::{Counts, Filter, Health, HealthState, Page};

// Configure.
pub use model::clock::{Clock, Timestamp};
pub use queue::QueueOptions;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use store::sqlite::Durability;

// Errors.
pub use model::error::{Error, ErrorKind, ParamProblem, Result};

// Stores.
/// The rusqlite that this crate is built with. Use it for your own connections to the same file: two copies
/// of SQLite in one process release each other's locks.
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use rusqlite;

/// The requirements of `#[task]` on parameters, state, results and errors, and the parts of a [`TaskDef`].
///
/// A program names these traits only to implement [`IntoTaskError`](bounds::IntoTaskError) for an error type
/// of its own. The compiler names them in errors.
pub mod bounds {
    pub use crate::task::{
        IntoTaskError, ParamInfo, State, StateByValue, StateInfo, TaskContext, TaskFailure, TaskOptions,
        TaskOutput, TaskParam, TaskReturn,
    };
}

/// The futures that methods of this crate return.
pub mod futures {
    pub use crate::context::Stopped;
    pub use crate::queue::{EnqueueAllFuture, EnqueueFuture, JobFuture};
}

/// The names that most programs import, with `use qdjobs::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AsyncQueue, Enqueue, JobContext, JobHandle, JobQueue, JobRequest, Task, TaskError, Worker,
        WorkerHandle, task,
    };
}

#[doc(hidden)]
pub use task::macro_support as __private;

/// Several workers, a simulated disk and a clock, in one thread and from one seed.
#[cfg(all(test, target_os = "linux", feature = "sqlite"))]
mod sim;

/// The programs of the README, compiled.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    /// The names of a `pub use` item: `a::{B, C as D}` has two.
    fn names_of(item: &str) -> usize {
        match item.split_once('{') {
            Some((_, list)) => {
                list.trim_end_matches('}').split(',').filter(|name| !name.trim().is_empty()).count()
            }
            None => 1,
        }
    }

    #[test]
    fn the_root_of_the_crate_has_at_most_45_public_names() {
        // The items of this file itself begin a line; those of its modules are indented.
        let source = include_str!("lib.rs");
        let uses = source.split("\npub use ").skip(1).map(|item| item.split(';').next().unwrap());
        let names: usize = uses.filter(|item| !item.ends_with("__private")).map(names_of).sum();
        let modules = source.matches("\npub mod ").count();
        assert!((30..=45).contains(&(names + modules)), "{names} names and {modules} modules");
    }
}
