//! Decides what each result code of SQLite means for a caller, and which codes are fatal, so that the store
//! halts.
//!
//! Does not halt the store: `writer/mod.rs` does when [`is_fatal`] says so. When the writer tries again after
//! other errors is decided in `writer/recovery.rs`. Also retries a step that meets a lock: [`BusyRetry`].
//!
//! Depends on rusqlite. No statement except BEGIN comes in.
//!
//! Two questions are answered for each error, and neither by guessing:
//!
//! - **Is it certain that nothing was stored?** Before the commit it is: recovery ignores log frames without
//!   a commit record. For an error in the commit, see [`in_commit`].
//! - **Can the store continue?** See [`is_fatal`].

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};

use crate::model::error::{Error, ErrorKind};

/// The primary result code, if the error comes from SQLite itself.
pub(in crate::store::sqlite) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// The extended result code; 0 if the error does not come from SQLite itself.
fn extended(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(0, |error| error.extended_code)
}

/// Whether the store must halt after this error.
///
/// After a failed sync, the operating system marks the pages as clean although they never reached the disk.
/// The next sync has nothing to do and succeeds. Later commits would then be reported as durable although the
/// log before them has a hole. Recovery after a power loss ends at the hole. Repeating the sync proves
/// nothing. Opening the file again proves nothing either, since the same pages are read from the page cache.
/// So the store promises nothing more, and an operator has to check the disk.
///
/// A damaged file is not written to. The rows to change would be selected by reads that return wrong data.
pub(in crate::store::sqlite) fn is_fatal(error: &rusqlite::Error) -> bool {
    match code(error) {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        Some(ErrorCode::SystemIoFailure) => matches!(
            extended(error),
            ffi::SQLITE_IOERR_FSYNC
                | ffi::SQLITE_IOERR_DIR_FSYNC
                | ffi::SQLITE_IOERR_DATA
                | ffi::SQLITE_IOERR_CORRUPTFS
        ),
        _ => false,
    }
}

/// Whether the error of a copy is about the file that is written. Otherwise it is about the database that is read.
pub(in crate::store::sqlite) fn concerns_the_copy(error: &rusqlite::Error) -> bool {
    let writes = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_FSTAT,
        ffi::SQLITE_IOERR_DELETE,
        ffi::SQLITE_IOERR_CLOSE,
    ];
    match code(error) {
        Some(ErrorCode::DiskFull) => true,
        _ => writes.contains(&extended(error)),
    }
}

/// Whether the disk is full. An error while the shared memory grows counts, too, because that memory is a
/// file beside the database.
fn is_full(error: &rusqlite::Error) -> bool {
    code(error) == Some(ErrorCode::DiskFull) || extended(error) == ffi::SQLITE_IOERR_SHMSIZE
}

/// The error of a statement before the commit on this connection. Nothing of the transaction is stored.
pub(in crate::store::sqlite) fn before_commit(conn: &Connection) -> impl Fn(rusqlite::Error) -> Error {
    |error| not_stored(error).in_database(path(conn))
}

/// The error of a step on the database at `path`, before the commit.
pub(in crate::store::sqlite) fn at(path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    |error| not_stored(error).in_database(Some(&path.to_string_lossy()))
}

/// The path of the database, for an error. A temporary database has none.
pub(in crate::store::sqlite) fn path(conn: &Connection) -> Option<&str> {
    conn.path().filter(|path| !path.is_empty())
}

