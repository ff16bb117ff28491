//! The JSON of a [`Job`]: the wire format over HTTP.
//!
//! Depends on the job and on serde. The format is that of existing clients: fields are added, and none is
//! renamed or removed.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::stored_job::Job;
use super::wire_time::wire_time;

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

/// JSON text as a JSON value; as a JSON string if it is no JSON, since a person may have edited the row.
fn json(text: &str) -> JsonText<'_> {
    serde_json::from_str(text).map_or(JsonText::Other(text), JsonText::Json)
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum JsonText<'a> {
    Json(&'a RawValue),
    Other(&'a str),
}
