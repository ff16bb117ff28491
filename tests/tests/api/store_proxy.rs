//! [`StoreProxy`], a store between a worker and the real one: it reports to the test what the worker asks,
//! and can delay the answers to its heartbeats.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qdjobs::store::NewJob;
use qdjobs::store::{
    Caps, ClaimRequest, ClaimResponse, Counts, Filter, Foreign, Heartbeat, JobCommand, Page, Pending,
    ProgressSlot, Release, Released, Reply, SqlStatement, Store, TaskDefaults, WorkerInfo, WorkerState,
};
use qdjobs::{Attempt, Clock, Job, JobId, Result, WorkerId};

use crate::support::DEADLINE;

#[derive(Debug)]
pub(crate) struct StoreProxy {
    real: Arc<dyn Store>,
    asked: Sender<Asked>,
    /// Heartbeats whose answers are delayed; `None` while they are not.
    kept: Mutex<Option<Vec<Unanswered>>>,
}

/// A heartbeat, and the duty to answer it.
type Unanswered = (WorkerId, Reply<Heartbeat>);

/// What a worker has asked of its store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    CancelWaitingClaims(WorkerId),
    Heartbeat(WorkerId),
}

/// What has been asked, in order.
pub(crate) struct Questions(Receiver<Asked>);

impl StoreProxy {
    pub(crate) fn new(real: Arc<dyn Store>) -> (Arc<StoreProxy>, Questions) {
        let (asked, questions) = channel();
        (Arc::new(StoreProxy { real, asked, kept: Mutex::default() }), Questions(questions))
    }

    /// From now on no heartbeat is answered.
    pub(crate) fn hold_heartbeats(&self) {
        self.kept.lock().unwrap().get_or_insert_default();
    }

    /// Answers every delayed heartbeat as the real store does now, and those to come at once.
    pub(crate) fn release_heartbeats(&self) {
        for (worker, reply) in self.kept.lock().unwrap().take().into_iter().flatten() {
            reply.send(self.real.heartbeat(worker).wait());
        }
    }

    fn report(&self, asked: Asked) {
        // A test that needs no more has dropped the other end.
        let _ = self.asked.send(asked);
    }
}

impl Questions {
    /// Waits until exactly this has been asked; passes over the rest.
    pub(crate) fn expect(&self, asked: Asked) {
        while self.next() != asked {}
    }

    pub(crate) fn next(&self) -> Asked {
        self.try_next(DEADLINE).expect("the worker asks no more")
    }

    pub(crate) fn try_next(&self, wait: Duration) -> Option<Asked> {
        self.0.recv_timeout(wait).ok()
    }
}

impl Store for StoreProxy {
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        self.real.insert(jobs)
    }

    fn publish_tasks(&self, tasks: Vec<TaskDefaults>) -> Pending<()> {
        self.real.publish_tasks(tasks)
    }

    fn register_worker(&self, worker: WorkerInfo) -> Pending<()> {
        self.real.register_worker(worker)
    }

    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse> {
        self.real.claim(request)
    }

    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()> {
        let cancelled = self.real.cancel_waiting_claims(worker);
        self.report(Asked::CancelWaitingClaims(worker));
        cancelled
    }

    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat> {
        let answer = match &mut *self.kept.lock().unwrap() {
            None => self.real.heartbeat(worker),
            Some(kept) => {
                let (reply, pending) = Pending::new();
                kept.push((worker, reply));
                pending
            }
        };
        self.report(Asked::Heartbeat(worker));
        answer
    }

    fn report_progress(&self, note: Arc<ProgressSlot>) {
        self.real.report_progress(note);
    }

    fn is_proven_dead(&self, worker: WorkerId) -> bool {
        self.real.is_proven_dead(worker)
    }

    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released> {
        self.real.release_worker(worker, why)
    }

    fn command(&self, command: JobCommand) -> Pending<Job> {
        self.real.command(command)
    }

    fn wait_for(&self, id: JobId) -> Pending<Job> {
        self.real.wait_for(id)
    }

    fn get(&self, id: JobId) -> Pending<Option<Job>> {
        self.real.get(id)
    }

    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>> {
        self.real.attempts(id)
    }

    fn list(&self, filter: Filter) -> Pending<Page> {
        self.real.list(filter)
    }

    fn counts(&self) -> Pending<Counts> {
        self.real.counts()
    }

    fn workers(&self) -> Pending<Vec<WorkerState>> {
        self.real.workers()
    }

    fn notify(&self) {
        self.real.notify();
    }

    fn statement(&self, what: Foreign<'_>) -> Result<SqlStatement> {
        self.real.statement(what)
    }

    fn caps(&self) -> Caps {
        self.real.caps()
    }

    fn clock(&self) -> &Clock {
        self.real.clock()
    }

    fn name(&self) -> &str {
        self.real.name()
    }

    fn close(&self) {
        self.real.close();
    }
}
