//! The tasks that are measured, and the workers of qdjobs that run them.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use qdjobs::{Event, JobQueue, Task, TaskDef, Worker, task};

use crate::{Result, measure};

/// Does nothing; its params are decoded all the same.
#[task("bench.noop")]
pub(crate) fn noop(filler: &str) {
    let _ = filler;
}

/// Records how long it took to begin.
#[task("bench.stamp")]
pub(crate) fn stamp(sent: u64, filler: &str, #[state] stamps: &Arc<Stamps>) {
    let _ = filler;
    stamps.record(sent);
}

/// Awaits [`SLEEP_TIME`].
#[task("bench.sleep")]
async fn sleep(filler: &str, #[state] threads: &Arc<Threads>) {
    let _ = filler;
    threads.record();
    tokio::time::sleep(SLEEP_TIME).await;
    threads.record();
}

pub(crate) const SLEEP_TIME: Duration = Duration::from_millis(100);

pub(crate) const NOOP: &TaskDef = Noop::DEF;
pub(crate) const STAMP: &TaskDef = Stamp::DEF;
pub(crate) const SLEEP: &TaskDef = Sleep::DEF;

/// The current instant, as [`Stamp`] carries it.
pub(crate) fn now_nanos() -> u64 {
    measure::now().as_nanos() as u64
}

/// The params of a stamp job, for callers that write them by hand.
pub(crate) fn stamp_params(filler: &str) -> String {
    format!(r#"{{"sent":{},"filler":"{filler}"}}"#, now_nanos())
}

/// How long stamp jobs took to begin.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    taken: Mutex<Vec<Duration>>,
    one_more: Condvar,
}

impl Stamps {
    fn record(&self, sent: u64) {
        let waited = Duration::from_nanos(now_nanos().saturating_sub(sent));
        lock(&self.taken).push(waited);
        self.one_more.notify_one();
    }

    /// The same for params as text.
    pub(crate) fn record_text(&self, params: &str) {
        let params: serde_json::Value = serde_json::from_str(params).unwrap_or_default();
        self.record(params["sent"].as_u64().unwrap_or(0));
    }

    /// All of them, once there are `many`.
    pub(crate) fn take(&self, many: usize) -> Result<Vec<Duration>> {
        let few = |taken: &mut Vec<Duration>| taken.len() < many;
        let (mut taken, late) = self
            .one_more
            .wait_timeout_while(lock(&self.taken), WAIT_MAX, few)
            .unwrap_or_else(PoisonError::into_inner);
        if late.timed_out() {
            return Err(format!("only {} of {many} jobs have begun", taken.len()).into());
        }
        Ok(std::mem::take(&mut *taken))
    }
}

/// The threads that have run jobs.
#[derive(Debug, Default)]
pub(crate) struct Threads(Mutex<HashSet<ThreadId>>);

impl Threads {
    fn record(&self) {
        lock(&self.0).insert(std::thread::current().id());
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Counts jobs whose completion is committed, and wakes the threads that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    state: Mutex<(u64, u64)>,
    reached: Condvar,
}

/// A figure that takes longer than this has failed.
const WAIT_MAX: Duration = Duration::from_secs(600);

impl Tally {
    pub(crate) fn add(&self, jobs: u64) {
        let mut state = lock(&self.state);
        state.0 += jobs;
        if state.0 >= state.1 {
            self.reached.notify_all();
        }
    }

    /// Waits until this many have completed.
    pub(crate) fn wait(&self, jobs: u64) -> Result<()> {
        let mut state = lock(&self.state);
        state.1 = jobs;
        let few = |state: &mut (u64, u64)| state.0 < jobs;
        let (state, late) =
            self.reached.wait_timeout_while(state, WAIT_MAX, few).unwrap_or_else(PoisonError::into_inner);
        if late.timed_out() {
            return Err(format!("only {} of {jobs} jobs have completed", state.0).into());
        }
        Ok(())
    }
}

/// A worker for no-op jobs.
pub(crate) fn worker(queue: &JobQueue, slots: usize, tally: &Arc<Tally>) -> Worker {
    counted(queue, slots, tally).task::<Noop>()
}

/// A worker for stamp jobs.
pub(crate) fn stamp_worker(
    queue: &JobQueue,
    slots: usize,
    tally: &Arc<Tally>,
    stamps: &Arc<Stamps>,
) -> Worker {
    counted(queue, slots, tally).task::<Stamp>().state(stamps.clone())
}

/// A worker for sleep jobs, `many` at once.
pub(crate) fn sleeping_worker(
    queue: &JobQueue,
    many: usize,
    tally: &Arc<Tally>,
    threads: &Arc<Threads>,
) -> Worker {
    counted(queue, 1, tally).async_concurrency(many).task::<Sleep>().state(threads.clone())
}

fn counted(queue: &JobQueue, slots: usize, tally: &Arc<Tally>) -> Worker {
    let tally = tally.clone();
    Worker::new(queue).concurrency(slots).on_event(move |event| {
        if let Event::Completed { .. } = event {
            tally.add(1);
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
