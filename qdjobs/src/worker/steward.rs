//! The [`Steward`]: keeps a worker's standing while its tasks do as they please.
//!
//! Leans on `lease` for the judgement and on the store's beat and rescue. A thread of its own, so that no task can keep it
//! from beating; it beats until the last job has ended. It waits for no answer: a store that is slow to free the jobs of the
//! dead must not hold up its own beats and the timeouts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::job::WorkerId;
use crate::lease::Observer;
use crate::store::{Answer, Beat, Pending, Query, WorkerCard, WorkerState};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};
use crate::time::Bell;

use super::attempt::Shop;
use super::lane::Lane;

/// How often the others are looked at: half of it is how long a job waits, in the mean, after its worker was killed.
const LOOK: Duration = Duration::from_millis(1_000);

/// How long a worker that has not looked for a while asks whether its lease still holds, before it doubts that.
const ASK: Duration = Duration::from_millis(250);

/// On the monotonic clock, and in microseconds still a number of 64 bits.
const NEVER: Duration = Duration::from_secs(1 << 40);

pub(super) struct Steward {
    shop: Arc<Shop>,
    card: WorkerCard,
    lease: Duration,
    bell: StewardBell,
    /// Wakes for every answer.
    answered: Waker,
    observer: Observer,
    lanes: Vec<Arc<Lane>>,
    /// Under way, with the number it was sent under.
    beat: Option<(WorkerId, Pending<Beat>)>,
    /// Under way, with the time it was asked.
    census: Option<(Duration, Pending<Answer>)>,
    /// Under way, each with the worker that is dead.
    rescues: Vec<(WorkerId, Pending<usize>)>,
    /// The worker was taken for dead: the new number it asked for, and when.
    returning: Option<(Duration, WorkerCard, Pending<()>)>,
    next_beat: Duration,
    next_look: Duration,
    /// When the last answered beat was submitted: from then on the lease counts.
    sure_at: Duration,
    submitted_at: Duration,
    /// Until when the store is asked whether the lease still holds, before that is doubted; in the clock's elapsed time.
    asking_until: Option<Duration>,
    suspended: bool,
    /// The store has stopped for good: there is nobody left to beat for.
    store_stopped: bool,
}

/// The steward at work.
#[derive(Debug)]
pub(super) struct Running {
    bell: StewardBell,
    thread: Option<thread::JoinHandle<()>>,
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
        let mut state = self.0.lock();
        change(&mut state);
        state.called = true;
        self.0.called.notify_one();
    }

    #[cfg(test)]
    pub(super) fn is_called(&self) -> bool {
        self.0.lock().called
    }

    /// Tells the steward to end.
    pub(super) fn close(&self) {
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
}

impl Bell for Shared {
    fn ring(&self) {
        self.lock().called = true;
        self.called.notify_one();
    }
}

/// An answer has come.
impl std::task::Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

impl Steward {
    pub(super) fn new(shop: Arc<Shop>, card: WorkerCard, lease: Duration) -> Steward {
        let now = shop.monotonic();
        let bell = StewardBell(Arc::default());
        Steward {
            shop,
            card,
            lease,
            answered: Waker::from(bell.0.clone()),
            bell,
            observer: Observer::new(lease),
            lanes: Vec::new(),
            beat: None,
            census: None,
            rescues: Vec::new(),
            returning: None,
            next_beat: now,
            next_look: now,
            sure_at: now,
            submitted_at: now,
            asking_until: None,
            suspended: false,
            store_stopped: false,
        }
    }

    pub(super) fn bell(&self) -> StewardBell {
        self.bell.clone()
    }

    /// Looks after `lanes` from now on.
    pub(super) fn serve_lanes(&mut self, lanes: Vec<Arc<Lane>>) {
        self.lanes = lanes;
    }

