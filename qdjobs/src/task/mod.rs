//! What `#[task]` makes of a function: the trait [`Task`] of every params struct, the record of it, and the traits
//! that decide what may be a parameter, a shared value or a result.
//!
//! Leans on the ground floor, on the context of a running task and on the request for a job. Stores nothing, runs
//! nothing. `private` is the one door for generated code.

mod attribute;
mod def;
mod encode;
mod error;
mod future_kind;
mod output;
mod param;
#[doc(hidden)]
pub mod private;
pub(crate) mod registry;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use attribute::task;
pub use def::{LocalFuture, ParamInfo, Run, SharedFuture, StateInfo, TaskDef, TaskOptions};
pub use error::{TaskError, TaskErrorKind};
pub(crate) use output::result_json;
pub use output::{IntoTaskError, Own, TaskOutput, TaskReturn, ViaBox, ViaStd};
pub use param::{TaskParam, check_params};
pub use state::State;

use crate::model::clock::Timestamp;
use crate::queue::request::JobRequest;

/// The params struct of a task: a call of its function that is not made yet.
///
/// Implemented by `#[task]`. Its methods set options for one job and end in [`JobRequest::enqueue`]; without options
/// call `enqueue` on the struct itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "expected the params struct of a `#[task]` function",
    note = "for `#[task(\"send_email\")] fn send_email(..)` that is `SendEmail`"
)]
pub trait Task: Serialize + DeserializeOwned + Send + Sized + 'static {
    /// What the task returns when it succeeds.
    type Output;

    /// The record of the task.
    const DEF: &'static TaskDef;

    /// The job with the task's own options.
    fn request(self) -> JobRequest<Self::Output> {
        JobRequest::new(Self::DEF, encode::encode(Self::DEF, &self))
    }

    /// Not before this long after it was stored.
    fn delay(self, wait: Duration) -> JobRequest<Self::Output> {
        self.request().delay(wait)
    }

    /// Not before this instant; at once if it has passed.
    fn at(self, at: Timestamp) -> JobRequest<Self::Output> {
        self.request().at(at)
    }

    /// Higher first.
    fn priority(self, priority: i32) -> JobRequest<Self::Output> {
        self.request().priority(priority)
    }

    /// The queue it waits in.
    fn queue(self, queue: impl Into<String>) -> JobRequest<Self::Output> {
        self.request().queue(queue)
    }

    /// How often it may be retried after its first attempt.
    fn retries(self, max_retries: u32) -> JobRequest<Self::Output> {
        self.request().retries(max_retries)
    }

    /// A name to show to people instead of the task's.
    fn display_name(self, name: impl Into<String>) -> JobRequest<Self::Output> {
        self.request().display_name(name)
    }

    /// Anything that serialises to a JSON object, kept with the job for the caller's own use.
    fn metadata(self, metadata: impl Serialize) -> JobRequest<Self::Output> {
        self.request().metadata(metadata)
    }

    /// At most one job of the database has this key; the same job enqueued with it again is the job that is there. See
    /// [`JobRequest::idempotency_key`].
    fn idempotency_key(self, key: impl Into<String>) -> JobRequest<Self::Output> {
        self.request().idempotency_key(key)
    }
}