fn not_stored(error: rusqlite::Error) -> Error {
    let fatal = is_fatal(&error);
    let (kind, message, help): (_, String, &'static str) = match code(&error) {
        _ if extended(&error) == ffi::SQLITE_BUSY_SNAPSHOT => return deferred().caused_by(error),
        Some(ErrorCode::DatabaseBusy) if error.to_string().contains("SQL statements in progress") => (
            ErrorKind::Busy,
            "a writing statement of this connection has not ended, for example an INSERT .. RETURNING whose rows are \
             still being read; nothing was stored"
                .into(),
            "read all rows of that statement first, then enqueue or complete the job",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return busy(),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::ReadOnly,
            "the database is not writable; nothing was stored".into(),
            "check the owner and mode of the file and of its directory, and whether the disk is mounted read-only; a \
             connection of your own must not be read-only (`SQLITE_OPEN_READ_ONLY`, `PRAGMA query_only`)",
        ),
        _ if is_full(&error) => return storage_full().caused_by(error),
        Some(ErrorCode::DatabaseCorrupt) if error.to_string().contains(UNCLAIMABLE) => (
            ErrorKind::Corrupt,
            UNCLAIMABLE.into(),
            "look for a trigger with RAISE(IGNORE) on qdjobs_jobs, and remove it; if there is none, call `check` on \
             the file",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            ErrorKind::Corrupt,
            format!("the file is damaged, or is not a SQLite database: {error}"),
            DAMAGED_HELP,
        ),
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Storage,
            // The text of the error ends with the path, which is added in front.
            format!("the database cannot be opened: {}", ffi::code_to_str(extended(&error))),
            "check that the file and its directory exist, that this user may write in the directory, where SQLite \
             creates two more files, and that the process has not reached its limit of open files",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Storage,
            format!("a file operation on the database failed: {error} ({}); nothing was stored", extended(&error)),
            "check the disk, its quota and the system log; a database on a shared file system belongs on a local disk",
        ),
        Some(ErrorCode::ConstraintViolation) => (
            ErrorKind::InvalidInput,
            format!("a constraint or a trigger of the database refuses the write: {error}; nothing was stored"),
            "if the values are yours, change them: the name of a constraint states its rule; otherwise look for \
             triggers, indexes and foreign keys of your own on the tables of qdjobs",
        ),
        _ if error.to_string().contains("no such table: qdjobs_") => (
            ErrorKind::Config,
            "this database has no tables of qdjobs".into(),
            "check that this connection has the file open that `JobQueue::location()` names; in a new file, \
             `JobQueue::open` creates the tables",
        ),
        _ => (
            ErrorKind::Storage,
            format!("SQLite failed: {}", first_line(&error)),
            "retry; if the error persists, report it with this text",
        ),
    };
    Error::new(kind, message).help(help).caused_by(error).fatal(fatal)
}

/// What to do about a damaged file.
pub(in crate::store::sqlite) const DAMAGED_HELP: &str = "nothing was changed or deleted. If the path is wrong, correct it. If the text says `malformed database schema`, link \
     a newer SQLite. Otherwise stop every program that uses the file, copy its files to another disk, and restore a \
     backup or call `salvage`";

/// The text for a claim whose statement changes other rows than were read.
pub(in crate::store::sqlite) const UNCLAIMABLE: &str = "jobs that are ready cannot be claimed: a trigger of this database ignores the change, or an index does not match \
     its table";

/// The message of SQLite without the statement, which rusqlite adds on further lines.
fn first_line(error: &rusqlite::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_suffix(" in ").unwrap_or(line).to_owned()
}

/// The error of writing a copy of a database to `to`.
pub(in crate::store::sqlite) fn copying_to(to: &Path) -> impl Fn(rusqlite::Error) -> Error {
    |error| {
        let message = format!("`{}` cannot be written: {}", to.display(), first_line(&error));
        let plain = not_stored(error);
        Error::new(plain.kind(), message)
            .help("check that its disk works and has room, then call this again; no partial copy is left")
            .caused_by(plain)
    }
}

/// The error of a checkpoint on this connection. The jobs in the log are stored; after a failed sync, that is no
/// longer certain.
pub(in crate::store::sqlite) fn in_checkpoint(conn: &Connection) -> impl Fn(rusqlite::Error) -> Error {
    |error| {
        let plain = not_stored(error);
        let why = plain.message().trim_end_matches("; nothing was stored");
        let known = if plain.is_fatal() { "" } else { "; the jobs in the log are stored" };
        let help = match plain.kind() {
            ErrorKind::Corrupt => {
                "stop every program that uses the file, copy its files to another disk, and restore a backup or call \
                 `salvage`"
            }
            _ => "check the disk, its free space and the system log",
        };
        let message = format!("the write-ahead log cannot be written back into the database: {why}{known}");
        Error::new(plain.kind(), message)
            .in_database(path(conn))
            .help(help)
            .fatal(plain.is_fatal())
            .caused_by(plain)
    }
}

/// The disk of this connection's database is full.
pub(in crate::store::sqlite) fn disk_full(conn: &Connection) -> Error {
    storage_full().in_database(path(conn))
}

fn storage_full() -> Error {
    Error::new(ErrorKind::StorageFull, "the disk of the database is full; nothing was stored").help(
        "free at least twice the disk reserve (16 MiB by default); the queue then resumes automatically",
    )
}

