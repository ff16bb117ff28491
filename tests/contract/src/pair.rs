//! [`Pair`], two stores on one database as one: some verbs go to the first, the others to the second.
//!
//! As two processes would use them. What one store commits, the other has to see.

use std::sync::Arc;

use qdjobs::store::{
    Caps, ClaimRequest, ClaimResponse, Counts, Filter, Foreign, Health, Heartbeat, JobCommand, NewJob, Page,
    Pending, ProgressSlot, Release, Released, SqlStatement, Store, TaskDefaults, WorkerInfo, WorkerState,
};
use qdjobs::{Attempt, Clock, Error, Job, JobId, Result, WorkerId};

/// Which verbs go where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Callers and whoever releases dead workers at the first, workers at the second.
    CallersAndWorkers,
    /// Inserts at the first, everything else at the second.
    InsertsAndTheRest,
}

/// Two stores on one database.
#[derive(Debug)]
pub struct Pair {
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
    split: Split,
}

impl Pair {
    /// Two stores on one database, used as `split` says.
    pub fn new(first: Arc<dyn Store>, second: Arc<dyn Store>, split: Split) -> Pair {
        Pair { first, second, split }
    }

    /// Both stores.
    pub fn members(&self) -> Vec<Arc<dyn Store>> {
        vec![self.first.clone(), self.second.clone()]
    }

    /// Where callers ask for anything but an insert.
    fn callers(&self) -> &dyn Store {
        match self.split {
            Split::CallersAndWorkers => &*self.first,
            Split::InsertsAndTheRest => &*self.second,
        }
    }
}

impl Store for Pair {
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        self.first.insert(jobs)
    }

    fn insert_blocking(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
        self.first.insert_blocking(jobs)
    }

    fn publish_tasks(&self, tasks: Vec<TaskDefaults>) -> Pending<()> {
        self.second.publish_tasks(tasks)
    }

    fn register_worker(&self, worker: WorkerInfo) -> Pending<()> {
        self.second.register_worker(worker)
    }

    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse> {
        self.second.claim(request)
    }

    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()> {
        self.second.cancel_waiting_claims(worker)
    }

    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat> {
        self.second.heartbeat(worker)
    }

    fn report_progress(&self, slot: Arc<ProgressSlot>) {
        self.second.report_progress(slot);
    }

    fn is_proven_dead(&self, worker: WorkerId) -> bool {
        self.callers().is_proven_dead(worker)
    }

    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released> {
        match why {
            Release::ByWorker => self.second.release_worker(worker, why),
            Release::ProvenDead | Release::Silent { .. } => self.callers().release_worker(worker, why),
        }
    }

    fn command(&self, command: JobCommand) -> Pending<Job> {
        self.callers().command(command)
    }

    fn wait_for(&self, id: JobId) -> Pending<Job> {
        self.callers().wait_for(id)
    }

    fn get(&self, id: JobId) -> Pending<Option<Job>> {
        self.callers().get(id)
    }

    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>> {
        self.callers().attempts(id)
    }

    fn list(&self, filter: Filter) -> Pending<Page> {
        self.callers().list(filter)
    }

    fn counts(&self) -> Pending<Counts> {
        self.callers().counts()
    }

    fn workers(&self) -> Pending<Vec<WorkerState>> {
        self.callers().workers()
    }

    fn notify(&self) {
        self.second.notify();
    }

    fn statement(&self, what: Foreign<'_>) -> Result<SqlStatement> {
        self.callers().statement(what)
    }

    fn caps(&self) -> Caps {
        self.first.caps()
    }

    fn clock(&self) -> &Clock {
        self.first.clock()
    }

    fn health(&self) -> Health {
        self.first.health()
    }

    fn halted(&self) -> Option<Error> {
        self.first.halted().or_else(|| self.second.halted())
    }

    fn name(&self) -> &str {
        self.first.name()
    }

    fn close(&self) {
        self.first.close();
        self.second.close();
    }
}
