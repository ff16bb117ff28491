//! [`Bench`], a store with the few moves that every promise needs.
//!
//! Depends on the public [`Store`] alone, and on nothing that a particular store knows.

pub(crate) use std::sync::Arc;
pub(crate) use std::time::Duration;

use std::collections::HashMap;
use std::sync::Mutex;

pub(crate) use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, ClaimedJob, Counts, Filter, FinishedJob, Foreign, Heartbeat,
    JobCommand, NewJob, Page, Pending, ProgressSlot, Release, RunAt, Store, TaskDefaults, TaskSet, Ticket,
    Verdict, WorkerInfo, WorkerState,
};
pub(crate) use qdjobs::{
    Attempt, AttemptOutcome, Clock, Error, ErrorKind, Job, JobId, Progress, Status, Timestamp, WorkerId,
};

pub(crate) use crate::{START, answer, settle};

pub(crate) struct Bench {
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
    /// The stores behind it, in processes of their own as far as they know: for the barrier.
    pub(crate) members: Vec<Arc<dyn Store>>,
    /// The tickets of claimed jobs, to be handed back with their finish, and the instants of the claims.
    pub(crate) tickets: Mutex<HashMap<Claim, (Ticket, Timestamp)>>,
}

pub(crate) const ANN: WorkerId = WorkerId(0xa);
pub(crate) const BOB: WorkerId = WorkerId(0xb);
pub(crate) const CAT: WorkerId = WorkerId(0xc);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MICRO: Duration = Duration::from_micros(1);

/// A job of the task that every worker here knows.
pub(crate) fn job() -> NewJob {
    task("mail")
}

pub(crate) fn task(name: &str) -> NewJob {
    NewJob::new(name, "{}")
}

pub(crate) fn with(change: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut job = job();
    change(&mut job);
    job
}

pub(crate) fn delayed(wait: Duration) -> NewJob {
    with(|job| job.run_at = RunAt::After(wait))
}

pub(crate) fn keyed(key: &str) -> NewJob {
    with(|job| job.idempotency_key = Some(key.into()))
}

/// A job that no store may hold.
pub(crate) fn bad() -> NewJob {
    with(|job| job.queue = "no such name".into())
}

pub(crate) fn want(limit: usize) -> ClaimRequest {
    ClaimRequest::new(WorkerId(0), Arc::new(TaskSet::new(["mail"])), limit)
}

/// A request that waits if there is nothing to claim.
pub(crate) fn waiting() -> ClaimRequest {
    ClaimRequest { wait: true, ..want(9) }
}

