//! How the store is, written down as it works: [`HealthRecord`].
//!
//! Leans on the contract's `health`. Nothing is looked up for it: the writer notes what it meets anyway, and whoever asks
//! reads the notes. Whether the store has stopped is not noted here but in the request_queue, which has to refuse by it.

use std::path::{Path, PathBuf};

use crate::model::clock::Timestamp;
use crate::model::error::Error;
use crate::store::health::{Checkpoint, Failure, Health, HealthState};
use crate::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct HealthRecord {
    log: PathBuf,
    readable_by_others: bool,
    /// Held for a note or a look, never while SQLite works.
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    full_since: Option<Timestamp>,
    last_checkpoint: Option<Checkpoint>,
    /// The frame that the last checkpoint did not get past, and when that was first so.
    held: Option<(u64, Timestamp)>,
    last_error: Option<Failure>,
}

impl HealthRecord {
    /// Of the database at `path`, whose log is `log`.
    pub(super) fn of(path: &Path, log: &Path) -> HealthRecord {
        HealthRecord {
            log: log.to_owned(),
            readable_by_others: is_readable_by_others(path),
            notes: Mutex::default(),
        }
    }

    /// A checkpoint has come to its end, or to where somebody still reads.
    pub(super) fn note_checkpoint(&self, at: Timestamp, pages: u64, written_back: u64, busy: bool) {
        let held_back = busy || written_back < pages;
        let mut notes = self.lock();
        let since = notes.held.filter(|(frame, _)| *frame == written_back).map_or(at, |(_, since)| since);
        notes.held = held_back.then_some((written_back, since));
        notes.last_checkpoint = Some(Checkpoint { at, pages, written_back, held_back });
    }

    /// A transaction has failed as a whole.
    pub(super) fn note_failure(&self, at: Timestamp, error: &Error) {
        self.lock().last_error = Some(Failure { at, error: error.to_string() });
    }

    /// The disk is full, or not any more.
    pub(super) fn note_full(&self, full: bool, now: Timestamp) {
        let mut notes = self.lock();
        notes.full_since = full.then(|| notes.full_since.unwrap_or(now));
    }

    /// All of it, for somebody who asks; `stopped` if the store is.
    pub(super) fn health(&self, stopped: Option<Error>) -> Health {
        // The log's size alone is asked for; opened, it would cost SQLite its locks.
        let wal_bytes = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        let notes = self.lock();
        let state = match (stopped, notes.full_since) {
            (Some(stopped), _) => HealthState::Halted { reason: stopped.to_string() },
            (None, Some(since)) => HealthState::StorageFull { since },
            (None, None) => HealthState::Ok,
        };
        Health {
            state,
            wal_bytes,
            last_checkpoint: notes.last_checkpoint.clone(),
            log_held_since: notes.held.map(|(_, since)| since),
            last_error: notes.last_error.clone(),
            readable_by_others: self.readable_by_others,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_held_since_the_first_checkpoint_that_did_not_get_further() {
        let health = HealthRecord::of(Path::new("none.db"), Path::new("none.db-wal"));
        let at = |second| Timestamp::from_second(second).unwrap();
        let held = || health.health(None).log_held_since;
        for (second, pages, written_back, since) in [
            (1, 10, 10, None),
            (2, 20, 15, Some(2)),
            (3, 30, 15, Some(2)),
            (9, 40, 15, Some(2)),
            (10, 50, 30, Some(10)),
            (11, 60, 60, None),
        ] {
            health.note_checkpoint(at(second), pages, written_back, false);
            assert_eq!(held(), since.map(at), "at {second}");
        }
    }
}
