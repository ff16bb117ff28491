//! The decisions about jobs, and the values that describe them: each question has one file.
//!
//! | question | file |
//! |---|---|
//! | What is a job, and which values may its fields have? | `job/` |
//! | Which values can be stored as JSON? | `json/` |
//! | May a pending job be claimed? | `availability.rs` |
//! | Does an enqueue repeat an earlier one? | `idempotency.rs` |
//! | Is a failed job retried, and after which wait? | `retry.rs` |
//! | Is a silent worker presumed dead? | `lease.rs` |
//! | What does the death of a worker mean for its jobs? | `crash_count.rs` |
//! | What may a task return? | `outcome.rs`, `task_error.rs` |
//! | Which errors does this crate return? | `error.rs` |
//! | What does a worker report? | `event.rs` |
//! | What time is it? Which number is drawn? | `clock.rs`, `rng.rs` |
//! | Which name did the caller mean? | `suggest.rs` |
//! | How is code of the user called that may panic? | `panic.rs` |
//!
//! Depends on the standard library, serde, jiff and strsim. Never comes in: SQL, a thread, an await, a lock
//! other than the one of a manual clock.

pub(crate) mod availability;
pub(crate) mod clock;
pub(crate) mod crash_count;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod idempotency;
pub(crate) mod job;
pub(crate) mod json;
pub(crate) mod lease;
pub(crate) mod outcome;
pub(crate) mod panic;
pub(crate) mod retry;
pub(crate) mod rng;
pub(crate) mod suggest;
pub(crate) mod task_error;
