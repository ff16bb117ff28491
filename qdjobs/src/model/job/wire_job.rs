//! Reads a [`Job`] from its JSON text, the wire format over HTTP, for programs that call the HTTP interface.
//!
//! How a job is written is in `stored_job.rs`.
//!
//! Depends on serde_json, since params and result are kept as they were written.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ids::{JobId, WorkerId};
use super::progress::Progress;
use super::status::Status;
use super::stored_job::Job;
use super::wire_time::{deserialize_wire_time, deserialize_wire_time_if_any};
use crate::model::clock::Timestamp;

/// The members of the JSON object. `duration` follows from two of them. Other members are ignored: a later version
/// adds some.
#[derive(serde::Deserialize)]
struct WireJob {
    id: JobId,
    name: String,
    task_name: String,
    params: Box<RawValue>,
    status: Status,
    result: Option<Box<RawValue>>,
    error: Option<String>,
    #[serde(deserialize_with = "deserialize_wire_time")]
    created_at: Timestamp,
    #[serde(deserialize_with = "deserialize_wire_time_if_any")]
    started_at: Option<Timestamp>,
    #[serde(deserialize_with = "deserialize_wire_time_if_any")]
    completed_at: Option<Timestamp>,
    queue: String,
    priority: i32,
    attempt: u32,
    retry_count: u32,
    max_retries: u32,
    crash_count: u32,
    #[serde(deserialize_with = "deserialize_wire_time")]
    scheduled_at: Timestamp,
    worker_id: Option<WorkerId>,
    progress: Option<f64>,
    progress_message: Option<String>,
    metadata: Option<Box<RawValue>>,
    idempotency_key: Option<String>,
}

impl<'de> Deserialize<'de> for Job {
    /// Reads the JSON of `Serialize`. Only from JSON, since params, result and metadata are pieces of its text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Job, D::Error> {
        WireJob::deserialize(deserializer).map(Job::from)
    }
}

impl From<WireJob> for Job {
    fn from(wire: WireJob) -> Job {
        let text = |raw: Box<RawValue>| raw.get().to_owned();
        // The result of a task without one is `null`, as if there were none yet.
        let empty = || (wire.status == Status::Completed).then(|| "null".to_owned());
        Job {
            id: wire.id,
            task_name: wire.task_name,
            name: wire.name,
            params: text(wire.params),
            queue: wire.queue,
            priority: wire.priority,
            status: wire.status,
            attempt: wire.attempt,
            retry_count: wire.retry_count,
            max_retries: wire.max_retries,
            crash_count: wire.crash_count,
            scheduled_at: wire.scheduled_at,
            created_at: wire.created_at,
            started_at: wire.started_at,
            completed_at: wire.completed_at,
            worker_id: wire.worker_id,
            result: wire.result.map(text).or_else(empty),
            error: wire.error,
            progress: wire.progress.map(|fraction| Progress::new(fraction, wire.progress_message)),
            metadata: wire.metadata.map(text),
            idempotency_key: wire.idempotency_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> Job {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_job_is_read_back_from_its_json() {
        let text = r#"{"id":7,"name":"a","task_name":"t","params":{"b":1.50,"a":[]},"status":"completed",
            "result":{"z":1},"error":"first","created_at":"2026-11-23T16:40:39.336066",
            "started_at":"2026-11-23T16:40:40.000000","completed_at":"2026-11-23T16:40:41.500000","duration":1.5,
            "queue":"mail","priority":-3,"attempt":2,"retry_count":1,"max_retries":3,"crash_count":1,
            "scheduled_at":"2026-11-23T16:40:39.336066","worker_id":"00000000000000ff","progress":0.5,
            "progress_message":"half","metadata":{"m":1},"idempotency_key":"k"}"#;
        let found = job(text);
        assert_eq!(
            (found.id, found.status, found.worker_id),
            (JobId(7), Status::Completed, Some(WorkerId(255)))
        );
        assert_eq!((&*found.params, found.result.as_deref()), (r#"{"b":1.50,"a":[]}"#, Some(r#"{"z":1}"#)));
        assert_eq!(found.progress, Some(Progress::new(0.5, Some("half".to_owned()))));
        assert_eq!(found.duration(), Some(std::time::Duration::from_millis(1500)));
        // Written again it is the same, apart from the spaces.
        let spaces = [' ', '\n'];
        assert_eq!(serde_json::to_string(&found).unwrap(), text.replace(spaces, ""));
        assert_eq!(format!("{:?}", job(&serde_json::to_string(&found).unwrap())), format!("{found:?}"));
    }

    #[test]
    fn what_a_job_does_not_have_yet_is_none() {
        let text = r#"{"id":7,"name":"a","task_name":"t","params":{},"status":"pending","result":null,"error":null,
            "created_at":"2026-11-23T16:40:39.336066","started_at":null,"completed_at":null,"duration":null,
            "queue":"default","priority":0,"attempt":0,"retry_count":0,"max_retries":3,"crash_count":0,
            "scheduled_at":"2026-11-23T16:40:39.336066","worker_id":null,"progress":null,"progress_message":null,
            "metadata":null,"idempotency_key":null,"a member of a later version":1}"#;
        let found = job(text);
        assert_eq!((found.result, found.error, found.started_at, found.worker_id), (None, None, None, None));
        assert_eq!((found.progress, found.metadata, found.idempotency_key), (None, None, None));
        assert_eq!(job(&text.replace("pending", "completed")).result.as_deref(), Some("null"));
    }
}
