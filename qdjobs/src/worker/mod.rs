//! [`Worker`], which runs jobs: its builder, its start, and the one function that says the order of stopping.
//!
//! Leans on the store's contract, the registry and the queue handle. Speaks to no database itself, and chooses no status:
//! `retry::verdict` does.
//!
//! ```text
//!   dispatcher ──turn (finishes, free room)──▶ store ──claimed──▶ crew: threads for fn, executor for async fn
//!        ▲                                                           │
//!        └───────────────────────── finishes ◀───────────────────────┘          one lane for each kind of task
//!   steward: beats, looks for dead workers, timeouts                            a thread of its own: user code cannot stall it
//! ```

mod attempt;
mod crew;
#[cfg(feature = "tokio")]
mod executor;
mod flight;
mod lane;
#[cfg(test)]
pub(crate) mod stepped;
mod steward;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::context::States;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::job::{WorkerId, check_name};
use crate::queue::JobQueue;
use crate::registry::Registry;
use crate::store::{LEASE, TaskCard, TaskSet, WorkerCard};
use crate::task::{Run, Task};

use self::attempt::Shop;
use self::crew::Crew;
use self::lane::Lane;
use self::steward::Steward;

/// Most `async` jobs in flight unless the program says otherwise.
const ASYNC_CONCURRENCY: usize = 1_000;

/// How long a stop waits for running jobs unless the program says otherwise: 5 s less than what container platforms allow.
const GRACE: Duration = Duration::from_secs(25);

/// Runs the jobs of a queue: made with [`Worker::new`], started with [`start`](Worker::start) or [`run`](Worker::run).
///
/// It serves every task that is linked into the program, unless [`only`](Worker::only) or [`tasks`](Worker::tasks) choose some.
/// Jobs of tasks it does not know stay pending and are visible as such.
#[must_use = "a worker does nothing until it is started"]
pub struct Worker {
    queue: JobQueue,
    concurrency: usize,
    async_concurrency: usize,
    queues: Option<Vec<String>>,
    chosen: Option<Vec<String>>,
    registered: Vec<&'static crate::TaskDef>,
    states: States,
    states_twice: Vec<&'static str>,
    grace: Duration,
    lease: Duration,
    listener: Listener,
    #[cfg(feature = "tokio")]
    runtime: Option<tokio::runtime::Handle>,
}

pub(crate) type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

impl Worker {
    /// A worker for `queue`, with every option at its default.
    pub fn new(queue: &JobQueue) -> Worker {
        Worker {
            queue: queue.clone(),
            concurrency: std::thread::available_parallelism().map_or(4, usize::from).max(2),
            async_concurrency: ASYNC_CONCURRENCY,
            queues: None,
            chosen: None,
            registered: Vec::new(),
            states: States::default(),
            states_twice: Vec::new(),
            grace: GRACE,
            lease: LEASE,
            listener: Arc::new(|_| {}),
            #[cfg(feature = "tokio")]
            runtime: None,
        }
    }

    /// How many `fn` tasks run at once, each on a thread; the number of cores, and 2 at least, unless you choose
    /// otherwise.
    pub fn concurrency(mut self, jobs: usize) -> Worker {
        self.concurrency = jobs;
        self
    }

    /// How many `async fn` tasks are in flight at once, on a few threads; 1000 unless you choose otherwise.
    pub fn async_concurrency(mut self, jobs: usize) -> Worker {
        self.async_concurrency = jobs;
        self
    }

    /// Serve only these queues.
    pub fn queues<S: Into<String>>(mut self, queues: impl IntoIterator<Item = S>) -> Worker {
        self.queues = Some(queues.into_iter().map(Into::into).collect());
        self
    }

    /// Serve this task and no other but those chosen the same way.
    pub fn only<T: Task>(mut self) -> Worker {
        self.registered.push(T::DEF);
        self.chosen.get_or_insert_default().push(T::DEF.name.to_owned());
        self
    }

    /// Serve only the tasks of these names.
    pub fn tasks<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Worker {
        self.chosen.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// Makes a task known that the linker did not bring: on platforms, or in plug-ins, where registration by linking does
    /// not work.
    pub fn register<T: Task>(mut self) -> Worker {
        self.registered.push(T::DEF);
        self
    }

    /// A value that tasks take with `#[state]`, one for each type.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Worker {
        if !self.states.put(value) {
            self.states_twice.push(std::any::type_name::<T>());
        }
        self
    }

    /// How long [`stop`](WorkerHandle::stop) waits for running jobs before it gives them back; 25 s unless you choose
    /// otherwise.
    pub fn grace(mut self, grace: Duration) -> Worker {
        self.grace = grace;
        self
    }

