//! What a worker promises about jobs that are plain functions: which it claims and when, what becomes of an
//! attempt, how it stops, and how it takes over the jobs of dead workers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{ClaimRequest, Filter, Release, Store, TaskSet, WorkerInfo};
use qdjobs::{AttemptOutcome, Clock, JobId, JobQueue, Status, StopReason, WorkerId};

use crate::store_proxy::{Asked, Questions, StoreProxy};
use crate::support::{
    Gate, Log, OwnedEvent, Soon, Workspace, block_on, eventually, job, manual_clock, seconds,
    start_with_events,
};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Sum {
    of: Vec<i64>,
    is: i64,
}

#[task("worker.add")]
fn add(numbers: Vec<i64>) -> Result<Sum, TaskError> {
    Ok(Sum { is: numbers.iter().sum(), of: numbers })
}

#[task("worker.note")]
fn note(line: &str, #[state] log: &Log) {
    log.write(line);
}

#[task("worker.wait", retries = 2, backoff = fixed("10s"))]
fn wait(ctx: &JobContext, #[state] gate: &Gate) -> u32 {
    gate.pass_blocking(ctx);
    ctx.attempt()
}

#[task("worker.fail", retries = 2, backoff = fixed("10s"))]
fn fail(until_attempt: u32, ctx: &JobContext) -> Result<u32, String> {
    if ctx.attempt() < until_attempt {
        Err(format!("refused by attempt {}", ctx.attempt()))
    } else {
        Ok(ctx.attempt())
    }
}

#[task("worker.fail_by_default")]
fn fail_by_default() -> Result<(), &'static str> {
    Err("no")
}

#[task("worker.refuse", retries = 9)]
fn refuse(how: &str) -> Result<(), TaskError> {
    Err(match how {
        "permanent" => TaskError::permanent("the address does not exist"),
        "cancel" => TaskError::cancel("the order was withdrawn"),
        _ => TaskError::retry_in(seconds(60), "too many requests"),
    })
}

#[task("worker.panic", retries = 0)]
fn panic(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
    panic!("job {} is broken", ctx.job_id());
}

#[task("worker.hang", timeout = "5s", retries = 2, backoff = fixed("10s"))]
fn hang(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) -> u32 {
    gate.pass_blocking(ctx);
    log.write(format!("attempt {}: {:?}", ctx.attempt(), ctx.stop_reason()));
    ctx.attempt()
}

#[task("worker.stop_reason_after_gate")]
fn stop_reason_after_gate(ctx: &JobContext, #[state] gate: &Gate) -> Option<String> {
    gate.pass_blocking(ctx);
    ctx.stop_reason().map(|why| format!("{why:?}"))
}

#[task("worker.listen")]
fn listen(ctx: &JobContext, #[state] gate: &Gate) -> Option<String> {
    gate.pass_blocking(ctx);
    while !ctx.should_stop() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    ctx.stop_reason().map(|why| format!("{why:?}"))
}

#[task("worker.progress")]
fn progress(ctx: &JobContext, #[state] gate: &Gate) {
    for step in 0..=10_000 {
        ctx.progress(f64::from(step) / 20_000.0);
    }
    ctx.progress_with(0.5, "half-way");
    gate.pass_blocking(ctx);
}

// -- results

