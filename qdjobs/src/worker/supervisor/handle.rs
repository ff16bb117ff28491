//! Wakes the supervisor from other threads: [`SupervisorHandle`].
//!
//! Does not decide what the supervisor does then: see the duties.
//!
//! Depends on the locks of `sync.rs` and the clock, so that a dispatcher can hold one without depending on
//! the supervisor.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::model::clock::ClockSubscriber;
use crate::model::job::WorkerId;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Wakes the supervisor of one worker.
#[derive(Clone, Debug)]
pub(in crate::worker) struct SupervisorHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Call>,
    called: Condvar,
    /// When the supervisor wakes on its own, in microseconds of the monotonic clock. A job with an earlier
    /// deadline wakes it.
    wakes_at: AtomicU64,
}

/// Why the supervisor was woken.
#[derive(Debug, Default)]
pub(super) struct Call {
    called: bool,
    /// The supervisor should end.
    pub(super) closed: bool,
    /// The store refused this worker id: it is not registered.
    pub(super) lease_lost: Option<WorkerId>,
}

impl SupervisorHandle {
    pub(super) fn new() -> SupervisorHandle {
        SupervisorHandle(Arc::default())
    }

    /// Wakes the supervisor if it would sleep past `deadline`.
    pub(in crate::worker) fn wake_by(&self, deadline: Duration) {
        if (deadline.as_micros() as u64) < self.0.wakes_at.load(Ordering::Acquire) {
            self.wake();
        }
    }

    /// Wakes the supervisor: an answer has arrived, or the store has halted.
    pub(in crate::worker) fn wake(&self) {
        self.0.call(|_| {});
    }

    /// Reports that the store refused `worker`.
    pub(in crate::worker) fn lease_lost(&self, worker: WorkerId) {
        self.0.call(|call| call.lease_lost = Some(worker));
    }

    /// Ends the supervisor.
    pub(in crate::worker) fn close(&self) {
        self.0.call(|call| call.closed = true);
    }

    #[cfg(test)]
    pub(in crate::worker) fn is_called(&self) -> bool {
        self.0.lock().called
    }

    // ---- For the supervisor ----

    /// A waker for the answers that the supervisor waits for.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    /// What to wake when a manual clock is advanced.
    pub(super) fn clock_subscriber(&self) -> Arc<dyn ClockSubscriber> {
        self.0.clone()
    }

    /// Takes the reasons. `closed` is kept.
    pub(super) fn take_call(&self) -> Call {
        let mut state = self.0.lock();
        let closed = state.closed;
        let call = std::mem::take(&mut *state);
        state.closed = closed;
        call
    }

    /// Sets when the supervisor wakes on its own.
    pub(super) fn set_wakes_at(&self, at: Duration) {
        self.0.wakes_at.store(at.as_micros() as u64, Ordering::Release);
    }

    /// Sleeps until woken, at most for `limit`.
    pub(super) fn sleep(&self, limit: Option<Duration>) {
        let (state, called) = (self.0.lock(), &self.0.called);
        let asleep = |call: &mut Call| !call.called;
        let state = match limit {
            None => called.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                called.wait_timeout_while(state, limit, asleep).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        drop(state);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Call> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, change: impl FnOnce(&mut Call)) {
        let mut state = self.lock();
        change(&mut state);
        state.called = true;
        self.called.notify_one();
    }
}

impl ClockSubscriber for Shared {
    fn clock_advanced(&self) {
        self.call(|_| {});
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.call(|_| {});
    }
}
