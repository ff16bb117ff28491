//! The job: what is stored of it ([`Job`]), what is asked for ([`NewJob`]), and the statuses it goes through.
//!
//! Leans on `time` and `error`. Knows no SQL and no worker.
//!
//! ```text
//!                 claim                       finish: Ok
//!   pending ───────────────────▶ running ───────────────────▶ completed
//!      ▲ │ cancel                 │  │ └───────────────────▶ failed      (retries spent, or permanent)
//!      │ └──────▶ cancelled ◀─────┘  │    the task says cancel
//!      └─────────────────────────────┘
//!        retry (after its backoff) · release (worker stops) · rescue (worker died)
//!        (a rescue that counts one crash too many ends in failed)
//!
//!   failed, cancelled ──retry by hand──▶ pending
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::clock::{FAR_FUTURE_MICROS, Timestamp};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::idempotency::check_key;

/// The queue of a job when neither the task nor the caller names one.
pub const DEFAULT_QUEUE: &str = "default";

/// Retries of a job when neither the task nor the caller says how many (the seed's `max_retries = 3`).
pub const DEFAULT_RETRIES: u32 = 3;

/// Largest params, result or metadata of a job, in bytes of JSON text: beyond it a job should hold a reference to
/// its data, which is kept in memory for as long as the job waits in a worker.
pub const JSON_BYTES_MAX: usize = 1 << 20;

/// Longest error text stored, in bytes; the middle of a longer one is cut out.
pub const ERROR_BYTES_MAX: usize = 8 << 10;

/// Longest name of a task, a queue or a job, in bytes (the seed's column holds 100).
pub const NAME_BYTES_MAX: usize = 100;

/// Deepest nesting of arrays and objects in params: what every JSON reader can take.
pub const JSON_DEPTH_MAX: usize = 64;

/// The number of a job: unique in its database, short enough to type, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<JobId, Self::Err> {
        text.parse().map(JobId)
    }
}

/// The number of a worker: drawn at random at each start, so that no two lives of a worker are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct WorkerId(pub i64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Waits: for a free worker, or for its `scheduled_at`.
    Pending,
    /// Claimed by a worker.
    Running,
    /// Ended well; `result` holds what the task returned.
    Completed,
    /// Ended badly, for good; `error` says why.
    Failed,
    /// Given up on purpose, by a person or by the task.
    Cancelled,
}

impl Status {
    /// All statuses, in the order of a job's life.
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Running, Status::Completed, Status::Failed, Status::Cancelled];

    /// The word for it, in SQL, HTTP and everywhere else.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }

    /// Whether a job in this status is over, unless somebody retries it by hand.
    pub const fn is_ended(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(word: &str) -> Result<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            let words = Status::ALL.map(Status::as_str).join(", ");
            Error::new(ErrorKind::InvalidInput, format!("`{word}` is not a status of a job"))
                .help(format!("write one of: {words}"))
        })
    }
}

/// When a job is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunAt {
    /// At once.
    #[default]
    Now,
    /// This long after it was stored.
    After(Duration),
    /// At this instant; at once if it has passed.
    At(Timestamp),
}

/// A job that is to be stored: what [`Enqueue`](crate::Enqueue) targets accept, after everything was checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewJob {
    /// The task's name.
    pub task_name: String,
    /// A JSON object with one member a parameter.
    pub params: String,
    /// A name to show to people; the task's name if `None`.
    pub name: Option<String>,
    /// The queue it waits in.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// How often it may be retried after its first attempt.
    pub max_retries: u32,
    /// When it is due.
    pub run_at: RunAt,
    /// Free JSON for the caller's own use, as an object.
    pub metadata: Option<String>,
    /// At most one job of the database has it; the same job enqueued with it again is the job that is there.
    pub idempotency_key: Option<String>,
}

impl NewJob {
    /// A job for the task named `task_name` with `params`, the text of a JSON object, and every option at its
    /// default. Checks nothing: see [`NewJob::check`].
    pub fn new(task_name: impl Into<String>, params: impl Into<String>) -> NewJob {
        NewJob {
            task_name: task_name.into(),
            params: params.into(),
            name: None,
            queue: DEFAULT_QUEUE.to_owned(),
            priority: 0,
            max_retries: DEFAULT_RETRIES,
            run_at: RunAt::Now,
            metadata: None,
            idempotency_key: None,
        }
    }