#[test]
fn a_function_runs_as_a_job_and_its_result_has_its_type() {
    let (_room, queue) = Workspace::with_queue();
    let sum = Add::new(vec![1, 2, 39]).enqueue(&queue).unwrap();
    let _worker = Worker::new(&queue).task::<Add>().start().unwrap();
    assert_eq!(sum.soon().unwrap(), Sum { of: vec![1, 2, 39], is: 42 });
    let done = sum.job().unwrap();
    assert_eq!((done.status, done.attempt, done.retry_count), (Status::Completed, 1, 0));
    assert_eq!(done.result.as_deref(), Some(r#"{"of":[1,2,39],"is":42}"#));
    assert!(done.started_at >= Some(done.created_at) && done.completed_at >= done.started_at);
}

#[test]
fn the_queue_in_memory_runs_the_same_worker() {
    let queue = JobQueue::in_memory();
    let _worker = Worker::new(&queue).task::<Add>().start().unwrap();
    assert_eq!(Add::new(vec![20, 22]).enqueue(&queue).unwrap().soon().unwrap().is, 42);
}

#[task("worker.retry_at_once")]
fn retry_at_once(ctx: &JobContext) -> Result<u32, TaskError> {
    // The claim that hands this in answers the waiting claim of the same dispatcher.
    if ctx.attempt() == 1 { Err(TaskError::retry_in(Duration::ZERO, "again")) } else { Ok(ctx.attempt()) }
}

#[test]
fn in_memory_too_a_retry_that_is_due_at_once_is_claimed_by_the_dispatcher_that_hands_it_in() {
    let queue = JobQueue::in_memory();
    let _worker = Worker::new(&queue).task::<RetryAtOnce>().concurrency(2).start().unwrap();
    for _ in 0..100 {
        assert_eq!(RetryAtOnce::new().enqueue(&queue).unwrap().soon().unwrap(), 2);
    }
}

// -- what is claimed, and when

#[test]
fn one_slot_takes_higher_priorities_first_and_of_equal_ones_the_older() {
    let (_room, queue) = Workspace::with_queue();
    let jobs = [("c", 0), ("a", 7), ("d", 0), ("b", 7), ("e", -1)];
    // Neighbors in the order come from different queues, between which the claim has to choose.
    let request =
        |(line, priority)| Note::new(line).priority(priority).queue(if line < "c" { line } else { "x" });
    queue.enqueue_all(jobs.map(request)).unwrap();
    let last = Note::new("f").priority(-2).enqueue(&queue).unwrap();

    let log = Log::default();
    let _worker = Worker::new(&queue).task::<Note>().concurrency(1).state(log.clone()).start().unwrap();
    last.soon().unwrap();
    assert_eq!(log.lines(), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn a_scheduled_job_starts_at_its_time_and_not_a_microsecond_before() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let log = Log::default();
    let _worker = Worker::new(&queue).task::<Note>().state(log.clone()).start().unwrap();
    let later = Note::new("later").delay(seconds(10)).enqueue(&queue).unwrap();

    clock.advance(seconds(10) - Duration::from_micros(1));
    Note::new("now").enqueue(&queue).unwrap().soon().unwrap();
    assert_eq!(later.job().unwrap().status, Status::Pending);

    clock.advance(Duration::from_micros(1));
    later.soon().unwrap();
    let done = later.job().unwrap();
    assert_eq!(done.started_at, Some(done.created_at + seconds(10)));
    assert_eq!(log.lines(), ["now", "later"]);
}

#[test]
fn a_worker_leaves_jobs_of_other_tasks_pending() {
    let (_room, queue) = Workspace::with_queue();
    let other_queue = Note::new("1").queue("slow").enqueue(&queue).unwrap();
    let other_task = Add::new(vec![]).queue("quick").enqueue(&queue).unwrap();
    let mine = Note::new("2").queue("quick").enqueue(&queue).unwrap();

    let log = Log::default();
    let worker = Worker::new(&queue).task_names(["worker.note"]).queues(["quick"]).state(log.clone());
    let worker = worker.start().unwrap();
    mine.soon().unwrap();
    worker.stop().unwrap();
    assert_eq!(log.lines(), ["2"]);
    for waits in [job(&queue, other_queue.id()), job(&queue, other_task.id())] {
        assert_eq!((waits.status, waits.attempt), (Status::Pending, 0));
    }
}

// -- what becomes of an attempt

#[test]
fn a_failed_attempt_is_followed_by_another_after_the_backoff_and_both_are_recorded() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (worker, events) = start_with_events(Worker::new(&queue).task::<Fail>());
    let start = clock.now();
    let handle = Fail::new(3).enqueue(&queue).unwrap();
    let id = handle.id();

    for attempt in [1, 2] {
        let error = format!("refused by attempt {attempt}");
        events.expect(OwnedEvent::Retrying { id, attempt, error: error.clone(), wait: seconds(10) });
        let waits = handle.job().unwrap();
        assert_eq!((waits.status, waits.attempt, waits.retry_count), (Status::Pending, attempt, attempt));
        assert_eq!(waits.scheduled_at, start + seconds(10) * attempt);
        assert_eq!((waits.is_retrying(), waits.worker_id, waits.error), (true, None, Some(error)));
        clock.advance(seconds(10));
    }
    assert_eq!(handle.soon().unwrap(), 3);

    let done = handle.job().unwrap();
    assert_eq!((done.attempt, done.retry_count, done.error), (3, 2, None));
    let record = queue.attempts(id).unwrap();
    let seen: Vec<_> = record.iter().map(|it| (it.attempt, it.outcome, it.error.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (1, AttemptOutcome::Failed, Some("refused by attempt 1")),
            (2, AttemptOutcome::Failed, Some("refused by attempt 2")),
            (3, AttemptOutcome::Completed, None),
        ]
    );
    let times = record.iter().map(|it| (it.started_at, it.ended_at));
    assert!(times.eq([0, 10, 20].map(|after| (start + seconds(after), start + seconds(after)))));
    assert!(record.iter().all(|it| Some(it.worker_id) == worker.id()));
}

#[test]
fn a_job_whose_retries_are_spent_has_failed_with_its_last_error() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Fail>());
    let handle = Fail::new(9).retries(1).enqueue(&queue).unwrap();
    events.until(|event| matches!(event, OwnedEvent::Retrying { attempt: 1, .. }));
    clock.advance(seconds(10));
    events.expect(OwnedEvent::Failed { id: handle.id(), attempt: 2, error: "refused by attempt 2".into() });
    let failed = handle.job().unwrap();
    assert_eq!((failed.status, failed.retry_count, failed.max_retries), (Status::Failed, 1, 1));
    assert_eq!(failed.error.as_deref(), Some("refused by attempt 2"));
    assert_eq!(queue.attempts(handle.id()).unwrap().len(), 2);
}

