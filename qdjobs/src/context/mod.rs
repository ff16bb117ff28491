//! What a running task sees of its job: [`JobContext`].
//!
//! Leans on the store's tokens and on the queue handle. Decides nothing: what a task's end means is said in `retry`.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::model::clock::Timestamp;
use crate::model::error::Result;
use crate::model::job::{JobId, Progress};
use crate::model::retry::Verdict;
use crate::queue::JobQueue;
use crate::store::{Claim, ClaimedJob, FinishedJob, ProgressSlot};

/// What a task may ask and say about the job it runs. Take it as a parameter: `ctx: &JobContext`.
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
    note: Arc<ProgressSlot>,
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
        let note = Arc::new(ProgressSlot::new(job.claim));
        JobContext(Arc::new(Inner { job, began_after, states, queue, note, stop }))
    }

    /// The job's number.
    pub fn job_id(&self) -> JobId {
        self.0.job.claim.id
    }

    /// The task's name as it is stored with the job.
    pub fn task_name(&self) -> &str {
        &self.0.job.task_name
    }

    /// The job's display name.
    pub fn name(&self) -> &str {
        self.0.job.name.as_deref().unwrap_or(&self.0.job.task_name)
    }

    /// The queue the job came from.
    pub fn queue_name(&self) -> &str {
        &self.0.job.queue
    }

    /// The number of this attempt: 1 for the first. It grows with each start of the job and fences off earlier ones:
    /// pass it (with the id) to services that accept a fencing token.
    pub fn attempt(&self) -> u32 {
        self.0.job.claim.attempt
    }

    /// Retries used before this attempt.
    pub fn retry_count(&self) -> u32 {
        self.0.job.retry_count
    }

    /// Whether a failure of this attempt would be the job's last.
    pub fn is_last_attempt(&self) -> bool {
        self.0.job.retry_count >= self.0.job.max_retries
    }

    /// When the job was stored.
    pub fn created_at(&self) -> Timestamp {
        self.0.job.created_at
    }

    /// When the job was due.
    pub fn scheduled_at(&self) -> Timestamp {
        self.0.job.scheduled_at
    }

    /// The caller's own JSON object, as text.
    pub fn metadata(&self) -> Option<&str> {
        self.0.job.metadata.as_deref()
    }

    /// The key under which the job was enqueued, if it has one.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.job.idempotency_key.as_deref()
    }

    /// The queue itself: to enqueue what comes next.
    pub fn queue(&self) -> &JobQueue {
        &self.0.queue
    }

    /// A text that is the same at every attempt of this job and different for every other job of this database: for
    /// services that take an idempotency key.
    pub fn job_key(&self) -> String {
        format!("qdjobs-{}-{}", self.0.job.created_at.as_microsecond(), self.0.job.claim.id)
    }

    /// Says how far the work has come, from 0.0 to 1.0. Returns at once; readers see it within a commit or two. Of
    /// reports that come faster than they can be written, the latest is.
    pub fn progress(&self, fraction: f64) {
        self.report(Progress::new(fraction, None));
    }

    /// Says how far the work has come, and what it is doing.
    pub fn progress_with(&self, fraction: f64, message: impl Into<String>) {
        self.report(Progress::new(fraction, Some(message.into())));
    }

    fn report(&self, progress: Progress) {
        if self.0.note.set(progress) {
            self.0.queue.store().report_progress(self.0.note.clone());
        }
    }

    /// Whether the task should come to an end: see [`stop_reason`](JobContext::stop_reason). Long work asks between
    /// its steps and returns early. The answer it then gives is still honoured if the job is still its own: a result completes
    /// the job, a permanent error or a cancel ends it, and any other error gives it back without counting as a failure.
    pub fn should_stop(&self) -> bool {
        self.0.stop.reason().is_some()
    }

    /// Why the task should come to an end.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.stop.reason()
    }

    /// Resolves when the task should come to an end; for `select!` in an async task.
    pub fn stopped(&self) -> Stopped {
        Stopped::of(&self.0.stop)
    }

    /// Completes the job inside a transaction of the task's own, on a connection to the same database file.
    ///
    /// The task's rows, follow-up jobs enqueued on `tx`, and the completion are then committed together or not at
    /// all: their effect happens exactly once, whatever dies in between. If the job is no longer this attempt's own
    /// (it timed out or was rescued), this is refused with [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost): return the
    /// error, so that the transaction is rolled back.
    ///
    /// Begin the transaction with `TransactionBehavior::Immediate`, so that it waits for its turn to write instead of
    /// failing half-way. What survives a power loss is up to *your* connection's `synchronous` setting: one below FULL
    /// is refused.
    pub fn complete_in<R: serde::Serialize>(&self, tx: &rusqlite::Transaction<'_>, result: &R) -> Result<()> {
        let result = crate::task::result_json(result)?;
        let now = self.0.queue.clock().now();
        let durable = self.0.queue.store().survives_power_loss();
        let finished = FinishedJob {
            claim: self.0.job.claim,
            ticket: self.0.job.ticket,
            began_after: self.0.began_after,
            verdict: Verdict::Complete { result },
        };
        crate::store::sqlite::complete_in(tx, &finished, now, durable)
    }

    /// The shared value of type `T` that the worker was given with `Worker::state`.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.states.get::<T>()
    }

    /// Resolves when what becomes of the job has been decided over the task's head.
    #[cfg(feature = "tokio")]
    pub(crate) fn decided(&self) -> impl Future<Output = ()> + use<> {
        let mut listener = Listener::new(&self.0.stop);
        std::future::poll_fn(move |cx| {
            listener.poll(cx, |stop| stop.decided.load(Ordering::Acquire).then_some(()))
        })
    }

    pub(crate) fn claim(&self) -> Claim {
        self.0.job.claim
    }

    pub(crate) fn job(&self) -> &ClaimedJob {
        &self.0.job
    }

    /// The time from the claim to the start of the task.
    pub(crate) fn began_after(&self) -> Duration {
        self.0.began_after
    }
}

