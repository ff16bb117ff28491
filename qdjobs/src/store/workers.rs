//! The types of the verbs of a worker (*register*, *heartbeat*, *release*), its published task defaults, and
//! the default lease.
//!
//! Does not decide when a worker is presumed dead: see `model/lease.rs`. What a release does to jobs is in
//! `engine/apply_requests.rs`.
//!
//! Depends on the model. Names no database and no thread.

use std::time::Duration;

use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind};
use crate::model::job::{Job, WorkerId, deserialize_wire_time, serialize_wire_time};

/// The default lease: how long a worker may send no heartbeat before other workers presume it dead. See
/// `model/lease.rs`.
pub const LEASE: Duration = Duration::from_secs(30);

/// A worker that registers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// A random number, chosen when the worker starts.
    pub id: WorkerId,
    /// The name of the machine.
    pub host: String,
    /// The process id, for people. Process ids are reused, so it proves nothing.
    pub pid: u32,
}

impl WorkerInfo {
    /// A worker with this id, in this process of this machine.
    pub fn new(id: WorkerId, host: impl Into<String>, pid: u32) -> WorkerInfo {
        WorkerInfo { id, host: host.into(), pid }
    }
}

/// A registered worker and its latest heartbeat.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct WorkerState {
    /// A random number, chosen when the worker started.
    pub id: WorkerId,
    /// The name of its machine.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// When it registered.
    #[serde(serialize_with = "serialize_wire_time", deserialize_with = "deserialize_wire_time")]
    pub started_at: Timestamp,
    /// The number of heartbeats. Only its growth has a meaning.
    pub heartbeats: u64,
    /// The number of jobs it holds.
    pub running: u64,
}

impl WorkerState {
    pub(crate) fn new(worker: WorkerInfo, started_at: Timestamp) -> WorkerState {
        let WorkerInfo { id, host, pid } = worker;
        WorkerState { id, host, pid, started_at, heartbeats: 0, running: 0 }
    }
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// Whether the worker is registered. If not, it was presumed dead, and its jobs were released.
    pub registered: bool,
}

impl Heartbeat {
    /// The answer of a store.
    pub fn new(registered: bool) -> Heartbeat {
        Heartbeat { registered }
    }
}

/// Why the jobs of a worker are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The worker itself stops.
    ByWorker,
    /// The operating system proves that the worker is dead.
    ProvenDead,
    /// The worker's heartbeats have not grown for a whole lease.
    Silent {
        /// The number of heartbeats that was read last. If the worker has more heartbeats now, it is not
        /// released. Between the read and the release, the disk may have delayed the heartbeats of all
        /// workers.
        heartbeats: u64,
    },
}

/// What happened to the jobs of a released worker.
#[derive(Clone, Debug, Default)]
pub struct Released {
    /// The number of jobs that the worker held; 0 if another process has already released it.
    pub jobs: usize,
    /// The job among them that has failed by its crashes, if one has.
    pub failed: Vec<Job>,
}

/// The options of a task, for jobs that programs without the task insert by SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefaults {
    /// The task's name.
    pub name: String,
    /// The queue of its jobs.
    pub queue: String,
    /// Their priority; higher first.
    pub priority: i32,
    /// Retries after the first attempt.
    pub max_retries: u32,
}

/// The error for a worker that is not registered: it was presumed dead, was released, or never registered.
pub(crate) fn lease_lost(worker: WorkerId) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("worker {worker} is not registered; its lease may have expired"))
        .help("a `Worker` registers again by itself; a program that calls the `Store` itself has to register a worker under a \
               new id")
}
