//! Code of the user that panics in a way that could take a thread of the worker with it.

use std::time::Duration;

use qdjobs::prelude::*;

use crate::support::{Soon, Workspace};

#[task("panics.echo")]
fn echo(number: u32) -> u32 {
    number
}

/// A payload whose drop panics, with a payload that does so again.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

fn explode(_: u32) -> Duration {
    std::panic::panic_any(Bomb)
}

#[task("panics.explode", retries = 0)]
fn explode_on_a_thread() {
    std::panic::panic_any(Bomb)
}

#[task("panics.explode_async", retries = 0)]
async fn explode_in_a_future() {
    std::panic::panic_any(Bomb)
}

#[task("panics.explode_in_backoff", retries = 1, backoff = explode)]
fn explode_in_backoff() -> Result<(), &'static str> {
    Err("boom")
}

#[test]
fn a_panic_whose_payload_panics_when_it_is_dropped_ends_one_attempt_and_no_thread() {
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).concurrency(1).async_concurrency(1);
    let worker = worker.task::<ExplodeOnAThread>().task::<ExplodeInAFuture>().task::<ExplodeInBackoff>();
    let worker = worker.task::<Echo>().on_event(|_| std::panic::panic_any(Bomb)).start().unwrap();
    for _ in 0..3 {
        for id in [
            ExplodeOnAThread.enqueue(&queue).unwrap().id(),
            ExplodeInAFuture.enqueue(&queue).unwrap().id(),
            ExplodeInBackoff.enqueue(&queue).unwrap().id(),
        ] {
            let error = queue.handle::<()>(id).soon().unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
    }
    // Each thread still takes jobs.
    assert_eq!(Echo::new(7).enqueue(&queue).unwrap().soon().unwrap(), 7);
    worker.stop().unwrap();
}
