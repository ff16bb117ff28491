//! The [`Steward`]: the thread that keeps a worker's standing while its tasks do as they please.
//!
//! Leans on `lease` for the judgement and on the store's beat and rescue. A thread of its own, so that no task can keep it
//! from beating; it beats until the last job has ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::job::WorkerId;
use crate::lease::Observer;
use crate::store::{Answer, Beat, Pending, Query, WorkerCard, WorkerState};
use crate::time::Bell;

use super::attempt::Shop;
use super::lane::Lane;

/// How often the others are looked at: half of it is how long a job waits, in the mean, after its worker was killed.
const LOOK: Duration = Duration::from_millis(1_000);

/// On the monotonic clock, and in microseconds still a number of 64 bits.
const NEVER: Duration = Duration::from_secs(1 << 40);

pub(super) struct Steward {
    shop: Arc<Shop>,
    card: WorkerCard,
    lease: Duration,
    bell: StewardBell,
    observer: Observer,
    lanes: Vec<Arc<Lane>>,
    /// Under way, with the number it was sent under.
    beat: Option<(WorkerId, Pending<Beat>)>,
    census: Option<Pending<Answer>>,
    next_beat: Duration,
    next_look: Duration,
    /// When the last answered beat was submitted: from then on the lease counts.
    sure_at: Duration,
    submitted_at: Duration,
    suspended: bool,
    /// The store has stopped for good: there is nobody left to beat for.
    store_stopped: bool,
}

/// The steward at work.
#[derive(Debug)]
pub(super) struct Running {
    bell: StewardBell,
    thread: Option<JoinHandle<()>>,
}

/// How the lanes reach the steward.
#[derive(Clone, Debug)]
pub(super) struct StewardBell(Arc<Shared>);

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

impl StewardBell {
    /// Something is to be done at `at`.
    pub(super) fn wake_by(&self, at: Duration) {
        if (at.as_micros() as u64) < self.0.wakes_at.load(Ordering::Acquire) {
            self.0.ring();
        }
    }

    /// The store refused `worker`.
    pub(super) fn lease_lost(&self, worker: WorkerId) {
        self.call(|call| call.lost = Some(worker));
    }

    /// The store has refused a turn since it has stopped for good.
    pub(super) fn store_stopped(&self) {
        self.0.ring();
    }

    fn call(&self, change: impl FnOnce(&mut Call)) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.called = true;
        self.0.called.notify_one();
    }
}

impl Bell for Shared {
    fn ring(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).called = true;
        self.called.notify_one();
    }
}

/// An answer has come.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

impl Steward {
    pub(super) fn new(shop: Arc<Shop>, card: WorkerCard, lease: Duration) -> Steward {
        let now = shop.monotonic();
        Steward {
            shop,
            card,
            lease,
            bell: StewardBell(Arc::default()),
            observer: Observer::new(lease),
            lanes: Vec::new(),
            beat: None,
            census: None,
            next_beat: now,
            next_look: now,
            sure_at: now,
            submitted_at: now,
            suspended: false,
            store_stopped: false,
        }
    }

    pub(super) fn bell(&self) -> StewardBell {
        self.bell.clone()
    }

