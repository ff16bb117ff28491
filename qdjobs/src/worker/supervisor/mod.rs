//! The [`Supervisor`]: keeps a worker's standing while its tasks do as they please.
//!
//! Leans on `lease` for the judgement and on the store's heartbeat and rescue. A thread of its own, so that no task can keep it
//! from beating; it heartbeats until the last job has ended. It waits for no answer: a store that is slow to free the jobs of the
//! dead must not hold up its own heartbeats and the timeouts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::model::clock::ClockSubscriber;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::event::Event;
use crate::model::job::{Job, WorkerId};
use crate::model::lease::HeartbeatMonitor;
use crate::store::{Heartbeat, Pending, Release, Released, WorkerInfo, WorkerState};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};

use super::dispatcher::Dispatcher;
use super::execution::WorkerShared;

/// How often the others are looked at: half of it is how long a job waits, in the mean, after its worker was killed.
const LOOK: Duration = Duration::from_millis(1_000);

/// How long a worker that has not looked for a while asks whether its lease still holds, before it doubts that.
const ASK: Duration = Duration::from_millis(250);

/// On the monotonic clock, and in microseconds still a number of 64 bits.
const NEVER: Duration = Duration::from_secs(1 << 40);

pub(in crate::worker) struct Supervisor {
    shared: Arc<WorkerShared>,
    card: WorkerInfo,
    lease: Duration,
    bell: SupervisorHandle,
    /// Wakes for every answer.
    answered: Waker,
    monitor: HeartbeatMonitor,
    dispatchers: Vec<Arc<Dispatcher>>,
    /// Under way, with the number it was sent under.
    heartbeat: Option<(WorkerId, Pending<Heartbeat>)>,
    /// Under way, with the time it was asked.
    census: Option<(Duration, Pending<Vec<WorkerState>>)>,
    /// Under way, each with the worker that is dead.
    rescues: Vec<(WorkerId, Pending<Released>)>,
    /// The worker was taken for dead: the new number it asked for, and when.
    returning: Option<(Duration, WorkerInfo, Pending<()>)>,
    next_heartbeat: Duration,
    next_look: Duration,
    /// When the last answered heartbeat was submitted: from then on the lease counts.
    sure_at: Duration,
    submitted_at: Duration,
    /// Until when the store is asked whether the lease still holds, before that is doubted; in the clock's elapsed time.
    asking_until: Option<Duration>,
    suspended: bool,
    /// The store has stopped for good: there is nobody left to heartbeat for.
    store_stopped: bool,
}

/// The supervisor at work.
#[derive(Debug)]
pub(in crate::worker) struct Running {
    bell: SupervisorHandle,
    thread: Option<thread::JoinHandle<()>>,
}

/// How the dispatchers reach the supervisor.
#[derive(Clone, Debug)]
pub(in crate::worker) struct SupervisorHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Call>,
    called: Condvar,
    /// When it wakes by itself, in microseconds of the monotonic clock: an attempt with an earlier deadline calls it.
    wakes_at: AtomicU64,
}

#[derive(Debug, Default)]
struct Call {
    called: bool,
    closed: bool,
    /// The store says that this number is not on its list.
    lost: Option<WorkerId>,
}

impl SupervisorHandle {
    /// Something is to be done at `at`.
    pub(in crate::worker) fn wake_by(&self, at: Duration) {
        if (at.as_micros() as u64) < self.0.wakes_at.load(Ordering::Acquire) {
            self.0.call();
        }
    }

    /// The store refused `worker`.
    pub(in crate::worker) fn lease_lost(&self, worker: WorkerId) {
        self.call(|call| call.lost = Some(worker));
    }

    /// The store has refused a turn since it has stopped for good.
    pub(in crate::worker) fn store_stopped(&self) {
        self.0.call();
    }

    fn call(&self, change: impl FnOnce(&mut Call)) {
        let mut state = self.0.lock();
        change(&mut state);
        state.called = true;
        self.0.called.notify_one();
    }

    #[cfg(test)]
    pub(in crate::worker) fn is_called(&self) -> bool {
        self.0.lock().called
    }

    /// Tells the supervisor to end.
    pub(in crate::worker) fn close(&self) {
        self.call(|call| call.closed = true);
    }

