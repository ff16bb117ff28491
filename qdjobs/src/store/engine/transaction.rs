//! The interface that a store implements: [`Transaction`], its verbs inside one transaction; and [`Effects`],
//! who may have to be woken.
//!
//! The order of the verbs is in `transaction_steps.rs`. The implementations are in `memory/state.rs` and
//! `sqlite/transaction.rs`. Begins and commits nothing: the store does.
//!
//! Depends on the contract and the model.

use super::leave_running::{Held, Leaving, Next};
use crate::model::availability::Availability;
use crate::model::clock::Timestamp;
use crate::model::crash_count::Beside;
use crate::model::error::Result;
use crate::model::job::{AttemptOutcome, Job, JobId, NewJob, Progress, Status, WorkerId};
use crate::store::{Claim, ClaimRequest, ClaimedJob, JobCommand, TaskDefaults, WorkerInfo};

/// One transaction of a store. Every method borrows its arguments and can run again. The methods are in verb
/// order.
///
/// [`is_alive`](Transaction::is_alive) reports whether the transaction still exists after an error.
pub(crate) trait Transaction {
    /// The most jobs that [`insert_together`](Transaction::insert_together) stores.
    const TOGETHER_MAX: usize = 0;

    /// The instant of this transaction, read once.
    fn now(&self) -> Timestamp;

    /// The crash count at which a job fails, at the earliest.
    fn crashes_max(&self) -> u32;

    /// Whether the transaction still exists after `error`. If not, the database would commit each further
    /// statement separately.
    fn is_alive(&self, error: &crate::Error) -> bool;

    /// Runs `verb` so that an error undoes only its changes. Unless `several`, it writes at most one
    /// statement. In SQLite a failed statement changes nothing, so that needs no savepoint; on a server a
    /// failed statement ends the transaction. The exception is a trigger of the application with `RAISE(FAIL)`,
    /// which keeps what the statement has written: `docs/sql_schema.md` says so.
    fn alone<A>(&mut self, several: bool, verb: impl FnOnce(&mut Self) -> Result<A>) -> Result<A>;

    /// Whether [`insert`](Transaction::insert) of these jobs succeeds or fails as a whole without
    /// [`alone`](Transaction::alone).
    fn is_one_statement(&self, jobs: &[NewJob]) -> bool;

    /// Stores jobs. For a job whose idempotency key is held by the same job, returns the stored id.
    fn insert(&mut self, jobs: &[NewJob], effects: &mut Effects) -> Result<Vec<JobId>>;

    /// Stores a prefix of jobs that are each of [one statement](Transaction::is_one_statement): as many as a common
    /// statement takes. Returns their ids.
    fn insert_together(&mut self, _jobs: &[&NewJob], _effects: &mut Effects) -> Result<Vec<JobId>> {
        Ok(Vec::new())
    }

    /// Stores the options of tasks.
    fn publish_tasks(&mut self, tasks: &[TaskDefaults]) -> Result<()>;

    /// Registers a worker; `false` if it is already registered.
    fn register_worker(&mut self, worker: &WorkerInfo) -> Result<bool>;

    /// Whether a worker is registered. The answer stays true until the commit.
    fn is_registered(&mut self, worker: WorkerId) -> Result<bool>;

    /// Whether a suspected poison job waits to be claimed.
    fn has_suspected(&mut self) -> Result<bool>;

    /// Claims the first jobs in claim order.
    fn claim(&mut self, wanted: &ClaimRequest) -> Result<Vec<ClaimedJob>>;

    /// Counts a heartbeat; `false` if the worker is not registered.
    fn heartbeat(&mut self, worker: WorkerId) -> Result<bool>;

    /// Running jobs whose worker is not registered. No code of this crate leaves such jobs; a change by hand
    /// in a database shell can.
    fn orphans(&mut self) -> Result<Vec<Held>>;

    /// The heartbeats of a registered worker. No other transaction counts one before the commit.
    fn heartbeats(&mut self, worker: WorkerId) -> Result<Option<u64>>;

    /// Stores progress, unless the claim is lost.
    fn report_progress(&mut self, claim: Claim, progress: &Progress) -> Result<()>;

