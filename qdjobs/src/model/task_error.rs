//! How a task reports a failure: [`TaskError`], which is retried, permanent, or a cancellation.
//!
//! What the error means for the job is decided in `retry.rs`. Which other error types a task may return is
//! decided in `task/output.rs`.
//!
//! Depends on the standard library alone.

use std::fmt;
use std::time::Duration;

/// The error of a failed attempt, and whether the job is retried.
///
/// Every error that a task returns becomes a `TaskError`. A standard error, a text and a boxed error become
/// [`TaskError::retry`]. To decide otherwise, return a `TaskError`:
///
/// ```
/// use std::time::Duration;
/// use qdjobs::TaskError;
///
/// fn deliver(code: u16) -> Result<(), TaskError> {
///     match code {
///         200 => Ok(()),
///         429 => Err(TaskError::retry_in(Duration::from_secs(60), "too many requests")),
///         500.. => Err(TaskError::retry(format!("server error {code}"))),
///         _ => Err(TaskError::permanent(format!("refused with {code}"))),
///     }
/// }
/// # assert!(deliver(200).is_ok() && deliver(503).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    kind: TaskErrorKind,
    text: String,
}

/// What a [`TaskError`] requests for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// A retry after the task's backoff, if retries are left.
    Retry,
    /// A retry after this wait, if retries are left.
    RetryIn(Duration),
    /// No retry: the job fails.
    Permanent,
    /// No retry: the job is cancelled.
    Cancel,
    /// This worker cannot read the params of the job, and leaves it to others for a while. No task returns it.
    Unreadable,
}

impl TaskError {
    /// Retries the job after its backoff, if retries are left.
    pub fn retry(error: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::Retry, text: error.to_string() }
    }

    /// Retries the job after `wait` instead of its backoff, if retries are left.
    pub fn retry_in(wait: Duration, error: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::RetryIn(wait), text: error.to_string() }
    }

    /// Fails the job without a retry, even if retries are left.
    pub fn permanent(error: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::Permanent, text: error.to_string() }
    }

    /// Cancels the job: the work is no longer wanted. A cancelled job does not count as failed.
    pub fn cancel(reason: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::Cancel, text: reason.to_string() }
    }

    /// Leaves the job to other workers: its params do not fit the task of this program.
    pub(crate) fn unreadable(error: String) -> TaskError {
        TaskError { kind: TaskErrorKind::Unreadable, text: error }
    }

    /// The task error of any error: its text and the texts of its causes. The kind is that of the first
    /// [`TaskError`] among them, so that a permanent error stays permanent when a caller adds context.
    pub(crate) fn from_error(error: &(dyn std::error::Error + 'static)) -> TaskError {
        let chain = || std::iter::successors(Some(error), |error| error.source());
        let mut text = String::new();
        for cause in chain().map(ToString::to_string) {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                // Many errors already contain the text of their cause.
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        let own = chain().find_map(|cause| cause.downcast_ref::<TaskError>());
        TaskError { kind: own.map_or(TaskErrorKind::Retry, TaskError::kind), text }
    }

    /// What the error requests for the job.
    pub fn kind(&self) -> TaskErrorKind {
        self.kind
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TaskError {}
