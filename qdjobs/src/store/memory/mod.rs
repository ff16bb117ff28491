//! The store in memory: [`MemoryStore`], for tests of a program and as the reference for other stores.
//!
//! Everything is one `State` behind one mutex. A request runs as a transaction of the engine on the caller's
//! thread. Nothing survives the process. The verbs are in `state.rs`; this file decides when the timer wakes.
//!
//! Depends on the contract and the engine. Contains no file and no SQL.

mod state;

use std::fmt;
use std::mem;
use std::sync::{Arc, Weak};
use std::time::Duration;

use self::state::{MemoryTransaction, State};
use super::engine::batch::Batch;
use super::engine::requests::{Call, Request};
use super::engine::transaction_steps::run;
use super::engine::unconfirmed::Unconfirmed;
use super::engine::waiters::Waiters;
use super::{
    Caps, ClaimRequest, ClaimResponse, Counts, Filter, Foreign, Heartbeat, JobCommand, Page, Pending,
    ProgressSlot, Release, Released, SqlStatement, Store, TaskDefaults, WorkerInfo, WorkerState,
};
use crate::model::clock::{Clock, ClockSubscriber, Timestamp, whole_micros};
use crate::model::crash_count::CRASHES_MAX;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::idempotency::check_all;
use crate::model::job::{Attempt, Job, JobId, NewJob, WorkerId};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, spawn};

/// Jobs in the memory of this process: for tests, and for jobs that may be lost.
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    max_crashes: u32,
    /// One mutex for the whole state. So each request is atomic, like a transaction of another store.
    inner: Mutex<Inner>,
    /// Wakes the timer thread when the next due instant has changed or the store is closed.
    next_look_changed: Condvar,
}

#[derive(Default)]
struct Inner {
    state: State,
    waiters: Waiters,
    /// Whether the timer thread runs.
    has_timer: bool,
    is_closed: bool,
}

impl MemoryStore {
    /// An empty store that reads the time from `clock`.
    pub fn new(clock: Clock) -> Arc<MemoryStore> {
        MemoryStore::with_max_crashes(clock, CRASHES_MAX)
    }

    /// An empty store in which a job fails at crash number `max_crashes`, at the earliest.
    pub fn with_max_crashes(clock: Clock, max_crashes: u32) -> Arc<MemoryStore> {
        let (inner, next_look_changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { clock, max_crashes, inner, next_look_changed });
        let subscriber: Weak<Shared> = Arc::downgrade(&shared);
        shared.clock.subscribe(subscriber);
        Arc::new(MemoryStore { shared })
    }

    /// Runs a request as one transaction.
    fn submit<Q, A>(&self, args: Q, request: impl FnOnce(Call<Q, A>) -> Request) -> Pending<A> {
        let (reply, pending) = Pending::new();
        self.shared.run(request(Call::new(args, reply)));
        pending
    }

