//! The verb *insert*: stores jobs and task defaults, looks up idempotency keys, and stores large params
//! apart.
//!
//! Contains no SQL text: see `sql.rs`. A plain SQL INSERT gets its defaults from a trigger in the schema,
//! `connection/migrations/0001_jobs.sql`. What counts as a repetition is decided in `model/idempotency.rs`.
//!
//! Depends on `sql` and `rows`.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Statement, ToSql, params};

use super::rows::NewJobRow;
use super::{SqlResult, rows, sql};
use crate::model::availability::Availability;
use crate::model::clock::{Timestamp, whole_micros};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JobId, NewJob};
use crate::store::TaskDefaults;
use crate::store::sqlite::connection::{error, migrate};

/// The longest params in the job's own row, in bytes. Longer params are in a separate table, which is written
/// once. With 1 kB of params, that makes claim and finish half as expensive, at the same cost to store the
/// job (`qdjobs-bench --only payload`).
const PARAMS_BYTES_INLINE: usize = 500;

/// A job that this insert has stored, not an earlier one.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct Stored {
    pub(in crate::store::sqlite) availability: Availability,
    pub(in crate::store::sqlite) scheduled_at: Timestamp,
}

impl Stored {
    /// A new job that is due at `at`. No crash is counted for it.
    pub(in crate::store::sqlite) fn at(at: Timestamp, now: Timestamp) -> Stored {
        let at = whole_micros(at);
        Stored { availability: Availability::of(at, now, false), scheduled_at: at }
    }
}

/// Stores jobs with a statement that is prepared once for all of them.
pub(in crate::store::sqlite) struct Insert<'c> {
    conn: &'c Connection,
    statement: CachedStatement<'c>,
}

