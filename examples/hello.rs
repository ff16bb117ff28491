//! The shortest program: a function, a file and a worker, without a web service and without async.
//!
//! `cargo run --example hello`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use qdjobs::prelude::*;

/// Greets a person.
#[task("greet")]
fn greet(name: &str, times: u32) -> String {
    format!("Hello {name}! ").repeat(times as usize)
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::open("hello.db")?;

    // When `enqueue` returns, the job is durable: it survives a crash of this program and of the machine.
    let job = Greet::new("Ann", 2).enqueue(&queue)?;
    println!("job {} is {}", job.id(), job.job()?.status);

    let worker = Worker::new(&queue).start()?;
    println!("{}", job.wait()?);
    worker.stop()
}
