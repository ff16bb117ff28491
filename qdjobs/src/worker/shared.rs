//! What all parts of one worker share: [`WorkerShared`], with its id, tasks, shared values and event
//! listener.
//!
//! Does not decide when a worker registers: see `start.rs` and, under a new id, `supervisor/heartbeat.rs`.
//!
//! Depends on the queue handle, the task registry and the context. It starts no thread and holds no lock.

use std::sync::Arc;
use std::time::Duration;

use crate::context::States;
use crate::model::event::Event;
use crate::model::job::WorkerId;
use crate::model::panic::caught;
use crate::model::rng::Rng;
use crate::queue::WeakQueue;
use crate::sync::atomic::{AtomicI64, Ordering};
use crate::task::registry::Registry;

/// The callback of [`Worker::on_event`](crate::Worker::on_event).
pub(crate) type EventListener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// What the dispatchers, the executions and the supervisor of one worker share.
pub(super) struct WorkerShared {
    pub(super) queue: WeakQueue,
    pub(super) registry: Registry,
    pub(super) states: Arc<States>,
    pub(super) rng: Rng,
    /// The current id. It changes when the worker has lost its lease and registers again.
    worker_id: AtomicI64,
    listener: Option<EventListener>,
}

impl WorkerShared {
    pub(super) fn new(
        queue: WeakQueue,
        registry: Registry,
        states: States,
        worker: WorkerId,
        listener: Option<EventListener>,
        rng: Rng,
    ) -> WorkerShared {
        let worker_id = AtomicI64::new(worker.0);
        WorkerShared { queue, registry, states: Arc::new(states), rng, worker_id, listener }
    }

    pub(super) fn worker_id(&self) -> WorkerId {
        WorkerId(self.worker_id.load(Ordering::Acquire))
    }

    pub(super) fn set_worker_id(&self, worker: WorkerId) {
        self.worker_id.store(worker.0, Ordering::Release);
    }

    pub(super) fn new_worker_id(&self) -> WorkerId {
        self.worker_id().renewed(self.rng.number())
    }

    /// Calls the event listener.
    pub(super) fn emit(&self, event: &Event<'_>) {
        if let Some(listener) = &self.listener {
            // A listener is user code. Its panic must not end a thread of the worker.
            let _ = caught(|| listener(event));
        }
    }

    /// A copy of a name for a later event. Without a listener it is empty: then a job costs no allocation for it.
    pub(super) fn name_for_events(&self, name: &str) -> Box<str> {
        if self.listener.is_some() { name.into() } else { Box::default() }
    }

    /// The queue's monotonic clock. A manual clock moves it.
    pub(super) fn monotonic(&self) -> Duration {
        self.queue.clock().monotonic()
    }

    /// The operating system's monotonic clock. It advances even with a manual clock.
    pub(super) fn elapsed(&self) -> Duration {
        self.queue.clock().elapsed()
    }
}

impl std::fmt::Debug for WorkerShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerShared").field("worker_id", &self.worker_id).finish_non_exhaustive()
    }
}
