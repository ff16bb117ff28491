//! Catches SIGINT, SIGTERM and SIGQUIT: [`Requests`].
//!
//! Depends on signal_hook.

use std::io;

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;

/// The signals that ask the process to end, one after the other.
#[derive(Debug)]
pub(super) struct Requests(Signals);

impl Requests {
    pub(super) fn catch() -> io::Result<Requests> {
        Signals::new(TERM_SIGNALS).map(Requests)
    }

    /// Waits for the next signal and returns its number; `None` once they are closed.
    pub(super) fn next(&mut self) -> Option<i32> {
        self.0.forever().next()
    }

    /// Ends the wait for a signal.
    pub(super) fn closer(&self) -> impl Fn() + use<> {
        let handle = self.0.handle();
        move || handle.close()
    }
}
