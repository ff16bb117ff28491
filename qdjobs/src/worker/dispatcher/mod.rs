//! Supplies one pool with jobs: [`Dispatcher`], one for `fn` tasks and one for `async fn` tasks.
//!
//! `next_job.rs` decides which job is handed out next and settles ended ones. `claims.rs` exchanges requests
//! with the store. `control.rs` serves the supervisor and the stop. This file has the state of a dispatcher,
//! and the loop of its thread.
//!
//! Does not decide how many jobs it asks for (`claim_ahead.rs`), how long it pauses after a failure
//! (`store_backoff.rs`), or which thread runs a job (`thread_pool.rs`).
//!
//! Depends on the store's contract, the pool and the handle of the supervisor.
//!
//! A dispatcher passes finished jobs to the store and claims further ones in the same request. So each finish
//! shares its commit with the next claim. While one request is being committed, finished jobs gather for the
//! next. When there is nothing to do, it leaves one waiting claim with the store.
//!
//! Each dispatcher has a thread. Not every step waits for that thread. A thread of the pool that finishes a
//! job sends the request itself if none is on its way. A response to the waiting claim is taken by the thread
//! that delivers it. So a single job needs no thread switch in between.

mod claims;
mod control;
mod next_job;
#[cfg(test)]
mod testing;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::model::error::Result;
use crate::model::job::JobId;
use crate::store::TaskSet;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, spawn, thread};

use super::abandoned::Abandoned;
use super::claim_ahead::{AHEAD_WAIT_MAX, ClaimLimit};
use super::execution::{Execution, FinishReport, FinishReports, UnstartedJob};
use super::in_flight::InFlight;
use super::job_source::JobSource;
use super::shared::WorkerShared;
use super::store_backoff::StoreBackoff;
use super::supervisor::handle::SupervisorHandle;
use super::thread_pool::Pool;

pub(super) struct Dispatcher {
    shared: Arc<WorkerShared>,
    supervisor: SupervisorHandle,
    tasks: Arc<TaskSet>,
    queues: Option<Arc<[String]>>,
    pub(super) pool: Pool,
    /// One lock for the whole dispatcher. A thread of the pool takes it once per job, to report a job and to
    /// take the next one.
    state: Mutex<State>,
    /// Notified when a claimed job waits for a thread of the pool.
    job_ready: Condvar,
    /// Notified when the dispatcher's thread has something to do.
    woken: Condvar,
    /// Notified when no job is running.
    idle: Condvar,
    thread: Mutex<Option<thread::JoinHandle<Result<()>>>>,
    /// Woken by the response to a request with finished jobs.
    finish_waker: Waker,
    /// Woken by the response to the waiting claim.
    wait_waker: Waker,
}

#[derive(Default)]
pub(super) struct State {
    /// Claimed jobs that have not started, oldest first.
    unstarted: VecDeque<UnstartedJob>,
    running: HashMap<JobId, Arc<Execution>>,
    /// Settled jobs that were not sent to the store yet.
    finished: FinishReports,
    /// The request with finished jobs.
    finish_request: InFlight,
    /// The waiting claim.
    waiting_claim: InFlight,
    backoff: StoreBackoff,
    abandoned: Abandoned,
    claim_limit: ClaimLimit,
    woken: bool,
    closed: bool,
    /// Whether the stop waits for no running job any more.
    skips_wait: bool,
    /// Whether to start no job, because the lease may be lost or the store has halted.
    suspended: bool,
    /// How many started jobs were released because the worker is stopping.
    released: usize,
}

impl State {
    /// Running executions in the order of their ids, because the order of the map differs in each process.
    fn running(&self, which: impl Fn(&Execution) -> bool) -> Vec<Arc<Execution>> {
        let mut found: Vec<_> = self.running.values().filter(|execution| which(execution)).cloned().collect();
        found.sort_unstable_by_key(|execution| execution.id());
        found
    }

    fn request(&mut self, wait: bool) -> &mut InFlight {
        if wait { &mut self.waiting_claim } else { &mut self.finish_request }
    }

    fn has_request(&self) -> bool {
        !self.finish_request.is_idle() || !self.waiting_claim.is_idle()
    }

    /// How long the oldest job that has not started waits.
    fn oldest_wait(&self, now: Duration) -> Option<Duration> {
        self.unstarted.front().map(|oldest| now.saturating_sub(oldest.waits_since))
    }

