//! How the threads of a worker wait, and which free thread takes the next job: [`Pool`].
//!
//! Any free thread takes it: all threads for `fn` tasks wait on one condition variable of their dispatcher.
//! `async fn` tasks go to the executor, whose threads are in `async_executor.rs`. Which job is next is
//! decided in `dispatcher/next_job.rs`.
//!
//! Depends on `execution.rs`, `job_source.rs` and `reactor.rs`, and neither on the dispatcher nor on the
//! store.

use std::sync::Arc;

use crate::model::error::Result;
use crate::model::retry::Outcome;
use crate::queue::inside_task;
use crate::sync::spawn;
use crate::task::Run;

#[cfg(feature = "tokio")]
use super::async_executor::Executor;
use super::execution::{Execution, guarded};
use super::job_source::JobSource;
use super::reactor::{ReactorHandle, unsupported};
#[cfg(test)]
use super::simulated_pool::SimulatedPool;

#[derive(Debug)]
pub(super) enum Pool {
    /// One thread runs one job at a time.
    Threads { size: usize, reactor: ReactorHandle },
    /// A few threads run many jobs.
    #[cfg(feature = "tokio")]
    Executor { size: usize, executor: Executor },
    /// No thread: a simulation runs the jobs.
    #[cfg(test)]
    Simulated(SimulatedPool),
}

impl Pool {
    /// How many jobs run at once.
    pub(super) fn size(&self) -> usize {
        match self {
            Pool::Threads { size, .. } => *size,
            #[cfg(feature = "tokio")]
            Pool::Executor { size, .. } => *size,
            #[cfg(test)]
            Pool::Simulated(pool) => pool.size,
        }
    }

    /// Whether free threads take jobs from the dispatcher. Otherwise, the dispatcher [begins](Pool::begin)
    /// each job when it arrives.
    pub(super) fn takes_jobs(&self) -> bool {
        match self {
            Pool::Threads { .. } => true,
            #[cfg(feature = "tokio")]
            Pool::Executor { .. } => false,
            #[cfg(test)]
            Pool::Simulated(pool) => pool.takes_jobs,
        }
    }

    /// Starts the threads that take jobs.
    pub(super) fn start(&self, jobs: &Arc<dyn JobSource>) -> Result<()> {
        if self.takes_jobs() {
            (0..self.size()).try_for_each(|_| self.spawn_thread(jobs))?;
        }
        Ok(())
    }

    /// Starts one more thread that takes jobs.
    pub(super) fn spawn_thread(&self, jobs: &Arc<dyn JobSource>) -> Result<()> {
        let reactor = match self {
            Pool::Threads { reactor, .. } => reactor.clone(),
            #[cfg(feature = "tokio")]
            Pool::Executor { .. } => return Ok(()),
            #[cfg(test)]
            Pool::Simulated(pool) => {
                pool.spawn_thread();
                return Ok(());
            }
        };
        let jobs = jobs.clone();
        spawn("qdjobs-task", move || run_jobs(&*jobs, &reactor)).map(drop)
    }

    /// Starts a job in a pool whose threads do not take jobs.
    pub(super) fn begin(&self, jobs: Arc<dyn JobSource>, execution: Arc<Execution>) {
        match self {
            Pool::Threads { .. } => drop((jobs, execution)),
            #[cfg(feature = "tokio")]
            Pool::Executor { executor, .. } => executor.spawn(jobs, execution),
            #[cfg(test)]
            Pool::Simulated(pool) => pool.begin(execution),
        }
    }

    /// Ends the threads of the executor. Threads that take jobs end when their source has no more jobs.
    pub(super) fn close(&self) {
        #[cfg(feature = "tokio")]
        if let Pool::Executor { executor, .. } = self {
            executor.close();
        }
    }
}

/// The loop of one thread.
fn run_jobs(jobs: &dyn JobSource, reactor: &ReactorHandle) {
    let mut finished = None;
    while let Some(execution) = jobs.next(finished.take()) {
        let outcome = run(&execution, reactor);
        finished = Some((execution, outcome));
    }
}

fn run(execution: &Execution, reactor: &ReactorHandle) -> Outcome {
    inside_task::run(execution.ctx.queue().store(), || match execution.task.run {
        Run::Blocking(run) => guarded(|| run(&execution.ctx, &execution.ctx.job().params)),
        Run::AsyncLocal(run) => {
            let (ctx, params) = (execution.ctx.clone(), execution.ctx.job().params.clone());
            guarded(|| reactor.run_local(&execution.ctx, || run(ctx, params)))
        }
        Run::Async(_) => unsupported(),
    })
}
