//! Runs one attempt of one job; catches a panic of the task and turns it into a failed outcome:
//! [`Execution`].
//!
//! An execution begins from a claim and is settled exactly once. What becomes of the job is decided by
//! `Verdict::of` in `model/retry.rs`. Writes nothing: the dispatcher sends the [`FinishReport`] to the store.
//!
//! Depends on the registry, the context and `model/retry.rs`, and not on the thread that runs it.
//!
//! Three ends race for an execution: the outcome of the task, its timeout, and the stop of the worker. The
//! first one settles it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::context::{JobContext, StopReason, StopSignal};
use crate::model::event::RunningJob;
use crate::model::job::JobId;
use crate::model::panic::caught;
use crate::model::retry::{Outcome, RetryBudget, Verdict};
use crate::store::{ClaimedJob, FinishedJob};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::task::{TaskDef, TaskError, TaskErrorKind};

use super::shared::WorkerShared;

/// A finished job for the store, with the data of its event.
#[derive(Debug)]
pub(super) struct FinishReport {
    pub(super) finish: FinishedJob,
    pub(super) ended: EndedAttempt,
}

/// Finished jobs for the store, and the data of their events in the same order. Each list is sent as it is, so a
/// batch is not copied and takes its memory only once.
#[derive(Debug, Default)]
pub(super) struct FinishReports {
    pub(super) jobs: Vec<FinishedJob>,
    pub(super) ended: Vec<EndedAttempt>,
}

impl FinishReports {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn push(&mut self, report: FinishReport) {
        self.jobs.push(report.finish);
        self.ended.push(report.ended);
    }
}

/// What the event of a finished job names, beside its claim and its verdict. Without the job itself: that would
/// keep the queue open until the event.
#[derive(Debug, Default)]
pub(super) struct EndedAttempt {
    /// Empty if the attempt never began.
    pub(super) task_name: &'static str,
    /// Empty if the attempt never began, or if no listener would read it.
    pub(super) queue: Box<str>,
    pub(super) run_time: Duration,
}

/// Aborts the future of an execution. The executor implements it, so that this file does not depend on the
/// executor.
pub(super) trait Abort: std::fmt::Debug + Send + Sync {
    /// Drops the future: at once, or after the current poll.
    fn abort(self: Arc<Self>);
}

/// A claimed job that has not started.
pub(super) struct UnstartedJob {
    pub(super) job: ClaimedJob,
    /// When the response with its claim arrived, on the monotonic clock.
    pub(super) claimed_at: Duration,
    /// The same instant in elapsed time, which a manual clock does not stop.
    pub(super) waits_since: Duration,
}

/// A job that is running.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) ctx: JobContext,
    pub(super) task: &'static TaskDef,
    /// When its timeout ends, on the monotonic clock.
    pub(super) deadline: Option<Duration>,
    stop: Arc<StopSignal>,
    began: Duration,
    /// The first of these to set it decides the verdict: the outcome, the timeout, or the stop of the worker.
    settled: AtomicBool,
    /// Set when the executor has the future.
    abort: OnceLock<Arc<dyn Abort>>,
}

impl Execution {
    /// Begins an attempt. If the task is unknown or the queue is closed, the job is released.
    pub(super) fn begin(
        shared: &WorkerShared,
        UnstartedJob { job, claimed_at, .. }: UnstartedJob,
    ) -> Result<Arc<Execution>, Box<FinishReport>> {
        let (Some(task), Some(queue)) = (shared.registry.get(&job.task_name), shared.queue.handle()) else {
            return Err(Box::new(FinishReport::unstarted(&job, Duration::ZERO)));
        };
        let began = shared.monotonic();
        let stop = Arc::new(StopSignal::default());
        let began_after = began.saturating_sub(claimed_at);
        let ctx = JobContext::new(job, began_after, shared.states.clone(), queue, stop.clone());
        Ok(Arc::new(Execution {
            ctx,
            task,
            deadline: task.options.timeout.map(|limit| began.saturating_add(limit)),
            stop,
            began,
            settled: AtomicBool::new(false),
            abort: OnceLock::new(),
        }))
    }

    pub(super) fn id(&self) -> JobId {
        self.ctx.job_id()
    }

