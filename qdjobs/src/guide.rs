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
//! | [`reliability`] | What is promised, and which test proves it? |
//! | [`performance`] | How fast is it, and where does it lose? |
//!
//! The text of each page is a file in `docs/`, whose Rust examples are compiled and run as tests. This
//! module depends on nothing and holds no code; the links of the pages are resolved here.

#[doc = include_str!("../docs/getting_started.md")]
#[doc = include_str!("../docs/links.md")]
pub mod getting_started {}

#[doc = include_str!("../docs/tasks_and_params.md")]
#[doc = include_str!("../docs/links.md")]
pub mod tasks_and_params {}

#[doc = include_str!("../docs/enqueueing.md")]
#[doc = include_str!("../docs/links.md")]
pub mod enqueueing {}

#[doc = include_str!("../docs/transactions.md")]
#[doc = include_str!("../docs/links.md")]
pub mod transactions {}

#[doc = include_str!("../docs/retries_and_errors.md")]
#[doc = include_str!("../docs/links.md")]
pub mod retries_and_errors {}

#[doc = include_str!("../docs/scheduling_and_priorities.md")]
#[doc = include_str!("../docs/links.md")]
pub mod scheduling_and_priorities {}

#[doc = include_str!("../docs/workers_and_shutdown.md")]
#[doc = include_str!("../docs/links.md")]
pub mod workers_and_shutdown {}

#[doc = include_str!("../docs/testing.md")]
#[doc = include_str!("../docs/links.md")]
pub mod testing {}

#[doc = include_str!("../docs/deployment.md")]
#[doc = include_str!("../docs/links.md")]
pub mod deployment {}

#[doc = include_str!("../docs/sql_schema.md")]
#[doc = include_str!("../docs/links.md")]
pub mod sql_schema {}

#[doc = include_str!("../docs/troubleshooting.md")]
#[doc = include_str!("../docs/links.md")]
pub mod troubleshooting {}

#[doc = include_str!("../docs/glossary.md")]
#[doc = include_str!("../docs/links.md")]
pub mod glossary {}

#[doc = include_str!("../docs/RELIABILITY.md")]
pub mod reliability {}

#[doc = include_str!("../docs/PERFORMANCE.md")]
pub mod performance {}
