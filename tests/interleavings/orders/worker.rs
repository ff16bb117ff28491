//! A whole worker: its dispatcher, its crew, its steward, and the stop.

use qdjobs::prelude::*;
use qdjobs::{Durability, Status};
use shuttle::thread;

use crate::explore::{File, clock, explore};

const ORDERS: usize = 200;

#[task("orders.double")]
fn double(n: u64) -> u64 {
    2 * n
}

#[test]
fn every_job_is_run_and_the_stop_comes_to_its_end() {
    explore(ORDERS, || {
        let queue = JobQueue::options().clock(clock()).in_memory();
        runs(&queue);
    });
}

#[test]
fn every_job_in_a_file_is_run_and_the_stop_comes_to_its_end() {
    explore(ORDERS / 4, || {
        let file = File::new();
        let queue =
            JobQueue::options().clock(clock()).durability(Durability::Relaxed).open(file.path()).unwrap();
        runs(&queue);
    });
}

fn runs(queue: &JobQueue) {
    let worker = Worker::new(queue).concurrency(2).start().unwrap();
    let callers: Vec<_> = (0..2)
        .map(|n| {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(Double::new(n).enqueue(&queue).unwrap().wait().unwrap(), 2 * n))
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    worker.stop().unwrap();
}

#[test]
fn a_stop_in_the_middle_leaves_each_job_waiting_or_done() {
    explore(ORDERS, || {
        let queue = JobQueue::options().clock(clock()).in_memory();
        let worker = Worker::new(&queue).concurrency(2).start().unwrap();
        let enqueues = {
            let queue = queue.clone();
            thread::spawn(move || [1, 2, 3].map(|n| Double::new(n).enqueue(&queue).unwrap().id()))
        };
        worker.stop().unwrap();
        for id in enqueues.join().unwrap() {
            let job = queue.get(id).unwrap().unwrap();
            let undone = job.status == Status::Pending && job.attempt == 0;
            assert!(undone || job.status == Status::Completed, "{job:?}");
        }
    });
}
