//! How a store is: [`Health`].
//!
//! Leans on the ground floor. Facts that the store has at hand: asking costs no request, no lock of a database, no waiting.

use serde::Serialize;

use crate::model::clock::Timestamp;

/// How a store is, as far as it knows itself. See [`JobQueue::health`](crate::JobQueue::health).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether it works.
    #[serde(flatten)]
    pub state: HealthState,
    /// The size of the write-ahead log. One that grows is held back by somebody who reads for long.
    pub wal_bytes: u64,
    /// The last attempt to write the log back to the database that the store made itself.
    pub last_checkpoint: Option<Checkpoint>,
    /// Since when a reader, of this program or of another one, keeps the log from being written back beyond one point. Seen
    /// at the first checkpoint that came to an end there, so the reader is older than that.
    #[serde(serialize_with = "held_since")]
    pub log_held_since: Option<Timestamp>,
    /// The last transaction that failed as a whole.
    pub last_error: Option<Failure>,
    /// Whether other users of this machine may read the database, and with it the params of every job.
    pub readable_by_others: bool,
}

/// Whether a store works.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// It does.
    #[default]
    Ok,
    /// The disk is full: new jobs are refused and none is claimed. Running ones are finished, and all of it resumes by
    /// itself when there is room.
    StorageFull {
        /// When that was first met.
        #[serde(serialize_with = "crate::model::job::serialize_wire_time")]
        since: Timestamp,
    },
    /// It does nothing more in this process. Look at the disk, then restart the program.
    Halted {
        /// What happened first.
        reason: String,
    },
}

/// What writing the log back came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// When.
    #[serde(serialize_with = "crate::model::job::serialize_wire_time")]
    pub at: Timestamp,
    /// Pages in the log.
    pub pages: u64,
    /// Pages of it that are in the database by now.
    pub written_back: u64,
    /// Whether somebody kept it from its end.
    pub held_back: bool,
}

/// A transaction that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// When.
    #[serde(serialize_with = "crate::model::job::serialize_wire_time")]
    pub at: Timestamp,
    /// What was said to those whose requests were in it.
    pub error: String,
}

fn held_since<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(crate::model::job::wire_time).serialize(serializer)
}

impl Health {
    /// Whether new jobs are stored and run.
    pub fn is_ok(&self) -> bool {
        self.state == HealthState::Ok
    }
}