/// Why a running task should come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It has run for longer than its timeout: the attempt already counts as failed.
    TimedOut,
    /// The worker stops and its grace is over: the job goes back without losing an attempt.
    WorkerStopping,
    /// Another worker may run the job by now; whatever this attempt returns is refused.
    LeaseLost,
    /// The store has stopped for good, so whatever this attempt returns cannot be stored; the job is run again after a
    /// restart.
    StoreHalted,
}

/// Tells one attempt to come to an end. Set once; the first reason stands.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    reason: AtomicU8,
    /// What becomes of the job is decided: nobody listens to the task any more.
    decided: AtomicBool,
    /// Guards only the wakers; the reason is read without it, since tasks may ask in their innermost loop.
    listeners: Mutex<Listeners>,
}

/// Whom to wake, by the number of the [`Listener`].
#[derive(Debug, Default)]
struct Listeners {
    wakers: BTreeMap<u64, Waker>,
    numbers: u64,
}

/// The place of one future among those that wait for a signal. Dropped, it leaves nothing behind: a task may wait a thousand
/// times in one attempt.
#[derive(Debug)]
struct Listener {
    stop: Arc<StopSignal>,
    /// Its number, since its first poll.
    number: Option<u64>,
}

impl Listener {
    fn new(stop: &Arc<StopSignal>) -> Listener {
        Listener { stop: stop.clone(), number: None }
    }

    fn poll<T>(&mut self, cx: &Context<'_>, fact: impl Fn(&StopSignal) -> Option<T>) -> Poll<T> {
        if let Some(fact) = fact(&self.stop) {
            return Poll::Ready(fact);
        }
        // A waker is a foreign executor's own code: it is cloned before the lock is taken, and dropped after it is given back.
        let waker = cx.waker().clone();
        let before = {
            let mut listeners = self.stop.listeners();
            let number = *self.number.get_or_insert_with(|| {
                listeners.numbers += 1;
                listeners.numbers
            });
            listeners.wakers.insert(number, waker)
        };
        drop(before);
        // The signal may have been set between the look and the entry among the listeners.
        fact(&self.stop).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.stop.listeners().wakers.remove(&number);
            drop(waker);
        }
    }
}

impl StopSignal {
    pub(crate) fn set(&self, reason: StopReason) {
        let code = match reason {
            StopReason::TimedOut => 1,
            StopReason::WorkerStopping => 2,
            StopReason::LeaseLost => 3,
            StopReason::StoreHalted => 4,
        };
        if self.reason.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.wake();
        }
    }

    /// Tells those who carry the task on that there is no more use in it.
    pub(crate) fn set_decided(&self) {
        self.decided.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut self.listeners().wakers);
        for waker in wakers.into_values() {
            // A foreign executor's own code: its panic is its own, and must not end the thread that tells everybody.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(StopReason::TimedOut),
            2 => Some(StopReason::WorkerStopping),
            3 => Some(StopReason::LeaseLost),
            4 => Some(StopReason::StoreHalted),
            _ => None,
        }
    }
}

/// The future of [`JobContext::stopped`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Stopped(Listener);

impl Stopped {
    fn of(stop: &Arc<StopSignal>) -> Stopped {
        Stopped(Listener::new(stop))
    }
}

impl Future for Stopped {
    type Output = StopReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<StopReason> {
        self.0.poll(cx, StopSignal::reason)
    }
}

/// The shared values of a worker, one a type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    /// Keeps `value`; `false` if there was one of its type, which is then replaced.
    pub(crate) fn put<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Box::new(value)).is_none()
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
    }

    pub(crate) fn has(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} shared values", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls as a task of its own would, and answers what knows of its wakes.
    fn polled(future: &mut Stopped) -> Arc<Count> {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
        count
    }

    #[test]
    fn a_future_that_is_dropped_leaves_no_waker_behind() {
        let stop = Arc::new(StopSignal::default());
        let mut stays = Stopped::of(&stop);
        let counts: Vec<Arc<Count>> = (0..100).map(|_| polled(&mut Stopped::of(&stop))).collect();
        let replaced = polled(&mut stays);
        let kept = polled(&mut stays);
        assert!(counts.iter().chain([&replaced]).all(|count| Arc::strong_count(count) == 1));
        stop.set(StopReason::TimedOut);
        assert_eq!(kept.0.load(Ordering::SeqCst), 1);
        assert_eq!(counts.iter().map(|count| count.0.load(Ordering::SeqCst)).sum::<usize>(), 0);
        assert!(Pin::new(&mut stays).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn all_who_wait_are_woken_and_a_waker_that_panics_harms_neither_them_nor_the_worker() {
        struct Grenade;
        impl Wake for Grenade {
            fn wake(self: Arc<Self>) {
                panic!("a waker of somebody else's");
            }
        }
        let stop = Arc::new(StopSignal::default());
        let (mut first, mut second, mut third) = (Stopped::of(&stop), Stopped::of(&stop), Stopped::of(&stop));
        let before = polled(&mut first);
        let grenade = Waker::from(Arc::new(Grenade));
        assert!(Pin::new(&mut second).poll(&mut Context::from_waker(&grenade)).is_pending());
        let after = polled(&mut third);
        stop.set(StopReason::WorkerStopping);
        assert_eq!([before.0.load(Ordering::SeqCst), after.0.load(Ordering::SeqCst)], [1, 1]);
    }
}