    pub(super) fn start(mut self, lanes: Vec<Arc<Lane>>) -> Result<Running> {
        self.lanes = lanes;
        let bell = self.bell.clone();
        let rung: Arc<dyn Bell> = bell.0.clone();
        self.shop.queue.clock().subscribe(Arc::downgrade(&rung));
        let thread = std::thread::Builder::new().name("qdjobs-steward".into()).spawn(move || self.serve());
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Setup, format!("a worker's thread cannot be started: {error}"))
        })?;
        Ok(Running { bell, thread: Some(thread) })
    }

    fn serve(mut self) {
        loop {
            let now = self.shop.monotonic();
            self.mind_the_store();
            if now >= self.next_beat {
                self.send_beat(now);
            }
            // After it was sent: a worker that doubts its lease must be woken by the answer, or it would go on doubting until
            // the next beat is due, which on a held clock is never.
            self.hear_beat(now);
            if now >= self.next_look {
                self.look(now);
            }
            if !self.store_stopped {
                self.mind_own_lease(now);
            }
            let deadline = self.lanes.iter().filter_map(|lane| lane.expire(now)).min();
            let wake_at = deadline.into_iter().chain([self.next_look, self.next_beat]).min().unwrap_or(now);
            match self.sleep(wake_at) {
                Some(Call { closed: true, .. }) => return,
                Some(Call { lost: Some(worker), .. })
                    if worker == self.shop.worker() && !self.store_stopped =>
                {
                    self.come_back();
                }
                _ => {}
            }
        }
    }

    fn sleep(&self, wake_at: Duration) -> Option<Call> {
        let shared = &self.bell.0;
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        shared.wakes_at.store(wake_at.as_micros() as u64, Ordering::Release);
        // After the store above: a deadline that was set before it is seen now, one that is set after it calls.
        let sooner = self.lanes.iter().any(|lane| lane.has_deadline_before(wake_at));
        let wait = wake_at.saturating_sub(self.shop.monotonic());
        if !state.called && !sooner && !wait.is_zero() {
            let quiet = |call: &mut Call| !call.called;
            state = match self.shop.queue.clock().nap(wait) {
                None => shared.called.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner),
                Some(nap) => {
                    shared
                        .called
                        .wait_timeout_while(state, nap, quiet)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        let closed = state.closed;
        let call = std::mem::take(&mut *state);
        state.closed = closed;
        Some(call)
    }

    /// Asks how the store is, which costs nothing. One that has stopped for good is told of once: to the program, and to all that
    /// runs. From then on only timeouts are watched.
    fn mind_the_store(&mut self) {
        if self.store_stopped {
            return;
        }
        let Some(error) = self.shop.queue.store().stopped() else { return };
        self.store_stopped = true;
        (self.next_beat, self.next_look) = (NEVER, NEVER);
        (self.beat, self.census) = (None, None);
        self.lanes.iter().for_each(|lane| lane.store_stopped(&error));
        self.shop.tell(&Event::StoreStopped { error: &error });
    }

    fn send_beat(&mut self, now: Duration) {
        self.next_beat = now + self.lease / 3;
        if self.beat.is_none() {
            self.submitted_at = now;
            let worker = self.shop.worker();
            self.beat = Some((worker, self.shop.queue.store().beat(worker)));
        }
    }

    fn hear_beat(&mut self, now: Duration) {
        let Some((worker, beat)) = self.beat.as_mut() else { return };
        let worker = *worker;
        let waker = Waker::from(self.bell.0.clone());
        let Poll::Ready(answer) = Pin::new(beat).poll(&mut Context::from_waker(&waker)) else { return };
        self.beat = None;
        match answer {
            // Sent before the worker came back: it says nothing about the number of now.
            _ if worker != self.shop.worker() => {}
            Ok(beat) if beat.workers.iter().any(|state| state.card.id == worker) => {
                self.sure_at = self.submitted_at;
            }
            Ok(_) => self.come_back(),
            // Told by itself, in the next round.
            Err(error) if error.kind() == ErrorKind::Stopped => self.next_beat = now,
            Err(error) => {
                self.shop.tell(&Event::Trouble { error: &error });
                self.next_beat = now + LOOK;
            }
        }
    }

    /// A worker whose beats are not answered must assume that others will take it for dead, before they do. One that only did
    /// not look for a while (the machine slept, a held clock was moved) asks before it alarms its tasks.
    fn mind_own_lease(&mut self, now: Duration) {
        let longest = self.lease.mul_f64(0.8);
        let is_doubtful = |sure_at| now.saturating_sub(sure_at) > longest;
        // Twice: an answer to a beat from before the gap proves nothing about now.
        for _ in 0..2 {
            if is_doubtful(self.sure_at) {
                self.send_beat(now);
                self.await_beat(now);
            }
        }
        let doubtful = is_doubtful(self.sure_at);
        if doubtful != self.suspended {
            self.suspended = doubtful;
            self.lanes.iter().for_each(|lane| lane.suspend(doubtful));
        }
    }

    /// Hears the beat that is under way, if its answer comes in a moment.
    fn await_beat(&mut self, now: Duration) {
        let Some((worker, beat)) = self.beat.take() else { return };
        let beat = match beat.wait_timeout(LOOK / 4) {
            Ok(answer) => Pending::ready(answer),
            Err(late) => late,
        };
        self.beat = Some((worker, beat));
        self.hear_beat(now);
    }

    /// Looks for workers that are dead, and frees their jobs.
    fn look(&mut self, now: Duration) {
        self.next_look = now + LOOK.min(self.lease / 8);
        let census = self.census.take().unwrap_or_else(|| self.shop.queue.store().inspect(Query::Workers));
        let others = match census.wait_timeout(LOOK / 4) {
            Ok(Ok(Answer::Workers(workers))) => workers,
            Ok(_) => return,
            Err(late) => {
                self.census = Some(late);
                return;
            }
        };
        let own = self.shop.worker();
        let others: Vec<WorkerState> = others.into_iter().filter(|state| state.card.id != own).collect();
        let silent = self.observer.look(others.iter().map(|state| (state.card.id, state.beats)), now);
        let store = self.shop.queue.store().clone();
        for worker in others.iter().map(|state| state.card.id) {
            if store.is_proven_dead(worker) || silent.contains(&worker) {
                match store.rescue(worker).wait() {
                    Ok(jobs) => self.shop.tell(&Event::Rescued { worker, jobs }),
                    Err(error) if error.kind() == ErrorKind::Stopped => return self.bell.store_stopped(),
                    Err(error) => self.shop.tell(&Event::Trouble { error: &error }),
                }
            }
        }
    }

    /// Taken for dead, but alive: what is held is lost; the worker goes on as a new one.
    fn come_back(&mut self) {
        let before = self.shop.worker();
        self.lanes.iter().for_each(|lane| lane.lease_lost());
        let card = WorkerCard { id: self.shop.new_id(), ..self.card.clone() };
        match self.shop.queue.store().enlist(card.clone()).wait() {
            Ok(()) => {
                self.shop.set_worker(card.id);
                self.shop.tell(&Event::LeaseLost { worker: before });
                // Nothing is held under the old number any more. This lets go of its proof of life, and of a turn that stands
                // under it.
                drop(self.shop.queue.store().leave(before));
                self.sure_at = self.shop.monotonic();
                self.lanes.iter().for_each(|lane| lane.renumbered());
            }
            Err(error) if error.kind() == ErrorKind::Stopped => self.bell.store_stopped(),
            Err(error) => {
                self.shop.tell(&Event::Trouble { error: &error });
                self.next_beat = self.shop.monotonic() + LOOK;
            }
        }
    }
}

impl Running {
    pub(super) fn stop(mut self) {
        self.bell.call(|call| call.closed = true);
        if let Some(thread) = self.thread.take() {
            // A steward that panicked has nothing more to do.
            let _ = thread.join();
        }
    }
}
