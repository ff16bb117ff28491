//! A worker without threads, for the simulation: [`SteppedWorker`], with one step at a time.
//!
//! Compiled for tests only. The simulation decides when a job begins and how it ends.
//!
//! Depends on the parts of the worker as they are, except for the pool.

#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the simulated disk needs Linux"))]

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Step};
use super::execution::Execution;
pub(crate) use super::execution::guarded;
use super::job_source::JobSource;
use super::shared::{EventListener, WorkerShared};
pub(crate) use super::simulated_pool::SimulatedPool;
use super::stop::STOP_WAIT;
use super::supervisor::Supervisor;
use super::thread_pool::Pool;
use crate::context::{States, StopReason};
use crate::model::error::Result;
use crate::model::job::WorkerId;
use crate::model::retry::Outcome;
use crate::model::rng::Rng;
use crate::queue::JobQueue;
use crate::store::{Claim, ClaimedJob, Pending, Release, Released, TaskSet, WorkerInfo};
use crate::task::registry::Registry;

/// A job that the simulation runs.
#[derive(Debug)]
pub(crate) struct RunningJob(Arc<Execution>);

impl RunningJob {
    pub(crate) fn claim(&self) -> Claim {
        self.0.ctx.claim()
    }

    pub(crate) fn job(&self) -> &ClaimedJob {
        self.0.ctx.job()
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.0.ctx.stop_reason()
    }

    pub(crate) fn progress(&self, fraction: f64) {
        self.0.ctx.progress(fraction);
    }

    /// Whether its verdict is final although its task has not ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.is_settled()
    }
}

/// One dispatcher, with the sleep of its thread and the number of its jobs that the simulation runs.
struct SteppedDispatcher {
    dispatcher: Arc<Dispatcher>,
    /// When the thread wakes on its own; `None` if it is not asleep.
    sleep: Option<Option<Duration>>,
    busy: usize,
    ended: Option<Result<()>>,
}

/// The stages of a stop, in the order of `RunningWorker::stop`.
#[derive(Debug)]
enum Stage {
    Working,
    /// Waits for running jobs until the shutdown timeout ends.
    Draining(Duration),
    /// Waits for tasks that were asked to stop.
    Stopping(Duration),
    /// Stores the last results.
    Storing,
    /// Removes the worker.
    Leaving(Option<Pending<Released>>),
    Gone,
}

pub(crate) struct SteppedWorker {
    /// Keeps the queue open.
    _queue: JobQueue,
    shared: Arc<WorkerShared>,
    dispatchers: Vec<SteppedDispatcher>,
    /// `None` once it has ended.
    supervisor: Option<Supervisor>,
    supervisor_wakes: Duration,
    shutdown_timeout: Duration,
    stage: Stage,
}

impl SteppedWorker {
    /// A worker that is registered already.
    pub(crate) fn new(
        queue: JobQueue,
        registry: Registry,
        info: WorkerInfo,
        (lease, shutdown_timeout): (Duration, Duration),
        listener: EventListener,
        rng: Rng,
        pools: Vec<(TaskSet, SimulatedPool)>,
    ) -> SteppedWorker {
        let states = States::default();
        let shared =
            Arc::new(WorkerShared::new(queue.downgrade(), registry, states, info.id, Some(listener), rng));
        let mut supervisor = Supervisor::new(shared.clone(), info, lease);
        let dispatchers = pools.into_iter().map(|(tasks, pool)| {
            let pool = Pool::Simulated(pool);
            Dispatcher::new(shared.clone(), supervisor.handle(), Arc::new(tasks), None, pool)
        });
        let dispatchers: Vec<Arc<Dispatcher>> = dispatchers.collect();
        supervisor.supervise(dispatchers.clone());
        let stepped = |dispatcher| SteppedDispatcher { dispatcher, sleep: None, busy: 0, ended: None };
        SteppedWorker {
            _queue: queue,
            supervisor_wakes: shared.monotonic(),
            shared,
            dispatchers: dispatchers.into_iter().map(stepped).collect(),
            supervisor: Some(supervisor),
            shutdown_timeout,
            stage: Stage::Working,
        }
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.shared.worker_id()
    }

    // ---- The dispatchers ----

    pub(crate) fn dispatchers(&self) -> usize {
        self.dispatchers.len()
    }

    /// When the thread of a dispatcher has something to do; `None` if it waits to be woken.
    pub(crate) fn dispatches_at(&self, dispatcher: usize) -> Option<Duration> {
        let stepped = &self.dispatchers[dispatcher];
        match stepped.sleep {
            _ if stepped.ended.is_some() => None,
            Some(wakes) if !stepped.dispatcher.is_woken() => wakes,
            _ => Some(Duration::ZERO),
        }
    }

    /// One step of the thread of a dispatcher.
    pub(crate) fn dispatch(&mut self, dispatcher: usize) {
        let now = self.shared.elapsed();
        let stepped = &mut self.dispatchers[dispatcher];
        if stepped.sleep.take().is_some() {
            stepped.dispatcher.clear_woken();
        }
        match stepped.dispatcher.step() {
            Step::Again => {}
            Step::Sleep(_, limit) => stepped.sleep = Some(limit.map(|limit| now + limit)),
            Step::End(stored) => stepped.ended = Some(stored),
        }
    }

    // ---- The pools ----

