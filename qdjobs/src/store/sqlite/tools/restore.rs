//! Puts a backup into the place of a database: [`restore`].
//!
//! The copy is made and checked in `backup.rs`. The steps that change names are in `swap.rs`. Which log belongs to
//! a file is decided in `connection/log_mark.rs`.
//!
//! Depends on rusqlite, `backup`, `check` and `migrate`, and on the engine for the release of workers.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::swap::{Place, replaced_name};
use super::{backup, check};
use crate::model::clock::Clock;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::WorkerId;
use crate::store::engine::apply_requests::release_all;
use crate::store::sqlite::connection::open::refuse_special;
use crate::store::sqlite::connection::{error, log_mark, migrate};
use crate::store::sqlite::queries;
use crate::store::sqlite::transaction::SqliteTransaction;

/// The result of a [`restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Jobs in the restored database.
    pub jobs: u64,
    /// The new name of the database that was replaced; `None` if there was none.
    pub replaced: Option<PathBuf>,
}

/// Puts the backup at `backup` into the place of the database at `path`, as of one moment: a program finds either
/// the old database or the whole backup. The backup stays as it is.
///
/// Stop every program that uses the database first. If one still has it open, also in this process, the error is
/// of kind [`Busy`](ErrorKind::Busy). The backup is checked. After an error, the database is still in its place,
/// unless the error says that only the sync of the directory has failed.
///
/// The replaced database keeps its jobs under a new name beside it. If it is damaged, or if the log beside it
/// belongs to another file, it is moved away with its log. A damaged database may not be lockable: then make sure
/// yourself that no program uses it.
///
/// Jobs that were enqueued after the backup are not in it, and jobs that ended after it run again. A job that was
/// running is pending, and no crash is counted for it. If the replaced database can be read, no job gets an id
/// that a job of the replaced database had.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("qdjobs-doc-restore-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # let (path, copy) = (dir.join("jobs.db"), dir.join("jobs-2026-11-25.db"));
/// # qdjobs::JobQueue::open(&path)?.backup(&copy)?;
/// let restored = qdjobs::store::sqlite::restore(&copy, &path)?;
/// println!("{} jobs; the old database is {:?}", restored.jobs, restored.replaced);
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), qdjobs::Error>(())
/// ```
pub fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<Restored> {
    let (backup, path) = (backup.as_ref(), path.as_ref());
    refuse_special(backup)?;
    refuse_special(path)?;
    let from = open_backup(backup, path)?;
    let place = Place::lock(path)?;
    let replaced = place.has_database().then(|| replaced_name(place.path()));
    let copy = place.name_for_copy()?;
    let prepared = backup::copy(&from, backup, &copy)
        .and_then(|()| prepare(&copy, place.last_id()))
        .and_then(|jobs| place.give_owner_to(&copy).map(|()| jobs));
    let jobs = match prepared {
        Ok(jobs) => jobs,
        Err(error) => {
            place.give_up(&copy);
            return Err(error);
        }
    };
    place.swap(&copy, replaced.as_deref())?;
    Ok(Restored { jobs, replaced })
}

/// Opens the backup for reading. Refuses what is no backup of a queue.
fn open_backup(backup: &Path, path: &Path) -> Result<Connection> {
    if !backup.is_file() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("there is no backup at `{}`", backup.display()),
        )
        .help("check the path, and that this user may read it: the backup is the file that `JobQueue::backup` has written"));
    }
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(backup) == real(path) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("`{}` is the backup and also the database to be replaced", path.display()),
        )
        .help("give the path of the database as the second argument"));
    }
    log_mark::refuse_foreign_log(backup)?;
    check::refuse_second_log(backup)?;
    let from = check::read_only(backup)?;
    migrate::check_schema(&from)?;
    if migrate::schema_version(&from)? == 0 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("`{}` has no tables of qdjobs, so it is no backup of a queue", backup.display()),
        )
        .help("check the path: the backup is the file that `JobQueue::backup` has written"));
    }
    Ok(from)
}

/// Makes a copy fit for its new place: no worker of the old place runs any more, and ids go on after `last_id`.
/// Returns the number of jobs.
fn prepare(copy: &Path, last_id: i64) -> Result<u64> {
    let conn = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(error::copying_to(copy))?;
    migrate::migrate(&conn)?;
    error::begin_immediate(&conn)?;
    let workers: Vec<WorkerId> = queries::workers::workers(&conn)
        .map_err(error::copying_to(copy))?
        .iter()
        .map(|worker| worker.id)
        .collect();
    release_all(&mut SqliteTransaction::on(&conn, Clock::system().now()), &workers)?;
    let done = continue_ids(&conn, last_id)
        .and_then(|()| conn.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get::<_, i64>(0)))
        .and_then(|jobs| conn.execute_batch("COMMIT").map(|()| jobs));
    let jobs = done.map_err(error::copying_to(copy))?;
    conn.close().map_err(|(_, error)| error::copying_to(copy)(error))?;
    Ok(u64::try_from(jobs).unwrap_or(0))
}

/// SQLite has the row only once a job was stored.
fn continue_ids(conn: &Connection, last_id: i64) -> rusqlite::Result<()> {
    let raise = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'qdjobs_jobs'";
    if conn.execute(raise, [last_id])? == 0 && last_id > 0 {
        conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('qdjobs_jobs', ?1)", [last_id])?;
    }
    Ok(())
}