    /// What it was called for.
    fn answer(&self) -> Call {
        let mut state = self.0.lock();
        let closed = state.closed;
        let call = std::mem::take(&mut *state);
        state.closed = closed;
        call
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Call> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) {
        self.lock().called = true;
        self.called.notify_one();
    }
}

impl ClockSubscriber for Shared {
    fn clock_advanced(&self) {
        self.call();
    }
}

/// An answer has come.
impl std::task::Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.call();
    }
}

impl Supervisor {
    pub(in crate::worker) fn new(shared: Arc<WorkerShared>, card: WorkerInfo, lease: Duration) -> Supervisor {
        let now = shared.monotonic();
        let bell = SupervisorHandle(Arc::default());
        Supervisor {
            shared,
            card,
            lease,
            answered: Waker::from(bell.0.clone()),
            bell,
            monitor: HeartbeatMonitor::new(lease),
            dispatchers: Vec::new(),
            heartbeat: None,
            census: None,
            rescues: Vec::new(),
            returning: None,
            next_heartbeat: now,
            next_look: now,
            sure_at: now,
            submitted_at: now,
            asking_until: None,
            suspended: false,
            store_stopped: false,
        }
    }

    pub(in crate::worker) fn bell(&self) -> SupervisorHandle {
        self.bell.clone()
    }

    /// Looks after `dispatchers` from now on.
    pub(in crate::worker) fn serve_lanes(&mut self, dispatchers: Vec<Arc<Dispatcher>>) {
        self.dispatchers = dispatchers;
    }

