//! The interface of a supervisor's duty: the trait [`Duty`], the time of its [`NextRun`], and the shared
//! [`Supervised`].
//!
//! Contains no duty. A new duty is a struct in a file of its own that implements `Duty`, and one line in
//! `Supervisor::new`.
//!
//! Depends on the dispatchers and on what a worker shares.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::event::Event;
use crate::model::job::WorkerId;
use crate::store::{Pending, Store};

use super::super::dispatcher::Dispatcher;
use super::super::shared::WorkerShared;
use super::handle::SupervisorHandle;

/// After an error of the store, a duty runs again after this time.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// One duty of the supervisor, with the state it needs.
pub(super) trait Duty: Send {
    /// Does what is due at `now` of the monotonic clock, and returns when to run again.
    ///
    /// A duty never waits, because a wait would delay all other duties. It submits its requests to the store
    /// and polls their answers with [`Supervised::poll`]; an answer that arrives makes the supervisor step
    /// all duties.
    fn step(&mut self, worker: &mut Supervised, now: Duration) -> NextRun;

    /// Called when the supervisor should end. Finishes what must not stay incomplete. Returns whether the
    /// supervisor may end now.
    fn close(&mut self, _worker: &mut Supervised) -> bool {
        true
    }

    /// Whether the duty ends when the store has halted.
    fn needs_store(&self) -> bool {
        true
    }
}

/// When the supervisor must run again, if nothing wakes it before.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct NextRun {
    /// On the monotonic clock.
    pub(in crate::worker) at: Duration,
    /// From now, in real time, even with a manual clock.
    pub(in crate::worker) within: Option<Duration>,
}

impl NextRun {
    /// Far in the future. In microseconds, it still fits 64 bits.
    pub(super) const NEVER: NextRun = NextRun::at(Duration::from_secs(1 << 40));

    pub(super) const fn at(at: Duration) -> NextRun {
        NextRun { at, within: None }
    }

    /// Whichever of the two comes first.
    pub(super) fn or_earlier(self, other: NextRun) -> NextRun {
        NextRun { at: self.at.min(other.at), within: self.within.into_iter().chain(other.within).min() }
    }
}

/// The supervised worker, and the data that duties share.
pub(super) struct Supervised {
    pub(super) shared: Arc<WorkerShared>,
    pub(super) dispatchers: Vec<Arc<Dispatcher>>,
    pub(super) lease: Duration,
    pub(super) handle: SupervisorHandle,
    /// Wakes the supervisor when an answer of the store arrives.
    pub(super) waker: Waker,
    /// The start of the current lease: when the last answered heartbeat was sent. `heartbeat.rs` sets it.
    pub(super) lease_confirmed_at: Duration,
    /// The worker id that the store has refused since the last step.
    pub(super) lease_lost: Option<WorkerId>,
}

impl Supervised {
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.shared.queue.store()
    }

    /// The answer, if it has arrived. Otherwise, the supervisor is woken when it arrives.
    pub(super) fn poll<T>(&self, pending: &mut Pending<T>) -> Option<Result<T>> {
        match Pin::new(pending).poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// Reports that the store failed. A halted store is not reported here: the supervisor reports it once.
    pub(super) fn report(&self, error: &Error) {
        match error.kind() {
            ErrorKind::StoreHalted => self.handle.wake(),
            _ => self.shared.emit(&Event::StoreError { error }),
        }
    }
}
