//! A queue in a fork of its process: refused at once, without harm to the parent's file and worker.

use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::{Error, ErrorKind, JobQueue};
use qdjobs_sim_disk::in_fork;

use crate::workspace::DEADLINE;

#[task("fork.add")]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

fn is_forked<T>(answer: Result<T, Error>) -> bool {
    answer.is_err_and(|error| error.kind() == ErrorKind::Forked && error.to_string().contains("a fork of it"))
}

#[test]
fn a_queue_in_a_forked_child_is_refused_and_the_parents_continues() {
    // On a real disk: this is about the locks of the operating system.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    let queue = JobQueue::open(&path).unwrap();
    let worker = Worker::new(&queue).task::<Add>().start().unwrap();
    assert_eq!(Add::new(1, 2).enqueue(&queue).unwrap().wait_timeout(DEADLINE).unwrap(), 3);
    let handle = Add::new(2, 2).delay(Duration::from_secs(10_000)).enqueue(&queue).unwrap();

    let lone = JobQueue::open(dir.path().join("lone.db")).unwrap();
    Add::new(5, 5).enqueue(&lone).unwrap();
    let mut ours = Some((worker, queue, handle, lone));
    for round in 0..20 {
        let child_fine = in_fork(DEADLINE, || {
            let (worker, queue, handle, lone) = ours.take().unwrap();
            let refused = is_forked(Add::new(3, 4).enqueue(&queue))
                && is_forked(queue.get(handle.id()))
                && is_forked(queue.counts())
                && is_forked(queue.cancel(handle.id()))
                && is_forked(handle.wait())
                && is_forked(Worker::new(&queue).task::<Add>().start())
                && is_forked(JobQueue::open(&path))
                && !queue.health().is_ok();
            queue.notify();
            let stopped = is_forked(worker.stop());
            // Dropped here, as a program would.
            drop((queue, handle, lone));
            refused && stopped
        });
        assert!(child_fine, "round {round}");
        let (_, queue, handle, lone) = ours.as_ref().unwrap();
        Add::new(5, 5).enqueue(lone).unwrap();
        assert_eq!(Add::new(round, 1).enqueue(queue).unwrap().wait_timeout(DEADLINE).unwrap(), round + 1);
        assert!(handle.job().is_ok());
    }
    let (worker, queue, handle, lone) = ours.take().unwrap();
    worker.stop().unwrap();
    assert_eq!(lone.counts().unwrap().total(), 21);
    drop((queue, handle, lone));
    let conn = qdjobs::rusqlite::Connection::open(&path).unwrap();
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
