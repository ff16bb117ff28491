//! Looks for dead workers about once a second, and asks the store to release their jobs: [`RescuerDuty`].
//!
//! Does not decide whether a worker is dead. A free lock file proves it
//! (`store/sqlite/files/worker_locks.rs`); without that proof, missing heartbeats for a whole lease do
//! (`model/lease.rs`). What a death means for the jobs is decided in `model/crash_count.rs`.
//!
//! Depends on the store's contract and on `model/lease.rs`.

use std::time::Duration;

use crate::model::event::Event;
use crate::model::job::{Job, WorkerId};
use crate::model::lease::HeartbeatMonitor;
use crate::store::{Pending, Release, Released, WorkerState};

use super::duty::{Duty, NextRun, Supervised};

/// The time between two checks of the other workers. The jobs of a killed worker wait for half of it on
/// average.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct RescuerDuty {
    monitor: HeartbeatMonitor,
    /// The requested list of workers, with the time of the request.
    list: Option<(Duration, Pending<Vec<WorkerState>>)>,
    /// The releases in flight, each with the dead worker.
    releases: Vec<(WorkerId, Pending<Released>)>,
    next: Duration,
}

impl RescuerDuty {
    pub(super) fn new(lease: Duration, now: Duration) -> RescuerDuty {
        RescuerDuty { monitor: HeartbeatMonitor::new(lease), list: None, releases: Vec::new(), next: now }
    }

    /// When the list has arrived, finds dead workers and releases their jobs.
    fn look(&mut self, worker: &Supervised, now: Duration) {
        let Some((asked_at, list)) = self.list.as_mut() else { return };
        let asked_at = *asked_at;
        let Some(answer) = worker.poll(list) else { return };
        self.list = None;
        let workers = match answer {
            Ok(workers) => workers,
            Err(error) => return worker.report(&error),
        };
        let own = worker.shared.worker_id();
        let others: Vec<WorkerState> = workers.into_iter().filter(|state| state.id != own).collect();
        let silent = self.silent(worker, &others, asked_at, now);
        for &WorkerState { id, heartbeats, .. } in &others {
            if self.releases.iter().any(|(dead, _)| *dead == id) {
                continue;
            }
            if worker.store().is_proven_dead(id) {
                self.releases.push((id, worker.store().release_worker(id, Release::ProvenDead)));
            } else if silent.contains(&id) {
                self.releases.push((id, worker.store().release_worker(id, Release::Silent { heartbeats })));
            }
        }
        self.poll_releases(worker);
    }

    /// The workers whose heartbeats have not grown for a whole lease.
    fn silent(
        &mut self,
        worker: &Supervised,
        others: &[WorkerState],
        asked_at: Duration,
        now: Duration,
    ) -> Vec<WorkerId> {
        // If a write lock delays our heartbeats, it may also delay those of other workers. Then missing
        // heartbeats do not prove that a worker is dead.
        if now.saturating_sub(worker.lease_confirmed_at) >= worker.lease / 2 {
            self.monitor.forget();
            return Vec::new();
        }
        // A late answer may show an old state. With this limit, a worker suspends itself before the monitor
        // presumes it dead.
        if now.saturating_sub(asked_at) >= worker.lease / 8 {
            return Vec::new();
        }
        self.monitor.look(others.iter().map(|state| (state.id, state.heartbeats)), asked_at)
    }

    fn poll_releases(&mut self, worker: &Supervised) {
        self.releases.retain_mut(|(dead, release)| {
            match worker.poll(release) {
                None => return true,
                // Another worker has released it, it held no job, or its heartbeats continued.
                Some(Ok(Released { jobs: 0, .. })) => {}
                Some(Ok(Released { jobs, failed })) => {
                    worker.shared.emit(&Event::Rescued { worker: *dead, jobs });
                    for Job { id, task_name, queue, attempt, error, .. } in &failed {
                        let error = error.as_deref().unwrap_or_default();
                        let (id, attempt) = (*id, *attempt);
                        worker.shared.emit(&Event::Failed { id, task_name, queue, attempt, error });
                    }
                }
                Some(Err(error)) => worker.report(&error),
            }
            false
        });
    }
}

impl Duty for RescuerDuty {
    fn step(&mut self, worker: &mut Supervised, now: Duration) -> NextRun {
        self.poll_releases(worker);
        if now >= self.next {
            self.next = now + LOOK.min(worker.lease / 8);
            if self.list.is_none() {
                self.list = Some((now, worker.store().workers()));
            }
        }
        self.look(worker, now);
        NextRun::at(self.next)
    }
}
