//! Starts a worker: checks its options, tasks and state before the first job, registers it and starts its
//! threads.
//!
//! The options are in `options.rs`. How a worker stops is in `stop.rs`.
//!
//! Depends on all other parts of the worker. Nothing depends on it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::event::Event;
use crate::model::job::{WorkerId, check_name};
use crate::model::rng::{Rng, process_number};
use crate::store::{Release, TaskDefaults, TaskSet, WorkerInfo};
use crate::task::Run;
use crate::task::registry::Registry;

use super::Worker;
#[cfg(feature = "tokio")]
use super::async_executor::Executor;
use super::dispatcher::Dispatcher;
use super::reactor::Reactor;
use super::shared::WorkerShared;
use super::stop::{RunningWorker, WorkerHandle};
use super::supervisor::Supervisor;
use super::thread_pool::Pool;

impl Worker {
    /// Starts the worker in the background.
    ///
    /// It first checks the setup, before any job runs: duplicate task names, missing shared values, options
    /// out of range, and tasks that need a disabled feature.
    pub fn start(self) -> Result<WorkerHandle> {
        let registry = self.served_tasks()?;
        self.check(&registry)?;
        let reactor = self.reactor(&registry)?;
        let pools = self.pools(&registry, &reactor)?;

        let rng = Rng::new();
        let id = WorkerId::in_process(process_number(), rng.number());
        let info = WorkerInfo::new(id, host(), std::process::id());
        let queue = self.queue;
        let store = queue.store().clone();
        store.publish_tasks(task_defaults(&registry)).wait()?;
        store.register_worker(info.clone()).wait()?;

        let shared =
            Arc::new(WorkerShared::new(queue.downgrade(), registry, self.states, id, self.listener, rng));
        let mut supervisor = Supervisor::new(shared.clone(), info, self.lease);
        let queues: Option<Arc<[String]>> = self.queues.map(Arc::from);
        let dispatcher =
            |(tasks, pool)| Dispatcher::new(shared.clone(), supervisor.handle(), tasks, queues.clone(), pool);
        let dispatchers: Vec<Arc<Dispatcher>> = pools.into_iter().map(dispatcher).collect();
        supervisor.supervise(dispatchers.clone());
        // Started before the first job, which needs heartbeats and timeouts.
        let supervisor = supervisor.start().inspect_err(|_| {
            let _ = store.release_worker(id, Release::ByWorker).wait();
        })?;
        let tasks: Vec<&str> = shared.registry.iter().map(|task| task.name).collect();
        shared.emit(&Event::WorkerStarted { worker: id, tasks: &tasks, queues: queues.as_deref() });
        RunningWorker {
            _queue: queue,
            shared,
            dispatchers,
            supervisor,
            shutdown_timeout: self.shutdown_timeout,
            _reactor: reactor,
        }
        .start_dispatchers()
    }

    /// The tasks to serve: the linked and the registered tasks or, if some were chosen, only those.
    fn served_tasks(&self) -> Result<Registry> {
        let mut tasks: Registry = Registry::linked().iter().chain(self.registered.iter().copied()).collect();
        if let Some(chosen) = &self.chosen {
            for name in chosen {
                tasks.find(name)?;
            }
            tasks = tasks
                .iter()
                .filter(|task| task.names().any(|name| chosen.iter().any(|it| it == name)))
                .collect();
        }
        tasks.check()?;
        Ok(tasks)
    }