    pub(in crate::worker) fn start(mut self) -> Result<Running> {
        let bell = self.bell.clone();
        let rung: Arc<dyn ClockSubscriber> = bell.0.clone();
        self.shared.queue.clock().subscribe(Arc::downgrade(&rung));
        let work = move || {
            while let Some(wake) = self.step() {
                self.sleep(wake);
            }
        };
        let thread = thread::Builder::new().name("qdjobs-monitor".into()).spawn(work);
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Config, format!("a worker's thread cannot be started: {error}"))
        })?;
        Ok(Running { bell, thread: Some(thread) })
    }

    /// Does what is due, and says when to wake; `None` when all is over.
    pub(in crate::worker) fn step(&mut self) -> Option<Wake> {
        let call = self.bell.answer();
        self.mind_the_store();
        if self.store_stopped {
            // There is nobody to heartbeat for any more; timeouts are still kept.
            let now = self.shared.monotonic();
            let at = self
                .dispatchers
                .iter()
                .filter_map(|dispatcher| dispatcher.expire(now))
                .min()
                .unwrap_or(NEVER);
            return (!call.closed).then_some(Wake { at, patience: None });
        }
        if call.lost.is_some_and(|worker| worker == self.shared.worker()) {
            self.come_back();
        }
        self.be_back();
        // A new number that is on its way onto the list has to be known to whoever takes the worker off it.
        if call.closed && self.returning.is_none() {
            return None;
        }
        let now = self.shared.monotonic();
        if now >= self.next_heartbeat {
            self.send_heartbeat(now);
        }
        // After it was sent: a worker that doubts its lease must be woken by the answer, or it would go on doubting until
        // the next heartbeat is due, which on a held clock is never.
        self.poll_heartbeat(now);
        self.hear_rescues();
        if now >= self.next_look {
            self.next_look = now + LOOK.min(self.lease / 8);
            if self.census.is_none() {
                self.census = Some((now, self.shared.queue.store().workers()));
            }
        }
        self.look(now);
        let patience = self.mind_own_lease(now);
        let deadline = self.dispatchers.iter().filter_map(|dispatcher| dispatcher.expire(now)).min();
        let at = deadline.into_iter().chain([self.next_look, self.next_heartbeat]).min().unwrap_or(now);
        Some(Wake { at, patience })
    }

    fn sleep(&self, wake: Wake) {
        let shared = &self.bell.0;
        shared.wakes_at.store(wake.at.as_micros() as u64, Ordering::Release);
        // After the store above: a deadline that was set before it is seen now, one that is set after it calls. Not under the bell's
        // lock, since a dispatcher calls under its own.
        let sooner = self.dispatchers.iter().any(|dispatcher| dispatcher.has_deadline_before(wake.at));
        let wait = wake.at.saturating_sub(self.shared.monotonic());
        if sooner || wait.is_zero() {
            return;
        }
        let state = shared.lock();
        let quiet = |call: &mut Call| !call.called;
        let sleep = self.shared.queue.clock().sleep(wait).into_iter().chain(wake.patience).min();
        let woken = match sleep {
            None => shared.called.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner),
            Some(sleep) => {
                shared
                    .called
                    .wait_timeout_while(state, sleep, quiet)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        drop(woken);
    }

    /// Asks how the store is, which costs nothing. One that has stopped for good is told of once: to the program, and to all that
    /// runs.
    fn mind_the_store(&mut self) {
        if self.store_stopped {
            return;
        }
        let Some(error) = self.shared.queue.store().halted() else { return };
        self.store_stopped = true;
        (self.heartbeat, self.census, self.returning) = (None, None, None);
        self.rescues.clear();
        self.dispatchers.iter().for_each(|dispatcher| dispatcher.store_stopped(&error));
        self.shared.tell(&Event::StoreHalted { error: &error });
    }

    /// Tells that the store failed. That it has stopped is told by the next step, once.
    fn has_trouble(&self, error: &Error) {
        match error.kind() {
            ErrorKind::StoreHalted => self.bell.store_stopped(),
            _ => self.shared.tell(&Event::StoreError { error }),
        }
    }

    fn send_heartbeat(&mut self, now: Duration) {
        self.next_heartbeat = now + self.lease / 3;
        if self.heartbeat.is_none() && self.returning.is_none() {
            self.submitted_at = now;
            let worker = self.shared.worker();
            self.heartbeat = Some((worker, self.shared.queue.store().heartbeat(worker)));
        }
    }

    fn poll_heartbeat(&mut self, now: Duration) {
        let Some((worker, heartbeat)) = self.heartbeat.as_mut() else { return };
        let worker = *worker;
        let Some(answer) = heard(heartbeat, &self.answered) else { return };
        self.heartbeat = None;
        match answer {
            // Sent before the worker came back: it says nothing about the number of now.
            _ if worker != self.shared.worker() => {}
            Ok(heartbeat) if heartbeat.registered => {
                self.sure_at = self.submitted_at;
            }
            Ok(_) => self.come_back(),
            Err(error) => {
                self.has_trouble(&error);
                self.next_heartbeat = now + LOOK;
            }
        }
    }

    /// A worker whose heartbeats are not answered must assume that others will take it for dead, before they do. One that only did
    /// not look for a while (the machine slept, a held clock was moved) asks before it alarms its tasks. Gives how much longer
    /// it waits for the answer.
    fn mind_own_lease(&mut self, now: Duration) -> Option<Duration> {
        let longest = self.lease.mul_f64(0.8);
        if now.saturating_sub(self.sure_at) <= longest {
            self.asking_until = None;
            self.suspend(false);
            return None;
        }
        if self.suspended {
            return None;
        }
        // An answer to a heartbeat from before the gap proves nothing about now: one more is sent when it is there.
        if now.saturating_sub(self.submitted_at) > longest {
            self.send_heartbeat(now);
            self.poll_heartbeat(now);
        }
        let elapsed = self.shared.elapsed();
        let until = *self.asking_until.get_or_insert(elapsed + ASK);
        if now.saturating_sub(self.sure_at) <= longest {
            return self.mind_own_lease(now);
        }
        if elapsed < until {
            return Some(until - elapsed);
        }
        self.suspend(true);
        None
    }

    fn suspend(&mut self, doubtful: bool) {
        if std::mem::replace(&mut self.suspended, doubtful) != doubtful {
            self.dispatchers.iter().for_each(|dispatcher| dispatcher.suspend(doubtful));
        }
    }

    /// Looks, once the census is there, for workers that are dead, and frees their jobs.
    fn look(&mut self, now: Duration) {
        let Some((asked, census)) = self.census.as_mut() else { return };
        let asked = *asked;
        let Some(answer) = heard(census, &self.answered) else { return };
        self.census = None;
        let workers = match answer {
            Ok(workers) => workers,
            Err(error) => return self.has_trouble(&error),
        };
        let own = self.shared.worker();
        let others: Vec<WorkerState> = workers.into_iter().filter(|state| state.id != own).collect();
        // Of an answer that was long under way nobody knows of which moment it tells. With less than this the monitor
        // judges later than the one it judges gives itself up.
        let fresh = now.saturating_sub(asked) < self.lease / 8;
        // While our own heartbeats do not get through (somebody holds the lock), nobody's do: then silence proves nothing.
        let heard_ourselves = now.saturating_sub(self.sure_at) < self.lease / 2;
        if !heard_ourselves {
            self.monitor.forget();
        }
        let silent = if fresh && heard_ourselves {
            self.monitor.look(others.iter().map(|state| (state.id, state.heartbeats)), asked)
        } else {
            Vec::new()
        };
        let store = self.shared.queue.store();
        for &WorkerState { id: worker, heartbeats, .. } in &others {
            if self.rescues.iter().any(|(dead, _)| *dead == worker) {
                continue;
            }
            if store.is_proven_dead(worker) {
                self.rescues.push((worker, store.release_worker(worker, Release::ProvenDead)));
            } else if silent.contains(&worker) {
                self.rescues.push((worker, store.release_worker(worker, Release::Silent { heartbeats })));
            }
        }
        self.hear_rescues();
    }

    fn hear_rescues(&mut self) {
        let (shared, bell, answered) = (&self.shared, &self.bell, &self.answered);
        self.rescues.retain_mut(|(worker, rescue)| {
            match heard(rescue, answered) {
                None => return true,
                // Somebody else was quicker, or it held nothing, or it heartbeats after all.
                Some(Ok(Released { jobs: 0, .. })) => {}
                Some(Ok(Released { jobs, failed })) => {
                    shared.tell(&Event::Rescued { worker: *worker, jobs });
                    for Job { id, task_name, attempt, error, .. } in failed {
                        let error = error.as_deref().unwrap_or_default();
                        shared.tell(&Event::Failed { id, task_name: &task_name, attempt, error });
                    }
                }
                Some(Err(error)) if error.kind() == ErrorKind::StoreHalted => bell.store_stopped(),
                Some(Err(error)) => shared.tell(&Event::StoreError { error: &error }),
            }
            false
        });
    }

    /// Taken for dead, but alive: what is held is lost; the worker goes on as a new one.
    fn come_back(&mut self) {
        if self.returning.is_none() {
            self.dispatchers.iter().for_each(|dispatcher| dispatcher.lease_lost());
            let card = WorkerInfo { id: self.shared.new_id(), ..self.card.clone() };
            let registered = self.shared.queue.store().register_worker(card.clone());
            self.returning = Some((self.shared.monotonic(), card, registered));
        }
        self.be_back();
    }

    /// Takes up the new number, once it is on the list.
    fn be_back(&mut self) {
        let Some((asked, card, registered)) = self.returning.as_mut() else { return };
        let (asked, new) = (*asked, card.id);
        let Some(answer) = heard(registered, &self.answered) else { return };
        self.returning = None;
        match answer {
            Ok(()) => {
                let before = self.shared.worker();
                self.shared.set_worker(new);
                self.shared.tell(&Event::LeaseLost { worker: before });
                // Nothing is held under the old number any more. This lets go of its proof of life, and of a turn that stands
                // under it.
                drop(self.shared.queue.store().release_worker(before, Release::ByWorker));
                self.sure_at = asked;
                self.dispatchers.iter().for_each(|dispatcher| dispatcher.renumbered());
            }
            Err(error) if error.kind() == ErrorKind::StoreHalted => self.bell.store_stopped(),
            Err(error) => {
                self.has_trouble(&error);
                self.next_heartbeat = self.shared.monotonic() + LOOK;
            }
        }
    }
}

/// When a supervisor has to be woken if nobody calls it.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Wake {
    /// On the monotonic clock.
    pub(in crate::worker) at: Duration,
    /// From now, in time that goes on though a test holds the clock.
    pub(in crate::worker) patience: Option<Duration>,
}

/// The answer, if it is there; else `waker` will tell of it.
fn heard<T>(pending: &mut Pending<T>, waker: &Waker) -> Option<Result<T>> {
    match Pin::new(pending).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

impl Running {
    pub(in crate::worker) fn stop(mut self) {
        self.bell.close();
        if let Some(thread) = self.thread.take() {
            // A supervisor that panicked has nothing more to do.
            let _ = thread.join();
        }
    }
}
