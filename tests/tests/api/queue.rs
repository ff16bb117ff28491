//! What a queue promises: a job is stored as requested or not at all, read as it is stored, changed only
//! where that makes sense, and waited for without polling.

use std::collections::BTreeMap;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{Cursor, Filter, Page, Store};
use qdjobs::{Clock, ErrorKind, JobId, JobRequest, Status, Timestamp};
use serde_json::json;

use crate::support::{DEADLINE, Gate, Workspace, block_on, manual_clock, seconds, start_with_events};

#[task("queue.greet", queue = "letters", priority = 5, retries = 7)]
fn greet(name: &str) -> String {
    format!("Hello {name}")
}

#[task("queue.plain")]
fn plain() {}

#[task("queue.pay")]
fn pay(to: &str, order: u32, ctx: &JobContext) -> String {
    let _ = (to, order);
    ctx.idempotency_key().unwrap_or("none").to_owned()
}

#[task("queue.end", retries = 0)]
fn end(how: &str, ctx: &JobContext, #[state] gate: &Gate) -> Result<String, TaskError> {
    gate.pass_blocking(ctx);
    match how {
        "well" => Ok("well".into()),
        "cancelled" => Err(TaskError::cancel("not wanted")),
        other => Err(TaskError::permanent(other)),
    }
}

#[task("queue.flaky", backoff = fixed("1h"))]
fn flaky() -> Result<(), &'static str> {
    Err("not today")
}

fn ids(page: &Page) -> Vec<JobId> {
    page.jobs.iter().map(|job| job.id).collect()
}

// -- insert

