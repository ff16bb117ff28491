//! Guides: pages that answer one question each, from the first job to a restore from backup.
//!
//! | guide | answers |
//! |---|---|
//! | [`getting_started`] | What is the shortest program? How do I run the worker in another process? |
//! | [`tasks_and_params`] | What may a parameter, a state or a result be? How do I change a task? |
//! | [`enqueueing`] | How do I enqueue by type, by name, in bulk, by plain SQL, at most once? |
//! | [`transactions`] | How do I store a job with my own rows? Which SQLite does my driver link? |
//! | [`retries_and_errors`] | What happens when a task fails, panics, hangs or crashes its process? |
//! | [`scheduling_and_priorities`] | When does a job start, and in which order? |
//! | [`workers_and_shutdown`] | How do I set concurrency, stop without losing work, and watch a worker? |
//! | [`testing`] | How do I test code that enqueues, without files and sleeps? |
//! | [`deployment`] | systemd, containers, monitoring, backup, restore, upgrade |
//! | [`sql_schema`] | What does each table and column mean? What may plain SQL do? |
//! | [`troubleshooting`] | What does this error text mean, and what do I do? |
//! | [`glossary`] | What does this word mean? |
//!
//! The text of each page is a file in `docs/`, whose Rust examples are compiled and run as tests. This
//! module depends on nothing and holds no code; the links of the pages are resolved here.

/// [`AsyncQueue`]: crate::AsyncQueue
/// [`JobQueue`]: crate::JobQueue
/// [Deployment]: deployment
/// [Enqueueing]: enqueueing
/// [Glossary]: glossary
/// [Retries and errors]: retries_and_errors
/// [SQL schema]: sql_schema
/// [Scheduling and priorities]: scheduling_and_priorities
/// [Tasks and parameters]: tasks_and_params
/// [Testing]: testing
/// [Transactions]: transactions
/// [Troubleshooting]: troubleshooting
/// [Workers and shutdown]: workers_and_shutdown
#[doc = include_str!("../docs/getting_started.md")]
pub mod getting_started {}

/// [`JobContext`]: crate::JobContext
/// [`TaskError`]: crate::TaskError
/// [Enqueueing]: enqueueing
/// [Retries and errors]: retries_and_errors
/// [Transactions]: transactions
#[doc = include_str!("../docs/tasks_and_params.md")]
pub mod tasks_and_params {}

/// [`AsyncQueue`]: crate::AsyncQueue
/// [`EnqueueFuture`]: crate::EnqueueFuture
/// [`Error::may_be_stored`]: crate::Error::may_be_stored
/// [`ErrorKind::Conflict`]: crate::ErrorKind::Conflict
/// [`JobContext::job_key`]: crate::JobContext::job_key
/// [SQL schema]: sql_schema
/// [Transactions]: transactions
/// [Troubleshooting]: troubleshooting
#[doc = include_str!("../docs/enqueueing.md")]
pub mod enqueueing {}

/// [`Durability::Relaxed`]: crate::Durability::Relaxed
/// [`JobQueue::notify`]: crate::JobQueue::notify
#[doc = include_str!("../docs/transactions.md")]
pub mod transactions {}

/// [`Backoff`]: crate::Backoff
/// [`Job::error`]: crate::Job::error
/// [`JobContext::complete_in`]: crate::JobContext::complete_in
/// [`JobContext::job_key`]: crate::JobContext::job_key
/// [`JobHandle::wait`]: crate::JobHandle::wait
/// [`JobQueue::attempts`]: crate::JobQueue::attempts
/// [`JobQueue::list`]: crate::JobQueue::list
/// [`TaskError`]: crate::TaskError
/// [`Worker::on_event`]: crate::Worker::on_event
/// [Transactions]: transactions
#[doc = include_str!("../docs/retries_and_errors.md")]
pub mod retries_and_errors {}

#[doc = include_str!("../docs/scheduling_and_priorities.md")]
pub mod scheduling_and_priorities {}

/// [`Event`]: crate::Event
/// [`StopReason`]: crate::StopReason
/// [`WorkerHandle`]: crate::WorkerHandle
/// [Deployment]: deployment
#[doc = include_str!("../docs/workers_and_shutdown.md")]
pub mod workers_and_shutdown {}

/// [`ErrorKind`]: crate::ErrorKind
/// [`JobContext`]: crate::JobContext
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

/// [`JobQueue::backup`]: crate::JobQueue::backup
#[doc = include_str!("../docs/deployment.md")]
pub mod deployment {}

/// [Transactions]: transactions
#[doc = include_str!("../docs/sql_schema.md")]
pub mod sql_schema {}

/// [`Error::may_be_stored`]: crate::Error::may_be_stored
/// [`ErrorKind`]: crate::ErrorKind
/// [Deployment]: deployment
/// [Enqueueing]: enqueueing
/// [Retries and errors]: retries_and_errors
/// [SQL schema]: sql_schema
/// [Tasks and parameters]: tasks_and_params
/// [Transactions]: transactions
/// [Workers and shutdown]: workers_and_shutdown
#[doc = include_str!("../docs/troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("../docs/glossary.md")]
pub mod glossary {}
