//! The trait of the params struct that `#[task]` generates: [`Task`], with its name, result type and request.
//!
//! The impl is generated in `qdjobs-macros/src/expand/task_impl.rs`. Runs nothing.
//!
//! Depends on the request for a job, and on `encode.rs` for the params.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::def::TaskDef;
use super::encode::encode;
use crate::model::clock::Timestamp;
use crate::queue::request::JobRequest;

/// The params struct of a task: the arguments of one call of its function.
///
/// Implemented by `#[task]`. Its methods set options of one job and return a [`JobRequest`]. Call
/// [`enqueue`](JobRequest::enqueue) on the request or, without options, on the struct itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "expected the params struct of a `#[task]` function",
    note = "for `#[task(\"send_email\")] fn send_email(..)` that is `SendEmail`"
)]
pub trait Task: Serialize + DeserializeOwned + Send + Sized + 'static {
    /// The result of the task.
    type Output;

    /// The description of the task.
    const DEF: &'static TaskDef;

    /// A job with the options of the task.
    fn request(self) -> JobRequest<Self::Output> {
        JobRequest::new(Self::DEF, encode(Self::DEF, &self))
    }

    /// Delays the job by this duration, counted from the moment at which it is stored.
    fn delay(self, wait: Duration) -> JobRequest<Self::Output> {
        self.request().delay(wait)
    }

    /// Schedules the job for this instant; it is due at once if the instant has passed.
    fn at(self, at: Timestamp) -> JobRequest<Self::Output> {
        self.request().at(at)
    }

    /// Sets the priority; jobs with a higher priority run first.
    fn priority(self, priority: i32) -> JobRequest<Self::Output> {
        self.request().priority(priority)
    }

    /// Sets the queue.
    fn queue(self, queue: impl Into<String>) -> JobRequest<Self::Output> {
        self.request().queue(queue)
    }

    /// Sets the number of retries after the first attempt.
    fn retries(self, max_retries: u32) -> JobRequest<Self::Output> {
        self.request().retries(max_retries)
    }

    /// Sets the display name, which is shown instead of the task's name.
    fn display_name(self, name: impl Into<String>) -> JobRequest<Self::Output> {
        self.request().display_name(name)
    }

    /// Stores the caller's own data with the job: any value that serializes to a JSON object.
    fn metadata(self, metadata: impl Serialize) -> JobRequest<Self::Output> {
        self.request().metadata(metadata)
    }

    /// Sets the idempotency key: the job is stored once, even if it is enqueued several times. See
    /// [`JobRequest::idempotency_key`].
    fn idempotency_key(self, key: impl Into<String>) -> JobRequest<Self::Output> {
        self.request().idempotency_key(key)
    }
}