    /// Refuses what no store may hold: sizes, names, instants outside their range. Every store calls it before it
    /// writes, so that one bad job is refused alone and never in the middle of somebody else's transaction.
    ///
    /// That params are JSON is checked where they come from text; the typed path cannot produce anything else.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        check_name("task", &self.task_name)?;
        check_name("queue", &self.queue)?;
        if let Some(name) = self.name.as_ref().filter(|name| !(1..=NAME_BYTES_MAX).contains(&name.len())) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the display name of a job has 1 to {NAME_BYTES_MAX} bytes, this one has {}",
                    name.len()
                ),
            )
            .help("shorten it; longer descriptions belong into the metadata"));
        }
        check_size("params", &self.params)?;
        if let Some(metadata) = &self.metadata {
            check_size("metadata", metadata)?;
        }
        self.idempotency_key.as_deref().map_or(Ok(()), check_key)?;
        self.scheduled_at(now).map(drop)
    }

    /// The instant it is due, for a store whose clock reads `now`.
    pub fn scheduled_at(&self, now: Timestamp) -> Result<Timestamp> {
        let at = match self.run_at {
            RunAt::Now => Some(now),
            RunAt::After(wait) => crate::model::clock::after(now, wait),
            RunAt::At(at) => Some(at).filter(|at| (0..=FAR_FUTURE_MICROS).contains(&at.as_microsecond())),
        };
        at.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                "a job cannot be scheduled before 1970 or after the year 9999",
            )
            .help("delays are durations from now; check their unit")
        })
    }
}

/// Checks the name of a task or queue: 1 to 100 bytes of `A-Z a-z 0-9 _ . : / -`, beginning with a letter or digit.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte));
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("`{}` cannot be the name of a {what}", shown.escape_debug()),
    )
    .help(format!(
        "1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ . : / - with a letter or a digit at the beginning"
    )))
}

/// Refuses JSON text that is larger than a row should be.
pub(crate) fn check_size(what: &str, json: &str) -> Result<()> {
    if json.len() <= JSON_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!("the {what} of a job have {} bytes, more than {JSON_BYTES_MAX}", json.len()),
    )
    .help("store the data in a file or a table of your own and pass its name or id"))
}

/// How far a running job has come, as its handler reported it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// From 0.0 to 1.0.
    pub fraction: f64,
    /// What it is doing, in the handler's words.
    pub message: Option<String>,
}

impl Progress {
    /// A fraction, brought into `0.0..=1.0`, and what the handler is doing.
    pub fn new(fraction: f64, message: Option<String>) -> Progress {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        Progress { fraction, message }
    }
}

/// A stored job, as it was when it was read.
///
/// Its `Serialize` form is the wire format of the HTTP interface: instants are ISO 8601 in UTC with six digits and no
/// offset, `name` falls back to the task's name, and `duration` is in seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The task that runs it.
    pub task_name: String,
    /// The name shown to people; the task's name unless the caller gave one.
    pub name: String,
    /// The task's parameters: the text of a JSON object.
    pub params: String,
    /// The queue it waits in.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// Where it stands.
    pub status: Status,
    /// How often it was started; the number of the current or last attempt.
    pub attempt: u32,
    /// Retries used.
    pub retry_count: u32,
    /// Retries allowed.
    pub max_retries: u32,
    /// How often a worker died while it ran it, and no other job was to attribute_crash; since it was last retried by hand.
    pub crash_count: u32,
    /// When it is (or was) due.
    pub scheduled_at: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its current or last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended, whichever way.
    pub completed_at: Option<Timestamp>,
    /// The worker that runs it or ended it; none while it is pending.
    pub worker_id: Option<WorkerId>,
    /// What the task returned: JSON text.
    pub result: Option<String>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// What the handler reported last.
    pub progress: Option<Progress>,
    /// The caller's own JSON object.
    pub metadata: Option<String>,
    /// The key under which it was enqueued, which no other job has.
    pub idempotency_key: Option<String>,
}

impl Job {
    /// From start to end of the last attempt.
    pub fn duration(&self) -> Option<Duration> {
        let (started, completed) = (self.started_at?, self.completed_at?);
        completed.duration_since(started).try_into().ok()
    }

    /// A pending job that lies in the future at `now`.
    pub fn is_scheduled(&self, now: Timestamp) -> bool {
        self.status == Status::Pending && self.scheduled_at > now
    }

    /// A pending job that has failed before.
    pub fn is_retrying(&self) -> bool {
        self.status == Status::Pending && self.retry_count > 0
    }

    /// A job with which a worker has died: none holds two of them.
    pub(crate) fn is_suspected(&self) -> bool {
        self.crash_count > 0
    }

    /// The params as values by name.
    pub fn params_map(&self) -> BTreeMap<String, Value> {
        serde_json::from_str(&self.params).unwrap_or_default()
    }
}

