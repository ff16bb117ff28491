//! What a worker promises about `async fn` jobs: thousands on a few threads, none blocked by another, none
//! running after its timeout.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::ThreadId;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::{AttemptOutcome, Status};

use crate::support::{
    DEADLINE, Gate, Log, OwnedEvent, Soon, Workspace, block_on, eventually, seconds, start_with_events,
};

#[task("async.double")]
async fn double(number: u64) -> Result<u64, TaskError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(number * 2)
}

/// The threads that polled.
#[derive(Default, Clone)]
struct Threads(std::sync::Arc<Mutex<HashSet<ThreadId>>>);

#[task("async.wait")]
async fn wait(ctx: &JobContext, #[state] gate: &Gate, #[state] threads: &Threads) {
    gate.pass(ctx).await;
    threads.0.lock().unwrap().insert(std::thread::current().id());
}

#[task("async.block")]
async fn block(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
}

#[task("async.panic", retries = 0)]
async fn panic(after_a_wait: bool) {
    if after_a_wait {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("broken");
}

/// Reports that the future it is part of is dropped.
struct ReportsDrop(Sender<&'static str>);

impl Drop for ReportsDrop {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[task("async.hang", timeout = "5s", retries = 1, backoff = fixed("1h"))]
async fn hang(ctx: &JobContext, #[state] gate: &Gate, #[state] effects: &Mutex<Sender<&'static str>>) {
    let effects = effects.lock().unwrap().clone();
    let _tells = ReportsDrop(effects.clone());
    gate.pass(ctx).await;
    let _ = effects.send("later effect");
}

#[task("async.hang_local", timeout = "5s", retries = 1, backoff = fixed("1h"))]
async fn hang_local(ctx: &JobContext, #[state] gate: &Gate, #[state] effects: &Mutex<Sender<&'static str>>) {
    let effects = effects.lock().unwrap().clone();
    let _tells = Rc::new(ReportsDrop(effects.clone()));
    gate.pass(ctx).await;
    let _ = effects.send("later effect");
}

#[task("async.block_too_long", timeout = "5s", retries = 1, backoff = fixed("1s"))]
async fn block_too_long(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
}

#[task("async.on_one_thread")]
async fn on_one_thread() -> bool {
    let stays = Rc::new(std::thread::current().id());
    tokio::time::sleep(Duration::from_millis(1)).await;
    *stays == std::thread::current().id()
}

#[task("async.listen")]
async fn listen(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) {
    gate.pass(ctx).await;
    let why = ctx.stopped().await;
    log.write(format!("{why:?} {}", ctx.should_stop()));
}

#[task("async.listen_local")]
async fn listen_local(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) {
    let stays = Rc::new(gate);
    stays.pass(ctx).await;
    let why = ctx.stopped().await;
    // The end of its work takes another await.
    tokio::time::sleep(Duration::from_millis(1)).await;
    log.write(format!("{why:?} {}", ctx.should_stop()));
    drop(stays);
}

#[task("async.quick")]
fn quick() {}

#[test]
fn an_async_function_runs_as_a_job_and_can_await_tokio() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Double>().start().unwrap();
    let handle = Double::new(21).enqueue(&queue).unwrap();
    assert_eq!(handle.soon().unwrap(), 42);
    assert_eq!(block_on(handle.into_future()).unwrap(), 42);
}

#[test]
fn tasks_can_use_the_programs_own_runtime() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Double>().runtime(runtime.handle().clone()).start().unwrap();
    runtime.block_on(async {
        assert_eq!(Double::new(4).enqueue(&queue.to_async()).await.unwrap().await.unwrap(), 8);
        // Dropped inside an async context, which a worker allows.
        drop(worker);
    });
}

#[task("async.take_runtime_of_thread", retries = 0)]
fn take_runtime_of_thread() {
    drop(tokio::runtime::Handle::current());
}

#[task("async.take_runtime_of_state")]
fn take_runtime_of_state(#[state] runtime: &tokio::runtime::Handle) -> u32 {
    runtime.block_on(async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        7
    })
}

