//! A worker without threads, for a simulation: [`SteppedWorker`], whose dispatchers, pool and supervisor are steps that somebody
//! calls.
//!
//! Leans on the parts of the worker as they are, but for the pool: what a job does is the simulation's business, when it begins
//! and what becomes of it afterwards is not.

#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the simulated disk is made for Linux"))]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::dispatcher::{self, Dispatcher, Step};
pub(crate) use super::execution::guarded;
use super::execution::{Execution, WorkerShared};
use super::pool::Pool;
use super::supervisor::Supervisor;
use crate::context::{States, StopReason};
use crate::model::error::Result;
use crate::model::job::WorkerId;
use crate::model::retry::Outcome;
use crate::model::rng::Rng;
use crate::queue::JobQueue;
use crate::store::{Claim, ClaimedJob, Pending, Release, Released, TaskSet, WorkerInfo};
use crate::task::registry::Registry;

/// The places of a pool that a simulation plays.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(super) size: usize,
    pub(super) takes: bool,
    /// Members spawned in the place of those that hang.
    spawned: AtomicUsize,
    /// Begun by the dispatcher, for pools that take nothing by themselves.
    begun: Mutex<VecDeque<Arc<Execution>>>,
}

impl Bench {
    /// `takes` as threads do; else each job is begun as it arrives, as on the executor.
    pub(crate) fn new(size: usize, takes: bool) -> Bench {
        Bench { size, takes, spawned: AtomicUsize::new(0), begun: Mutex::default() }
    }

    pub(super) fn spawn_thread(&self) {
        self.spawned.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, attempt: Arc<Execution>) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push_back(attempt);
    }

    fn next_begun(&self, dispatcher: &Dispatcher) -> Option<Arc<Execution>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(attempt) = begun.pop_front() {
            if !attempt.is_settled() {
                return Some(attempt);
            }
            // One that ran out of time before anybody polled it is dropped.
            dispatcher.returned(attempt.id());
        }
        None
    }
}

/// A job in the hands of the simulation.
#[derive(Debug)]
pub(crate) struct Running(Arc<Execution>);

impl Running {
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

    /// What becomes of the job was decided over its head.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.is_settled()
    }
}

/// One dispatcher, with its dispatcher's sleep and how many of its pool are at work.
struct Stand {
    dispatcher: Arc<Dispatcher>,
    /// When the dispatcher wakes by itself; `None` if it has not gone to sleep.
    sleeps: Option<Option<Duration>>,
    busy: usize,
    over: Option<Result<()>>,
}

/// The stages of a stop, as `Running::stop` goes through them.
#[derive(Debug)]
enum Stage {
    Works,
    Grace(Duration),
    Parting(Duration),
    Emptying,
    Leaving(Option<Pending<Released>>),
    Gone,
}

pub(crate) struct SteppedWorker {
    /// Keeps the queue open.
    _queue: JobQueue,
    shared: Arc<WorkerShared>,
    stands: Vec<Stand>,
    supervisor: Option<Supervisor>,
    steward_wakes: Duration,
    grace: Duration,
    stage: Stage,
}

impl SteppedWorker {
    /// Its card is on the list already.
    pub(crate) fn new(
        queue: JobQueue,
        registry: Registry,
        card: WorkerInfo,
        (lease, grace): (Duration, Duration),
        listener: super::Listener,
        rng: Rng,
        benches: Vec<(TaskSet, Bench)>,
    ) -> SteppedWorker {
        let shared = Arc::new(WorkerShared::new(
            queue.downgrade(),
            registry,
            States::default(),
            card.id,
            listener,
            rng,
        ));
        let mut supervisor = Supervisor::new(shared.clone(), card, lease);
        let dispatchers = benches.into_iter().map(|(tasks, bench)| {
            let pool = Pool::Simulated(bench);
            Dispatcher::new(shared.clone(), supervisor.bell(), Arc::new(tasks), None, pool)
        });
        let dispatchers: Vec<Arc<Dispatcher>> = dispatchers.collect();
        supervisor.serve_lanes(dispatchers.clone());
        let stand = |dispatcher| Stand { dispatcher, sleeps: None, busy: 0, over: None };
        SteppedWorker {
            _queue: queue,
            steward_wakes: shared.monotonic(),
            shared,
            stands: dispatchers.into_iter().map(stand).collect(),
            supervisor: Some(supervisor),
            grace,
            stage: Stage::Works,
        }
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.shared.worker()
    }

    pub(crate) fn dispatchers(&self) -> usize {
        self.stands.len()
    }

    /// When a dispatcher's dispatcher has something to do; `None` if it waits for others.
    pub(crate) fn dispatches_at(&self, dispatcher: usize) -> Option<Duration> {
        let stand = &self.stands[dispatcher];
        let (woken, _) = stand.dispatcher.calls();
        match stand.sleeps {
            _ if stand.over.is_some() => None,
            Some(wakes) if !woken => wakes,
            _ => Some(Duration::ZERO),
        }
    }

    /// A step of a dispatcher's dispatcher.
    pub(crate) fn dispatch(&mut self, dispatcher: usize) {
        let now = self.shared.elapsed();
        let stand = &mut self.stands[dispatcher];
        if stand.sleeps.take().is_some() {
            stand.dispatcher.note_woken();
        }
        match stand.dispatcher.step() {
            Step::Again => {}
            Step::Sleep(_, limit) => stand.sleeps = Some(limit.map(|limit| now + limit)),
            Step::Over(written) => stand.over = Some(written),
        }
    }

