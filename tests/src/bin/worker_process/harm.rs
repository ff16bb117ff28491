//! Tasks that do what no task should: they panic, block what they must not, never end, and take the process with them.
//!
//! Leans on `scene` to say what they are about to do. Each kind of harm is named by a word, so that a test can go through
//! all of them.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use qdjobs::{JobContext, task};

use crate::scene::{Scene, file_is_there, pause, wait_for_file};

// -- panics

/// Panics at its first attempts.
#[task("boom", retries = 3, backoff = fixed("500ms"))]
fn boom(times: u32, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    assert!(ctx.attempt() > times, "boom");
}

/// Waits at its gate, then panics.
#[task("gated_boom", retries = 0)]
fn gated_boom(ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    wait_for_file(&scene.gate(ctx));
    panic!("boom");
}

/// As `gated_boom`, on the executor.
#[task("gated_boom_async", retries = 0)]
async fn gated_boom_async(ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    file_is_there(&scene.gate(ctx)).await;
    panic!("boom");
}

/// As `gated_boom`, with a future that cannot leave its thread.
#[task("gated_boom_local", retries = 0)]
async fn gated_boom_local(ctx: &JobContext, #[state] scene: &Scene) {
    let here = std::rc::Rc::new(());
    scene.begun(ctx);
    file_is_there(&scene.gate(ctx)).await;
    drop(here);
    panic!("boom");
}

// -- blocking

/// Keeps a core busy, and takes no notice of a stop.
#[task("spin", retries = 0)]
fn spin(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    keep_busy(ms);
    scene.ended(ctx);
}

/// As `spin`, inside a poll.
#[task("spin_async", retries = 0)]
async fn spin_async(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    keep_busy(ms);
    scene.ended(ctx);
}

/// Keeps the threads of the runtime itself busy, so that no timer fires meanwhile.
#[task("choke", retries = 0)]
async fn choke(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    let runtime = tokio::runtime::Handle::current();
    let blocked = (0..runtime.metrics().num_workers()).map(|_| runtime.spawn(async move { keep_busy(ms) }));
    for blocked in blocked.collect::<Vec<_>>() {
        // It does not panic.
        let _ = blocked.await;
    }
    scene.ended(ctx);
}

fn keep_busy(ms: u64) {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

// -- no end

#[task("hang", retries = 0)]
fn hang(how: &str, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    never_return(how)
}

/// As `hang`, on the executor; `pending` is the one way that keeps no thread.
#[task("hang_async", retries = 0)]
async fn hang_async(how: &str, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    match how {
        "pending" => std::future::pending().await,
        _ => never_return(how),
    }
}

/// As `hang_async`, with a future that cannot leave its thread.
#[task("hang_local", retries = 0)]
async fn hang_local(how: &str, ctx: &JobContext, #[state] scene: &Scene) {
    let here = std::rc::Rc::new(());
    scene.begun(ctx);
    match how {
        "pending" => std::future::pending().await,
        _ => never_return(how),
    }
    drop(here);
}

fn never_return(how: &str) {
    match how {
        "park" => loop {
            std::thread::park();
        },
        "sleep" => loop {
            pause(Duration::from_secs(3_600));
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        "lock" => wait_for_lock(),
        _ => panic!("what is {how:?}?"),
    }
}

/// Waits for a lock that another thread never lets go of.
fn wait_for_lock() {
    static LOCK: Mutex<()> = Mutex::new(());
    let (taken, is_taken) = mpsc::channel();
    std::thread::spawn(move || {
        let _held = LOCK.lock();
        // The other side waits for this word alone.
        let _ = taken.send(());
        loop {
            std::thread::park();
        }
    });
    // Held by the thread of an earlier call: as good.
    let _ = is_taken.recv_timeout(Duration::from_millis(100));
    drop(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
}

// -- the end of the process, at the first attempts

#[task("abort")]
fn abort(times: u32, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    if ctx.attempt() <= times {
        std::process::abort();
    }
}

#[task("overflow")]
fn overflow(times: u32, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    if ctx.attempt() <= times {
        black_box(deeper(0));
    }
}

#[expect(unconditional_recursion, reason = "the stack is to end")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    deeper(depth + 1) + frame[31]
}

/// Asks for memory until there is none: the process has to run under a limit of its address space.
#[task("hog")]
fn hog(times: u32, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    if ctx.attempt() > times {
        return;
    }
    // Asked for and never touched: it is the limit that is to be met, not the machine's memory.
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() < 1_000 {
        held.push(black_box(Vec::with_capacity(64 << 20)));
    }
    panic!("there is no limit on this process's memory");
}
