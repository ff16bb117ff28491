//! Converts rows of SQLite into values (jobs, attempts, workers), and new jobs into rows.
//!
//! Contains no SQL text: see `sql.rs`, whose order of columns is used here. JSON field names are in
//! `model/job/stored_job.rs`.
//!
//! Depends on `sql`.
//!
//! Times are stored as microseconds. A value that a person wrote with a database shell may be out of range.
//! It is clamped and not refused, so that every row can be read. Text that is not UTF-8 is accepted too.
//! SQLite stores any bytes as text, and reports no error to a program that writes another encoding.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use super::sql;
use crate::model::clock::Timestamp;
use crate::model::crash_count::Suspicion;
use crate::model::idempotency::Holder;
use crate::model::job::{
    Attempt, AttemptOutcome, DEFAULT_QUEUE, DEFAULT_RETRIES, Job, JobId, NewJob, Progress, RunAt, Status,
    WorkerId,
};
use crate::store::engine::leave_running::Held;
use crate::store::{Claim, ClaimedJob, Ticket, WorkerInfo, WorkerState};

/// A task and a queue.
pub(in crate::store::sqlite) type Pair = (String, String);

pub(in crate::store::sqlite) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

pub(in crate::store::sqlite) fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The bytes of a text in the file, for comparisons in SQL; empty for NULL.
#[derive(Clone, Debug, Default)]
pub(in crate::store::sqlite) struct Bytes(Vec<u8>);

impl Bytes {
    /// The text, if the bytes are UTF-8 and not empty.
    pub(in crate::store::sqlite) fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|text| !text.is_empty())
    }
}

impl FromSql for Bytes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Bytes> {
        match value {
            ValueRef::Text(bytes) => Ok(Bytes(bytes.to_owned())),
            ValueRef::Null => Ok(Bytes::default()),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl ToSql for Bytes {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// A text, with U+FFFD for what is not UTF-8.
pub(in crate::store::sqlite) struct Text(pub(in crate::store::sqlite) String);

impl FromSql for Text {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Text> {
        match value {
            ValueRef::Text(bytes) => Ok(Text(String::from_utf8_lossy(bytes).into_owned())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    row.get(column).map(|Text(text)| text)
}

fn text_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get::<_, Option<Text>>(column)?.map(|Text(text)| text))
}

/// Replaces params that are not UTF-8. A task expects an object, so the attempt fails and its error shows
/// this text. A lossy conversion would run the task with changed params.
const NO_TEXT: &str = "\"text that is not UTF-8\"";

fn params(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let Bytes(bytes) = row.get(column)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|_| NO_TEXT.to_owned()))
}

fn priority(value: Option<i64>) -> i32 {
    value.unwrap_or(0).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

fn retries(value: Option<i64>) -> u32 {
    value.map_or(DEFAULT_RETRIES, count)
}

/// The values of a new job's row, for [`sql::INSERT`] and the statements that share its columns.
pub(in crate::store::sqlite) struct NewJobRow<'a> {
    pub(in crate::store::sqlite) job: &'a NewJob,
    /// `None` for params that have a row of their own.
    pub(in crate::store::sqlite) params: Option<&'a str>,
    pub(in crate::store::sqlite) availability: i64,
    /// The time from which it may run, in microseconds.
    pub(in crate::store::sqlite) at: i64,
    /// The time of the insert, in microseconds.
    pub(in crate::store::sqlite) now: i64,
}

impl NewJobRow<'_> {
    /// In the order of the statement's parameters.
    pub(in crate::store::sqlite) fn values(&self) -> [&dyn ToSql; 10] {
        let job = self.job;
        [
            &job.task_name,
            &job.name,
            &self.params,
            &job.queue,
            &job.priority,
            &job.max_retries,
            &self.at,
            &self.now,
            &job.metadata,
            &self.availability,
        ]
    }
}

/// A new job as an element of the parameter of [`sql::INSERT_JSON`].
pub(in crate::store::sqlite) fn new_job_json(job: &NewJob) -> Value {
    let mut value = json!({
        "task_name": job.task_name, "name": job.name, "params": job.params, "queue": job.queue,
        "priority": job.priority, "max_retries": job.max_retries, "metadata": job.metadata,
        "idempotency_key": job.idempotency_key,
    });
    match job.run_at {
        RunAt::Now => {}
        RunAt::After(wait) => value["after"] = json!(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)),
        RunAt::At(at) => value["at"] = json!(at.as_microsecond()),
    }
    value
}

