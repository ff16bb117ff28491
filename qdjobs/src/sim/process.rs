//! One simulated process: [`Process`], and the store, the worker and the callers in it while it is alive.
//!
//! It checks nothing and knows no other process. When a process takes a step is decided in `world.rs`.
//!
//! Depends on the stepped store and the stepped worker, which are the product's own code.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qdjobs_sim_disk::Rng as SimRng;

use super::plan::Plan;
use crate::model::clock::Clock;
use crate::model::error::ErrorKind;
use crate::model::event::Event;
use crate::model::job::{Job, JobId, NewJob, WorkerId};
use crate::model::retry::{Backoff, Outcome};
use crate::model::rng::Rng;
use crate::queue::JobQueue;
use crate::store::sqlite::SqliteOptions;
use crate::store::sqlite::testing::stepped::SteppedStore;
use crate::store::{Pending, Store, TaskDefaults, TaskSet, WorkerInfo};
use crate::task::registry::Registry;
use crate::task::{Run, TaskDef, TaskOptions};
use crate::worker::testing::{RunningJob, SimulatedPool, SteppedWorker};

/// A task for threads and one with a timeout, then the same for futures. Nothing calls their code: the
/// simulation decides how each attempt ends.
pub(super) static TASKS: [TaskDef; 4] = [
    task("thread", TaskOptions::DEFAULT.backoff(Backoff::Fixed(Duration::from_secs(2)))),
    task("thread.timed", TaskOptions::DEFAULT.timeout(Duration::from_secs(5)).retries(1)),
    future("future", TaskOptions::DEFAULT.retries(2)),
    future("future.timed", TaskOptions::DEFAULT.timeout(Duration::from_secs(5)).retries(0)),
];

const fn task(name: &'static str, options: TaskOptions) -> TaskDef {
    TaskDef::new(name, &[], |_| Vec::new(), Run::Blocking(|_, _| Ok(String::new()))).options(options)
}

const fn future(name: &'static str, options: TaskOptions) -> TaskDef {
    let run = Run::Async(|_, _| Box::pin(std::future::ready(Ok(String::new()))));
    TaskDef::new(name, &[], |_| Vec::new(), run).options(options)
}

/// A process that starts and dies repeatedly.
#[derive(Default)]
pub(super) struct Process {
    /// The process while it is alive.
    pub(super) live: Option<LiveProcess>,
    /// When it starts, if it is not alive.
    pub(super) starts_at: Duration,
    /// Until when it does not run.
    pub(super) frozen_until: Duration,
    /// From when its writes reach the disk.
    pub(super) writes_from: Duration,
    /// From when its reads reach the disk.
    pub(super) reads_from: Duration,
    /// When a disruption last held it up: until then it may have missed heartbeats.
    pub(super) held_up_at: Duration,
}

/// A process between its start and its end.
pub(super) struct LiveProcess {
    /// The number under which the disk knows it.
    pub(super) number: u32,
    pub(super) store: SteppedStore,
    /// `None` once the program has dropped its queue.
    pub(super) queue: Option<JobQueue>,
    /// The worker that registers, and the answers it waits for.
    starting: Option<(WorkerInfo, VecDeque<Pending<()>>)>,
    pub(super) worker: Option<SteppedWorker>,
    pub(super) runs: Vec<PlannedRun>,
    pub(super) calls: Vec<Call>,
    events: Arc<Mutex<Vec<SeenEvent>>>,
    seed: u64,
}

/// A job that runs, and how it will end.
pub(super) struct PlannedRun {
    pub(super) dispatcher: usize,
    pub(super) job: RunningJob,
    pub(super) began: Duration,
    pub(super) ends_at: Duration,
    pub(super) outcome: Option<Outcome>,
    /// Whether it ends when it is asked to stop.
    pub(super) obeys_stop: bool,
}