    /// Whether a dispatcher has a job that can begin.
    pub(crate) fn can_begin(&self, dispatcher: usize) -> bool {
        let stepped = &self.dispatchers[dispatcher];
        let Pool::Simulated(pool) = &stepped.dispatcher.pool else { return false };
        if !pool.takes_jobs {
            return pool.has_begun();
        }
        stepped.busy < pool.threads() && stepped.dispatcher.has_job()
    }

    /// A free thread of a dispatcher's pool takes a job, or the next job that has begun is taken.
    pub(crate) fn begin(&mut self, dispatcher: usize) -> Option<RunningJob> {
        let stepped = &mut self.dispatchers[dispatcher];
        let Pool::Simulated(pool) = &stepped.dispatcher.pool else { return None };
        let execution = if pool.takes_jobs {
            stepped.dispatcher.try_next()
        } else {
            pool.next_begun(&*stepped.dispatcher)
        };
        execution.map(|execution| {
            stepped.busy += 1;
            RunningJob(execution)
        })
    }

    /// A job ends. If another thread has replaced its thread, that ends too.
    pub(crate) fn end(&mut self, dispatcher: usize, job: RunningJob, outcome: Outcome) {
        let stepped = &mut self.dispatchers[dispatcher];
        stepped.busy -= 1;
        let RunningJob(execution) = job;
        if stepped.dispatcher.finish(execution, outcome).is_none()
            && let Pool::Simulated(pool) = &stepped.dispatcher.pool
            && pool.takes_jobs
        {
            pool.end_thread();
        }
    }

    /// Drops the future of a settled job; `false` if the job is not settled, or runs on a thread, which
    /// cannot be ended from outside.
    pub(crate) fn drop_settled(&mut self, dispatcher: usize, job: &RunningJob) -> bool {
        let stepped = &mut self.dispatchers[dispatcher];
        let drops = !stepped.dispatcher.pool.takes_jobs() && job.is_settled();
        if drops {
            stepped.busy -= 1;
            stepped.dispatcher.dropped(job.0.id());
        }
        drops
    }

    // ---- The supervisor ----

    pub(crate) fn supervises_at(&self) -> Option<Duration> {
        let supervisor = self.supervisor.as_ref()?;
        Some(if supervisor.handle().is_called() { Duration::ZERO } else { self.supervisor_wakes })
    }

    pub(crate) fn supervise(&mut self) {
        let Some(supervisor) = self.supervisor.as_mut() else { return };
        let Some(next) = supervisor.step() else {
            self.supervisor = None;
            return;
        };
        // On the system's clock a thread wakes at least once a second; see `Clock::sleep`.
        let within = next.within.map(|within| self.shared.elapsed() + within);
        let wakes = within.map_or(next.at, |within| within.min(next.at));
        let earlier = self.dispatchers.iter().any(|it| it.dispatcher.has_deadline_before(wakes));
        self.supervisor_wakes = if earlier { Duration::ZERO } else { wakes };
    }

    // ---- The stop ----

    pub(crate) fn stop(&mut self) {
        if matches!(self.stage, Stage::Working) {
            self.dispatchers.iter().for_each(|it| it.dispatcher.close());
            drop(self.shared.queue.store().cancel_waiting_claims(self.shared.worker_id()));
            self.stage = Stage::Draining(self.shared.elapsed().saturating_add(self.shutdown_timeout));
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !matches!(self.stage, Stage::Working)
    }

    fn is_idle(&self) -> bool {
        self.dispatchers.iter().all(|it| it.dispatcher.is_idle())
    }

    fn has_stored(&self) -> bool {
        self.dispatchers.iter().all(|it| it.ended.is_some())
    }

    /// When the thread that stops the worker has something to do; `None` if it waits to be woken.
    pub(crate) fn stops_at(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Working | Stage::Gone => None,
            Stage::Draining(until) | Stage::Stopping(until) => {
                Some(if self.is_idle() { Duration::ZERO } else { *until })
            }
            Stage::Storing => self.has_stored().then_some(Duration::ZERO),
            Stage::Leaving(_) => self.supervisor.is_none().then_some(Duration::ZERO),
        }
    }

    /// Goes on with the stop; `true` once the worker is gone.
    pub(crate) fn go_on_stopping(&mut self) -> bool {
        let (idle, stored) = (self.is_idle(), self.has_stored());
        let now = self.shared.elapsed();
        match &mut self.stage {
            Stage::Draining(until) if idle || now >= *until => {
                self.dispatchers.iter().for_each(|it| it.dispatcher.request_stop());
                self.stage = Stage::Stopping(now + STOP_WAIT);
            }
            Stage::Stopping(until) if idle || now >= *until => {
                self.dispatchers.iter().for_each(|it| _ = it.dispatcher.release_running());
                self.stage = Stage::Storing;
            }
            Stage::Storing if stored => {
                if let Some(supervisor) = &self.supervisor {
                    supervisor.handle().close();
                }
                self.stage = Stage::Leaving(None);
            }
            Stage::Leaving(left) if self.supervisor.is_none() => match left {
                None => {
                    let store = self.shared.queue.store();
                    *left = Some(store.release_worker(self.shared.worker_id(), Release::ByWorker));
                }
                Some(pending) => {
                    if pending.try_take().is_some() {
                        self.stage = Stage::Gone;
                    }
                }
            },
            _ => {}
        }
        matches!(self.stage, Stage::Gone)
    }
}
