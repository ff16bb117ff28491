//! Which jobs still occupy a thread or future of this process after their attempt has ended: [`Abandoned`].
//!
//! Does not decide when an attempt is abandoned, or whether its thread is replaced: see
//! `dispatcher/next_job.rs`.
//!
//! Depends on the job's id alone: no lock, no clock.
//!
//! A thread cannot be stopped from outside, and a future is dropped only between two polls. Until then the
//! job does not begin again in this process, and its place in the pool is taken or replaced.

use std::collections::HashMap;

use crate::model::job::JobId;

/// The abandoned executions of a dispatcher whose task has not ended. None of them counts as running.
#[derive(Default)]
pub(super) struct Abandoned(HashMap<JobId, Place>);

/// The state of the place in the pool that an abandoned execution had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The execution still occupies it.
    Occupied,
    /// A new thread replaces it, or it occupied no thread.
    Replaced,
}

impl Abandoned {
    pub(super) fn insert(&mut self, id: JobId, place: Place) {
        self.0.insert(id, place);
    }

    /// Called when the task has ended. An execution that was not abandoned occupied its place, too.
    pub(super) fn remove(&mut self, id: JobId) -> Place {
        self.0.remove(&id).unwrap_or(Place::Occupied)
    }

    pub(super) fn contains(&self, id: JobId) -> bool {
        self.0.contains_key(&id)
    }

    /// The number of executions with this kind of place.
    pub(super) fn count(&self, place: Place) -> usize {
        self.0.values().filter(|it| **it == place).count()
    }
}
