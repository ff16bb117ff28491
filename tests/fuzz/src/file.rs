//! A database file that has been changed: bytes of it, rows of it, its schema, its log.
//!
//! It is opened or refused, and nothing panics and nothing hangs. A refused file stays unchanged, byte for
//! byte. An opened one answers every question with an answer or an error, and a worker on it starts and
//! stops.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use qdjobs::prelude::*;
use qdjobs::rusqlite::Connection;
use qdjobs::rusqlite::config::DbConfig;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{ClaimRequest, Filter, FinishedJob, JobCommand, Pending, Store, TaskSet, WorkerInfo};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{Clock, Durability, ErrorKind, JobId, Timestamp, WorkerId};

use crate::panics;
use crate::text::is_readable;
use crate::workflow::scratch;

#[task("fuzz.file", retries = 0)]
fn in_file(n: i64) -> i64 {
    n
}

/// How long a worker runs on a file.
const RUN_TIME: Duration = Duration::from_millis(20);

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// A sound database, as bytes.
struct Image {
    file: Vec<u8>,
    /// The same, with everything still in its log.
    fresh: Vec<u8>,
    log: Vec<u8>,
    /// Where something is written: most of a page is empty.
    written: Vec<usize>,
}

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    panics::install_hook();
    let dir = scratch();
    let path = dir.path().join("jobs.db");
    let store = SqliteStore::open(&path, relaxed(), Clock::manual(START)).unwrap();
    fill(&*store);
    let (fresh, log) = (std::fs::read(&path).unwrap(), std::fs::read(beside(&path, "-wal")).unwrap());
    store.close();
    let file = std::fs::read(&path).unwrap();
    let written = (0..file.len()).filter(|at| file[*at] != 0).collect();
    Image { file, fresh, log, written }
});

