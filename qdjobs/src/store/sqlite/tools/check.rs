//! Whether a database file is sound: [`check`], which reads and changes nothing.
//!
//! Leans on rusqlite. Two questions: whether SQLite can read every page, row and index entry of the file; and whether its rows
//! can have been written by this library. What to do about it is not decided here: see [`salvage`](super::salvage()).

use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::model::error::Result;
use crate::store::sqlite::connection::error;
use crate::store::sqlite::refuse_special;
use crate::store::sqlite::writer::checkpointer::log_of;

/// What a [`check`] has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The jobs that could be counted.
    pub jobs: u64,
    /// A sentence for each thing that is wrong, as many as a person may want to read.
    pub problems: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Problems of one kind that are listed.
const LISTED: usize = 20;

/// What cannot be in a file that only this library and plain inserts have written: each with a statement that counts it.
const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "jobs whose defaults were never filled in",
        "SELECT count(*) FROM qdjobs_jobs WHERE availability IS NULL OR queue IS NULL OR priority IS NULL OR max_retries IS NULL \
         OR scheduled_at IS NULL",
    ),
    (
        "pending jobs that a worker seems to hold",
        "SELECT count(*) FROM qdjobs_jobs WHERE status = 'pending' AND worker_id IS NOT NULL",
    ),
    (
        "running jobs that no worker holds",
        "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'
             AND (worker_id IS NULL OR worker_id NOT IN (SELECT id FROM qdjobs_workers))",
    ),
    (
        "jobs that have ended without saying when, or say when and have not",
        "SELECT count(*) FROM qdjobs_jobs
             WHERE (status IN ('completed', 'failed', 'cancelled')) <> (completed_at IS NOT NULL)",
    ),
    (
        "jobs without params",
        "SELECT count(*) FROM qdjobs_jobs WHERE params IS NULL AND id NOT IN (SELECT job_id FROM qdjobs_params)",
    ),
    (
        "attempts of jobs that are not there",
        "SELECT count(*) FROM qdjobs_attempts WHERE job_id NOT IN (SELECT id FROM qdjobs_jobs)",
    ),
    (
        "params of jobs that are not there",
        "SELECT count(*) FROM qdjobs_params WHERE job_id NOT IN (SELECT id FROM qdjobs_jobs)",
    ),
    (
        "attempts with a number that their job has not reached",
        "SELECT count(*) FROM qdjobs_attempts JOIN qdjobs_jobs ON id = job_id
             WHERE qdjobs_attempts.attempt > qdjobs_jobs.attempt",
    ),
    (
        // Those on record may be more: a retry by hand begins to count anew, and keeps the history.
        "jobs with more crashes counted than are on record",
        "SELECT count(*) FROM qdjobs_jobs WHERE crash_count >
             (SELECT count(*) FROM qdjobs_attempts WHERE job_id = id AND outcome = 'crashed')",
    ),
];

/// Looks for damage and for impossible rows in the database at `path`, which may be in use. Nothing in it is changed.
///
/// Reads the whole file: minutes for one of many gigabytes. An error means that nothing could be looked at, since there is no
/// such file, or no database in it.
pub fn check(path: impl AsRef<Path>) -> Result<Findings> {
    check_while(path.as_ref(), || {})
}

/// With something that happens during each look.
fn check_while(path: &Path, mut meanwhile: impl FnMut()) -> Result<Findings> {
    let before = state(path);
    let conn = read_only(path)?;
    let findings = look(&conn, &mut meanwhile);
    drop(conn);
    if before.is_none() || before == state(path) {
        return Ok(findings);
    }
    // Somebody has opened the file meanwhile. Read as one that nobody writes, it may have looked torn: only the log tells what
    // belongs together.
    let conn = ready(Connection::open_with_flags(path, READ_ONLY))?;
    Ok(look(&conn, &mut meanwhile))
}

