//! Queues as a program uses them: [`JobQueue`], [`AsyncQueue`], [`JobRequest`](request::JobRequest),
//! [`JobHandle`].
//!
//! This file only re-exports. `options.rs` opens a queue, `request.rs` describes a job to enqueue,
//! `enqueue.rs` stores it, `handle.rs` waits for its result, `inside_task.rs` knows whether a task would wait.
//! `job_queue.rs` reads and changes stored jobs, `async_queue.rs` does so with futures, `backup.rs` copies the
//! database. Methods of `JobQueue` that return another type of this folder are in the file of that type.
//!
//! Depends on the contract of a store. Runs no task: that is done by a worker.

mod async_queue;
#[cfg(feature = "sqlite")]
mod backup;
mod enqueue;
mod handle;
pub(crate) mod inside_task;
mod job_queue;
mod options;
pub(crate) mod request;

pub use self::async_queue::AsyncQueue;
pub use self::enqueue::{EnqueueAllFuture, EnqueueFuture};
pub use self::handle::{JobFuture, JobHandle};
pub use self::job_queue::JobQueue;
pub(crate) use self::job_queue::WeakQueue;
pub use self::options::QueueOptions;
