//! Runs the jobs of a queue: the parts of a [`Worker`], each in its own file.
//!
//! | question | file |
//! |---|---|
//! | Which options has a worker, and which defaults? | `options.rs` |
//! | What is checked and started, in which order? | `start.rs` |
//! | In which order does a worker stop? | `stop.rs`; on SIGTERM: `signals/` |
//! | Which job is handed out next? | `dispatcher/next_job.rs` |
//! | When is the store asked for jobs? | `dispatcher/claims.rs`; after a failure: `store_backoff.rs` |
//! | How many jobs are claimed at once? | `claim_ahead.rs` |
//! | Which thread runs a job? | `thread_pool.rs`; `async fn`: `async_executor.rs`, `reactor.rs` |
//! | How does an attempt begin and end? | `execution.rs`; after it was given up: `abandoned.rs` |
//! | Who sends heartbeats, rescues jobs, ends timeouts? | `supervisor/` |
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
mod reactor;
mod shared;
#[cfg(all(feature = "signals", any(unix, all(windows, feature = "tokio"))))]
mod signals;
#[cfg(test)]
mod simulated_pool;
mod start;
mod stop;
mod store_backoff;
mod supervisor;
#[cfg(test)]
pub(crate) mod testing;
mod thread_pool;

pub use self::options::Worker;
pub use self::stop::{StopHandle, WorkerHandle};
