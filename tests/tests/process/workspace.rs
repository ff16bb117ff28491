//! A [`Workspace`]: a directory with one database, and queries on it by plain SQL.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use qdjobs::JobQueue;
use qdjobs::rusqlite::types::{FromSql, Value};
use qdjobs::rusqlite::{Connection, Params, Row};

use crate::worker_process::{DEADLINE, LogLine};

/// Tests that measure times run alone, all others side by side.
static RUN_LOCK: RwLock<()> = RwLock::new(());

/// Held for as long as a test runs.
#[expect(dead_code, reason = "the lock is held, not read")]
enum RunLock {
    Others(RwLockReadGuard<'static, ()>),
    Nobody(RwLockWriteGuard<'static, ()>),
}

pub(crate) struct Workspace {
    dir: tempfile::TempDir,
    db: String,
    files: AtomicUsize,
    pub(crate) sql: Connection,
    _company: RunLock,
}

impl Workspace {
    /// Creates a database with the schema and the tests' own table.
    pub(crate) fn new() -> Workspace {
        Workspace::with_lock(RunLock::Others(RUN_LOCK.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// As [`Workspace::new`], while no other test runs.
    pub(crate) fn alone() -> Workspace {
        Workspace::with_lock(RunLock::Nobody(RUN_LOCK.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn with_lock(run_lock: RunLock) -> Workspace {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("jobs.db").to_str().unwrap().to_owned();
        drop(JobQueue::open(&db).unwrap());
        let sql = Connection::open(&db).unwrap();
        sql.busy_timeout(DEADLINE).unwrap();
        // No column is unique: what happens twice has two rows.
        sql.execute_batch(
            "CREATE TABLE effects (job INTEGER, attempt INTEGER, pid INTEGER);
             CREATE INDEX effects_of_a_job ON effects (job)",
        )
        .unwrap();
        Workspace { dir, db, files: AtomicUsize::new(0), sql, _company: run_lock }
    }

    pub(crate) fn db(&self) -> &str {
        &self.db
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log_file(&self) -> String {
        self.path("log_file").to_str().unwrap().to_owned()
    }

    pub(crate) fn fresh_file(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}-{}", self.files.fetch_add(1, Ordering::Relaxed)))
    }

    /// Everything that all processes reported, in order.
    pub(crate) fn read_log(&self) -> Vec<LogLine> {
        std::fs::read_to_string(self.log_file()).unwrap().lines().map(LogLine::parse).collect()
    }

    /// How often each job was started, from the log file.
    pub(crate) fn starts(&self) -> BTreeMap<i64, usize> {
        let mut starts = BTreeMap::new();
        for line in self.read_log().iter().filter(|line| line.is("start")) {
            *starts.entry(line.number(0)).or_default() += 1;
        }
        starts
    }

    pub(crate) fn open_gate(&self, job: i64, attempt: i64) {
        std::fs::write(self.path(&format!("gate-{job}-{attempt}")), "").unwrap();
    }

    /// Stores jobs in one transaction, as a program in any language may.
    pub(crate) fn insert(&self, jobs: &[(&str, &str)]) -> Vec<i64> {
        self.insert_with_retries(jobs, 3)
    }

    /// As [`Workspace::insert`], for jobs without retries.
    pub(crate) fn insert_once(&self, jobs: &[(&str, &str)]) -> Vec<i64> {
        self.insert_with_retries(jobs, 0)
    }

    fn insert_with_retries(&self, jobs: &[(&str, &str)], retries: u32) -> Vec<i64> {
        let tx = self.sql.unchecked_transaction().unwrap();
        let ids = jobs.iter().map(|(task, params)| {
            tx.execute(
                "INSERT INTO qdjobs_jobs (task_name, params, max_retries) VALUES (?1, ?2, ?3)",
                (task, params, retries),
            )
            .unwrap();
            tx.last_insert_rowid()
        });
        let ids = ids.collect();
        tx.commit().unwrap();
        ids
    }

    pub(crate) fn one<T: FromSql>(&self, sql: &str, params: impl Params) -> T {
        self.sql.query_row(sql, params, |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) fn all<T: FromSql>(&self, sql: &str, params: impl Params) -> Vec<T> {
        let mut statement = self.sql.prepare(sql).unwrap();
        let rows = statement.query_map(params, |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Waits until the first value that `sql` returns is `wanted`; returns when that was.
    pub(crate) fn wait<T: FromSql + PartialEq + Debug>(
        &self,
        sql: &str,
        params: impl Params + Clone,
        wanted: T,
    ) -> Instant {
        let until = Instant::now() + DEADLINE;
        loop {
            let found: T = self.one(sql, params.clone());
            if found == wanted {
                return Instant::now();
            }
            if Instant::now() > until {
                panic!("{wanted:?} not within the deadline, found {found:?}: {sql}\n{:#?}", self.table());
            }
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    /// Waits until no job is pending or running.
    pub(crate) fn wait_drained(&self) {
        self.wait("SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')", [], 0);
    }

    /// Holds the write lock while `during` runs, so that no other connection writes.
    pub(crate) fn while_nobody_writes(&self, during: impl FnOnce()) {
        self.sql.execute_batch("BEGIN IMMEDIATE").unwrap();
        during();
        self.sql.execute_batch("COMMIT").unwrap();
    }

    /// Jobs by status: `completed 3, pending 1`.
    pub(crate) fn counts(&self) -> String {
        self.one(
            "SELECT coalesce(group_concat(entry, ', '), '') FROM
                 (SELECT status || ' ' || count(*) AS entry FROM qdjobs_jobs GROUP BY status ORDER BY status)",
            [],
        )
    }

    /// Asserts that the file is sound, and that every job has completed.
    pub(crate) fn assert_all_completed(&self) {
        self.assert_sound();
        let jobs: i64 = self.one("SELECT count(*) FROM qdjobs_jobs", []);
        assert_eq!(self.counts(), format!("completed {jobs}"), "{:#?}", self.table());
    }

    /// Asserts that no page is damaged, no job half-written, and that each counted crash has its attempt row. Each
    /// crash is counted, unless a job has failed by its crashes: that one explains those of others.
    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.one::<String>("PRAGMA integrity_check", []), "ok");
        let wrong: Vec<i64> = self.all(
            "WITH recorded (id, crashes) AS (
                 SELECT id, (SELECT count(*) FROM qdjobs_attempts WHERE job_id = id AND outcome = 'crashed')
                 FROM qdjobs_jobs)
             SELECT id FROM qdjobs_jobs JOIN recorded USING (id)
             WHERE crash_count > crashes OR (crash_count < crashes AND NOT EXISTS (
                 SELECT 1 FROM qdjobs_jobs WHERE status = 'failed' AND error LIKE 'the worker that held this job died or was presumed dead%'))",
            [],
        );
        assert!(wrong.is_empty(), "crashes without an attempt row: {wrong:?}");
        let strange: Vec<i64> = self.all(
            "SELECT id FROM qdjobs_jobs WHERE availability IS NULL OR (status = 'pending') <> (worker_id IS NULL)
                 OR (status IN ('completed', 'failed', 'cancelled')) <> (completed_at IS NOT NULL)",
            [],
        );
        assert!(strange.is_empty(), "half-written jobs: {strange:?}");
    }

    /// Every row of every table of qdjobs.
    pub(crate) fn dump(&self) -> Vec<String> {
        let tables: Vec<String> =
            self.all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'qdjobs%'", []);
        let rows = tables.iter().flat_map(|table| {
            let mut statement = self.sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let row = |row: &Row<'_>| {
                (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>()
            };
            let rows = statement.query_map([], row).unwrap();
            rows.map(|row| format!("{table} {:?}", row.unwrap())).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// The jobs that have not completed, for the message of a failure.
    fn table(&self) -> Vec<String> {
        self.all(
            "SELECT id || ' ' || task_name || ' ' || status || ' attempt ' || attempt || ' worker '
                 || coalesce(worker_id, '-') || ' ' || coalesce(error, '')
             FROM qdjobs_jobs WHERE status <> 'completed' LIMIT 20",
            [],
        )
    }
}

/// Every file in a directory, with its contents.
pub(crate) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), std::fs::read(entry.path()).unwrap())).collect()
}

/// Median and worst, in words.
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn of(mut times: Vec<Duration>) -> Spread {
        times.sort();
        Spread(times)
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub(crate) fn worst(&self) -> Duration {
        *self.0.last().unwrap()
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share) as usize];
        let [median, p95, worst] = [0.5, 0.95, 1.0].map(at);
        write!(f, "median {median:.2?}, p95 {p95:.2?}, worst {worst:.2?} of {}", self.0.len())
    }
}
