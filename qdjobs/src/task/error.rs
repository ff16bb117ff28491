//! How a task says that it did not succeed: [`TaskError`].
//!
//! Leans on nothing. What the failure means for the job is decided in `retry`, not here.

use std::fmt;
use std::time::Duration;

/// A failed attempt, with what the task knows about trying again.
///
/// Every error that a task returns becomes one of these: any standard error, a text or a boxed error as
/// [`retry`](TaskError::retry). Return a `TaskError` to say more:
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

/// What a [`TaskError`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// Another attempt after the task's backoff, while retries are left.
    Retry,
    /// Another attempt after this wait, while retries are left.
    RetryIn(Duration),
    /// No further attempt: the job fails.
    Permanent,
    /// No further attempt: the job is cancelled.
    Cancel,
}

impl TaskError {
    /// Try again after the backoff.
    pub fn retry(error: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::Retry, text: error.to_string() }
    }

    /// Try again after `wait`, whatever the backoff says; counts as a retry.
    pub fn retry_in(wait: Duration, error: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::RetryIn(wait), text: error.to_string() }
    }

    /// Trying again is of no use: the job fails now, whatever retries are left.
    pub fn permanent(error: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::Permanent, text: error.to_string() }
    }

    /// The work is not wanted any more: the job is cancelled, which is not a failure.
    pub fn cancel(reason: impl fmt::Display) -> TaskError {
        TaskError { kind: TaskErrorKind::Cancel, text: reason.to_string() }
    }

    /// The failure behind any error: its text with those of its causes, and the kind of the first [`TaskError`] among
    /// them, so that adding context to a permanent error does not make it worth a retry.
    pub(crate) fn from_error(error: &(dyn std::error::Error + 'static)) -> TaskError {
        let chain = || std::iter::successors(Some(error), |error| error.source());
        let mut text = String::new();
        for cause in chain().map(ToString::to_string) {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                // Many errors print their cause themselves.
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        let own = chain().find_map(|cause| cause.downcast_ref::<TaskError>());
        TaskError { kind: own.map_or(TaskErrorKind::Retry, TaskError::kind), text }
    }

    /// What it asks for.
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