#[test]
fn the_default_backoff_waits_within_its_bounds_and_twice_as_long_each_time() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<FailByDefault>());
    FailByDefault.enqueue(&queue).unwrap();
    for longest in [1, 2, 4] {
        let event = events.until(|event| matches!(event, OwnedEvent::Retrying { .. }));
        let OwnedEvent::Retrying { wait, .. } = event else { unreachable!() };
        assert!(wait >= Duration::from_millis(500) && wait <= seconds(longest), "{wait:?} of {longest} s");
        clock.advance(wait);
    }
    events.until(|event| matches!(event, OwnedEvent::Failed { attempt: 4, .. }));
}

#[test]
fn a_job_that_waits_for_its_retry_holds_no_slot() {
    let (_room, queue, _clock) = Workspace::with_manual_clock();
    let log = Log::default();
    let worker = Worker::new(&queue).task::<Fail>().task::<Note>().concurrency(1).state(log.clone());
    let (_worker, events) = start_with_events(worker);
    Fail::new(9).enqueue(&queue).unwrap();
    events.until(|event| matches!(event, OwnedEvent::Retrying { .. }));
    Note::new("meanwhile").enqueue(&queue).unwrap().soon().unwrap();
    assert_eq!(log.lines(), ["meanwhile"]);
}

#[test]
fn a_permanent_error_fails_the_job_at_once_and_a_cancel_is_no_failure() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Refuse>().start().unwrap();
    let handle = Refuse::new("permanent").enqueue(&queue).unwrap();
    let error = handle.soon().unwrap_err();
    assert_eq!(error.kind(), qdjobs::ErrorKind::JobFailed);
    assert!(error.to_string().contains("the address does not exist"), "{error}");
    assert_eq!((handle.job().unwrap().attempt, handle.job().unwrap().retry_count), (1, 0));

    let handle = Refuse::new("cancel").enqueue(&queue).unwrap();
    let error = handle.soon().unwrap_err();
    assert_eq!(error.kind(), qdjobs::ErrorKind::JobCancelled);
    assert!(error.to_string().contains("the order was withdrawn"), "{error}");
    let attempts = queue.attempts(handle.id()).unwrap();
    assert_eq!(attempts.iter().map(|it| it.outcome).collect::<Vec<_>>(), [AttemptOutcome::Cancelled]);
}

#[test]
fn a_task_that_chooses_its_wait_gets_it_instead_of_the_backoff() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Refuse>());
    let handle = Refuse::new("busy").enqueue(&queue).unwrap();
    let (id, error) = (handle.id(), "too many requests".to_owned());
    events.expect(OwnedEvent::Retrying { id, attempt: 1, error, wait: seconds(60) });
    assert_eq!(handle.job().unwrap().scheduled_at, clock.now() + seconds(60));
    clock.advance(seconds(60));
    events.until(|event| matches!(event, OwnedEvent::Retrying { attempt: 2, .. }));
}

#[test]
fn a_panic_in_every_slot_fails_each_job_with_its_message_and_costs_no_slot() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Panic>().task::<Wait>().concurrency(3).state(gate.clone());
    let (_worker, events) = start_with_events(worker);
    let ids = queue.enqueue_all([Panic, Panic, Panic]).unwrap();
    arrivals.take(3);
    gate.admit(3);
    for _ in &ids {
        events.until(|event| matches!(event, OwnedEvent::Failed { attempt: 1, .. }));
    }
    for id in ids {
        let error = job(&queue, id).error.unwrap();
        assert_eq!(error, format!("the task panicked: job {id} is broken"));
    }
    // All three slots are free again: three jobs arrive at the gate at once.
    queue.enqueue_all([Wait, Wait, Wait]).unwrap();
    arrivals.take(3);
    gate.open();
}

#[test]
fn a_listener_that_panics_stops_nothing() {
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Add>().on_event(|event| panic!("{event:?}"));
    let _worker = worker.start().unwrap();
    for _ in 0..2 {
        assert_eq!(Add::new(vec![1]).enqueue(&queue).unwrap().soon().unwrap().is, 1);
    }
}

// -- timeouts

