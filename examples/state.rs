//! Values that all jobs share, such as a client or a pool: the worker passes them to the tasks.
//!
//! `cargo run --example state`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::sync::atomic::{AtomicU64, Ordering};

use qdjobs::prelude::*;

/// Replaces the client of a service: made once, and used by every job.
struct Meter {
    unit: &'static str,
    total: AtomicU64,
}

/// Adds an amount to the total.
#[task("count")]
fn count(amount: u64, #[state] meter: &Meter) -> String {
    let total = meter.total.fetch_add(amount, Ordering::Relaxed) + amount;
    format!("{total} {}", meter.unit)
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::in_memory();

    // A worker without the state that its tasks need does not start. The error lists everything that is
    // missing.
    if let Err(error) = Worker::new(&queue).start() {
        println!("{error}\n");
    }

    let meter = Meter { unit: "kWh", total: AtomicU64::new(0) };
    let worker = Worker::new(&queue).concurrency(1).state(meter).start()?;
    for amount in [5, 7, 30] {
        println!("{}", Count::new(amount).enqueue(&queue)?.wait()?);
    }
    worker.stop()
}
