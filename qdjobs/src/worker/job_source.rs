//! The interface from the threads and futures that run jobs to their dispatcher: the trait [`JobSource`].
//!
//! The dispatcher implements it in `dispatcher/next_job.rs`; the pool and the executor call it. So neither of
//! them depends on the dispatcher.
//!
//! Depends on `execution.rs`.

use std::sync::Arc;

#[cfg(any(test, feature = "tokio"))]
use crate::model::job::JobId;
use crate::model::retry::Outcome;

use super::execution::Execution;

/// Gives jobs to the pool and takes back their outcomes.
pub(super) trait JobSource: Send + Sync {
    /// Reports a finished execution, then waits for the next job.
    ///
    /// `None` ends the calling thread: no further job will come, or another thread has replaced this one
    /// because its execution was abandoned.
    fn next(&self, finished: Option<(Arc<Execution>, Outcome)>) -> Option<Arc<Execution>>;

    /// Reports a finished execution.
    #[cfg(feature = "tokio")]
    fn finished(&self, execution: Arc<Execution>, outcome: Outcome);

    /// Reports that the future of an abandoned execution has been dropped.
    #[cfg(any(test, feature = "tokio"))]
    fn dropped(&self, id: JobId);
}