#[test]
fn a_function_that_times_out_fails_its_attempt_frees_its_slot_and_its_late_result_is_discarded() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Hang>().task::<Note>().concurrency(1);
    let (_worker, events) = start_with_events(worker.state(gate.clone()).state(log.clone()));
    let handle = Hang.enqueue(&queue).unwrap();
    arrivals.next();

    clock.advance(seconds(5));
    let (id, error) = (handle.id(), "timed out after 5s".to_owned());
    events.expect(OwnedEvent::Retrying { id, attempt: 1, error, wait: seconds(10) });
    // A new thread has the only slot.
    Note::new("meanwhile").enqueue(&queue).unwrap().soon().unwrap();

    // Its retry is due, but does not run beside the attempt that still hangs in this process.
    clock.advance(seconds(10));
    let put_off = clock.now() + seconds(5);
    eventually(|| (handle.job().unwrap().scheduled_at == put_off).then_some(()));
    assert!(arrivals.is_empty());

    gate.admit(1);
    eventually(|| (log.lines().len() == 2).then_some(()));
    let waits = handle.job().unwrap();
    assert_eq!((waits.status, waits.attempt, waits.result), (Status::Pending, 1, None));
    assert_eq!(log.lines(), ["meanwhile", "attempt 1: Some(TimedOut)"]);

    gate.admit(1);
    // The hanging thread has logged; it may end a moment later, and until then the retry is given back again.
    let done = eventually(|| {
        clock.advance(seconds(5) / 4);
        handle.wait_timeout(Duration::from_millis(20)).ok()
    });
    assert_eq!(done, 2);
}

#[test]
fn as_many_hanging_threads_as_there_are_slots_are_replaced() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Hang>().task::<Note>().concurrency(2);
    let (_worker, events) = start_with_events(worker.state(gate.clone()).state(log.clone()));
    queue.enqueue_all([Hang, Hang]).unwrap();
    arrivals.take(2);
    clock.advance(seconds(5));
    for _ in 0..2 {
        events.until(|event| matches!(event, OwnedEvent::Retrying { .. }));
    }
    Note::new("still here").enqueue(&queue).unwrap().soon().unwrap();
    gate.open();
}

// -- stopping

#[test]
fn a_stop_lets_running_jobs_end_and_leaves_nothing_behind() {
    let workspace = Workspace::new();
    let (queue, _, _, questions) = with_proxy(&workspace, &Clock::system());
    let (gate, arrivals) = Gate::new();
    let (worker, events) = start_with_events(Worker::new(&queue).task::<Wait>().state(gate.clone()));
    let number = worker.id().unwrap();
    let handle = Wait.enqueue(&queue).unwrap();
    arrivals.next();
    let states = queue.workers().unwrap();
    assert_eq!(states.iter().map(|it| (it.id, it.running)).collect::<Vec<_>>(), [(number, 1)]);

    let stopping = std::thread::spawn(move || worker.stop());
    questions.expect(Asked::CancelWaitingClaims(number));
    let unclaimed = Wait.enqueue(&queue).unwrap();
    gate.admit(1);
    stopping.join().unwrap().unwrap();
    assert_eq!(handle.soon().unwrap(), 1);
    events.expect(OwnedEvent::WorkerStopped { released: 0 });
    assert_eq!(queue.workers().unwrap(), []);
    let waits = unclaimed.job().unwrap();
    assert_eq!((waits.status, waits.attempt), (Status::Pending, 0));
    drop((queue, handle, unclaimed));
    assert_eq!(workspace.files(), ["jobs.db"]);
}

#[test]
fn a_worker_sends_heartbeats_while_its_tasks_run_and_until_the_last_of_them_has_ended() {
    let (workspace, clock) = (Workspace::new(), manual_clock());
    let (queue, _, _, questions) = with_proxy(&workspace, &clock);
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Wait>().state(gate.clone()).concurrency(1).lease(seconds(3_000));
    let worker = worker.start().unwrap();
    let number = worker.id().unwrap();
    questions.expect(Asked::Heartbeat(number));
    // A heartbeat that is due while the one before is unanswered is skipped.
    let heartbeats = || {
        eventually(|| {
            clock.advance(seconds(200));
            questions.try_next(Duration::from_millis(20)).filter(|asked| *asked == Asked::Heartbeat(number))
        })
    };
    let handle = Wait.enqueue(&queue).unwrap();
    arrivals.next();
    heartbeats();

    let stopping = std::thread::spawn(move || worker.stop());
    questions.expect(Asked::CancelWaitingClaims(number));
    heartbeats();
    gate.admit(1);
    stopping.join().unwrap().unwrap();
    assert_eq!(handle.soon().unwrap(), 1);
}

#[test]
fn each_start_of_a_worker_has_a_number_of_its_own() {
    let (_room, queue) = Workspace::with_queue();
    let workers = [(); 3].map(|()| Worker::new(&queue).task::<Add>().start().unwrap());
    let mut numbers: Vec<WorkerId> = workers.iter().filter_map(WorkerHandle::id).collect();
    let [first, ..] = workers;
    first.stop().unwrap();
    numbers.push(Worker::new(&queue).task::<Add>().start().unwrap().id().unwrap());
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 4, "{numbers:?}");
}

