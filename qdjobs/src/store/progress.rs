//! The latest progress of one running job, until a store has written it: [`ProgressSlot`].
//!
//! Decides that of several values only the latest is written, and that a slot is submitted once. The values
//! are in `model/job/progress.rs`, the write is in `sqlite/queries/progress.rs`.
//!
//! Depends on the model and on [`Claim`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Claim;
use crate::model::job::Progress;

/// The latest progress of one running job, shared by its task and the store.
#[derive(Debug)]
pub struct ProgressSlot {
    claim: Claim,
    latest: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    progress: Option<Progress>,
    submitted: bool,
}

impl ProgressSlot {
    /// An empty slot.
    pub fn new(claim: Claim) -> ProgressSlot {
        ProgressSlot { claim, latest: Mutex::default() }
    }

    /// The claim of the job.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Replaces the value. `true` if the slot must be submitted; `false` if it already waits to be written.
    pub fn set(&self, progress: Progress) -> bool {
        let mut latest = self.lock();
        latest.progress = Some(progress);
        !std::mem::replace(&mut latest.submitted, true)
    }

    /// The value to write. It stays in the slot until [`stored`](ProgressSlot::stored), because a transaction
    /// may run again.
    pub fn peek(&self) -> Option<Progress> {
        self.lock().progress.clone()
    }

    /// Records that `stored` was written. Returns whether a newer value has arrived, so that the slot must be
    /// submitted again.
    pub fn stored(&self, stored: &Progress) -> bool {
        let mut latest = self.lock();
        if latest.progress.as_ref() == Some(stored) {
            latest.progress = None;
        }
        latest.submitted = latest.progress.is_some();
        latest.submitted
    }

    /// Discards a value that could not be stored. The next value submits the slot again.
    pub fn clear(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a caller runs under this lock, so the state is consistent even if the lock is poisoned.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