#[test]
fn a_job_carries_the_options_of_its_task_unless_it_has_its_own() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let job = Greet::new("Ann").enqueue(&queue).unwrap().job().unwrap();
    assert_eq!((job.queue.as_str(), job.priority, job.max_retries), ("letters", 5, 7));
    assert_eq!((job.name.as_str(), job.task_name.as_str()), ("queue.greet", "queue.greet"));
    assert_eq!((job.params.as_str(), job.metadata), (r#"{"name":"Ann"}"#, None));
    assert_eq!((job.status, job.attempt, job.retry_count, job.crash_count), (Status::Pending, 0, 0, 0));
    assert_eq!((job.created_at, job.scheduled_at), (clock.now(), clock.now()));

    let request = Greet::new("Bob")
        .queue("cards")
        .priority(-3)
        .retries(0)
        .delay(seconds(90))
        .display_name("A card for Bob")
        .metadata(json!({"order": 7}));
    let job = request.enqueue(&queue).unwrap().job().unwrap();
    assert_eq!((job.queue.as_str(), job.priority, job.max_retries), ("cards", -3, 0));
    assert_eq!((job.name.as_str(), job.task_name.as_str()), ("A card for Bob", "queue.greet"));
    assert_eq!(
        (job.scheduled_at, job.metadata.as_deref()),
        (clock.now() + seconds(90), Some(r#"{"order":7}"#))
    );

    let at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(Plain.at(at).enqueue(&queue).unwrap().job().unwrap().scheduled_at, at);
    // A time in the past is due at once.
    let past = Plain.at(Timestamp::UNIX_EPOCH).enqueue(&queue).unwrap().job().unwrap();
    assert!(!past.is_scheduled(clock.now()));
}

#[test]
fn many_jobs_are_stored_in_their_order_all_or_none() {
    let (_room, queue) = Workspace::with_queue();
    let ids = queue.enqueue_all((0..1_000).map(|n| Greet::new(n.to_string()))).unwrap();
    assert!(ids.len() == 1_000 && ids.is_sorted());
    assert_eq!(queue.get(ids[999]).unwrap().unwrap().params, r#"{"name":"999"}"#);
    assert_eq!(queue.enqueue_all(Vec::<Plain>::new()).unwrap(), []);

    let with_one_bad = [Plain.request(), Plain.queue("no spaces, please"), Plain.request()];
    assert_eq!(queue.enqueue_all(with_one_bad).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(queue.counts().unwrap().total(), 1_000);
}

#[test]
fn an_enqueue_repeated_with_its_key_returns_the_stored_job_and_its_task_knows_the_key() {
    for (_room, queue) in [Workspace::with_queue(), (Workspace::new(), JobQueue::in_memory())] {
        let pay = || Pay { to: "Ann".into(), order: 12 }.idempotency_key("order-12");
        let first = pay().enqueue(&queue).unwrap();
        let by_name = JobRequest::<String>::by_name("queue.pay", &json!({"to": "Ann", "order": 12})).unwrap();
        // By name the members have another order.
        assert_eq!(by_name.idempotency_key("order-12").enqueue(&queue).unwrap().id(), first.id());
        let _worker = Worker::new(&queue).task::<Pay>().start().unwrap();
        assert_eq!(first.wait().unwrap(), "order-12");
        let again = block_on(pay().enqueue(&queue.to_async())).unwrap();
        assert_eq!((again.id(), again.wait().unwrap().as_str()), (first.id(), "order-12"));
        assert_eq!(first.job().unwrap().idempotency_key.as_deref(), Some("order-12"));
        let error = block_on(Plain.idempotency_key("order-12").enqueue(&queue.to_async())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("its task is `queue.pay`"), "{error}");
        assert!(!error.may_be_stored());
        queue.delete(first.id()).unwrap();
        assert_ne!(Plain.idempotency_key("order-12").enqueue(&queue).unwrap().id(), first.id());
    }
}

#[test]
fn two_queues_on_one_file_that_enqueue_one_key_at_once_store_one_job() {
    let (workspace, queue) = Workspace::with_queue();
    let other = JobQueue::open(workspace.db()).unwrap();
    let enqueue = |queue: &JobQueue, mut conn: Option<qdjobs::rusqlite::Connection>| -> Vec<JobId> {
        let each = (0..100).map(|n| {
            let request = Pay { to: "Ann".into(), order: n }.idempotency_key(format!("order-{n}"));
            match &mut conn {
                None => request.enqueue(queue).unwrap().id(),
                Some(conn) => {
                    // Deferred: the enqueue itself takes the lock.
                    let tx = conn.transaction().unwrap();
                    let id = request.enqueue(&tx).unwrap();
                    tx.commit().unwrap();
                    id
                }
            }
        });
        each.collect()
    };
    let ids: Vec<Vec<JobId>> = std::thread::scope(|scope| {
        let threads = [
            scope.spawn(|| enqueue(&queue, None)),
            scope.spawn(|| enqueue(&queue, None)),
            scope.spawn(|| enqueue(&other, None)),
            scope.spawn(|| enqueue(&other, Some(workspace.connection()))),
        ];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    assert!(ids.iter().all(|of_one| *of_one == ids[0]));
    assert_eq!(queue.counts().unwrap().total(), 100);
}

#[test]
fn a_job_that_cannot_be_stored_is_refused_by_the_call_and_nothing_is_stored() {
    let (_room, queue) = Workspace::with_queue();
    let mebibyte = "x".repeat(1 << 20);
    let refused = [
        (Plain.delay(Duration::MAX), ErrorKind::InvalidInput, "after the year 9999"),
        (Plain.at(Timestamp::MIN), ErrorKind::InvalidInput, "before 1970"),
        (Plain.delay(seconds(8_000 * 366 * 86_400)), ErrorKind::InvalidInput, "check the value and its unit"),
        (Plain.queue(""), ErrorKind::InvalidInput, "cannot be the name of a queue"),
        (Plain.queue("q".repeat(101)), ErrorKind::InvalidInput, "q…` cannot be the name of a queue"),
        (Plain.display_name(""), ErrorKind::InvalidInput, "1 to 100 bytes"),
        (Plain.display_name("ü".repeat(51)), ErrorKind::InvalidInput, "it has 102"),
        (Plain.idempotency_key(""), ErrorKind::InvalidInput, "must have 1 to 200 bytes, but it has 0"),
        (Plain.idempotency_key("k".repeat(201)), ErrorKind::InvalidInput, "1 to 200 bytes"),
        (Plain.metadata(7), ErrorKind::InvalidInput, "not a JSON object\nhelp: pass a struct"),
        (Plain.metadata(BTreeMap::from([((1, 2), 3)])), ErrorKind::InvalidInput, "metadata cannot be stored"),
        (Plain.metadata(BTreeMap::from([("a", [1.0, f32::NAN])])), ErrorKind::InvalidInput, "`a[1]`: "),
        (
            Plain.metadata(BTreeMap::from([("a", u128::MAX)])),
            ErrorKind::InvalidInput,
            "64 bits\nhelp: use a string",
        ),
        (
            Plain.metadata(json!({"big": mebibyte})),
            ErrorKind::TooLarge,
            "metadata of a job have 1048586 bytes",
        ),
    ];
    for (request, kind, words) in refused {
        let error = request.enqueue(&queue).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(words) && error.suggestion().is_some(), "{error}");
    }
    let error = Greet::new(mebibyte).enqueue(&queue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(queue.counts().unwrap().total(), 0);
}

#[test]
fn the_first_error_of_a_request_is_the_one_that_is_reported() {
    let (_room, queue) = Workspace::with_queue();
    let error = Plain.metadata(7).metadata(json!({})).queue("").enqueue(&queue).unwrap_err();
    assert!(error.to_string().contains("metadata"), "{error}");
}

#[test]
fn a_job_by_name_is_checked_against_its_task_before_anything_is_stored() {
    let (_room, queue) = Workspace::with_queue();
    let by_name = JobRequest::<String>::by_name;
    let error = by_name("queue.great", &json!({"name": "Ann"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTask);
    assert!(error.to_string().contains("did you mean `queue.greet`?"), "{error}");
    let error = by_name("queue.greet", &json!({"nam": "Ann"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams);
    let named: Vec<_> = error.problems().iter().map(|it| it.param.as_str()).collect();
    assert_eq!(named, ["name", "nam"]);
    let error = by_name("queue.greet", &json!({"name": 7})).unwrap_err();
    assert!(error.to_string().contains("name: expected a string, found integer `7`"), "{error}");
    assert_eq!(queue.counts().unwrap().total(), 0);

    let _worker = Worker::new(&queue).task::<Greet>().start().unwrap();
    let handle =
        by_name("queue.greet", &json!({"name": "Ann"})).unwrap().priority(1).enqueue(&queue).unwrap();
    assert_eq!(handle.wait().unwrap(), "Hello Ann");
    assert_eq!((handle.job().unwrap().queue.as_str(), handle.job().unwrap().priority), ("letters", 1));
}

#[test]
fn clones_and_queues_opened_on_the_same_file_are_one_queue() {
    let (workspace, queue) = Workspace::with_queue();
    let (clone, again) = (queue.clone(), JobQueue::open(workspace.db()).unwrap());
    let _worker = Worker::new(&again).task::<Greet>().start().unwrap();
    assert_eq!(Greet::new("clone").enqueue(&clone).unwrap().wait().unwrap(), "Hello clone");
    assert_eq!(Greet::new("twin").enqueue(&queue).unwrap().wait().unwrap(), "Hello twin");
    assert_eq!(again.counts().unwrap(), queue.counts().unwrap());
    assert!(queue.location().ends_with("jobs.db") && queue.location() == again.location());
}

#[test]
fn jobs_outlive_the_queue_that_stored_them() {
    let workspace = Workspace::new();
    let id = Greet::new("Ann").enqueue(&JobQueue::open(workspace.db()).unwrap()).unwrap().id();
    let queue = JobQueue::open(workspace.db()).unwrap();
    let _worker = Worker::new(&queue).task::<Greet>().start().unwrap();
    assert_eq!(queue.handle::<String>(id).wait().unwrap(), "Hello Ann");
}

// -- inspect

#[test]
fn lists_are_newest_first_and_contain_the_jobs_that_meet_every_condition() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let (worker, events) = start_with_events(Worker::new(&queue).task::<Flaky>());
    let flaky = Flaky.enqueue(&queue).unwrap().id();
    events.until(|event| matches!(event, crate::support::OwnedEvent::Retrying { .. }));
    worker.stop().unwrap();
    let plain = Plain.enqueue(&queue).unwrap().id();
    let later = Plain.queue("other").delay(seconds(60)).enqueue(&queue).unwrap().id();
    let gone = Greet::new("x").enqueue(&queue).unwrap().id();
    queue.cancel(gone).unwrap();

    let list = |chosen: fn(Filter) -> Filter| ids(&queue.list(chosen(Filter::new())).unwrap());
    assert_eq!(list(|it| it), [gone, later, plain, flaky]);
    assert_eq!(list(|it| it.status(Status::Cancelled)), [gone]);
    assert_eq!(list(|it| it.status(Status::Pending)), [later, plain, flaky]);
    assert_eq!(list(|it| it.task_name("queue.plain")), [later, plain]);
    assert_eq!(list(|it| it.queue("other")), [later]);
    assert_eq!(list(|it| it.scheduled()), [later, flaky]);
    assert_eq!(list(|it| it.retrying()), [flaky]);
    assert_eq!(list(|it| it.scheduled().retrying()), [flaky]);
    assert_eq!(list(|it| it.retrying().status(Status::Failed)), []);
    clock.advance(seconds(60));
    assert_eq!(list(|it| it.scheduled()), [flaky]);

    let counts = queue.counts().unwrap();
    let of = Status::ALL.map(|status| counts.of(status));
    assert_eq!((of, counts.total()), ([3, 0, 0, 0, 1], 4));
}

#[test]
fn pages_have_no_gap_and_no_repeat_while_jobs_are_enqueued() {
    let (_room, queue) = Workspace::with_queue();
    let mut stored = queue.enqueue_all((0..7).map(|_| Plain)).unwrap();
    let page = |after: Option<Cursor>| {
        queue.list(after.into_iter().fold(Filter::new().limit(3), Filter::after)).unwrap()
    };
    let (mut seen, mut next) = (Vec::new(), None);
    loop {
        let page = page(next);
        seen.extend(ids(&page));
        Plain.enqueue(&queue).unwrap();
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    stored.reverse();
    assert_eq!(seen, stored);
}

// -- commands

#[test]
fn pending_jobs_can_be_cancelled_failed_ones_retried_and_those_not_running_deleted() {
    let (_room, queue, clock) = Workspace::with_manual_clock();
    let plain = Plain.delay(seconds(60)).enqueue(&queue).unwrap();
    let cancelled = queue.cancel(plain.id()).unwrap();
    assert_eq!((cancelled.status, cancelled.completed_at), (Status::Cancelled, Some(clock.now())));
    let retried = queue.retry(plain.id()).unwrap();
    assert_eq!((retried.status, retried.scheduled_at), (Status::Pending, clock.now()));
    assert_eq!((retried.retry_count, retried.completed_at), (0, None));
    assert_eq!(queue.delete(plain.id()).unwrap().status, Status::Pending);
    assert!(queue.get(plain.id()).unwrap().is_none());
    assert_eq!(plain.job().unwrap_err().kind(), ErrorKind::NotFound);
    for gone in [queue.retry(plain.id()), queue.cancel(plain.id()), queue.delete(plain.id())] {
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert!(Plain.enqueue(&queue).unwrap().id() > plain.id(), "an id was used twice");
}

#[test]
fn a_failed_job_that_is_retried_by_command_has_all_its_retries_again_and_keeps_its_history() {
    let (_room, queue) = Workspace::with_queue();
    let ((gate, _arrivals), wrong) = (Gate::new(), End::new("wrong"));
    gate.open();
    let _worker = Worker::new(&queue).task::<End>().state(gate).start().unwrap();
    let handle = wrong.enqueue(&queue).unwrap();
    assert_eq!(handle.wait().unwrap_err().kind(), ErrorKind::JobFailed);
    assert_eq!(queue.retry(handle.id()).unwrap().retry_count, 0);
    assert_eq!(handle.wait().unwrap_err().kind(), ErrorKind::JobFailed);
    assert_eq!((handle.job().unwrap().attempt, queue.attempts(handle.id()).unwrap().len()), (2, 2));
    queue.delete(handle.id()).unwrap();
    assert_eq!(queue.attempts(handle.id()).unwrap(), []);
}

#[test]
fn a_command_that_does_not_apply_is_a_conflict_with_a_help_line() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let _worker = Worker::new(&queue).task::<End>().state(gate.clone()).start().unwrap();
    let conflict = |answer: qdjobs::Result<qdjobs::Job>, words: &[&str]| {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(words.iter().all(|words| error.to_string().contains(words)), "{error}");
    };
    let due = Plain.enqueue(&queue).unwrap().id();
    conflict(queue.retry(due), &["is pending and cannot be retried", "a job that is due needs no retry"]);

    let running = End::new("well").enqueue(&queue).unwrap();
    arrivals.next();
    let (wait, only_its_task) = ("wait until it has ended", "only its task can cancel a running job");
    conflict(queue.retry(running.id()), &["is running and cannot be retried", wait]);
    conflict(queue.cancel(running.id()), &["is running and cannot be cancelled", only_its_task]);
    conflict(queue.delete(running.id()), &["is running and cannot be deleted", wait]);

    gate.open();
    running.wait().unwrap();
    conflict(queue.retry(running.id()), &["is completed and cannot be retried", "enqueue a new job"]);
    conflict(queue.cancel(running.id()), &["is completed and cannot be cancelled", "only a pending job"]);
    queue.delete(running.id()).unwrap();
}

// -- waiting

#[test]
fn every_waiter_gets_how_the_job_ended() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let _worker = Worker::new(&queue).task::<End>().state(gate.clone()).start().unwrap();
    let handles = ["well", "cancelled", "out of paper"].map(|how| End::new(how).enqueue(&queue).unwrap());
    let waiting = handles.clone().map(|handle| std::thread::spawn(move || handle.wait()));
    arrivals.next();
    gate.open();
    let [well, cancelled, failed] = waiting.map(|it| it.join().unwrap());
    assert_eq!(well.unwrap(), "well");
    assert_eq!(cancelled.as_ref().unwrap_err().kind(), ErrorKind::JobCancelled);
    assert!(cancelled.unwrap_err().to_string().contains("was cancelled: not wanted"));
    assert_eq!(failed.as_ref().unwrap_err().kind(), ErrorKind::JobFailed);
    assert!(failed.unwrap_err().to_string().contains("(queue.end) failed: out of paper"));
    // A later call gets the same at once.
    assert_eq!(handles[0].wait_timeout(DEADLINE).unwrap(), "well");
}

#[test]
fn a_wait_ends_when_the_job_is_cancelled_or_deleted_or_never_existed() {
    let (_room, queue) = Workspace::with_queue();
    let waits = || {
        let handle = Plain.enqueue(&queue).unwrap();
        // Submitted here, so that it is ahead of what follows.
        (handle.id(), queue.to_async().handle::<()>(handle.id()).into_future())
    };
    let (cancelled, end) = waits();
    queue.cancel(cancelled).unwrap();
    assert_eq!(block_on(end).unwrap_err().kind(), ErrorKind::JobCancelled);
    let (deleted, end) = waits();
    queue.delete(deleted).unwrap();
    assert_eq!(block_on(end).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(queue.handle::<()>(JobId(4711)).wait().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_wait_with_a_timeout_ends_at_it_and_the_job_continues() {
    let (_room, queue) = Workspace::with_queue();
    let handle = Greet::new("Ann").enqueue(&queue).unwrap();
    let error = handle.wait_timeout(Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("has not ended within 10ms"), "{error}");
    let _worker = Worker::new(&queue).task::<Greet>().start().unwrap();
    assert_eq!(handle.wait_timeout(DEADLINE).unwrap(), "Hello Ann");
}

#[test]
fn a_result_of_another_type_is_an_error_with_both_types() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Greet>().start().unwrap();
    let id = Greet::new("Ann").enqueue(&queue).unwrap().id();
    let error = queue.handle::<u32>(id).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResultType);
    assert!(error.to_string().contains(r#"string "Hello Ann", expected u32"#), "{error}");
    assert_eq!(queue.handle::<serde_json::Value>(id).wait().unwrap(), json!("Hello Ann"));
}

// -- in async code

#[test]
fn an_async_queue_answers_on_any_executor_and_a_handle_is_awaited_for_its_result() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Greet>().start().unwrap();
    let queue = queue.to_async();
    block_on(async {
        let handle = Greet::new("Ann").enqueue(&queue).await.unwrap();
        let id = handle.id();
        assert_eq!(handle.await.unwrap(), "Hello Ann");
        let card = Greet::new("Bob").queue("cards").enqueue(&queue).await.unwrap();
        assert_eq!(card.await.unwrap(), "Hello Bob");

        assert_eq!(queue.get(id).await.unwrap().unwrap().status, Status::Completed);
        assert_eq!(queue.attempts(id).await.unwrap().len(), 1);
        assert_eq!(queue.workers().await.unwrap().len(), 1);
        let ids = queue.enqueue_all([Plain, Plain]).await.unwrap();
        assert_eq!(queue.list(Filter::default()).await.unwrap().jobs[0].id, ids[1]);
        assert_eq!(queue.counts().await.unwrap().of(Status::Pending), 2);
        queue.cancel(ids[0]).await.unwrap();
        queue.retry(ids[0]).await.unwrap();
        assert_eq!(queue.delete(ids[0]).await.unwrap().id, ids[0]);
        let error = Plain.queue("").enqueue(&queue).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn an_async_enqueue_whose_future_is_dropped_has_enqueued() {
    let (_room, queue) = Workspace::with_queue();
    drop(Plain.enqueue(&queue.to_async()));
    // Written in order: once this is stored, the one before is.
    Plain.enqueue(&queue).unwrap();
    assert_eq!(queue.counts().unwrap().total(), 2);
}

// -- the end

#[test]
fn a_closing_queue_answers_every_waiter_and_refuses_later_requests() {
    let workspace = Workspace::new();
    let store = SqliteStore::open(&workspace.db(), SqliteOptions::default(), Clock::system()).unwrap();
    let queue = JobQueue::with_store(store.clone());
    let handle = Plain.enqueue(&queue).unwrap();
    let end = handle.clone().into_future();
    let stored: Vec<_> = (0..100).map(|_| Plain.enqueue(&queue.to_async())).collect();
    store.close();
    for it in stored {
        block_on(it).unwrap();
    }
    assert_eq!(block_on(end).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(Plain.enqueue(&queue).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(handle.job().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(handle.wait().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(Worker::new(&queue).task::<Plain>().start().unwrap_err().kind(), ErrorKind::Closed);
    store.close();
    assert_eq!(JobQueue::open(workspace.db()).unwrap().counts().unwrap().total(), 101);
}

#[test]
fn a_closed_queue_leaves_nothing_beside_its_file() {
    let workspace = Workspace::new();
    // Its two connections close one after the other: if they closed at the same moment, neither would be the
    // last, which cleans up.
    for _ in 0..100 {
        let queue = JobQueue::open(workspace.db()).unwrap();
        Plain.enqueue(&queue).unwrap();
        queue.counts().unwrap();
        drop(queue);
        assert_eq!(workspace.files(), ["jobs.db"]);
    }
}

#[test]
fn a_handle_keeps_its_queue_open() {
    let workspace = Workspace::new();
    let handle = Plain.enqueue(&JobQueue::open(workspace.db()).unwrap()).unwrap();
    assert_eq!(handle.job().unwrap().status, Status::Pending);
    let in_memory = Plain.enqueue(&JobQueue::options().clock(manual_clock()).in_memory()).unwrap();
    assert_eq!(in_memory.job().unwrap().created_at, manual_clock().now());
}