#[test]
fn jobs_that_were_claimed_ahead_are_given_back_as_if_never_claimed() {
    let (_room, queue) = Workspace::with_queue();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Wait>().task::<Note>().concurrency(1);
    let (worker, events) = start_with_events(worker.state(gate.clone()).state(log.clone()));
    // After a few quick jobs the worker claims ahead.
    for id in queue.enqueue_all((0..20).map(|n| Note::new(n.to_string()))).unwrap() {
        queue.handle::<()>(id).soon().unwrap();
    }
    let (conn, waits) = (_room.connection(), Wait.priority(1));
    let handle = {
        // In one commit, so that one claim finds them all.
        let tx = conn.unchecked_transaction().unwrap();
        let id = waits.enqueue(&tx).unwrap();
        (0..5).for_each(|_| assert!(Note::new("ahead").enqueue(&tx).is_ok()));
        tx.commit().unwrap();
        queue.notify();
        queue.handle::<u32>(id)
    };
    arrivals.next();
    assert!(queue.counts().unwrap().of(Status::Running) > 1, "nothing was claimed ahead");

    let stopping = std::thread::spawn(move || worker.stop());
    eventually(|| (queue.counts().unwrap().of(Status::Running) == 1).then_some(()));
    gate.open();
    stopping.join().unwrap().unwrap();
    events.expect(OwnedEvent::WorkerStopped { released: 0 });
    assert_eq!(handle.soon().unwrap(), 1);
    let waiting = queue.list(Filter::new().status(Status::Pending)).unwrap().jobs;
    assert_eq!(waiting.len(), 5);
    for waits in waiting {
        assert_eq!((waits.attempt, waits.retry_count, waits.started_at, waits.worker_id), (0, 0, None, None));
        assert_eq!(queue.attempts(waits.id).unwrap(), []);
    }
}

#[test]
fn a_job_that_outlasts_the_shutdown_timeout_is_given_back_and_loses_no_retry() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Wait>().state(gate.clone()).shutdown_timeout(Duration::ZERO);
    let (worker, events) = start_with_events(worker);
    let handle = Wait.enqueue(&queue).unwrap();
    arrivals.next();
    worker.stop().unwrap();
    events.expect(OwnedEvent::WorkerStopped { released: 1 });
    let waits = handle.job().unwrap();
    assert_eq!((waits.status, waits.attempt, waits.retry_count), (Status::Pending, 1, 0));
    let record = queue.attempts(handle.id()).unwrap();
    assert_eq!(record.iter().map(|it| it.outcome).collect::<Vec<_>>(), [AttemptOutcome::Released]);

    // The next worker runs it; the result of the attempt left behind is discarded.
    gate.open();
    let _worker = Worker::new(&queue).task::<Wait>().state(gate).start().unwrap();
    assert_eq!(handle.soon().unwrap(), 2);
}

#[test]
fn a_task_that_stops_after_the_shutdown_timeout_may_still_complete() {
    let (_room, queue) = Workspace::with_queue();
    // Also if a stop handle has ended the wait.
    for timeout in [Duration::ZERO, Duration::MAX] {
        let (gate, arrivals) = Gate::new();
        gate.open();
        let worker =
            Worker::new(&queue).task::<Listen>().state(gate).shutdown_timeout(timeout).start().unwrap();
        let handle = Listen.enqueue(&queue).unwrap();
        arrivals.next();
        worker.stop_handle().release_now();
        worker.stop().unwrap();
        assert_eq!(handle.soon().unwrap(), Some(format!("{:?}", StopReason::WorkerStopping)));
    }
}

#[test]
fn a_stop_handle_releases_the_running_jobs_of_a_stop_that_waits_and_of_a_later_one() {
    let (_room, queue) = Workspace::with_queue();
    for is_stopping in [true, false] {
        let (gate, arrivals) = Gate::new();
        let worker = Worker::new(&queue).task::<Wait>().state(gate).shutdown_timeout(Duration::MAX);
        let (worker, events) = start_with_events(worker);
        let handle = Wait.enqueue(&queue).unwrap();
        arrivals.next();
        let stop_handle = worker.stop_handle();
        if !is_stopping {
            stop_handle.release_now();
        }
        let stopping = std::thread::spawn(move || worker.stop());
        if is_stopping {
            events.until(|event| matches!(event, OwnedEvent::StopWaits { .. }));
            let elsewhere = stop_handle.clone();
            std::thread::spawn(move || elsewhere.release_now()).join().unwrap();
        }
        stopping.join().unwrap().unwrap();
        events.expect(OwnedEvent::WorkerStopped { released: 1 });
        let waits = handle.job().unwrap();
        assert_eq!((waits.status, waits.retry_count, waits.crash_count), (Status::Pending, 0, 0));
        let record = queue.attempts(handle.id()).unwrap();
        assert_eq!(record.iter().map(|it| it.outcome).collect::<Vec<_>>(), [AttemptOutcome::Released]);
        // Of a stopped worker, it does nothing, and it does not keep the queue open.
        stop_handle.release_now();
        queue.delete(handle.id()).unwrap();
    }
}

