//! Runs a worker until the system or a person asks the process to end: `Worker::run`.
//!
//! It decides only when to stop, and when not to wait; `stop.rs` decides how. `unix.rs` and `windows.rs` catch
//! the requests.
//!
//! Depends on one of the two files beside it.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;

use self::system::Requests;
use super::Worker;
use crate::model::error::{Error, ErrorKind, Result};
use crate::sync::spawn;

/// The exit status of a process that a signal has ended is this, plus the number of the signal.
const SIGNAL_STATUS: i32 = 128;

impl Worker {
    /// Runs the worker until the process gets SIGINT, SIGTERM or SIGQUIT, then stops it gracefully. On Windows,
    /// until Ctrl-C or Ctrl-Break, or until the console or the session is closed.
    ///
    /// A second signal ends the wait for running jobs: they are released and lose no retry. Then the process
    /// ends, with the status 128 plus the number of the signal. A third signal ends the process at once.
    pub fn run(self) -> Result<()> {
        // Before the signals are caught, which cannot be undone: if the start fails, a signal must still end the
        // program that tries again.
        let worker = self.start()?;
        let requests = match Requests::catch() {
            Ok(requests) => requests,
            Err(error) => return worker.stop().and(Err(not_caught(error))),
        };
        let (close, second, (stop, stopping)) =
            (requests.closer(), Arc::new(AtomicI32::new(0)), mpsc::channel());
        let (seen, hurry) = (second.clone(), worker.hurry());
        // On a thread of its own, since the caller's may be one of a runtime.
        let watcher = spawn("qdjobs-signals", move || watch(requests, &stop, &seen, hurry))?;
        // Fails only if the thread has ended, and then no request would be seen any more.
        let _ = stopping.recv();
        let stopped = worker.stop();
        close();
        let _ = watcher.join();
        match second.load(Ordering::Acquire) {
            0 => stopped,
            signal => std::process::exit(SIGNAL_STATUS + signal),
        }
    }
}

/// Stops the worker at the first request, hurries at the second, and ends the process at the third.
fn watch(mut requests: Requests, stop: &mpsc::Sender<()>, second: &AtomicI32, hurry: impl Fn()) {
    let mut is_stopping = false;
    while let Some(signal) = requests.next() {
        if !std::mem::replace(&mut is_stopping, true) {
            let _ = stop.send(());
            continue;
        }
        if second.swap(signal, Ordering::AcqRel) != 0 {
            std::process::exit(SIGNAL_STATUS + signal);
        }
        hurry();
    }
}

fn not_caught(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("the signals that end this process cannot be caught: {error}"))
        .help("call `Worker::start` instead of `run`, and `stop` when your program ends")
}
