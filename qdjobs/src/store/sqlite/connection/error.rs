//! Faults of SQLite, in the words of [`Error`]: what each result code means for a caller, which of them end a store for
//! good, and the patience with which a lock is waited for.
//!
//! Leans on rusqlite. No statement stands here except BEGIN.
//!
//! Two questions are answered for each fault, and neither by guessing:
//!
//! - **Is it certain that nothing was stored?** Before the commit, always: what is in the log without a commit record does
//!   not count. In the commit, see [`in_commit`].
//! - **May the store go on?** See [`is_fatal`].

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};

use crate::model::error::{Error, ErrorKind};

/// The primary result code, if SQLite itself failed.
pub(in crate::store::sqlite) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// The result code in full, with what SQLite adds to the primary one; 0 if SQLite itself did not fail.
fn extended(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(0, |error| error.extended_code)
}

/// Whether a store that met this must stop for good.
///
/// After a sync that failed, the operating system has marked the pages as clean, though they never reached the disk: the
/// next sync has nothing to do and succeeds. Later commits would then be answered as durable while they stand in the log
/// behind a hole, and recovery after a power cut ends at the hole. Repeating the sync proves nothing, and neither does
/// opening the file again, which reads the same pages from memory. So nothing more is promised: whoever looks at the
/// disk decides.
///
/// A damaged file is not written to: what would be changed is chosen by what was read, and that is wrong.
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

/// Whether the disk is full. That the memory shared with other processes cannot grow is, on a disk, the same: it is a
/// file beside the database.
fn is_full(error: &rusqlite::Error) -> bool {
    code(error) == Some(ErrorCode::DiskFull) || extended(error) == ffi::SQLITE_IOERR_SHMSIZE
}

/// A fault before the commit, or while a file is opened: whatever was being written is not stored.
pub(in crate::store::sqlite) fn before_commit(error: rusqlite::Error) -> Error {
    let fatal = is_fatal(&error);
    let (kind, message, help): (_, String, &'static str) = match code(&error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return locked(),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::ReadOnly,
            "the database may not be written".into(),
            "check the owner and mode of the file and of its directory, and whether the disk is mounted read-only",
        ),
        _ if is_full(&error) => return full().caused_by(error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            ErrorKind::Corrupt,
            format!("the file is not a SQLite database, or is damaged: {error}"),
            "nothing was changed or deleted; check the path, and look at the disk",
        ),
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Storage,
            format!("the database cannot be opened: {error}"),
            "check that the directory exists and that this user may write there: SQLite keeps two files beside the database",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Storage,
            format!("the disk of the database fails: {error}; nothing was stored"),
            "look at the disk and at the system's log",
        ),
        Some(ErrorCode::ConstraintViolation) => (
            ErrorKind::InvalidInput,
            format!("the database refuses the values: {error}"),
            "the name of the constraint says what is expected",
        ),
        _ if error.to_string().contains("no such table: qdjobs_") => (
            ErrorKind::Config,
            format!("this database has no tables of qdjobs: {error}"),
            "open the same file with `JobQueue::open` first, which creates them",
        ),
        _ => (
            ErrorKind::Storage,
            format!("SQLite failed: {error}"),
            "if it stays, please report it with this text",
        ),
    };
    Error::new(kind, message).help(help).caused_by(error).fatal(fatal)
}

/// The disk is full.
pub(in crate::store::sqlite) fn full() -> Error {
    Error::new(ErrorKind::StorageFull, "the disk of the database is full; nothing was stored")
        .help("free some space; the queue goes on by itself")
}

/// A fault of the commit itself, or of a statement that is a transaction of its own; `open` if the transaction is still there.
///
/// SQLite refuses a commit without ending the transaction where it has not begun to write: a lock, a deferred constraint.
/// Nothing is stored then. A full disk is certain too: it is met while the frames are written, of which the commit record is
/// the last, and a record that is cut short does not count. What else may come from the disk or for want of memory may come
/// when the record stands whole in the log: in the sync, but also behind it, where the index of the log has to grow. A
/// later recovery would find the record, so nobody can say. All other faults are those of a statement, before any of this.
pub(in crate::store::sqlite) fn in_commit(error: rusqlite::Error, open: bool) -> Error {
    let is_doubtful = matches!(
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
    if open || !is_doubtful {
        return before_commit(error);
    }
    let fatal = is_fatal(&error);
    let message = format!("the disk failed during the commit: {error}; the write may or may not be stored");
    Error::new(ErrorKind::Indeterminate, message)
        .help("look at the job before you repeat the request, and at the system's log")
        .caused_by(error)
        .fatal(fatal)
}

/// What every request hears after the fault that stopped the store.
pub(in crate::store::sqlite) fn stopped(first: &Error) -> Error {
    let reason = first.to_string();
    let reason = reason.lines().next().unwrap_or_default();
    Error::new(ErrorKind::StoreHalted, format!("the queue has stopped for good: {reason}")).help(
        "look at the disk and at the system's log, then restart the program; no file was deleted or changed since",
    )
}

/// The writing thread panicked, somewhere in a transaction.
pub(in crate::store::sqlite) fn panicked() -> Error {
    Error::new(ErrorKind::Storage, "the thread that writes to the database has panicked")
        .help("please report it with the text of the panic")
}

fn locked() -> Error {
    Error::new(ErrorKind::Busy, "another connection has held the database's write lock for too long; nothing was stored")
        .help(
            "inside a transaction of your own use `enqueue(&tx)`; else look for a program that keeps a write transaction open, \
             or raise the busy timeout",
        )
}

/// BEGIN IMMEDIATE, so that the transaction can never fail half-way for want of the lock. Tried once.
pub(in crate::store::sqlite) fn begin_immediate(conn: &Connection) -> crate::Result<()> {
    let begun = conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
    begun.map(drop).map_err(before_commit)
}

/// How long a lock is waited for. Real time, whatever the queue's clock says: the other side of a lock is another
/// connection, which no held clock moves.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct BusyRetry {
    limit: Duration,
}

impl BusyRetry {
    pub(in crate::store::sqlite) fn new(limit: Duration) -> BusyRetry {
        BusyRetry { limit }
    }

    /// Repeats `step` while it meets a lock, until the limit. SQLite's own busy timeout does not cover every step that can meet
    /// one (switching to WAL fails at once), and sleeps for far longer than a group commit lasts.
    #[expect(clippy::disallowed_methods, reason = "waits for another connection, in real time")]
    pub(in crate::store::sqlite) fn retry<T>(
        &self,
        mut step: impl FnMut() -> crate::Result<T>,
    ) -> crate::Result<T> {
        let start = Instant::now();
        let mut sleep = Duration::from_micros(50);
        loop {
            match step() {
                Err(error) if error.kind() == ErrorKind::Busy && start.elapsed() < self.limit => {
                    std::thread::sleep(sleep);
                    // Short naps while the other side is likely in a commit, longer ones when it is not.
                    let longest = if start.elapsed() < Duration::from_millis(50) { 250 } else { 2_000 };
                    sleep = (sleep * 2).min(Duration::from_micros(longest));
                }
                answer => return answer,
            }
        }
    }
}
