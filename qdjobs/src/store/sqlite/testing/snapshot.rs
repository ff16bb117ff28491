//! Reads the committed state on another connection, for the checks of a simulation: [`SnapshotReader`].
//!
//! The checks are in `sim/model.rs`.
//!
//! Depends on rusqlite and on the schema. `queries` never comes in: the simulation has to find errors that
//! the product's own reads could hide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// The committed state of all tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) jobs: BTreeMap<i64, JobRow>,
    /// By job and attempt: the worker and the outcome.
    pub(crate) attempts: BTreeMap<(i64, i64), (i64, String)>,
    /// By number: the heartbeats.
    pub(crate) workers: BTreeMap<i64, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobRow {
    pub(crate) task: String,
    pub(crate) params: String,
    pub(crate) status: String,
    pub(crate) attempt: i64,
    pub(crate) retries: i64,
    pub(crate) max_retries: i64,
    pub(crate) crashes: i64,
    pub(crate) scheduled_at: i64,
    pub(crate) availability: i64,
    pub(crate) worker_id: Option<i64>,
    pub(crate) result: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) completed_at: Option<i64>,
    pub(crate) max_suspected: Option<i64>,
}

impl JobRow {
    /// Whether a worker holds a limited number of such jobs together.
    pub(crate) fn is_suspected(&self) -> bool {
        self.crashes > 1
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

pub(crate) struct SnapshotReader {
    conn: Connection,
    seen: Option<i64>,
}

impl SnapshotReader {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<SnapshotReader> {
        let conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        Ok(SnapshotReader { conn, seen: None })
    }

    /// Reads the committed state. `None` if it has not changed since the last call, or if there are no tables
    /// yet.
    pub(crate) fn read(&mut self) -> rusqlite::Result<Option<Snapshot>> {
        let version: i64 = self.conn.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if self.seen.replace(version) == Some(version) {
            return Ok(None);
        }
        let tables: i64 = self.conn.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'qdjobs_workers'",
            [],
            |row| row.get(0),
        )?;
        if tables == 0 {
            return Ok(None);
        }
        let tx = self.conn.unchecked_transaction()?;
        let mut snapshot = Snapshot::default();
        let mut jobs = tx.prepare_cached(
            "SELECT id, task_name, params, status, attempt, retry_count, max_retries, crash_count,
                    scheduled_at, availability, worker_id, result, error, completed_at, max_suspected
             FROM qdjobs_jobs",
        )?;
        let mut rows = jobs.query([])?;
        while let Some(row) = rows.next()? {
            let job = JobRow {
                task: row.get(1)?,
                params: row.get(2)?,
                status: row.get(3)?,
                attempt: row.get(4)?,
                retries: row.get(5)?,
                max_retries: row.get(6)?,
                crashes: row.get(7)?,
                scheduled_at: row.get(8)?,
                availability: row.get(9)?,
                worker_id: row.get(10)?,
                result: row.get(11)?,
                error: row.get(12)?,
                completed_at: row.get(13)?,
                max_suspected: row.get(14)?,
            };
            snapshot.jobs.insert(row.get(0)?, job);
        }
        let mut attempts =
            tx.prepare_cached("SELECT job_id, attempt, worker_id, outcome FROM qdjobs_attempts")?;
        let mut rows = attempts.query([])?;
        while let Some(row) = rows.next()? {
            snapshot.attempts.insert((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?));
        }
        let mut workers = tx.prepare_cached("SELECT id, heartbeats FROM qdjobs_workers")?;
        let mut rows = workers.query([])?;
        while let Some(row) = rows.next()? {
            snapshot.workers.insert(row.get(0)?, row.get(1)?);
        }
        Ok(Some(snapshot))
    }

    /// What SQLite's integrity check reports about the pages and indexes of the file; `ok` if nothing is
    /// wrong.
    pub(crate) fn check_integrity(&self) -> rusqlite::Result<String> {
        self.conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))
    }
}

impl Snapshot {
    /// The running jobs whose worker is not registered.
    pub(crate) fn orphans(&self) -> BTreeSet<i64> {
        let orphaned = |job: &JobRow| {
            job.status == "running" && job.worker_id.is_none_or(|worker| !self.workers.contains_key(&worker))
        };
        self.jobs.iter().filter(|(_, job)| orphaned(job)).map(|(id, _)| *id).collect()
    }
}

/// Inserts a job of the first task by plain SQL, as a program without qdjobs does. Returns its id.
pub(crate) fn insert_by_sql(path: &Path, params: &str, now: i64) -> rusqlite::Result<i64> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.busy_timeout(std::time::Duration::ZERO)?;
    let sql = "INSERT INTO qdjobs_jobs (task_name, params, created_at) VALUES ('thread', ?1, ?2)";
    conn.execute(sql, rusqlite::params![params, now])?;
    Ok(conn.last_insert_rowid())
}
