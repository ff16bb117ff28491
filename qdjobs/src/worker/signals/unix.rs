//! Catches SIGINT, SIGTERM and SIGQUIT: [`Requests`].
//!
//! Depends on signal_hook.

use std::io;

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;

use super::Request;

/// The signals that ask the process to end, one after the other.
#[derive(Debug)]
pub(super) struct Requests(Signals);

impl Requests {
    pub(super) fn catch() -> io::Result<Requests> {
        Signals::new(TERM_SIGNALS).map(Requests)
    }

    /// Waits for the next signal; `None` once they are closed. The system sets no limit to the stop.
    pub(super) fn next(&mut self) -> Option<Request> {
        self.0.forever().next().map(|signal| Request { signal, wait_max: None })
    }

    /// Ends the wait for a signal.
    pub(super) fn closer(&self) -> impl Fn() + use<> {
        let handle = self.0.handle();
        move || handle.close()
    }
}
