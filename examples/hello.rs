//! The whole of it: a function, a file, a worker. No web, no async.
//!
//! `cargo run --example hello`
#![expect(clippy::print_stdout, reason = "an example is there to be seen")]

use qdjobs::prelude::*;

/// Greets somebody.
#[task("greet")]
fn greet(name: &str, times: u32) -> String {
    format!("Hello {name}! ").repeat(times as usize)
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::open("hello.db")?;

    // A job is stored durably when `enqueue` returns: it survives the end of this program, and of the machine.
    let job = Greet::new("Ann", 2).enqueue(&queue)?;
    println!("job {} is {}", job.id(), job.job()?.status);

    let worker = Worker::new(&queue).start()?;
    println!("{}", job.wait()?);
    worker.stop()
}
