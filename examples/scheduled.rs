//! Jobs with a delay, at an instant, and with a priority.
//!
//! `cargo run --example scheduled`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::store::Filter;

/// Prints a reminder.
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

    // The fire and the post are due at once, and the fire has the higher priority. Then the walk, then the
    // tea.
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
