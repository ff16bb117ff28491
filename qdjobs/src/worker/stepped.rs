//! A worker without threads, for a simulation: [`SteppedWorker`], whose dispatchers, crew and steward are steps that somebody
//! calls.
//!
//! Leans on the parts of the worker as they are, but for the crew: what a job does is the simulation's business, when it begins
//! and what becomes of it afterwards is not.

#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the simulated disk is made for Linux"))]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use super::attempt::guarded;
use super::attempt::{Attempt, Shop};
use super::crew::Crew;
use super::lane::{self, Lane, Step};
use super::steward::Steward;
use crate::chance::Chance;
use crate::context::{States, StopReason};
use crate::error::Result;
use crate::job::WorkerId;
use crate::queue::JobQueue;
use crate::registry::Registry;
use crate::retry::Outcome;
use crate::store::{Claim, Claimed, Pending, TaskSet, WorkerCard};

/// The places of a crew that a simulation plays.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(super) size: usize,
    pub(super) takes: bool,
    /// Members hired in the place of those that hang.
    hired: AtomicUsize,
    /// Begun by the lane, for crews that take nothing by themselves.
    begun: Mutex<VecDeque<Arc<Attempt>>>,
}

impl Bench {
    /// `takes` as threads do; else each job is begun as it arrives, as on the executor.
    pub(crate) fn new(size: usize, takes: bool) -> Bench {
        Bench { size, takes, hired: AtomicUsize::new(0), begun: Mutex::default() }
    }

    pub(super) fn hire(&self) {
        self.hired.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, attempt: Arc<Attempt>) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push_back(attempt);
    }

    fn next_begun(&self, lane: &Lane) -> Option<Arc<Attempt>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(attempt) = begun.pop_front() {
            if !attempt.is_settled() {
                return Some(attempt);
            }
            // One that ran out of time before anybody polled it is dropped.
            lane.returned(attempt.id());
        }
        None
    }
}

/// A job in the hands of the simulation.
#[derive(Debug)]
pub(crate) struct Running(Arc<Attempt>);

impl Running {
    pub(crate) fn claim(&self) -> Claim {
        self.0.ctx.claim()
    }

