//! A whole worker: its dispatcher, its pool, its supervisor, and the stop.

use qdjobs::prelude::*;
use qdjobs::{Durability, Status};
use shuttle::thread;

use crate::explore::{File, clock, explore, explore_at_random};

const ORDERS: usize = 200;

#[task("orders.double")]
fn double(n: u64) -> u64 {
    2 * n
}

#[test]
fn every_job_is_run_and_the_stop_finishes() {
    explore(ORDERS, || {
        let queue = JobQueue::options().clock(clock()).in_memory();
        run_jobs(&queue);
    });
}

#[test]
fn every_job_in_a_file_is_run_and_the_stop_finishes() {
    explore(ORDERS / 4, || {
        let file = File::new();
        let queue =
            JobQueue::options().clock(clock()).durability(Durability::Relaxed).open(file.path()).unwrap();
        run_jobs(&queue);
    });
}

fn run_jobs(queue: &JobQueue) {
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

/// Its timeout passes before the supervisor wakes up by itself, so each attempt wakes it. On a manual clock
/// it never passes.
#[task("orders.halve", timeout = "100ms")]
fn halve(n: u64) -> u64 {
    n / 2
}

#[test]
fn an_attempt_with_a_short_timeout_wakes_the_supervisor_and_neither_waits_for_the_other() {
    explore(ORDERS, || {
        let queue = JobQueue::options().clock(clock()).in_memory();
        let worker = Worker::new(&queue).concurrency(2).start().unwrap();
        let jobs = [2, 4, 6].map(|n| (n, Halve::new(n).enqueue(&queue).unwrap()));
        jobs.into_iter().for_each(|(n, job)| assert_eq!(job.wait().unwrap(), n / 2));
        worker.stop().unwrap();
    });
}

/// Ends when its timeout passes, the first time.
#[task("orders.obey_stop", timeout = "100ms", retries = 1)]
fn obey_stop(ctx: &JobContext) -> u32 {
    while ctx.attempt() == 1 && !ctx.should_stop() {
        thread::yield_now();
    }
    ctx.attempt()
}

#[test]
fn a_function_that_ends_while_it_times_out_keeps_no_slot_and_its_job_runs_again() {
    explore_at_random(ORDERS, || {
        let clock = clock();
        let queue = JobQueue::options().clock(clock.clone()).in_memory();
        let worker = Worker::new(&queue).concurrency(1).start().unwrap();
        let job = ObeyStop::new().enqueue(&queue).unwrap();
        let wait_for_status = |status| {
            while queue.get(job.id()).unwrap().unwrap().status != status {
                thread::yield_now();
            }
        };
        wait_for_status(Status::Running);
        // The job is claimed; its timeout starts when it begins.
        while queue.get(job.id()).unwrap().unwrap().status == Status::Running {
            clock.advance(std::time::Duration::from_millis(100));
            thread::yield_now();
        }
        // If it is claimed while the first attempt is not quite over, it is given back and retried later.
        // That may happen a few times, but not forever.
        let ended = (0..2_000).any(|_| {
            clock.advance(std::time::Duration::from_secs(10));
            thread::yield_now();
            queue.get(job.id()).unwrap().unwrap().status == Status::Completed
        });
        assert!(ended, "{:?}", queue.get(job.id()));
        assert_eq!(job.wait().unwrap(), 2);
        worker.stop().unwrap();
    });
}

#[test]
fn a_stop_midway_leaves_each_job_pending_or_completed() {
    explore(ORDERS, || stop_midway(&JobQueue::options().clock(clock()).in_memory()));
}

#[test]
fn a_stop_midway_leaves_each_job_of_a_file_pending_or_completed() {
    explore(ORDERS / 4, || {
        let file = File::new();
        let options = JobQueue::options().clock(clock()).durability(Durability::Relaxed);
        stop_midway(&options.open(file.path()).unwrap());
    });
}

fn stop_midway(queue: &JobQueue) {
    let worker = Worker::new(queue).concurrency(2).start().unwrap();
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
}
