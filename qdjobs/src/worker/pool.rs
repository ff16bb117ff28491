//! Who runs the jobs of a dispatcher: [`Pool`], threads for `fn` tasks or the executor for `async fn` ones.
//!
//! Leans on `attempt`. Does not know the store.

use std::sync::Arc;

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::retry::Outcome;
use crate::sync::thread;
use crate::task::Run;

use super::dispatcher::Dispatcher;
use super::execution::{Execution, guarded};

#[derive(Debug)]
pub(super) enum Pool {
    /// One thread a job, reused.
    Threads {
        size: usize,
        #[cfg(feature = "tokio")]
        reactor: Option<tokio::runtime::Handle>,
    },
    /// Many jobs on few threads.
    #[cfg(feature = "tokio")]
    Executor { size: usize, executor: super::async_executor::Executor },
    /// Nobody: a simulation runs the jobs.
    #[cfg(test)]
    Simulated(super::testing::Bench),
}

impl Pool {
    pub(super) fn threads(
        size: usize,
        #[cfg(feature = "tokio")] reactor: Option<tokio::runtime::Handle>,
    ) -> Pool {
        Pool::Threads {
            size,
            #[cfg(feature = "tokio")]
            reactor,
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn executor(size: usize, reactor: &super::async_executor::Reactor) -> Result<Pool> {
        Ok(Pool::Executor { size, executor: super::async_executor::Executor::start(reactor)? })
    }

    /// Jobs that run at once.
    pub(super) fn size(&self) -> usize {
        match self {
            Pool::Threads { size, .. } => *size,
            #[cfg(feature = "tokio")]
            Pool::Executor { size, .. } => *size,
            #[cfg(test)]
            Pool::Simulated(bench) => bench.size,
        }
    }

    /// Whether jobs wait in the dispatcher for a member of the pool to take them; else each is started as it arrives.
    pub(super) fn takes(&self) -> bool {
        #[cfg(test)]
        if let Pool::Simulated(bench) = self {
            return bench.takes;
        }
        matches!(self, Pool::Threads { .. })
    }

    /// Starts what the pool needs of its own.
    pub(super) fn start(dispatcher: &Arc<Dispatcher>) -> Result<()> {
        if dispatcher.pool.takes() {
            (0..dispatcher.pool.size()).try_for_each(|_| Pool::spawn_thread(dispatcher))?;
        }
        Ok(())
    }

    /// Starts one more thread.
    pub(super) fn spawn_thread(dispatcher: &Arc<Dispatcher>) -> Result<()> {
        #[cfg(test)]
        if let Pool::Simulated(bench) = &dispatcher.pool {
            bench.spawn_thread();
            return Ok(());
        }
        let works = dispatcher.clone();
        let spawned = thread::Builder::new().name("qdjobs-task".into()).spawn(move || work(&works));
        spawned.map(drop).map_err(|error| {
            Error::new(ErrorKind::Config, format!("a thread for jobs cannot be started: {error}"))
                .help("lower the worker's concurrency, or raise the process's limit of threads")
        })
    }

    /// Starts a job that has just arrived.
    pub(super) fn begin(&self, dispatcher: &Arc<Dispatcher>, attempt: Arc<Execution>) {
        #[cfg(feature = "tokio")]
        if let Pool::Executor { executor, .. } = self {
            executor.spawn(dispatcher.clone(), attempt);
            return;
        }
        #[cfg(test)]
        if let Pool::Simulated(bench) = self {
            bench.begin(attempt);
            return;
        }
        let _ = (dispatcher, attempt);
    }

    /// Ends what the pool has of its own.
    pub(super) fn close(&self) {
        #[cfg(feature = "tokio")]
        if let Pool::Executor { executor, .. } = self {
            executor.close();
        }
    }
}

/// One thread's working life.
fn work(dispatcher: &Arc<Dispatcher>) {
    let mut last = None;
    while let Some(attempt) = dispatcher.next(last.take()) {
        let outcome = run(dispatcher, &attempt);
        last = Some((attempt, outcome));
    }
}

fn run(dispatcher: &Dispatcher, attempt: &Execution) -> Outcome {
    match attempt.task.run {
        Run::Blocking(run) => guarded(|| run(&attempt.ctx, &attempt.ctx.job().params)),
        #[cfg(feature = "tokio")]
        Run::AsyncLocal(run) => {
            let Pool::Threads { reactor: Some(reactor), .. } = &dispatcher.pool else { return not_here() };
            let (ctx, params) = (attempt.ctx.clone(), attempt.ctx.job().params.clone());
            guarded(|| super::async_executor::run_here(reactor, &attempt.ctx, || run(ctx, params)))
        }
        _ => {
            let _ = dispatcher;
            not_here()
        }
    }
}

/// A worker checks at its start that it can run what it serves, so this is never seen.
fn not_here() -> Outcome {
    Err(crate::TaskError::retry("this worker cannot run this kind of task"))
}