/// The error of a commit on this connection, or of a statement that is its own transaction.
pub(in crate::store::sqlite) fn in_commit(conn: &Connection) -> impl Fn(rusqlite::Error) -> Error {
    |error| perhaps_stored(error, !conn.is_autocommit()).in_database(path(conn))
}

/// The error of the release of a savepoint that is a transaction of its own. SQLite does not tell whether the
/// transaction is over: it keeps the empty savepoint.
pub(in crate::store::sqlite) fn in_release(conn: &Connection) -> impl Fn(rusqlite::Error) -> Error {
    |error| perhaps_stored(error, false).in_database(path(conn))
}

/// An error in the commit. `is_open` states whether the transaction is still open.
///
/// If SQLite fails before it writes, it leaves the transaction open: a lock, a deferred constraint. Nothing
/// is stored then.
///
/// A full disk is certain too. It is found while the frames are written; the commit record is the last of
/// them, and recovery ignores a truncated one.
///
/// Any other error of the disk, or of memory allocation, may occur when the complete record is already in the
/// log. That can be in the sync, or after it, when the index of the log has to grow. A later recovery would
/// find the record, so the outcome is unknown.
///
/// All other errors belong to a statement before the commit.
fn perhaps_stored(error: rusqlite::Error, is_open: bool) -> Error {
    let is_indeterminate = matches!(
        code(&error),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::InternalMalfunction
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    );
    if is_open || !is_indeterminate {
        return not_stored(error);
    }
    let fatal = is_fatal(&error);
    let message = format!("the commit failed: {error}; the write may or may not be stored");
    let help = if fatal {
        "check the disk and the system log, and restart the program; then repeat a call that has an idempotency key, and \
         check first whether any other write is stored"
    } else {
        "repeat a call that has an idempotency key; otherwise check first whether the write is stored. Check the disk \
         and the system log"
    };
    Error::new(ErrorKind::Indeterminate, message).help(help).caused_by(error).fatal(fatal)
}

/// The answer to every request after the error that halted the store.
pub(in crate::store::sqlite) fn halted(first: &Error) -> Error {
    if first.kind() == ErrorKind::StoreHalted {
        return first.repeat();
    }
    let reason = first.message().lines().next().unwrap_or_default();
    // The help about an unconfirmed commit is for its callers.
    let advice = first.suggestion().filter(|_| !first.may_be_stored());
    let advice = advice.unwrap_or("check the disk and the system log first");
    Error::new(ErrorKind::StoreHalted, format!("the store has halted: an earlier operation failed: {reason}"))
        .in_database(first.database())
        .help(format!(
            "this call has stored nothing, and nothing more is written until you restart the program: {advice}"
        ))
}

/// The writer thread panicked inside a transaction.
pub(in crate::store::sqlite) fn panicked(conn: &Connection) -> Error {
    Error::new(ErrorKind::Storage, "a write to the database panicked")
        .in_database(path(conn))
        .help("restart the program, and report the message of the panic")
}

fn busy() -> Error {
    Error::new(
        ErrorKind::Busy,
        "another connection held a lock of the database for longer than the busy timeout; nothing was stored",
    )
    .help(
        "inside your own transaction use `enqueue(&tx)`; otherwise find the program that keeps a transaction open, or \
         raise the busy timeout",
    )
}

/// A caller's own transaction needs the write lock and cannot get it. One that began with IMMEDIATE has it.
///
/// If the transaction has read before, SQLite refuses at once, whatever the busy timeout is: another connection
/// writes now, or has committed since that read (`SQLITE_BUSY_SNAPSHOT`).
pub(in crate::store::sqlite) fn begun_deferred(conn: &Connection) -> Error {
    deferred().in_database(path(conn))
}

fn deferred() -> Error {
    Error::new(
        ErrorKind::Busy,
        "this transaction did not begin with IMMEDIATE, and cannot get the database's write lock: another \
         connection writes, or has written since the first read of this transaction; nothing was stored",
    )
    .help(
        "begin the transaction with IMMEDIATE (SQL: `BEGIN IMMEDIATE`, rusqlite: \
         `TransactionBehavior::Immediate`), and repeat it from its beginning",
    )
}

/// BEGIN IMMEDIATE takes the write lock first, so that no later statement can fail for lack of it. Makes one
/// attempt.
pub(in crate::store::sqlite) fn begin_immediate(conn: &Connection) -> crate::Result<()> {
    let begun = conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
    begun.map(drop).map_err(before_commit(conn))
}

