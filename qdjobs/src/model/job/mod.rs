//! The job: [`Job`] as it is stored, [`NewJob`] before it is stored, and the types of their fields.
//!
//! This file only re-exports. `stored_job.rs` has the JSON field names, `checks.rs` the limits of single
//! values, `new_job.rs` the check before a job is stored. `status.rs`, `attempt.rs`, `progress.rs` and
//! `ids.rs` have one type each.
//!
//! Depends on the clock's types and the error type. Knows no SQL, no task and no worker.

mod attempt;
mod checks;
mod ids;
mod new_job;
mod progress;
mod status;
mod stored_job;
mod wire_job;
mod wire_time;

pub use self::attempt::{Attempt, AttemptOutcome};
pub(crate) use self::checks::{
    CRASHES_MAX, DEFAULT_QUEUE, DEFAULT_RETRIES, JSON_BYTES_MAX, JSON_DEPTH_MAX, NAME_BYTES_MAX, check_name,
    check_size, clip_error,
};
pub use self::ids::{JobId, WorkerId};
pub use self::new_job::{NewJob, RunAt};
pub use self::progress::Progress;
pub use self::status::Status;
pub use self::stored_job::Job;
pub(crate) use self::wire_time::{
    deserialize_wire_time, deserialize_wire_time_if_any, serialize_wire_time, serialize_wire_time_if_any,
};
