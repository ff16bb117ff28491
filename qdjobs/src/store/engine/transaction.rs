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
use crate::model::error::Result;
use crate::model::job::{AttemptOutcome, Job, JobId, NewJob, Progress, Status, WorkerId};
use crate::store::{Claim, ClaimRequest, ClaimedJob, JobCommand, TaskDefaults, WorkerInfo};

/// One transaction of a store. Every verb borrows its request and can run again. The verbs stand in the order
/// of a job's life.
///
/// [`is_alive`](Transaction::is_alive) says whether an error has ended the whole transaction.
pub(crate) trait Transaction {
    /// The one instant of this transaction.
    fn now(&self) -> Timestamp;

    /// With the crash of this number a job fails.
    fn crashes_max(&self) -> u32;

    /// Whether the transaction can go on after `error`. If not, each further statement would be written by
    /// itself.
    fn is_alive(&self, error: &crate::Error) -> bool;

    /// Runs `verb` so that an error undoes all of it and nothing else.
    fn alone<A>(&mut self, verb: impl FnOnce(&mut Self) -> Result<A>) -> Result<A>;

    /// Whether [`insert`](Transaction::insert) of these jobs succeeds or fails as a whole without
    /// [`alone`](Transaction::alone).
    fn is_one_statement(&self, jobs: &[NewJob]) -> bool;

    /// Stores jobs, or finds those whose keys are held.
    fn insert(&mut self, jobs: &[NewJob], effects: &mut Effects) -> Result<Vec<JobId>>;

    /// Stores the options of tasks.
    fn publish_tasks(&mut self, tasks: &[TaskDefaults]) -> Result<()>;

    /// Registers a worker; `false` if it is registered already.
    fn register_worker(&mut self, worker: &WorkerInfo) -> Result<bool>;

    /// Whether a worker is registered. It stays so until the commit.
    fn is_registered(&mut self, worker: WorkerId) -> Result<bool>;

    /// Whether a suspected poison job waits to be claimed.
    fn has_suspected(&mut self) -> Result<bool>;

    /// Claims the jobs that come first.
    fn claim(&mut self, wanted: &ClaimRequest) -> Result<Vec<ClaimedJob>>;

    /// Counts a heartbeat; `false` if the worker is not registered.
    fn heartbeat(&mut self, worker: WorkerId) -> Result<bool>;

    /// Running jobs whose worker is not registered. No code of this crate leaves any; a person with a
    /// database shell may.
    fn orphans(&mut self) -> Result<Vec<Held>>;

    /// The heartbeats of a registered worker.
    fn heartbeats(&mut self, worker: WorkerId) -> Result<Option<u64>>;

    /// Stores progress, unless the claim is lost.
    fn report_progress(&mut self, claim: Claim, progress: &Progress) -> Result<()>;

    /// Writes how a job leaves `running`, and its attempt into the history; `false`, and nothing written, if
    /// the claim is lost. The only way out of `running`: whatever has to follow a job's end or return hooks
    /// in here.
    fn leave_running(&mut self, leaving: &Leaving<'_>) -> Result<bool>;

    /// How a job ended, if it did so under exactly this claim and not by a crash.
    fn end_under(&mut self, claim: Claim) -> Result<Option<Status>>;

    /// Whether the history has this attempt of this worker, with this outcome.
    fn has_attempt(&mut self, claim: Claim, outcome: AttemptOutcome) -> Result<bool>;

    /// Makes due jobs ready, as many as one transaction may.
    fn promote(&mut self, effects: &mut Effects) -> Result<()>;

    /// The next instant at which a job is due.
    fn next_due(&mut self) -> Result<Option<Timestamp>>;

    /// Removes a worker, which `is_dead` or stops; `false` if it is not registered.
    fn remove_worker(&mut self, worker: WorkerId, is_dead: bool) -> Result<bool>;

    /// The jobs that a worker holds.
    fn held_by(&mut self, worker: WorkerId) -> Result<Vec<Held>>;

    /// Writes a command that the job's status permits.
    fn command(&mut self, command: JobCommand) -> Result<()>;

    /// One job.
    fn job(&mut self, id: JobId) -> Result<Option<Job>>;
}

/// What a transaction changes for those who wait: the reasons to wake them, once it is committed.
///
/// A claim waits for a job that is ready, for an instant that is earlier than those known, and for the loss
/// of its worker. A caller waits for an end. What stops running jobs, once there is such a verb, adds its
/// reason here.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Jobs that became ready.
    pub(crate) ready: usize,
    /// The earliest instant at which a job stored here becomes due.
    pub(crate) due: Option<Timestamp>,
    /// Jobs that have ended, or were changed or deleted after their end.
    pub(crate) ended: Vec<JobId>,
    /// Workers that are not registered any more.
    pub(crate) gone: Vec<WorkerId>,
    /// Workers that are newly registered.
    pub(crate) registered: Vec<WorkerId>,
    /// Jobs claimed.
    pub(crate) claimed: usize,
}

/// The effects before a request, which may fail alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    ready: usize,
    due: Option<Timestamp>,
    ended: usize,
    gone: usize,
    registered: usize,
}

impl Effects {
    /// A pending job was stored, or waits again.
    pub(crate) fn is_pending(&mut self, availability: Availability, scheduled_at: Option<Timestamp>) {
        if availability.is_ready() {
            self.ready += 1;
        } else {
            self.due = self.due.into_iter().chain(scheduled_at).min();
        }
    }

    /// A job has left `running`.
    pub(crate) fn has_left(&mut self, leaving: &Leaving<'_>) {
        match leaving.next {
            Next::Completed { .. } | Next::Ended(_) => self.ended.push(leaving.claim.id),
            Next::Pending { scheduled_at, availability } => self.is_pending(availability, scheduled_at),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        let Effects { ready, due, ended, gone, registered, .. } = self;
        Mark { ready: *ready, due: *due, ended: ended.len(), gone: gone.len(), registered: registered.len() }
    }

    /// Undoes what has come since `mark`: the request failed alone.
    pub(crate) fn undo_to(&mut self, mark: Mark) {
        self.ready = mark.ready;
        self.due = mark.due;
        self.ended.truncate(mark.ended);
        self.gone.truncate(mark.gone);
        self.registered.truncate(mark.registered);
    }

    /// Jobs that nobody here has claimed: work for other processes.
    pub(crate) fn left_over(&self) -> usize {
        self.ready.saturating_sub(self.claimed)
    }
}
