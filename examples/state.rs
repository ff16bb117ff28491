//! What tasks share (a client, a pool, a setting) comes from the worker, and is not stored with the job.
//!
//! `cargo run --example state`
#![expect(clippy::print_stdout, reason = "an example is there to be seen")]

use std::sync::atomic::{AtomicU64, Ordering};

use qdjobs::prelude::*;

/// Stands for a client of some service: made once, used by every job.
struct Meter {
    unit: &'static str,
    total: AtomicU64,
}

/// Counts what was used.
#[task("count")]
fn count(amount: u64, #[state] meter: &Meter) -> String {
    let total = meter.total.fetch_add(amount, Ordering::Relaxed) + amount;
    format!("{total} {}", meter.unit)
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::in_memory();

    // A worker that lacks what its tasks need does not start, and lists everything that is missing.
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
