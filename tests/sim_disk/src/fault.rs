//! What can go wrong with one operation: [`Op`], [`Fault`], and when.
//!
//! Depends on SQLite's result codes. Nothing about files comes in.

use rusqlite::ffi;

/// An operation that SQLite asks of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Opens or creates a file.
    Open,
    /// Reads bytes.
    Read,
    /// Writes bytes.
    Write,
    /// Makes written bytes safe.
    Sync,
    /// Shortens a file.
    Truncate,
    /// Asks for a file's size.
    Size,
    /// Takes a lock on a file.
    Lock,
    /// Takes a lock on the shared memory of the write-ahead log.
    ShmLock,
    /// Maps a part of that shared memory.
    ShmMap,
    /// Removes a file.
    Delete,
    /// Asks whether a file exists.
    Access,
}

impl Op {
    /// All of them.
    pub const ALL: [Op; 11] = [
        Op::Open,
        Op::Read,
        Op::Write,
        Op::Sync,
        Op::Truncate,
        Op::Size,
        Op::Lock,
        Op::ShmLock,
        Op::ShmMap,
        Op::Delete,
        Op::Access,
    ];

    /// Whether it changes the disk. A power cut happens before one of these operations, since between two
    /// others it finds the same disk.
    pub fn changes(self) -> bool {
        matches!(self, Op::Write | Op::Sync | Op::Truncate | Op::Delete)
    }

    /// The error code by which SQLite learns that it failed.
    pub(crate) fn failure(self) -> i32 {
        match self {
            Op::Open => ffi::SQLITE_CANTOPEN,
            Op::Read => ffi::SQLITE_IOERR_READ,
            Op::Write => ffi::SQLITE_IOERR_WRITE,
            Op::Sync => ffi::SQLITE_IOERR_FSYNC,
            Op::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Op::Size => ffi::SQLITE_IOERR_FSTAT,
            Op::Lock => ffi::SQLITE_IOERR_LOCK,
            Op::ShmLock => ffi::SQLITE_IOERR_SHMLOCK,
            Op::ShmMap => ffi::SQLITE_IOERR_SHMMAP,
            Op::Delete => ffi::SQLITE_IOERR_DELETE,
            Op::Access => ffi::SQLITE_IOERR_ACCESS,
        }
    }
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Any operation fails with its own error.
    Any,
    /// This operation fails with its own error.
    Io(Op),
    /// A write finds no space: `SQLITE_FULL`.
    Full,
    /// A read returns half of what was asked, and reports it. SQLite takes the rest as zeros: this is
    /// corruption, not an error.
    ShortRead,
}

impl Fault {
    /// Whether it can happen to this operation.
    pub fn concerns(self, op: Op) -> bool {
        match self {
            Fault::Any => true,
            Fault::Io(only) => op == only,
            Fault::Full => op == Op::Write,
            Fault::ShortRead => op == Op::Read,
        }
    }
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultDuration {
    /// One operation fails, the next succeed.
    Once,
    /// Every operation it concerns fails from then on, until the faults are cleared.
    UntilCleared,
}

/// A fault that waits for its operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    pub(crate) fault: Fault,
    pub(crate) duration: FaultDuration,
    /// The only process that it happens to; `None` for all.
    pub(crate) process: Option<u32>,
    /// How many operations of its kind succeed first.
    pub(crate) remaining: u64,
    pub(crate) failures: u64,
    pub(crate) last: Option<Op>,
}

impl Armed {
    /// Whether this operation fails.
    pub(crate) fn applies(&mut self, op: Op, process: u32) -> bool {
        let spares = self.process.is_some_and(|only| only != process);
        if spares || !self.fault.concerns(op) || (self.duration == FaultDuration::Once && self.failures > 0) {
            return false;
        }
        if self.remaining > 0 {
            self.remaining -= 1;
            return false;
        }
        self.failures += 1;
        self.last = Some(op);
        true
    }
}
