//! The options of a [`Worker`] and their defaults: threads, lease, how long a stop waits for running jobs.
//!
//! Does not check them and starts nothing: see `start.rs`. The default lease is in `store/workers.rs`.
//!
//! Depends on the queue handle, the task registry and the shared values of tasks.

use std::sync::Arc;
use std::time::Duration;

use super::shared::EventListener;
use crate::context::States;
use crate::model::event::Event;
use crate::queue::JobQueue;
use crate::store::LEASE;
use crate::task::{Task, TaskDef};

/// The default number of `async fn` jobs that run at once.
const ASYNC_CONCURRENCY: usize = 1_000;

/// The default shutdown timeout: 5 s less than container platforms allow.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);

/// Runs the jobs of a queue. Create it with [`Worker::new`]; [`start`](Worker::start) runs it in the
/// background, and [`run`](Worker::run) runs it until the process gets a termination signal.
///
/// By default, a worker serves every task that is linked into the program. To serve only some, use
/// [`task`](Worker::task) or [`task_names`](Worker::task_names). Jobs of other tasks stay pending.
#[must_use = "a worker does nothing until it is started"]
pub struct Worker {
    pub(super) queue: JobQueue,
    pub(super) concurrency: usize,
    pub(super) async_concurrency: usize,
    pub(super) queues: Option<Vec<String>>,
    /// The names of the tasks to serve; `None` for all.
    pub(super) chosen: Option<Vec<String>>,
    pub(super) registered: Vec<&'static TaskDef>,
    pub(super) states: States,
    /// The types for which `state` was called twice.
    pub(super) duplicate_states: Vec<&'static str>,
    pub(super) shutdown_timeout: Duration,
    pub(super) lease: Duration,
    pub(super) listener: Option<EventListener>,
    #[cfg(feature = "tokio")]
    pub(super) runtime: Option<tokio::runtime::Handle>,
}

impl Worker {
    /// Creates a worker of `queue` with the default options.
    pub fn new(queue: &JobQueue) -> Worker {
        Worker {
            queue: queue.clone(),
            concurrency: std::thread::available_parallelism().map_or(4, usize::from).max(2),
            async_concurrency: ASYNC_CONCURRENCY,
            queues: None,
            chosen: None,
            registered: Vec::new(),
            states: States::default(),
            duplicate_states: Vec::new(),
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            lease: LEASE,
            listener: None,
            #[cfg(feature = "tokio")]
            runtime: None,
        }
    }

    /// Sets how many jobs of `fn` tasks run at once, each on a thread. Jobs of `async fn` tasks whose future is
    /// not `Send` also count. Default: the number of cores, at least 2. At most 4,096.
    pub fn concurrency(mut self, jobs: usize) -> Worker {
        self.concurrency = jobs;
        self
    }

    /// Sets how many jobs of `async fn` tasks run at once, on a few threads. Default: 1000.
    pub fn async_concurrency(mut self, jobs: usize) -> Worker {
        self.async_concurrency = jobs;
        self
    }

    /// Serves only these queues. Default: all queues.
    pub fn queues<S: Into<String>>(mut self, queues: impl IntoIterator<Item = S>) -> Worker {
        self.queues = Some(queues.into_iter().map(Into::into).collect());
        self
    }

    /// Serves this task, and no other tasks than those chosen. Call it once for each task.
    pub fn task<T: Task>(mut self) -> Worker {
        self.registered.push(T::DEF);
        self.chosen.get_or_insert_default().push(T::DEF.name.to_owned());
        self
    }

    /// Serves the tasks with these names, and no other tasks than those chosen.
    pub fn task_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Worker {
        self.chosen.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// Registers a task that the linker did not register, as on some platforms and in plug-ins.
    pub fn register<T: Task>(mut self) -> Worker {
        self.registered.push(T::DEF);
        self
    }

    /// Adds a shared value that tasks take with `#[state]`, at most one of each type.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Worker {
        if !self.states.put(value) {
            self.duplicate_states.push(std::any::type_name::<T>());
        }
        self
    }

    /// Sets how long [`stop`](super::WorkerHandle::stop) waits for running jobs before it releases them.
    /// Default: 25 s.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Worker {
        self.shutdown_timeout = limit;
        self
    }

    /// Sets the lease: how long a worker may send no heartbeat before others rescue its jobs. Default: 30 s.
    ///
    /// It applies where the operating system cannot prove earlier that the worker is dead. Use the same value
    /// for all workers of a queue.
    pub fn lease(mut self, lease: Duration) -> Worker {
        self.lease = lease;
        self
    }

    /// Calls `listener` for each [`Event`], on the thread where it happens.
    ///
    /// The listener should return soon. It must not stop the worker: the stop would wait for the thread that
    /// the listener runs on.
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Worker {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Sets the tokio runtime for the sockets and timers of `async fn` tasks. It must be a multi-thread runtime:
    /// a start with a current-thread runtime returns an error of kind [`Config`](crate::ErrorKind::Config).
    /// Default: a small runtime of the worker's own. Threads of the worker poll the tasks themselves.
    #[cfg(feature = "tokio")]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Worker {
        self.runtime = Some(runtime);
        self
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("queue", &self.queue).finish_non_exhaustive()
    }
}