impl Serialize for Job {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
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

/// JSON text as it stands; text that is not JSON (a person edited the row) as a string.
fn json(text: &str) -> JsonText<'_> {
    serde_json::from_str(text).map_or(JsonText::Other(text), JsonText::Json)
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum JsonText<'a> {
    Json(&'a RawValue),
    Other(&'a str),
}

/// ISO 8601 as the existing clients of the wire format parse it: UTC, microseconds, no offset.
pub(crate) fn wire_time(at: Timestamp) -> String {
    format!("{at:.6}").trim_end_matches('Z').to_owned()
}

/// For `#[serde(serialize_with)]`.
pub(crate) fn serialize_wire_time<S: Serializer>(
    at: &Timestamp,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&wire_time(*at))
}

/// How an attempt that is over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The task returned its result.
    Completed,
    /// The task failed, panicked or timed out.
    Failed,
    /// The task cancelled the job.
    Cancelled,
    /// The worker stopped before the task was done and gave the job back; or it died, and another job is to attribute_crash.
    Released,
    /// The worker died, and this job may have been the cause.
    Crashed,
}

impl AttemptOutcome {
    pub(crate) const ALL: [AttemptOutcome; 5] = [
        AttemptOutcome::Completed,
        AttemptOutcome::Failed,
        AttemptOutcome::Cancelled,
        AttemptOutcome::Released,
        AttemptOutcome::Crashed,
    ];

    /// The word for it.
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

/// One run of a job that is over.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number, 1 for the first.
    pub attempt: u32,
    /// When the task began.
    #[serde(serialize_with = "serialize_wire_time")]
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(serialize_with = "serialize_wire_time")]
    pub ended_at: Timestamp,
    /// Who ran it.
    pub worker_id: WorkerId,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why it did not complete.
    pub error: Option<String>,
}

/// Cuts the middle out of an error text that is longer than [`ERROR_BYTES_MAX`]: causes stand at the end, symptoms at
/// the beginning.
pub(crate) fn clip_error(text: &str) -> Cow<'_, str> {
    if text.len() <= ERROR_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let half = (ERROR_BYTES_MAX - 40) / 2;
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at += 1;
        }
        at
    };
    // Each end may grow by the rest of one character, at most three bytes: the 40 spare ones cover that.
    let (head, tail) = (boundary(half), boundary(text.len() - half));
    Cow::Owned(format!("{}\n… {} bytes left out …\n{}", &text[..head], tail - head, &text[tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_by_their_words_and_a_wrong_word_is_told_the_right_ones() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
        }
        let error = "bogus".parse::<Status>().unwrap_err().to_string();
        assert!(
            error.contains("bogus") && error.contains("pending, running, completed, failed, cancelled"),
            "{error}"
        );
    }

    #[test]
    fn names_sizes_and_instants_outside_their_range_are_refused() {
        let now = Timestamp::UNIX_EPOCH;
        let job = || NewJob::new("send_email", "{}");
        assert!(job().check(now).is_ok());
        for (bad, kind) in [
            (NewJob { task_name: "a b".into(), ..job() }, ErrorKind::InvalidInput),
            (NewJob { task_name: String::new(), ..job() }, ErrorKind::InvalidInput),
            (NewJob { queue: "q".repeat(101), ..job() }, ErrorKind::InvalidInput),
            (NewJob { name: Some(String::new()), ..job() }, ErrorKind::InvalidInput),
            (NewJob { params: " ".repeat(JSON_BYTES_MAX + 1), ..job() }, ErrorKind::TooLarge),
            (NewJob { run_at: RunAt::After(Duration::MAX), ..job() }, ErrorKind::InvalidInput),
            (NewJob { run_at: RunAt::At(Timestamp::MIN), ..job() }, ErrorKind::InvalidInput),
            (NewJob { idempotency_key: Some(String::new()), ..job() }, ErrorKind::InvalidInput),
        ] {
            assert_eq!(bad.check(now).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn instants_on_the_wire_have_six_digits_and_no_offset() {
        let at: Timestamp = "2026-11-23T16:40:39.336066Z".parse().unwrap();
        assert_eq!(wire_time(at), "2026-11-23T16:40:39.336066");
        assert_eq!(wire_time(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000");
    }

    #[test]
    fn a_long_error_keeps_its_beginning_and_its_end() {
        let text = format!("symptom {} cause", "ü".repeat(ERROR_BYTES_MAX));
        let clipped = clip_error(&text);
        assert!(
            clipped.len() <= ERROR_BYTES_MAX && clipped.starts_with("symptom") && clipped.ends_with("cause")
        );
        assert_eq!(clip_error("short"), "short");
    }
}