/// Waits for a lock by repeating a step. The limit is in real time, also under a manual clock: the lock
/// belongs to another connection, which a manual clock does not control.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct BusyRetry {
    limit: Duration,
}

impl BusyRetry {
    pub(in crate::store::sqlite) fn new(limit: Duration) -> BusyRetry {
        BusyRetry { limit }
    }

    /// Repeats `step` until it does not fail with a lock error, or until the limit. SQLite's own busy timeout
    /// does not cover every step that can find a lock: switching to WAL fails at once. It also sleeps far
    /// longer than a group commit takes.
    #[expect(clippy::disallowed_methods, reason = "waits for another connection, in real time")]
    pub(in crate::store::sqlite) fn retry<T>(
        &self,
        mut step: impl FnMut() -> crate::Result<T>,
    ) -> crate::Result<T> {
        let start = Instant::now();
        let mut sleep = SLEEP_MIN;
        loop {
            let answer = step();
            let left = self.limit.saturating_sub(start.elapsed());
            match answer {
                Err(error) if error.kind() == ErrorKind::Busy && !left.is_zero() => {
                    std::thread::sleep(sleep.min(left));
                    sleep = longer_sleep(sleep, start.elapsed());
                }
                answer => return answer,
            }
        }
    }
}

const SLEEP_MIN: Duration = Duration::from_micros(50);

