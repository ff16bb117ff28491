//! What a task may wait for: not for a job that may need its own thread.

use std::rc::Rc;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::{ErrorKind, JobId};

use crate::support::{DEADLINE, Soon, Workspace};

#[task("waits.child")]
fn child(number: u32) -> u32 {
    number
}

/// The kind of an error with its text, which a job can return.
fn shown(result: qdjobs::Result<u32>) -> (String, String) {
    match result {
        Ok(number) => ("no error".to_owned(), number.to_string()),
        Err(error) => (format!("{:?}", error.kind()), error.to_string()),
    }
}

#[task("waits.wait")]
fn wait(ctx: &JobContext) -> Result<(String, String), qdjobs::Error> {
    Ok(shown(Child::new(1).enqueue(ctx.queue())?.wait()))
}

#[task("waits.wait_in_poll")]
async fn wait_in_poll(ctx: &JobContext) -> Result<(String, String), qdjobs::Error> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(shown(Child::new(1).enqueue(ctx.queue())?.wait()))
}

#[task("waits.wait_on_one_thread")]
async fn wait_on_one_thread(ctx: &JobContext) -> Result<(String, String), qdjobs::Error> {
    let stays = Rc::new(());
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(stays);
    Ok(shown(Child::new(1).enqueue(ctx.queue())?.wait()))
}

#[task("waits.wait_by_another_queue")]
fn wait_by_another_queue(ctx: &JobContext) -> Result<(String, String), qdjobs::Error> {
    let again = JobQueue::open(ctx.queue().location())?;
    Ok(shown(Child::new(1).enqueue(&again)?.wait()))
}

#[test]
fn a_task_that_would_wait_for_a_job_of_its_own_queue_gets_an_error_and_does_not_hang() {
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).concurrency(1).task::<Child>().task::<Wait>().task::<WaitInPoll>();
    let _worker = worker.task::<WaitOnOneThread>().task::<WaitByAnotherQueue>().start().unwrap();
    let waits = [
        Wait::new().enqueue(&queue).unwrap(),
        WaitInPoll::new().enqueue(&queue).unwrap(),
        WaitOnOneThread::new().enqueue(&queue).unwrap(),
        WaitByAnotherQueue::new().enqueue(&queue).unwrap(),
    ];
    for handle in waits {
        let (kind, text) = handle.soon().unwrap();
        assert_eq!(kind, format!("{:?}", ErrorKind::Config), "{text}");
        assert!(text.contains("(waits.child) has not ended") && text.contains("`async fn`"), "{text}");
    }
}

#[task("waits.await_child")]
async fn await_child(ctx: &JobContext) -> Result<u32, qdjobs::Error> {
    Child::new(2).enqueue(&ctx.queue().to_async()).await?.await
}

#[task("waits.give_up")]
fn give_up(ctx: &JobContext) -> Result<(String, String), qdjobs::Error> {
    Ok(shown(Child::new(3).enqueue(ctx.queue())?.wait_timeout(Duration::from_millis(1))))
}

#[task("waits.read")]
fn read(ended: i64, ctx: &JobContext) -> Result<u32, qdjobs::Error> {
    ctx.queue().handle(JobId(ended)).wait()
}

/// A queue with a worker of its own.
struct Elsewhere(JobQueue);

#[task("waits.wait_elsewhere")]
fn wait_elsewhere(#[state] elsewhere: &Elsewhere) -> Result<u32, qdjobs::Error> {
    Child::new(5).enqueue(&elsewhere.0)?.wait()
}

#[task("waits.wait_on_a_thread")]
fn wait_on_a_thread(ctx: &JobContext) -> Result<u32, qdjobs::Error> {
    let child = Child::new(6).enqueue(ctx.queue())?;
    let waiting = std::thread::spawn(move || child.wait());
    waiting.join().unwrap()
}

#[test]
fn a_task_may_wait_for_what_does_not_need_its_thread() {
    let (_room, queue) = Workspace::with_queue();
    let (other, here) = (JobQueue::in_memory(), JobQueue::in_memory());
    let _there = Worker::new(&other).task::<Child>().start().unwrap();
    let _worker = Worker::new(&queue)
        .concurrency(1)
        .task::<Child>()
        .task::<AwaitChild>()
        .task::<GiveUp>()
        .task::<Read>()
        .task::<WaitElsewhere>()
        .state(Elsewhere(other.clone()))
        .start()
        .unwrap();
    assert_eq!(AwaitChild::new().enqueue(&queue).unwrap().soon().unwrap(), 2);
    let (kind, _) = GiveUp::new().enqueue(&queue).unwrap().soon().unwrap();
    assert_eq!(kind, format!("{:?}", ErrorKind::Timeout));
    let ended = Child::new(4).enqueue(&queue).unwrap();
    assert_eq!(ended.soon().unwrap(), 4);
    assert_eq!(Read::new(ended.id().0).enqueue(&queue).unwrap().soon().unwrap(), 4);
    assert_eq!(WaitElsewhere::new().enqueue(&queue).unwrap().soon().unwrap(), 5);
    // Two queues in memory are two queues, and a thread of the task's own is not seen.
    let _here = Worker::new(&here)
        .concurrency(2)
        .task::<Child>()
        .task::<WaitElsewhere>()
        .task::<WaitOnAThread>()
        .state(Elsewhere(other.clone()))
        .start()
        .unwrap();
    assert_eq!(WaitElsewhere::new().enqueue(&here).unwrap().soon().unwrap(), 5);
    assert_eq!(WaitOnAThread::new().enqueue(&here).unwrap().wait_timeout(DEADLINE).unwrap(), 6);
}
