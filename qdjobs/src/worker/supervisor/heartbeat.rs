//! Decides when a worker sends heartbeats, suspends itself because its lease may be lost, and registers
//! again: [`HeartbeatDuty`].
//!
//! When a *silent* worker is presumed dead by others is decided in `model/lease.rs`.
//!
//! Depends on the store's contract and the dispatchers.
//!
//! When heartbeats are not answered, it suspends the worker before others presume it dead. When the store
//! reports that the worker is not registered any more, it registers the worker under a new id.

use std::time::Duration;

use crate::model::error::ErrorKind;
use crate::model::event::Event;
use crate::model::job::WorkerId;
use crate::store::{Heartbeat, Pending, Release, WorkerInfo};

use super::duty::{Duty, NextRun, RETRY, Supervised};

/// If the process could not run for a while, the worker waits this long for the answer to a heartbeat before
/// it is suspended.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(250);

pub(super) struct HeartbeatDuty {
    /// The worker's registration. Only the id changes.
    info: WorkerInfo,
    /// The heartbeat in flight, with its worker id.
    pending: Option<(WorkerId, Pending<Heartbeat>)>,
    /// The registration under a new id, in flight.
    registration: Option<Registration>,
    next: Duration,
    /// When the last heartbeat was sent.
    sent_at: Duration,
    /// Until when to wait for an answer before the worker is suspended, in elapsed time.
    answer_until: Option<Duration>,
    suspended: bool,
}

struct Registration {
    sent_at: Duration,
    id: WorkerId,
    pending: Pending<()>,
}

impl HeartbeatDuty {
    pub(super) fn new(info: WorkerInfo, now: Duration) -> HeartbeatDuty {
        HeartbeatDuty {
            info,
            pending: None,
            registration: None,
            next: now,
            sent_at: now,
            answer_until: None,
            suspended: false,
        }
    }

    fn send(&mut self, worker: &Supervised, now: Duration) {
        self.next = now + worker.lease / 3;
        if self.pending.is_none() && self.registration.is_none() {
            self.sent_at = now;
            let id = worker.shared.worker_id();
            self.pending = Some((id, worker.store().heartbeat(id)));
        }
    }

    fn poll(&mut self, worker: &mut Supervised, now: Duration) {
        let Some((id, pending)) = self.pending.as_mut() else { return };
        let id = *id;
        let Some(answer) = worker.poll(pending) else { return };
        self.pending = None;
        match answer {
            // It was sent before the worker registered again, so it proves nothing about the current id.
            _ if id != worker.shared.worker_id() => {}
            Ok(heartbeat) if heartbeat.registered => {
                worker.lease_confirmed_at = self.sent_at;
            }
            Ok(_) => self.register(worker),
            Err(error) => {
                worker.report(&error);
                self.next = now + RETRY;
            }
        }
    }

    /// Suspends the worker if no heartbeat was answered for 0.8 of the lease. Other workers may soon presume
    /// it dead, and it must be suspended before that.
    ///
    /// If the process could not run for a while, the worker first waits for an answer: the machine was
    /// suspended, or a manual clock was advanced. Returns how much longer it waits.
    fn check_lease(&mut self, worker: &mut Supervised, now: Duration) -> Option<Duration> {
        let longest = worker.lease.mul_f64(0.8);
        if now.saturating_sub(worker.lease_confirmed_at) <= longest {
            self.answer_until = None;
            self.suspend(worker, false);
            return None;
        }
        if self.suspended {
            return None;
        }
        // An answer to a heartbeat from before the gap proves nothing about the present. When it arrives,
        // send another heartbeat.
        if now.saturating_sub(self.sent_at) > longest {
            self.send(worker, now);
            self.poll(worker, now);
        }
        let elapsed = worker.shared.elapsed();
        let until = *self.answer_until.get_or_insert(elapsed + ANSWER_WAIT_MAX);
        if now.saturating_sub(worker.lease_confirmed_at) <= longest {
            return self.check_lease(worker, now);
        }
        if elapsed < until {
            return Some(until - elapsed);
        }
        self.suspend(worker, true);
        None
    }

    fn suspend(&mut self, worker: &Supervised, suspended: bool) {
        if std::mem::replace(&mut self.suspended, suspended) != suspended {
            worker.dispatchers.iter().for_each(|dispatcher| dispatcher.suspend(suspended));
        }
    }

    /// Called when the lease is lost although the process is alive. The worker gives up its jobs and
    /// registers under a new id.
    fn register(&mut self, worker: &mut Supervised) {
        if self.registration.is_none() {
            worker.dispatchers.iter().for_each(|dispatcher| dispatcher.lease_lost());
            let id = worker.shared.new_worker_id();
            let pending = worker.store().register_worker(WorkerInfo { id, ..self.info.clone() });
            self.registration = Some(Registration { sent_at: worker.shared.monotonic(), id, pending });
        }
        self.poll_registration(worker);
    }

    /// Uses the new id after its registration.
    fn poll_registration(&mut self, worker: &mut Supervised) {
        let Some(Registration { sent_at, id, pending }) = self.registration.as_mut() else { return };
        let (sent_at, id) = (*sent_at, *id);
        let Some(answer) = worker.poll(pending) else { return };
        self.registration = None;
        match answer {
            Ok(()) => {
                let lost = worker.shared.worker_id();
                worker.shared.set_worker_id(id);
                worker.shared.emit(&Event::LeaseLost { worker: lost });
                // The worker holds no jobs under its old id. This releases the lock file and the waiting
                // claim of that id.
                drop(worker.store().release_worker(lost, Release::ByWorker));
                worker.lease_confirmed_at = sent_at;
                worker.dispatchers.iter().for_each(|dispatcher| dispatcher.reregistered());
            }
            Err(error) => {
                worker.report(&error);
                if error.kind() != ErrorKind::StoreHalted {
                    self.next = worker.shared.monotonic() + RETRY;
                }
            }
        }
    }

    /// Registers the worker again if the store has refused its current id.
    fn recover(&mut self, worker: &mut Supervised) {
        let lost = worker.lease_lost.take();
        if lost.is_some_and(|lost| lost == worker.shared.worker_id()) {
            self.register(worker);
        }
        self.poll_registration(worker);
    }
}

impl Duty for HeartbeatDuty {
    fn step(&mut self, worker: &mut Supervised, now: Duration) -> NextRun {
        self.recover(worker);
        if now >= self.next {
            self.send(worker, now);
        }
        // Polled after it was sent, so that its answer wakes the supervisor. Otherwise, the supervisor would
        // wait for the next heartbeat, which never comes with a manual clock.
        self.poll(worker, now);
        let within = self.check_lease(worker, now);
        NextRun { at: self.next, within }
    }

    /// The stop removes the worker by its current id, so a pending registration must end first.
    fn close(&mut self, worker: &mut Supervised) -> bool {
        self.recover(worker);
        self.registration.is_none()
    }
}
