//! Decides which commands by hand (retry, cancel, delete) the status of a job allows: [`JobCommand`].
//!
//! Does not write the change: see `sqlite/queries/command.rs` and `memory/state.rs`. The public methods are
//! in `queue/job_queue.rs`. Automatic retries are decided in `model/retry.rs`.
//!
//! Depends on the model. Names no database.

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JobId, Status};

/// A change of one job by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobCommand {
    /// Makes a failed, cancelled or scheduled job due now. Its retry count and its crash count become 0.
    ///
    /// Its history stays, and `attempt` continues from its current number.
    Retry(JobId),
    /// Cancels a pending job.
    Cancel(JobId),
    /// Deletes a job that is not running, with its history. The answer is the job as it was.
    Delete(JobId),
}

impl JobCommand {
    /// The job to change.
    pub fn id(self) -> JobId {
        match self {
            JobCommand::Retry(id) | JobCommand::Cancel(id) | JobCommand::Delete(id) => id,
        }
    }

    /// Refuses a command that the job's status does not allow. No other place decides it. `due` states
    /// whether a pending job is due.
    pub(crate) fn permit(self, status: Status, due: bool) -> Result<()> {
        let (refused, help) = match (self, status) {
            (JobCommand::Retry(_) | JobCommand::Delete(_), Status::Running) => {
                (true, "wait until it has ended")
            }
            (JobCommand::Cancel(_), Status::Running) => {
                (true, "only its task can cancel a running job, with `TaskError::cancel`")
            }
            (JobCommand::Retry(_), Status::Pending) => (
                due,
                "a job that is due needs no retry; if it does not start, check that a worker runs that serves its queue and \
                 its task",
            ),
            (JobCommand::Retry(_), Status::Completed) => {
                (true, "to do the work again, enqueue a new job, without the idempotency key of this one")
            }
            (JobCommand::Cancel(_), status) => {
                (status != Status::Pending, "only a pending job can be cancelled")
            }
            (JobCommand::Retry(_) | JobCommand::Delete(_), _) => (false, ""),
        };
        if !refused {
            return Ok(());
        }
        let verb = match self {
            JobCommand::Retry(_) => "retried",
            JobCommand::Cancel(_) => "cancelled",
            JobCommand::Delete(_) => "deleted",
        };
        let message = format!("job {} is {status} and cannot be {verb}", self.id());
        Err(Error::new(ErrorKind::Conflict, message).help(help))
    }
}

/// The error for a job that is not stored.
pub(crate) fn not_found(id: JobId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no job {id}"))
        .help(
        "check the id and `JobQueue::location()`; the job may also have been deleted, or the transaction that enqueued it \
         is not committed",
    )
}