/// As the page of troubleshooting says.
#[test]
fn a_function_that_wants_the_runtime_of_its_thread_fails_and_gets_one_as_a_state() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<TakeRuntimeOfThread>().task::<TakeRuntimeOfState>();
    let _worker = worker.state(runtime.handle().clone()).runtime(runtime.handle().clone()).start().unwrap();
    let error = TakeRuntimeOfThread.enqueue(&queue).unwrap().soon().unwrap_err().to_string();
    assert!(error.contains("the task panicked: there is no reactor running"), "{error}");
    assert_eq!(TakeRuntimeOfState.enqueue(&queue).unwrap().soon().unwrap(), 7);
}

#[test]
fn three_thousand_async_jobs_are_in_flight_on_a_few_threads() {
    let (_room, queue) = Workspace::with_queue();
    let ((gate, arrivals), threads) = (Gate::new(), Threads::default());
    let worker = Worker::new(&queue).task::<Wait>().async_concurrency(3_000);
    let _worker = worker.state(gate.clone()).state(threads.clone()).start().unwrap();
    let ids = queue.enqueue_all((0..3_001).map(|_| Wait)).unwrap();
    let mut arrived = arrivals.take(3_000);
    assert_eq!(queue.counts().unwrap().of(Status::Running), 3_000);
    gate.open();
    arrived.push(arrivals.next());
    arrived.sort();
    assert_eq!(arrived, ids);
    for id in ids {
        queue.handle::<()>(id).soon().unwrap();
    }
    // Two, and on a busy machine a few that were started since those two made no progress.
    let used = threads.0.lock().unwrap().len();
    assert!(used <= 16, "{used} threads");
}

#[test]
fn handlers_that_block_their_threads_stall_no_others() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let _worker = Worker::new(&queue).task::<Block>().task::<Double>().state(gate.clone()).start().unwrap();
    let blocked = queue.enqueue_all((0..8).map(|_| Block)).unwrap();
    arrivals.take(8);
    let proceed = (0..50).map(|n| Double::new(n).enqueue(&queue).unwrap()).collect::<Vec<_>>();
    for (n, handle) in proceed.into_iter().enumerate() {
        assert_eq!(handle.soon().unwrap(), 2 * n as u64);
    }
    assert_eq!(queue.counts().unwrap().of(Status::Running), 8);
    gate.open();
    for id in blocked {
        queue.handle::<()>(id).soon().unwrap();
    }
}

#[test]
fn async_jobs_do_not_take_the_slots_of_functions() {
    let (_room, queue) = Workspace::with_queue();
    let ((gate, arrivals), threads) = (Gate::new(), Threads::default());
    let worker = Worker::new(&queue).task::<Wait>().task::<Quick>().concurrency(1).async_concurrency(2);
    let _worker = worker.state(gate.clone()).state(threads).start().unwrap();
    queue.enqueue_all([Wait, Wait, Wait]).unwrap();
    arrivals.take(2);
    Quick.enqueue(&queue).unwrap().soon().unwrap();
    assert!(arrivals.is_empty(), "more are in flight than configured");
    gate.open();
}

#[test]
fn a_panic_at_the_first_poll_or_a_later_one_is_a_failed_attempt() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Panic>().task::<Double>().async_concurrency(1).start().unwrap();
    for after_a_wait in [false, true] {
        let handle = Panic::new(after_a_wait).enqueue(&queue).unwrap();
        assert!(handle.soon().unwrap_err().to_string().contains("the task panicked: broken"));
    }
    assert_eq!(Double::new(1).enqueue(&queue).unwrap().soon().unwrap(), 2);
}

