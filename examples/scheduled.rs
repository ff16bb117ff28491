//! Jobs for later: after a while, at an instant, and in an order of importance.
//!
//! `cargo run --example scheduled`
#![expect(clippy::print_stdout, reason = "an example is there to be seen")]

use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::store::Filter;

/// Reminds somebody.
#[task("remind")]
fn remind(of: &str) {
    println!("remember {of}");
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::in_memory();
    let now = queue.clock().now();

    let tea = Remind::new("the tea").delay(Duration::from_millis(300)).enqueue(&queue)?;
    let walk = Remind::new("the walk").at(now + Duration::from_millis(100)).enqueue(&queue)?;
    let party = Remind::new("the party").delay(Duration::from_secs(86_400)).enqueue(&queue)?;
    let fire = Remind::new("the fire").priority(10).enqueue(&queue)?;
    let post = Remind::new("the post").enqueue(&queue)?;

    // The fire and the post at once, the fire first; then the walk, then the tea, each to the millisecond.
    let worker = Worker::new(&queue).concurrency(1).start()?;
    for job in [fire, post, walk, tea] {
        job.wait()?;
    }

    let mut later = Filter::default();
    later.scheduled = true;
    for job in queue.list(later)?.jobs {
        println!("job {} waits until {}", job.id, job.scheduled_at);
    }
    queue.cancel(party.id())?;
    worker.stop()
}
