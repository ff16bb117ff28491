//! Checks a database file without changing it: [`check`].
//!
//! Two questions are answered. Can SQLite read every page, row and index entry of the file? Can the rows have
//! been written by this library?
//!
//! Depends on rusqlite. Nothing that repairs comes in: see [`salvage`](super::salvage::salvage).

use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::model::error::{Error, Result};
use crate::store::sqlite::connection::open::{SqliteOptions, read_first, refuse_special};
use crate::store::sqlite::connection::{error, file_names, immutable, log_mark, system_sqlite};
use crate::store::sqlite::files::names::log_of;

/// The result of a [`check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The number of jobs that could be read.
    pub jobs: u64,
    /// One sentence for each problem. The number of problems is limited.
    pub problems: Vec<String>,
}

impl Findings {
    /// Whether no problem was found.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The most problems that SQLite's integrity check lists.
const PROBLEMS_MAX: usize = 20;

/// Rows that neither this library nor a plain INSERT can write, each with a statement that counts them.
const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "jobs whose availability, queue, priority, max_retries or scheduled_at is NULL",
        "SELECT count(*) FROM qdjobs_jobs WHERE availability IS NULL OR queue IS NULL OR priority IS NULL
             OR max_retries IS NULL OR scheduled_at IS NULL",
    ),
    (
        "pending jobs with a worker",
        "SELECT count(*) FROM qdjobs_jobs WHERE status = 'pending' AND worker_id IS NOT NULL",
    ),
    (
        "running jobs without a registered worker",
        "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'
             AND (worker_id IS NULL OR worker_id NOT IN (SELECT id FROM qdjobs_workers))",
    ),
    (
        "jobs whose status and completed_at contradict each other",
        "SELECT count(*) FROM qdjobs_jobs
             WHERE (status IN ('completed', 'failed', 'cancelled')) <> (completed_at IS NOT NULL)",
    ),
    (
        "jobs without params",
        "SELECT count(*) FROM qdjobs_jobs
             WHERE params IS NULL AND id NOT IN (SELECT job_id FROM qdjobs_params)",
    ),
    (
        "jobs whose params are not a JSON object",
        "SELECT (SELECT count(*) FROM qdjobs_jobs
                 WHERE params IS NOT NULL AND NOT json_valid(params))
              + (SELECT count(*) FROM qdjobs_params WHERE NOT json_valid(params))",
    ),
    (
        "jobs whose metadata is not JSON",
        "SELECT count(*) FROM qdjobs_jobs WHERE metadata IS NOT NULL AND NOT json_valid(metadata)",
    ),
    (
        "attempts of jobs that do not exist",
        "SELECT count(*) FROM qdjobs_attempts WHERE job_id NOT IN (SELECT id FROM qdjobs_jobs)",
    ),
    (
        "params of jobs that do not exist",
        "SELECT count(*) FROM qdjobs_params WHERE job_id NOT IN (SELECT id FROM qdjobs_jobs)",
    ),
    (
        "attempts with a higher number than the attempt of their job",
        "SELECT count(*) FROM qdjobs_attempts JOIN qdjobs_jobs ON id = job_id
             WHERE qdjobs_attempts.attempt > qdjobs_jobs.attempt",
    ),
    (
        // More crashes may be recorded: a retry by hand sets the count to 0 and keeps the history.
        "jobs with a crash_count above their recorded crashes",
        "SELECT count(*) FROM qdjobs_jobs WHERE crash_count >
             (SELECT count(*) FROM qdjobs_attempts WHERE job_id = id AND outcome = 'crashed')",
    ),
];

/// Checks the database at `path` for damage and for impossible rows. The database may be in use, and is not
/// changed.
///
/// Reads the whole file, which takes minutes for many gigabytes. An error means that nothing could be
/// checked, since the file does not exist or is not a database.
pub fn check(path: impl AsRef<Path>) -> Result<Findings> {
    check_while(path.as_ref(), || {})
}

/// As [`check`], and calls `meanwhile` during each pass, for a test.
fn check_while(path: &Path, mut meanwhile: impl FnMut()) -> Result<Findings> {
    if log_mark::is_log_foreign(path) {
        let mut findings = inspect(&ready(path, immutable::without_log(path))?, &mut meanwhile);
        findings.problems.insert(0, first_line(&log_mark::foreign(path)));
        return Ok(findings);
    }
    let second = refuse_second_log(path).err().as_ref().map(first_line);
    let mut findings = inspect_twice_if_used(path, meanwhile)?;
    findings.problems.splice(0..0, second);
    Ok(findings)
}

fn inspect_twice_if_used(path: &Path, mut meanwhile: impl FnMut()) -> Result<Findings> {
    let before = unused_state(path);
    let conn = read_only(path)?;
    let findings = inspect(&conn, &mut meanwhile);
    drop(conn);
    if before.is_none() || before == unused_state(path) {
        return Ok(findings);
    }
    // Another program has opened the file meanwhile. The first pass ignored the log, so it may have read
    // pages of different commits. The second pass reads the log, too.
    let conn = ready(path, Connection::open_with_flags(path, READ_ONLY))?;
    Ok(inspect(&conn, &mut meanwhile))
}

/// The size and time of a file without a log, which change when it is written. `None` if it has a log.
fn unused_state(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let file = std::fs::metadata(path).ok().filter(|_| !log_of(path).exists())?;
    Some((file.len(), file.modified().ok()))
}

