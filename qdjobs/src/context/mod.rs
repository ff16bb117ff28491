//! What a running task can ask about its job and report to it: [`JobContext`].
//!
//! Does not decide when a task should stop: see `worker/`. The signal is in `stop_signal.rs`, the shared
//! values are in `states.rs`. What becomes of the job is decided in `model/retry.rs`.
//!
//! Depends on the claim types of the store and on the queue handle.

mod states;
mod stop_signal;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::states::States;
pub(crate) use self::stop_signal::StopSignal;
pub use self::stop_signal::{StopReason, Stopped};
use crate::model::clock::Timestamp;
use crate::model::error::Result;
use crate::model::job::{JobId, Progress};
use crate::model::json;
use crate::model::outcome::result_json;
use crate::model::retry::Verdict;
use crate::queue::JobQueue;
use crate::store::{
    Claim, ClaimedJob, Completion, CompletionTarget, FinishedJob, ProgressSlot, SqlStatement,
};

/// The running job, from the view of its task. A task takes it as a parameter: `ctx: &JobContext`.
///
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct JobContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    job: ClaimedJob,
    began_after: Duration,
    states: Arc<States>,
    queue: JobQueue,
    progress: Arc<ProgressSlot>,
    stop: Arc<StopSignal>,
}

impl JobContext {
    pub(crate) fn new(
        job: ClaimedJob,
        began_after: Duration,
        states: Arc<States>,
        queue: JobQueue,
        stop: Arc<StopSignal>,
    ) -> JobContext {
        let progress = Arc::new(ProgressSlot::new(job.claim));
        JobContext(Arc::new(Inner { job, began_after, states, queue, progress, stop }))
    }

    /// The id of the job.
    pub fn job_id(&self) -> JobId {
        self.0.job.claim.id
    }

    /// The task's name as it is stored with the job.
    pub fn task_name(&self) -> &str {
        &self.0.job.task_name
    }

    /// The job's display name; its task's name if it has none.
    pub fn name(&self) -> &str {
        self.0.job.name.as_deref().unwrap_or(&self.0.job.task_name)
    }

    /// The name of the job's queue.
    pub fn queue_name(&self) -> &str {
        &self.0.job.queue
    }

    /// The number of this attempt: 1 for the first.
    ///
    /// It grows with each start of the job, so id and attempt together are a fencing token: pass both to
    /// services that accept one.
    pub fn attempt(&self) -> u32 {
        self.0.job.claim.attempt
    }

    /// The number of retries used before this attempt.
    pub fn retry_count(&self) -> u32 {
        self.0.job.retry_count
    }

    /// Whether the job becomes `failed` if this attempt fails.
    pub fn is_last_attempt(&self) -> bool {
        self.0.job.retry_count >= self.0.job.max_retries
    }

    /// When the job was enqueued.
    pub fn created_at(&self) -> Timestamp {
        self.0.job.created_at
    }

    /// When the job was due.
    pub fn scheduled_at(&self) -> Timestamp {
        self.0.job.scheduled_at
    }

    /// The metadata that the caller stored with the job: the text of a JSON object.
    pub fn metadata(&self) -> Option<&str> {
        self.0.job.metadata.as_deref()
    }

