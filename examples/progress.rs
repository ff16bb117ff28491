//! A long job that reports its progress, and a program that reads it.
//!
//! `cargo run --example progress`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use qdjobs::prelude::*;

/// Replaces the work: a chapter is done when `main` has read the progress.
struct Signals(Mutex<(Sender<()>, Receiver<()>)>);

/// Copies a book, chapter by chapter.
#[task("copy_book")]
fn copy_book(chapters: u32, ctx: &JobContext, #[state] signals: &Signals) -> Result<u32, TaskError> {
    let signals = signals.0.lock().unwrap_or_else(PoisonError::into_inner);
    for chapter in 1..=chapters {
        // The worker stops, or the attempt has timed out: return early, and the job is retried.
        if ctx.should_stop() {
            return Err(TaskError::retry(format!("stopped before chapter {chapter}")));
        }
        ctx.progress_with(f64::from(chapter) / f64::from(chapters), format!("chapter {chapter}"));
        signals.0.send(()).map_err(TaskError::permanent)?;
        signals.1.recv().map_err(TaskError::permanent)?;
    }
    Ok(chapters)
}

fn main() -> qdjobs::Result<()> {
    let ((started, chapter_started), (proceed, proceeds)) = (channel(), channel());
    let queue = JobQueue::in_memory();
    let worker = Worker::new(&queue).state(Signals(Mutex::new((started, proceeds)))).start()?;
    let job = CopyBook::new(4).enqueue(&queue)?;

    while chapter_started.recv_timeout(Duration::from_secs(1)).is_ok() {
        if let Some(progress) = job.job()?.progress {
            println!("{:3.0} %  {}", progress.fraction * 100.0, progress.message.unwrap_or_default());
        }
        proceed.send(()).ok();
    }
    println!("{} chapters", job.wait()?);
    worker.stop()
}