#[test]
fn a_stop_handle_does_not_stop_the_worker_and_does_not_keep_the_queue_open() {
    let (room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Add>().start().unwrap();
    let stop_handle = worker.stop_handle();
    stop_handle.release_now();
    assert_eq!(Add::new(vec![1]).enqueue(&queue).unwrap().soon().unwrap().is, 1);
    worker.stop().unwrap();
    drop(queue);
    assert_eq!(room.files(), ["jobs.db"]);
    stop_handle.release_now();
}

#[test]
fn a_worker_whose_handle_is_dropped_stops() {
    let (_room, queue) = Workspace::with_queue();
    let (worker, events) = start_with_events(Worker::new(&queue).task::<Add>());
    drop(worker);
    events.expect(OwnedEvent::WorkerStopped { released: 0 });
    assert_eq!(queue.workers().unwrap(), []);
    let waits = Add::new(vec![]).enqueue(&queue).unwrap();
    assert_eq!(waits.job().unwrap().status, Status::Pending);
}

// -- progress

#[test]
fn readers_see_the_latest_progress_and_a_completed_job_has_all_of_it() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let _worker = Worker::new(&queue).task::<Progress>().state(gate.clone()).start().unwrap();
    let handle = Progress.enqueue(&queue).unwrap();
    arrivals.next();
    // Written in order: once this is stored, the report before it is.
    Add::new(vec![]).enqueue(&queue).unwrap();
    let seen = handle.job().unwrap().progress.unwrap();
    assert_eq!((seen.fraction, seen.message.as_deref()), (0.5, Some("half-way")));
    gate.open();
    handle.soon().unwrap();
    assert_eq!(handle.job().unwrap().progress.unwrap().fraction, 1.0);
}

#[test]
fn progress_of_an_attempt_that_lost_its_job_is_ignored() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (gate, arrivals) = Gate::new();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<LateProgress>().state(gate.clone()));
    let handle = LateProgress.enqueue(&queue).unwrap();
    arrivals.next();
    clock.advance(seconds(5));
    events.until(|event| matches!(event, OwnedEvent::Retrying { attempt: 1, .. }));
    gate.open();
    // It arrives again after its report.
    arrivals.next();
    Add::new(vec![]).enqueue(&queue).unwrap();
    assert_eq!(handle.job().unwrap().progress, None);
}

#[task("worker.late_progress", timeout = "5s", backoff = fixed("1h"))]
fn late_progress(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
    ctx.progress(0.7);
    gate.pass_blocking(ctx);
}

// -- dead workers and those presumed dead

/// Another process, as far as the queue can see: its own store on the same file, a registered worker, claimed
/// jobs.
fn another_process(db: &Path, clock: &Clock) -> (Arc<SqliteStore>, WorkerId, Vec<JobId>) {
    let store = SqliteStore::open(db, SqliteOptions::default(), clock.clone()).unwrap();
    let worker = WorkerId(4711);
    store.register_worker(WorkerInfo::new(worker, "elsewhere", 1)).wait().unwrap();
    let tasks = Arc::new(TaskSet::new(["worker.add"]));
    let turned = store
        .claim(ClaimRequest { worker, finished: Arc::default(), limit: 10, tasks, queues: None, wait: false })
        .wait()
        .unwrap();
    (store, worker, turned.claimed.iter().map(|job| job.claim.id).collect())
}

#[test]
fn the_jobs_of_a_worker_that_died_are_run_by_the_others() {
    let (workspace, queue) = Workspace::with_queue();
    let sums = [(); 2].map(|()| Add::new(vec![7]).enqueue(&queue).unwrap());
    let (store, dead, held) = another_process(&workspace.db(), &Clock::system());
    assert_eq!(held, sums.each_ref().map(|sum| sum.id()));
    // The operating system releases its lock.
    drop(store);

    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Add>());
    events.expect(OwnedEvent::Rescued { worker: dead, jobs: 2 });
    for sum in sums {
        assert_eq!(sum.soon().unwrap().is, 7);
        let done = sum.job().unwrap();
        assert_eq!((done.attempt, done.crash_count, done.retry_count), (2, 1, 0));
        let record = queue.attempts(sum.id()).unwrap();
        assert_eq!((record[0].outcome, record[0].worker_id), (AttemptOutcome::Crashed, dead));
        assert!(record[0].error.as_deref().unwrap().contains("died"));
        assert_eq!(record[1].outcome, AttemptOutcome::Completed);
    }
}