    /// Writes how a job leaves `running`, and its attempt into the history. If the claim is lost, writes
    /// nothing and returns `false`. No other method takes a job out of `running`, so code that must run after
    /// it belongs here.
    fn leave_running(&mut self, leaving: &Leaving<'_>) -> Result<bool>;

    /// How a job ended, if it ended under exactly this claim and not by a crash.
    fn end_under(&mut self, claim: Claim) -> Result<Option<Status>>;

    /// Whether the history has this attempt of this worker, with this outcome.
    fn has_attempt(&mut self, claim: Claim, outcome: AttemptOutcome) -> Result<bool>;

    /// Makes due jobs ready, up to a limit for each transaction.
    fn promote(&mut self, effects: &mut Effects) -> Result<()>;

    /// The next instant at which a job is due.
    fn next_due(&mut self) -> Result<Option<Timestamp>>;

    /// Removes a worker that `is_dead` or stops; `false` if it is not registered.
    fn remove_worker(&mut self, worker: WorkerId, is_dead: bool) -> Result<bool>;

    /// The jobs that a worker holds. No other transaction changes them before the commit.
    fn held_by(&mut self, worker: WorkerId) -> Result<Vec<Held>>;

    /// The jobs that the other workers of its process hold, or held when they were released as dead after `since`:
    /// an earlier death of one of them was another one, for example of a worker that lost its lease.
    fn held_beside(&mut self, worker: WorkerId, since: Timestamp) -> Result<Beside>;

    /// Subtracts the crashes that pending and running jobs share with `poison`, a job that has failed by its
    /// last crash: those of processes that held both at the same time. A job that is then no longer suspected is available again.
    /// Returns how many jobs were changed.
    fn clear_crashes_shared_with(&mut self, poison: JobId) -> Result<usize>;

    /// Writes a command. The caller has checked that the job's status permits it.
    fn command(&mut self, command: JobCommand) -> Result<()>;

    /// One job.
    fn job(&mut self, id: JobId) -> Result<Option<Job>>;

    /// One job that is to be changed. No other transaction changes it before the commit.
    fn job_to_change(&mut self, id: JobId) -> Result<Option<Job>> {
        // Enough under a lock on the whole database.
        self.job(id)
    }
}

/// The changes of a transaction that can end a wait. They wake the waiting calls after the commit.
///
/// A waiting claim is woken by a ready job, by an earlier due instant and by the removal of its worker. A
/// wait for a job is woken by the end of that job. A future verb that stops running jobs adds its reason
/// here.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Jobs that became ready.
    pub(crate) ready: usize,
    /// The earliest instant at which a job stored here becomes due.
    pub(crate) due: Option<Timestamp>,
    /// Jobs that have ended, or were changed or deleted after their end.
    pub(crate) ended: Vec<JobId>,
    /// Workers that were removed.
    pub(crate) gone: Vec<WorkerId>,
    /// Workers that are newly registered.
    pub(crate) registered: Vec<WorkerId>,
    /// The lowest id of the jobs stored here.
    stored_from: Option<JobId>,
    /// Jobs claimed.
    pub(crate) claimed: usize,
    /// The jobs among them that were stored here.
    claimed_at_once: usize,
}

/// The state of the effects before a request that may fail alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    ready: usize,
    due: Option<Timestamp>,
    stored_from: Option<JobId>,
    ended: usize,
    gone: usize,
    registered: usize,
}

impl Effects {
    /// Records that a pending job was stored or became pending again.
    pub(crate) fn is_pending(&mut self, is_due: bool, scheduled_at: Option<Timestamp>) {
        if is_due {
            self.ready += 1;
        } else {
            self.due = self.due.into_iter().chain(scheduled_at).min();
        }
    }

    /// Records that a job was stored.
    pub(crate) fn is_stored(&mut self, id: JobId, availability: Availability, scheduled_at: Timestamp) {
        self.stored_from = Some(self.stored_from.map_or(id, |from| from.min(id)));
        self.is_pending(availability.is_ready(), Some(scheduled_at));
    }

    /// Records that jobs were claimed.
    pub(crate) fn has_claimed(&mut self, claimed: &[ClaimedJob]) {
        self.claimed += claimed.len();
        let is_stored_here = |job: &&ClaimedJob| self.stored_from.is_some_and(|from| job.claim.id >= from);
        self.claimed_at_once += claimed.iter().filter(is_stored_here).count();
    }

    /// Records that a job has left `running`.
    pub(crate) fn has_left(&mut self, leaving: &Leaving<'_>) {
        match leaving.next {
            Next::Completed { .. } | Next::Ended(_) => self.ended.push(leaving.claim.id),
            Next::Pending { scheduled_at, is_due } => self.is_pending(is_due, scheduled_at),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            ready: self.ready,
            due: self.due,
            stored_from: self.stored_from,
            ended: self.ended.len(),
            gone: self.gone.len(),
            registered: self.registered.len(),
        }
    }

    /// Removes the effects since `mark`, because the request failed alone.
    pub(crate) fn undo_to(&mut self, mark: Mark) {
        self.ready = mark.ready;
        self.due = mark.due;
        self.stored_from = mark.stored_from;
        self.ended.truncate(mark.ended);
        self.gone.truncate(mark.gone);
        self.registered.truncate(mark.registered);
    }

    /// The number of jobs that became ready here and that this process has not claimed, for other processes.
    /// The claim of an older job leaves them all.
    pub(super) fn left_over(&self) -> usize {
        self.ready.saturating_sub(self.claimed_at_once)
    }
}
