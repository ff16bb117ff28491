//! The decisions: what a job is, what becomes of it, and the values that describe both.
//!
//! Depends on the standard library, serde and jiff. No lock but the clock's, no SQL, no thread, no await.

pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod idempotency;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod poison;
pub(crate) mod retry;
pub(crate) mod rng;
pub(crate) mod suggest;
