//! The contract of a store: what each verb promises once its answer is there.
//!
//! Leans on the ground floor. Knows no task, no thread of a worker, and names no database: those live in
//! [`memory`] and `sqlite`, which do not know each other. The verbs stand in the order of a job's life, here, in the
//! SQL, in each store and in the contract tests: **insert, claim, heartbeat, checkpoint, finish, promote, rescue, cancel,
//! inspect**.
//!
//! Rules for every store:
//!
//! - No method waits for the storage but [`insert_here`](Store::insert_here), [`backup`](Store::backup) and
//!   [`close`](Store::close). Each other that asks for something submits its request and returns a [`Pending`], which is a `Future` and has `wait()`.
//!   Dropping a `Pending` cancels nothing. [`register_worker`](Store::register_worker) may first make a small file, the worker's proof of life.
//! - A request is answered after its effect is as durable as the store promises, never before.
//! - One bad request fails alone. A failure of the storage fails every request it took down, and says so to each: as a
//!   certain one, after which nothing is stored, or as [`ErrorKind::Indeterminate`]. What an indeterminate turn may have claimed is
//!   given back by the store itself as soon as it can write again, since its worker never heard of it.
//! - A store whose storage can no longer be trusted stops for good: what comes later, what stands and what waits gets
//!   [`ErrorKind::StoreHalted`] at once, and nothing is written any more. Reads may go on.
//! - A job is changed by a worker only while it is running in exactly the claim that the worker shows
//!   ([`Claim`]: id, attempt and worker); anything else is refused as lost.
//! - The store reads its [`Clock`](crate::Clock) once per batch of requests, so instants within a batch agree.
//!   Scheduled jobs become due by themselves (*promote*): no caller has to ask.
//! - Instants are stored as whole microseconds, what lies beyond is cut off; error texts as [`ERROR_BYTES_MAX`] allows.
//!   A wait that would pass the last instant of the calendar ends there.
//!
//! What every store says of a job, beside what its fields say:
//!
//! - A pending job has no worker. Every other one has that of its current or last attempt, unless it was cancelled
//!   while it was pending.
//! - `attempt` grows by one at each claim, and `progress` begins anew with it.
//! - Of a job that is not running, `started_at` is that of the last attempt in its history.
//! - `error` is that of the last attempt that failed, crashed or cancelled the job; a completion and a cancel by hand
//!   clear it. A release and a retry by hand leave it.
//!
//! [`ERROR_BYTES_MAX`]: crate::ERROR_BYTES_MAX

pub(crate) mod engine;
pub mod health;
pub mod memory;
mod pending;
pub mod sqlite;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use health::{Health, HealthState};
pub use pending::{Pending, Reply};

use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Attempt, Job, JobId, NewJob, Progress, Status, WorkerId};
use crate::model::retry::Verdict;