pub(crate) fn complete() -> Verdict {
    Verdict::Complete { result: r#"{"sent":true}"#.into() }
}

pub(crate) fn retry(wait: Duration) -> Verdict {
    Verdict::Retry { wait, error: "boom".into() }
}

pub(crate) fn fail() -> Verdict {
    Verdict::Fail { error: "broken".into() }
}

pub(crate) fn cancel() -> Verdict {
    Verdict::Cancel { reason: "not wanted".into() }
}

pub(crate) fn postpone(wait: Duration) -> Verdict {
    Verdict::Postpone { wait, error: "unreadable".into() }
}

pub(crate) fn release(wait: Duration, started: bool) -> Verdict {
    Verdict::Release { wait, started }
}

pub(crate) fn ids(claimed: &[ClaimedJob]) -> Vec<JobId> {
    claimed.iter().map(|job| job.claim.id).collect()
}

pub(crate) fn kind<T: std::fmt::Debug>(answer: Result<T, Error>) -> ErrorKind {
    answer.expect_err("this was to be refused").kind()
}

/// The answer to a waiting claim: the ids of the jobs that it got.
pub(crate) fn given(waiting_claim: Pending<ClaimResponse>) -> Vec<JobId> {
    ids(&answer(waiting_claim).unwrap().claimed)
}

impl Bench {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn insert(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        answer(self.store.insert(jobs)).unwrap()
    }

    pub(crate) fn insert_one(&self, job: NewJob) -> JobId {
        self.insert(vec![job])[0]
    }

    pub(crate) fn register_worker(&self, worker: WorkerId) {
        answer(self.store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
    }

    pub(crate) fn ask(
        &self,
        worker: WorkerId,
        finished: Vec<FinishedJob>,
        want: ClaimRequest,
    ) -> Pending<ClaimResponse> {
        self.store.claim(ClaimRequest { worker, finished: Arc::new(finished), ..want })
    }

    /// Claims, and keeps the tickets.
    pub(crate) fn claim(&self, worker: WorkerId, want: ClaimRequest) -> Vec<ClaimedJob> {
        let claimed = answer(self.ask(worker, vec![], want)).unwrap().claimed;
        self.keep_tickets(&claimed);
        claimed
    }

    pub(crate) fn keep_tickets(&self, claimed: &[ClaimedJob]) {
        let tickets = claimed.iter().map(|job| (job.claim, (job.ticket, job.claimed_at)));
        self.tickets.lock().unwrap().extend(tickets);
    }

    /// The first job in the line, claimed.
    pub(crate) fn claim_one(&self, worker: WorkerId) -> Claim {
        self.claim(worker, want(1)).pop().expect("a job to claim").claim
    }

    /// A job that `worker`, now registered, holds.
    pub(crate) fn held_job(&self, worker: WorkerId) -> Claim {
        self.register_worker(worker);
        let id = self.insert_one(job());
        let claim = self.claim_one(worker);
        assert_eq!(claim.id, id, "the only job in the line");
        claim
    }

    /// A finished job whose task started just now. A claim that nobody was given has a ticket that says
    /// nothing.
    pub(crate) fn finish_of(&self, claim: Claim, verdict: Verdict) -> FinishedJob {
        let unknown = || (Ticket::new(self.now()), self.now());
        let known = self.tickets.lock().unwrap().get(&claim).copied();
        let (ticket, claimed_at) = known.unwrap_or_else(unknown);
        let began_after = self.now().duration_since(claimed_at).try_into().unwrap_or_default();
        FinishedJob { claim, ticket, began_after, verdict }
    }

    /// Writes a verdict, and answers whether the claim was lost.
    pub(crate) fn is_lost(&self, claim: Claim, verdict: Verdict) -> bool {
        let asked = self.ask(claim.worker, vec![self.finish_of(claim, verdict)], want(0));
        !answer(asked).unwrap().lost.is_empty()
    }

    pub(crate) fn finish(&self, claim: Claim, verdict: Verdict) -> Job {
        assert!(!self.is_lost(claim, verdict), "{claim:?} is lost");
        self.job(claim.id)
    }

    pub(crate) fn release_worker(&self, worker: WorkerId, why: Release) -> usize {
        answer(self.store.release_worker(worker, why)).unwrap().jobs
    }

    pub(crate) fn command(&self, command: JobCommand) -> qdjobs::Result<Job> {
        answer(self.store.command(command))
    }

    pub(crate) fn find(&self, id: JobId) -> Option<Job> {
        answer(self.store.get(id)).unwrap()
    }

    pub(crate) fn job(&self, id: JobId) -> Job {
        self.find(id).unwrap_or_else(|| panic!("job {id} is gone"))
    }

    pub(crate) fn attempts(&self, id: JobId) -> Vec<Attempt> {
        answer(self.store.attempts(id)).unwrap()
    }

    pub(crate) fn outcomes(&self, id: JobId) -> Vec<(u32, AttemptOutcome)> {
        self.attempts(id).iter().map(|attempt| (attempt.attempt, attempt.outcome)).collect()
    }

    pub(crate) fn page(&self, filter: Filter) -> Page {
        answer(self.store.list(filter)).unwrap()
    }

    pub(crate) fn list(&self, set: impl FnOnce(&mut Filter)) -> Vec<JobId> {
        let mut filter = Filter::default();
        set(&mut filter);
        self.page(filter).jobs.iter().map(|job| job.id).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        answer(self.store.counts()).unwrap()
    }

    pub(crate) fn workers(&self) -> Vec<WorkerState> {
        answer(self.store.workers()).unwrap()
    }

    pub(crate) fn heartbeat(&self, worker: WorkerId) -> Heartbeat {
        answer(self.store.heartbeat(worker)).unwrap()
    }

    /// Moves the clock, and waits until every member has seen what became due.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        // Two stores that make the same jobs due at one instant may each skip what the other holds.
        if self.members.len() > 1 {
            self.settle();
        }
    }

    /// Waits until everything that was asked before has had its effect in each member.
    pub(crate) fn settle(&self) {
        settle(&self.members);
    }

    /// A claim that waits, shown to wait.
    pub(crate) fn wait_to_claim(&self, worker: WorkerId, want: ClaimRequest) -> Pending<ClaimResponse> {
        let waiting_claim = self.ask(worker, vec![], want);
        self.still_waits(&waiting_claim);
        waiting_claim
    }

    pub(crate) fn still_waits(&self, waiting_claim: &Pending<ClaimResponse>) {
        self.settle();
        if let Some(early) = waiting_claim.try_take() {
            panic!("a waiting claim was answered without a reason: {early:?}");
        }
    }

    pub(crate) fn report(&self, claim: Claim, fraction: f64, message: &str) {
        let slot = Arc::new(ProgressSlot::new(claim));
        assert!(slot.set(Progress::new(fraction, Some(message.into()))));
        self.store.report_progress(slot);
        self.settle();
    }
}
