//! One attempt of one job: begun from a claim, run, and settled exactly once.
//!
//! Leans on the registry, the context and `retry::verdict`. Holds no lock and writes nothing: the dispatcher does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::context::{JobContext, States, StopReason, StopSignal};
use crate::model::event::Event;
use crate::model::job::{JobId, WorkerId};
use crate::model::retry::{Outcome, RetryBudget, Verdict};
use crate::model::rng::Rng;
use crate::queue::WeakQueue;
use crate::store::{ClaimedJob, FinishedJob};
use crate::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use crate::task::registry::Registry;
use crate::task::{TaskDef, TaskError, TaskErrorKind};

use super::Listener;

/// What all attempts of a worker share.
pub(super) struct WorkerShared {
    pub(super) queue: WeakQueue,
    pub(super) registry: Registry,
    states: Arc<States>,
    /// The worker's number now: it gets a new one after it was taken for dead.
    worker: AtomicI64,
    listener: Listener,
    rng: Rng,
}

impl WorkerShared {
    pub(super) fn new(
        queue: WeakQueue,
        registry: Registry,
        states: States,
        worker: WorkerId,
        listener: Listener,
        rng: Rng,
    ) -> WorkerShared {
        let worker = AtomicI64::new(worker.0);
        WorkerShared { queue, registry, states: Arc::new(states), worker, listener, rng }
    }

    pub(super) fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::Acquire))
    }

    pub(super) fn set_worker(&self, worker: WorkerId) {
        self.worker.store(worker.0, Ordering::Release);
    }

    pub(super) fn new_id(&self) -> WorkerId {
        WorkerId(self.rng.id())
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        // A listener is the program's own code: its panic must not take a worker's thread with it.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.listener)(event)));
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.queue.clock().monotonic()
    }

    /// Goes on though a test holds the clock.
    pub(super) fn elapsed(&self) -> Duration {
        self.queue.clock().elapsed()
    }
}

impl std::fmt::Debug for WorkerShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerShared").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// A finish on its way to the store, with what is told about it afterwards.
#[derive(Debug)]
pub(super) struct FinishReport {
    pub(super) finish: FinishedJob,
    pub(super) task_name: &'static str,
    pub(super) ran: Duration,
}

/// A job that is being run.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) ctx: JobContext,
    pub(super) task: &'static TaskDef,
    stop: Arc<StopSignal>,
    begun: Duration,
    /// When it is overdue, on the monotonic clock.
    pub(super) deadline: Option<Duration>,
    /// Whoever sets it decides how the attempt ended: its own end, its timeout, or a stop.
    settled: AtomicBool,
    #[cfg(feature = "tokio")]
    pub(super) future: std::sync::OnceLock<Arc<super::async_executor::Job>>,
}

impl Execution {
    /// Begins an attempt; gives the job back if its task is not known after all, or the queue is closed.
    pub(super) fn begin(
        shared: &WorkerShared,
        job: ClaimedJob,
        claimed: Duration,
    ) -> Result<Arc<Execution>, Box<FinishReport>> {
        let (Some(task), Some(queue)) = (shared.registry.get(&job.task_name), shared.queue.handle()) else {
            return Err(Box::new(release(&job, Duration::ZERO)));
        };
        let begun = shared.monotonic();
        let stop = Arc::new(StopSignal::default());
        let ctx =
            JobContext::new(job, begun.saturating_sub(claimed), shared.states.clone(), queue, stop.clone());
        Ok(Arc::new(Execution {
            ctx,
            task,
            stop,
            begun,
            deadline: task.options.timeout.map(|limit| begun.saturating_add(limit)),
            settled: AtomicBool::new(false),
            #[cfg(feature = "tokio")]
            future: std::sync::OnceLock::new(),
        }))
    }

    /// Whether its end is decided.
    #[cfg(any(test, feature = "tokio"))]
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    pub(super) fn id(&self) -> JobId {
        self.ctx.job_id()
    }

    /// Decides the attempt by its outcome; `None` if it was decided before.
    pub(super) fn settle(&self, shared: &WorkerShared, outcome: Outcome) -> Option<FinishReport> {
        if let Err(failure) = &outcome
            && matches!(failure.kind(), TaskErrorKind::Retry | TaskErrorKind::RetryIn(_))
            && matches!(self.stop.reason(), Some(StopReason::WorkerStopping | StopReason::LeaseLost))
        {
            // It ends early since it was told to, which is no failure of the job.
            return self.decide(shared, Verdict::Release { wait: Duration::ZERO, started: true });
        }
        self.decide(shared, self.verdict(shared, outcome))
    }

    fn verdict(&self, shared: &WorkerShared, outcome: Outcome) -> Verdict {
        let job = self.ctx.job();
        let budget = RetryBudget {
            retry_count: job.retry_count,
            max_retries: job.max_retries,
            backoff: self.task.options.backoff,
        };
        // A custom backoff is the program's own code.
        let decided = catch_unwind(AssertUnwindSafe(|| Verdict::of(outcome, budget, shared.rng.fraction())));
        decided.unwrap_or_else(|panic| Verdict::Fail {
            error: format!("the backoff panicked: {}", message(&*panic)),
        })
    }

    /// What becomes of it if it runs out of time now. A timeout is a failure though the lease was in doubt; one that comes while
    /// the worker stops is not.
    pub(super) fn overdue(&self, shared: &WorkerShared) -> Verdict {
        if matches!(self.stop.reason(), Some(StopReason::WorkerStopping)) {
            return Verdict::Release { wait: Duration::ZERO, started: true };
        }
        let limit = self.task.options.timeout.unwrap_or_default();
        self.verdict(shared, Err(TaskError::retry(format!("timed out after {limit:?}"))))
    }

    /// Decides that it ran out of time.
    pub(super) fn expire(&self, shared: &WorkerShared, overdue: Verdict) -> Option<FinishReport> {
        // Decided before the task is told, so that one that ends at the word does not decide it.
        let done = self.decide(shared, overdue);
        self.stop.set(StopReason::TimedOut);
        self.stop.set_decided();
        done
    }

    /// Decides that the job goes back.
    pub(super) fn give_back(&self, shared: &WorkerShared) -> Option<FinishReport> {
        self.stop.set(StopReason::WorkerStopping);
        let done = self.decide(shared, Verdict::Release { wait: Duration::ZERO, started: true });
        self.stop.set_decided();
        done
    }

    /// Tells the task to come to an end.
    pub(super) fn tell_to_stop(&self, reason: StopReason) {
        self.stop.set(reason);
    }

    fn decide(&self, shared: &WorkerShared, verdict: Verdict) -> Option<FinishReport> {
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
            task_name: self.task.name,
            ran: shared.monotonic().saturating_sub(self.begun),
        })
    }
}

/// A claimed job that goes back unstarted.
pub(super) fn release(job: &ClaimedJob, wait: Duration) -> FinishReport {
    FinishReport {
        finish: FinishedJob {
            claim: job.claim,
            ticket: job.ticket,
            began_after: Duration::ZERO,
            verdict: Verdict::Release { wait, started: false },
        },
        task_name: "",
        ran: Duration::ZERO,
    }
}

/// Runs a piece of the program's own code; its panic becomes a failed attempt with the panic's message.
pub(crate) fn guarded(run: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

pub(super) fn panicked(panic: &(dyn Any + Send)) -> TaskError {
    TaskError::retry(format!("the task panicked: {}", message(panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(the panic carries no text)")
}