    /// How long this worker may be silent before others take its jobs (where there is no quicker proof of its death), and
    /// others before this one takes theirs; 30 s unless you choose otherwise. The same for all workers of a queue.
    pub fn lease(mut self, lease: Duration) -> Worker {
        self.lease = lease;
        self
    }

    /// Calls `listener` for each [`Event`], from the worker's own threads: it should return soon, and must not stop the worker
    /// itself, which would wait for the thread that the listener is on.
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Worker {
        self.listener = Arc::new(listener);
        self
    }

    /// The tokio runtime whose reactor and timers the awaits of `async fn` tasks use; a small one of the worker's own unless
    /// you choose otherwise. The jobs themselves are polled by the worker's threads.
    #[cfg(feature = "tokio")]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Worker {
        self.runtime = Some(runtime);
        self
    }

    /// Starts in the background. Everything that can be checked before the first job is: duplicate task names, missing
    /// state, tasks that need a feature.
    pub fn start(self) -> Result<WorkerHandle> {
        let registry = self.served()?;
        self.check(&registry)?;
        let queue = self.queue.clone();
        let chance = Chance::new();
        let id = WorkerId(chance.id());
        let card = WorkerCard::new(id, host(), std::process::id());

        let cards = registry.iter().flat_map(|task| {
            task.names().map(|name| TaskCard {
                name: name.to_owned(),
                queue: task.options.queue.to_owned(),
                priority: task.options.priority,
                max_retries: task.options.retries,
            })
        });
        #[cfg(feature = "tokio")]
        let reactor = executor::Reactor::new(
            self.runtime,
            registry.iter().any(|task| !matches!(task.run, Run::Blocking(_))),
        )?;
        let names = |wanted: fn(&Run) -> bool| {
            let tasks = registry.iter().filter(|task| wanted(&task.run));
            Arc::new(TaskSet::new(tasks.flat_map(|task| task.names())))
        };
        let on_threads = names(|run| matches!(run, Run::Blocking(_) | Run::AsyncLocal(_)));
        let on_executor = names(|run| matches!(run, Run::Async(_)));
        let mut crews = Vec::new();
        if !on_threads.is_empty() {
            let crew = Crew::threads(
                self.concurrency,
                #[cfg(feature = "tokio")]
                reactor.handle(),
            );
            crews.push((on_threads, crew));
        }
        #[cfg(feature = "tokio")]
        if !on_executor.is_empty() {
            crews.push((on_executor, Crew::executor(self.async_concurrency, &reactor)?));
        }
        #[cfg(not(feature = "tokio"))]
        let _ = on_executor;

        queue.store().publish(cards.collect()).wait()?;
        queue.store().enlist(card.clone()).wait()?;
        let queues: Option<Arc<[String]>> = self.queues.map(Arc::from);
        let shop = Arc::new(Shop::new(queue.lent(), registry, self.states, id, self.listener, chance));
        let mut steward = Steward::new(shop.clone(), card, self.lease);
        let lane = |(tasks, crew)| Lane::new(shop.clone(), steward.bell(), tasks, queues.clone(), crew);
        let lanes: Vec<Arc<Lane>> = crews.into_iter().map(lane).collect();
        steward.serve_lanes(lanes.clone());
        // Beats and timeouts are there before the first job is.
        let steward = steward.start().inspect_err(|_| {
            let _ = queue.store().leave(id).wait();
        })?;
        let tasks: Vec<&str> = shop.registry.iter().map(|task| task.name).collect();
        shop.tell(&Event::Started { worker: id, tasks: &tasks });
        let running = Running {
            _queue: queue,
            shop,
            lanes,
            steward,
            grace: self.grace,
            #[cfg(feature = "tokio")]
            _reactor: reactor,
        };
        if let Err(error) = running.lanes.iter().try_for_each(Lane::start) {
            // What has begun by now may end.
            let _ = running.stop();
            return Err(error);
        }
        Ok(WorkerHandle { running: Some(running) })
    }

    /// Runs until the process is told to end (SIGINT, SIGTERM or SIGQUIT), then stops gracefully. A second signal ends the process
    /// at once.
    #[cfg(feature = "signals")]
    pub fn run(self) -> Result<()> {
        let mut signals =
            signal_hook::iterator::Signals::new(signal_hook::consts::TERM_SIGNALS).map_err(|error| {
                Error::new(
                    ErrorKind::Setup,
                    format!("the signals that end a process cannot be caught: {error}"),
                )
                .help("use `start` and call `stop` yourself")
            })?;
        let worker = self.start()?;
        signals.forever().next();
        // From here on a signal means now: whoever sends a second one has lost patience.
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                std::process::exit(128 + signal);
            }
        });
        worker.stop()
    }

    /// The tasks to serve: those linked and those registered, less those not chosen.
    fn served(&self) -> Result<Registry> {
        let mut all: Registry = Registry::linked().iter().chain(self.registered.iter().copied()).collect();
        if let Some(chosen) = &self.chosen {
            for name in chosen {
                all.find(name)?;
            }
            all = all
                .iter()
                .filter(|task| task.names().any(|name| chosen.iter().any(|it| it == name)))
                .collect();
        }
        all.check()?;
        Ok(all)
    }

    fn check(&self, registry: &Registry) -> Result<()> {
        let setup =
            |message: String, help: &'static str| Err(Error::new(ErrorKind::Setup, message).help(help));
        if self.concurrency == 0 || self.async_concurrency == 0 {
            return setup(
                "a worker with a concurrency of 0 would never run a job".into(),
                "give it at least 1",
            );
        }
        if self.lease < Duration::from_secs(1) {
            return setup(
                format!("a lease of {:?} is too short", self.lease),
                "give it at least a second: it is renewed three times",
            );
        }
        if let Some(ty) = self.states_twice.first() {
            return setup(
                format!("the worker was given two states of the type `{ty}`"),
                "wrap one of them in a type of its own",
            );
        }
        if self.queues.as_ref().is_some_and(Vec::is_empty) {
            return setup(
                "a worker of no queue would never run a job".into(),
                "name at least one, or leave `queues` out to serve all",
            );
        }
        for queue in self.queues.iter().flatten() {
            check_name("queue", queue)?;
        }
        if let Some(missing) = registry.missing_state(|id| self.states.has(id)) {
            return Err(missing);
        }
        if cfg!(not(feature = "tokio"))
            && let Some(task) = registry.iter().find(|task| !matches!(task.run, Run::Blocking(_)))
        {
            return setup(
                format!("the task `{}` is an `async fn`, {}", task.name, task.place()),
                "turn on the feature `tokio` of qdjobs",
            );
        }
        Ok(())
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// A worker at work in the background. Dropped, it stops as [`stop`](WorkerHandle::stop) does.
#[derive(Debug)]
#[must_use = "a worker stops when its handle is dropped: keep it, and call `stop`"]
pub struct WorkerHandle {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Keeps the queue open: the worker's threads do not.
    _queue: JobQueue,
    shop: Arc<Shop>,
    lanes: Vec<Arc<Lane>>,
    steward: steward::Running,
    grace: Duration,
    #[cfg(feature = "tokio")]
    _reactor: executor::Reactor,
}

impl WorkerHandle {
    /// The worker's number. It changes if the worker was taken for dead and came back.
    pub fn id(&self) -> Option<WorkerId> {
        self.running.as_ref().map(|running| running.shop.worker())
    }

    /// Stops: claims nothing more, lets running jobs end for as long as the grace, gives the rest back without counting an
    /// attempt, and returns when all of that is stored.
    pub fn stop(mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), Running::stop)
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Nobody is there to be told; what could not be written is rescued.
            let _ = running.stop();
        }
    }
}