    /// The idempotency key that the job was enqueued with.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.job.idempotency_key.as_deref()
    }

    /// The queue, to enqueue follow-up jobs.
    pub fn queue(&self) -> &JobQueue {
        &self.0.queue
    }

    /// A text that identifies the job: the same at every attempt, different for every other job of the
    /// database.
    ///
    /// Pass it to services that accept an idempotency key.
    pub fn job_key(&self) -> String {
        format!("qdjobs-{}-{}", self.0.job.created_at.as_microsecond(), self.0.job.claim.id)
    }

    /// Reports the progress of the job, from 0.0 to 1.0.
    ///
    /// Returns at once; the store writes the report soon after. If reports come faster than the store writes,
    /// only the latest is stored.
    pub fn progress(&self, fraction: f64) {
        self.report(Progress::new(fraction, None));
    }

    /// Reports the progress of the job together with a message.
    pub fn progress_with(&self, fraction: f64, message: impl Into<String>) {
        self.report(Progress::new(fraction, Some(message.into())));
    }

    fn report(&self, progress: Progress) {
        if self.0.progress.set(progress) {
            self.0.queue.store().report_progress(self.0.progress.clone());
        }
    }

    /// Whether the task should stop; [`stop_reason`](JobContext::stop_reason) returns the reason.
    ///
    /// A long task checks this between its steps and returns early. If the job still belongs to this attempt,
    /// the return value counts. A result completes the job, a permanent error fails it, and a cancellation
    /// cancels it. Any other error releases the job without using a retry.
    pub fn should_stop(&self) -> bool {
        self.0.stop.reason().is_some()
    }

    /// Why the task should stop; `None` if it should not.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.stop.reason()
    }

    /// A future that resolves when the task should stop; for `select!` in an `async fn` task.
    pub fn stopped(&self) -> Stopped {
        Stopped::new(&self.0.stop)
    }

    /// Completes the job inside a transaction of your own, in the same database.
    ///
    /// Your rows, follow-up jobs enqueued in the transaction, and the completion are committed together or
    /// not at all, so their effect happens exactly once. If the job no longer belongs to this attempt,
    /// because it timed out or was rescued, this returns
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost). Return that error from the task, so that the
    /// transaction is rolled back.
    ///
    /// **Begin the transaction with `TransactionBehavior::Immediate`.** It then waits for the write lock at its
    /// beginning. A deferred transaction, the default of rusqlite, can fail here with
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy), whatever the busy timeout is.
    ///
    /// The target is a `&rusqlite::Transaction` or a `&rusqlite::Savepoint`; see [`CompletionTarget`]. For other
    /// drivers, see [`completion_statement`](JobContext::completion_statement). Whether the commit survives a power loss depends on
    /// the `synchronous` setting of *your* connection. A setting below `FULL` is refused unless the queue was
    /// opened with `Durability::Relaxed`.
    pub fn complete_in<R: serde::Serialize, T: CompletionTarget>(&self, target: T, result: &R) -> T::Answer {
        target.run(self.completion(result))
    }

    /// Returns one SQL statement that completes the job, for a transaction of your own on a driver other than
    /// rusqlite: sqlx, diesel, sea-orm. It does what [`complete_in`](JobContext::complete_in) does.
    ///
    /// Begin the transaction with `BEGIN IMMEDIATE`. Bind [`json`](SqlStatement::json) as the only parameter, a
    /// text, and execute the statement. If it changes one row, commit; the return value of the task then has no
    /// effect. If it changes no row, this attempt no longer holds the job: roll back, and return an error.
    ///
    /// ```
    /// # use qdjobs::prelude::*;
    /// #[task("ship")]
    /// fn ship(order: i64, ctx: &JobContext) -> Result<(), TaskError> {
    ///     let completion = ctx.completion_statement(&()).map_err(TaskError::permanent)?;
    ///     // In the transaction of your driver: the rows of the order, then this statement with this text.
    ///     let (_sql, _json) = (&completion.sql, &completion.json);
    /// #   let _ = order;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The statement also returns the id of the job as a row. The driver must use the same SQLite library as
    /// qdjobs, and its connection must keep `synchronous = FULL`, which is the default. The guide to transactions
    /// has whole programs for sqlx and diesel.
    pub fn completion_statement<R: serde::Serialize>(&self, result: &R) -> Result<SqlStatement> {
        self.completion(result).map(Completion::into_statement)
    }

    fn completion(&self, result: &(impl serde::Serialize + ?Sized)) -> Result<Completion> {
        let finished = FinishedJob {
            claim: self.0.job.claim,
            ticket: self.0.job.ticket,
            began_after: self.0.began_after,
            verdict: Verdict::Complete { result: result_json(json::write_result_unread(result))? },
        };
        Completion::new(&**self.0.queue.store(), &finished)
    }

    /// The shared value of type `T` that was passed to [`Worker::state`](crate::Worker::state).
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.states.get::<T>()
    }

    /// Resolves when the verdict on the job is final. The return value of the task then has no effect.
    #[cfg(feature = "tokio")]
    pub(crate) fn decided(&self) -> impl Future<Output = ()> + use<> {
        self.0.stop.decided()
    }

    pub(crate) fn claim(&self) -> Claim {
        self.0.job.claim
    }

    pub(crate) fn job(&self) -> &ClaimedJob {
        &self.0.job
    }

    /// The time from the claim to the start of the task, on the worker's monotonic clock.
    pub(crate) fn began_after(&self) -> Duration {
        self.0.began_after
    }
}
