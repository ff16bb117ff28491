//! The [`RunDir`]: a directory with the database, the histories of all processes, and a log inside the
//! database.
//!
//! Depends on plain SQL. Triggers write the log inside the transactions that it describes. So its order is
//! the order of commits, and it contains nothing that did not happen.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qdjobs::JobQueue;
use qdjobs::rusqlite::Connection;
use qdjobs::rusqlite::types::FromSql;

use crate::Result;

/// What the run adds to the database.
const SCHEMA: &str = "
    -- No column is unique: what happens twice has two rows.
    CREATE TABLE chaos_effects (job INTEGER NOT NULL, attempt INTEGER NOT NULL, mark INTEGER NOT NULL);

    CREATE TABLE chaos_log (
        seq INTEGER PRIMARY KEY,
        wall INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000),
        what TEXT NOT NULL,
        job INTEGER, name TEXT,
        old_status TEXT, old_attempt INTEGER, old_worker_id INTEGER, old_retry_count INTEGER, old_crash_count INTEGER,
        status TEXT, attempt INTEGER, worker_id INTEGER, retry_count INTEGER, crash_count INTEGER
    );

    -- Which workers a process had: read at each end of a process, also when the log is long.
    CREATE INDEX chaos_registered ON chaos_log (attempt) WHERE what = 'register_worker';

    CREATE TRIGGER chaos_insert AFTER INSERT ON qdjobs_jobs BEGIN
        INSERT INTO chaos_log (what, job, name, status, attempt, worker_id, retry_count, crash_count)
        VALUES ('insert', NEW.id, NEW.name, NEW.status, NEW.attempt, NEW.worker_id, NEW.retry_count, NEW.crash_count);
    END;
    CREATE TRIGGER chaos_update AFTER UPDATE ON qdjobs_jobs
        WHEN OLD.status IN ('completed', 'failed', 'cancelled')
             OR (OLD.id, OLD.status, OLD.attempt, OLD.worker_id, OLD.retry_count, OLD.crash_count, OLD.result, OLD.completed_at)
                IS NOT (NEW.id, NEW.status, NEW.attempt, NEW.worker_id, NEW.retry_count, NEW.crash_count, NEW.result, NEW.completed_at)
    BEGIN
        INSERT INTO chaos_log (what, job, name, old_status, old_attempt, old_worker_id, old_retry_count, old_crash_count,
                                 status, attempt, worker_id, retry_count, crash_count)
        VALUES ('update', NEW.id, NEW.name, OLD.status, OLD.attempt, OLD.worker_id, OLD.retry_count, OLD.crash_count,
                NEW.status, NEW.attempt, NEW.worker_id, NEW.retry_count, NEW.crash_count);
    END;
    CREATE TRIGGER chaos_delete AFTER DELETE ON qdjobs_jobs BEGIN
        INSERT INTO chaos_log (what, job, name, old_status, old_attempt, old_worker_id, old_retry_count, old_crash_count)
        VALUES ('delete', OLD.id, OLD.name, OLD.status, OLD.attempt, OLD.worker_id, OLD.retry_count, OLD.crash_count);
    END;
    CREATE TRIGGER chaos_register AFTER INSERT ON qdjobs_workers BEGIN
        INSERT INTO chaos_log (what, worker_id, attempt) VALUES ('register_worker', NEW.id, NEW.pid);
    END;
    CREATE TRIGGER chaos_forget AFTER DELETE ON qdjobs_workers BEGIN
        INSERT INTO chaos_log (what, worker_id, attempt) VALUES ('forget', OLD.id, OLD.pid);
    END;";

/// A directory in which a run takes place, and continues after an interruption.
#[derive(Debug)]
pub(crate) struct RunDir {
    dir: PathBuf,
    /// Held for as long as this run uses the directory.
    _lock: File,
}

impl RunDir {
    /// The run directory `dir`, created if it does not exist yet.
    pub(crate) fn open(dir: &Path) -> Result<RunDir> {
        std::fs::create_dir_all(histories(dir))?;
        let alone = File::create(dir.join("alone.lock"))?;
        alone
            .try_lock()
            .map_err(|error| format!("another run uses {} ({error}): choose another --dir", dir.display()))?;
        let run_dir = RunDir { dir: dir.to_owned(), _lock: alone };
        drop(JobQueue::open(run_dir.db())?);
        let conn = run_dir.connect()?;
        let made: i64 = one(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'chaos_forget'")?;
        if made == 0 {
            conn.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT"))?;
        }
        Ok(run_dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn db(&self) -> PathBuf {
        database(&self.dir)
    }

    pub(crate) fn histories(&self) -> PathBuf {
        histories(&self.dir)
    }

    /// Where the standard error of the processes goes.
    pub(crate) fn stderr_log(&self) -> PathBuf {
        self.dir.join("stderr.txt")
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        let conn = Connection::open(self.db())?;
        conn.busy_timeout(Duration::from_secs(30))?;
        Ok(conn)
    }
}

/// The database of the run directory `dir`.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("jobs.db")
}

/// The directory of the histories of the run directory `dir`.
pub(crate) fn histories(dir: &Path) -> PathBuf {
    dir.join("history")
}

/// The one value that `sql` returns.
pub(crate) fn one<T: FromSql>(conn: &Connection, sql: &str) -> Result<T> {
    Ok(conn.query_row(sql, [], |row| row.get(0)).map_err(|error| format!("{error}: {sql}"))?)
}
