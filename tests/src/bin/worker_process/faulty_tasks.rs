//! Tasks that misbehave: they panic, block threads they must not block, never return, or end the process.
//!
//! Depends on `shared` to report what they are about to do. Each kind of fault has a name, so that a test can
//! go through all of them.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use qdjobs::{JobContext, task};

use crate::shared::{Shared, file_is_there, pause, wait_for_file};

// -- panics

/// Panics at its first attempts.
#[task("boom", retries = 3, backoff = fixed("500ms"))]
fn boom(times: u32, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    assert!(ctx.attempt() > times, "boom");
}

/// Waits for its gate, then panics.
#[task("gated_boom", retries = 0)]
fn gated_boom(ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    wait_for_file(&shared.gate(ctx));
    panic!("boom");
}

/// As `gated_boom`, on the async executor.
#[task("gated_boom_async", retries = 0)]
async fn gated_boom_async(ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    file_is_there(&shared.gate(ctx)).await;
    panic!("boom");
}

/// As `gated_boom`, with a future that is not `Send`.
#[task("gated_boom_local", retries = 0)]
async fn gated_boom_local(ctx: &JobContext, #[state] shared: &Shared) {
    let here = std::rc::Rc::new(());
    shared.begun(ctx);
    file_is_there(&shared.gate(ctx)).await;
    drop(here);
    panic!("boom");
}

// -- blocking

/// Keeps a core busy, and ignores a stop.
#[task("spin", retries = 0)]
fn spin(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    keep_busy(ms);
    shared.ended(ctx);
}

/// As `spin`, inside a poll.
#[task("spin_async", retries = 0)]
async fn spin_async(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    keep_busy(ms);
    shared.ended(ctx);
}

/// Keeps the threads of the runtime itself busy, so that no timer fires meanwhile.
#[task("block_runtime", retries = 0)]
async fn block_runtime(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    let runtime = tokio::runtime::Handle::current();
    let blocked = (0..runtime.metrics().num_workers()).map(|_| runtime.spawn(async move { keep_busy(ms) }));
    for blocked in blocked.collect::<Vec<_>>() {
        // The blocking function does not panic.
        let _ = blocked.await;
    }
    shared.ended(ctx);
}

fn keep_busy(ms: u64) {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

// -- never returning

#[task("hang", retries = 0)]
fn hang(how: &str, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    never_return(how)
}

/// As `hang`, on the async executor; `pending` is the one way that blocks no thread.
#[task("hang_async", retries = 0)]
async fn hang_async(how: &str, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    match how {
        "pending" => std::future::pending().await,
        _ => never_return(how),
    }
}

/// As `hang_async`, with a future that is not `Send`.
#[task("hang_local", retries = 0)]
async fn hang_local(how: &str, ctx: &JobContext, #[state] shared: &Shared) {
    let here = std::rc::Rc::new(());
    shared.begun(ctx);
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
        _ => panic!("unknown way to hang: {how:?}"),
    }
}

/// Waits for a lock that another thread never releases.
fn wait_for_lock() {
    static LOCK: Mutex<()> = Mutex::new(());
    let (taken, is_taken) = mpsc::channel();
    std::thread::spawn(move || {
        let _held = LOCK.lock();
        // The receiver may have given up after its timeout.
        let _ = taken.send(());
        loop {
            std::thread::park();
        }
    });
    // After a timeout the thread of an earlier call holds the lock: that is as good.
    let _ = is_taken.recv_timeout(Duration::from_millis(100));
    drop(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
}

// -- ending the process, at the first attempts

#[task("abort")]
fn abort(times: u32, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    if ctx.attempt() <= times {
        std::process::abort();
    }
}

#[task("abort_async", retries = 0)]
async fn abort_async(ms: u64, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    std::process::abort();
}

#[task("overflow")]
fn overflow(times: u32, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    if ctx.attempt() <= times {
        black_box(recurse(0));
    }
}

#[expect(unconditional_recursion, reason = "it has to overflow the stack")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    recurse(depth + 1) + frame[31]
}

/// Allocates memory until there is none: the process needs a limit of its address space.
#[task("exhaust_memory")]
fn exhaust_memory(times: u32, ctx: &JobContext, #[state] shared: &Shared) {
    shared.begun(ctx);
    if ctx.attempt() > times {
        return;
    }
    // Allocated but never touched: the limit has to be reached, not the machine's memory.
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() < 1_000 {
        held.push(black_box(Vec::with_capacity(64 << 20)));
    }
    panic!("this process has no memory limit");
}
