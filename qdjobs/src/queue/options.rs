//! Opens a queue: [`QueueOptions`], and which store a queue has.
//!
//! The defaults of SQLite's options are in `store/sqlite/connection/open.rs`. The options of a worker are in
//! `worker/options.rs`.
//!
//! Depends on the stores. The options of SQLite exist with the feature `sqlite`.

#[cfg(feature = "sqlite")]
use std::path::Path;
#[cfg(feature = "sqlite")]
use std::time::Duration;

use super::job_queue::JobQueue;
use crate::model::clock::Clock;
use crate::model::crash_count::CRASHES_MAX;
#[cfg(feature = "sqlite")]
use crate::model::error::Result;
use crate::store::memory::MemoryStore;
#[cfg(feature = "sqlite")]
use crate::store::sqlite::{Durability, SqliteOptions, SqliteStore};

/// Options for opening a queue. Made by [`JobQueue::options`].
#[derive(Clone, Debug)]
#[must_use = "no queue is opened until `open` or `in_memory` is called"]
pub struct QueueOptions {
    clock: Clock,
    max_crashes: u32,
    #[cfg(feature = "sqlite")]
    sqlite: SqliteOptions,
}

/// Options of every store.
impl QueueOptions {
    /// Sets the number of worker crashes at which a job becomes `failed`; [`Job::CRASHES_MAX`] by default, and
    /// at least 1.
    ///
    /// A job fails at this crash if its process held no other job. Otherwise, the search for the job that is the
    /// cause takes more crashes: see the guide *Retries and errors*.
    ///
    /// The limit of the process that detects the crash applies, so use the same value in all processes.
    ///
    /// [`Job::CRASHES_MAX`]: crate::Job::CRASHES_MAX
    pub fn max_crashes(mut self, limit: u32) -> Self {
        self.max_crashes = limit;
        self
    }

    /// Sets the clock of the queue and its workers; for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes a queue in memory, which ends with the process.
    pub fn in_memory(self) -> JobQueue {
        JobQueue::with_store(MemoryStore::with_max_crashes(self.clock, self.max_crashes))
    }
}

/// Options of the SQLite store.
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
impl QueueOptions {
    /// Sets what a job survives once `enqueue` has returned; [`Durability::Full`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.sqlite.durability = durability;
        self
    }

    /// Sets how long a write waits while another connection holds the database's write lock; 5 s by default.
    pub fn busy_timeout(mut self, limit: Duration) -> Self {
        self.sqlite.busy_timeout = limit;
        self
    }

    /// Sets the number of bytes that are kept free beside the database while workers run; 8 MiB by default, 0
    /// for none.
    ///
    /// When the disk is full, new jobs are refused with
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) and no job is claimed. The reserve lets
    /// running jobs finish. The queue resumes automatically when twice the reserve is free.
    /// [`JobQueue::health`] reports it.
    pub fn disk_reserve(mut self, bytes: u64) -> Self {
        self.sqlite.disk_reserve = bytes;
        self
    }

    /// Allows a database on a network file system (NFS, SMB, virtiofs, …; on Windows a UNC path), or on one of a
    /// type that qdjobs does not know as local. By default, both are refused.
    ///
    /// SQLite's locks and shared memory do not work between machines. Use it only if no other machine opens
    /// the file.
    pub fn allow_network_filesystem(mut self) -> Self {
        self.sqlite.allow_network_filesystem = true;
        self
    }

    /// Opens the SQLite database at `path`; creates it if it does not exist.
    ///
    /// The file can be your application's own: all tables of qdjobs are named `qdjobs_…`. It is switched to
    /// WAL mode.
    pub fn open(self, path: impl AsRef<Path>) -> Result<JobQueue> {
        let sqlite = SqliteOptions { max_crashes: self.max_crashes, ..self.sqlite };
        Ok(JobQueue::with_store(SqliteStore::open(path.as_ref(), sqlite, self.clock)?))
    }
}

/// Opening a queue.
impl JobQueue {
    /// Opens the SQLite database at `path` with default options; creates it if it does not exist.
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    pub fn open(path: impl AsRef<Path>) -> Result<JobQueue> {
        JobQueue::options().open(path)
    }

    /// Makes a queue in memory, for tests. It ends with the process.
    pub fn in_memory() -> JobQueue {
        JobQueue::options().in_memory()
    }

    /// Options for opening a queue.
    pub fn options() -> QueueOptions {
        QueueOptions {
            clock: Clock::system(),
            max_crashes: CRASHES_MAX,
            #[cfg(feature = "sqlite")]
            sqlite: SqliteOptions::default(),
        }
    }
}