/// Reads [`sql::JOB_COLUMNS`].
pub(in crate::store::sqlite) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let task_name = text(row, 1)?;
    let status = text(row, 6)?;
    let created_at: i64 = row.get(12)?;
    let fraction: Option<f64> = row.get(18)?;
    let message = text_if_any(row, 19)?;
    Ok(Job {
        id: JobId(row.get(0)?),
        name: text_if_any(row, 2)?.unwrap_or_else(|| task_name.clone()),
        task_name,
        params: text(row, 3)?,
        queue: text_if_any(row, 4)?.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        priority: priority(row.get(5)?),
        status: status.parse().unwrap_or(Status::Failed),
        attempt: count(row.get(7)?),
        retry_count: count(row.get(8)?),
        max_retries: retries(row.get(9)?),
        crash_count: count(row.get(10)?),
        scheduled_at: time(row.get::<_, Option<i64>>(11)?.unwrap_or(created_at)),
        created_at: time(created_at),
        started_at: row.get::<_, Option<i64>>(13)?.map(time),
        completed_at: row.get::<_, Option<i64>>(14)?.map(time),
        worker_id: row.get::<_, Option<i64>>(15)?.map(WorkerId),
        result: text_if_any(row, 16)?,
        error: text_if_any(row, 17)?,
        progress: fraction.map(|fraction| Progress::new(fraction, message)),
        metadata: text_if_any(row, 20)?,
        idempotency_key: text_if_any(row, 21)?,
    })
}

/// One job by its id.
pub(in crate::store::sqlite) fn job_by_id(conn: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    conn.prepare_cached(&format!("SELECT {} FROM qdjobs_jobs WHERE id = ?1", sql::JOB_COLUMNS))?
        .query_row([id.0], job)
        .optional()
}

/// Reads a row of [`sql::HOLDER`].
pub(in crate::store::sqlite) fn holder(row: &Row<'_>) -> rusqlite::Result<Holder> {
    Ok(Holder { id: JobId(row.get(0)?), task_name: text(row, 1)?, params: text(row, 2)? })
}

/// Reads a row of [`sql::FIRST_READY`] for a pair of task and queue, as the job is once it is claimed.
pub(in crate::store::sqlite) fn claimed(
    row: &Row<'_>,
    (task_name, queue): &Pair,
    worker: WorkerId,
    ticket: Ticket,
) -> rusqlite::Result<ClaimedJob> {
    let created_at: i64 = row.get(7)?;
    Ok(ClaimedJob {
        claim: Claim { id: JobId(row.get(0)?), attempt: count(row.get(1)?).saturating_add(1), worker },
        ticket,
        task_name: task_name.clone(),
        params: params(row, 2)?,
        name: text_if_any(row, 3)?,
        queue: queue.clone(),
        priority: priority(row.get(4)?),
        retry_count: count(row.get(5)?),
        max_retries: retries(row.get(6)?),
        created_at: time(created_at),
        scheduled_at: time(row.get::<_, Option<i64>>(8)?.unwrap_or(created_at)),
        claimed_at: ticket.claimed_at(),
        metadata: text_if_any(row, 9)?,
        idempotency_key: text_if_any(row, 10)?,
    })
}

/// Reads a row of [`sql::ATTEMPTS`].
pub(in crate::store::sqlite) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let outcome = text(row, 4)?;
    let known = AttemptOutcome::ALL.into_iter().find(|known| known.as_str() == outcome);
    Ok(Attempt {
        attempt: count(row.get(0)?),
        started_at: time(row.get(1)?),
        ended_at: time(row.get(2)?),
        worker_id: WorkerId(row.get(3)?),
        outcome: known.unwrap_or(AttemptOutcome::Failed),
        error: text_if_any(row, 5)?,
    })
}

/// Reads a row of [`sql::HELD_BY`] or [`sql::ORPHANS`]. If a job was set to `running` by hand, `started_at`
/// may be NULL.
pub(in crate::store::sqlite) fn held(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<Held> {
    // As in [`sql::GIVE_BACK`]: 0 for a job without a worker.
    let worker = WorkerId(row.get::<_, Option<i64>>(2)?.unwrap_or(0));
    Ok(Held {
        claim: Claim { id: JobId(row.get(0)?), attempt: count(row.get(1)?), worker },
        suspicion: Suspicion { crash_count: count(row.get(3)?), max_suspected: row.get(4)? },
        started_at: row.get::<_, Option<i64>>(5)?.map_or(now, time),
    })
}

/// Reads a row of [`sql::WORKERS`].
pub(in crate::store::sqlite) fn worker(row: &Row<'_>) -> rusqlite::Result<WorkerState> {
    let info = WorkerInfo::new(WorkerId(row.get(0)?), text(row, 1)?, count(row.get(2)?));
    Ok(WorkerState {
        heartbeats: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        running: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        ..WorkerState::new(info, time(row.get(3)?))
    })
}