/// The sleep after one of `sleep`, when a lock has been waited for since `waited`: short while the other
/// connection is probably in a commit, longer afterwards.
fn longer_sleep(sleep: Duration, waited: Duration) -> Duration {
    let longest = if waited < Duration::from_millis(50) { 250 } else { 2_000 };
    sleep.saturating_mul(2).min(Duration::from_micros(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(extended_code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None)
    }

    #[test]
    fn the_sleeps_while_a_lock_is_held_grow_to_a_quarter_and_later_to_two_milliseconds() {
        let ms = Duration::from_millis;
        let sleeps = |waited| {
            let first = std::iter::successors(Some(SLEEP_MIN), |sleep| Some(longer_sleep(*sleep, waited)));
            first.take(4).map(|sleep| sleep.as_micros()).collect::<Vec<_>>()
        };
        assert_eq!(sleeps(ms(0)), [50, 100, 200, 250]);
        assert_eq!(sleeps(ms(49)), [50, 100, 200, 250]);
        assert_eq!(sleeps(ms(50)), [50, 100, 200, 400]);
        assert_eq!(longer_sleep(ms(2), ms(50)), ms(2));
    }

    #[test]
    fn a_full_disk_is_reported_as_one_wherever_sqlite_meets_it() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            let error = not_stored(sqlite(code));
            assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::StorageFull, false), "{error}");
        }
        let error = not_stored(sqlite(ffi::SQLITE_IOERR_WRITE));
        assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::Storage, false), "{error}");
    }

    #[test]
    fn each_cause_before_the_commit_has_its_kind_and_text() {
        for (code, kind, text) in [
            (ffi::SQLITE_BUSY, ErrorKind::Busy, "held a lock of the database"),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Busy, "begin the transaction with IMMEDIATE"),
            (ffi::SQLITE_READONLY_DIRECTORY, ErrorKind::ReadOnly, "not writable"),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt, "is damaged, or is not a SQLite database"),
            (ffi::SQLITE_CANTOPEN_ISDIR, ErrorKind::Storage, "cannot be opened"),
            (ffi::SQLITE_IOERR_READ, ErrorKind::Storage, "a file operation on the database failed"),
            (ffi::SQLITE_CONSTRAINT_CHECK, ErrorKind::InvalidInput, "a constraint or a trigger"),
            (ffi::SQLITE_TOOBIG, ErrorKind::Storage, "SQLite failed"),
        ] {
            let error = not_stored(sqlite(code));
            assert_eq!(error.kind(), kind, "{code}: {error}");
            assert!(error.to_string().contains(text), "{code}: {error}");
        }
        let elsewhere = Connection::open_in_memory().unwrap();
        let error = before_commit(&elsewhere)(elsewhere.execute("DELETE FROM qdjobs_jobs", []).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }

    #[test]
    fn the_error_of_a_checkpoint_does_not_say_that_nothing_was_stored() {
        let conn = Connection::open_in_memory().unwrap();
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CORRUPT]
        {
            let (plain, error) = (not_stored(sqlite(code)), in_checkpoint(&conn)(sqlite(code)));
            assert_eq!((error.kind(), error.is_fatal()), (plain.kind(), plain.is_fatal()), "{error}");
            assert!(!error.to_string().contains("nothing was stored"), "{error}");
            let is_stored = error.to_string().contains("the jobs in the log are stored");
            assert_eq!(is_stored, !error.is_fatal(), "{error}");
        }
    }

    #[test]
    fn an_error_of_a_copy_is_about_the_file_that_failed() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC] {
            assert!(concerns_the_copy(&sqlite(code)), "{code}");
        }
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_CORRUPT,
        ] {
            assert!(!concerns_the_copy(&sqlite(code)), "{code}");
        }
        let error = copying_to(Path::new("copy.db"))(sqlite(ffi::SQLITE_FULL));
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert!(error.to_string().starts_with("`copy.db` cannot be written: "), "{error}");
    }

    #[test]
    fn an_error_in_the_commit_is_unconfirmed_only_if_it_may_come_after_the_commit_record() {
        let (open, closed) = (true, false);
        for (code, is_open, kind) in [
            (ffi::SQLITE_IOERR_WRITE, closed, ErrorKind::Indeterminate),
            (ffi::SQLITE_NOMEM, closed, ErrorKind::Indeterminate),
            (ffi::SQLITE_CORRUPT, closed, ErrorKind::Indeterminate),
            // SQLite leaves the transaction open if it fails before it writes.
            (ffi::SQLITE_IOERR_WRITE, open, ErrorKind::Storage),
            (ffi::SQLITE_BUSY, open, ErrorKind::Busy),
            // A rollback by SQLite itself, before the commit.
            (ffi::SQLITE_FULL, closed, ErrorKind::StorageFull),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, closed, ErrorKind::InvalidInput),
        ] {
            let error = perhaps_stored(sqlite(code), is_open);
            let is_unconfirmed = kind == ErrorKind::Indeterminate;
            assert_eq!((error.kind(), error.may_be_stored()), (kind, is_unconfirmed), "{code}: {error}");
        }
    }

    #[test]
    fn after_a_failed_sync_or_corruption_the_store_must_halt() {
        let fatal = [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_DIR_FSYNC,
            ffi::SQLITE_IOERR_DATA,
            ffi::SQLITE_IOERR_CORRUPTFS,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
        ];
        for code in fatal {
            assert!(
                not_stored(sqlite(code)).is_fatal() && perhaps_stored(sqlite(code), false).is_fatal(),
                "{code}"
            );
        }
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_READ, ffi::SQLITE_FULL, ffi::SQLITE_BUSY] {
            assert!(!not_stored(sqlite(code)).is_fatal(), "{code}");
        }
    }

    /// The first error may be about a write that is stored. Each later call certainly stores nothing.
    #[test]
    fn the_answer_of_a_halted_store_does_not_take_the_failed_write_for_that_of_its_caller() {
        let first = perhaps_stored(sqlite(ffi::SQLITE_IOERR_FSYNC), false);
        let later = halted(&first);
        assert_eq!((first.may_be_stored(), later.may_be_stored()), (true, false));
        let text = later.to_string();
        assert!(
            text.starts_with("the store has halted: an earlier operation failed: the commit failed"),
            "{text}"
        );
        assert!(text.contains("help: this call has stored nothing"), "{text}");
        assert_eq!(halted(&later).to_string(), text, "said once");
    }

    #[test]
    fn a_step_is_repeated_while_it_meets_a_lock_and_until_the_limit() {
        // What the step answers first, for how long it is retried, how often it runs, how it ends.
        let minute = Duration::from_secs(60);
        for (first, limit, runs_expected, end) in [
            (ffi::SQLITE_BUSY, minute, 3, None),
            (ffi::SQLITE_BUSY, Duration::ZERO, 1, Some(ErrorKind::Busy)),
            (ffi::SQLITE_FULL, minute, 1, Some(ErrorKind::StorageFull)),
        ] {
            let mut runs = 0;
            let answer = BusyRetry::new(limit).retry(|| {
                runs += 1;
                if runs < 3 { Err(not_stored(sqlite(first))) } else { Ok(()) }
            });
            assert_eq!((runs, answer.err().map(|error| error.kind())), (runs_expected, end), "{first}");
        }
        let limit = Duration::from_millis(20);
        let answer = BusyRetry::new(limit).retry(|| Err::<(), _>(busy()));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Busy, "after the limit");
    }
}