/// Where jobs live. See the [module](self) for the rules.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Stores jobs, all or none; once answered, they survive what the store promises to survive.
    ///
    /// Each is [checked](NewJob::check) first, and one that is refused refuses this insert and no other. The ids come
    /// in the order of the jobs, grow, and are never used twice, not even after a deletion. No jobs is no error.
    ///
    /// A job whose [`idempotency_key`](NewJob::idempotency_key) is held already, by a job of whatever status, is not stored: in its place
    /// stands the id of the holder, if that has the same task and the same params as JSON; else the insert is refused with
    /// [`ErrorKind::Conflict`]. This holds within one insert too.
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>>;

    /// As [`insert`](Store::insert), and waits for the answer. A store may do the work on the caller's thread.
    fn insert_here(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
        self.insert(jobs).wait()
    }

    /// Keeps what the tasks of a program say about their jobs, for jobs that other programs store without saying it. A
    /// store into which nobody else can insert has no use for it.
    fn publish_tasks(&self, _tasks: Vec<TaskDefaults>) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Makes a worker known, so that it may claim. One that is known stays as it is.
    fn register_worker(&self, worker: WorkerInfo) -> Pending<()>;

    /// Writes what became of finished jobs, then claims further ones, in one transaction.
    ///
    /// Order of claims: higher priority first, then earlier `scheduled_at`, then lower id, over all the queues and
    /// tasks wanted. A worker holds at most one *suspect*, a job with a crash counted: others are passed over until that one
    /// has ended or gone back, which is a reason to answer a turn that stands.
    ///
    /// A turn with [`Want::stand`] that finishes nothing and finds nothing is answered when there is
    /// something to claim, the moment it is stored or due; at most one such turn stands for a worker and its set of
    /// tasks, and a further one is the end of the one before. It is answered empty by [`leave`](Store::deregister_worker),
    /// [`cancel_waiting_claims`](Store::cancel_waiting_claims) and by its successor. A turn that brings finishes is answered at once, even if each of
    /// them is lost.
    ///
    /// A worker that is not (or no longer) registered gets [`ErrorKind::LeaseLost`] and claims nothing; so does its
    /// standing turn when it is rescued.
    ///
    /// What the finishes make ready is first offered to the turns that stand, of whichever worker, oldest first; then this turn
    /// claims.
    ///
    /// The finishes are written in their order, each as its [`Verdict`] says. A completion brings the progress to 1 if
    /// there was any report of it. A release that waits for nothing keeps the job's `scheduled_at`, and with it the
    /// place in the line; one that had not begun leaves no trace of the claim.
    fn turn(&self, turn: ClaimRequest) -> Pending<ClaimResponse>;

    /// Ends the standing turns of `worker`, with what they have: nothing.
    fn cancel_waiting_claims(&self, worker: WorkerId);

    /// Says that the worker lives, and looks at everybody else who says so. A worker that is not registered is told the
    /// same, and is not made known by it.
    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat>;

    /// Stores the latest value of `note`, soon; later values may overtake it. Refused silently when the claim is
    /// lost: progress is for people, and a lost claim is told to the handler by the heartbeat.
    fn report_progress(&self, note: Arc<ProgressSlot>);

    /// Whether a worker is dead beyond doubt, by what the operating system says right now; `false` proves nothing. Reads no
    /// database and does not wait.
    fn is_proven_dead(&self, _worker: WorkerId) -> bool {
        false
    }

    /// Frees the jobs of a worker that is proven dead, and forgets the worker.
    ///
    /// If one of them is a suspect, a crash is counted for that one alone, and the others go back as by
    /// [`leave`](Store::deregister_worker), with a record that names the suspect. Else one is counted for each. A job for which a crash is
    /// counted is due now, as a suspect, and loses no retry; with the last crash that the store allows it is failed.
    fn rescue(&self, dead: WorkerId) -> Pending<Rescued>;

    /// As [`rescue`](Store::rescue), for a worker that nothing proves dead but that its `heartbeats`, as they were last seen, have stood
    /// still. One that has beaten since is left alone: between the look and this the disk may have been away for everybody.
    fn rescue_silent(&self, silent: WorkerId, heartbeats: u64) -> Pending<Rescued>;

    /// Gives back whatever `worker` still holds, none of it counted as an attempt that failed, and forgets the worker.
    /// Whether a task began is not known here: each claim is over as a released attempt and keeps its number. The jobs
    /// keep their `scheduled_at`. Answers how many there were.
    fn deregister_worker(&self, worker: WorkerId) -> Pending<usize>;

    /// Changes of single jobs asked for by people: retry, cancel, delete. Each stands or falls alone, in their order;
    /// what it answers is the job as it is afterwards, or as it was if it is gone.
    fn control(&self, commands: Vec<JobCommand>) -> Pending<Vec<Result<Job>>>;

    /// The job, once it has ended; at once if it has. [`ErrorKind::NotFound`] if there is no such job, now or later
    /// (it was deleted while somebody waited).
    fn wait_for(&self, id: JobId) -> Pending<Job>;

    /// Reads. What was answered before is seen.
    fn inspect(&self, query: Query) -> Pending<Answer>;

    /// Looks for work that something other than this store's own methods has stored.
    fn notify(&self);

    /// The statement that stores jobs through any driver, for a caller's own transaction; [`ErrorKind::Config`] if the
    /// store has no SQL. Refuses jobs as [`insert`](Store::insert) does; a job whose idempotency key is held is passed over when the
    /// statement runs, or makes it fail.
    fn statement(&self, jobs: &[NewJob]) -> Result<SqlStatement>;

    /// How the store is. Asks nobody, waits for nobody, and answers also when the store is closed or has stopped.
    fn health(&self) -> Health {
        Health::default()
    }

    /// Writes a copy of all that is stored, as of one moment, into a new file; blocks until it is on the disk. Works also when the
    /// store has stopped. [`ErrorKind::Config`] if the store has no file, [`ErrorKind::Corrupt`] if the copy is not sound.
    fn backup(&self, _to: &Path) -> Result<()> {
        Err(Error::new(ErrorKind::Config, "this store has no file to copy")
            .help("only a queue on a file has backups"))
    }

    /// What every request is refused with, if the store has stopped for good. As cheap as [`health`](Store::health), and asked by
    /// each worker once a second.
    fn stopped(&self) -> Option<Error> {
        None
    }

    /// Whether a write survives a power cut once it is answered.
    fn survives_power_loss(&self) -> bool {
        false
    }

    /// What a person would call this store: a path, or `memory`.
    fn name(&self) -> &str;

    /// Answers what is waiting, then stops. Later requests get [`ErrorKind::Closed`], and so do turns that stand and
    /// waits for the end of a job. Closing twice is closing once.
    fn close(&self);
}

