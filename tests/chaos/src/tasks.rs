//! The tasks: each kind of end that a job can have, and what they share.
//!
//! Every task says its first and its last line in the history of its process. Leans on the public door of `qdjobs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{ErrorKind, JobContext, Status, TaskError, task};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::history::{Fact, History, How};

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The parameter of every task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Given once: by it a job is known before it has a number.
    pub(crate) mark: u64,
    /// How long to work.
    pub(crate) millis: u64,
    /// How often to fail first.
    pub(crate) times: u32,
    /// To be stored and given back as it is.
    pub(crate) filler: String,
}

impl Order {
    /// FNV-1a over the task's name and everything that is ordered.
    pub(crate) fn hash(&self, task: &str) -> u64 {
        let text = format!("{task}/{}/{}/{}/{}", self.mark, self.millis, self.times, self.filler);
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The order of the job that follows from this one.
    pub(crate) fn follow_up(&self) -> Order {
        Order { mark: self.mark | FOLLOWS, ..self.clone() }
    }
}

/// The bit in the mark of a job that follows from another.
pub(crate) const FOLLOWS: u64 = 1 << 61;

/// The bit in the mark of a job with an idempotency key, which several processes enqueue at about the same time.
pub(crate) const UNIQUE: u64 = 1 << 60;

/// How often a worker may die with a job before the job has failed: more than unless one chooses, since here most die of a kill
/// and not of their jobs.
pub(crate) const CRASHES_MAX: u32 = 5;

/// How a job of a task ends if nobody interferes: by a person's hand, or by too many deaths of its workers.
pub(crate) fn expected_end(task: &str) -> &'static [Status] {
    match task {
        "hopeless" | "permanent" => &[Status::Failed],
        "withdrawn" => &[Status::Cancelled],
        // How often they run out of time is up to the machine.
        "overdue" | "overdue_async" | "overdue_effect" => &[Status::Completed, Status::Failed],
        _ => &[Status::Completed],
    }
}

/// Whether attempts of it may be over before their first line, or go on after their end.
pub(crate) fn has_timeout(task: &str) -> bool {
    task.starts_with("overdue")
}

/// Whether it completes in a transaction of its own.
pub(crate) fn completes_itself(task: &str) -> bool {
    matches!(task, "effect" | "follow" | "overdue_effect")
}

/// What the tasks share.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) db: PathBuf,
    pub(crate) history: Arc<History>,
}

impl Scene {
    fn begun(&self, ctx: &JobContext, order: &Order) {
        self.history.say(Fact::Start {
            job: ctx.job_id().0,
            attempt: ctx.attempt(),
            task: ctx.task_name().to_owned(),
            mark: order.mark,
            hash: order.hash(ctx.task_name()),
            wall: clock::wall_micros(),
            scheduled_at: ctx.scheduled_at().as_microsecond(),
        });
    }

