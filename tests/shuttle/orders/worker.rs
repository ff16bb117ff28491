//! A whole worker: its dispatcher, its pool, its supervisor, and the stop.

use qdjobs::prelude::*;
use qdjobs::{Durability, Status};
use shuttle::thread;

use crate::explore::{File, clock, explore, explore_by_chance};

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

/// A limit that ends before the supervisor looks again by itself: each attempt calls it. On a held clock it never passes.
#[task("orders.halve", timeout = "100ms")]
fn halve(n: u64) -> u64 {
    n / 2
}

#[test]
fn an_attempt_that_is_soon_overdue_calls_the_steward_and_neither_waits_for_the_other() {
    explore(ORDERS, || {
        let queue = JobQueue::options().clock(clock()).in_memory();
        let worker = Worker::new(&queue).concurrency(2).start().unwrap();
        let jobs = [2, 4, 6].map(|n| (n, Halve::new(n).enqueue(&queue).unwrap()));
        jobs.into_iter().for_each(|(n, job)| assert_eq!(job.wait().unwrap(), n / 2));
        worker.stop().unwrap();
    });
}

/// Ends at the word of its timeout, the first time.
#[task("orders.heed", timeout = "100ms", retries = 1)]
fn heed(ctx: &JobContext) -> u32 {
    while ctx.attempt() == 1 && !ctx.should_stop() {
        thread::yield_now();
    }
    ctx.attempt()
}

#[test]
fn a_function_that_ends_while_it_is_given_up_on_keeps_no_place_and_its_job_runs_again() {
    explore_by_chance(ORDERS, || {
        let clock = clock();
        let queue = JobQueue::options().clock(clock.clone()).in_memory();
        let worker = Worker::new(&queue).concurrency(1).start().unwrap();
        let job = Heed::new().enqueue(&queue).unwrap();
        let comes_to = |status| {
            while queue.get(job.id()).unwrap().unwrap().status != status {
                thread::yield_now();
            }
        };
        comes_to(Status::Running);
        // It is claimed; its limit begins when it does.
        while queue.get(job.id()).unwrap().unwrap().status == Status::Running {
            clock.advance(std::time::Duration::from_millis(100));
            thread::yield_now();
        }
        // ClaimedJob while the first attempt is not quite over, it goes back for a while; and so it may go some times, but not for ever.
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
fn a_stop_in_the_middle_leaves_each_job_waiting_or_done() {
    explore(ORDERS, || stops(&JobQueue::options().clock(clock()).in_memory()));
}

#[test]
fn a_stop_in_the_middle_leaves_each_job_of_a_file_waiting_or_done() {
    explore(ORDERS / 4, || {
        let file = File::new();
        let options = JobQueue::options().clock(clock()).durability(Durability::Relaxed);
        stops(&options.open(file.path()).unwrap());
    });
}

fn stops(queue: &JobQueue) {
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
