//! What can go wrong with one operation: [`Op`], [`Fault`], and when.
//!
//! Leans on SQLite's result codes. Decides nothing about files.

use rusqlite::ffi;

/// What SQLite asks of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Opens or creates a file.
    Open,
    /// Reads bytes.
    Read,
    /// Writes bytes.
    Write,
    /// Makes what was written safe.
    Sync,
    /// Cuts a file short.
    Truncate,
    /// Asks for a file's size.
    Size,
    /// Takes a lock on a file.
    Lock,
    /// Takes a lock on the shared memory of the write-ahead log.
    ShmLock,
    /// Maps a part of that memory.
    ShmMap,
    /// Removes a file.
    Delete,
    /// Asks whether a file is there.
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

    /// Whether it leaves a trace on the disk: a power cut falls before one of these, since between two others it finds the
    /// same disk.
    pub fn changes(self) -> bool {
        matches!(self, Op::Write | Op::Sync | Op::Truncate | Op::Delete)
    }

    /// How SQLite is told that it failed.
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

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whatever is asked fails with the error that is its own.
    Any,
    /// This operation fails with the error that is its own.
    Io(Op),
    /// A write finds no room: `SQLITE_FULL`.
    Full,
    /// A read gives half of what was asked, and says so. To SQLite the rest is zeros: this is damage, not an error.
    ShortRead,
}

impl Fault {
    /// Whether it can strike this operation.
    pub fn concerns(self, op: Op) -> bool {
        match self {
            Fault::Any => true,
            Fault::Io(only) => op == only,
            Fault::Full => op == Op::Write,
            Fault::ShortRead => op == Op::Read,
        }
    }
}

/// How long a fault stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// One operation fails, the next succeed.
    Once,
    /// Everything it concerns fails from then on, until the disk is healed.
    ForGood,
}

/// A fault that waits for its operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    pub(crate) fault: Fault,
    pub(crate) lasts: Lasts,
    /// The one process it strikes; `None` for all.
    pub(crate) process: Option<u32>,
    /// Operations of its kind still to succeed.
    pub(crate) spared: u64,
    pub(crate) struck: u64,
    pub(crate) last: Option<Op>,
}

impl Armed {
    /// Whether this operation fails.
    pub(crate) fn strikes(&mut self, op: Op, process: u32) -> bool {
        let spares = self.process.is_some_and(|only| only != process);
        if spares || !self.fault.concerns(op) || (self.lasts == Lasts::Once && self.struck > 0) {
            return false;
        }
        if self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        self.struck += 1;
        self.last = Some(op);
        true
    }
}
