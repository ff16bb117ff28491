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

    /// Records that these workers are registered.
    pub(super) fn have_registered(&mut self, workers: &[WorkerId]) {
        self.registered.extend(workers);
    }

    /// Records that these workers were removed, and removes their lock files. Called after the commit: a
    /// registered worker without a lock would look dead.
    pub(super) fn are_gone(&mut self, workers: &[WorkerId]) {
        for worker in workers {
            self.locks.release(*worker);
            self.registered.remove(worker);
        }
    }

    /// Removes the lock files of workers that could not be registered. Their ids are not used again, so
    /// nothing else would remove the files.
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
