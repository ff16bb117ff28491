//! What a worker reports of its jobs and of its stop.

use std::sync::mpsc::channel;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::{Event, JobId};

use crate::support::{DEADLINE, Gate, OwnedEvent, Workspace, seconds, start_with_events};

#[task("events.wait", queue = "slow")]
fn wait(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
}

#[task("events.wait_async")]
async fn wait_async(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass(ctx).await;
}

#[test]
fn the_start_of_an_attempt_is_reported_with_its_queue() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, _arrivals) = Gate::new();
    gate.open();
    let worker = Worker::new(&queue).task::<Wait>().task::<WaitAsync>().state(gate);
    let (_worker, events) = start_with_events(worker);
    let slow = Wait::new().enqueue(&queue).unwrap().id();
    events.expect(OwnedEvent::Started { id: slow, queue: "slow".into(), attempt: 1 });
    events.expect(OwnedEvent::Completed(slow));
    let other = WaitAsync::new().queue("other").enqueue(&queue).unwrap().id();
    events.expect(OwnedEvent::Started { id: other, queue: "other".into(), attempt: 1 });
    events.expect(OwnedEvent::Completed(other));
}

/// Which attempts have started or ended: the kind of the event, and what it names.
type Named = (&'static str, JobId, String, String, u32);

/// What an event of an attempt names, if it is one.
fn named(event: &Event<'_>) -> Option<Named> {
    let (kind, id, task_name, queue, attempt) = match *event {
        Event::AttemptStarted { id, task_name, queue, attempt, .. } => {
            ("started", id, task_name, queue, attempt)
        }
        Event::Completed { id, task_name, queue, attempt, .. } => {
            ("completed", id, task_name, queue, attempt)
        }
        Event::Retrying { id, task_name, queue, attempt, .. } => ("retrying", id, task_name, queue, attempt),
        Event::Postponed { id, task_name, queue, attempt, .. } => {
            ("postponed", id, task_name, queue, attempt)
        }
        Event::Failed { id, task_name, queue, attempt, .. } => ("failed", id, task_name, queue, attempt),
        Event::Cancelled { id, task_name, queue, attempt, .. } => {
            ("cancelled", id, task_name, queue, attempt)
        }
        Event::Released { id, task_name, queue, attempt, .. } => ("released", id, task_name, queue, attempt),
        Event::ResultDiscarded { id, task_name, queue, attempt, .. } => {
            ("discarded", id, task_name, queue, attempt)
        }
        _ => return None,
    };
    Some((kind, id, task_name.to_owned(), queue.to_owned(), attempt))
}

#[task("events.end")]
fn end(how: String) -> Result<(), TaskError> {
    match how.as_str() {
        "retrying" => Err(TaskError::retry_in(seconds(60), "not yet")),
        "failed" => Err(TaskError::permanent("never")),
        "cancelled" => Err(TaskError::cancel("not needed")),
        _ => Ok(()),
    }
}

#[test]
fn each_attempt_that_starts_ends_with_one_event_that_names_its_task_and_its_queue() {
    // No job becomes due again.
    let (workspace, queue, _clock) = Workspace::with_manual_clock();
    let (gate, arrivals) = Gate::new();
    let (sender, told) = channel();
    let worker = Worker::new(&queue)
        .task::<End>()
        .task::<Wait>()
        .task::<WaitAsync>()
        .state(gate)
        .shutdown_timeout(Duration::ZERO)
        .on_event(move |event| named(event).into_iter().for_each(|it| drop(sender.send(it))))
        .start()
        .unwrap();
    let next = || told.recv_timeout(DEADLINE).expect("an event of an attempt");
    let started_and = |kind: &'static str, id: JobId, task: &str| {
        assert_eq!(next(), ("started", id, task.to_owned(), "here".to_owned(), 1));
        assert_eq!(next(), (kind, id, task.to_owned(), "here".to_owned(), 1));
    };
    for kind in ["completed", "retrying", "failed", "cancelled"] {
        started_and(kind, End::new(kind).queue("here").enqueue(&queue).unwrap().id(), "events.end");
    }
    let unfit = "INSERT INTO qdjobs_jobs (task_name, queue, params, scheduled_at) VALUES ('events.end', 'here', '{}', 0)";
    let conn = workspace.connection();
    conn.execute(unfit, []).unwrap();
    started_and("postponed", JobId(conn.last_insert_rowid()), "events.end");

    // One on a thread, one on the executor; neither ends.
    for (id, task) in [
        (Wait::new().queue("here").enqueue(&queue).unwrap().id(), "events.wait"),
        (WaitAsync::new().queue("here").enqueue(&queue).unwrap().id(), "events.wait_async"),
    ] {
        assert_eq!(next(), ("started", id, task.to_owned(), "here".to_owned(), 1));
        assert_eq!(arrivals.next(), id);
    }
    worker.stop().unwrap();
    let mut released: Vec<_> =
        told.try_iter().map(|(kind, _, task, queue, attempt)| (kind, task, queue, attempt)).collect();
    released.sort();
    let expected =
        ["events.wait", "events.wait_async"].map(|task| ("released", task.into(), "here".into(), 1));
    assert_eq!(released, expected);
}

