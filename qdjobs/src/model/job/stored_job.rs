//! A stored job: the struct [`Job`] and its JSON field names, which are the wire format over HTTP.
//!
//! The format of instants is in `wire_time.rs`. How a row of SQLite becomes a `Job` is in
//! `store/sqlite/queries/rows.rs`.
//!
//! Depends on the types beside it and on the limits of `checks.rs`. Knows no SQL and no worker. Existing
//! clients read the wire format: fields are added, and none is renamed or removed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::checks;
use super::ids::{JobId, WorkerId};
use super::progress::Progress;
use super::status::Status;
use super::wire_time::wire_time;
use crate::model::clock::Timestamp;

/// A stored job, as it was when it was read.
///
/// Its `Serialize` form is the wire format of the HTTP interface. Instants are ISO 8601 in UTC with six
/// digits and no offset; `duration` is in seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// The number of the job.
    pub id: JobId,
    /// The name of the task that runs the job.
    pub task_name: String,
    /// The display name: the task's name unless the caller gave another.
    pub name: String,
    /// The parameters: the text of a JSON object.
    pub params: String,
    /// The queue.
    pub queue: String,
    /// The priority; higher first.
    pub priority: i32,
    /// The state of the job.
    pub status: Status,
    /// The number of the current or last attempt; 0 before the first.
    pub attempt: u32,
    /// The number of retries used.
    pub retry_count: u32,
    /// The number of retries allowed.
    pub max_retries: u32,
    /// The number of worker crashes counted for this job since it was last retried by hand. A crash that another
    /// job has caused is no longer counted once that job has failed.
    pub crash_count: u32,
    /// When the job is or was due.
    pub scheduled_at: Timestamp,
    /// When the job was stored.
    pub created_at: Timestamp,
    /// When the current or last attempt started.
    pub started_at: Option<Timestamp>,
    /// When the job ended, whether it completed, failed or was cancelled.
    pub completed_at: Option<Timestamp>,
    /// The worker that runs the job or ended it; `None` while it is pending.
    pub worker_id: Option<WorkerId>,
    /// What the task returned: JSON text.
    pub result: Option<String>,
    /// The error of the last attempt that failed.
    pub error: Option<String>,
    /// The latest progress that the task reported.
    pub progress: Option<Progress>,
    /// The caller's own data: the text of a JSON object.
    pub metadata: Option<String>,
    /// The idempotency key under which the job was enqueued; no other job has it.
    pub idempotency_key: Option<String>,
}

/// Limits and defaults.
impl Job {
    /// The queue of a job if neither the task nor the caller names one: `default`.
    pub const DEFAULT_QUEUE: &str = checks::DEFAULT_QUEUE;

    /// The number of retries of a job if neither the task nor the caller sets it: 3.
    pub const DEFAULT_RETRIES: u32 = checks::DEFAULT_RETRIES;

    /// The largest params, result or metadata, in bytes of JSON text: 1 MiB.
    ///
    /// A worker keeps the params of claimed jobs in memory, so a job should refer to large data by name or
    /// id.
    pub const JSON_BYTES_MAX: usize = checks::JSON_BYTES_MAX;

    /// The deepest nesting of arrays and objects in params: 64 levels, which every JSON reader accepts.
    pub const JSON_DEPTH_MAX: usize = checks::JSON_DEPTH_MAX;

    /// The longest stored error text, in bytes: 8 KiB. The middle of a longer one is cut out.
    pub const ERROR_BYTES_MAX: usize = checks::ERROR_BYTES_MAX;

    /// The longest name of a task, a queue or a job, in bytes: 100.
    pub const NAME_BYTES_MAX: usize = checks::NAME_BYTES_MAX;

    /// The longest idempotency key, in bytes: 200.
    pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = checks::IDEMPOTENCY_KEY_BYTES_MAX;

    /// The number of worker crashes at which a job fails, at the earliest, unless
    /// [`QueueOptions::max_crashes`](crate::QueueOptions::max_crashes) sets another: 3.
    pub const CRASHES_MAX: u32 = checks::CRASHES_MAX;
}

impl Job {
    /// The time from the start to the end of the last attempt.
    pub fn duration(&self) -> Option<Duration> {
        let (started, completed) = (self.started_at?, self.completed_at?);
        completed.duration_since(started).try_into().ok()
    }

    /// Whether the job is pending and not due yet at `now`.
    pub fn is_scheduled(&self, now: Timestamp) -> bool {
        self.status == Status::Pending && self.scheduled_at > now
    }

    /// Whether the job is pending and has failed before.
    pub fn is_retrying(&self) -> bool {
        self.status == Status::Pending && self.retry_count > 0
    }

    /// The parameters as JSON values by name. A value holds an integer of more than 64 bits as a float, and sorts the
    /// members of an object. The field `params` has the exact text.
    pub fn params_map(&self) -> BTreeMap<String, Value> {
        serde_json::from_str(&self.params).unwrap_or_default()
    }
}

impl Serialize for Job {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("task_name", &self.task_name)?;
        map.serialize_entry("params", &json(&self.params))?;
        map.serialize_entry("status", self.status.as_str())?;
        map.serialize_entry("result", &self.result.as_deref().map(json))?;
        map.serialize_entry("error", &self.error)?;
        map.serialize_entry("created_at", &wire_time(self.created_at))?;
        map.serialize_entry("started_at", &self.started_at.map(wire_time))?;
        map.serialize_entry("completed_at", &self.completed_at.map(wire_time))?;
        map.serialize_entry("duration", &self.duration().map(|span| span.as_micros() as f64 / 1e6))?;
        map.serialize_entry("queue", &self.queue)?;
        map.serialize_entry("priority", &self.priority)?;
        map.serialize_entry("attempt", &self.attempt)?;
        map.serialize_entry("retry_count", &self.retry_count)?;
        map.serialize_entry("max_retries", &self.max_retries)?;
        map.serialize_entry("crash_count", &self.crash_count)?;
        map.serialize_entry("scheduled_at", &wire_time(self.scheduled_at))?;
        map.serialize_entry("worker_id", &self.worker_id.map(|worker| worker.to_string()))?;
        map.serialize_entry("progress", &self.progress.as_ref().map(|progress| progress.fraction))?;
        let message = self.progress.as_ref().and_then(|progress| progress.message.as_deref());
        map.serialize_entry("progress_message", &message)?;
        map.serialize_entry("metadata", &self.metadata.as_deref().map(json))?;
        map.serialize_entry("idempotency_key", &self.idempotency_key)?;
        map.end()
    }
}

/// JSON text as a JSON value. Text that is not JSON becomes a JSON string: the row may have been edited by
/// hand.
fn json(text: &str) -> JsonText<'_> {
    serde_json::from_str(text).map_or(JsonText::Other(text), JsonText::Json)
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum JsonText<'a> {
    Json(&'a RawValue),
    Other(&'a str),
}