    /// Reads.
    fn read<A>(&self, read: impl FnOnce(&State, Timestamp) -> A) -> Pending<A> {
        let inner = self.shared.lock();
        if inner.is_closed {
            return Pending::new().1;
        }
        Pending::ready(Ok(read(&inner.state, self.shared.now())))
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        // The timer thread also holds the state. Without the close, it would never end.
        self.close();
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("jobs", &self.shared.lock().state.len()).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        match check_all(&jobs, self.shared.now()) {
            Ok(()) => self.submit(jobs, Request::Insert),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    fn publish_tasks(&self, tasks: Vec<TaskDefaults>) -> Pending<()> {
        self.submit(tasks, Request::PublishTasks)
    }

    fn register_worker(&self, worker: WorkerInfo) -> Pending<()> {
        self.submit(worker, Request::RegisterWorker)
    }

    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse> {
        if request.wait
            && let Err(error) = Shared::start_timer(&self.shared)
        {
            return Pending::ready(Err(error));
        }
        self.submit(request, Request::Claim)
    }

    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()> {
        self.submit(worker, Request::CancelWaitingClaims)
    }

    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat> {
        self.submit(worker, Request::Heartbeat)
    }

    fn report_progress(&self, slot: Arc<ProgressSlot>) {
        self.shared.run(Request::report_progress(slot));
    }

    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released> {
        self.submit((worker, why), Request::ReleaseWorker)
    }

    fn command(&self, command: JobCommand) -> Pending<Job> {
        self.submit(command, |call| Request::Command(Box::new(call)))
    }

    fn wait_for(&self, id: JobId) -> Pending<Job> {
        self.submit(id, |call| Request::WaitFor(Box::new(call)))
    }

    fn get(&self, id: JobId) -> Pending<Option<Job>> {
        self.read(|state, _| state.get(id))
    }

    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>> {
        self.read(|state, _| state.attempts(id))
    }

    fn list(&self, filter: Filter) -> Pending<Page> {
        self.read(|state, now| state.page(&filter, now))
    }

    fn counts(&self) -> Pending<Counts> {
        self.read(|state, _| state.counts())
    }

    fn workers(&self) -> Pending<Vec<WorkerState>> {
        self.read(|state, _| state.workers())
    }

    fn notify(&self) {
        // Only the methods of this store can store a job. So this finds at most jobs that have become due.
        self.shared.run(Request::Look);
    }

    fn statement(&self, _: Foreign<'_>) -> Result<SqlStatement> {
        Err(Error::new(ErrorKind::Config, "the memory store has no SQL")
            .help("to use a transaction of your own, open the queue with `JobQueue::open(path)`"))
    }

    fn caps(&self) -> Caps {
        Caps::default()
    }

    fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn name(&self) -> &str {
        "memory"
    }

    fn close(&self) {
        let waiters = {
            let mut inner = self.shared.lock();
            inner.is_closed = true;
            mem::take(&mut inner.waiters)
        };
        self.shared.next_look_changed.notify_all();
        // A dropped reply answers `Closed`. It is dropped after the lock is released, as all answers are
        // sent.
        drop(waiters);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code of a caller runs under this lock, so the state is consistent even if the lock is poisoned.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        whole_micros(self.clock.now())
    }

    /// Runs a request as one transaction, and answers after the lock is released. If the store is closed,
    /// returns `false` and drops the request, which answers `Closed`.
    fn run(&self, request: Request) -> bool {
        let mut requests = [request];
        let answers = {
            let mut inner = self.lock();
            if inner.is_closed {
                return false;
            }
            let Inner { state, waiters, .. } = &mut *inner;
            let wakes_at = waiters.wakes_at();
            let mut batch = Batch::default();
            let mut tx = MemoryTransaction { state, now: self.now(), crashes_max: self.max_crashes };
            let answers = match run(&mut tx, &mut requests, waiters, &mut batch) {
                Ok(()) => waiters.after_commit(&mut requests, batch),
                // A memory store never fails, but the type of a transaction allows an error.
                Err(error) => {
                    waiters.after_failure(&mut requests, &batch, &error, &mut Unconfirmed::default())
                }
            };
            if waiters.wakes_at() != wakes_at {
                self.next_look_changed.notify_all();
            }
            answers
        };
        for slot in answers.send() {
            self.run(Request::report_progress(slot));
        }
        true
    }

    /// Starts the timer thread, which runs `Look` when a job becomes due. Not needed if it runs already, or
    /// if a manual clock wakes this store. Only waiting claims need it, so a program without workers has no
    /// such thread.
    fn start_timer(shared: &Arc<Shared>) -> Result<()> {
        let mut inner = shared.lock();
        if inner.has_timer || inner.is_closed || shared.clock.is_manual() {
            return Ok(());
        }
        let timer = shared.clone();
        spawn("qdjobs-timer", move || timer.run_timer())?;
        inner.has_timer = true;
        Ok(())
    }

    /// Sleeps until the next due instant and runs `Look`, until the store is closed.
    fn run_timer(&self) {
        while self.run(Request::Look) {
            let inner = self.lock();
            if inner.is_closed {
                return;
            }
            // Read under the lock that the wait releases, so no change since `Look` is missed.
            let sleep = inner.waiters.next_look(&self.clock, self.clock.now());
            match sleep {
                Some(Duration::ZERO) => {}
                Some(sleep) => drop(self.next_look_changed.wait_timeout(inner, sleep)),
                None => drop(self.next_look_changed.wait(inner)),
            }
        }
    }
}

impl ClockSubscriber for Shared {
    fn clock_advanced(&self) {
        self.run(Request::Look);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared part of a memory store")
    }
}