#[test]
fn an_attempt_that_has_lost_its_job_ends_with_an_event_even_if_it_is_to_be_released() {
    let (workspace, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let (sender, told) = channel();
    let worker = Worker::new(&queue)
        .task::<Wait>()
        .state(gate)
        .shutdown_timeout(Duration::ZERO)
        .on_event(move |event| named(event).into_iter().for_each(|it| drop(sender.send(it))))
        .start()
        .unwrap();
    let id = Wait::new().enqueue(&queue).unwrap().id();
    arrivals.next();
    // As after a lost lease: the attempt no longer holds the job.
    let taken = "UPDATE qdjobs_jobs SET attempt = attempt + 1 WHERE id = ?1";
    assert_eq!(workspace.connection().execute(taken, [id.0]).unwrap(), 1);
    worker.stop().unwrap();
    let kinds: Vec<_> =
        told.try_iter().map(|(kind, _, task, queue, attempt)| (kind, task, queue, attempt)).collect();
    let about = |kind: &'static str| (kind, "events.wait".to_owned(), "slow".to_owned(), 1);
    assert_eq!(kinds, [about("started"), about("discarded")]);
}

#[test]
fn the_start_of_a_worker_is_reported_with_its_queues() {
    let (_room, queue) = Workspace::with_queue();
    for (queues, expected) in
        [(None, None), (Some(["mail", "slow"]), Some(vec!["mail".to_owned(), "slow".to_owned()]))]
    {
        let (sender, told) = channel();
        let worker = Worker::new(&queue).task::<End>().on_event(move |event| {
            if let Event::WorkerStarted { tasks, queues, .. } = event {
                let tasks: Vec<_> = tasks.iter().map(ToString::to_string).collect();
                drop(sender.send((tasks, queues.map(<[String]>::to_vec))));
            }
        });
        let worker = match queues {
            Some(queues) => worker.queues(queues),
            None => worker,
        };
        drop(worker.start().unwrap());
        assert_eq!(told.recv_timeout(DEADLINE).unwrap(), (vec!["events.end".to_owned()], expected));
    }
}

#[test]
fn a_stop_that_waits_names_the_jobs_that_still_run_at_most_once_a_second() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let limit = seconds(3_600);
    let worker = Worker::new(&queue).task::<Wait>().task::<WaitAsync>().shutdown_timeout(limit);
    let (worker, events) = start_with_events(worker.state(gate.clone()));
    let slow = (Wait::new().enqueue(&queue).unwrap().id(), "events.wait".to_owned(), "slow".to_owned());
    let other = WaitAsync::new().queue("other").enqueue(&queue).unwrap().id();
    let other = (other, "events.wait_async".to_owned(), "other".to_owned());
    arrivals.take(2);
    let stop = std::thread::spawn(move || worker.stop());
    events.expect(OwnedEvent::WorkerStopping);
    let mut latest = limit;
    // The time that is left proves the distance, however late the test sees the event.
    let mut waits = || {
        let OwnedEvent::StopWaits { jobs, left } =
            events.until(|event| matches!(event, OwnedEvent::StopWaits { .. }))
        else {
            unreachable!()
        };
        assert!(left + seconds(1) <= latest, "{left:?} after {latest:?}");
        latest = left;
        jobs
    };
    for _ in 0..2 {
        assert_eq!(waits(), [slow.clone(), other.clone()]);
    }
    gate.admit(1);
    let rest = loop {
        let rest = waits();
        if rest.len() < 2 {
            break rest;
        }
    };
    assert!(rest == [slow] || rest == [other], "{rest:?}");
    gate.open();
    stop.join().unwrap().unwrap();
    let is_end = |event: &OwnedEvent| matches!(event, OwnedEvent::WorkerStopped { .. });
    assert_eq!(events.until(is_end), OwnedEvent::WorkerStopped { released: 0 });
}