/// What is not the same any more where a file that had no log has been written; `None` if it has one.
fn state(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let file = std::fs::metadata(path).ok().filter(|_| !log_of(path).exists())?;
    Some((file.len(), file.modified().ok()))
}

/// Each question is one statement, which sees none of what others write meanwhile.
fn look(conn: &Connection, meanwhile: &mut impl FnMut()) -> Findings {
    let mut findings = Findings::default();
    let integrity = lines(conn, &format!("PRAGMA integrity_check({LISTED})"));
    match integrity.map_err(error::before_commit) {
        Ok(lines) => findings.problems.extend(lines.into_iter().filter(|line| line != "ok")),
        Err(error) => findings.problems.push(error.to_string()),
    }
    meanwhile();
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

/// What SQLite finds wrong first in the database at `path`; `None` if it can read every page, row and index entry.
pub(in crate::store::sqlite) fn first_damage(path: &Path) -> Result<Option<String>> {
    let conn = read_only(path)?;
    match lines(&conn, "PRAGMA integrity_check(1)") {
        Ok(lines) => match lines.into_iter().find(|line| line != "ok") {
            Some(line) => unreadable(&line).map_or(Ok(Some(line)), |error| Err(error::before_commit(error))),
            None => Ok(None),
        },
        // A table of the application's own may need functions that only the application has. Nobody can judge that here.
        Err(error) if error::code(&error) == Some(ErrorCode::Unknown) => Ok(None),
        Err(error) => Err(error::before_commit(error)),
    }
}

/// A disk that failed while the file was looked at, which SQLite tells as one of its problems.
fn unreadable(line: &str) -> Option<rusqlite::Error> {
    let (_, code) = line.split_once("unable to get the page. error code=")?;
    let code = ffi::Error::new(code.lines().next()?.trim().parse().ok()?);
    (code.code == ErrorCode::SystemIoFailure).then(|| rusqlite::Error::SqliteFailure(code, None))
}

const READ_ONLY: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A connection that changes no byte of the database or of its log. Where there is no log nobody has the file open, and it is read
/// without leaving anything beside it.
pub(in crate::store::sqlite) fn read_only(path: &Path) -> Result<Connection> {
    refuse_special(path)?;
    let log = log_of(path).exists();
    ready(match path.to_str() {
        Some(name) if !log && path.exists() => {
            let escaped = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{escaped}?immutable=1");
            Connection::open_with_flags(uri, READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
        }
        _ => Connection::open_with_flags(path, READ_ONLY),
    })
}

fn ready(opened: rusqlite::Result<Connection>) -> Result<Connection> {
    let conn = opened.map_err(error::before_commit)?;
    conn.busy_timeout(crate::store::sqlite::SqliteOptions::default().busy_timeout)
        .map_err(error::before_commit)?;
    // Read by the open only now: a file that is no database is told as that.
    count(&conn, "SELECT count(*) FROM sqlite_schema").map_err(error::before_commit)?;
    Ok(conn)
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
    fn a_file_that_is_opened_and_written_during_the_check_is_looked_at_again_with_its_log() {
        let dir = crate::store::sqlite::scratch("check");
        let path = dir.join("jobs.db");
        let open = || open::writer(&path, &SqliteOptions::default()).unwrap();
        // So much that the file grows: two instants of its last change may be the same.
        let insert = |conn: &Connection| {
            let insert = "INSERT INTO qdjobs_jobs (task_name, params) VALUES ('a', json_object('x', hex(zeroblob(9000))))";
            conn.execute(insert, []).unwrap();
        };
        let sound = |jobs| Findings { jobs, problems: vec![] };
        insert(&open());
        assert_eq!(check(&path).unwrap(), sound(1));

        let mut queue = None;
        let found = check_while(&path, || insert(queue.get_or_insert_with(open)));
        assert_eq!(found.unwrap(), sound(3), "looked at twice");
        drop(queue);

        let found = check_while(&path, || insert(&open()));
        assert_eq!(found.unwrap(), sound(5), "opened, and closed again");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