    /// Releases the jobs that have not started.
    fn release_unstarted(&mut self) {
        let unstarted = std::mem::take(&mut self.unstarted);
        let released = unstarted.iter().map(|it| FinishReport::unstarted(&it.job, Duration::ZERO));
        released.for_each(|report| self.finished.push(report));
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Dispatcher {
    pub(super) fn new(
        shared: Arc<WorkerShared>,
        supervisor: SupervisorHandle,
        tasks: Arc<TaskSet>,
        queues: Option<Arc<[String]>>,
        pool: Pool,
    ) -> Arc<Dispatcher> {
        Arc::new_cyclic(|dispatcher: &Weak<Dispatcher>| Dispatcher {
            shared,
            supervisor,
            tasks,
            queues,
            pool,
            state: Mutex::default(),
            job_ready: Condvar::new(),
            woken: Condvar::new(),
            idle: Condvar::new(),
            thread: Mutex::default(),
            finish_waker: Waker::from(Arc::new(WakeThread(dispatcher.clone()))),
            wait_waker: Waker::from(Arc::new(TakeJobs(dispatcher.clone()))),
        })
    }

    /// Starts the threads of the pool and of the dispatcher. If one of them cannot start, the caller must
    /// still close and join the dispatcher.
    pub(super) fn start(self: &Arc<Dispatcher>) -> Result<()> {
        self.pool.start(&self.as_job_source())?;
        let dispatcher = self.clone();
        let thread = spawn("qdjobs-dispatch", move || dispatcher.run())?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Never take this lock while the lock of the supervisor's handle is held. A dispatcher calls the handle
    /// under its own lock, so that would be a deadlock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the dispatcher's thread.
    fn wake(&self, state: &mut State) {
        if !std::mem::replace(&mut state.woken, true) {
            self.woken.notify_one();
        }
    }

    fn as_job_source(self: &Arc<Dispatcher>) -> Arc<dyn JobSource> {
        self.clone()
    }

    // ---- The thread of the dispatcher ----

    fn run(self: Arc<Dispatcher>) -> Result<()> {
        loop {
            match self.step() {
                Step::Again => {}
                Step::Sleep(state, limit) => self.sleep(state, limit),
                Step::End(stored) => return stored,
            }
        }
    }

    /// Does one due step.
    pub(super) fn step(self: &Arc<Dispatcher>) -> Step<'_> {
        let mut state = self.lock();
        if let Some((sent, response)) = state.finish_request.poll(&self.finish_waker) {
            drop(state);
            self.receive(sent, response);
            return Step::Again;
        }
        if let Some((sent, response)) = state.waiting_claim.poll(&self.wait_waker) {
            drop(state);
            self.receive(sent, response);
            return Step::Again;
        }
        let now = self.shared.elapsed();
        if let Some(stored) = self.ended(&mut state, now) {
            return Step::End(stored);
        }
        if state.oldest_wait(now).is_some_and(|waited| waited >= AHEAD_WAIT_MAX) {
            state.release_unstarted();
            state.claim_limit.claimed_too_early();
        }
        if state.backoff.is_halted() {
            // Until the worker stops, nothing can be claimed or stored.
            return Step::Sleep(state, None);
        }
        state = self.send_finished(state);
        let pause = state.backoff.pause(now);
        if pause.is_none() && !state.has_request() {
            let room = self.room(&state);
            if room > 0 {
                drop(self.send(state, room, true));
                return Step::Again;
            }
        }
        // Only two waits end by time: the wait of jobs claimed ahead, and the pause after a failure.
        // Everything else wakes the thread.
        let ahead = state.oldest_wait(now).map(|waited| AHEAD_WAIT_MAX.saturating_sub(waited));
        let limit = pause.into_iter().chain(ahead).min();
        Step::Sleep(state, limit)
    }

    /// Whether a closed dispatcher has stored everything, or must give up.
    fn ended(&self, state: &mut State, now: Duration) -> Option<Result<()>> {
        if !state.closed {
            return None;
        }
        let overdue = state.running.is_empty() && state.backoff.is_overdue(now);
        if state.backoff.is_refused() || overdue {
            return Some(Err(state.backoff.take_error()));
        }
        let stored = state.finished.is_empty() && state.running.is_empty() && !state.has_request();
        stored.then_some(Ok(()))
    }

    fn sleep(&self, state: MutexGuard<'_, State>, limit: Option<Duration>) {
        let asleep = |state: &mut State| !state.woken;
        let mut state = match limit {
            Some(limit) => {
                self.woken.wait_timeout_while(state, limit, asleep).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.woken.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner),
        };
        state.woken = false;
    }
}

/// What the dispatcher's thread does after a step.
pub(super) enum Step<'a> {
    /// Step again: there may be more work.
    Again,
    /// Sleep until woken, or for this long. Holds the lock, so that no wake is missed in between.
    Sleep(MutexGuard<'a, State>, Option<Duration>),
    /// End the thread: everything is stored, or the store has failed for too long.
    End(Result<()>),
}

/// Wakes the dispatcher's thread when a response arrives.
struct WakeThread(Weak<Dispatcher>);

impl Wake for WakeThread {
    fn wake(self: Arc<Self>) {
        if let Some(dispatcher) = self.0.upgrade() {
            let mut state = dispatcher.lock();
            dispatcher.wake(&mut state);
        }
    }
}

/// Takes the jobs of the waiting claim when its response arrives.
struct TakeJobs(Weak<Dispatcher>);

impl Wake for TakeJobs {
    fn wake(self: Arc<Self>) {
        if let Some(dispatcher) = self.0.upgrade() {
            dispatcher.receive_waiting();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;
    use crate::model::job::{NewJob, WorkerId};
    use crate::store::memory::MemoryStore;
    use crate::store::{ClaimRequest, Store, TaskSet, WorkerInfo};

    /// Under a steady load some job always waits, though each of them only briefly.
    #[test]
    fn the_wait_of_jobs_claimed_ahead_is_that_of_the_oldest() {
        let store = MemoryStore::new(Clock::system());
        store.register_worker(WorkerInfo::new(WorkerId(1), "here", 1)).wait().unwrap();
        store.insert_blocking(vec![NewJob::new("a", "{}"), NewJob::new("a", "{}")]).unwrap();
        let request = ClaimRequest::new(WorkerId(1), Arc::new(TaskSet::new(["a"])), 2);
        let claimed = store.claim(request).wait().unwrap().claimed;
        let mut state = State::default();
        for (job, at) in claimed.into_iter().zip([0, 900]) {
            let waits_since = Duration::from_millis(at);
            state.unstarted.push_back(UnstartedJob { job, claimed_at: waits_since, waits_since });
        }
        let now = Duration::from_secs(1);
        assert_eq!(state.oldest_wait(now), Some(now));
        state.unstarted.pop_front();
        assert_eq!(state.oldest_wait(now), Some(Duration::from_millis(100)));
        state.unstarted.pop_front();
        assert_eq!(state.oldest_wait(now), None);
    }
}