/// The token of a running job: minted by a claim, shown at every change, spent by its finish. The attempt number and the
/// worker fence off everybody who held the job before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job.
    pub id: JobId,
    /// Which of its attempts this is.
    pub attempt: u32,
    /// Who holds it.
    pub worker: WorkerId,
}

/// A worker as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Drawn at random when it started.
    pub id: WorkerId,
    /// The machine it runs on.
    pub host: String,
    /// Its process there. For people: numbers are reused, so it proves nothing.
    pub pid: u32,
}

impl WorkerInfo {
    /// The card of a worker.
    pub fn new(id: WorkerId, host: impl Into<String>, pid: u32) -> WorkerInfo {
        WorkerInfo { id, host: host.into(), pid }
    }
}

/// What one turn of a worker asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// What became of jobs it held. Shared, so that the worker still has it if the turn fails.
    pub done: Arc<Vec<FinishedJob>>,
    /// What it can take on.
    pub want: Want,
}

/// The jobs a worker can take on.
#[derive(Clone, Debug)]
pub struct Want {
    /// At most so many.
    pub limit: usize,
    /// Of these tasks.
    pub tasks: Arc<TaskSet>,
    /// From these queues; `None` for all.
    pub queues: Option<Arc<[String]>>,
    /// Whether to be answered only when there is something.
    pub stand: bool,
}

impl Want {
    /// Whether a job of this task in this queue is wanted.
    pub(crate) fn takes(&self, task_name: &str, queue: &str) -> bool {
        self.tasks.contains(task_name)
            && self.queues.as_deref().is_none_or(|queues| queues.iter().any(|wanted| wanted == queue))
    }
}

/// What a task says about its jobs, for those who store them without a program that knows the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefaults {
    /// The task's name.
    pub name: String,
    /// The queue its jobs wait in.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// Retries after the first attempt.
    pub max_retries: u32,
}

/// Names of tasks, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskSet(Vec<String>);

impl TaskSet {
    /// Sorts and deduplicates.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> TaskSet {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        TaskSet(names)
    }

    /// Whether `name` is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What became of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedJob {
    /// The claim it ran under.
    pub claim: Claim,
    /// When the task began; when it was claimed, if it never did.
    pub started_at: Timestamp,
    /// What is to become of it.
    pub verdict: Verdict,
}

