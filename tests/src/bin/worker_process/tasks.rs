//! Tasks that behave: they work for a while, wait for the test, write rows of their own.
//!
//! Leans on `scene` to say what they do. Tasks that do what no task should stand in `harm`.

use std::time::Duration;

use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{JobContext, task};

use crate::Fallible;
use crate::scene::{Scene, file_is_there, pause, wait_for_file};

#[task("noop")]
pub(crate) fn noop(n: u64, ctx: &JobContext, #[state] scene: &Scene) {
    let _ = n;
    scene.begun(ctx);
}

/// Works for a while, and says how far it is. Takes no notice of a stop.
#[task("slow", retries = 0)]
pub(crate) fn slow(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    for step in 0..10 {
        pause(Duration::from_micros(ms * 100));
        ctx.progress_with(f64::from(step) / 10.0, "working");
    }
    scene.ended(ctx);
}

/// Looks between its steps whether it should stop, and then says that it has not finished.
#[task("patient", retries = 0)]
fn patient(ms: u64, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx);
    for _ in 0..ms / 5 {
        pause(Duration::from_millis(5));
        if let Some(reason) = ctx.stop_reason() {
            scene.say(format_args!("stopping {} {reason:?}", ctx.job_id()));
            return Err(format!("stopped early: {reason:?}").into());
        }
    }
    scene.ended(ctx);
    Ok(())
}

#[task("sleepy", retries = 0)]
async fn sleepy(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    scene.ended(ctx);
}

/// As `sleepy`, with a future that cannot leave its thread.
#[task("sleepy_local", retries = 0)]
async fn sleepy_local(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    let here = std::rc::Rc::new(());
    scene.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    scene.ended(ctx);
    drop(here);
}

/// Its row, a follow-up and its completion in one transaction, slowly enough to be killed anywhere in it.
#[task("effect", retries = 0)]
pub(crate) fn effect(micros: u64, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx);
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let step = || pause(Duration::from_micros(micros));
    leave_effect(&tx, ctx)?;
    step();
    Follow::new(ctx.job_id().0).enqueue(&tx)?;
    step();
    ctx.complete_in(&tx, &())?;
    step();
    tx.commit()?;
    step();
    scene.ended(ctx);
    Ok(())
}

#[task("follow", retries = 0)]
fn follow(of: i64, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    let _ = of;
    scene.begun(ctx);
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    leave_effect(&tx, ctx)?;
    ctx.complete_in(&tx, &())?;
    tx.commit()?;
    Ok(())
}

fn leave_effect(conn: &Connection, ctx: &JobContext) -> Fallible {
    conn.execute(
        "INSERT INTO effects (job, attempt, pid) VALUES (?1, ?2, ?3)",
        (ctx.job_id().0, ctx.attempt(), std::process::id()),
    )?;
    Ok(())
}

/// Waits at its gate, then tells which attempt it was.
#[task("gated", retries = 0)]
fn gated(ctx: &JobContext, #[state] scene: &Scene) -> u32 {
    scene.begun(ctx);
    wait_for_file(&scene.gate(ctx));
    scene.ended(ctx);
    ctx.attempt()
}

/// As `gated`, on the executor.
#[task("gated_async", retries = 0)]
async fn gated_async(ctx: &JobContext, #[state] scene: &Scene) -> u32 {
    scene.begun(ctx);
    file_is_there(&scene.gate(ctx)).await;
    scene.ended(ctx);
    ctx.attempt()
}

/// Carries much and does nothing.
#[task("bulky", retries = 0)]
fn bulky(text: &str, ctx: &JobContext, #[state] scene: &Scene) {
    let _ = text;
    scene.begun(ctx);
}

/// May take two seconds, and takes no notice of a stop.
#[task("timed", retries = 0, timeout = "2s")]
fn timed(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    pause(Duration::from_millis(ms));
    scene.ended(ctx);
}

/// As `gated`, for half a minute at most.
#[task("gated_timed", retries = 0, timeout = "30s")]
fn gated_timed(ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    wait_for_file(&scene.gate(ctx));
    scene.ended(ctx);
}

/// Waits at its gate, then commits its row and its completion.
#[task("gated_effect", retries = 0)]
fn gated_effect(ctx: &JobContext, #[state] scene: &Scene) -> Fallible<u32> {
    scene.begun(ctx);
    wait_for_file(&scene.gate(ctx));
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    leave_effect(&tx, ctx)?;
    if let Err(error) = ctx.complete_in(&tx, &ctx.attempt()) {
        scene.say(format_args!("no-commit {} {} {:?}", ctx.job_id(), ctx.attempt(), error.kind()));
        return Err(error.into());
    }
    tx.commit()?;
    scene.ended(ctx);
    Ok(ctx.attempt())
}
