//! The next version of `worker_process`: its task `noop` has another parameter. It runs jobs until its standard
//! input ends, and prints a line for each that it completes, as `worker_process` does.
//!
//! ```text
//! later_version work <db> --log <file>
//! ```
//!
//! Depends on the public interface of `qdjobs`.
#![expect(clippy::disallowed_methods, reason = "the process runs in real time")]

use std::fs::OpenOptions;
use std::io::Write;
use std::time::SystemTime;

use qdjobs::{Event, JobQueue, Worker, task};

/// In the version before, it has no `label`.
#[task("noop")]
fn noop(n: u64, label: String) -> String {
    format!("{n} {label}")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [_, db, _, log] = args.as_slice() else {
        return Err("see the header of later_version/main.rs".into());
    };
    let mut log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut report = move |what: std::fmt::Arguments<'_>| {
        let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let line = format!("{micros} {} {what}\n", std::process::id());
        // If the test no longer reads, the line does not matter.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        let _ = log.write_all(line.as_bytes());
    };
    let report = std::sync::Mutex::new(move |event: &Event<'_>| match event {
        Event::WorkerStarted { worker, .. } => report(format_args!("started {}", worker.0)),
        Event::Completed { id, .. } => report(format_args!("completed {id}")),
        Event::Postponed { id, .. } => report(format_args!("postponed {id}")),
        _ => {}
    });
    let worker = Worker::new(&JobQueue::open(db)?).on_event(move |event| {
        if let Ok(mut report) = report.lock() {
            report(event);
        }
    });
    let worker = worker.start()?;
    let _ = std::io::read_to_string(std::io::stdin())?;
    worker.stop()?;
    Ok(())
}