/// A call that a caller waits for.
pub(super) enum Call {
    /// With the jobs that have an idempotency key: they can be inserted again if no answer arrives.
    Insert(Vec<u64>, Vec<NewJob>, Pending<Vec<JobId>>),
    Command(&'static str, i64, Pending<Job>),
    Get(i64, Pending<Option<Job>>),
    WaitFor(i64, Pending<Job>),
}

/// An event of the worker, as its listener saw it.
#[derive(Clone, Copy, Debug)]
pub(super) enum SeenEvent {
    Completed(JobId),
    ResultDiscarded,
    Rescued(usize),
    LeaseLost,
    StoreError,
    Other,
}

impl SeenEvent {
    fn of(event: &Event<'_>) -> SeenEvent {
        match event {
            Event::Completed { id, .. } => SeenEvent::Completed(*id),
            Event::ResultDiscarded { .. } => SeenEvent::ResultDiscarded,
            Event::Rescued { jobs, .. } => SeenEvent::Rescued(*jobs),
            Event::LeaseLost { .. } => SeenEvent::LeaseLost,
            Event::StoreError { .. } => SeenEvent::StoreError,
            _ => SeenEvent::Other,
        }
    }
}

impl LiveProcess {
    /// Starts the program: it opens the queue, publishes its tasks and registers its worker.
    pub(super) fn start(
        path: &Path,
        number: u32,
        clock: &Clock,
        rng: &mut SimRng,
    ) -> crate::model::error::Result<LiveProcess> {
        let options = SqliteOptions { busy_timeout: Duration::ZERO, ..SqliteOptions::default() };
        let store = SteppedStore::open(path, options, clock.clone())?;
        let queue = JobQueue::with_store(store.store());
        let seed = rng.roll();
        let info = WorkerInfo::new(WorkerId((Rng::seeded(seed).next() >> 1) as i64), "simulated", number);
        let defaults = TASKS.iter().map(|task| TaskDefaults {
            name: task.name.to_owned(),
            queue: task.options.queue.to_owned(),
            priority: task.options.priority,
            max_retries: task.options.retries,
        });
        let published = store.store().publish_tasks(defaults.collect());
        let registered = store.store().register_worker(info.clone());
        Ok(LiveProcess {
            number,
            store,
            queue: Some(queue),
            starting: Some((info, [published, registered].into())),
            worker: None,
            runs: Vec::new(),
            calls: Vec::new(),
            events: Arc::default(),
            seed,
        })
    }

    /// Starts the worker once the store has answered. The error is the one that ends the start.
    pub(super) fn go_on_starting(&mut self, plan: &Plan) -> Result<(), ErrorKind> {
        let (Some((info, answers)), Some(queue)) = (&mut self.starting, &self.queue) else { return Ok(()) };
        while let Some(answer) = answers.front().and_then(Pending::try_take) {
            answer.map_err(|error| error.kind())?;
            drop(answers.pop_front());
        }
        if !answers.is_empty() {
            return Ok(());
        }
        let info = info.clone();
        self.starting = None;
        let events = self.events.clone();
        let listener = Arc::new(move |event: &Event<'_>| {
            events.lock().unwrap_or_else(PoisonError::into_inner).push(SeenEvent::of(event));
        });
        let names = |blocking: bool| {
            let of_kind = TASKS.iter().filter(|task| matches!(task.run, Run::Blocking(_)) == blocking);
            TaskSet::new(of_kind.map(|task| task.name))
        };
        let mut pools = vec![(names(true), SimulatedPool::new(plan.threads, true))];
        if plan.futures > 0 {
            pools.push((names(false), SimulatedPool::new(plan.futures, false)));
        }
        let registry: Registry = TASKS.iter().collect();
        let limits = (plan.lease, plan.shutdown_timeout);
        let rng = Rng::seeded(self.seed ^ 1);
        self.worker = Some(SteppedWorker::new(queue.clone(), registry, info, limits, listener, rng, pools));
        Ok(())
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    pub(super) fn take_events(&self) -> Vec<SeenEvent> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the worker with this id belongs to this process, registered or registering.
    pub(super) fn has_worker(&self, worker: i64) -> bool {
        let starting = self.starting.as_ref().is_some_and(|(info, _)| info.id.0 == worker);
        starting || self.worker.as_ref().is_some_and(|it| it.id().0 == worker)
    }

    /// Whether the store has halted: the program can only end.
    pub(super) fn store_halted(&self) -> bool {
        self.store.store().halted().is_some()
    }

    pub(super) fn get(&mut self, id: i64) {
        let answer = self.store.store().get(JobId(id));
        self.calls.push(Call::Get(id, answer));
    }
}
