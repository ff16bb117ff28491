//! Runs a worker until the process gets SIGINT, SIGTERM or SIGQUIT: `Worker::run`.
//!
//! It decides only when to stop; `stop.rs` decides how.
//!
//! Depends on `signal_hook`.

use crate::model::error::{Error, ErrorKind, Result};

use super::Worker;

impl Worker {
    /// Runs the worker until the process gets SIGINT, SIGTERM or SIGQUIT, then stops it gracefully. A second
    /// signal ends the process at once.
    pub fn run(self) -> Result<()> {
        let mut signals =
            signal_hook::iterator::Signals::new(signal_hook::consts::TERM_SIGNALS).map_err(|error| {
                Error::new(
                    ErrorKind::Config,
                    format!("the handlers of SIGINT, SIGTERM and SIGQUIT cannot be installed: {error}"),
                )
                .help("call `Worker::start` instead of `run`, and `stop` when your program ends")
            })?;
        let worker = self.start()?;
        signals.forever().next();
        // The stop can take as long as the shutdown timeout. A second signal ends the process without that
        // wait.
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                std::process::exit(128 + signal);
            }
        });
        worker.stop()
    }
}
