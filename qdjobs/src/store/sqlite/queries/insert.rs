//! The verb *insert*: jobs and the defaults of tasks.
//!
//! Decides which params are stored beside the job's row ([`is_large`]) and when a repetition is found.
//! Depends on `sql` and `rows`.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Statement, ToSql, params};

use super::{SqlResult, rows, sql};
use crate::model::availability::Availability;
use crate::model::clock::{Timestamp, whole_micros};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JobId, NewJob};
use crate::store::TaskDefaults;
use crate::store::sqlite::connection::{error, migrate};

/// The longest params in the job's own row, in bytes. Longer ones are in a table beside it, which is written
/// once. At 1 kB a job costs as much to store either way, and half as much to claim and finish (`qdjobs-bench
/// --only payload`).
const PARAMS_BYTES_INLINE: usize = 500;

/// A job that was stored by this insert, and not by an earlier one.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct Stored {
    pub(in crate::store::sqlite) availability: Availability,
    pub(in crate::store::sqlite) scheduled_at: Timestamp,
}

impl Stored {
    /// Of a job that is due `at`. A job stored for the first time has no crash counted.
    pub(in crate::store::sqlite) fn at(at: Timestamp, now: Timestamp) -> Stored {
        let at = whole_micros(at);
        Stored { availability: Availability::of(at, now, false), scheduled_at: at }
    }
}

/// Stores jobs, by a statement that is looked up once for all of them.
pub(in crate::store::sqlite) struct Insert<'c> {
    conn: &'c Connection,
    statement: CachedStatement<'c>,
}

impl<'c> Insert<'c> {
    pub(in crate::store::sqlite) fn on(conn: &'c Connection) -> SqlResult<Insert<'c>> {
        Ok(Insert { conn, statement: conn.prepare_cached(sql::INSERT)? })
    }

    /// Stores one job, unless its key is held by an earlier one. If a [large](is_large) job fails, half of it
    /// may be written: it needs a savepoint.
    ///
    /// The key is looked up before anything is written, so a repetition costs no id and no page of the log.
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

    /// The same in a transaction of a caller that may hold no lock yet: the write takes the lock, and the key
    /// is looked up afterwards.
    fn write_first(&mut self, job: &NewJob, now: Timestamp) -> Result<(JobId, Option<Stored>)> {
        if let Some((id, stored)) = self.rows(job, now)? {
            return Ok((id, Some(stored)));
        }
        // Under the lock that the insert has taken: a holder cannot have been deleted since.
        self.holder(job)?.map(|id| (id, None)).ok_or_else(ignored)
    }

    /// The job that holds the key of this one, and is the same job.
    fn holder(&self, job: &NewJob) -> Result<Option<JobId>> {
        let Some(key) = &job.idempotency_key else { return Ok(None) };
        let holder = self
            .conn
            .prepare_cached(sql::HOLDER)
            .and_then(|mut holder| holder.query_row([key], rows::holder).optional());
        holder.map_err(error::before_commit)?.map(|holder| holder.answer_to(job)).transpose()
    }

    /// Writes the rows of a job; `None` if its key is held, or a trigger ignored it.
    fn rows(&mut self, job: &NewJob, now: Timestamp) -> Result<Option<(JobId, Stored)>> {
        let inline = (!is_large(job)).then_some(job.params.as_str());
        // Checked by the caller a moment ago: a delay may have passed the end of the calendar since, and must
        // not run at once.
        let at = job.scheduled_at(now)?;
        let written = self.row(job, inline, at, now).map_err(error::before_commit)?;
        if written == 0 {
            return Ok(None);
        }
        let id = self.conn.last_insert_rowid();
        if inline.is_none() && self.params(id, job).map_err(error::before_commit)? == 0 {
            return Err(ignored());
        }
        Ok(Some((JobId(id), Stored::at(at, now))))
    }

    fn params(&self, id: i64, job: &NewJob) -> SqlResult<usize> {
        self.conn.prepare_cached(sql::INSERT_PARAMS)?.execute(params![id, job.params])
    }

    /// Writes the job's own row, if its key is not held; the number of rows.
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

/// The error if no row was written, and no held key is the reason.
fn ignored() -> Error {
    Error::new(ErrorKind::InvalidInput, "a trigger of this database ignores the insert; nothing was stored")
        .help(
            "look for a trigger with RAISE(IGNORE) on qdjobs_jobs or qdjobs_params, and remove or change it",
        )
}

/// Stores a job that is [one row](is_one_row), due `at`, by a statement that is a transaction of its own.
/// `None`, and nothing stored, if writers have to know a later schema.
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

/// Runs one of the INSERT statements, whose first ten values are the same, for a job that is due `at`; the
/// number of rows.
fn execute_insert(
    insert: &mut Statement<'_>,
    job: &NewJob,
    params: Option<&str>,
    (at, now): (Timestamp, Timestamp),
    further: &[&dyn ToSql],
) -> SqlResult<usize> {
    let availability = Stored::at(at, now).availability as i64;
    let (at, now) = (at.as_microsecond(), now.as_microsecond());
    let values = params![
        job.task_name,
        job.name,
        params,
        job.queue,
        job.priority,
        job.max_retries,
        at,
        now,
        job.metadata,
        availability,
    ];
    match further {
        [] => insert.execute(values),
        further => insert.execute([values, further].concat().as_slice()),
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

/// Stores one job in a transaction of a caller. Writes before it reads: SQLite refuses the lock for good to a
/// transaction that began by reading an older state.
pub(in crate::store::sqlite) fn insert_in(conn: &Connection, job: &NewJob, now: Timestamp) -> Result<JobId> {
    let mut insert = Insert::on(conn).map_err(error::before_commit)?;
    insert.write_first(job, now).map(|(id, _)| id)
}

/// Stores the options of tasks, for jobs that programs without them insert.
pub(in crate::store::sqlite) fn publish_tasks(conn: &Connection, tasks: &[TaskDefaults]) -> SqlResult<()> {
    let mut statement = conn.prepare_cached(sql::PUBLISH)?;
    for task in tasks {
        statement.execute(params![task.name, task.queue, task.priority, task.max_retries])?;
    }
    Ok(())
}
