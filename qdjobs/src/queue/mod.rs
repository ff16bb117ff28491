//! Queues as a program uses them: [`JobQueue`] and [`AsyncQueue`], a job before it is enqueued
//! ([`JobRequest`](request::JobRequest)) and afterwards ([`JobHandle`]).
//!
//! Depends on the contract of a store. Runs no task: that is done by a worker. This file only re-exports.
//! Methods of `JobQueue` that return another type of this folder are in the file of that type.

mod async_queue;
#[cfg(feature = "sqlite")]
mod backup;
mod enqueue;
mod handle;
mod job_queue;
mod options;
pub(crate) mod request;

pub use self::async_queue::AsyncQueue;
pub use self::enqueue::{EnqueueAllFuture, EnqueueFuture};
pub use self::handle::{JobFuture, JobHandle};
pub use self::job_queue::JobQueue;
pub(crate) use self::job_queue::WeakQueue;
pub use self::options::QueueOptions;