#[test]
fn an_async_job_that_times_out_is_dropped_and_has_no_later_effect() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let ((gate, arrivals), (effects, seen)) = (Gate::new(), channel());
    let worker = Worker::new(&queue).task::<Hang>().task::<HangLocal>();
    let worker = worker.async_concurrency(1).concurrency(1).state(gate.clone()).state(Mutex::new(effects));
    let (worker, events) = start_with_events(worker);
    let jobs = [Hang.enqueue(&queue).unwrap(), HangLocal.enqueue(&queue).unwrap()];
    arrivals.take(2);
    clock.advance(seconds(5));
    for _ in &jobs {
        let event = events.until(|event| matches!(event, OwnedEvent::Retrying { .. }));
        assert!(
            matches!(event, OwnedEvent::Retrying { attempt: 1, error, .. } if error == "timed out after 5s")
        );
        assert_eq!(seen.recv_timeout(DEADLINE), Ok("dropped"));
    }
    gate.open();
    worker.stop().unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [] as [&str; 0]);
    for handle in jobs {
        let outcomes: Vec<_> = queue.attempts(handle.id()).unwrap().iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [AttemptOutcome::Failed]);
    }
}

#[test]
fn an_async_job_that_blocks_beyond_its_timeout_is_not_run_beside_its_own_retry() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (gate, arrivals) = Gate::new();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<BlockTooLong>().state(gate.clone()));
    let handle = BlockTooLong.enqueue(&queue).unwrap();
    arrivals.next();
    clock.advance(seconds(5));
    events.until(|event| matches!(event, OwnedEvent::Retrying { .. }));
    let due = handle.job().unwrap().scheduled_at;
    clock.advance(seconds(1));
    // Claimed again, and given back for later.
    eventually(|| (handle.job().unwrap().scheduled_at > due).then_some(()));
    assert!(arrivals.is_empty());
    gate.open();
    eventually(|| {
        clock.advance(seconds(1));
        handle.wait_timeout(Duration::from_millis(20)).ok()
    });
    let outcomes: Vec<_> = queue.attempts(handle.id()).unwrap().iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Failed, AttemptOutcome::Completed]);
}

#[test]
fn a_future_that_is_not_send_stays_on_its_thread() {
    let (_room, queue) = Workspace::with_queue();
    assert!(matches!(OnOneThread::DEF.run, qdjobs::__private::Run::AsyncLocal(_)));
    let _worker = Worker::new(&queue).task::<OnOneThread>().start().unwrap();
    for _ in 0..4 {
        assert!(OnOneThread.enqueue(&queue).unwrap().soon().unwrap());
    }
}

#[test]
fn an_async_task_sees_that_the_worker_stops_and_may_still_complete() {
    let (_room, queue) = Workspace::with_queue();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    gate.open();
    let worker = Worker::new(&queue).task::<Listen>().task::<ListenLocal>().shutdown_timeout(Duration::ZERO);
    let worker = worker.state(gate).state(log.clone()).start().unwrap();
    let ids = [Listen.enqueue(&queue).unwrap().id(), ListenLocal.enqueue(&queue).unwrap().id()];
    arrivals.take(2);
    worker.stop().unwrap();
    for id in ids {
        queue.handle::<()>(id).soon().unwrap();
    }
    assert_eq!(log.lines(), ["WorkerStopping true", "WorkerStopping true"]);
}

#[test]
fn an_async_job_that_outlasts_the_shutdown_timeout_is_dropped_and_given_back() {
    let (_room, queue) = Workspace::with_queue();
    let ((gate, arrivals), (effects, seen)) = (Gate::new(), channel());
    let worker = Worker::new(&queue).task::<Hang>().shutdown_timeout(Duration::ZERO);
    let (worker, events) = start_with_events(worker.state(gate.clone()).state(Mutex::new(effects)));
    let handle = Hang.enqueue(&queue).unwrap();
    arrivals.next();
    worker.stop().unwrap();
    events.expect(OwnedEvent::WorkerStopped { released: 1 });
    assert_eq!(seen.recv_timeout(DEADLINE), Ok("dropped"));
    let waits = handle.job().unwrap();
    assert_eq!((waits.status, waits.attempt, waits.retry_count), (Status::Pending, 1, 0));
    gate.open();
    // The worker keeps nothing of the shared values any more, including the last sender.
    assert_eq!(seen.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn async_jobs_that_have_ended_do_not_keep_the_queue_open() {
    let (workspace, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Double>().start().unwrap();
    assert_eq!(Double::new(21).enqueue(&queue).unwrap().soon().unwrap(), 42);
    worker.stop().unwrap();
    drop(queue);
    assert_eq!(workspace.files(), ["jobs.db"]);
}