fn relaxed() -> SqliteOptions {
    let mut options = SqliteOptions::default();
    options.durability = Durability::Relaxed;
    options.busy_timeout = Duration::from_millis(100);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A job in each status, with some history.
fn fill(store: &dyn Store) {
    let worker = WorkerId(7);
    let jobs = (0..12).map(|n| NewJob::new("fuzz.file", format!(r#"{{"n":{n}}}"#)));
    let ids = store.insert(jobs.collect()).wait().unwrap();
    let mut later = NewJob::new("fuzz.file", r#"{"n":99}"#);
    (later.run_at, later.name) = (RunAt::After(Duration::from_secs(1)), Some("later".into()));
    later.metadata = Some(r#"{"a":1}"#.into());
    later.idempotency_key = Some("later".into());
    let large = NewJob::new("fuzz.file", format!(r#"{{"n":100,"m":"{}"}}"#, "x".repeat(5_000)));
    store.insert(vec![later, large]).wait().unwrap();
    store.register_worker(WorkerInfo::new(worker, "host", 1)).wait().unwrap();
    let claim = |done: Vec<FinishedJob>, limit: usize| {
        let tasks = Arc::new(TaskSet::new(["fuzz.file"]));
        store
            .claim(ClaimRequest { worker, finished: Arc::new(done), limit, tasks, queues: None, wait: false })
            .wait()
            .unwrap()
            .claimed
    };
    let held = claim(vec![], 6);
    let verdicts = [
        Verdict::Complete { result: "1".into() },
        Verdict::Fail { error: "broken".into() },
        Verdict::Cancel { reason: "unwanted".into() },
        Verdict::Retry { wait: Duration::from_secs(1), error: "boom".into() },
        Verdict::Release { wait: Duration::ZERO, started: true },
    ];
    let done = held.iter().zip(verdicts).map(|(job, verdict)| FinishedJob {
        claim: job.claim,
        ticket: job.ticket,
        began_after: Duration::ZERO,
        verdict,
    });
    claim(done.collect(), 0);
    store.command(JobCommand::Cancel(ids[11])).wait().unwrap();
}

/// Reads the bytes as changes of a sound file, or as a file.
pub fn file(bytes: &[u8]) {
    let dir = scratch();
    let path = dir.path().join("jobs.db");
    let mut bytes = Unstructured::new(bytes);
    if write_files(&path, &mut bytes).is_err() {
        return;
    }
    // An empty log, which opening alone may leave, counts as none.
    let read = |suffix| std::fs::read(beside(&path, suffix)).ok().filter(|bytes| !bytes.is_empty());
    let files = || ["", "-wal", "-journal"].map(read);
    let before = files();
    match SqliteStore::open(&path, relaxed(), Clock::system()) {
        Ok(store) => {
            read_everything(&*store);
            work(store);
        }
        Err(error) => {
            is_readable(&error.to_string());
            assert!(error.suggestion().is_some() && error.kind() != ErrorKind::Indeterminate, "{error}");
            let same: Vec<bool> =
                before.iter().zip(files()).map(|(before, after)| *before == after).collect();
            assert_eq!(same, [true; 3], "refused, but changed (the file, its log, its journal): {error}");
        }
    }
    panics::assert_none();
}

/// Reads everything; every question must get an answer or an error.
fn read_everything(store: &dyn Store) {
    let mut filter = Filter::default();
    filter.limit = Some(3);
    let mut pages = 0;
    loop {
        match read(store.list(filter.clone())) {
            Some(page) if page.next.is_some() => {
                for job in &page.jobs {
                    read(store.attempts(job.id));
                    // Whatever its contents, it can be serialized.
                    serde_json::to_string(job).unwrap();
                }
                filter.after = page.next;
            }
            _ => break,
        }
        pages += 1;
        assert!(pages < 1_000, "the list has too many pages");
    }
    read(store.counts());
    read(store.workers());
    read(store.get(JobId(1)));
}

/// The answer of a read, or `None` for an error, which has to be readable.
fn read<T>(answer: Pending<T>) -> Option<T> {
    let answer = answer.wait_timeout(DEADLINE);
    match answer.unwrap_or_else(|_| panic!("no answer within {DEADLINE:?}")) {
        Ok(answer) => Some(answer),
        Err(error) => {
            is_readable(&error.to_string());
            None
        }
    }
}

/// A worker starts, does what it can, and stops.
fn work(store: Arc<SqliteStore>) {
    let queue = JobQueue::with_store(store.clone());
    let started =
        Worker::new(&queue).task::<InFile>().concurrency(1).shutdown_timeout(Duration::ZERO).start();
    if let Ok(job) = InFile::new(5).enqueue(&queue) {
        // Whether the job runs depends on what is broken.
        let _ = store.wait_for(job.id()).wait_timeout(RUN_TIME);
    }
    if let Ok(worker) = started {
        // A write that fails is an error here, never a panic.
        let _ = worker.stop();
    }
    for id in (1..=14).map(JobId) {
        for command in [JobCommand::Retry(id), JobCommand::Cancel(id), JobCommand::Delete(id)] {
            let _ = store.command(command).wait();
        }
    }
    read_everything(&*store);
    queue.counts().map(|counts| counts.total()).unwrap_or_default();
}

// ---- From bytes to files

type Generated<T> = arbitrary::Result<T>;

fn write_files(path: &Path, bytes: &mut Unstructured<'_>) -> Generated<()> {
    match bytes.int_in_range(0..=9)? {
        // A file of another program.
        0 => std::fs::write(path, bytes.bytes(bytes.len())?).unwrap(),
        // Changed rows or a changed schema, as in a database shell.
        1..=3 => {
            std::fs::write(path, &IMAGE.file).unwrap();
            change_by_sql(path, bytes)?;
        }
        // A changed log, as after a crash.
        4 => {
            std::fs::write(path, &IMAGE.fresh).unwrap();
            let mut log = IMAGE.log.clone();
            let written: Vec<usize> = (0..log.len()).collect();
            change(&mut log, &written, bytes)?;
            std::fs::write(beside(path, "-wal"), log).unwrap();
        }
        // Changed bytes, as by a failing disk.
        _ => {
            let mut file = IMAGE.file.clone();
            change(&mut file, &IMAGE.written, bytes)?;
            std::fs::write(path, file).unwrap();
        }
    }
    Ok(())
}

fn change(file: &mut Vec<u8>, written: &[usize], bytes: &mut Unstructured<'_>) -> Generated<()> {
    const PAGE: usize = 4096;
    for _ in 0..bytes.int_in_range(1..=8)? {
        let pages = file.len() / PAGE;
        if pages == 0 {
            return Ok(());
        }
        match bytes.int_in_range(0..=7)? {
            0 => file.truncate(usize::from(u16::arbitrary(bytes)?) * 16 % file.len()),
            1 => {
                let (from, to) = (bytes.choose_index(pages)? * PAGE, bytes.choose_index(pages)? * PAGE);
                file.copy_within(from..from + PAGE, to);
            }
            2 => {
                let page = bytes.choose_index(pages)? * PAGE;
                file[page..page + PAGE].fill(u8::arbitrary(bytes)?);
            }
            // The head of a page holds its kind and the positions of its cells.
            3 => {
                let at = bytes.choose_index(pages)? * PAGE + bytes.int_in_range(0..=120)?;
                file[at] = u8::arbitrary(bytes)?;
            }
            _ => {
                let at = written[bytes.choose_index(written.len())?];
                if at < file.len() {
                    file[at] = u8::arbitrary(bytes)?;
                }
            }
        }
    }
    Ok(())
}

/// Changes that the library never makes.
fn change_by_sql(path: &Path, bytes: &mut Unstructured<'_>) -> Generated<()> {
    const OBJECTS: [(&str, &str); 15] = [
        ("INDEX", "qdjobs_ready"),
        ("INDEX", "qdjobs_scheduled"),
        ("INDEX", "qdjobs_running"),
        ("INDEX", "qdjobs_failed"),
        ("INDEX", "qdjobs_cancelled"),
        ("TRIGGER", "qdjobs_jobs_defaults"),
        ("TRIGGER", "qdjobs_jobs_deleted"),
        ("TABLE", "qdjobs_jobs"),
        ("TABLE", "qdjobs_tasks"),
        ("TABLE", "qdjobs_attempts"),
        ("TABLE", "qdjobs_workers"),
        ("TABLE", "qdjobs_meta"),
        ("TABLE", "qdjobs_params"),
        ("INDEX", "qdjobs_idempotency_key"),
        ("VIEW", "qdjobs_view"),
    ];
    const COLUMNS: [(&str, &str); 29] = [
        ("qdjobs_jobs", "task_name"),
        ("qdjobs_jobs", "name"),
        ("qdjobs_jobs", "params"),
        ("qdjobs_jobs", "queue"),
        ("qdjobs_jobs", "priority"),
        ("qdjobs_jobs", "status"),
        ("qdjobs_jobs", "attempt"),
        ("qdjobs_jobs", "retry_count"),
        ("qdjobs_jobs", "max_retries"),
        ("qdjobs_jobs", "crash_count"),
        ("qdjobs_jobs", "scheduled_at"),
        ("qdjobs_jobs", "created_at"),
        ("qdjobs_jobs", "started_at"),
        ("qdjobs_jobs", "completed_at"),
        ("qdjobs_jobs", "worker_id"),
        ("qdjobs_jobs", "result"),
        ("qdjobs_jobs", "error"),
        ("qdjobs_jobs", "progress"),
        ("qdjobs_jobs", "availability"),
        ("qdjobs_jobs", "id"),
        ("qdjobs_jobs", "idempotency_key"),
        ("qdjobs_params", "params"),
        ("qdjobs_params", "job_id"),
        ("qdjobs_attempts", "outcome"),
        ("qdjobs_attempts", "attempt"),
        ("qdjobs_workers", "heartbeats"),
        ("qdjobs_workers", "wake_socket"),
        ("qdjobs_meta", "version"),
        ("qdjobs_meta", "min_writer"),
    ];
    let conn = Connection::open(path).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
    // A statement that SQLite refuses changes nothing.
    let run = |sql: &str| drop(conn.execute_batch(sql));
    for _ in 0..bytes.int_in_range(1..=4)? {
        match bytes.int_in_range(0..=6)? {
            0 => {
                let (kind, name) = bytes.choose(&OBJECTS)?;
                run(&format!("DROP {kind} IF EXISTS {name}"));
            }
            1 => {
                let (_, name) = bytes.choose(&OBJECTS)?;
                let other = bytes.choose(&["(a)", "(id INTEGER PRIMARY KEY, version, min_writer)"])?;
                run(&format!("CREATE TABLE IF NOT EXISTS {name} {other}"));
            }
            2 => run(bytes.choose(&[
                "PRAGMA journal_mode = DELETE",
                "PRAGMA user_version = 7; PRAGMA application_id = 9",
                "DELETE FROM qdjobs_meta",
                "DELETE FROM qdjobs_workers",
                "ALTER TABLE qdjobs_jobs ADD COLUMN later TEXT",
                "ALTER TABLE qdjobs_jobs DROP COLUMN metadata",
                "CREATE VIEW qdjobs_view AS SELECT * FROM qdjobs_jobs",
                "CREATE TRIGGER refuses BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT RAISE(ABORT, 'no'); END",
                "CREATE TRIGGER stops BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
                "CREATE TRIGGER ignores BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT RAISE(IGNORE); END",
                "CREATE TRIGGER forgets AFTER INSERT ON qdjobs_jobs BEGIN DELETE FROM qdjobs_jobs WHERE id = NEW.id; END",
                "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'qdjobs_ready'",
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'qdjobs_jobs'",
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'qdjobs_ready'",
            ])?),
            _ => {
                let (table, column) = bytes.choose(&COLUMNS)?;
                let value = value(bytes)?;
                let row = bytes.int_in_range(0..=14)?;
                let which = if row == 0 { String::new() } else { format!("WHERE rowid = {row}") };
                let sql = format!("UPDATE OR REPLACE {table} SET {column} = {value} {which}");
                run(&sql);
            }
        }
    }
    Ok(())
}

fn value(bytes: &mut Unstructured<'_>) -> Generated<String> {
    Ok(match bytes.int_in_range(0..=5)? {
        0 => "NULL".into(),
        1 => i64::arbitrary(bytes)?.to_string(),
        2 => i8::arbitrary(bytes)?.to_string(),
        3 => format!("'{}'", String::arbitrary(bytes)?.replace('\'', "''").replace('\0', "")),
        4 => (*bytes.choose(&[
            "'pending'",
            "'running'",
            "'completed'",
            "'{}'",
            "'{\"n\":\"x\"}'",
            "''",
            "1e999",
            "-0.0",
            "zeroblob(9)",
            "CAST(x'ff00fe' AS TEXT)",
            "char(0, 27, 10)",
            "replace(zeroblob(2000000), char(0), 'x')",
        ])?)
        .into(),
        _ => "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000".into(),
    })
}