/// The answer to a turn.
#[derive(Debug, Default)]
pub struct ClaimResponse {
    /// The finishes that were refused since their claims were lost: rescued, deleted, or given back. A job that has
    /// ended under exactly the claim shown is not lost: its task completed it in a transaction of its own, or the finish is
    /// repeated since its first answer got lost.
    pub lost: Vec<Claim>,
    /// The finishes of jobs that their attempts had completed before, whatever the finishes say.
    pub completed: Vec<Claim>,
    /// The jobs claimed, in the order they are to be started.
    pub claimed: Vec<Claimed>,
}

/// A claimed job: what its attempt needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The token to finish it with.
    pub claim: Claim,
    /// Its task.
    pub task_name: String,
    /// Its parameters: the text of a JSON object.
    pub params: String,
    /// Its display name, if it has one of its own.
    pub name: Option<String>,
    /// Its queue.
    pub queue: String,
    /// Its priority.
    pub priority: i32,
    /// Retries used.
    pub retry_count: u32,
    /// Retries allowed.
    pub max_retries: u32,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was due.
    pub scheduled_at: Timestamp,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// The caller's own JSON object.
    pub metadata: Option<String>,
    /// The key under which it was enqueued.
    pub idempotency_key: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    /// Every registered worker with its heartbeats counted so far, the asking one among them unless it was rescued.
    pub workers: Vec<WorkerState>,
}

/// What became of a dead worker's jobs.
#[derive(Clone, Debug, Default)]
pub struct Rescued {
    /// How many it held; 0 if somebody else was quicker.
    pub jobs: usize,
    /// Those among them that have failed, since it was one crash too many.
    pub failed: Vec<Job>,
}

/// A worker and its latest sign of life.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct WorkerState {
    /// Who it is.
    #[serde(flatten)]
    pub card: WorkerInfo,
    /// When it started.
    #[serde(serialize_with = "crate::model::job::serialize_wire_time")]
    pub started_at: Timestamp,
    /// Beats so far. Only whether it grows says anything.
    pub heartbeats: u64,
    /// Jobs it holds.
    pub running: u64,
}

impl WorkerState {
    pub(crate) fn new(card: WorkerInfo, started_at: Timestamp) -> WorkerState {
        WorkerState { card, started_at, heartbeats: 0, running: 0 }
    }
}

/// The progress of one running job: set by its handler as often as it likes, written by the store as often as it can.
#[derive(Debug)]
pub struct ProgressSlot {
    claim: Claim,
    latest: Mutex<ProgressState>,
}

#[derive(Debug, Default)]
struct ProgressState {
    progress: Option<Progress>,
    submitted: bool,
}

impl ProgressSlot {
    /// Nothing reported yet.
    pub fn new(claim: Claim) -> ProgressSlot {
        ProgressSlot { claim, latest: Mutex::default() }
    }

    /// The job it speaks of.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Replaces what was reported; `true` if the note has to be submitted, `false` if it already waits to be written.
    pub fn set(&self, progress: Progress) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.progress = Some(progress);
        !std::mem::replace(&mut latest.submitted, true)
    }

    /// Takes what is to be written.
    pub fn take(&self) -> Option<Progress> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.submitted = false;
        latest.progress.take()
    }
}

/// A change of one job asked for by a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobCommand {
    /// A failed or cancelled job, or one that waits for its time: due now, with a fresh budget of retries and crashes: it is no
    /// suspect any more. What it ran so far stays in its history, and `attempt` goes on from there.
    Retry(JobId),
    /// A pending job: cancelled.
    Cancel(JobId),
    /// Any job that is not running: gone, with its history. Answers the job as it was.
    Delete(JobId),
}

impl JobCommand {
    /// The job it is about.
    pub fn id(self) -> JobId {
        match self {
            JobCommand::Retry(id) | JobCommand::Cancel(id) | JobCommand::Delete(id) => id,
        }
    }