#[test]
fn a_worker_that_rescues_a_job_past_its_crash_limit_reports_that_it_has_failed() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().max_crashes(1).open(workspace.db()).unwrap();
    let sum = Add::new(vec![7]).enqueue(&queue).unwrap();
    let (store, dead, _) = another_process(&workspace.db(), &Clock::system());
    drop(store);
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Add>());
    events.expect(OwnedEvent::Rescued { worker: dead, jobs: 1 });
    let error = sum.soon().unwrap_err().to_string();
    let event = events.until(|event| matches!(event, OwnedEvent::Failed { .. }));
    let OwnedEvent::Failed { id, attempt, error: reported } = event else { unreachable!() };
    assert_eq!((id, attempt), (sum.id(), 1));
    assert!(error.contains(&reported) && reported.contains("died"), "{reported}; {error}");
}

#[test]
fn a_worker_that_holds_its_lock_is_presumed_dead_only_after_a_whole_lease_of_silence() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let sum = Add::new(vec![7]).enqueue(&queue).unwrap();
    let (_store, silent, held) = another_process(&workspace.db(), &clock);
    assert_eq!(held, [sum.id()]);

    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Add>().lease(seconds(30)));
    let mut silence = 0;
    loop {
        match events.try_next(Duration::from_millis(5)) {
            Some(OwnedEvent::Rescued { worker, jobs }) => break assert_eq!((worker, jobs), (silent, 1)),
            // Another thread of the worker may have started the job before this event.
            Some(OwnedEvent::Started { .. }) => assert!(silence >= 30, "after {silence} s already"),
            Some(event) => assert!(matches!(event, OwnedEvent::WorkerStarted(_)), "{event:?}"),
            None => {
                clock.advance(seconds(1));
                silence += 1;
            }
        }
        assert!(silence < 3_000, "it is never presumed dead");
    }
    assert!(silence >= 30, "after {silence} s already");
    assert_eq!(sum.soon().unwrap().is, 7);
}

#[test]
fn a_worker_whose_lease_expired_continues_under_a_new_number_and_its_late_result_is_discarded() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let (gate, arrivals) = Gate::new();
    let (worker, events) = start_with_events(Worker::new(&queue).task::<Wait>().state(gate.clone()));
    let before = worker.id().unwrap();
    let handle = Wait.enqueue(&queue).unwrap();
    arrivals.next();

    let judge = SqliteStore::open(&workspace.db(), SqliteOptions::default(), clock.clone()).unwrap();
    assert_eq!(judge.release_worker(before, Release::ProvenDead).wait().unwrap().jobs, 1);
    events.expect(OwnedEvent::LeaseLost(before));
    assert_ne!(worker.id(), Some(before));
    gate.admit(1);
    events.expect(OwnedEvent::ResultDiscarded { id: handle.id(), attempt: 1 });

    gate.admit(1);
    // The worker may have claimed the job again while it still ran it, and given it back.
    let result = eventually(|| {
        clock.advance(seconds(1));
        handle.wait_timeout(Duration::from_millis(20)).ok()
    });
    assert_eq!(result, 2);
    let done = handle.job().unwrap();
    assert_eq!((done.crash_count, done.retry_count, done.worker_id), (1, 0, worker.id()));
}

#[task("worker.report_lost_lease")]
fn report_lost_lease(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) {
    gate.pass_blocking(ctx);
    block_on(ctx.stopped());
    log.write(format!("{:?}", ctx.stop_reason()));
    gate.pass_blocking(ctx);
}

#[test]
fn a_task_of_a_worker_whose_lease_expired_sees_that_its_job_is_lost() {
    let (workspace, queue) = Workspace::with_queue();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<ReportLostLease>().state(gate.clone()).state(log.clone());
    let worker = worker.start().unwrap();
    ReportLostLease.enqueue(&queue).unwrap();
    arrivals.next();
    gate.admit(1);
    let judge = SqliteStore::open(&workspace.db(), SqliteOptions::default(), Clock::system()).unwrap();
    judge.release_worker(worker.id().unwrap(), Release::ProvenDead).wait().unwrap();
    arrivals.next();
    assert_eq!(log.lines(), ["Some(LeaseLost)"]);
    gate.open();
}

#[test]
fn a_manual_clock_may_advance_by_a_day_at_once_and_no_job_is_lost() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (gate, arrivals) = Gate::new();
    let worker =
        Worker::new(&queue).task::<StopReasonAfterGate>().task::<Hang>().task::<Add>().concurrency(3);
    let (_worker, events) = start_with_events(worker.state(gate.clone()).state(Log::default()));
    let (says, hangs) = (StopReasonAfterGate.enqueue(&queue).unwrap(), Hang.enqueue(&queue).unwrap());
    let tomorrow = Add::new(vec![1]).delay(seconds(86_400)).enqueue(&queue).unwrap();
    arrivals.take(2);
    clock.advance(seconds(86_400));
    assert_eq!(tomorrow.soon().unwrap().is, 1);
    // The supervisor that finds the overdue attempt has checked the lease before.
    events.until(|event| matches!(event, OwnedEvent::Retrying { id, .. } if *id == hangs.id()));
    gate.open();
    assert_eq!(says.soon().unwrap(), None);
}

