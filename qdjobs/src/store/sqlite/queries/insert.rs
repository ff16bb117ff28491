//! The verb *insert*: stores jobs and task defaults, looks up idempotency keys, and stores large params
//! apart.
//!
//! Contains no SQL text: see `sql.rs`. A plain SQL INSERT gets its defaults from a trigger in the schema,
//! `connection/migrations/0001_jobs.sql`. What counts as a repetition is decided in `model/idempotency.rs`.
//!
//! Depends on `sql` and `rows`.

use std::borrow::Borrow;

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

    /// The row of this new job.
    fn row_of(self, job: &NewJob, now: Timestamp) -> NewJobRow<'_> {
        NewJobRow {
            job,
            params: (!is_large(job)).then_some(job.params.as_str()),
            availability: self.availability as i64,
            at: self.scheduled_at.as_microsecond(),
            now: now.as_microsecond(),
        }
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

    /// Stores jobs in their order, each as [`job`](Insert::job) does. Those without a key are stored many at a time.
    /// Calls `has_stored` for each new job.
    pub(in crate::store::sqlite) fn jobs(
        &mut self,
        jobs: &[NewJob],
        now: Timestamp,
        mut has_stored: impl FnMut(JobId, Stored),
    ) -> Result<Vec<JobId>> {
        let mut ids = Vec::with_capacity(jobs.len());
        let no_key = |a: &NewJob, b: &NewJob| a.idempotency_key.is_none() && b.idempotency_key.is_none();
        for alike in jobs.chunk_by(no_key) {
            let mut rest = alike;
            while let [job, behind @ ..] = rest {
                let many = self.prefix(rest, now, &mut has_stored)?;
                if many.is_empty() {
                    let (id, stored) = self.job(job, now)?;
                    stored.into_iter().for_each(|stored| has_stored(id, stored));
                    ids.push(id);
                    rest = behind;
                } else {
                    rest = &rest[many.len()..];
                    ids.extend(many);
                }
            }
        }
        Ok(ids)
    }

    /// Stores a prefix of jobs without a key, as many as one [statement](sql::INSERT_MANY) takes, and their large params.
    /// Returns their ids; none for fewer than two jobs.
    pub(in crate::store::sqlite) fn prefix<J: Borrow<NewJob>>(
        &self,
        jobs: &[J],
        now: Timestamp,
        mut has_stored: impl FnMut(JobId, Stored),
    ) -> Result<Vec<JobId>> {
        let statement = sql::INSERT_MANY.iter().find(|(rows, _)| *rows <= jobs.len());
        let Some((rows, statement)) = statement else { return Ok(Vec::new()) };
        let jobs = || jobs[..*rows].iter().map(J::borrow);
        let due = jobs().map(|job| Ok(Stored::at(job.scheduled_at(now)?, now)));
        let due = due.collect::<Result<Vec<_>>>()?;
        let rows: Vec<_> = jobs().zip(&due).map(|(job, stored)| stored.row_of(job, now)).collect();
        let new_ids = self.write_many(statement, &rows).map_err(error::before_commit(self.conn))?;
        if new_ids.len() != rows.len() {
            return Err(ignored(self.conn));
        }
        for ((id, job), stored) in new_ids.iter().zip(jobs()).zip(due) {
            self.write_large_params(id.0, job)?;
            has_stored(*id, stored);
        }
        Ok(new_ids)
    }

    /// Writes the rows of as many jobs as the statement takes. Returns their ids, in the order of the rows.
    fn write_many(&self, statement: &str, rows: &[NewJobRow<'_>]) -> SqlResult<Vec<JobId>> {
        let mut insert = self.conn.prepare_cached(statement)?;
        let values: Vec<&dyn ToSql> = rows.iter().flat_map(NewJobRow::values).collect();
        let ids = insert.query_map(values.as_slice(), |row| row.get(0).map(JobId))?;
        let mut ids = ids.collect::<SqlResult<Vec<JobId>>>()?;
        ids.sort_unstable();
        Ok(ids)
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
        // The caller has checked it before. But the clock has advanced, so a long delay can now exceed the
        // calendar. Such a job must not run at once.
        let stored = Stored::at(job.scheduled_at(now)?, now);
        let written = self.row(&stored.row_of(job, now)).map_err(error::before_commit(self.conn))?;
        if written == 0 {
            return Ok(None);
        }
        let id = self.conn.last_insert_rowid();
        self.write_large_params(id, job)?;
        Ok(Some((JobId(id), stored)))
    }

    /// Writes the params of a large job into their own row.
    fn write_large_params(&self, id: i64, job: &NewJob) -> Result<()> {
        if !is_large(job) {
            return Ok(());
        }
        let insert = self.conn.prepare_cached(sql::INSERT_PARAMS);
        let written = insert.and_then(|mut insert| insert.execute(params![id, job.params]));
        if written.map_err(error::before_commit(self.conn))? == 0 { Err(ignored(self.conn)) } else { Ok(()) }
    }

    /// Writes the job's own row if its key is not held, and returns the number of rows.
    fn row(&mut self, row: &NewJobRow<'_>) -> SqlResult<usize> {
        match &row.job.idempotency_key {
            None => self.statement.execute(row.values().as_slice()),
            Some(key) => {
                let mut keyed = self.conn.prepare_cached(sql::INSERT_KEYED)?;
                execute_with(&mut keyed, row, key)
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

/// Stores a job of [one row](is_one_row) as `stored` says, with a statement that is its own transaction.
/// If writers must know a later schema, stores nothing and returns `None`.
pub(in crate::store::sqlite) fn insert_alone(
    conn: &Connection,
    job: &NewJob,
    stored: Stored,
    now: Timestamp,
) -> SqlResult<Option<JobId>> {
    let mut insert = conn.prepare_cached(sql::INSERT_ALONE)?;
    let written = execute_with(&mut insert, &stored.row_of(job, now), &migrate::SCHEMA_VERSION)?;
    Ok((written > 0).then(|| JobId(conn.last_insert_rowid())))
}

/// Runs an INSERT statement that takes one value more than those of the row.
fn execute_with(insert: &mut Statement<'_>, row: &NewJobRow<'_>, further: &dyn ToSql) -> SqlResult<usize> {
    insert.execute([row.values().as_slice(), &[further]].concat().as_slice())
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
