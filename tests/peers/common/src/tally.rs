//! Counts the jobs whose handler was called.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::{Params, Result};

/// What the handlers know.
#[derive(Debug, Default)]
pub struct Tally {
    calls: AtomicU64,
    /// The number of calls that a thread waits for; 0 while none does.
    goal: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
    reached: Condvar,
}

impl Tally {
    /// The whole work of a handler.
    pub fn note(&self, params: &Params) {
        if let Some(age) = params.age() {
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(age);
        }
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let goal = self.goal.load(Ordering::SeqCst);
        if goal > 0 && calls >= goal {
            // With the lock, so that no thread begins to wait between its check and its wait.
            let _held = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            self.reached.notify_all();
        }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits until there were so many calls.
    pub(crate) fn wait(&self, calls: u64, patience: Duration) -> Result<()> {
        self.goal.store(calls, Ordering::SeqCst);
        let held = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let few = |_: &mut Vec<Duration>| self.calls() < calls;
        let waited = self.reached.wait_timeout_while(held, patience, few);
        let (_held, late) = waited.unwrap_or_else(PoisonError::into_inner);
        self.goal.store(0, Ordering::SeqCst);
        if late.timed_out() {
            let seconds = patience.as_secs();
            return Err(format!("only {} of {calls} jobs have begun within {seconds} s", self.calls()).into());
        }
        Ok(())
    }

    /// The latencies of the timed jobs, in order of size.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latencies.sort_unstable();
        latencies
    }
}