    /// The job, as an event names it.
    pub(super) fn named(&self) -> RunningJob<'_> {
        RunningJob { id: self.id(), task_name: self.task.name, queue: &self.ctx.job().queue }
    }

    /// Whether the verdict is final.
    #[cfg(any(test, feature = "tokio"))]
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Sets the handle that aborts the future. Called once.
    #[cfg(feature = "tokio")]
    pub(super) fn set_abort_handle(&self, handle: Arc<dyn Abort>) {
        let _ = self.abort.set(handle);
    }

    /// Aborts the future, if the executor has it.
    pub(super) fn abort(&self) {
        if let Some(handle) = self.abort.get() {
            handle.clone().abort();
        }
    }

    /// Asks the task to stop. Called without a lock, because a waker runs code of a foreign executor.
    pub(super) fn request_stop(&self, reason: StopReason) {
        self.stop.set(reason);
    }

    /// Settles the execution by the outcome of its task; `None` if it was settled before.
    pub(super) fn finish(&self, shared: &WorkerShared, outcome: Outcome) -> Option<FinishReport> {
        if let Err(failure) = &outcome
            && matches!(failure.kind(), TaskErrorKind::Retry | TaskErrorKind::RetryIn(_))
            && matches!(self.stop.reason(), Some(StopReason::WorkerStopping | StopReason::LeaseLost))
        {
            // The task ended early on request, which is not a failure of the job.
            return self.settle(shared, Verdict::Release { wait: Duration::ZERO, started: true });
        }
        self.settle(shared, self.verdict(shared, outcome))
    }

    fn verdict(&self, shared: &WorkerShared, outcome: Outcome) -> Verdict {
        let job = self.ctx.job();
        let budget = RetryBudget {
            retry_count: job.retry_count,
            max_retries: job.max_retries,
            backoff: self.task.options.backoff,
            uncounted: job.claim.attempt.saturating_sub(1).saturating_sub(job.retry_count),
        };
        let failure = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        // A custom backoff is user code.
        let decided = caught(|| Verdict::of(outcome, budget, shared.rng.fraction()));
        decided.unwrap_or_else(|panic| Verdict::Fail {
            error: format!(
                "the attempt failed: {failure}; then the backoff function of the task panicked, so the job has \
                 failed: {panic}; correct the function, then call `queue.retry(id)`"
            ),
        })
    }

    /// The verdict if the timeout ends the attempt now. A timeout counts as a failure even if the lease may
    /// be lost. While the worker stops, it does not count.
    pub(super) fn timeout_verdict(&self, shared: &WorkerShared) -> Verdict {
        if matches!(self.stop.reason(), Some(StopReason::WorkerStopping)) {
            return Verdict::Release { wait: Duration::ZERO, started: true };
        }
        let limit = self.task.options.timeout.unwrap_or_default();
        self.verdict(shared, Err(TaskError::retry(format!("timed out after {limit:?}"))))
    }

    /// Settles the execution by releasing its job.
    pub(super) fn release(&self, shared: &WorkerShared) -> Option<FinishReport> {
        self.settle(shared, Verdict::Release { wait: Duration::ZERO, started: true })
    }

    /// Tells the task of a settled execution that its outcome no longer matters. Called without a lock,
    /// because a waker runs code of a foreign executor.
    pub(super) fn announce(&self, reason: StopReason) {
        self.stop.set(reason);
        self.stop.set_decided();
    }

    /// Settles the execution by `verdict`; `None` if it was settled before. The task is asked to stop later,
    /// so its return cannot settle the execution first.
    pub(super) fn settle(&self, shared: &WorkerShared, verdict: Verdict) -> Option<FinishReport> {
        if self.settled.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(FinishReport {
            finish: FinishedJob {
                claim: self.ctx.claim(),
                ticket: self.ctx.job().ticket,
                began_after: self.ctx.began_after(),
                verdict,
            },
            ended: EndedAttempt {
                task_name: self.task.name,
                queue: shared.name_for_events(&self.ctx.job().queue),
                run_time: shared.monotonic().saturating_sub(self.began),
            },
        })
    }
}

impl FinishReport {
    /// Releases a claimed job that was never started.
    pub(super) fn unstarted(job: &ClaimedJob, wait: Duration) -> FinishReport {
        FinishReport {
            finish: FinishedJob {
                claim: job.claim,
                ticket: job.ticket,
                began_after: Duration::ZERO,
                verdict: Verdict::Release { wait, started: false },
            },
            ended: EndedAttempt::default(),
        }
    }
}

/// Runs user code. A panic becomes a failed outcome with the message of the panic.
pub(crate) fn guarded(run: impl FnOnce() -> Outcome) -> Outcome {
    caught(run).unwrap_or_else(|panic| Err(panicked(&panic)))
}

pub(super) fn panicked(message: &str) -> TaskError {
    TaskError::retry(format!("the task panicked: {message}"))
}
