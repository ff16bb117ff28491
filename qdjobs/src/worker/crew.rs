//! Who runs the jobs of a lane: [`Crew`], threads for `fn` tasks or the executor for `async fn` ones.
//!
//! Leans on `attempt`. Does not know the store.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::retry::Outcome;
use crate::sync::thread;
use crate::task::Run;

use super::attempt::{Attempt, guarded};
use super::lane::Lane;

#[derive(Debug)]
pub(super) enum Crew {
    /// One thread a job, reused.
    Threads {
        size: usize,
        #[cfg(feature = "tokio")]
        reactor: Option<tokio::runtime::Handle>,
    },
    /// Many jobs on few threads.
    #[cfg(feature = "tokio")]
    Executor { size: usize, executor: super::executor::Executor },
    /// Nobody: a simulation runs the jobs.
    #[cfg(test)]
    Simulated(super::stepped::Bench),
}

impl Crew {
    pub(super) fn threads(
        size: usize,
        #[cfg(feature = "tokio")] reactor: Option<tokio::runtime::Handle>,
    ) -> Crew {
        Crew::Threads {
            size,
            #[cfg(feature = "tokio")]
            reactor,
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn executor(size: usize, reactor: &super::executor::Reactor) -> Result<Crew> {
        Ok(Crew::Executor { size, executor: super::executor::Executor::start(reactor)? })
    }

    /// Jobs that run at once.
    pub(super) fn size(&self) -> usize {
        match self {
            Crew::Threads { size, .. } => *size,
            #[cfg(feature = "tokio")]
            Crew::Executor { size, .. } => *size,
            #[cfg(test)]
            Crew::Simulated(bench) => bench.size,
        }
    }

    /// Whether jobs wait in the lane for a member of the crew to take them; else each is started as it arrives.
    pub(super) fn takes(&self) -> bool {
        #[cfg(test)]
        if let Crew::Simulated(bench) = self {
            return bench.takes;
        }
        matches!(self, Crew::Threads { .. })
    }

    /// Starts what the crew needs of its own.
    pub(super) fn start(lane: &Arc<Lane>) -> Result<()> {
        if lane.crew.takes() {
            (0..lane.crew.size()).try_for_each(|_| Crew::hire(lane))?;
        }
        Ok(())
    }

    /// Starts one more thread.
    pub(super) fn hire(lane: &Arc<Lane>) -> Result<()> {
        #[cfg(test)]
        if let Crew::Simulated(bench) = &lane.crew {
            bench.hire();
            return Ok(());
        }
        let works = lane.clone();
        let spawned = thread::Builder::new().name("qdjobs-task".into()).spawn(move || work(&works));
        spawned.map(drop).map_err(|error| {
            Error::new(ErrorKind::Setup, format!("a thread for jobs cannot be started: {error}"))
                .help("lower the worker's concurrency, or raise the process's limit of threads")
        })
    }

    /// Starts a job that has just arrived.
    pub(super) fn begin(&self, lane: &Arc<Lane>, attempt: Arc<Attempt>) {
        #[cfg(feature = "tokio")]
        if let Crew::Executor { executor, .. } = self {
            executor.spawn(lane.clone(), attempt);
            return;
        }
        #[cfg(test)]
        if let Crew::Simulated(bench) = self {
            bench.begin(attempt);
            return;
        }
        let _ = (lane, attempt);
    }

    /// Ends what the crew has of its own.
    pub(super) fn close(&self) {
        #[cfg(feature = "tokio")]
        if let Crew::Executor { executor, .. } = self {
            executor.close();
        }
    }
}

/// One thread's working life.
fn work(lane: &Arc<Lane>) {
    let mut last = None;
    while let Some(attempt) = lane.next(last.take()) {
        let outcome = run(lane, &attempt);
        last = Some((attempt, outcome));
    }
}

fn run(lane: &Lane, attempt: &Attempt) -> Outcome {
    match attempt.task.run {
        Run::Blocking(run) => guarded(|| run(&attempt.ctx, &attempt.ctx.job().params)),
        #[cfg(feature = "tokio")]
        Run::AsyncLocal(run) => {
            let Crew::Threads { reactor: Some(reactor), .. } = &lane.crew else { return not_here() };
            let (ctx, params) = (attempt.ctx.clone(), attempt.ctx.job().params.clone());
            guarded(|| super::executor::run_here(reactor, &attempt.ctx, || run(ctx, params)))
        }
        _ => {
            let _ = lane;
            not_here()
        }
    }
}

/// A worker checks at its start that it can run what it serves, so this is never seen.
fn not_here() -> Outcome {
    Err(crate::TaskError::retry("this worker cannot run this kind of task"))
}