    /// Whether a member of a dispatcher's pool is free and finds a job.
    pub(crate) fn can_begin(&self, dispatcher: usize) -> bool {
        let stand = &self.stands[dispatcher];
        let Pool::Simulated(bench) = &stand.dispatcher.pool else { return false };
        if !bench.takes {
            return !bench.begun.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        }
        stand.busy < bench.size + bench.spawned.load(Ordering::Relaxed) && stand.dispatcher.calls().1
    }

    /// A member of a dispatcher's pool takes a job.
    pub(crate) fn begin(&mut self, dispatcher: usize) -> Option<Running> {
        let stand = &mut self.stands[dispatcher];
        let Pool::Simulated(bench) = &stand.dispatcher.pool else { return None };
        let attempt =
            if bench.takes { stand.dispatcher.try_next() } else { bench.next_begun(&stand.dispatcher) };
        attempt.map(|attempt| {
            stand.busy += 1;
            Running(attempt)
        })
    }

    /// A job ends; a thread that another has taken the place of ends with it.
    pub(crate) fn end(&mut self, dispatcher: usize, running: Running, outcome: Outcome) {
        let stand = &mut self.stands[dispatcher];
        stand.busy -= 1;
        let Running(attempt) = running;
        if stand.dispatcher.ended(attempt, outcome).is_none()
            && let Pool::Simulated(bench) = &stand.dispatcher.pool
            && bench.takes
        {
            bench.spawned.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A future is dropped since its job is settled; `false` if it is a thread's, which cannot be ended from outside.
    pub(crate) fn drop_settled(&mut self, dispatcher: usize, running: &Running) -> bool {
        let stand = &mut self.stands[dispatcher];
        let drops = !stand.dispatcher.pool.takes() && running.is_settled();
        if drops {
            stand.busy -= 1;
            stand.dispatcher.returned(running.0.id());
        }
        drops
    }

    pub(crate) fn steward_at(&self) -> Option<Duration> {
        let supervisor = self.supervisor.as_ref()?;
        Some(if supervisor.bell().is_called() { Duration::ZERO } else { self.steward_wakes })
    }

    pub(crate) fn supervisor(&mut self) {
        let Some(supervisor) = self.supervisor.as_mut() else { return };
        match supervisor.step() {
            Some(wake) => {
                // The system's clock is looked at each second at least; see `Clock::sleep`.
                let patience = wake.patience.map(|patience| self.shared.elapsed() + patience);
                self.steward_wakes = patience.into_iter().chain([wake.at]).min().unwrap_or(wake.at);
                let sooner =
                    self.stands.iter().any(|stand| stand.dispatcher.has_deadline_before(self.steward_wakes));
                if sooner {
                    self.steward_wakes = Duration::ZERO;
                }
            }
            None => self.supervisor = None,
        }
    }

    /// Begins to stop.
    pub(crate) fn stop(&mut self) {
        if matches!(self.stage, Stage::Works) {
            self.stands.iter().for_each(|stand| stand.dispatcher.close());
            drop(self.shared.queue.store().cancel_waiting_claims(self.shared.worker()));
            self.stage = Stage::Grace(self.shared.elapsed().saturating_add(self.grace));
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !matches!(self.stage, Stage::Works)
    }

    /// When the thread that stops the worker has something to do; `None` if it waits for others.
    pub(crate) fn stops_at(&self) -> Option<Duration> {
        let idle = self.stands.iter().all(|stand| stand.dispatcher.is_idle());
        match &self.stage {
            Stage::Works | Stage::Gone => None,
            Stage::Grace(until) | Stage::Parting(until) => Some(if idle { Duration::ZERO } else { *until }),
            Stage::Emptying => self.stands.iter().all(|stand| stand.over.is_some()).then_some(Duration::ZERO),
            Stage::Leaving(_) => self.supervisor.is_none().then_some(Duration::ZERO),
        }
    }

    /// The next stage of a stop; `true` once the worker is gone.
    pub(crate) fn go_on_stopping(&mut self) -> bool {
        let idle = self.stands.iter().all(|stand| stand.dispatcher.is_idle());
        let now = self.shared.elapsed();
        match &mut self.stage {
            Stage::Grace(until) if idle || now >= *until => {
                self.stands.iter().for_each(|stand| stand.dispatcher.tell_to_stop());
                self.stage = Stage::Parting(now + dispatcher::PARTING);
            }
            Stage::Parting(until) if idle || now >= *until => {
                self.stands.iter().for_each(|stand| _ = stand.dispatcher.release_running());
                self.stage = Stage::Emptying;
            }
            Stage::Emptying if self.stands.iter().all(|stand| stand.over.is_some()) => {
                if let Some(supervisor) = &self.supervisor {
                    supervisor.bell().close();
                }
                self.stage = Stage::Leaving(None);
            }
            Stage::Leaving(left) if self.supervisor.is_none() => match left {
                None => {
                    *left = Some(
                        self.shared.queue.store().release_worker(self.shared.worker(), Release::ByWorker),
                    )
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
