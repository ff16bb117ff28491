//! How a failed task is retried: after its backoff, after a wait of its own, or not at all.
//!
//! `cargo run --example retries`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::time::Duration;

use qdjobs::prelude::*;

/// Calls a service that is down at first. Every error means: retry after the backoff.
#[task("fetch", retries = 5, backoff = fixed("20ms"))]
fn fetch(url: &str, ctx: &JobContext) -> Result<String, String> {
    match ctx.attempt() {
        1 | 2 => Err(format!("{url} does not answer")),
        attempt => Ok(format!("{url} answered at attempt {attempt}")),
    }
}

/// Decides by the error whether a retry makes sense.
#[task("charge", retries = 5)]
fn charge(card: &str, ctx: &JobContext) -> Result<(), TaskError> {
    match card {
        "expired" => Err(TaskError::permanent("the card has expired")),
        "limited" if ctx.attempt() == 1 => {
            Err(TaskError::retry_in(Duration::from_millis(20), "too many requests"))
        }
        "withdrawn" => Err(TaskError::cancel("the order was withdrawn")),
        _ => Ok(()),
    }
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::in_memory();
    let worker = Worker::new(&queue).start()?;

    let fetched = Fetch::new("https://example.com").enqueue(&queue)?;
    println!("{}", fetched.wait()?);
    for attempt in queue.attempts(fetched.id())? {
        println!("  attempt {}: {}", attempt.attempt, attempt.error.as_deref().unwrap_or("completed"));
    }

    for card in ["good", "limited", "expired", "withdrawn"] {
        let job = Charge::new(card).enqueue(&queue)?;
        let ended = job.wait();
        println!("{card}: {} after {} attempt(s), {ended:?}", job.job()?.status, job.job()?.attempt);
    }
    worker.stop()
}