impl Running {
    /// The order of stopping, and why it is this one.
    fn stop(self) -> Result<()> {
        if let Some(forked) = self.shop.queue.store().stopped()
            && forked.kind() == ErrorKind::Forked
        {
            // The worker is its parent's; here are neither its threads nor its jobs.
            std::mem::forget(self);
            return Err(forked);
        }
        let Running { shop, lanes, steward, grace, .. } = self;
        // 1. Nothing new: claims end first, or the lanes would fill up again while they empty.
        lanes.iter().for_each(|lane| lane.close());
        shop.queue.store().recall(shop.worker());
        // 2. What runs may end, all lanes sharing one grace. Beats go on: a worker that is still working must not be taken
        //    for dead.
        let until = shop.elapsed().saturating_add(grace);
        lanes.iter().for_each(|lane| lane.wait_idle(until));
        // 3. What still runs is told to stop, gets a moment to do so, and is given back.
        lanes.iter().for_each(|lane| lane.tell_to_stop());
        let until = shop.elapsed() + lane::PARTING;
        lanes.iter().for_each(|lane| lane.wait_idle(until));
        let released: usize = lanes.iter().map(|lane| lane.release_running()).sum();
        // 4. The last finishes are written; then the dispatchers have nothing left to do.
        let written = lanes.iter().map(|lane| lane.join()).fold(Ok(()), Result::and);
        // 5. No more beats, and off the list. Whatever the books still show as held goes back with it.
        steward.stop();
        let left = shop.queue.store().leave(shop.worker()).wait();
        shop.tell(&Event::Stopped {
            worker: shop.worker(),
            released: released + left.as_ref().copied().unwrap_or(0),
        });
        written.and(left.map(drop))
    }
}

/// The name of this machine, for people.
fn host() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name =
        from_kernel.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}
