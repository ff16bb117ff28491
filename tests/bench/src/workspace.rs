//! The databases of the measurements: fresh for each round, filled by one statement, and checked afterwards.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use qdjobs::JobQueue;
use qdjobs::rusqlite::config::DbConfig;
use qdjobs::rusqlite::{Connection, OpenFlags, params};
use qdjobs::store::sqlite::Durability;
use tempfile::TempDir;

use crate::Result;
use crate::args::Args;

/// Where and how everything is measured.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
}

/// A database in its own directory, which is deleted with it.
#[derive(Debug)]
pub(crate) struct Db {
    dir: TempDir,
}

/// The contents of a database before the measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) task: &'static str,
    /// Jobs that can be claimed.
    pub(crate) ready: u64,
    /// Jobs that have completed.
    pub(crate) finished: u64,
    /// Jobs that are due in a year.
    pub(crate) future: u64,
    /// Bytes of a job's params.
    pub(crate) payload: usize,
}

impl Fill {
    /// Jobs of `task`, ready, with the usual params.
    pub(crate) fn ready(task: &'static str, jobs: u64) -> Fill {
        Fill { task, ready: jobs, finished: 0, future: 0, payload: PAYLOAD }
    }

    fn jobs(&self) -> u64 {
        self.ready + self.finished + self.future
    }
}

/// Bytes of params unless a figure uses another size.
pub(crate) const PAYLOAD: usize = 100;

/// The filler that makes params `bytes` long as JSON text.
pub(crate) fn filler(bytes: usize) -> String {
    "x".repeat(bytes.saturating_sub(r#"{"filler":""}"#.len()))
}

/// Those params.
pub(crate) fn params_text(bytes: usize) -> String {
    format!(r#"{{"filler":"{}"}}"#, filler(bytes))
}

impl Workspace {
    pub(crate) fn new(args: &Args) -> Result<Workspace> {
        fs::create_dir_all(&args.dir)
            .map_err(|error| format!("the directory `{}` cannot be used: {error}", args.dir.display()))?;
        let dir = fs::canonicalize(&args.dir)?;
        Ok(Workspace { dir, durability: args.durability, quick: args.quick, rounds: args.rounds })
    }

    /// The size of a figure: `full`, or `quick` for a quick run.
    pub(crate) fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// An empty database with the schema of qdjobs.
    pub(crate) fn empty(&self) -> Result<Db> {
        let db = self.create_dir()?;
        drop(self.open(&db)?);
        Ok(db)
    }

    /// A database that holds `fill`, checkpointed and closed.
    pub(crate) fn filled(&self, fill: Fill) -> Result<Db> {
        let db = self.empty()?;
        let conn = Connection::open(db.path())?;
        conn.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
        let parts = [("completed", fill.finished), ("pending", fill.future), ("pending", fill.ready)];
        for (part, (status, jobs)) in parts.into_iter().enumerate() {
            let future = part == 1;
            let mut insert = conn.prepare(
                "WITH RECURSIVE job (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM job WHERE n < ?1),
                     clock (micros) AS MATERIALIZED (SELECT unixepoch() * 1000000)
                 INSERT INTO qdjobs_jobs
                     (task_name, params, queue, priority, max_retries, scheduled_at, created_at, availability, status, attempt,
                      worker_id, started_at, completed_at, result)
                 SELECT ?2, iif(length(?3) > 500, NULL, ?3), 'default', 0, 3, micros - ?1 + n + ?4, micros - ?1 + n, ?4 = 0, ?5, ?6,
                        iif(?6, 1, NULL), iif(?6, micros, NULL), iif(?6, micros, NULL), iif(?6, 'null', NULL)
                 FROM job, clock",
            )?;
            if jobs > 0 {
                let ahead = if future { 365 * 86_400_000_000_i64 } else { 0 };
                let text = params_text(fill.payload);
                insert.execute(params![
                    jobs as i64,
                    fill.task,
                    text,
                    ahead,
                    status,
                    status == "completed"
                ])?;
                // As qdjobs inserts it.
                conn.execute(
                    "INSERT INTO qdjobs_params (job_id, params) SELECT id, ?1 FROM qdjobs_jobs
                     WHERE params IS NULL AND id NOT IN (SELECT job_id FROM qdjobs_params)",
                    [&text],
                )?;
            }
        }
        conn.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
        drop(conn);
        db.count()?.expect(fill.ready + fill.future, fill.finished)?;
        Ok(db)
    }

    /// A copy of a closed database: in the page cache, and on the disk.
    pub(crate) fn copy(&self, of: &Db) -> Result<Db> {
        let db = self.create_dir()?;
        fs::copy(of.path(), db.path())?;
        // Synced, so that its own writes are no part of the next measurement.
        File::open(db.path())?.sync_all()?;
        Ok(db)
    }

    fn create_dir(&self) -> Result<Db> {
        Ok(Db { dir: tempfile::Builder::new().prefix("qdjobs-bench-").tempdir_in(&self.dir)? })
    }

    /// Opens it with qdjobs.
    pub(crate) fn open(&self, db: &Db) -> Result<JobQueue> {
        Ok(JobQueue::options().durability(self.durability).open(db.path())?)
    }

    /// Opens it without qdjobs, with the settings that qdjobs uses.
    pub(crate) fn connect(&self, db: &Db) -> Result<Connection> {
        connect(&db.path(), self.durability)
    }
}

/// Opens a database that qdjobs has created, without qdjobs, with the settings that qdjobs uses.
pub(crate) fn connect(path: &Path, durability: Durability) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.set_prepared_statement_cache_capacity(64);
    let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
    conn.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000"
        ))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("the database is in journal mode `{mode}` instead of `wal`").into());
    }
    Ok(conn)
}

impl Db {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    /// The jobs in it, by status; call it after all connections are closed.
    pub(crate) fn count(&self) -> Result<Count> {
        let conn = Connection::open(self.path())?;
        let of = |status: &str| -> Result<u64> {
            let jobs: i64 =
                conn.query_row("SELECT count(*) FROM qdjobs_jobs WHERE status = ?1", [status], |row| {
                    row.get(0)
                })?;
            Ok(jobs as u64)
        };
        let jobs: i64 = conn.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get(0))?;
        Ok(Count { pending: of("pending")?, completed: of("completed")?, all: jobs as u64 })
    }
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub(crate) pending: u64,
    pub(crate) completed: u64,
    pub(crate) all: u64,
}

impl Count {
    /// Demands `pending` and `completed` jobs and no others: none was skipped, lost or done twice.
    pub(crate) fn expect(self, pending: u64, completed: u64) -> Result<()> {
        if (self.pending, self.completed, self.all) == (pending, completed, pending + completed) {
            return Ok(());
        }
        Err(format!("expected {pending} pending and {completed} completed jobs, found {self:?}").into())
    }

    /// Demands that at least `done` of the ready jobs of `fill` completed, and that all others are
    /// unchanged.
    pub(crate) fn expect_done(self, fill: Fill, done: u64) -> Result<()> {
        if self.completed < fill.finished + done || self.completed > fill.finished + fill.ready {
            return Err(format!("expected {done} further completed jobs of {fill:?}, found {self:?}").into());
        }
        self.expect(fill.jobs() - self.completed, self.completed)
    }
}