/// Each check is one statement, which does not see concurrent writes.
fn inspect(conn: &Connection, meanwhile: &mut impl FnMut()) -> Findings {
    let mut findings = Findings::default();
    let integrity = lines(conn, &format!("PRAGMA integrity_check({PROBLEMS_MAX})"));
    match integrity.map_err(error::before_commit(conn)) {
        Ok(lines) => findings.problems.extend(lines.into_iter().filter(|line| line != "ok")),
        Err(error) => findings.problems.push(first_line(&error)),
    }
    meanwhile();
    if count(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'qdjobs_jobs'") == Ok(0) {
        findings.problems.push("the file has no tables of qdjobs".into());
        return findings;
    }
    for (what, counts) in IMPOSSIBLE {
        match count(conn, counts) {
            Ok(0) => {}
            Ok(many) => findings.problems.push(format!("{many} {what}")),
            Err(error) => findings.problems.push(format!("{what} cannot be counted: {error}")),
        }
    }
    match count(conn, "SELECT count(*) FROM qdjobs_jobs") {
        Ok(jobs) => findings.jobs = jobs,
        Err(error) => findings.problems.push(format!("the jobs cannot be counted: {error}")),
    }
    findings
}

/// The first problem that SQLite finds in the database at `path`; `None` if it can read every page, row and
/// index entry.
pub(in crate::store::sqlite) fn first_damage(path: &Path) -> Result<Option<String>> {
    let conn = read_only(path)?;
    match lines(&conn, "PRAGMA integrity_check(1)") {
        Ok(lines) => match lines.into_iter().find(|line| line != "ok") {
            Some(line) => unreadable(&line).map_or(Ok(Some(line)), |error| Err(error::at(path)(error))),
            None => Ok(None),
        },
        // A table of the application may need SQL functions that only the application registers. It cannot be
        // checked here.
        Err(error) if error::code(&error) == Some(ErrorCode::Unknown) => Ok(None),
        Err(error) => Err(error::at(path)(error)),
    }
}

/// The error of a disk that failed during the check, which SQLite reports as one of its problems.
fn unreadable(line: &str) -> Option<rusqlite::Error> {
    let (_, code) = line.split_once("unable to get the page. error code=")?;
    let code = ffi::Error::new(code.lines().next()?.trim().parse().ok()?);
    (code.code == ErrorCode::SystemIoFailure).then(|| rusqlite::Error::SqliteFailure(code, None))
}

const READ_ONLY: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A connection that changes no byte of the database or of its log. If there is no log, no program has the
/// file open. It is then read without creating any file beside it.
pub(in crate::store::sqlite) fn read_only(path: &Path) -> Result<Connection> {
    refuse_special(path)?;
    let log = log_of(path).exists();
    let opened = if !log && path.exists() {
        immutable::without_log(path)
    } else {
        Connection::open_with_flags(path, READ_ONLY)
    };
    ready(path, opened)
}

/// Refuses a file with a second name that may have a log beside that name. A copy by `JobQueue::backup` has no log,
/// so a backup program may link it.
pub(in crate::store::sqlite) fn refuse_second_log(path: &Path) -> Result<()> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let refused = file_names::refuse_second_name(&real, None);
    if refused.is_ok() {
        return Ok(());
    }
    if may_have_log(path).map_err(error::at(path))? { refused } else { Ok(()) }
}

/// Whether the journal mode of the file is WAL: then SQLite does not read it without locks.
fn may_have_log(path: &Path) -> rusqlite::Result<bool> {
    let read = immutable::without_locks(path).and_then(|conn| read_first(&conn));
    match read.as_ref().err().and_then(error::code) {
        Some(ErrorCode::CannotOpen) => Ok(true),
        _ => read.map(|()| false),
    }
}

fn ready(path: &Path, opened: rusqlite::Result<Connection>) -> Result<Connection> {
    system_sqlite::refuse_old(rusqlite::version_number())?;
    let conn = opened.map_err(error::at(path))?;
    conn.busy_timeout(SqliteOptions::default().busy_timeout).map_err(error::at(path))?;
    read_first(&conn).map_err(error::at(path))?;
    Ok(conn)
}

/// The message of an error, without its help, which is about a write.
fn first_line(error: &Error) -> String {
    error.message().lines().next().unwrap_or_default().to_owned()
}

fn lines(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn count(conn: &Connection, sql: &str) -> rusqlite::Result<u64> {
    conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|many| u64::try_from(many).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{SqliteOptions, open};

    #[test]
    fn a_file_that_is_written_during_the_check_is_checked_again_with_its_log() {
        let dir = crate::store::sqlite::scratch("check");
        let path = dir.join("jobs.db");
        let open = || open::writer(&path, &SqliteOptions::default()).unwrap();
        // Large enough to grow the file, since two changes may have the same modification time.
        let insert = |conn: &Connection| {
            let insert = "INSERT INTO qdjobs_jobs (task_name, params)
                          VALUES ('a', json_object('x', hex(zeroblob(9000))))";
            conn.execute(insert, []).unwrap();
        };
        let sound = |jobs| Findings { jobs, problems: vec![] };
        insert(&open());
        assert_eq!(check(&path).unwrap(), sound(1));

        let mut queue = None;
        let found = check_while(&path, || insert(queue.get_or_insert_with(open)));
        assert_eq!(found.unwrap(), sound(3), "checked twice");
        drop(queue);

        let found = check_while(&path, || insert(&open()));
        assert_eq!(found.unwrap(), sound(5), "opened and closed again during the check");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
