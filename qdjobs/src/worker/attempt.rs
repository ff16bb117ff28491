//! One attempt of one job: begun from a claim, run, and settled exactly once.
//!
//! Leans on the registry, the context and `retry::verdict`. Holds no lock and writes nothing: the lane does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::context::{JobContext, States, StopReason, StopSignal};
use crate::event::Event;
use crate::job::{JobId, WorkerId};
use crate::queue::LentQueue;
use crate::registry::Registry;
use crate::retry::{Budget, Outcome, Verdict, verdict};
use crate::store::{Claimed, Finish};
use crate::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use crate::task::{TaskDef, TaskError, TaskErrorKind};

use super::Listener;

/// What all attempts of a worker share.
pub(super) struct Shop {
    pub(super) queue: LentQueue,
    pub(super) registry: Registry,
    states: Arc<States>,
    /// The worker's number now: it gets a new one after it was taken for dead.
    worker: AtomicI64,
    listener: Listener,
    chance: Chance,
}

impl Shop {
    pub(super) fn new(
        queue: LentQueue,
        registry: Registry,
        states: States,
        worker: WorkerId,
        listener: Listener,
        chance: Chance,
    ) -> Shop {
        let worker = AtomicI64::new(worker.0);
        Shop { queue, registry, states: Arc::new(states), worker, listener, chance }
    }

    pub(super) fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::Acquire))
    }

    pub(super) fn set_worker(&self, worker: WorkerId) {
        self.worker.store(worker.0, Ordering::Release);
    }

    pub(super) fn new_id(&self) -> WorkerId {
        WorkerId(self.chance.id())
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

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shop").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// A finish on its way to the store, with what is told about it afterwards.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) finish: Finish,
    pub(super) task_name: &'static str,
    pub(super) ran: Duration,
}

/// A job that is being run.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ctx: JobContext,
    pub(super) task: &'static TaskDef,
    stop: Arc<StopSignal>,
    begun: Duration,
    /// When it is overdue, on the monotonic clock.
    pub(super) deadline: Option<Duration>,
    /// Whoever sets it decides how the attempt ended: its own end, its timeout, or a stop.
    settled: AtomicBool,
    #[cfg(feature = "tokio")]
    pub(super) future: std::sync::OnceLock<Arc<super::executor::Job>>,
}

impl Attempt {
    /// Begins an attempt; gives the job back if its task is not known after all, or the queue is closed.
    pub(super) fn begin(shop: &Shop, job: Claimed) -> Result<Arc<Attempt>, Done> {
        let (Some(task), Some(queue)) = (shop.registry.get(&job.task_name), shop.queue.handle()) else {
            return Err(release(&job, Duration::ZERO));
        };
        let begun = shop.monotonic();
        let stop = Arc::new(StopSignal::default());
        let now = shop.queue.clock().now();
        let ctx = JobContext::new(job, now, shop.states.clone(), queue, stop.clone());
        Ok(Arc::new(Attempt {
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
    pub(super) fn settle(&self, shop: &Shop, outcome: Outcome) -> Option<Done> {
        if let Err(failure) = &outcome
            && matches!(failure.kind(), TaskErrorKind::Retry | TaskErrorKind::RetryIn(_))
            && matches!(self.stop.reason(), Some(StopReason::Stopping | StopReason::LeaseLost))
        {
            // It ends early since it was told to, which is no failure of the job.
            return self.decide(shop, Verdict::Release { wait: Duration::ZERO, started: true });
        }
        self.decide(shop, self.verdict(shop, outcome))
    }

    fn verdict(&self, shop: &Shop, outcome: Outcome) -> Verdict {
        let job = self.ctx.job();
        let budget = Budget {
            retry_count: job.retry_count,
            max_retries: job.max_retries,
            backoff: self.task.options.backoff,
        };
        // A custom backoff is the program's own code.
        let decided = catch_unwind(AssertUnwindSafe(|| verdict(outcome, budget, shop.chance.fraction())));
        decided.unwrap_or_else(|panic| Verdict::Fail {
            error: format!("the backoff panicked: {}", message(&*panic)),
        })
    }

    /// What becomes of it if it runs out of time now. A timeout is a failure though the lease was in doubt; one that comes while
    /// the worker stops is not.
    pub(super) fn overdue(&self, shop: &Shop) -> Verdict {
        if matches!(self.stop.reason(), Some(StopReason::Stopping)) {
            return Verdict::Release { wait: Duration::ZERO, started: true };
        }
        let limit = self.task.options.timeout.unwrap_or_default();
        self.verdict(shop, Err(TaskError::retry(format!("timed out after {limit:?}"))))
    }

    /// Decides that it ran out of time.
    pub(super) fn expire(&self, shop: &Shop, overdue: Verdict) -> Option<Done> {
        // Decided before the task is told, so that one that ends at the word does not decide it.
        let done = self.decide(shop, overdue);
        self.stop.set(StopReason::TimedOut);
        self.stop.set_decided();
        done
    }

    /// Decides that the job goes back.
    pub(super) fn give_back(&self, shop: &Shop) -> Option<Done> {
        self.stop.set(StopReason::Stopping);
        let done = self.decide(shop, Verdict::Release { wait: Duration::ZERO, started: true });
        self.stop.set_decided();
        done
    }

    /// Tells the task to come to an end.
    pub(super) fn tell_to_stop(&self, reason: StopReason) {
        self.stop.set(reason);
    }

    fn decide(&self, shop: &Shop, verdict: Verdict) -> Option<Done> {
        if self.settled.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(Done {
            finish: Finish { claim: self.ctx.claim(), started_at: self.ctx.started_at(), verdict },
            task_name: self.task.name,
            ran: shop.monotonic().saturating_sub(self.begun),
        })
    }
}

/// A claimed job that goes back unstarted.
pub(super) fn release(job: &Claimed, wait: Duration) -> Done {
    Done {
        finish: Finish {
            claim: job.claim,
            started_at: job.claimed_at,
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