    pub(super) fn start(mut self) -> Result<Running> {
        let bell = self.bell.clone();
        let rung: Arc<dyn Bell> = bell.0.clone();
        self.shop.queue.clock().subscribe(Arc::downgrade(&rung));
        let work = move || {
            while let Some(wake) = self.step() {
                self.sleep(wake);
            }
        };
        let thread = thread::Builder::new().name("qdjobs-steward".into()).spawn(work);
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Setup, format!("a worker's thread cannot be started: {error}"))
        })?;
        Ok(Running { bell, thread: Some(thread) })
    }

    /// Does what is due, and says when to wake; `None` when all is over.
    pub(super) fn step(&mut self) -> Option<Wake> {
        let call = self.bell.answer();
        self.mind_the_store();
        if self.store_stopped {
            // There is nobody to beat for any more; timeouts are still kept.
            let now = self.shop.monotonic();
            let at = self.lanes.iter().filter_map(|lane| lane.expire(now)).min().unwrap_or(NEVER);
            return (!call.closed).then_some(Wake { at, patience: None });
        }
        if call.lost.is_some_and(|worker| worker == self.shop.worker()) {
            self.come_back();
        }
        self.be_back();
        // A new number that is on its way onto the list has to be known to whoever takes the worker off it.
        if call.closed && self.returning.is_none() {
            return None;
        }
        let now = self.shop.monotonic();
        if now >= self.next_beat {
            self.send_beat(now);
        }
        // After it was sent: a worker that doubts its lease must be woken by the answer, or it would go on doubting until
        // the next beat is due, which on a held clock is never.
        self.hear_beat(now);
        self.hear_rescues();
        if now >= self.next_look {
            self.next_look = now + LOOK.min(self.lease / 8);
            if self.census.is_none() {
                self.census = Some((now, self.shop.queue.store().inspect(Query::Workers)));
            }
        }
        self.look(now);
        let patience = self.mind_own_lease(now);
        let deadline = self.lanes.iter().filter_map(|lane| lane.expire(now)).min();
        let at = deadline.into_iter().chain([self.next_look, self.next_beat]).min().unwrap_or(now);
        Some(Wake { at, patience })
    }

    fn sleep(&self, wake: Wake) {
        let shared = &self.bell.0;
        shared.wakes_at.store(wake.at.as_micros() as u64, Ordering::Release);
        // After the store above: a deadline that was set before it is seen now, one that is set after it calls. Not under the bell's
        // lock, since a lane calls under its own.
        let sooner = self.lanes.iter().any(|lane| lane.has_deadline_before(wake.at));
        let wait = wake.at.saturating_sub(self.shop.monotonic());
        if sooner || wait.is_zero() {
            return;
        }
        let state = shared.lock();
        let quiet = |call: &mut Call| !call.called;
        let nap = self.shop.queue.clock().nap(wait).into_iter().chain(wake.patience).min();
        let woken = match nap {
            None => shared.called.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner),
            Some(nap) => {
                shared.called.wait_timeout_while(state, nap, quiet).unwrap_or_else(PoisonError::into_inner).0
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
        let Some(error) = self.shop.queue.store().stopped() else { return };
        self.store_stopped = true;
        (self.beat, self.census, self.returning) = (None, None, None);
        self.rescues.clear();
        self.lanes.iter().for_each(|lane| lane.store_stopped(&error));
        self.shop.tell(&Event::StoreStopped { error: &error });
    }

    /// Tells that the store failed. That it has stopped is told by the next step, once.
    fn has_trouble(&self, error: &Error) {
        match error.kind() {
            ErrorKind::Stopped => self.bell.store_stopped(),
            _ => self.shop.tell(&Event::Trouble { error }),
        }
    }

    fn send_beat(&mut self, now: Duration) {
        self.next_beat = now + self.lease / 3;
        if self.beat.is_none() && self.returning.is_none() {
            self.submitted_at = now;
            let worker = self.shop.worker();
            self.beat = Some((worker, self.shop.queue.store().beat(worker)));
        }
    }

    fn hear_beat(&mut self, now: Duration) {
        let Some((worker, beat)) = self.beat.as_mut() else { return };
        let worker = *worker;
        let Some(answer) = heard(beat, &self.answered) else { return };
        self.beat = None;
        match answer {
            // Sent before the worker came back: it says nothing about the number of now.
            _ if worker != self.shop.worker() => {}
            Ok(beat) if beat.workers.iter().any(|state| state.card.id == worker) => {
                self.sure_at = self.submitted_at;
            }
            Ok(_) => self.come_back(),
            Err(error) => {
                self.has_trouble(&error);
                self.next_beat = now + LOOK;
            }
        }
    }

    /// A worker whose beats are not answered must assume that others will take it for dead, before they do. One that only did
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
        // An answer to a beat from before the gap proves nothing about now: one more is sent when it is there.
        if now.saturating_sub(self.submitted_at) > longest {
            self.send_beat(now);
            self.hear_beat(now);
        }
        let elapsed = self.shop.elapsed();
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
            self.lanes.iter().for_each(|lane| lane.suspend(doubtful));
        }
    }

    /// Looks, once the census is there, for workers that are dead, and frees their jobs.
    fn look(&mut self, now: Duration) {
        let Some((asked, census)) = self.census.as_mut() else { return };
        let asked = *asked;
        let Some(answer) = heard(census, &self.answered) else { return };
        self.census = None;
        let workers = match answer {
            Ok(Answer::Workers(workers)) => workers,
            Ok(_) => return,
            Err(error) => return self.has_trouble(&error),
        };
        let own = self.shop.worker();
        let others: Vec<WorkerState> = workers.into_iter().filter(|state| state.card.id != own).collect();
        // Of an answer that was long under way nobody knows of which moment it tells. With less than this the observer
        // judges later than the one it judges gives itself up.
        let fresh = now.saturating_sub(asked) < self.lease / 8;
        // While our own beats do not get through (somebody holds the lock), nobody's do: then silence proves nothing.
        let heard_ourselves = now.saturating_sub(self.sure_at) < self.lease / 2;
        if !heard_ourselves {
            self.observer.forget();
        }
        let silent = if fresh && heard_ourselves {
            self.observer.look(others.iter().map(|state| (state.card.id, state.beats)), asked)
        } else {
            Vec::new()
        };
        let store = self.shop.queue.store();
        for WorkerState { card, beats, .. } in &others {
            let worker = card.id;
            if self.rescues.iter().any(|(dead, _)| *dead == worker) {
                continue;
            }
            if store.is_proven_dead(worker) {
                self.rescues.push((worker, store.rescue(worker)));
            } else if silent.contains(&worker) {
                self.rescues.push((worker, store.rescue_silent(worker, *beats)));
            }
        }
        self.hear_rescues();
    }

    fn hear_rescues(&mut self) {
        let (shop, bell, answered) = (&self.shop, &self.bell, &self.answered);
        self.rescues.retain_mut(|(worker, rescue)| {
            match heard(rescue, answered) {
                None => return true,
                // Somebody else was quicker, or it held nothing, or it beats after all.
                Some(Ok(0)) => {}
                Some(Ok(jobs)) => shop.tell(&Event::Rescued { worker: *worker, jobs }),
                Some(Err(error)) if error.kind() == ErrorKind::Stopped => bell.store_stopped(),
                Some(Err(error)) => shop.tell(&Event::Trouble { error: &error }),
            }
            false
        });
    }

    /// Taken for dead, but alive: what is held is lost; the worker goes on as a new one.
    fn come_back(&mut self) {
        if self.returning.is_none() {
            self.lanes.iter().for_each(|lane| lane.lease_lost());
            let card = WorkerCard { id: self.shop.new_id(), ..self.card.clone() };
            let enlisted = self.shop.queue.store().enlist(card.clone());
            self.returning = Some((self.shop.monotonic(), card, enlisted));
        }
        self.be_back();
    }

    /// Takes up the new number, once it is on the list.
    fn be_back(&mut self) {
        let Some((asked, card, enlisted)) = self.returning.as_mut() else { return };
        let (asked, new) = (*asked, card.id);
        let Some(answer) = heard(enlisted, &self.answered) else { return };
        self.returning = None;
        match answer {
            Ok(()) => {
                let before = self.shop.worker();
                self.shop.set_worker(new);
                self.shop.tell(&Event::LeaseLost { worker: before });
                // Nothing is held under the old number any more. This lets go of its proof of life, and of a turn that stands
                // under it.
                drop(self.shop.queue.store().leave(before));
                self.sure_at = asked;
                self.lanes.iter().for_each(|lane| lane.renumbered());
            }
            Err(error) if error.kind() == ErrorKind::Stopped => self.bell.store_stopped(),
            Err(error) => {
                self.has_trouble(&error);
                self.next_beat = self.shop.monotonic() + LOOK;
            }
        }
    }
}

/// When a steward has to be woken if nobody calls it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wake {
    /// On the monotonic clock.
    pub(super) at: Duration,
    /// From now, in time that goes on though a test holds the clock.
    pub(super) patience: Option<Duration>,
}

/// The answer, if it is there; else `waker` will tell of it.
fn heard<T>(pending: &mut Pending<T>, waker: &Waker) -> Option<Result<T>> {
    match Pin::new(pending).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

impl Running {
    pub(super) fn stop(mut self) {
        self.bell.close();
        if let Some(thread) = self.thread.take() {
            // A steward that panicked has nothing more to do.
            let _ = thread.join();
        }
    }
}
