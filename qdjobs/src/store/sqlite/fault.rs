//! Faults of SQLite, in the words of [`Error`]: what each result code means for a caller, and the patience with which a
//! lock is waited for.
//!
//! Leans on rusqlite. No statement stands here except BEGIN.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// The primary result code, if SQLite itself failed.
pub(super) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// A fault before the commit: whatever was being written is not stored.
pub(super) fn before_commit(error: rusqlite::Error) -> Error {
    let (kind, message, help): (_, String, &'static str) = match code(&error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return locked(),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::ReadOnly,
            "the database may not be written".into(),
            "check the owner and mode of the file and of its directory, and whether the disk is mounted read-only",
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::Full,
            "the disk of the database is full; nothing was stored".into(),
            "free some space; the queue goes on by itself",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            ErrorKind::Corrupt,
            format!("the file is not a SQLite database, or is damaged: {error}"),
            "nothing was changed or deleted; check the path, or copy the file and try `PRAGMA integrity_check` and `.recover` on \
             the copy",
        ),
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Storage,
            format!("the database cannot be opened: {error}"),
            "check that the directory exists and that this user may write there: SQLite keeps two files beside the database",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Storage,
            format!("the disk of the database fails: {error}; nothing was stored"),
            "look at the system's log; the queue tries again with the next request",
        ),
        Some(ErrorCode::ConstraintViolation) => (
            ErrorKind::InvalidInput,
            format!("the database refuses the values: {error}"),
            "the name of the constraint says what is expected",
        ),
        _ if error.to_string().contains("no such table: qdjobs_") => (
            ErrorKind::Setup,
            format!("this database has no tables of qdjobs: {error}"),
            "open the same file with `JobQueue::open` first, which creates them",
        ),
        _ => (
            ErrorKind::Storage,
            format!("SQLite failed: {error}"),
            "if it stays, please report it with this text",
        ),
    };
    Error::new(kind, message).help(help).caused_by(error)
}

/// A fault of opening: as [`before_commit`], nothing is stored.
pub(super) fn while_opening(error: rusqlite::Error) -> Error {
    before_commit(error)
}

/// A fault of the commit itself. A full disk is noticed before the commit record is written, so that is certain;
/// after any other I/O error the commit may turn out, at the next open, to be there.
pub(super) fn in_commit(error: rusqlite::Error) -> Error {
    match code(&error) {
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::new(
                ErrorKind::Indeterminate,
                format!("the disk failed during the commit: {error}; the write may or may not be stored"),
            )
            .help("look at the job before you repeat the request, and at the system's log")
            .caused_by(error)
        }
        _ => before_commit(error),
    }
}

fn locked() -> Error {
    Error::new(ErrorKind::Locked, "another connection has held the database's write lock for too long; nothing was stored")
        .help(
            "inside a transaction of your own use `enqueue(&tx)`; else look for a program that keeps a write transaction open, \
             or raise the busy timeout",
        )
}

/// BEGIN IMMEDIATE, so that the transaction can never fail half-way for want of the lock. Tried once.
pub(super) fn begin_immediate(conn: &Connection) -> crate::Result<()> {
    let begun = conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
    begun.map(drop).map_err(before_commit)
}

/// How long a lock is waited for. Real time, whatever the queue's clock says: the other side of a lock is another
/// connection, which no held clock moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    limit: Duration,
}

impl Attempt {
    pub(super) fn new(limit: Duration) -> Attempt {
        Attempt { limit }
    }

    /// Begins a transaction as soon as the lock is free, without a try while `rest` says that it is left to others.
    #[expect(clippy::disallowed_methods, reason = "leaves the lock to others, in real time")]
    pub(super) fn begin(&self, conn: &Connection, rest: impl Fn() -> Option<Duration>) -> crate::Result<()> {
        self.retry(|| {
            rest().into_iter().for_each(std::thread::sleep);
            begin_immediate(conn)
        })
    }

    /// Repeats `step` while it meets a lock, until the limit. SQLite's own busy timeout does not cover every step that can meet
    /// one (switching to WAL fails at once), and sleeps for far longer than a group commit lasts.
    #[expect(clippy::disallowed_methods, reason = "waits for another connection, in real time")]
    pub(super) fn retry<T>(&self, mut step: impl FnMut() -> crate::Result<T>) -> crate::Result<T> {
        let start = Instant::now();
        let mut nap = Duration::from_micros(50);
        loop {
            match step() {
                Err(error) if error.kind() == ErrorKind::Locked && start.elapsed() < self.limit => {
                    std::thread::sleep(nap);
                    // Short naps while the other side is likely in a commit, longer ones when it is not.
                    let longest = if start.elapsed() < Duration::from_millis(50) { 250 } else { 2_000 };
                    nap = (nap * 2).min(Duration::from_micros(longest));
                }
                answer => return answer,
            }
        }
    }
}