    fn ended(&self, ctx: &JobContext, how: How) {
        self.history.say(Fact::End { job: ctx.job_id().0, attempt: ctx.attempt(), how });
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

/// A number like `1.5`, so that results are more than `null`.
#[task("noop")]
pub(crate) fn noop(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> u64 {
    scene.begun(ctx, &order);
    scene.ended(ctx, How::Good);
    order.mark
}

/// Works, and takes no notice of a stop. No retry: whatever counts as a failure is seen.
#[task("slow", retries = 0)]
fn slow(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    pause(order.millis);
    scene.ended(ctx, How::Good);
}

/// Works, and ends early when it is told to.
#[task("patient", retries = 0)]
fn patient(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx, &order);
    for _ in 0..order.millis / 5 {
        pause(5);
        if let Some(reason) = ctx.stop_reason() {
            scene.ended(ctx, How::Early);
            return Err(format!("told to stop: {reason:?}").into());
        }
    }
    scene.ended(ctx, How::Good);
    Ok(())
}

/// Says how far it is, faster than it can be written.
#[task("reporting", retries = 0)]
fn reporting(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    for step in 0..50 {
        ctx.progress_with(f64::from(step) / 50.0, format!("step {step}"));
        if step % 10 == 0 {
            pause(order.millis / 5);
        }
    }
    scene.ended(ctx, How::Good);
}

#[task("sleep", retries = 0)]
async fn sleep(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    tokio::time::sleep(Duration::from_millis(order.millis)).await;
    scene.ended(ctx, How::Good);
}

/// As `sleep`, with a future that cannot leave its thread.
#[task("nap_local", retries = 0)]
async fn nap_local(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    let here = std::rc::Rc::new(());
    scene.begun(ctx, &order);
    tokio::time::sleep(Duration::from_millis(order.millis)).await;
    scene.ended(ctx, How::Good);
    drop(here);
}

/// Fails a few times, then succeeds.
#[task("flaky", retries = 4, backoff = fixed("150ms"))]
fn flaky(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx, &order);
    if ctx.retry_count() < order.times {
        scene.ended(ctx, How::Error);
        return Err("not yet".into());
    }
    scene.ended(ctx, How::Good);
    Ok(())
}

/// As `flaky`, by panics.
#[task("boom", retries = 4, backoff = exponential("600ms", factor = 2))]
fn boom(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    if ctx.retry_count() < order.times {
        scene.ended(ctx, How::Panic);
        panic!("boom");
    }
    scene.ended(ctx, How::Good);
}

#[task("hopeless", retries = 2, backoff = fixed("100ms"))]
fn hopeless(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Result<(), TaskError> {
    scene.begun(ctx, &order);
    scene.ended(ctx, How::Error);
    Err(TaskError::retry_in(Duration::from_millis(order.millis), "never"))
}

#[task("permanent")]
fn permanent(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Result<(), TaskError> {
    scene.begun(ctx, &order);
    scene.ended(ctx, How::Error);
    Err(TaskError::permanent("refused"))
}

#[task("withdrawn")]
fn withdrawn(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Result<(), TaskError> {
    scene.begun(ctx, &order);
    scene.ended(ctx, How::Error);
    Err(TaskError::cancel("not wanted any more"))
}

/// Takes the whole process with it, the first time.
#[task("abort")]
fn abort(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    if ctx.attempt() == 1 {
        scene.history.say(Fact::Abort { job: ctx.job_id().0, attempt: 1 });
        std::process::abort();
    }
    scene.ended(ctx, How::Good);
}

/// Outlives its timeout the first time; its thread goes on beyond it.
#[task("overdue", retries = 3, timeout = "300ms", backoff = fixed("100ms"))]
fn overdue(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    pause(if ctx.retry_count() == 0 { 600 } else { order.millis.min(20) });
    scene.ended(ctx, How::Good);
}

#[task("overdue_async", retries = 3, timeout = "300ms", backoff = fixed("100ms"))]
async fn overdue_async(order: Order, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx, &order);
    let long = if ctx.retry_count() == 0 { 5_000 } else { order.millis.min(20) };
    tokio::time::sleep(Duration::from_millis(long)).await;
    scene.ended(ctx, How::Good);
}

/// Its row, a follow-up and its completion in one transaction, slowly enough to be hit anywhere in it. Now and then it fails after
/// all: what was committed stands, what was not is done anew.
#[task("effect", retries = 50, backoff = fixed("200ms"))]
fn effect(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx, &order);
    // Some for longer than a lease: the process may have stood still meanwhile, and lost the job.
    pause(order.millis);
    let committed = in_one_transaction(&order, ctx, scene);
    scene.ended(ctx, if committed.is_ok() { How::Committed } else { How::NotCommitted });
    pause(order.millis.min(40) / 4);
    if order.times % 4 == 1 {
        return Err("an error after the commit".into());
    }
    assert!(order.times % 4 != 2, "a panic after the commit");
    committed
}

fn in_one_transaction(order: &Order, ctx: &JobContext, scene: &Scene) -> Fallible {
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let step = || std::thread::sleep(Duration::from_micros(order.millis.min(40) * 50));
    leave_effect(&tx, order, ctx)?;
    step();
    let follow = order.follow_up();
    let (mark, hash) = (follow.mark, follow.hash("follow"));
    scene.history.say(Fact::Called { mark, task: "follow".into(), hash, delay_ms: 0 });
    use qdjobs::Task as _;
    Follow::new(follow).display_name(mark.to_string()).enqueue(&tx)?;
    step();
    ctx.complete_in(&tx, &order.mark)?;
    step();
    if order.times % 4 == 3 && ctx.retry_count() == 0 {
        return Err("thinks better of it before the commit".into());
    }
    tx.commit()?;
    step();
    Ok(())
}

#[task("follow", retries = 50, backoff = fixed("200ms"))]
fn follow(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx, &order);
    let committed = effect_alone(&order, ctx, scene);
    scene.ended(ctx, if committed.is_ok() { How::Committed } else { How::NotCommitted });
    committed
}

/// Comes to its transaction when its time is over and the job is no longer its own: the first time, nothing of it may stand.
#[task("overdue_effect", retries = 3, timeout = "300ms", backoff = fixed("100ms"))]
fn overdue_effect(order: Order, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx, &order);
    pause(if ctx.retry_count() == 0 { 600 } else { 0 });
    let committed = effect_alone(&order, ctx, scene);
    scene.ended(ctx, if committed.is_ok() { How::Committed } else { How::NotCommitted });
    committed
}

fn effect_alone(order: &Order, ctx: &JobContext, scene: &Scene) -> Fallible {
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    leave_effect(&tx, order, ctx)?;
    ctx.complete_in(&tx, &())?;
    Ok(tx.commit()?)
}

fn leave_effect(conn: &Connection, order: &Order, ctx: &JobContext) -> Fallible {
    conn.execute(
        "INSERT INTO chaos_effects (job, attempt, mark) VALUES (?1, ?2, ?3)",
        (ctx.job_id().0, ctx.attempt(), order.mark as i64),
    )?;
    Ok(())
}

/// The name of an error's kind, for the history.
pub(crate) fn kind_word(kind: ErrorKind) -> String {
    format!("{kind:?}")
}
