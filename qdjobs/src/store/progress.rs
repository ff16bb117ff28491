//! The latest progress of one running job, until a store has written it: [`ProgressSlot`].
//!
//! Decides that of several values only the latest is written, and that a slot is submitted once. The values
//! are in `model/job/progress.rs`, the write is in `sqlite/queries/progress.rs`.
//!
//! Depends on the model and on [`Claim`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Claim;
use crate::model::job::Progress;

/// The latest progress of one running job, shared by its handler and the store.
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

    /// Replaces the value; `true` if the slot has to be submitted, `false` if it already waits to be written.
    pub fn set(&self, progress: Progress) -> bool {
        let mut latest = self.lock();
        latest.progress = Some(progress);
        !std::mem::replace(&mut latest.submitted, true)
    }

    /// The value to write. It stays in the slot until [`stored`](ProgressSlot::stored), since a transaction
    /// may run again.
    pub fn peek(&self) -> Option<Progress> {
        self.lock().progress.clone()
    }

    /// Notes that `stored` is stored. Answers whether the slot has to be submitted again, since a newer value
    /// came meanwhile.
    pub fn stored(&self, stored: &Progress) -> bool {
        let mut latest = self.lock();
        if latest.progress.as_ref() == Some(stored) {
            latest.progress = None;
        }
        latest.submitted = latest.progress.is_some();
        latest.submitted
    }

    /// Drops the value, which could not be stored. The next one is submitted again.
    pub fn clear(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a caller runs under the lock, so a poisoned state is a whole one.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
