//! [`Worker`], which runs jobs: its builder, its start, and the one function that says the order of stopping.
//!
//! Leans on the store's contract, the registry and the queue handle. Speaks to no database itself, and chooses no status:
//! `retry::verdict` does.
//!
//! ```text
//!   dispatcher ──turn (finishes, free room)──▶ store ──claimed──▶ pool: threads for fn, executor for async fn
//!        ▲                                                           │
//!        └───────────────────────── finishes ◀───────────────────────┘          one dispatcher for each kind of task
//!   supervisor: heartbeats, looks for dead workers, timeouts                            a thread of its own: user code cannot stall it
//! ```

#[cfg(feature = "tokio")]
mod async_executor;
mod dispatcher;
mod execution;
mod in_flight;
mod pool;
mod store_backoff;
mod supervisor;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use crate::context::States;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::event::Event;
use crate::model::job::{WorkerId, check_name};
use crate::model::rng::Rng;
use crate::queue::JobQueue;
use crate::store::{LEASE, Release, TaskDefaults, TaskSet, WorkerInfo};
use crate::task::registry::Registry;
use crate::task::{Run, Task};

use self::dispatcher::Dispatcher;
use self::execution::WorkerShared;
use self::pool::Pool;
use self::supervisor::Supervisor;

/// Most `async` jobs in flight unless the program says otherwise.
const ASYNC_CONCURRENCY: usize = 1_000;

/// How long a stop waits for running jobs unless the program says otherwise: 5 s less than what container platforms allow.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);

/// Runs the jobs of a queue: made with [`Worker::new`], started with [`start`](Worker::start) or [`run`](Worker::run).
///
/// It serves every task that is linked into the program, unless [`task`](Worker::task) or [`task_names`](Worker::task_names) choose some.
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
    shutdown_timeout: Duration,
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
            shutdown_timeout: SHUTDOWN_TIMEOUT,
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
    pub fn task<T: Task>(mut self) -> Worker {
        self.registered.push(T::DEF);
        self.chosen.get_or_insert_default().push(T::DEF.name.to_owned());
        self
    }

    /// Serve only the tasks of these names.
    pub fn task_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Worker {
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
    pub fn shutdown_timeout(mut self, shutdown_timeout: Duration) -> Worker {
        self.shutdown_timeout = shutdown_timeout;
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
        let rng = Rng::new();
        let id = WorkerId(rng.id());
        let card = WorkerInfo::new(id, host(), std::process::id());

        let cards = registry.iter().flat_map(|task| {
            task.names().map(|name| TaskDefaults {
                name: name.to_owned(),
                queue: task.options.queue.to_owned(),
                priority: task.options.priority,
                max_retries: task.options.retries,
            })
        });
        #[cfg(feature = "tokio")]
        let reactor = async_executor::Reactor::new(
            self.runtime,
            registry.iter().any(|task| !matches!(task.run, Run::Blocking(_))),
        )?;
        let names = |wanted: fn(&Run) -> bool| {
            let tasks = registry.iter().filter(|task| wanted(&task.run));
            Arc::new(TaskSet::new(tasks.flat_map(|task| task.names())))
        };
        let on_threads = names(|run| matches!(run, Run::Blocking(_) | Run::AsyncLocal(_)));
        let on_executor = names(|run| matches!(run, Run::Async(_)));
        let mut pools = Vec::new();
        if !on_threads.is_empty() {
            let pool = Pool::threads(
                self.concurrency,
                #[cfg(feature = "tokio")]
                reactor.handle(),
            );
            pools.push((on_threads, pool));
        }
        #[cfg(feature = "tokio")]
        if !on_executor.is_empty() {
            pools.push((on_executor, Pool::executor(self.async_concurrency, &reactor)?));
        }
        #[cfg(not(feature = "tokio"))]
        let _ = on_executor;

        queue.store().publish_tasks(cards.collect()).wait()?;
        queue.store().register_worker(card.clone()).wait()?;
        let queues: Option<Arc<[String]>> = self.queues.map(Arc::from);
        let shared =
            Arc::new(WorkerShared::new(queue.downgrade(), registry, self.states, id, self.listener, rng));
        let mut supervisor = Supervisor::new(shared.clone(), card, self.lease);
        let dispatcher =
            |(tasks, pool)| Dispatcher::new(shared.clone(), supervisor.bell(), tasks, queues.clone(), pool);
        let dispatchers: Vec<Arc<Dispatcher>> = pools.into_iter().map(dispatcher).collect();
        supervisor.serve_lanes(dispatchers.clone());
        // Beats and timeouts are there before the first job is.
        let supervisor = supervisor.start().inspect_err(|_| {
            let _ = queue.store().release_worker(id, Release::ByWorker).wait();
        })?;
        let tasks: Vec<&str> = shared.registry.iter().map(|task| task.name).collect();
        shared.tell(&Event::WorkerStarted { worker: id, tasks: &tasks });
        let running = Running {
            _queue: queue,
            shared,
            dispatchers,
            supervisor,
            shutdown_timeout: self.shutdown_timeout,
            #[cfg(feature = "tokio")]
            _reactor: reactor,
        };
        if let Err(error) = running.dispatchers.iter().try_for_each(Dispatcher::start) {
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
                    ErrorKind::Config,
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
            |message: String, help: &'static str| Err(Error::new(ErrorKind::Config, message).help(help));
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
    shared: Arc<WorkerShared>,
    dispatchers: Vec<Arc<Dispatcher>>,
    supervisor: supervisor::Running,
    shutdown_timeout: Duration,
    #[cfg(feature = "tokio")]
    _reactor: async_executor::Reactor,
}

impl WorkerHandle {
    /// The worker's number. It changes if the worker was taken for dead and came back.
    pub fn id(&self) -> Option<WorkerId> {
        self.running.as_ref().map(|running| running.shared.worker())
    }

    /// Stops: claims nothing more, lets running jobs end for as long as the shutdown_timeout, gives the rest back without counting an
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
        if let Some(forked) = self.shared.queue.store().halted()
            && forked.kind() == ErrorKind::Forked
        {
            // The worker is its parent's; here are neither its threads nor its jobs.
            std::mem::forget(self);
            return Err(forked);
        }
        let Running { shared, dispatchers, supervisor, shutdown_timeout, .. } = self;
        // 1. Nothing new: claims end first, or the dispatchers would fill up again while they empty.
        dispatchers.iter().for_each(|dispatcher| dispatcher.close());
        drop(shared.queue.store().cancel_waiting_claims(shared.worker()));
        // 2. What runs may end, all dispatchers sharing one shutdown_timeout. Beats go on: a worker that is still working must not be taken
        //    for dead.
        let until = shared.elapsed().saturating_add(shutdown_timeout);
        dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(until));
        // 3. What still runs is told to stop, gets a moment to do so, and is given back.
        dispatchers.iter().for_each(|dispatcher| dispatcher.tell_to_stop());
        let until = shared.elapsed() + dispatcher::PARTING;
        dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(until));
        let released: usize = dispatchers.iter().map(|dispatcher| dispatcher.release_running()).sum();
        // 4. The last finishes are written; then the dispatchers have nothing left to do.
        let written = dispatchers.iter().map(|dispatcher| dispatcher.join()).fold(Ok(()), Result::and);
        // 5. No more heartbeats, and off the list. Whatever the books still show as held goes back with it.
        supervisor.stop();
        let left = shared.queue.store().release_worker(shared.worker(), Release::ByWorker).wait();
        shared.tell(&Event::WorkerStopped {
            worker: shared.worker(),
            released: released + left.as_ref().map_or(0, |left| left.jobs),
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