    /// Whether a job that is `status` and, if pending, due (`due`) or not, allows it: the one place that says so.
    pub(crate) fn permit(self, id: JobId, status: Status, due: bool) -> Result<()> {
        let (refused, help) = match (self, status) {
            (_, Status::Running) => {
                (true, "wait until it has ended; a task can end its own job early with `TaskError::cancel`")
            }
            (JobCommand::Retry(_), Status::Pending) => (due, "it is already waiting for a free worker"),
            (JobCommand::Retry(_), Status::Completed) => (true, "enqueue a new job to do the work once more"),
            (JobCommand::Cancel(_), status) => {
                (status != Status::Pending, "only a job that has not ended can be cancelled")
            }
            (JobCommand::Retry(_) | JobCommand::Delete(_), _) => (false, ""),
        };
        if !refused {
            return Ok(());
        }
        let verb = match self {
            JobCommand::Retry(_) => "retried",
            JobCommand::Cancel(_) => "cancelled",
            JobCommand::Delete(_) => "deleted",
        };
        Err(Error::new(ErrorKind::Conflict, format!("job {id} is {status} and cannot be {verb}")).help(help))
    }
}

/// What to read.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// One job.
    Job(JobId),
    /// The attempts of one job that are over, oldest first.
    Attempts(JobId),
    /// Jobs, newest first.
    List(Filter),
    /// How many jobs there are, by status.
    Counts,
    /// The registered workers, oldest first.
    Workers,
}

/// What was read; the variant follows the query's.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Query::Job`].
    Job(Option<Box<Job>>),
    /// To [`Query::Attempts`].
    Attempts(Vec<Attempt>),
    /// To [`Query::List`].
    List(Page),
    /// To [`Query::Counts`].
    Counts(Counts),
    /// To [`Query::Workers`].
    Workers(Vec<WorkerState>),
}

/// Which jobs to list: all conditions that are set must hold.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Filter {
    /// In this status.
    pub status: Option<Status>,
    /// Of this task.
    pub task_name: Option<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// Pending jobs whose `scheduled_at` lies ahead.
    pub scheduled: bool,
    /// Pending jobs that have failed before, since their budget of retries was last fresh.
    pub retrying: bool,
    /// Only ids below this one: the `next` of the page before.
    pub before: Option<JobId>,
    /// At most so many; [`Filter::LIMIT_DEFAULT`] if `None`, [`Filter::LIMIT_MAX`] at most.
    pub limit: Option<usize>,
}

impl Filter {
    /// Jobs on a page unless the caller says otherwise.
    pub const LIMIT_DEFAULT: usize = 100;
    /// Most jobs on a page: a page is held in memory as a whole.
    pub const LIMIT_MAX: usize = 1000;

    pub(crate) fn page_size(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT_DEFAULT).clamp(1, Self::LIMIT_MAX)
    }
}

/// Some jobs, newest first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Pass it as [`Filter::before`] to get the next page; `None` on the last.
    pub next: Option<JobId>,
}

impl Page {
    /// Cuts `jobs`, read with one more than `size` as the sign of a further page, to a page.
    pub(crate) fn cut(mut jobs: Vec<Job>, size: usize) -> Page {
        let more = jobs.len() > size;
        jobs.truncate(size);
        let next = if more { jobs.last().map(|job| job.id) } else { None };
        Page { jobs, next }
    }
}

/// How many jobs there are, by status; every status is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<Status, u64>);

impl Counts {
    pub(crate) fn new(counted: impl IntoIterator<Item = (Status, u64)>) -> Counts {
        let mut counts: BTreeMap<Status, u64> = Status::ALL.map(|status| (status, 0)).into();
        counts.extend(counted);
        Counts(counts)
    }

    /// The number of jobs in `status`.
    pub fn of(&self, status: Status) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    /// The number of all jobs.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// One SQL statement that stores any number of jobs, for a transaction on a connection of the caller's own driver. See
/// [`JobQueue::insert_statement`](crate::JobQueue::insert_statement).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlStatement {
    /// The statement: one text parameter, no result.
    pub sql: &'static str,
    /// The value of the parameter.
    pub json: String,
}

/// How long a worker may be silent before those who watch it take it for dead. See `lease.rs`.
pub const LEASE: Duration = Duration::from_secs(30);
