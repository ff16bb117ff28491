//! The health report of a store and its JSON field names: [`Health`], [`HealthState`], [`SqliteHealth`].
//!
//! Does not decide when a disk counts as full or a store halts: see `sqlite/writer/upkeep.rs` and
//! `sqlite/connection/error.rs`. `sqlite/health.rs` collects the facts.
//!
//! Depends on the model. Reading a report submits no request, takes no lock of a database and does not wait.

use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;
use crate::model::job::{
    deserialize_wire_time, deserialize_wire_time_if_any, serialize_wire_time, serialize_wire_time_if_any,
};

/// The state of a store. See [`JobQueue::health`](crate::JobQueue::health).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether the store operates normally.
    #[serde(flatten)]
    pub state: HealthState,
    /// The last transaction or checkpoint that failed as a whole.
    pub last_error: Option<Failure>,
    /// Facts about the SQLite file; `None` for every other store.
    pub sqlite: Option<SqliteHealth>,
}

impl Health {
    /// Whether new jobs are stored and run.
    pub fn is_ok(&self) -> bool {
        self.state == HealthState::Ok
    }
}

/// Whether a store operates normally.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// Operating normally.
    #[default]
    Ok,
    /// The disk is full: new jobs are refused and no job is claimed. Running jobs can finish. The store
    /// resumes automatically when space is free.
    StorageFull {
        /// When a write first found the disk full.
        #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
        since: Timestamp,
    },
    /// The database cannot be reached: every request gets
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable). The store resumes automatically when the
    /// connection is restored.
    ///
    /// A store on a server reports it. A SQLite store does not.
    Unreachable {
        /// When a request first failed to reach the database.
        #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
        since: Timestamp,
    },
    /// The store has halted in this process and writes nothing more. Check the disk, then restart the
    /// program.
    Halted {
        /// The first cause.
        reason: String,
    },
}

/// The last transaction or checkpoint that failed as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// When it failed.
    #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
    pub at: Timestamp,
    /// Its error. The requests of a failed transaction returned it.
    pub error: String,
}

/// Facts about a SQLite file: its write-ahead log and its permissions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SqliteHealth {
    /// The size of the write-ahead log. It grows while a reader with a long transaction blocks the
    /// checkpoint.
    pub wal_bytes: u64,
    /// The last checkpoint that the store made.
    pub last_checkpoint: Option<Checkpoint>,
    /// Since when a reader of this or another program blocks the checkpoint at the same point of the log.
    ///
    /// It is the time of the first checkpoint that was blocked there. The reader began earlier.
    #[serde(
        serialize_with = "serialize_wire_time_if_any",
        deserialize_with = "deserialize_wire_time_if_any"
    )]
    pub checkpoint_blocked_since: Option<Timestamp>,
    /// Whether other users of this machine can read the database, including the params of every job.
    pub world_readable: bool,
    /// Whether the linked SQLite can lose commits if two connections write to the file at once, as 3.7.0 to
    /// 3.51.2 can.
    ///
    /// Only one process can open the file then. Other connections of that process, such as a pool of another
    /// driver, must not write to the file.
    pub wal_reset_bug: bool,
}

/// The result of a checkpoint, which copies the write-ahead log into the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// When it was made.
    #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
    pub at: Timestamp,
    /// The number of pages in the log.
    pub pages: u64,
    /// The number of them that are in the database.
    pub written_back: u64,
    /// Whether a reader or a writer blocked the checkpoint before the end of the log.
    pub blocked: bool,
}
