//! The types of the verb *claim*: the request of a worker, its finished jobs, and the claimed jobs.
//!
//! Does not decide which jobs are claimed: see `sqlite/queries/claim.rs` and `memory/state.rs`. That a claim
//! waits if there is no job is decided in `engine/transaction_steps.rs`.
//!
//! Depends on the model. Names no database and no thread.

use std::sync::Arc;
use std::time::Duration;

use crate::model::clock::Timestamp;
use crate::model::job::{JobId, WorkerId};
use crate::model::retry::Verdict;

/// The token of a running job.
///
/// A claim creates it, every write by the worker passes it, and the finish invalidates it. The store compares
/// the attempt number and the worker id, so it refuses writes by an earlier attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job.
    pub id: JobId,
    /// The number of the attempt.
    pub attempt: u32,
    /// The worker that holds the job.
    pub worker: WorkerId,
}

/// One request of a worker: finished jobs to write, and jobs to claim.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The worker that sends the request.
    pub worker: WorkerId,
    /// The finished jobs. They are shared, so the worker still has them if the request fails.
    pub finished: Arc<Vec<FinishedJob>>,
    /// How many jobs to claim at most.
    pub limit: usize,
    /// The tasks to claim jobs of.
    pub tasks: Arc<TaskSet>,
    /// The queues to claim jobs from; `None` for all.
    pub queues: Option<Arc<[String]>>,
    /// Whether the request waits until there is a job to claim.
    pub wait: bool,
}

impl ClaimRequest {
    /// A request of `worker` for at most `limit` jobs of `tasks`, from all queues, answered at once.
    pub fn new(worker: WorkerId, tasks: Arc<TaskSet>, limit: usize) -> ClaimRequest {
        ClaimRequest { worker, finished: Arc::default(), limit, tasks, queues: None, wait: false }
    }

    /// Whether this request can claim a job of this task in this queue.
    pub(crate) fn takes(&self, task_name: &str, queue: &str) -> bool {
        self.tasks.contains(task_name)
            && self.queues.as_deref().is_none_or(|queues| queues.iter().any(|wanted| wanted == queue))
    }

    /// Whether this request may become a waiting claim. A request with finished jobs is answered at once.
    pub(crate) fn may_wait(&self) -> bool {
        self.wait && self.finished.is_empty()
    }
}

/// Task names, sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskSet(Vec<String>);

impl TaskSet {
    /// Sorts the names and removes duplicates.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> TaskSet {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        TaskSet(names)
    }

    /// Whether `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A job whose attempt has ended: its claim and its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedJob {
    /// The claim under which the job ran.
    pub claim: Claim,
    /// The ticket of the [`ClaimedJob`].
    pub ticket: Ticket,
    /// The time from the claim to the start of the task, on the worker's monotonic clock; zero if the task
    /// never started.
    ///
    /// It is a duration instead of an instant, because the wall clocks of a worker and of a store may differ.
    pub began_after: Duration,
    /// What becomes of the job.
    pub verdict: Verdict,
}

/// What a store knows about a claimed job. The worker returns it unread with the finished job, so that the
/// finish needs no read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The instant of the claim by the store's clock, in microseconds since 1970: half the size of a
    /// `Timestamp`.
    claimed_at: i64,
}

impl Ticket {
    /// A ticket with the instant of the claim.
    pub fn new(claimed_at: Timestamp) -> Ticket {
        Ticket { claimed_at: claimed_at.as_microsecond() }
    }

    /// The instant at which the task started, by the store's clock. It is never after `now`, although the
    /// clock may have been set back.
    pub(crate) fn started_at(self, began_after: Duration, now: Timestamp) -> Timestamp {
        let claimed_at = self.claimed_at();
        claimed_at.checked_add(began_after).unwrap_or(now).min(now.max(claimed_at))
    }

    /// The instant of the claim, by the store's clock.
    pub(crate) fn claimed_at(self) -> Timestamp {
        Timestamp::from_microsecond(self.claimed_at).unwrap_or(Timestamp::MAX)
    }
}

/// The answer to a [`ClaimRequest`].
#[derive(Debug, Default)]
pub struct ClaimResponse {
    /// The finished jobs that were refused because their claim was lost: the job was released with its
    /// worker, or deleted.
    ///
    /// If a job has ended under exactly this claim, its claim is not lost: its task completed it in its own
    /// transaction. A repeated finish whose first answer was lost is not listed either.
    pub lost: Vec<Claim>,
    /// The finished jobs that their attempts had already completed. Their verdicts were ignored.
    pub completed: Vec<Claim>,
    /// The claimed jobs, in the order in which they are to start.
    pub claimed: Vec<ClaimedJob>,
}

/// A claimed job, with all data that its attempt needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedJob {
    /// The token to finish it with.
    pub claim: Claim,
    /// The worker returns it with the [`FinishedJob`].
    pub ticket: Ticket,
    /// The task.
    pub task_name: String,
    /// The parameters: the text of a JSON object.
    pub params: String,
    /// The display name, if the job has one of its own.
    pub name: Option<String>,
    /// The queue.
    pub queue: String,
    /// The priority; higher first.
    pub priority: i32,
    /// Retries used.
    pub retry_count: u32,
    /// Retries allowed.
    pub max_retries: u32,
    /// When the job was stored.
    pub created_at: Timestamp,
    /// When the job was due.
    pub scheduled_at: Timestamp,
    /// When the job was claimed, by the store's clock.
    pub claimed_at: Timestamp,
    /// The caller's own JSON object.
    pub metadata: Option<String>,
    /// The idempotency key under which the job was enqueued.
    pub idempotency_key: Option<String>,
}
