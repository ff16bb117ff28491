//! Rows of SQLite as values of the crate.
//!
//! Leans on `sql` for the order of columns. Times are kept as microseconds; what a person wrote into a row with a database
//! shell may be out of range, and is brought into it rather than refused: a reader must be able to look at everything.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{sql, verbs};
use crate::job::{
    Attempt, AttemptOutcome, DEFAULT_QUEUE, DEFAULT_RETRIES, Job, JobId, Progress, Status, WorkerId,
};
use crate::store::{Claim, Claimed, WorkerCard, WorkerState};
use crate::time::Timestamp;
use crate::unique::Holder;

pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Reads [`sql::JOB_COLUMNS`].
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let task_name: String = row.get(1)?;
    let status: String = row.get(6)?;
    let created_at: i64 = row.get(12)?;
    let fraction: Option<f64> = row.get(18)?;
    let message = row.get(19)?;
    Ok(Job {
        id: JobId(row.get(0)?),
        name: row.get::<_, Option<String>>(2)?.unwrap_or_else(|| task_name.clone()),
        task_name,
        params: row.get(3)?,
        queue: row.get::<_, Option<String>>(4)?.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        priority: row.get::<_, Option<i32>>(5)?.unwrap_or(0),
        status: status.parse().unwrap_or(Status::Failed),
        attempt: count(row.get(7)?),
        retry_count: count(row.get(8)?),
        max_retries: row.get::<_, Option<i64>>(9)?.map_or(DEFAULT_RETRIES, count),
        crash_count: count(row.get(10)?),
        scheduled_at: time(row.get::<_, Option<i64>>(11)?.unwrap_or(created_at)),
        created_at: time(created_at),
        started_at: row.get::<_, Option<i64>>(13)?.map(time),
        completed_at: row.get::<_, Option<i64>>(14)?.map(time),
        worker: row.get::<_, Option<i64>>(15)?.map(WorkerId),
        result: row.get(16)?,
        error: row.get(17)?,
        progress: fraction.map(|fraction| Progress::new(fraction, message)),
        metadata: row.get(20)?,
        unique_key: row.get(21)?,
    })
}

/// One job by its number.
pub(super) fn job_by_id(conn: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    conn.prepare_cached(&format!("SELECT {} FROM qdjobs_jobs WHERE id = ?1", sql::JOB_COLUMNS))?
        .query_row([id.0], job)
        .optional()
}

/// Reads what [`sql::HOLDER`] gives.
pub(super) fn holder(row: &Row<'_>) -> rusqlite::Result<Holder> {
    Ok(Holder { id: JobId(row.get(0)?), task_name: row.get(1)?, params: row.get(2)? })
}

/// Reads what [`sql::FIRST_READY`] gives for a pair of task and queue, as it is once it is claimed.
pub(super) fn claimed(
    row: &Row<'_>,
    (task_name, queue): &verbs::Pair,
    worker: WorkerId,
    now: Timestamp,
) -> rusqlite::Result<Claimed> {
    Ok(Claimed {
        claim: Claim { id: JobId(row.get(0)?), attempt: count(row.get(1)?).saturating_add(1), worker },
        task_name: task_name.clone(),
        params: row.get(2)?,
        name: row.get(3)?,
        queue: queue.clone(),
        priority: row.get(4)?,
        retry_count: count(row.get(5)?),
        max_retries: count(row.get(6)?),
        created_at: time(row.get(7)?),
        scheduled_at: time(row.get(8)?),
        claimed_at: now,
        metadata: row.get(9)?,
        unique_key: row.get(10)?,
    })
}

/// Reads what [`sql::ATTEMPTS`] gives.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let outcome: String = row.get(4)?;
    let known = AttemptOutcome::ALL.into_iter().find(|known| known.as_str() == outcome);
    Ok(Attempt {
        attempt: count(row.get(0)?),
        started_at: time(row.get(1)?),
        ended_at: time(row.get(2)?),
        worker: WorkerId(row.get(3)?),
        outcome: known.unwrap_or(AttemptOutcome::Failed),
        error: row.get(5)?,
    })
}

/// Reads what [`sql::WORKERS`] gives.
pub(super) fn worker(row: &Row<'_>) -> rusqlite::Result<WorkerState> {
    let card = WorkerCard::new(WorkerId(row.get(0)?), row.get::<_, String>(1)?, count(row.get(2)?));
    Ok(WorkerState {
        beats: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        running: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        ..WorkerState::new(card, time(row.get(3)?))
    })
}
