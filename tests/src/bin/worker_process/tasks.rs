//! Tasks that behave well: they work for a while, wait for the test, write rows of their own.
//!
//! Depends on `shared` to report what they do. Tasks that misbehave are in `faulty_tasks`.

use std::time::Duration;

use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{JobContext, task};

use crate::shared::{Shared, file_is_there, pause, wait_for_file};
use crate::{AnyError, Fallible};

#[task("noop")]
pub(crate) fn noop(n: u64, ctx: &JobContext, #[state] shared: &Shared) {
    let _ = n;
    shared.begun(ctx);
}

/// Works for a while, and reports its progress. Ignores a stop.
#[task("slow", retries = 0)]
pub(crate) fn slow(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    for step in 0..10 {
        pause(Duration::from_micros(ms * 100));
        ctx.progress_with(f64::from(step) / 10.0, "working");
    }
    shared.ended(ctx);
}

/// Checks between its steps whether it should stop, and then reports that it has not finished.
#[task("patient", retries = 0)]
fn patient(ms: u64, ctx: &JobContext, #[state] shared: &Shared) -> Result<(), AnyError> {
    shared.begun(ctx);
    for _ in 0..ms / 5 {
        pause(Duration::from_millis(5));
        if let Some(reason) = ctx.stop_reason() {
            shared.report(format_args!("stopping {} {reason:?}", ctx.job_id()));
            return Err(format!("stopped early: {reason:?}").into());
        }
    }
    shared.ended(ctx);
    Ok(())
}

#[task("sleepy", retries = 0)]
async fn sleepy(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    shared.ended(ctx);
}

/// As `sleepy`, with a future that is not `Send`.
#[task("sleepy_local", retries = 0)]
async fn sleepy_local(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    let here = std::rc::Rc::new(());
    shared.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    shared.ended(ctx);
    drop(here);
}

/// Its row, a follow-up job and its completion in one transaction, slow enough to be killed at any point.
#[task("effect", retries = 0)]
pub(crate) fn effect(micros: u64, ctx: &JobContext, #[state] shared: &Shared) -> Result<(), AnyError> {
    shared.begun(ctx);
    let mut conn = shared.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let step = || pause(Duration::from_micros(micros));
    insert_effect(&tx, ctx)?;
    step();
    Follow::new(ctx.job_id().0).enqueue(&tx)?;
    step();
    ctx.complete_in(&tx, &())?;
    step();
    tx.commit()?;
    step();
    shared.ended(ctx);
    Ok(())
}

#[task("follow", retries = 0)]
fn follow(of: i64, ctx: &JobContext, #[state] shared: &Shared) -> Result<(), AnyError> {
    let _ = of;
    shared.begun(ctx);
    let mut conn = shared.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    insert_effect(&tx, ctx)?;
    ctx.complete_in(&tx, &())?;
    tx.commit()?;
    Ok(())
}

fn insert_effect(conn: &Connection, ctx: &JobContext) -> Fallible {
    conn.execute(
        "INSERT INTO effects (job, attempt, pid) VALUES (?1, ?2, ?3)",
        (ctx.job_id().0, ctx.attempt(), std::process::id()),
    )?;
    Ok(())
}

/// Waits for its gate, then returns the number of its attempt.
#[task("gated", retries = 0)]
fn gated(ctx: &JobContext, #[state] shared: &Shared) -> u32 {
    shared.begun(ctx);
    wait_for_file(&shared.gate(ctx));
    shared.ended(ctx);
    ctx.attempt()
}

/// As `gated`, on the async executor.
#[task("gated_async", retries = 0)]
async fn gated_async(ctx: &JobContext, #[state] shared: &Shared) -> u32 {
    shared.begun(ctx);
    file_is_there(&shared.gate(ctx)).await;
    shared.ended(ctx);
    ctx.attempt()
}

/// Has large params and does nothing.
#[task("bulky", retries = 0)]
fn bulky(text: &str, ctx: &JobContext, #[state] shared: &Shared) {
    let _ = text;
    shared.begun(ctx);
}

/// May take two seconds, and ignores a stop.
#[task("timed", retries = 0, timeout = "2s")]
fn timed(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    pause(Duration::from_millis(ms));
    shared.ended(ctx);
}

/// As `gated`, for half a minute at most.
#[task("gated_timed", retries = 0, timeout = "30s")]
fn gated_timed(ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    wait_for_file(&shared.gate(ctx));
    shared.ended(ctx);
}

/// Waits for its gate, then commits its row and its completion.
#[task("gated_effect", retries = 0)]
fn gated_effect(ctx: &JobContext, #[state] shared: &Shared) -> Result<u32, AnyError> {
    shared.begun(ctx);
    wait_for_file(&shared.gate(ctx));
    let mut conn = shared.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    insert_effect(&tx, ctx)?;
    if let Err(error) = ctx.complete_in(&tx, &ctx.attempt()) {
        shared.report(format_args!("no-commit {} {} {:?}", ctx.job_id(), ctx.attempt(), error.kind()));
        return Err(error.into());
    }
    tx.commit()?;
    shared.ended(ctx);
    Ok(ctx.attempt())
}
