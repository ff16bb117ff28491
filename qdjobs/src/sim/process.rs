//! One simulated process: [`Process`], and what lives in it while it does.
//!
//! Leans on the stepped store and the stepped worker, which are the product's own. Knows no rule and no other process.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qdjobs_sim_disk::Rng as DiskRng;

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

/// A task for threads, one with a timeout, and the same for futures. Nobody calls their code: the simulation says how each
/// attempt goes.
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

/// A process that comes and goes; what it is called stays, what lives in it does not.
pub(super) struct Process {
    pub(super) life: Option<Life>,
    /// It starts then, if it is not running.
    pub(super) starts_at: Duration,
    /// It stands still until then.
    pub(super) frozen_until: Duration,
    /// Its disk is busy until then.
    pub(super) writes_from: Duration,
    pub(super) reads_from: Duration,
    /// When something last kept it from working as it should.
    pub(super) excused_at: Duration,
}

/// A process between its start and its end.
pub(super) struct Life {
    /// Under which the disk knows it.
    pub(super) number: u32,
    pub(super) store: SteppedStore,
    /// Gone when the program has let go of it.
    pub(super) queue: Option<JobQueue>,
    starting: Option<(WorkerInfo, VecDeque<Pending<()>>)>,
    pub(super) worker: Option<SteppedWorker>,
    pub(super) handlers: Vec<Handler>,
    pub(super) calls: Vec<Call>,
    told: Arc<Mutex<Vec<Told>>>,
    seed: u64,
}

/// A job that runs, and how it will go.
pub(super) struct Handler {
    pub(super) dispatcher: usize,
    pub(super) running: RunningJob,
    pub(super) begun: Duration,
    pub(super) ends_at: Duration,
    pub(super) outcome: Option<Outcome>,
    /// It ends when it is told to.
    pub(super) listens: bool,
}

/// What a caller waits for.
pub(super) enum Call {
    /// With the jobs that could be stored again if no answer comes, since they have a key.
    Insert(Vec<u64>, Vec<NewJob>, Pending<Vec<JobId>>),
    Command(&'static str, i64, Pending<Job>),
    Look(i64, Pending<Option<Job>>),
    Ended(i64, Pending<Job>),
}

/// What a worker told its listener.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Completed(JobId),
    Refused,
    Rescued(usize),
    LeaseLost,
    Trouble,
    Other,
}

impl Told {
    fn of(event: &Event<'_>) -> Told {
        match event {
            Event::Completed { id, .. } => Told::Completed(*id),
            Event::ResultDiscarded { .. } => Told::Refused,
            Event::Rescued { jobs, .. } => Told::Rescued(*jobs),
            Event::LeaseLost { .. } => Told::LeaseLost,
            Event::StoreError { .. } => Told::Trouble,
            _ => Told::Other,
        }
    }
}

impl Process {
    pub(super) fn new() -> Process {
        Process {
            life: None,
            starts_at: Duration::ZERO,
            frozen_until: Duration::ZERO,
            writes_from: Duration::ZERO,
            reads_from: Duration::ZERO,
            excused_at: Duration::ZERO,
        }
    }
}

impl Life {
    /// The program starts: it opens the queue, and says which tasks it has and who it is.
    pub(super) fn begin(
        path: &Path,
        number: u32,
        clock: &Clock,
        dice: &mut DiskRng,
    ) -> crate::model::error::Result<Life> {
        let options = SqliteOptions { busy_timeout: Duration::ZERO, ..SqliteOptions::default() };
        let store = SteppedStore::open(path, options, clock.clone())?;
        let queue = JobQueue::with_store(store.store(), clock.clone());
        let seed = dice.roll();
        let card = WorkerInfo::new(WorkerId(Rng::seeded(seed).id()), "simulated", number);
        let cards = TASKS.iter().map(|task| TaskDefaults {
            name: task.name.to_owned(),
            queue: task.options.queue.to_owned(),
            priority: task.options.priority,
            max_retries: task.options.retries,
        });
        let published = store.store().publish_tasks(cards.collect());
        let registered = store.store().register_worker(card.clone());
        Ok(Life {
            number,
            store,
            queue: Some(queue),
            starting: Some((card, [published, registered].into())),
            worker: None,
            handlers: Vec::new(),
            calls: Vec::new(),
            told: Arc::default(),
            seed,
        })
    }

    /// Goes on with the start once the store has answered; the kind of the error that ends it.
    pub(super) fn go_on_starting(&mut self, plan: &Plan) -> Result<(), ErrorKind> {
        let (Some((card, answers)), Some(queue)) = (&mut self.starting, &self.queue) else { return Ok(()) };
        while let Some(answer) = answers.front().and_then(Pending::try_take) {
            answer.map_err(|error| error.kind())?;
            drop(answers.pop_front());
        }
        if !answers.is_empty() {
            return Ok(());
        }
        let card = card.clone();
        self.starting = None;
        let told = self.told.clone();
        let listener = Arc::new(move |event: &Event<'_>| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push(Told::of(event));
        });
        let names = |blocking: bool| {
            let of_kind = TASKS.iter().filter(|task| matches!(task.run, Run::Blocking(_)) == blocking);
            TaskSet::new(of_kind.map(|task| task.name))
        };
        let mut benches = vec![(names(true), SimulatedPool::new(plan.threads, true))];
        if plan.futures > 0 {
            benches.push((names(false), SimulatedPool::new(plan.futures, false)));
        }
        let registry: Registry = TASKS.iter().collect();
        let times = (plan.lease, plan.grace);
        let rng = Rng::seeded(self.seed ^ 1);
        self.worker = Some(SteppedWorker::new(queue.clone(), registry, card, times, listener, rng, benches));
        Ok(())
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    pub(super) fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the worker with this number is this process's, now or while it starts.
    pub(super) fn is(&self, worker: i64) -> bool {
        let starting = self.starting.as_ref().is_some_and(|(card, _)| card.id.0 == worker);
        starting || self.worker.as_ref().is_some_and(|it| it.id().0 == worker)
    }

    /// The store has stopped for good: this program can only end.
    pub(super) fn has_stopped(&self) -> bool {
        self.store.store().halted().is_some()
    }

    pub(super) fn asks_about(&mut self, id: i64) {
        let answer = self.store.store().get(JobId(id));
        self.calls.push(Call::Look(id, answer));
    }
}