    fn check(&self, registry: &Registry) -> Result<()> {
        let refuse =
            |message: String, help: &'static str| Err(Error::new(ErrorKind::Config, message).help(help));
        let limits = [("concurrency", self.concurrency), ("async_concurrency", self.async_concurrency)];
        if let Some((setting, _)) = limits.into_iter().find(|(_, jobs)| *jobs == 0) {
            return refuse(
                format!("the `{setting}` of the worker is 0; the least is 1"),
                "set it to at least 1; to leave out tasks of one kind, choose the others with `Worker::task`",
            );
        }
        if self.concurrency > CONCURRENCY_MAX {
            return refuse(
                format!(
                    "a `concurrency` of {} needs as many threads; the most is {CONCURRENCY_MAX}",
                    self.concurrency
                ),
                "for more jobs at once, make the tasks `async fn` with futures that are `Send`: their limit is \
                 `async_concurrency`",
            );
        }
        if self.lease < Duration::from_secs(1) {
            return refuse(
                format!("a lease of {:?} is too short", self.lease),
                "set the lease to at least 1 s; the worker renews it three times in each lease",
            );
        }
        if let Some(ty) = self.duplicate_states.first() {
            return refuse(
                format!("the worker has two states of the type `{ty}`"),
                "wrap one of the values in a type of its own",
            );
        }
        if self.queues.as_ref().is_some_and(Vec::is_empty) {
            return refuse(
                "a worker that serves no queue would never run a job".into(),
                "pass at least one name to `queues`; to serve all queues, do not call `queues`",
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
            return refuse(
                format!(
                    "the task `{}` ({}) is an `async fn`, but qdjobs was built without the feature `tokio`",
                    task.name,
                    task.place()
                ),
                "enable the feature `tokio` of the crate `qdjobs`",
            );
        }
        Ok(())
    }

    #[cfg(feature = "tokio")]
    fn reactor(&self, registry: &Registry) -> Result<Reactor> {
        let needed = registry.iter().any(|task| !matches!(task.run, Run::Blocking(_)));
        Reactor::new(self.runtime.clone(), needed)
    }

    #[cfg(not(feature = "tokio"))]
    fn reactor(&self, _registry: &Registry) -> Result<Reactor> {
        Ok(Reactor::default())
    }

    /// A pool for each kind of task that the worker serves, with the names of its tasks.
    fn pools(&self, registry: &Registry, reactor: &Reactor) -> Result<Vec<(Arc<TaskSet>, Pool)>> {
        let names = |wanted: fn(&Run) -> bool| {
            let tasks = registry.iter().filter(|task| wanted(&task.run));
            Arc::new(TaskSet::new(tasks.flat_map(|task| task.names())))
        };
        let mut pools = Vec::new();
        let on_threads = names(|run| matches!(run, Run::Blocking(_) | Run::AsyncLocal(_)));
        if !on_threads.is_empty() {
            let pool = Pool::Threads { size: self.concurrency, reactor: reactor.handle() };
            pools.push((on_threads, pool));
        }
        #[cfg(feature = "tokio")]
        {
            let on_executor = names(|run| matches!(run, Run::Async(_)));
            if !on_executor.is_empty() {
                let executor = Executor::start(&reactor.handle())?;
                pools.push((on_executor, Pool::Executor { size: self.async_concurrency, executor }));
            }
        }
        Ok(pools)
    }
}

impl RunningWorker {
    /// Starts the dispatchers. If one of them cannot start, stops the others.
    fn start_dispatchers(self) -> Result<WorkerHandle> {
        if let Err(error) = self.dispatchers.iter().try_for_each(Dispatcher::start) {
            // Jobs that have already begun may end.
            let _ = self.stop();
            return Err(error);
        }
        Ok(WorkerHandle::new(self))
    }
}

/// The most threads of a worker for `fn` tasks. With some ten thousand threads, the operating system refuses
/// memory to a thread that has just started, and the process aborts.
const CONCURRENCY_MAX: usize = 4_096;

/// The options of all tasks, under each of their names, as defaults for jobs that other programs insert.
fn task_defaults(registry: &Registry) -> Vec<TaskDefaults> {
    let defaults = registry.iter().flat_map(|task| {
        task.names().map(|name| TaskDefaults {
            name: name.to_owned(),
            queue: task.options.queue.to_owned(),
            priority: task.options.priority,
            max_retries: task.options.retries,
        })
    });
    defaults.collect()
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
