//! [`History`], the figures of a report, read by SQL from the table of the queue.
//!
//! Depends on SQLite, through a read-only connection of its own, and on the documented columns of the table.
//! Formats nothing.

use std::path::Path;

use qdjobs::Timestamp;
use qdjobs::rusqlite::{self, Connection, OpenFlags, Transaction, params};

use super::ReportRequest;

/// The number of errors in a report.
const ERRORS_MAX: i64 = 20;

/// The ended jobs of each task by status, and the durations of the completed ones. The percentiles are
/// computed by nearest rank, so each is the duration of a job.
///
/// Binds since, until. Gives task, completed, failed, cancelled, median and 95th percentile in microseconds.
const TASKS: &str = "
    WITH ended AS (
        SELECT task_name, status, completed_at - started_at AS micros,
               row_number() OVER (PARTITION BY task_name, status ORDER BY completed_at - started_at) AS rank,
               count(*) OVER (PARTITION BY task_name, status) AS ranks
        FROM qdjobs_jobs
        WHERE completed_at >= ?1 AND completed_at < ?2
    )
    SELECT task_name,
           sum(status = 'completed'), sum(status = 'failed'), sum(status = 'cancelled'),
           max(CASE WHEN status = 'completed' AND rank = (ranks + 1) / 2 THEN micros END),
           max(CASE WHEN status = 'completed' AND rank = (ranks * 95 + 99) / 100 THEN micros END)
    FROM ended GROUP BY task_name ORDER BY count(*) DESC, task_name";

/// Binds since, until, width of a bucket. Gives start of the bucket, completed, failed.
const BUCKETS: &str = "
    SELECT completed_at / ?3 * ?3 AS start, sum(status = 'completed'), sum(status = 'failed')
    FROM qdjobs_jobs WHERE completed_at >= ?1 AND completed_at < ?2
    GROUP BY start ORDER BY start";

/// Binds since, until, limit. Gives id, task, end, error.
const ERRORS: &str = "
    SELECT id, task_name, completed_at, coalesce(error, '')
    FROM qdjobs_jobs WHERE completed_at >= ?1 AND completed_at < ?2 AND status = 'failed'
    ORDER BY completed_at DESC, id DESC LIMIT ?3";

/// Gives the number of pending and of running jobs.
const NOW: &str = "
    SELECT coalesce(sum(status = 'pending'), 0), coalesce(sum(status = 'running'), 0)
    FROM qdjobs_jobs WHERE status IN ('pending', 'running')";

/// The figures of a range of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    /// One for each task, those with the most jobs first.
    pub(super) tasks: Vec<TaskLine>,
    /// One for each hour or day, in order and without gaps.
    pub(super) buckets: Vec<Bucket>,
    /// The latest errors, newest first.
    pub(super) errors: Vec<ErrorLine>,
    /// The number of pending jobs now.
    pub(super) pending: u64,
    /// The number of running jobs now.
    pub(super) running: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TaskLine {
    pub(super) name: String,
    pub(super) ends: Ends,
    /// The median duration in seconds; `None` if no job completed.
    pub(super) median: Option<f64>,
    pub(super) p95: Option<f64>,
}

/// The number of ended jobs by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
}

impl Ends {
    pub(super) fn ended(self) -> u64 {
        self.completed + self.failed + self.cancelled
    }

    /// The jobs that count for the success rate: a cancelled job is neither a success nor a failure.
    pub(super) fn judged(self) -> u64 {
        self.completed + self.failed
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) start: Timestamp,
    pub(super) completed: u64,
    pub(super) failed: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ErrorLine {
    pub(super) job: i64,
    pub(super) task: String,
    pub(super) at: Timestamp,
    pub(super) error: String,
}

impl History {
    /// Reads what `request` asks for, all of it as of one moment.
    pub(super) fn read(database: &Path, request: &ReportRequest) -> rusqlite::Result<History> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(database, flags)?;
        let snapshot = connection.transaction()?;
        let (since, until) = (request.since.as_microsecond(), request.until.as_microsecond());
        let (pending, running) = snapshot.query_row(NOW, [], |row| Ok((count(row, 0)?, count(row, 1)?)))?;
        Ok(History {
            tasks: tasks(&snapshot, since, until)?,
            buckets: buckets(&snapshot, since, until, request.bucket_micros)?,
            errors: errors(&snapshot, since, until)?,
            pending,
            running,
        })
    }

    /// The sum over all tasks.
    pub(super) fn total(&self) -> Ends {
        self.tasks.iter().fold(Ends::default(), |sum, task| Ends {
            completed: sum.completed + task.ends.completed,
            failed: sum.failed + task.ends.failed,
            cancelled: sum.cancelled + task.ends.cancelled,
        })
    }
}

fn tasks(snapshot: &Transaction<'_>, since: i64, until: i64) -> rusqlite::Result<Vec<TaskLine>> {
    let mut statement = snapshot.prepare(TASKS)?;
    let seconds = |micros: Option<i64>| micros.map(|micros| micros as f64 / 1e6);
    let rows = statement.query_map(params![since, until], |row| {
        Ok(TaskLine {
            name: row.get(0)?,
            ends: Ends { completed: count(row, 1)?, failed: count(row, 2)?, cancelled: count(row, 3)? },
            median: seconds(row.get(4)?),
            p95: seconds(row.get(5)?),
        })
    })?;
    rows.collect()
}

fn buckets(snapshot: &Transaction<'_>, since: i64, until: i64, width: i64) -> rusqlite::Result<Vec<Bucket>> {
    let mut statement = snapshot.prepare(BUCKETS)?;
    let mut filled = statement
        .query_map(params![since, until, width], |row| {
            Ok(Bucket { start: instant(row.get(0)?), completed: count(row, 1)?, failed: count(row, 2)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?
        .into_iter()
        .peekable();
    // The range is bounded by `ReportRequest::read`, and so is the number of buckets.
    let starts = (since.div_euclid(width)..=(until - 1).div_euclid(width)).map(|at| instant(at * width));
    let empty = |start| Bucket { start, completed: 0, failed: 0 };
    Ok(starts.map(|start| filled.next_if(|bucket| bucket.start == start).unwrap_or(empty(start))).collect())
}

fn errors(snapshot: &Transaction<'_>, since: i64, until: i64) -> rusqlite::Result<Vec<ErrorLine>> {
    let mut statement = snapshot.prepare(ERRORS)?;
    let rows = statement.query_map(params![since, until, ERRORS_MAX], |row| {
        Ok(ErrorLine { job: row.get(0)?, task: row.get(1)?, at: instant(row.get(2)?), error: row.get(3)? })
    })?;
    rows.collect()
}

/// A count, which is never negative.
fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn instant(micros: i64) -> Timestamp {
    // A constraint of the table keeps instants between 1970 and the year 9999.
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}
