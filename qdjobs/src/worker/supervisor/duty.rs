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
    /// A duty never waits: one that waited would hold up all others. It submits its requests to the store and
    /// polls their answers with [`Supervised::poll`]; an answer that arrives makes the supervisor step all
    /// duties.
    fn step(&mut self, worker: &mut Supervised, now: Duration) -> NextRun;

    /// The supervisor should end: finishes what must not be left half done. Returns whether it may end now.
    fn close(&mut self, _worker: &mut Supervised) -> bool {
        true
    }

    /// Whether it has nothing to do once the store has halted.
    fn needs_store(&self) -> bool {
        true
    }
}

/// When the supervisor has to run again if nothing wakes it before.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct NextRun {
    /// On the monotonic clock.
    pub(in crate::worker) at: Duration,
    /// From now, in time that advances although a manual clock stands still.
    pub(in crate::worker) within: Option<Duration>,
}

impl NextRun {
    /// Far ahead, and in microseconds still a number of 64 bits.
    pub(super) const NEVER: NextRun = NextRun::at(Duration::from_secs(1 << 40));

    pub(super) const fn at(at: Duration) -> NextRun {
        NextRun { at, within: None }
    }

    /// Whichever of the two comes first.
    pub(super) fn or_earlier(self, other: NextRun) -> NextRun {
        NextRun { at: self.at.min(other.at), within: self.within.into_iter().chain(other.within).min() }
    }
}

/// The worker that is supervised, and what one duty knows that another needs.
pub(super) struct Supervised {
    pub(super) shared: Arc<WorkerShared>,
    pub(super) dispatchers: Vec<Arc<Dispatcher>>,
    pub(super) lease: Duration,
    pub(super) handle: SupervisorHandle,
    /// Wakes the supervisor when an answer of the store arrives.
    pub(super) waker: Waker,
    /// From when the lease counts: when the last heartbeat that was answered had been sent. `heartbeat.rs`
    /// sets it.
    pub(super) lease_confirmed_at: Duration,
    /// The worker id that the store has refused since the last step.
    pub(super) lease_lost: Option<WorkerId>,
}

impl Supervised {
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.shared.queue.store()
    }

    /// The answer, if it has arrived; otherwise the supervisor is woken when it does.
    pub(super) fn poll<T>(&self, pending: &mut Pending<T>) -> Option<Result<T>> {
        match Pin::new(pending).poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// Reports that the store failed. The supervisor itself reports a store that has halted, once.
    pub(super) fn report(&self, error: &Error) {
        match error.kind() {
            ErrorKind::StoreHalted => self.handle.wake(),
            _ => self.shared.emit(&Event::StoreError { error }),
        }
    }
}