/// A queue on a [`StoreProxy`] with a manual clock; and the store itself, for requests that a worker cannot
/// make.
fn with_proxy(
    workspace: &Workspace,
    clock: &Clock,
) -> (JobQueue, Arc<SqliteStore>, Arc<StoreProxy>, Questions) {
    let real = SqliteStore::open(&workspace.db(), SqliteOptions::default(), clock.clone()).unwrap();
    let (store, questions) = StoreProxy::new(real.clone());
    (JobQueue::with_store(store.clone()), real, store, questions)
}

/// Learns that its lease may be lost, and continues all the same.
#[task("worker.continue_while_suspended", timeout = "28s", retries = 1, backoff = fixed("1h"))]
fn continue_while_suspended(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
    block_on(ctx.stopped());
    gate.pass_blocking(ctx);
}

#[test]
fn a_timeout_is_a_failure_though_the_lease_may_be_lost() {
    let (workspace, clock) = (Workspace::new(), manual_clock());
    let (queue, _real, store, _questions) = with_proxy(&workspace, &clock);
    let (gate, arrivals) = Gate::new();
    let (_worker, events) =
        start_with_events(Worker::new(&queue).task::<ContinueWhileSuspended>().state(gate.clone()));
    ContinueWhileSuspended.enqueue(&queue).unwrap();
    arrivals.next();
    gate.admit(1);
    store.hold_heartbeats();
    clock.advance(seconds(25));
    arrivals.next();
    clock.advance(seconds(4));
    let event = events.until(|event| matches!(event, OwnedEvent::Retrying { .. }));
    assert!(
        matches!(event, OwnedEvent::Retrying { attempt: 1, error, .. } if error == "timed out after 28s")
    );
    store.release_heartbeats();
    gate.open();
}

#[test]
fn an_endless_shutdown_timeout_never_passes() {
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Add>().shutdown_timeout(Duration::MAX).start().unwrap();
    Add::new(vec![1]).enqueue(&queue).unwrap().soon().unwrap();
    worker.stop().unwrap();
}

/// Waits at its gate twice: when it begins, and when it is told to stop.
#[task("worker.pass_gate_twice")]
fn pass_gate_twice(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
    block_on(ctx.stopped());
    gate.pass_blocking(ctx);
}

#[test]
fn a_worker_whose_lease_is_confirmed_again_claims_again() {
    let (workspace, clock) = (Workspace::new(), manual_clock());
    let (queue, real, store, _questions) = with_proxy(&workspace, &clock);
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<PassGateTwice>().task::<Add>().concurrency(2);
    let (worker, events) = start_with_events(worker.state(gate.clone()));
    let lingers = PassGateTwice.enqueue(&queue).unwrap();
    arrivals.next();
    gate.admit(1);
    // The lease may be lost from here on.
    store.hold_heartbeats();
    clock.advance(seconds(25));
    arrivals.next();
    // Its waiting claim ends and is not made again, and it has nothing else to do.
    real.cancel_waiting_claims(worker.id().unwrap()).wait().unwrap();
    gate.admit(1);
    events.expect(OwnedEvent::Completed(lingers.id()));

    store.release_heartbeats();
    assert_eq!(Add::new(vec![7]).enqueue(&queue).unwrap().soon().unwrap().is, 7);
}

#[test]
fn a_late_answer_to_an_old_heartbeat_does_not_make_a_worker_register_twice() {
    let (workspace, clock) = (Workspace::new(), manual_clock());
    let (queue, real, store, questions) = with_proxy(&workspace, &clock);
    store.hold_heartbeats();
    let (worker, events) = start_with_events(Worker::new(&queue).task::<Add>());
    let before = worker.id().unwrap();
    assert_eq!(questions.next(), Asked::Heartbeat(before));

    real.release_worker(before, Release::ProvenDead).wait().unwrap();
    events.expect(OwnedEvent::LeaseLost(before));
    let now = worker.id().unwrap();
    assert_ne!(now, before);
    // The answer reports that the old number is not registered. Until it arrives no further heartbeat is
    // sent, so it may come after the next one is due.
    store.release_heartbeats();
    let next = eventually(|| {
        clock.advance(seconds(10));
        questions.try_next(Duration::from_millis(20))
    });
    assert_eq!(next, Asked::Heartbeat(now));
    assert_eq!(worker.id(), Some(now));
}
