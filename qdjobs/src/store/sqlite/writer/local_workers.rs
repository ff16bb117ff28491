//! Decides when the lock file of a worker of this process is removed: [`LocalWorkers`].
//!
//! It is removed after the commit that removes its worker, and at once if its worker was never registered.
//! Lock files are created and tested in `files/worker_locks.rs`. Registers nobody.
//!
//! Depends on the lock files.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::model::job::WorkerId;
use crate::store::engine::requests::Request;
use crate::store::sqlite::files::worker_locks::WorkerLocks;

#[derive(Debug)]
pub(super) struct LocalWorkers {
    pub(super) locks: Arc<WorkerLocks>,
    registered: HashSet<WorkerId>,
}

impl LocalWorkers {
    pub(super) fn new(locks: Arc<WorkerLocks>) -> LocalWorkers {
        LocalWorkers { locks, registered: HashSet::new() }
    }

    pub(super) fn dir(&self) -> &Path {
        self.locks.dir()
    }

    /// Whether no worker of this process has a lock file.
    pub(super) fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// These workers are registered.
    pub(super) fn have_registered(&mut self, workers: &[WorkerId]) {
        self.registered.extend(workers);
    }

    /// These workers are removed. After the commit: a worker without a lock file that is still registered
    /// would look dead.
    pub(super) fn are_gone(&mut self, workers: &[WorkerId]) {
        for worker in workers {
            self.locks.release(*worker);
            self.registered.remove(worker);
        }
    }

    /// These workers could not be registered: nobody will show their ids again, and their lock files would
    /// only stay.
    pub(super) fn were_refused(&self, workers: impl IntoIterator<Item = WorkerId>) {
        let refused = workers.into_iter().filter(|worker| !self.registered.contains(worker));
        refused.for_each(|worker| self.locks.release(worker));
    }
}

/// The workers that these requests register.
pub(super) fn registering(requests: &[Request]) -> impl Iterator<Item = WorkerId> {
    requests.iter().filter_map(|request| match request {
        Request::RegisterWorker(call) => Some(call.args.id),
        _ => None,
    })
}
