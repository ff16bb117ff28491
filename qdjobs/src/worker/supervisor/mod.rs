//! Runs the duties of a worker that no task may delay: [`Supervisor`], with a thread of its own.
//!
//! Each duty has a file: `heartbeat.rs` renews the lease, `rescuer.rs` rescues the jobs of dead workers,
//! `timeouts.rs` ends attempts that run too long. `duty.rs` is their common interface, `handle.rs` wakes the
//! supervisor.
//!
//! Depends on the dispatchers, which it controls, and on the store's contract. It runs until the last job has
//! ended.

mod duty;
pub(in crate::worker) mod handle;
mod heartbeat;
mod rescuer;
mod timeouts;

use std::sync::Arc;
use std::time::Duration;

use crate::model::error::Result;
use crate::model::event::Event;
use crate::store::WorkerInfo;
use crate::sync::{spawn, thread};

use self::duty::{Duty, NextRun, Supervised};
use self::handle::SupervisorHandle;
use self::heartbeat::HeartbeatDuty;
use self::rescuer::RescuerDuty;
use self::timeouts::TimeoutDuty;
use super::dispatcher::Dispatcher;
use super::shared::WorkerShared;

pub(in crate::worker) struct Supervisor {
    worker: Supervised,
    duties: Vec<Box<dyn Duty>>,
    store_halted: bool,
}

/// The supervisor while its thread runs.
#[derive(Debug)]
pub(in crate::worker) struct RunningSupervisor {
    handle: SupervisorHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Supervisor {
    /// A supervisor of the worker `info`, which is registered.
    pub(in crate::worker) fn new(shared: Arc<WorkerShared>, info: WorkerInfo, lease: Duration) -> Supervisor {
        let now = shared.monotonic();
        let handle = SupervisorHandle::new();
        let worker = Supervised {
            shared,
            dispatchers: Vec::new(),
            lease,
            waker: handle.waker(),
            handle,
            lease_confirmed_at: now,
            lease_lost: None,
        };
        // The order matters: the rescuer needs the latest answer to a heartbeat.
        let duties: Vec<Box<dyn Duty>> = vec![
            Box::new(HeartbeatDuty::new(info, now)),
            Box::new(RescuerDuty::new(lease, now)),
            Box::new(TimeoutDuty),
        ];
        Supervisor { worker, duties, store_halted: false }
    }

    pub(in crate::worker) fn handle(&self) -> SupervisorHandle {
        self.worker.handle.clone()
    }

    /// Supervises `dispatchers` from now on.
    pub(in crate::worker) fn supervise(&mut self, dispatchers: Vec<Arc<Dispatcher>>) {
        self.worker.dispatchers = dispatchers;
    }

    pub(in crate::worker) fn start(mut self) -> Result<RunningSupervisor> {
        let handle = self.handle();
        self.worker.shared.queue.clock().subscribe(Arc::downgrade(&handle.clock_subscriber()));
        let run = move || {
            while let Some(next) = self.step() {
                self.sleep(next);
            }
        };
        let thread = spawn("qdjobs-monitor", run)?;
        Ok(RunningSupervisor { handle, thread: Some(thread) })
    }

    /// Does what is due, and returns when to run again; `None` when the supervisor has ended.
    pub(in crate::worker) fn step(&mut self) -> Option<NextRun> {
        let call = self.worker.handle.take_call();
        self.check_store();
        self.worker.lease_lost = call.lease_lost;
        if call.closed && self.duties.iter_mut().all(|duty| duty.close(&mut self.worker)) {
            return None;
        }
        let now = self.worker.shared.monotonic();
        let next = self.duties.iter_mut().map(|duty| duty.step(&mut self.worker, now));
        Some(next.fold(NextRun::NEVER, NextRun::or_earlier))
    }

    /// Checks, without a request, whether the store has halted. If so, reports it once to the program and to
    /// all running tasks, and drops the duties that need the store.
    fn check_store(&mut self) {
        if self.store_halted {
            return;
        }
        let Some(error) = self.worker.store().halted() else { return };
        self.store_halted = true;
        self.duties.retain(|duty| !duty.needs_store());
        self.worker.dispatchers.iter().for_each(|dispatcher| dispatcher.store_halted(&error));
        self.worker.shared.emit(&Event::StoreHalted { error: &error });
    }

    fn sleep(&self, next: NextRun) {
        let worker = &self.worker;
        worker.handle.set_wakes_at(next.at);
        // Read after `wakes_at` was set: an earlier deadline is found here, and a later one wakes the
        // supervisor. The handle's lock must not be held, because a dispatcher calls the handle under its own
        // lock.
        let earlier = worker.dispatchers.iter().any(|dispatcher| dispatcher.has_deadline_before(next.at));
        let wait = next.at.saturating_sub(worker.shared.monotonic());
        if earlier || wait.is_zero() {
            return;
        }
        let limit = worker.shared.queue.clock().sleep(wait);
        worker.handle.sleep(limit.into_iter().chain(next.within).min());
    }
}

impl RunningSupervisor {
    pub(in crate::worker) fn stop(mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // If the supervisor has panicked, nothing is left to do.
            let _ = thread.join();
        }
    }
}
