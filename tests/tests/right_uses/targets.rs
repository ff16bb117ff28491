//! What a job can be enqueued on, and how.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use qdjobs::JobId;
use qdjobs::prelude::*;

#[task("target.count")]
fn count(n: u8) -> u8 {
    n
}

#[task("target.greet")]
fn greet(name: &str) -> String {
    name.to_owned()
}

#[task("target.cleanup")]
fn cleanup() {}

fn by_reference(queue: &JobQueue) -> JobId {
    Count::new(1).enqueue(&queue).unwrap().id()
}

fn by_mutable_reference(queue: &mut JobQueue) -> JobId {
    Count::new(1).enqueue(&queue).unwrap().id()
}

#[test]
fn a_reference_to_any_pointer_to_the_queue_is_a_target() {
    let mut queue = JobQueue::in_memory();
    assert_eq!(Count::new(1).enqueue(&queue).unwrap().id(), JobId(1));
    assert_eq!(by_reference(&queue), JobId(2));
    assert_eq!(by_mutable_reference(&mut queue), JobId(3));
    let (arc, rc, boxed) = (Arc::new(queue.clone()), Rc::new(queue.clone()), Box::new(queue));
    assert_eq!(Count::new(1).enqueue(&arc).unwrap().id(), JobId(4));
    assert_eq!(Count::new(1).priority(1).enqueue(&rc).unwrap().id(), JobId(5));
    assert_eq!(Cleanup.enqueue(&boxed).unwrap().id(), JobId(6));
    assert_eq!(Cleanup.enqueue(&*arc).unwrap().id(), JobId(7));
}

static LAZY: LazyLock<JobQueue> = LazyLock::new(JobQueue::in_memory);

#[test]
fn a_lazy_static_is_a_target() {
    assert_eq!(Count::new(1).enqueue(&LAZY).unwrap().id(), JobId(1));
}

#[test]
fn a_reference_to_any_pointer_to_the_async_queue_is_a_target() {
    let queue = Arc::new(JobQueue::in_memory().to_async());
    let reference = &*queue;
    // The futures need not be awaited: the jobs are submitted.
    drop((Cleanup.enqueue(&queue), Cleanup.enqueue(&reference), Cleanup.enqueue(reference)));
}

#[test]
fn a_reference_to_any_pointer_to_a_transaction_is_a_target() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let queue = JobQueue::open(&file).unwrap();
    let mut connection = qdjobs::rusqlite::Connection::open(&file).unwrap();
    let mut tx = connection.transaction().unwrap();
    fn inside(tx: &mut qdjobs::rusqlite::Transaction<'_>) {
        Cleanup.enqueue(&tx).unwrap();
        Cleanup.enqueue(&*tx).unwrap();
        let shared = &*tx;
        Cleanup.enqueue(&shared).unwrap();
        Cleanup.enqueue(shared).unwrap();
    }
    inside(&mut tx);
    Cleanup.enqueue(&tx).unwrap();
    tx.commit().unwrap();
    assert_eq!(queue.counts().unwrap().of(qdjobs::Status::Pending), 5);
}

#[test]
fn jobs_with_different_results_are_enqueued_together() {
    let queue = JobQueue::in_memory();
    let jobs = vec![
        Count::new(1).request().any_result(),
        Greet::new("Ann").delay(Duration::from_secs(1)).any_result(),
        Cleanup.priority(2).any_result(),
    ];
    let ids = queue.enqueue_all(jobs).unwrap();
    assert_eq!(ids, [JobId(1), JobId(2), JobId(3)]);
    let names: Vec<String> = ids.iter().map(|id| queue.get(*id).unwrap().unwrap().task_name).collect();
    assert_eq!(names, ["target.count", "target.greet", "target.cleanup"]);
    let one = Count::new(7).request().any_result().enqueue(&queue).unwrap();
    let worker = Worker::new(&queue).task::<Count>().start().unwrap();
    assert_eq!(one.wait().unwrap(), serde_json::json!(7));
    worker.stop().unwrap();
}

#[test]
fn jobs_of_one_task_are_enqueued_together_without_a_type() {
    let queue = JobQueue::in_memory();
    assert_eq!(queue.enqueue_all(["a", "b"].map(Greet::new)).unwrap().len(), 2);
    assert_eq!(queue.enqueue_all((0..3).map(|n| Count::new(n).priority(1))).unwrap().len(), 3);
}
