//! The tasks: one for each way in which a job can end, and what they share.
//!
//! Every task records its start and its end in the history of its process. Depends on the public interface of
//! `qdjobs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{ErrorKind, JobContext, Status, TaskError, task};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::history::{Fact, History, TaskEnd};

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Fallible<T = ()> = Result<T, AnyError>;

/// The parameter of every task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Given once: identifies a job before it has an id.
    pub(crate) mark: u64,
    /// How long to work.
    pub(crate) millis: u64,
    /// How often to fail first.
    pub(crate) times: u32,
    /// Stored and given back unchanged.
    pub(crate) filler: String,
}

impl Work {
    /// FNV-1a over the task's name and all fields.
    pub(crate) fn hash(&self, task: &str) -> u64 {
        let text = format!("{task}/{}/{}/{}/{}", self.mark, self.millis, self.times, self.filler);
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The work of the job that follows from this one.
    pub(crate) fn follow_up(&self) -> Work {
        Work { mark: self.mark | FOLLOWS, ..self.clone() }
    }
}

/// The bit in the mark of a job that follows from another.
pub(crate) const FOLLOWS: u64 = 1 << 61;

/// The bit in the mark of a job with an idempotency key, which several processes enqueue at about the same
/// time.
pub(crate) const KEYED: u64 = 1 << 60;

/// How often a worker may die with a job before the job has failed. Higher than the default, since here most
/// workers die by a kill and not by their jobs.
pub(crate) const CRASHES_MAX: u32 = 5;

/// How a job of a task ends, unless a command or too many dead workers end it.
pub(crate) fn expected_end(task: &str) -> &'static [Status] {
    match task {
        "hopeless" | "permanent" => &[Status::Failed],
        "withdrawn" => &[Status::Cancelled],
        // How often they time out depends on the machine.
        "overdue" | "overdue_async" | "overdue_effect" => &[Status::Completed, Status::Failed],
        _ => &[Status::Completed],
    }
}

/// Whether its attempts may end before their first record, or continue after their end.
pub(crate) fn has_timeout(task: &str) -> bool {
    task.starts_with("overdue")
}

/// Whether it completes in its own transaction.
pub(crate) fn completes_itself(task: &str) -> bool {
    matches!(task, "effect" | "follow" | "overdue_effect")
}

/// What the tasks share.
#[derive(Clone, Debug)]
pub(crate) struct TaskState {
    pub(crate) db: PathBuf,
    pub(crate) history: Arc<History>,
}

impl TaskState {
    fn begun(&self, ctx: &JobContext, work: &Work) {
        self.history.append(Fact::TaskStarted {
            job: ctx.job_id().0,
            attempt: ctx.attempt(),
            task: ctx.task_name().to_owned(),
            mark: work.mark,
            hash: work.hash(ctx.task_name()),
            wall: clock::wall_micros(),
            scheduled_at: ctx.scheduled_at().as_microsecond(),
        });
    }

    fn ended(&self, ctx: &JobContext, end: TaskEnd) {
        self.history.append(Fact::TaskEnded { job: ctx.job_id().0, attempt: ctx.attempt(), end });
    }

