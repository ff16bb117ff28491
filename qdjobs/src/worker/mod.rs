//! [`Worker`], which runs the jobs of a queue: its options.
//!
//! `start.rs` checks the options and starts the threads. `stop.rs` gives the order of stopping. `signals.rs`
//! stops a worker when the process gets SIGTERM.
//!
//! A worker has a dispatcher for its `fn` tasks and one for its `async fn` tasks, each with a pool, and one
//! supervisor. The thread of the supervisor runs no user code but event listeners and backoff functions, so
//! that no task can stall it.
//!
//! ```text
//! dispatcher ──claim (finished jobs, free room)──▶ store ──claimed jobs──▶ pool: threads for fn, executor for async fn
//!      ▲                                                                    │
//!      └──────────────────────────── finished jobs ◀────────────────────────┘
//! supervisor: heartbeats, rescue of dead workers, timeouts
//! ```
//!
//! Depends on the store's contract, the task registry and the queue handle. It names no database, and it
//! chooses no status for a job: `Verdict::of` in `model/retry.rs` does.

mod abandoned;
#[cfg(feature = "tokio")]
mod async_executor;
mod claim_ahead;
mod dispatcher;
mod execution;
mod in_flight;
mod job_source;
mod options;
mod pool;
mod reactor;
mod shared;
#[cfg(feature = "signals")]
mod signals;
#[cfg(test)]
mod simulated_pool;
mod start;
mod stop;
mod store_backoff;
mod supervisor;
#[cfg(test)]
pub(crate) mod testing;

pub use self::options::Worker;
pub use self::stop::WorkerHandle;