    pub(crate) fn job(&self) -> &Claimed {
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

/// One lane, with its dispatcher's sleep and how many of its crew are at work.
struct Stand {
    lane: Arc<Lane>,
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
    Leaving(Option<Pending<usize>>),
    Gone,
}

pub(crate) struct SteppedWorker {
    /// Keeps the queue open.
    _queue: JobQueue,
    shop: Arc<Shop>,
    stands: Vec<Stand>,
    steward: Option<Steward>,
    steward_wakes: Duration,
    grace: Duration,
    stage: Stage,
}

impl SteppedWorker {
    /// Its card is on the list already.
    pub(crate) fn new(
        queue: JobQueue,
        registry: Registry,
        card: WorkerCard,
        (lease, grace): (Duration, Duration),
        listener: super::Listener,
        chance: Chance,
        benches: Vec<(TaskSet, Bench)>,
    ) -> SteppedWorker {
        let shop = Arc::new(Shop::new(queue.lent(), registry, States::default(), card.id, listener, chance));
        let mut steward = Steward::new(shop.clone(), card, lease);
        let lanes = benches.into_iter().map(|(tasks, bench)| {
            let crew = Crew::Simulated(bench);
            Lane::new(shop.clone(), steward.bell(), Arc::new(tasks), None, crew)
        });
        let lanes: Vec<Arc<Lane>> = lanes.collect();
        steward.serve_lanes(lanes.clone());
        let stand = |lane| Stand { lane, sleeps: None, busy: 0, over: None };
        SteppedWorker {
            _queue: queue,
            steward_wakes: shop.monotonic(),
            shop,
            stands: lanes.into_iter().map(stand).collect(),
            steward: Some(steward),
            grace,
            stage: Stage::Works,
        }
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.shop.worker()
    }

    pub(crate) fn lanes(&self) -> usize {
        self.stands.len()
    }

    /// When a lane's dispatcher has something to do; `None` if it waits for others.
    pub(crate) fn dispatches_at(&self, lane: usize) -> Option<Duration> {
        let stand = &self.stands[lane];
        let (stirred, _) = stand.lane.calls();
        match stand.sleeps {
            _ if stand.over.is_some() => None,
            Some(wakes) if !stirred => wakes,
            _ => Some(Duration::ZERO),
        }
    }

    /// A step of a lane's dispatcher.
    pub(crate) fn dispatch(&mut self, lane: usize) {
        let now = self.shop.elapsed();
        let stand = &mut self.stands[lane];
        if stand.sleeps.take().is_some() {
            stand.lane.wake();
        }
        match stand.lane.step() {
            Step::Again => {}
            Step::Sleep(_, limit) => stand.sleeps = Some(limit.map(|limit| now + limit)),
            Step::Over(written) => stand.over = Some(written),
        }
    }

    /// Whether a member of a lane's crew is free and finds a job.
    pub(crate) fn can_begin(&self, lane: usize) -> bool {
        let stand = &self.stands[lane];
        let Crew::Simulated(bench) = &stand.lane.crew else { return false };
        if !bench.takes {
            return !bench.begun.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        }
        stand.busy < bench.size + bench.hired.load(Ordering::Relaxed) && stand.lane.calls().1
    }

    /// A member of a lane's crew takes a job.
    pub(crate) fn begin(&mut self, lane: usize) -> Option<Running> {
        let stand = &mut self.stands[lane];
        let Crew::Simulated(bench) = &stand.lane.crew else { return None };
        let attempt = if bench.takes { stand.lane.try_next() } else { bench.next_begun(&stand.lane) };
        attempt.map(|attempt| {
            stand.busy += 1;
            Running(attempt)
        })
    }

    /// A job ends; a thread that another has taken the place of ends with it.
    pub(crate) fn end(&mut self, lane: usize, running: Running, outcome: Outcome) {
        let stand = &mut self.stands[lane];
        stand.busy -= 1;
        let Running(attempt) = running;
        if stand.lane.ended(attempt, outcome).is_none()
            && let Crew::Simulated(bench) = &stand.lane.crew
            && bench.takes
        {
            bench.hired.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A future is dropped since its job is settled; `false` if it is a thread's, which cannot be ended from outside.
    pub(crate) fn drop_settled(&mut self, lane: usize, running: &Running) -> bool {
        let stand = &mut self.stands[lane];
        let drops = !stand.lane.crew.takes() && running.is_settled();
        if drops {
            stand.busy -= 1;
            stand.lane.returned(running.0.id());
        }
        drops
    }

    pub(crate) fn steward_at(&self) -> Option<Duration> {
        let steward = self.steward.as_ref()?;
        Some(if steward.bell().is_called() { Duration::ZERO } else { self.steward_wakes })
    }

    pub(crate) fn steward(&mut self) {
        let Some(steward) = self.steward.as_mut() else { return };
        match steward.step() {
            Some(wake) => {
                // The system's clock is looked at each second at least; see `Clock::nap`.
                let patience = wake.patience.map(|patience| self.shop.elapsed() + patience);
                self.steward_wakes = patience.into_iter().chain([wake.at]).min().unwrap_or(wake.at);
                let sooner =
                    self.stands.iter().any(|stand| stand.lane.has_deadline_before(self.steward_wakes));
                if sooner {
                    self.steward_wakes = Duration::ZERO;
                }
            }
            None => self.steward = None,
        }
    }

    /// Begins to stop.
    pub(crate) fn stop(&mut self) {
        if matches!(self.stage, Stage::Works) {
            self.stands.iter().for_each(|stand| stand.lane.close());
            self.shop.queue.store().recall(self.shop.worker());
            self.stage = Stage::Grace(self.shop.elapsed().saturating_add(self.grace));
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !matches!(self.stage, Stage::Works)
    }

    /// When the thread that stops the worker has something to do; `None` if it waits for others.
    pub(crate) fn stops_at(&self) -> Option<Duration> {
        let idle = self.stands.iter().all(|stand| stand.lane.is_idle());
        match &self.stage {
            Stage::Works | Stage::Gone => None,
            Stage::Grace(until) | Stage::Parting(until) => Some(if idle { Duration::ZERO } else { *until }),
            Stage::Emptying => self.stands.iter().all(|stand| stand.over.is_some()).then_some(Duration::ZERO),
            Stage::Leaving(_) => self.steward.is_none().then_some(Duration::ZERO),
        }
    }

    /// The next stage of a stop; `true` once the worker is gone.
    pub(crate) fn go_on_stopping(&mut self) -> bool {
        let idle = self.stands.iter().all(|stand| stand.lane.is_idle());
        let now = self.shop.elapsed();
        match &mut self.stage {
            Stage::Grace(until) if idle || now >= *until => {
                self.stands.iter().for_each(|stand| stand.lane.tell_to_stop());
                self.stage = Stage::Parting(now + lane::PARTING);
            }
            Stage::Parting(until) if idle || now >= *until => {
                self.stands.iter().for_each(|stand| _ = stand.lane.release_running());
                self.stage = Stage::Emptying;
            }
            Stage::Emptying if self.stands.iter().all(|stand| stand.over.is_some()) => {
                if let Some(steward) = &self.steward {
                    steward.bell().close();
                }
                self.stage = Stage::Leaving(None);
            }
            Stage::Leaving(left) if self.steward.is_none() => match left {
                None => *left = Some(self.shop.queue.store().leave(self.shop.worker())),
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
