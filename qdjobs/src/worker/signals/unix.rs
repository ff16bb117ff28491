//! Catches SIGINT, SIGTERM, SIGQUIT and SIGHUP while a worker listens: [`Requests`].
//!
//! Which signals are caught, and what they do while no worker listens, is decided here before the first one is
//! caught. How many workers listen is counted in `listening.rs`.
//!
//! Depends on signal_hook, and on `/proc` of Linux.

use std::io;
use std::sync::{Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, TERM_SIGNALS};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;

use super::Request;
use super::listening::NOBODY_LISTENS;

/// The signals to catch; `None` before the first call.
static CAUGHT: Mutex<Option<Vec<i32>>> = Mutex::new(None);

/// The signals that ask the process to end, one after the other.
#[derive(Debug)]
pub(super) struct Requests {
    signals: Signals,
    /// Whether SIGHUP has come.
    is_hung_up: bool,
}

impl Requests {
    pub(super) fn catch() -> io::Result<Requests> {
        let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
        if caught.is_none() {
            *caught = Some(first_catch()?);
        }
        Ok(Requests { signals: Signals::new(caught.iter().flatten())?, is_hung_up: false })
    }

    /// Waits for the next signal. Once they are closed, it returns those that came before, then `None`. The system sets
    /// no limit to the stop.
    pub(super) fn next(&mut self) -> Option<Request> {
        loop {
            let signal = self.signals.forever().next().or_else(|| self.signals.pending().next())?;
            // The shell and the system both send it when a terminal is closed, which is one request.
            if signal != SIGHUP || !std::mem::replace(&mut self.is_hung_up, true) {
                return Some(Request { signal, wait_max: None });
            }
        }
    }

    /// Ends the wait for a signal.
    pub(super) fn closer(&self) -> impl Fn() + use<> {
        let handle = self.signals.handle();
        move || handle.close()
    }
}

/// Decides which signals are caught, and gives them their default effect for the time when no worker listens.
///
/// signal_hook never removes its handler from a signal. Without the second part, a signal would have no effect
/// any more after the first `run`.
fn first_catch() -> io::Result<Vec<i32>> {
    let before = Dispositions::of_this_process();
    let mut signals = TERM_SIGNALS.to_vec();
    // `nohup` ignores this signal, and some programs read their configuration again by it. Where neither can be
    // known, it is not caught.
    if before.as_ref().is_some_and(|before| before.is_default(SIGHUP)) {
        signals.push(SIGHUP);
    }
    for &signal in &signals {
        // A signal that the program ignores or handles itself keeps that effect, where it is known.
        if before.as_ref().is_none_or(|before| before.is_default(signal)) {
            register_conditional_default(signal, &NOBODY_LISTENS)?;
        }
    }
    Ok(signals)
}

/// What signals do in a process, one bit for each.
#[derive(Debug, PartialEq, Eq)]
struct Dispositions {
    ignored: u64,
    handled: u64,
}

impl Dispositions {
    /// `None` where the system does not say it in a file, as all but Linux.
    fn of_this_process() -> Option<Dispositions> {
        Dispositions::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Dispositions> {
        let mask = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(value.trim(), 16).ok()
        };
        Some(Dispositions { ignored: mask("SigIgn:")?, handled: mask("SigCgt:")? })
    }

    fn is_default(&self, signal: i32) -> bool {
        (self.ignored | self.handled) & (1 << (signal - 1)) == 0
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGINT, SIGTERM};

    use super::*;

    #[test]
    fn the_dispositions_of_signals_are_read_from_the_status_of_a_process() {
        let status =
            "Name:\tsh\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000004000\n";
        let read = Dispositions::parse(status).unwrap();
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| read.is_default(signal)), [false, true, false]);
        for unknown in ["", "SigIgn:\t1\n", "SigIgn:\t1\nSigCgt:\tnone\n"] {
            assert_eq!(Dispositions::parse(unknown), None);
        }
    }
}
