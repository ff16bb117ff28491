//! Runs a worker until the system or a person asks the process to end: `Worker::run`.
//!
//! It decides only when to stop, and how long to wait; `stop.rs` decides how. `unix.rs` and `windows.rs` catch
//! the requests, and know how long the system waits; `listening.rs` counts who listens for them.
//!
//! Depends on `listening.rs` and on one of the two others.

mod listening;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use self::listening::Listening;
use self::system::Requests;
use super::Worker;
use crate::model::error::{Error, ErrorKind, Result};
use crate::sync::spawn;

/// The exit status of a process that a signal has ended is this, plus the number of the signal.
const SIGNAL_STATUS: i32 = 128;

/// A request that the process ends.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// The number of the signal.
    signal: i32,
    /// How long a stop may wait for running jobs, if the system then ends the process.
    wait_max: Option<Duration>,
}

impl Worker {
    /// Runs the worker until the process gets SIGINT, SIGTERM, SIGQUIT or, on Linux, SIGHUP, then stops it gracefully. On
    /// Windows, until Ctrl-C or Ctrl-Break, or until the console is closed; in a service also until a logoff or a
    /// shutdown.
    ///
    /// After the close of the console, a logoff or a shutdown, Windows ends the process within about 5 s. So the
    /// stop then releases the jobs that still run after 3 s, if the shutdown timeout is longer.
    ///
    /// A second signal ends the wait for running jobs: they are released and lose no retry. Then the process
    /// ends, with the status 128 plus the number of the signal. A third signal ends the process at once. Several SIGHUPs
    /// count as one, because a shell and the system both send it.
    ///
    /// Before the worker has started, and after `run` has returned, the signals have the effect that they had
    /// before the first call. By default, they end the process. SIGHUP, which a closed terminal sends, is caught
    /// only on Linux, and only if the program neither ignores it, as by `nohup`, nor handles it. Elsewhere than on Linux,
    /// the signals then end the process also if the program ignored or handled them before. A program that handles them
    /// itself, through tokio or signal-hook, must begin to do so before its first `run`.
    ///
    /// Several workers of a process may run so. Each signal goes to all of them. A worker that was started after the
    /// first signal counts from its own first one.
    pub fn run(self) -> Result<()> {
        // Before the signals are caught: if the start fails or hangs, a signal must end the process.
        let mut worker = self.start()?;
        let mut requests = match Requests::catch() {
            Ok(requests) => requests,
            Err(error) => return worker.stop().and(Err(not_caught(error))),
        };
        // Only now, since a signal must have one of the two effects at any time.
        let listening = Listening::begin();
        let (close, second, (stop, stopping)) =
            (requests.closer(), Arc::new(AtomicI32::new(0)), mpsc::channel());
        let (seen, stop_handle) = (second.clone(), worker.stop_handle());
        // On a thread of its own, since the caller's may be one of a runtime.
        let next = move || requests.next();
        let watcher =
            spawn("qdjobs-signals", move || watch(next, &stop, &seen, || stop_handle.release_now()))?;
        // Fails only if the thread has ended, and then no request would be seen any more.
        if let Ok(Request { wait_max: Some(limit), .. }) = stopping.recv() {
            worker.limit_shutdown_timeout(limit);
        }
        let stopped = worker.stop();
        // Before the requests are closed, so that no signal is lost between the two.
        drop(listening);
        close();
        let _ = watcher.join();
        match second.load(Ordering::Acquire) {
            0 => stopped,
            signal => {
                // Other workers must have released their jobs before the process ends.
                listening::wait_for_the_others();
                std::process::exit(SIGNAL_STATUS + signal)
            }
        }
    }
}

/// Stops the worker at the first request, does not wait any more at the second, and ends the process at the
/// third.
fn watch(
    mut next: impl FnMut() -> Option<Request>,
    stop: &mpsc::Sender<Request>,
    second: &AtomicI32,
    release_now: impl Fn(),
) {
    let mut is_stopping = false;
    while let Some(request) = next() {
        if !std::mem::replace(&mut is_stopping, true) {
            let _ = stop.send(request);
            continue;
        }
        if second.swap(request.signal, Ordering::AcqRel) != 0 {
            std::process::exit(SIGNAL_STATUS + request.signal);
        }
        release_now();
    }
}

fn not_caught(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("the signals that end this process cannot be caught: {error}"))
        .help("call `Worker::start` instead of `run`, and `stop` when your program ends")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[task("tests.signals.idle")]
    fn idle() {}

    #[test]
    fn the_first_request_limits_the_wait_of_the_stop_and_any_second_one_ends_it() {
        let close = Request { signal: 2, wait_max: Some(Duration::from_secs(3)) };
        let interrupt = Request { signal: 2, wait_max: None };
        for (first, second) in [(close, interrupt), (interrupt, close)] {
            let (stop, stopping) = mpsc::channel();
            let (seen, released) = (AtomicI32::new(0), AtomicI32::new(0));
            let mut requests = [first, second].into_iter();
            watch(
                || requests.next(),
                &stop,
                &seen,
                || {
                    assert_eq!(released.fetch_add(1, Ordering::Relaxed), 0);
                },
            );
            assert_eq!(stopping.try_iter().map(|it| it.wait_max).collect::<Vec<_>>(), [first.wait_max]);
            assert_eq!((seen.into_inner(), released.into_inner()), (2, 1));
        }
    }

    #[test]
    fn a_limit_shortens_the_shutdown_timeout_and_never_lengthens_it() {
        let queue = JobQueue::in_memory();
        for [timeout, limit, expected] in [[25, 3, 3], [1, 3, 1]].map(|it| it.map(Duration::from_secs)) {
            let (sender, events) = mpsc::channel();
            let worker =
                Worker::new(&queue).task::<Idle>().shutdown_timeout(timeout).on_event(move |event| {
                    if let crate::Event::WorkerStopping { left, .. } = event {
                        sender.send(*left).ok();
                    }
                });
            let mut worker = worker.start().unwrap();
            worker.limit_shutdown_timeout(limit);
            worker.stop().unwrap();
            assert_eq!(events.recv(), Ok(expected));
        }
    }
}
