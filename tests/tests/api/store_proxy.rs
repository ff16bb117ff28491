//! [`StoreProxy`], a store that stands between a worker and the real one: it tells the test what the worker asks, and can keep
//! the answers to its heartbeats back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qdjobs::store::{
    Answer, ClaimRequest, ClaimResponse, Heartbeat, JobCommand, Pending, ProgressSlot, Query, Reply, Rescued,
    SqlStatement, Store, TaskDefaults, WorkerInfo,
};
use qdjobs::{Job, JobId, NewJob, Result, WorkerId};

use crate::support::PATIENCE;

#[derive(Debug)]
pub(crate) struct StoreProxy {
    real: Arc<dyn Store>,
    asked: Sender<Asked>,
    /// Beats whose answers are kept back; `None` while they are not.
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

    /// Answers every heartbeat that was kept back as the real store does now, and those to come at once.
    pub(crate) fn release_heartbeats(&self) {
        for (worker, reply) in self.kept.lock().unwrap().take().into_iter().flatten() {
            reply.send(self.real.heartbeat(worker).wait());
        }
    }

    fn tell(&self, asked: Asked) {
        // A test that has heard enough no longer listens.
        let _ = self.asked.send(asked);
    }
}

impl Questions {
    /// Waits until exactly this has been asked; passes over the rest.
    pub(crate) fn expect(&self, asked: Asked) {
        while self.next() != asked {}
    }

    pub(crate) fn next(&self) -> Asked {
        self.try_next(PATIENCE).expect("the worker asks no more")
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

    fn turn(&self, turn: ClaimRequest) -> Pending<ClaimResponse> {
        self.real.turn(turn)
    }

    fn cancel_waiting_claims(&self, worker: WorkerId) {
        self.real.cancel_waiting_claims(worker);
        self.tell(Asked::CancelWaitingClaims(worker));
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
        self.tell(Asked::Heartbeat(worker));
        answer
    }

    fn report_progress(&self, note: Arc<ProgressSlot>) {
        self.real.report_progress(note);
    }

    fn is_proven_dead(&self, worker: WorkerId) -> bool {
        self.real.is_proven_dead(worker)
    }

    fn rescue(&self, dead: WorkerId) -> Pending<Rescued> {
        self.real.rescue(dead)
    }

    fn rescue_silent(&self, silent: WorkerId, heartbeats: u64) -> Pending<Rescued> {
        self.real.rescue_silent(silent, heartbeats)
    }

    fn deregister_worker(&self, worker: WorkerId) -> Pending<usize> {
        self.real.deregister_worker(worker)
    }

    fn control(&self, commands: Vec<JobCommand>) -> Pending<Vec<Result<Job>>> {
        self.real.control(commands)
    }

    fn wait_for(&self, id: JobId) -> Pending<Job> {
        self.real.wait_for(id)
    }

    fn inspect(&self, query: Query) -> Pending<Answer> {
        self.real.inspect(query)
    }

    fn notify(&self) {
        self.real.notify();
    }

    fn statement(&self, jobs: &[NewJob]) -> Result<SqlStatement> {
        self.real.statement(jobs)
    }

    fn survives_power_loss(&self) -> bool {
        self.real.survives_power_loss()
    }

    fn name(&self) -> &str {
        self.real.name()
    }

    fn close(&self) {
        self.real.close();
    }
}
