//! One ended attempt in a job's history: [`Attempt`], its outcome, and its JSON field names.
//!
//! Does not decide the outcome: see `model/retry.rs` and `model/crash_count.rs`. What a store writes for it is in
//! `store/engine/leave_running.rs`.
//!
//! Depends on the ids and on the wire format of instants.

use super::ids::WorkerId;
use super::wire_time::{deserialize_wire_time, serialize_wire_time};
use crate::model::clock::Timestamp;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The task returned its result.
    Completed,
    /// The task failed, panicked or timed out.
    Failed,
    /// The task cancelled the job.
    Cancelled,
    /// The job was released before the task was done: its worker stopped, or its params did not fit the task.
    Released,
    /// The worker crashed while it ran this job, which may be the cause.
    Crashed,
}

impl AttemptOutcome {
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for stores that read outcomes as text"))]
    pub(crate) const ALL: [AttemptOutcome; 5] = [
        AttemptOutcome::Completed,
        AttemptOutcome::Failed,
        AttemptOutcome::Cancelled,
        AttemptOutcome::Released,
        AttemptOutcome::Crashed,
    ];

    /// The outcome as SQL, JSON and texts spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Completed => "completed",
            AttemptOutcome::Failed => "failed",
            AttemptOutcome::Cancelled => "cancelled",
            AttemptOutcome::Released => "released",
            AttemptOutcome::Crashed => "crashed",
        }
    }
}

/// One ended attempt of a job.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of the attempt; 1 for the first.
    pub attempt: u32,
    /// When the task started.
    #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
    pub started_at: Timestamp,
    /// When the attempt ended.
    #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
    pub ended_at: Timestamp,
    /// The worker that ran it.
    pub worker_id: WorkerId,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why it did not complete.
    pub error: Option<String>,
}