    /// A connection as any program may have it.
    pub(crate) fn connect(&self) -> Fallible<Connection> {
        let conn = Connection::open(&self.db)?;
        conn.busy_timeout(Duration::from_secs(30))?;
        Ok(conn)
    }
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Returns a number like `1.5`, so that results are more than `null`.
#[task("noop")]
pub(crate) fn noop(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> u64 {
    state.begun(ctx, &work);
    state.ended(ctx, TaskEnd::Good);
    work.mark
}

/// Works, and ignores a stop. It has no retry: whatever counts as a failure is visible.
#[task("slow", retries = 0)]
fn slow(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    pause(work.millis);
    state.ended(ctx, TaskEnd::Good);
}

/// Works, and ends early when `should_stop` is true.
#[task("patient", retries = 0)]
fn patient(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), AnyError> {
    state.begun(ctx, &work);
    for _ in 0..work.millis / 5 {
        pause(5);
        if let Some(reason) = ctx.stop_reason() {
            state.ended(ctx, TaskEnd::Early);
            return Err(format!("asked to stop: {reason:?}").into());
        }
    }
    state.ended(ctx, TaskEnd::Good);
    Ok(())
}

/// Reports its progress, faster than it can be written.
#[task("reporting", retries = 0)]
fn reporting(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    for step in 0..50 {
        ctx.progress_with(f64::from(step) / 50.0, format!("step {step}"));
        if step % 10 == 0 {
            pause(work.millis / 5);
        }
    }
    state.ended(ctx, TaskEnd::Good);
}

#[task("sleep", retries = 0)]
async fn sleep(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    tokio::time::sleep(Duration::from_millis(work.millis)).await;
    state.ended(ctx, TaskEnd::Good);
}

/// As `sleep`, with a future that cannot leave its thread.
#[task("nap_local", retries = 0)]
async fn nap_local(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    let here = std::rc::Rc::new(());
    state.begun(ctx, &work);
    tokio::time::sleep(Duration::from_millis(work.millis)).await;
    state.ended(ctx, TaskEnd::Good);
    drop(here);
}

/// Fails a few times, then succeeds.
#[task("flaky", retries = 4, backoff = fixed("150ms"))]
fn flaky(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), AnyError> {
    state.begun(ctx, &work);
    if ctx.retry_count() < work.times {
        state.ended(ctx, TaskEnd::Error);
        return Err("not yet".into());
    }
    state.ended(ctx, TaskEnd::Good);
    Ok(())
}

/// As `flaky`, by panics.
#[task("boom", retries = 4, backoff = exponential("600ms", factor = 2))]
fn boom(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    if ctx.retry_count() < work.times {
        state.ended(ctx, TaskEnd::Panic);
        panic!("boom");
    }
    state.ended(ctx, TaskEnd::Good);
}

#[task("hopeless", retries = 2, backoff = fixed("100ms"))]
fn hopeless(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), TaskError> {
    state.begun(ctx, &work);
    state.ended(ctx, TaskEnd::Error);
    Err(TaskError::retry_in(Duration::from_millis(work.millis), "never"))
}

#[task("permanent")]
fn permanent(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), TaskError> {
    state.begun(ctx, &work);
    state.ended(ctx, TaskEnd::Error);
    Err(TaskError::permanent("refused"))
}

#[task("withdrawn")]
fn withdrawn(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), TaskError> {
    state.begun(ctx, &work);
    state.ended(ctx, TaskEnd::Error);
    Err(TaskError::cancel("not wanted any more"))
}

/// Aborts the whole process, the first time.
#[task("abort")]
fn abort(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    if ctx.attempt() == 1 {
        state.history.append(Fact::Abort { job: ctx.job_id().0, attempt: 1 });
        std::process::abort();
    }
    state.ended(ctx, TaskEnd::Good);
}

/// Outlives its timeout the first time; its thread continues after it.
#[task("overdue", retries = 3, timeout = "300ms", backoff = fixed("100ms"))]
fn overdue(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    pause(if ctx.retry_count() == 0 { 600 } else { work.millis.min(20) });
    state.ended(ctx, TaskEnd::Good);
}

#[task("overdue_async", retries = 3, timeout = "300ms", backoff = fixed("100ms"))]
async fn overdue_async(work: Work, ctx: &JobContext, #[state] state: &TaskState) {
    state.begun(ctx, &work);
    let long = if ctx.retry_count() == 0 { 5_000 } else { work.millis.min(20) };
    tokio::time::sleep(Duration::from_millis(long)).await;
    state.ended(ctx, TaskEnd::Good);
}

/// Its row, a follow-up job and its completion in one transaction, slow enough to be hit at any point.
/// Sometimes it fails afterwards: what was committed stays, what was not is done again.
#[task("effect", retries = 50, backoff = fixed("200ms"))]
fn effect(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), AnyError> {
    state.begun(ctx, &work);
    // Some for longer than a lease: the process may have been stopped meanwhile, and have lost the job.
    pause(work.millis);
    let committed = in_one_transaction(&work, ctx, state);
    state.ended(ctx, if committed.is_ok() { TaskEnd::Committed } else { TaskEnd::NotCommitted });
    pause(work.millis.min(40) / 4);
    if work.times % 4 == 1 {
        return Err("an error after the commit".into());
    }
    assert!(work.times % 4 != 2, "a panic after the commit");
    committed
}

fn in_one_transaction(work: &Work, ctx: &JobContext, state: &TaskState) -> Fallible {
    let mut conn = state.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let step = || std::thread::sleep(Duration::from_micros(work.millis.min(40) * 50));
    leave_effect(&tx, work, ctx)?;
    step();
    let follow = work.follow_up();
    let (mark, hash) = (follow.mark, follow.hash("follow"));
    state.history.append(Fact::EnqueueCalled { mark, task: "follow".into(), hash, delay_ms: 0 });
    use qdjobs::Task as _;
    Follow::new(follow).display_name(mark.to_string()).enqueue(&tx)?;
    step();
    ctx.complete_in(&tx, &work.mark)?;
    step();
    if work.times % 4 == 3 && ctx.retry_count() == 0 {
        return Err("an error before the commit".into());
    }
    tx.commit()?;
    step();
    Ok(())
}

#[task("follow", retries = 50, backoff = fixed("200ms"))]
fn follow(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), AnyError> {
    state.begun(ctx, &work);
    let committed = effect_alone(&work, ctx, state);
    state.ended(ctx, if committed.is_ok() { TaskEnd::Committed } else { TaskEnd::NotCommitted });
    committed
}

/// Begins its transaction when its timeout has passed and the job is no longer its own: the first time,
/// nothing of it may stay.
#[task("overdue_effect", retries = 3, timeout = "300ms", backoff = fixed("100ms"))]
fn overdue_effect(work: Work, ctx: &JobContext, #[state] state: &TaskState) -> Result<(), AnyError> {
    state.begun(ctx, &work);
    pause(if ctx.retry_count() == 0 { 600 } else { 0 });
    let committed = effect_alone(&work, ctx, state);
    state.ended(ctx, if committed.is_ok() { TaskEnd::Committed } else { TaskEnd::NotCommitted });
    committed
}

fn effect_alone(work: &Work, ctx: &JobContext, state: &TaskState) -> Fallible {
    let mut conn = state.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    leave_effect(&tx, work, ctx)?;
    ctx.complete_in(&tx, &())?;
    Ok(tx.commit()?)
}

fn leave_effect(conn: &Connection, work: &Work, ctx: &JobContext) -> Fallible {
    conn.execute(
        "INSERT INTO chaos_effects (job, attempt, mark) VALUES (?1, ?2, ?3)",
        (ctx.job_id().0, ctx.attempt(), work.mark as i64),
    )?;
    Ok(())
}

/// The name of an error's kind, for the history.
pub(crate) fn kind_word(kind: ErrorKind) -> String {
    format!("{kind:?}")
}