impl<'c> Insert<'c> {
    pub(in crate::store::sqlite) fn on(conn: &'c Connection) -> SqlResult<Insert<'c>> {
        Ok(Insert { conn, statement: conn.prepare_cached(sql::INSERT)? })
    }

    /// Stores one job, unless an earlier job holds its key. A [large](is_large) job takes two statements, so
    /// it needs a savepoint.
    ///
    /// The key is looked up before the first write, so a repeated job uses no id and no page of the log.
    pub(in crate::store::sqlite) fn job(
        &mut self,
        job: &NewJob,
        now: Timestamp,
    ) -> Result<(JobId, Option<Stored>)> {
        match self.holder(job)? {
            Some(id) => Ok((id, None)),
            None => self.write_first(job, now),
        }
    }

    /// As [`job`](Insert::job), in a caller's transaction that may not hold the write lock yet. The write
    /// takes the lock; the key is looked up afterwards.
    fn write_first(&mut self, job: &NewJob, now: Timestamp) -> Result<(JobId, Option<Stored>)> {
        if let Some((id, stored)) = self.rows(job, now)? {
            return Ok((id, Some(stored)));
        }
        // The insert has taken the write lock, so the holder of the key cannot have been deleted since.
        self.holder(job)?.map(|id| (id, None)).ok_or_else(|| ignored(self.conn))
    }

    /// The id of the stored job under this job's key, if it is the same job.
    fn holder(&self, job: &NewJob) -> Result<Option<JobId>> {
        let Some(key) = &job.idempotency_key else { return Ok(None) };
        let holder = self
            .conn
            .prepare_cached(sql::HOLDER)
            .and_then(|mut holder| holder.query_row([key], rows::holder).optional());
        holder.map_err(error::before_commit(self.conn))?.map(|holder| holder.answer_to(job)).transpose()
    }

    /// Writes the rows of a job; `None` if its key is held or a trigger ignored the insert.
    fn rows(&mut self, job: &NewJob, now: Timestamp) -> Result<Option<(JobId, Stored)>> {
        let inline = (!is_large(job)).then_some(job.params.as_str());
        // The caller has checked it before. But the clock has advanced, so a long delay can now exceed the
        // calendar. Such a job must not run at once.
        let at = job.scheduled_at(now)?;
        let written = self.row(job, inline, at, now).map_err(error::before_commit(self.conn))?;
        if written == 0 {
            return Ok(None);
        }
        let id = self.conn.last_insert_rowid();
        if inline.is_none() && self.params(id, job).map_err(error::before_commit(self.conn))? == 0 {
            return Err(ignored(self.conn));
        }
        Ok(Some((JobId(id), Stored::at(at, now))))
    }

    fn params(&self, id: i64, job: &NewJob) -> SqlResult<usize> {
        self.conn.prepare_cached(sql::INSERT_PARAMS)?.execute(params![id, job.params])
    }

    /// Writes the job's own row if its key is not held, and returns the number of rows.
    fn row(&mut self, job: &NewJob, params: Option<&str>, at: Timestamp, now: Timestamp) -> SqlResult<usize> {
        match &job.idempotency_key {
            None => execute_insert(&mut self.statement, job, params, (at, now), &[]),
            Some(key) => {
                let mut keyed = self.conn.prepare_cached(sql::INSERT_KEYED)?;
                execute_insert(&mut keyed, job, params, (at, now), params![key])
            }
        }
    }
}

/// The error if no row was written although the key is not held.
fn ignored(conn: &Connection) -> Error {
    Error::new(ErrorKind::InvalidInput, "a trigger of this database ignores the insert; nothing was stored")
        .in_database(error::path(conn))
        .help(
            "look for a trigger with RAISE(IGNORE) on qdjobs_jobs or qdjobs_params, and remove or change it",
        )
}

/// Stores a job of [one row](is_one_row) that is due at `at`, with a statement that is its own transaction.
/// If writers must know a later schema, stores nothing and returns `None`.
pub(in crate::store::sqlite) fn insert_alone(
    conn: &Connection,
    job: &NewJob,
    at: Timestamp,
    now: Timestamp,
) -> SqlResult<Option<JobId>> {
    let mut insert = conn.prepare_cached(sql::INSERT_ALONE)?;
    let known = params![migrate::SCHEMA_VERSION];
    let written = execute_insert(&mut insert, job, Some(&job.params), (at, now), known)?;
    Ok((written > 0).then(|| JobId(conn.last_insert_rowid())))
}

/// Runs one of the INSERT statements for a job that is due at `at`, and returns the number of rows. The first
/// ten values of these statements are the same.
fn execute_insert(
    insert: &mut Statement<'_>,
    job: &NewJob,
    params: Option<&str>,
    (at, now): (Timestamp, Timestamp),
    further: &[&dyn ToSql],
) -> SqlResult<usize> {
    let row = NewJobRow {
        job,
        params,
        availability: Stored::at(at, now).availability as i64,
        at: at.as_microsecond(),
        now: now.as_microsecond(),
    };
    let values = row.values();
    match further {
        [] => insert.execute(values),
        further => insert.execute([&values, further].concat().as_slice()),
    }
}

/// Whether a job takes two rows to store.
pub(in crate::store::sqlite) fn is_large(job: &NewJob) -> bool {
    job.params.len() > PARAMS_BYTES_INLINE
}

/// Whether storing them is a single statement.
pub(in crate::store::sqlite) fn is_one_row(jobs: &[NewJob]) -> bool {
    matches!(jobs, [job] if !is_large(job) && job.idempotency_key.is_none())
}

/// Stores one job in a caller's transaction. It writes before it reads: if a transaction has read an older
/// state, SQLite never gives it the write lock.
pub(in crate::store::sqlite) fn insert_in(conn: &Connection, job: &NewJob, now: Timestamp) -> Result<JobId> {
    let mut insert = Insert::on(conn).map_err(error::before_commit(conn))?;
    insert.write_first(job, now).map(|(id, _)| id)
}

/// Stores the options of tasks, as defaults for jobs that other programs insert.
pub(in crate::store::sqlite) fn publish_tasks(conn: &Connection, tasks: &[TaskDefaults]) -> SqlResult<()> {
    let mut statement = conn.prepare_cached(sql::PUBLISH)?;
    for task in tasks {
        statement.execute(params![task.name, task.queue, task.priority, task.max_retries])?;
    }
    Ok(())
}
