//! Counts the calls of `Worker::run` that listen for signals: [`Listening`].
//!
//! While there is none, a signal has its default effect again: `unix.rs` asks [`NOBODY_LISTENS`]. On Windows, the
//! system asks tokio.
//!
//! Depends on std.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Read by handlers of signals, which may take no lock.
pub(super) static NOBODY_LISTENS: AtomicBool = AtomicBool::new(true);

static LISTENERS: Mutex<usize> = Mutex::new(0);

/// Notified when one of them ends.
static ENDED: Condvar = Condvar::new();

/// One call that listens, until this is dropped.
#[derive(Debug)]
pub(super) struct Listening(());

impl Listening {
    pub(super) fn begin() -> Listening {
        change(|listeners| listeners + 1);
        Listening(())
    }
}

/// Waits until no call listens.
pub(super) fn wait_for_the_others() {
    drop(ENDED.wait_while(lock(), |listeners| *listeners > 0).unwrap_or_else(PoisonError::into_inner));
}

impl Drop for Listening {
    fn drop(&mut self) {
        change(|listeners| listeners - 1);
        ENDED.notify_all();
    }
}

fn change(by: impl FnOnce(usize) -> usize) {
    let mut listeners = lock();
    *listeners = by(*listeners);
    NOBODY_LISTENS.store(*listeners == 0, Ordering::SeqCst);
}

fn lock() -> MutexGuard<'static, usize> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}
