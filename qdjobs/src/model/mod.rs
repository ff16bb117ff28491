//! The decisions: what a job is, what becomes of it, and the values that describe both.
//!
//! Depends on the standard library, serde, jiff and strsim. Never comes in: SQL, a thread, an await, a lock
//! other than the one of a manual clock.

pub(crate) mod availability;
pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod idempotency;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod outcome;
pub(crate) mod poison;
pub(crate) mod retry;
pub(crate) mod rng;
pub(crate) mod suggest;
pub(crate) mod task_error;
